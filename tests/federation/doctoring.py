"""Federations for tests of `doctor`: a directory service that serves, homes as servers keep them, what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cimfed.doctor.finding import Code, Examination, Finding, Severity
from cimfed.model.names import Kind
from cimfed.rpc.mirror import mirror
from cimfed.rpc.options import DIRECTORY_SERVER
from cimfed.rpc.server import Server
from cimfed.rpc.throttle import Throttle
from cimfed.trust.card import Card, parse_card, seal_card
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.mirrors import Always, Folder
from cimfed.trust.directory.publication import Holders
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import load_signer
from cimfed.trust.tls import LeafSource, Use
from cimfed_gateway.config import Home as GatewayHome
from cimfed_gateway.config import Settings as GatewaySettings
from cimfed_gateway.directory.config import Home as DirectoryHome
from cimfed_gateway.directory.config import Settings as DirectorySettings
from cimfed_gateway.directory.service import ALLOWANCES
from cimfed_gateway.directory.tables import Records
from cimfed_node.config import Home
from cimfed_node.tables.acts import Act, put_act
from tests.board import Files
from tests.federation.world import FEDERATION, SECOND, City, World, buildings

ALMATY, QINGDAO = "kz.almaty", "cn.qingdao"
GRANTS = """
  - id: all
    subject: {role: [researcher]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact}
"""


def furnished(folder: Path) -> World:
    world = World(folder)
    world.add_gateway()
    world.add_partner()
    for name in (ALMATY, QINGDAO):
        city = world.add_city(name)
        city.adopt(buildings(name, [{"function": "office"}]))
        city.activate(GRANTS)
        with city.control() as control, control.writing() as transaction:
            put_act(transaction, Act(world.clock(), "backup", "test"))
    return world


@asynccontextmanager
async def serving(world: World, now: Callable[[], int] | None = None) -> AsyncIterator[int]:
    """The directory service, where its files are mirrored from; the board lists the port that it was given.
    ``now``: of its health alone."""
    board = world.board
    leaves = LeafSource(board.issuing, FEDERATION, board.service.name, Use.SERVER)
    server = Server(
        Kind.DIRECTORY,
        "localhost:0",
        None,
        leaves,
        {},
        mirror(board.files),
        now=now or world.clock,
        options=DIRECTORY_SERVER,
        throttle=Throttle(ALLOWANCES),
    )
    await server.start()
    await server.serve()
    board.service = replace(board.service, address=f"localhost:{server.port}")
    draft = drafts.targets_draft(
        board.directory.versions["targets"] + 1,
        FEDERATION,
        board.service,
        Holders((board.registrar.public,)),
        Holders((board.revoker.public,)),
        world.clock(),
    )
    board.accept(board.sign(draft, *board.keys[:2]), world.clock())
    try:
        yield server.port
    finally:
        await server.drain(1.0)


def follow(world: World, home: Path) -> None:
    """As a running server does every two seconds."""
    Follower(home, FEDERATION, Always(Files(world.board.files)), world.clock).refresh()


def home_of(city: City) -> Home:
    """The city's home with settings as they are once all have their addresses."""
    world = city.world
    listed = world.listing.members[city.name].address
    changed = {"directory": world.board.service.address, "address": listed}
    follow(world, city.home.directory)
    return Home(city.home.path, city.home.settings.model_copy(update=changed))


def gateway_home(world: World) -> GatewayHome:
    party = world.parties["gw.alliance"]
    gateway = next(iter(world.listing.gateways.values()))
    card_is_of_another_port(party.home, gateway.address)
    settings = GatewaySettings(
        name=party.name, federation=FEDERATION, listen="127.0.0.1:0", directory=world.board.service.address
    )
    home = GatewayHome(party.home, settings)
    if not (home.directory / "root.json").exists():
        home.directory.mkdir()
        create_file(home.directory / "root.json", world.board.root)
    follow(world, home.directory)
    return home


def card_is_of_another_port(home: Path, address: str) -> None:
    """Makes the card anew, with the address that the gateway got."""
    card = replace(parse_card((home / "card.json").read_bytes()), address=address)
    (home / "card.json").write_bytes(seal_card(card, load_signer(home, card.kind)))


def told(exam: Examination, severity: Severity | None = None) -> set[Code]:
    return {found.code for found in exam.findings if found.code is not Code.OK and severity in (None, found.severity)}


def finding(exam: Examination, code: Code) -> Finding:
    (found,) = (found for found in exam.findings if found.code is code)
    return found


async def examined(look: Callable[..., Examination], *about: Any) -> Examination:
    return await asyncio.to_thread(look, *about)


HERE = {Code.SERVICE_USER_NONE, Code.DISK_LOW}
"""What is so where tests run."""


def at(world: World, seconds: float) -> Callable[[], int]:
    """A clock that is off."""
    return lambda: world.clock() + int(seconds * SECOND)


def directory_home(world: World) -> DirectoryHome:
    """The home of the service whose keys the board has."""
    board, home = world.board, world.folder / "dir.alliance"
    service = board.service
    settings = DirectorySettings(name=service.name, federation=FEDERATION, listen="127.0.0.1:0")
    made = DirectoryHome(home, settings)
    (home / "keys").mkdir(parents=True, mode=0o700)
    for path, content in (
        (home / "keys" / "directory.key", board.log.to_pem(None)),
        (made.online_key, board.online.to_pem(None)),
        (home / "keys" / "tls.key", board.issuing.to_pem()),
        (home / "keys" / "tls.pem", board.issuing.issuer.pem),
    ):
        create_file(path, content, 0o600)
    card = Card(Kind.DIRECTORY, service.name, FEDERATION, service.address, service.issuers, service.keys)
    create_file(home / "card.json", seal_card(card, board.log))
    Records.create(made.records).close()
    made.repository.mkdir()
    create_file(made.repository / "root.json", board.root)
    Folder(world.files).copy_to(made.repository / "files")
    return made
