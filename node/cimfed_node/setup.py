"""A new node's home: folders, keys, settings, control database; made once, never over another.

What the service may read or write belongs to its group where it has a user of its own; keys and snapshots stay the
operator's alone.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cimfed.errors import Conflict
from cimfed.model.names import CityName, Federation
from cimfed.rpc.settings import bind_of, settings_of, toml
from cimfed.trust.card import Card
from cimfed.trust.directory.follow import pin
from cimfed.trust.directory.proof import check_root
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import make_identity
from cimfed.trust.keys import PublicKey
from cimfed.trust.token.uri import TokenKey
from cimfed_node.config import FILE, Home, Settings
from cimfed_node.service_user import find_user
from cimfed_node.tables import Control

PARTS = (
    FILE, "card.json", "keys", "snapshots", "scratch", "views", "policies", "control", "directory",
)  # fmt: skip
"""What is made in a home."""


@dataclass(frozen=True)
class Plan:
    """What an operator decides. ``root``: the root of the directory, pinned from now on. ``directory``: where the
    directory service is reached, ``host:port``. ``listen`` empty: the address's port, on all interfaces unless it is a
    loopback.
    """

    city: CityName
    federation: Federation
    address: str
    root: bytes
    steward_keys: tuple[PublicKey, ...]
    directory: str
    service_user: str = ""
    listen: str = ""
    token: TokenKey | None = None  # with the node's key, which is there already


def group_of(settings: Settings) -> int:
    """The group that what the service reads and writes belongs to; -1: whatever it has. BadConfig for no such user."""
    return find_user(settings.service_user).pw_gid if settings.service_user else -1


def make_folders(home: Home, group: int) -> None:
    """Those that are missing, and the modes of all."""
    for folder, mode in ((home.keys, 0o700), (home.snapshots, 0o700), (home.scratch, 0o700)):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
    # Files made in these folders later take their group.
    shared = ((home.views, 0o2750), (home.policies, 0o2750), (home.control, 0o2770), (home.directory, 0o2770))
    for folder, mode in ((home.path, 0o750), *shared):
        folder.mkdir(exist_ok=True)
        os.chown(folder, -1, group)
        folder.chmod(mode)


def make_secret(home: Home) -> None:
    create_file(home.secret, secrets.token_bytes(32), 0o600)


def check_plan(path: Path, plan: Plan) -> tuple[Home, dict[str, str | list[str]]]:
    """The home that it would make, and its settings. Conflict where there is a node already; BadConfig, BadDirectory
    for what is wrong in the plan."""
    if (path / FILE).exists():
        raise Conflict("there is a node here already", place=str(path / FILE))
    check_root(plan.root)
    bound = bind_of(plan.address)
    values: dict[str, str | list[str]] = {
        "city": plan.city,
        "federation": plan.federation,
        "address": plan.address,
        "listen": plan.listen or bound,
        "steward_keys": [key.text for key in plan.steward_keys],
        "directory": plan.directory,
        "service_user": plan.service_user,
    }
    home = Home(path.resolve(), settings_of(Settings, values, "--"))
    group_of(home.settings)
    return home, values


def make_home(path: Path, plan: Plan, now: int) -> tuple[Home, Card]:
    """Nothing is made for what ``check_plan`` refuses. ``now`` in microseconds."""
    home, values = check_plan(path, plan)
    path.mkdir(parents=True, exist_ok=True)
    make_folders(home, group_of(home.settings))
    pin(home.directory, plan.root)
    card = make_identity(home.path, plan.city, plan.federation, now, plan.address, plan.steward_keys, token=plan.token)
    make_secret(home)
    Control.create(home.database).close()
    create_file(home.path / FILE, toml(values), 0o644)
    return home, card
