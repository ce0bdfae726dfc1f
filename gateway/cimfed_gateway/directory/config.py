"""The directory service's settings, ``directory.toml`` in its home, and where everything lies there.

``CIMFED_DIRECTORY_...`` variables of the environment come before the file.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator
from pydantic_settings import SettingsConfigDict

from cimfed.model.names import DirectoryName, directory_name, federation
from cimfed.rpc.settings import ListenerSettings, checked, read_settings
from cimfed.trust.tlog.checkpoint import Origin

FILE = "directory.toml"


class Settings(ListenerSettings):
    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="CIMFED_DIRECTORY_")

    name: str

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return checked(directory_name, value)


class Home:
    """The service's folder and its settings. ``repository``: the first root and the directory's files."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.name: DirectoryName = directory_name(settings.name)

    @classmethod
    def load(cls, path: Path) -> Home:
        return cls(path.resolve(), read_settings(path / FILE, Settings, "cimfed-gateway directory"))

    @property
    def online_key(self) -> Path:
        return self.path / "keys" / "online.key"

    @property
    def repository(self) -> Path:
        return self.path / "repository"

    @property
    def log_origin(self) -> Origin:
        """What the service's log is named, in its first generation."""
        return Origin(federation(self.settings.federation), self.name)

    @property
    def records(self) -> Path:
        return self.path / "records.sqlite"
