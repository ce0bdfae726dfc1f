"""A new gateway's home: keys, settings, the pinned root; made once, never over another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cimfed.errors import Conflict
from cimfed.model.names import Federation, GatewayName
from cimfed.rpc import clock
from cimfed.rpc.settings import bind_of, settings_of, toml
from cimfed.trust.card import Card
from cimfed.trust.directory.follow import pin
from cimfed.trust.directory.proof import check_root
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import make_identity
from cimfed.trust.token.uri import TokenKey
from cimfed_gateway.config import FILE, Settings

PARTS = (FILE, "card.json", "keys", "directory")  # what is made in a home


@dataclass(frozen=True)
class Plan:
    """What an operator decides. ``root``: the root of the directory, pinned from now on. ``directory``: where the
    directory service is reached. ``listen`` empty: the address's port, on all interfaces unless it is a loopback.
    """

    name: GatewayName
    federation: Federation
    address: str
    root: bytes
    directory: str
    listen: str = ""
    token: TokenKey | None = None  # with the gateway's key, which is there already


def check_plan(path: Path, plan: Plan) -> dict[str, str]:
    """The settings of it. Conflict where there is a gateway already; BadConfig, BadDirectory for what is wrong."""
    if (path / FILE).exists():
        raise Conflict("there is a gateway here already", place=str(path / FILE))
    check_root(plan.root)
    bound = bind_of(plan.address)
    values = {
        "name": plan.name,
        "federation": plan.federation,
        "listen": plan.listen or bound,
        "directory": plan.directory,
    }
    settings_of(Settings, values, "--")
    return values


def make_home(path: Path, plan: Plan) -> Card:
    """Nothing is made for what is wrong in the plan."""
    values = check_plan(path, plan)
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    card = make_identity(path, plan.name, plan.federation, clock.now(), plan.address, token=plan.token)
    pin(path / "directory", plan.root)
    create_file(path / FILE, toml(values))
    return card
