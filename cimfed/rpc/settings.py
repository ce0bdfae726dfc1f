"""What the settings of every server share: a TOML file in its home, variables of the environment before it.

Wrong or unknown words are refused with their place. Needs pydantic-settings, which servers have and clients do not.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from cimfed.errors import BadConfig, CimfedError, NotFound
from cimfed.model.names import federation
from cimfed.trust.directory.documents import address as dialled

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class ListenerSettings(BaseSettings):
    """``listen`` is ``host:port`` to bind."""

    federation: str
    listen: str

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @field_validator("federation")
    @classmethod
    def _federation(cls, value: str) -> str:
        return checked(federation, value)

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{value[:100]!r} is not host:port")
        return value


class ServerSettings(ListenerSettings):
    """``directory`` is ``host:port`` of the directory service. ``mirrors`` are further places where its files can be
    had: URLs or absolute paths."""

    directory: str = ""
    mirrors: tuple[str, ...] = ()

    @field_validator("directory")
    @classmethod
    def _directory(cls, value: str) -> str:
        return value and checked(dialled, value)

    @field_validator("mirrors")
    @classmethod
    def _mirrors(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            from cimfed.rpc.mirror import extra_mirror  # with gRPC, which not every command that reads settings needs

            for text in value:
                checked(lambda text: extra_mirror(text).name, text)
        return value


Found = TypeVar("Found", bound=ListenerSettings)


def checked(check: Callable[[str], str], value: str) -> str:
    """What a check of ours gives, its error as pydantic takes one."""
    try:
        return str(check(value))
    except CimfedError as error:
        raise ValueError(error.message) from None


def read_settings(file: Path, kind: type[Found], program: str) -> Found:
    """NotFound where there is no file, BadConfig at the word that is wrong."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound(
            f"this is no home of {program}", place=str(file.parent), remedy=f"Run {program} init first"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"cannot be read: {error}", place=str(file)) from None
    return settings_of(kind, document, f"{file}: ")


def settings_of(kind: type[Found], document: Mapping[str, Any], place: str) -> Found:
    """BadConfig at the word that is wrong; ``place`` is what stands before it."""
    try:
        return kind(**document)
    except SettingsError as error:
        raise BadConfig(f"a variable of the environment cannot be read: {error}", place="environment") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
    where = [str(part) for part in first["loc"]]
    remedy = None
    if first["type"] == "extra_forbidden":
        remedy = _known_words(kind, where)
    elif first["type"] == "missing":
        remedy = "It must be there"
    message = str(first["msg"]).removeprefix("Value error, ")
    raise BadConfig(message, place=place + ".".join(where), remedy=remedy)


def _known_words(kind: type[BaseModel], where: list[str]) -> str:
    for part in where[:-1]:
        inner = kind.model_fields[part].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        kind = inner
    close = difflib.get_close_matches(where[-1], kind.model_fields, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    return f"{meant}The words are {', '.join(kind.model_fields)}"


def bind_of(address: str) -> str:
    """Where to listen for an address that others dial: its port on all interfaces, unless it is a loopback.

    BadConfig for what is no address, and for one that can be bound and not dialled: it would be listed as it stands.
    """
    try:
        host, _, port = dialled(address).rpartition(":")
    except CimfedError as error:
        raise BadConfig(error.message, place="--address", remedy=error.remedy) from None
    with suppress(ValueError):  # a name
        if ipaddress.ip_address(host.strip("[]")).is_unspecified:
            raise BadConfig(
                f"nobody can dial {address}",
                place="--address",
                remedy="Give what others reach this host by; --listen says what is bound",
            )
    return address if host in LOOPBACK else f"0.0.0.0:{port}"


def check_bind(address: str) -> None:
    """BadConfig with the system's reason where nobody can listen at ``host:port`` now; gRPC itself gives none."""
    host, _, port = address.rpartition(":")
    failed = 0
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise BadConfig(f"cannot listen: {error.strerror}", place=address) from None
    for family, kind, protocol, _, where in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does
                probe.bind(where)
                probe.listen()
            return
        except OSError as error:
            failed = error.errno or 0
    raise BadConfig(f"cannot listen: {os.strerror(failed)}", place=address)


def toml(values: Mapping[str, str | Sequence[str]]) -> bytes:
    """A flat TOML document of texts and lists of texts, which JSON writes as TOML does."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()).encode()
