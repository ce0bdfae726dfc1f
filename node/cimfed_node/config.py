"""A node's settings: ``node.toml`` in its home, and where everything lies there.

``CIMFED_NODE_...`` variables of the environment come before the file. Limits may be set lower than the contract's,
never higher.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import SettingsConfigDict

from cimfed.model.limits import LIMITS, MIB
from cimfed.model.names import CityName, Federation, city_name
from cimfed.rpc.settings import ServerSettings, checked, read_settings
from cimfed.trust.directory.documents import address
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.checkpoint import Origin
from cimfed_node.room import Room, written_below
from cimfed_node.stores.base import Place

FILE = "node.toml"
SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)\s*([KMGT]iB)?")
UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
LOWERED = (
    "answer_time",
    "clock_tolerance",
    "concurrent_per_node",
    "concurrent_per_partner",
    "gateways_passed",
    "groups",
    "query_life",
    "statement_time",
)
"""Limits that a node may lower. The others are what bytes on the wire are read by, the same everywhere."""


class Audit(StrEnum):
    """Who may read entries of the log over the wire."""

    REGISTRAR = "registrar"
    OFF = "off"


class Engine(BaseModel):
    """What the embedded engine may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: int = Field(default=512 * MIB, ge=64 * MIB)  # bytes
    threads: int = Field(default_factory=lambda: min(4, os.cpu_count() or 1), ge=1, le=64)
    workers: int = Field(default=8, ge=1, le=64)  # statements read at the same time; others wait their turn


class Disk(BaseModel):
    """What the node's folder may take of its disk, in bytes or as ``20 GiB``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    budget: int | None = Field(default=None, ge=MIB)  # snapshots, views and scratch; none: what there is
    keep_free: int = Field(default=64 * MIB, ge=0)  # of the disk, so that the control database can be written

    @field_validator("budget", "keep_free", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = SIZE.fullmatch(value.strip())
        if found is None:
            raise ValueError("a size is a number of bytes, or one with KiB, MiB, GiB or TiB")
        return int(float(found[1]) * UNITS[found[2] or ""])


class Settings(ServerSettings):
    """``listen`` is ``host:port`` to bind, ``address`` what others dial; paths are relative to the home.

    ``service_user`` is the Unix user that ``serve`` becomes when root starts it: name or number, empty for none.
    ``steward_keys`` are pinned: no file of the directory can change them. ``audit``: whether a registrar may read
    entries of the log over the wire.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="CIMFED_NODE_")

    city: str
    address: str
    steward_keys: tuple[str, ...] = Field(min_length=1)
    service_user: str = ""
    audit: Audit = Audit.REGISTRAR
    engine: Engine = Engine()
    disk: Disk = Disk()
    limits: dict[str, float] = Field(default_factory=dict)

    @field_validator("city")
    @classmethod
    def _city(cls, value: str) -> str:
        return checked(city_name, value)

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return checked(address, value)

    @field_validator("limits")
    @classmethod
    def _limits(cls, value: dict[str, float]) -> dict[str, float]:
        highest = {name: getattr(LIMITS, name) for name in LOWERED}
        for name, number in value.items():
            if name not in highest:
                raise ValueError(f"there is no limit {name[:40]} to be lowered; there are {', '.join(LOWERED)}")
            if not 0 < number <= highest[name]:
                raise ValueError(f"{name} is more than 0 and at most {highest[name]}")
        return value


class Home:
    """A node's folder and its settings.

    ``keys``, ``snapshots`` are the operator's alone; the service may read ``views`` and ``policies`` and write
    ``control``.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.city = CityName(settings.city)
        self.federation = Federation(settings.federation)
        self.limits = replace(
            LIMITS, **{name: type(getattr(LIMITS, name))(value) for name, value in settings.limits.items()}
        )
        self.steward_keys = tuple(PublicKey.parse(text) for text in settings.steward_keys)

    @classmethod
    def load(cls, path: Path) -> Home:
        return cls(path.resolve(), read_settings(path / FILE, Settings, "cimfed-node"))

    def room(self) -> Room:
        """As it is now; reads sizes of all files."""
        used = written_below([self.snapshots, self.views, self.scratch])
        return Room(self.path, used, self.settings.disk.budget, self.settings.disk.keep_free)

    @property
    def log_origin(self) -> Origin:
        """What the node's log is named, in its first generation."""
        return Origin(self.federation, self.city)

    @property
    def place(self) -> Place:
        return Place(self.city, self.views)

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def views(self) -> Path:
        return self.path / "views"

    @property
    def policies(self) -> Path:
        return self.path / "policies"

    @property
    def scratch(self) -> Path:
        return self.path / "scratch"

    @property
    def secret(self) -> Path:
        """What permutations are keyed by, so that the order of rows gives no place away."""
        return self.keys / "city.secret"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def database(self) -> Path:
        return self.control / "control.sqlite"

    @property
    def directory(self) -> Path:
        """The follower's folder: the pinned root, and what was fetched."""
        return self.control / "directory"

    @property
    def policy_record(self) -> Path:
        """The highest version of the policy that was ever activated: the operator's to write."""
        return self.path / "policy.version"

    @property
    def database_of_operator(self) -> Path:
        """How the operator reaches the city's PostgreSQL, where the node is connected to one."""
        return self.keys / "postgis.json"

    @property
    def database_of_service(self) -> Path:
        """How the service reaches it, as a role that can read views alone."""
        return self.path / "postgis.json"

    @property
    def current_record(self) -> Path:
        """Which snapshots are current: the operator's to write."""
        return self.path / "snapshots.current"

    def policy_file(self, version: int) -> Path:
        return self.policies / f"{version}.policy.json"
