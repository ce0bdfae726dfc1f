"""A gateway's settings, ``gateway.toml`` in its home, and where everything lies there.

``CIMFED_GATEWAY_...`` variables of the environment come before the file. Unknown words are refused with their place.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cimfed.errors import BadConfig, NotFound
from cimfed.model.names import GatewayName, gateway_name
from cimfed.trust.keys import PublicKey

FILE = "gateway.toml"


class Settings(BaseSettings):
    """``listen`` is ``host:port`` to bind. ``registrar_key`` is pinned. Times in seconds."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="CIMFED_GATEWAY_")

    name: str
    federation: str
    listen: str
    registrar_key: str
    directory: str = "directory.json"
    city_time: float = Field(default=600.0, gt=0, le=3600)  # for a city's whole answer
    city_silence: float = Field(default=30.0, gt=0, le=600)  # between two frames of a city

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


class Home:
    """A gateway's folder and its settings."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.name: GatewayName = gateway_name(settings.name)
        self.registrar_key = PublicKey.parse(settings.registrar_key)

    @classmethod
    def load(cls, path: Path) -> Home:
        file = path / FILE
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            raise NotFound(
                "there is no gateway here", place=str(file), remedy="Run cimfed-gateway init first"
            ) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadConfig(f"cannot be read: {error}", place=str(file)) from None
        try:
            return cls(path.resolve(), Settings(**document))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadConfig(str(first["msg"]), place=f"{file}: {where}") from None

    @property
    def directory(self) -> Path:
        return self.path / self.settings.directory

    @property
    def directory_state(self) -> Path:
        return self.path / "directory.state"

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"


def toml(values: Mapping[str, str]) -> str:
    """A flat TOML document of texts: a JSON text is a TOML text."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
