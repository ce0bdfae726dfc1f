"""A whole federation in one folder and one process, for tests: tiny data, real keys, real nodes behind real mTLS.

    world = World(tmp_path)
    world.add_gateway("gw.alliance")
    world.add_partner("inst.tsinghua", "CN", "researcher")
    city = world.add_city("kz.almaty")
    city.adopt(buildings(rows))
    city.activate(GRANTS)
    async with world.node("kz.almaty") as node, world.gateway() as gateway:
        async with cimfed.connect_async(str(world.profile("inst.tsinghua"))) as fed: ...

Everything goes the way of the real thing but for the directory: ``world.directories`` gives the last one published at
once, so that no test waits for a refresh; partners refresh from the gateway as ever. ``world.clock`` is the one clock
of all; it can be moved. The directory service and the revoker keep up with it; the registrar has to ``publish``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cimfed.client.profile import Profile, write_profile
from cimfed.model.limits import MIB
from cimfed.model.names import CityName, Federation, Kind, city_name, gateway_name, partner_name
from cimfed.model.schema import field as arrow_field
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.document import compose
from cimfed.policy.payload import from_payload, routing_entry, to_payload
from cimfed.rpc import clock
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import mirror
from cimfed.rpc.server import Server
from cimfed.tlog.keeper import Keeper
from cimfed.trust.card import Card, card_of, parse_card, seal_card
from cimfed.trust.directory import layout
from cimfed.trust.directory.edit import DAY, with_gateway, with_member, with_partner, without
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import Directory, Listing, Member, Partner, expired
from cimfed.trust.directory.listing import Gateway as ListedGateway
from cimfed.trust.directory.mirrors import Always, Folder
from cimfed.trust.envelope import Envelope, PayloadType, from_json, seal, to_json
from cimfed.trust.identity_files import load_issuing_key, load_signer, make_identity
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.next_keys import load_next_signer
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tls import LeafSource, Use
from cimfed.trust.token.uri import TokenKey
from cimfed_gateway.fanout import Patience
from cimfed_gateway.registry import Registry
from cimfed_gateway.service import Gateway
from cimfed_gateway.tables import Journal
from cimfed_node.activate import Publisher, Report
from cimfed_node.config import Engine, Home
from cimfed_node.ingest.snapshot import Snapshot, seal_snapshot
from cimfed_node.operate import publisher
from cimfed_node.serve import Keys, Node
from cimfed_node.setup import Plan, make_home
from cimfed_node.tables import Control
from tests.board import Board, Files

FEDERATION = Federation("sco")
SECOND = 1_000_000  # microseconds
SALT = bytes(16)
PATIENCE = Patience(whole=30.0, silence=10.0)


@dataclass
class Clock:
    """Microseconds; ``offset`` moves it."""

    offset: int = 0

    def __call__(self) -> int:
        return clock.now() + self.offset


@dataclass(frozen=True)
class Party:
    """A gateway or a partner: its home, its signing key, its leaves."""

    name: str
    home: Path
    signer: Signer
    leaves: Mapping[Use, LeafSource]


@dataclass
class City:
    """A city: its home, its steward, and what its operator does. ``limits`` and ``engine`` are of nodes made later."""

    world: World
    home: Home
    steward: KeySigner
    version: int = 0
    limits: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> CityName:
        return self.home.city

    @property
    def signer(self) -> Signer:
        return load_signer(self.home.path, Kind.CITY)

    def publisher(self, control: Control) -> Publisher:
        return publisher(self.home, control, self.world.clock)

    @contextmanager
    def control(self) -> Iterator[Control]:
        """The control database, as another process opens it."""
        control = Control.open(self.home.database)
        try:
            yield control
        finally:
            control.close()

    def adopt(self, rows: pa.Table, collection: str = "building") -> Snapshot:
        """Makes rows the current snapshot, as an import does."""
        snapshot = write_snapshot(self.home, rows, collection)
        with self.control() as control:
            self.publisher(control).adopt(snapshot)
        return snapshot

    def sign(self, grants: str, *, version: int | None = None, valid: str = "", more: str = "") -> bytes:
        """A signed policy file of these grants (YAML list items), the next version unless another is named."""
        self.version = version or self.version + 1
        text = (
            f"format: cimfed/policy/v1\ncity: {self.name}\nversion: {self.version}\n"
            f"valid: {valid or '[2020-01-01T00:00Z, 2090-01-01T00:00Z]'}\n{more}\ngrants:\n{grants}"
        )
        payload = to_payload(compose(text, "policy.yaml", _no_file, SALT))
        return to_json(seal(PayloadType.POLICY, payload, self.steward))

    def activate(self, grants: str, **how: Any) -> Report:
        """Signs and activates a policy and publishes its routing entry."""
        content = self.sign(grants, **how)
        report = self.put_in_force(content)
        self.world.publish_routing(self, content)
        return report

    def put_in_force(self, content: bytes) -> Report:
        with self.control() as control:
            return self.publisher(control).activate(content, "test.policy.json")


class World:
    """The directory and everybody that it lists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.board = Board(FEDERATION, self.clock())
        self.listing = Listing()
        self.cities: dict[str, City] = {}
        self.parties: dict[str, Party] = {}
        self.keepers: dict[str, Keeper] = {}  # of the gateways that serve
        self.journals: dict[str, Journal] = {}  # theirs

    # The directory

    @property
    def root(self) -> Path:
        """What everybody pins, as a file."""
        path = self.folder / "root.json"
        if not path.exists():
            path.write_bytes(self.board.root)
        return path

    @property
    def files(self) -> Path:
        """The directory as files, for whatever wants them."""
        folder = Folder(self.folder / "directory")
        for path, content in self.board.files.items():
            folder.put(path, content)
        return folder.path

    @property
    def directory(self) -> Directory:
        return self.latest(self.clock())

    @property
    def directories(self) -> World:
        """A ``DirectorySource`` of what was published last."""
        return self

    def current(self, now: int) -> Directory:
        directory = self.latest(now)
        if now >= directory.expires:
            raise expired(directory)
        return directory

    def latest(self, now: int) -> Directory:
        return self.board.keep_up(now).as_of(now)

    def publish(self, listing: Listing, life: timedelta = layout.REGISTRAR_LIFE) -> None:
        self.listing = listing
        self.board.publish(listing, self._board_time(), life)

    def publish_routing(self, city: City, content: bytes) -> None:
        """The routing entry of a signed policy."""
        payload = from_json(content, 32 * MIB).payload
        entry = seal(PayloadType.ROUTING, routing_entry(from_payload(payload), payload), city.steward)
        self.board.route(city.name, entry, city.steward, self._board_time())

    def _board_time(self) -> int:
        """The board's clock goes on also where a test sets the others back."""
        return max(self.clock(), self.board.now)

    # Who is in it

    def add_city(self, name: str, token: TokenKey | None = None) -> City:
        steward = KeySigner.generate()
        plan = Plan(
            city=city_name(name),
            federation=FEDERATION,
            address="127.0.0.1:1",
            root=self.board.root,
            steward_keys=(steward.public,),
            directory=self.board.service.address,
            token=token,
        )
        made, card = make_home(self.folder / name, plan, self.clock())
        self.cities[name] = City(self, made, steward)
        self.publish(with_member(self.listing, card))
        return self.cities[name]

    def add_gateway(self, name: str = "gw.alliance") -> Party:
        party, card = self._party(name, "127.0.0.1:1")
        self.publish(with_gateway(self.listing, card))
        return party

    def add_partner(self, name: str = "inst.tsinghua", country: str = "CN", *roles: str, days: int = 30) -> Party:
        party, card = self._party(name, "")
        now = self.clock()
        valid = (now - DAY, now + days * DAY)
        self.publish(with_partner(self.listing, card, country, roles or ("researcher",), valid))
        return party

    def remove(self, name: str) -> None:
        """Takes a party off the directory."""
        self.publish(without(self.listing, name))

    def at(self, name: str, port: int) -> None:
        """Lists a city or gateway under the port that it was given."""
        address = f"127.0.0.1:{port}"
        if name in self.listing.members:
            member = replace(self.listing.members[city_name(name)], address=address)
            self.publish(replace(self.listing, members={**self.listing.members, member.name: member}))
        else:
            gateway = next(item for item in self.listing.gateways.values() if item.name == name)
            gateway = replace(gateway, address=address)
            self.publish(replace(self.listing, gateways={**self.listing.gateways, gateway.name: gateway}))

    def _party(self, name: str, address: str) -> tuple[Party, Card]:
        home = self.folder / name
        card = make_identity(home, name, FEDERATION, self.clock(), address)
        issuing = load_issuing_key(home)
        leaves = {use: LeafSource(issuing, FEDERATION, name, use) for use in Use}
        party = Party(name, home, load_signer(home, card.kind), leaves)
        self.parties[name] = party
        return party, card

    # Nodes

    @asynccontextmanager
    async def node(self, name: str, now: Callable[[], int] | None = None) -> AsyncIterator[Node]:
        """A city's node, serving on a port of its own that the directory lists."""
        city = self.cities[name]
        settings = city.home.settings.model_copy(
            update={"limits": city.limits, "engine": Engine(memory=256 * MIB, threads=1, workers=4)}
        )
        home = Home(city.home.path, settings)
        node = Node(home, Keys.load(home), self.directories, self.board.files, "127.0.0.1:0", now or self.clock)
        await node.server.start()
        try:
            await node.service.self_test()
            await node.server.serve()
            self.at(name, node.server.port)
            yield node
        finally:
            await node.server.drain(1.0)
            await node.close()

    @asynccontextmanager
    async def gateway(
        self, name: str = "gw.alliance", patience: Patience = PATIENCE, make: Callable[..., Gateway] = Gateway
    ) -> AsyncIterator[Server]:
        """A gateway, serving on a port of its own that the directory lists. ``make``: another kind of one."""
        party = self.parties[name]
        channels = ChannelPool(self.directories, party.leaves[Use.CLIENT], self.clock)
        journal = self.journals[name] = Journal.open(party.home / "journal.sqlite")
        gateway = make(
            gateway_name(name),
            party.signer,
            self.directories,
            channels,
            journal,
            Registry(time.monotonic),
            patience,
            self.clock,
        )
        log = self.keepers[name] = Keeper(
            journal, Origin(FEDERATION, name), party.signer, self.directories, channels.unary, self.clock
        )
        server = Server(
            Kind.GATEWAY,
            "127.0.0.1:0",
            self.directories,
            party.leaves[Use.SERVER],
            gateway.handlers(),
            {**mirror(self.board.files), **log.handlers()},
            now=self.clock,
        )
        await server.start()
        log.start()
        try:
            await server.serve()
            self.at(name, server.port)
            yield server
        finally:
            await server.drain(1.0)
            await gateway.close()
            await log.close()
            await channels.close()
            journal.close()

    # Partners

    def profile(self, name: str = "inst.tsinghua", gateway: str = "gw.alliance") -> Path:
        """A partner's home as a connection profile with the directory as it is now: ``cimfed.connect(str(...))``."""
        profile = Profile(
            self.parties[name].home, partner_name(name), FEDERATION, self.board.service.address, gateway_name(gateway)
        )
        if not (profile.home / "profile.toml").exists():
            write_profile(profile)
            pin(profile.directory, self.board.root)
        self.keep(profile.directory)
        return profile.home

    def keep(self, folder: Path) -> None:
        """A follower in this folder fetches the directory as it is now."""
        Follower(folder, FEDERATION, Always(Files(self.board.files)), self.clock).refresh()


def write_snapshot(home: Home, rows: pa.Table, collection: str = "building") -> Snapshot:
    """A snapshot of rows that are in the vocabulary already."""
    temporary = Path(tempfile.mkdtemp(dir=home.snapshots, prefix=".test-"))
    pq.write_table(rows, temporary / f"{collection}.parquet", compression="zstd", row_group_size=61_440)
    boxes = [box for box in rows["bbox"].to_pylist() if box] if "bbox" in rows.column_names else []
    extent = [
        fold(box[side] for box in boxes) for fold, side in ((min, "xmin"), (min, "ymin"), (max, "xmax"), (max, "ymax"))
    ] if boxes else None  # fmt: skip
    facts = {
        "city": home.city,
        "collection": collection,
        "rows": rows.num_rows,
        "extent": extent,
        "times": [None, None],
        "vocabulary": VOCABULARY.version,
        "licence": "CC-BY-4.0",
        "attribution": "the city",
        "vertical": "Baltic 1977 height",
        "operation": {"name": "a null transform", "accuracy_m": 1.0},
    }
    return seal_snapshot(temporary, home.snapshots, facts)


def named(party: Member | ListedGateway | Partner, home: Path, kind: Kind) -> Envelope:
    """The card of a party with old and next keys, which both have signed."""
    signers = (load_signer(home, kind), load_next_signer(home, kind))
    return parse_card(seal_card(card_of(FEDERATION, party), *signers)).envelope


def buildings(city: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Buildings as a snapshot holds them. Each row: properties by name, and ``at`` (lon, lat) for a small square."""

    def placed(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
        made = {"city": city, "id": f"b{number}", **row}
        if (at := made.pop("at", None)) is not None:
            square = shapely.box(at[0], at[1], at[0] + 0.001, at[1] + 0.001)
            made["geometry_lod0"] = shapely.to_wkb(square, flavor="iso")
            made["bbox"] = dict(zip(("xmin", "ymin", "xmax", "ymax"), square.bounds, strict=True))
        return made

    schema = pa.schema([arrow_field(prop) for prop in VOCABULARY.collections["building"].properties.values()])
    made = [placed(number, row) for number, row in enumerate(rows)]
    return pa.table([pa.array([row.get(at.name) for row in made], type=at.type) for at in schema], schema=schema)


def _no_file(name: str) -> bytes:
    raise FileNotFoundError(name)
