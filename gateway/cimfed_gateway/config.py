"""A gateway's settings, ``gateway.toml`` in its home, and where everything lies there.

``CIMFED_GATEWAY_...`` variables of the environment come before the file.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from cimfed.model.names import GatewayName, federation, gateway_name
from cimfed.rpc.settings import ServerSettings, checked, read_settings
from cimfed.trust.tlog.checkpoint import Origin

FILE = "gateway.toml"


class Settings(ServerSettings):
    """Times in seconds."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="CIMFED_GATEWAY_")

    name: str
    city_time: float = Field(default=600.0, gt=0, le=3600)  # for a city's whole answer
    city_silence: float = Field(default=30.0, gt=0, le=600)  # between two frames of a city

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return checked(gateway_name, value)


class Home:
    """A gateway's folder and its settings."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.name: GatewayName = gateway_name(settings.name)

    @classmethod
    def load(cls, path: Path) -> Home:
        return cls(path.resolve(), read_settings(path / FILE, Settings, "cimfed-gateway"))

    @property
    def log_origin(self) -> Origin:
        """What the gateway's log is named, in its first generation."""
        return Origin(federation(self.settings.federation), self.name)

    @property
    def directory(self) -> Path:
        """The follower's folder: the pinned root, and what was fetched."""
        return self.path / "directory"

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"
