"""What the settings of every server share: a TOML file in its home, variables of the environment before it.

Wrong or unknown words are refused with their place. Needs pydantic-settings, which servers have and clients do not.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from cimfed.errors import BadConfig, CimfedError, NotFound
from cimfed.model.names import federation

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class ServerSettings(BaseSettings):
    """``listen`` is ``host:port`` to bind. ``registrar_key`` is pinned. Paths are relative to the home."""

    federation: str
    listen: str
    registrar_key: str
    directory: str = "directory.json"

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
            raise ValueError("give host:port; port 0 takes a free one")
        return value


Found = TypeVar("Found", bound=ServerSettings)


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
    try:
        return kind(**document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadConfig(str(first["msg"]), place=f"{file}: {where}") from None


def bind_of(address: str) -> str:
    """Where to listen for an address that others dial: its port on all interfaces, unless it is a loopback."""
    host, _, port = address.rpartition(":")
    return address if host in LOOPBACK else f"0.0.0.0:{port}"


def toml(values: Mapping[str, str | Sequence[str]]) -> bytes:
    """A flat TOML document of texts and lists of texts, which JSON writes as TOML does."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items()).encode()
