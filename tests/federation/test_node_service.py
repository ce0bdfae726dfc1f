"""A real node behind real mTLS, asked by hand; every answer is verified by docs/wire.md alone."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2
from sqlalchemy import text

from cimfed.model.catalog import CATALOG
from cimfed.model.names import PartnerName
from cimfed.rpc.outlet import Outlet
from cimfed.trust.directory.listing import Directory
from cimfed.trust.tlog.entries import Decision, Outcome
from cimfed.trust.tls import LeafSource, Use
from cimfed.v1 import directory_service_pb2, query_pb2
from cimfed.wire import frames
from cimfed_node.admit import Admitter
from cimfed_node.serve import Node
from cimfed_node.service import NodeService
from cimfed_node.stores.duckdb.statements import StatementRows
from cimfed_node.tables.admissions import decisions
from cimfed_node.workers import Workers
from tests.federation import raw
from tests.federation.world import SECOND, World, buildings
from tests.oracle.wire.streams import City, read_frame

CITY = "kz.almaty"
GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: {band: 5}, function: exact}
    rows: "usage_state = 'in_use'"
    geometry: {max_lod: 0}
    obligations: [attribution]
"""
USES = ("office", "school", "office", None)
ROWS: list[dict[str, Any]] = [
    {
        "height": Decimal(number % 23) + Decimal("0.50"),
        "function": USES[number % 4],
        "usage_state": "in_use" if number % 5 else "ruined",
        "year_built": 1950 + number,
        "at": (76.9 + number * 0.0005, 43.2),
    }
    for number in range(60)
]
GIVEN = [row | {"id": f"b{number}"} for number, row in enumerate(ROWS) if row["usage_state"] == "in_use"]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> World:
    return furnished(World(tmp_path_factory.mktemp("world")))


def furnished(world: World) -> World:
    world.add_gateway()
    world.add_partner()
    world.add_partner("inst.other", "BR")
    city = world.add_city(CITY)
    city.adopt(buildings(CITY, ROWS))
    city.activate(GRANTS, more="listed: {building: [energy_kwh, function]}")
    return world


class Desk:
    """A running node, and a partner at its door."""

    def __init__(self, world: World, node: Node, caller: raw.Caller, name: str) -> None:
        self.world, self.node, self.caller, self.name = world, node, caller, name

    @property
    def keys(self) -> list[bytes]:
        return [key.raw for key in self.world.directory.member(CITY).keys]

    @property
    def signer(self) -> Any:
        return self.world.parties[self.name].signer

    async def ask(self, asked: query_pb2.Query, narrowings: Any = ()) -> raw.Answer:
        return await self.caller.answer(self.keys, asked, raw.ask(self.signer, asked, narrowings))

    def log(self) -> list[tuple[int, Decision, Outcome | None]]:
        self.node.control.outcomes.flush()
        with self.node.control.reading() as connection:
            return decisions(connection)

    def slots(self) -> int:
        self.node.control.outcomes.flush()
        with self.node.control.reading() as connection:
            return int(connection.execute(text("SELECT count(*) FROM slot")).scalar_one())

    def calls(self) -> set[asyncio.Task[Any]]:
        """The calls that the node is at."""
        return set(self.node.server._errors.running)

    async def ended(self, calls: set[asyncio.Task[Any]]) -> Outcome:
        """The last outcome in the log, once these calls are over."""
        if calls:
            await asyncio.wait(calls, timeout=60)
        await asyncio.sleep(0)
        await self.node.service.settled()
        outcome = self.log()[-1][2]
        assert outcome is not None
        return outcome


@asynccontextmanager
async def opened(world: World, name: str = "inst.tsinghua") -> AsyncIterator[Desk]:
    async with world.node(CITY) as node, calling(world, node, name) as caller:
        yield Desk(world, node, caller, name)


def calling(world: World, node: Node, name: str, leaves: LeafSource | None = None) -> raw.Caller:
    leaf = (leaves or world.parties[name].leaves[Use.CLIENT]).current(world.clock())
    return raw.Caller(node.server.port, CITY, world.directory.member(CITY).issuers[0].pem, leaf)


def count(*keys: str, **fields: Any) -> query_pb2.Aggregate:
    measures = [query_pb2.Measure(function=query_pb2.FUNCTION_COUNT)]
    return query_pb2.Aggregate(collection="building", group_by=keys, measures=measures, **fields)


def taller(metres: int) -> query_pb2.Expression:
    return query_pb2.Expression(
        comparison=query_pb2.Comparison(
            op=query_pb2.COMPARATOR_GE,
            left=query_pb2.Operand(property="height"),
            right=query_pb2.Operand(literal=query_pb2.Literal(decimal=query_pb2.Decimal(unscaled=metres))),
        )
    )


# Answers


@pytest.mark.parametrize(
    "compression", [query_pb2.COMPRESSION_NONE, query_pb2.COMPRESSION_LZ4, query_pb2.COMPRESSION_ZSTD]
)
async def test_a_read_gives_what_the_policy_gives(federation: World, compression: int) -> None:
    async with opened(federation) as desk:
        asked = raw.query(read=raw.read("building", "id", "height", "year_built", compression=compression))
        answer = await desk.ask(asked)
        assert answer.rows is not None
        banded = {row["id"]: row["height"] // 5 * 5 for row in GIVEN}
        assert dict(zip(*(answer.rows[name].to_pylist() for name in ("id", "height")), strict=True)) == banded
        assert answer.rows["year_built"].null_count == len(GIVEN)
        assert (answer.rows.schema.field("height").metadata or {})[b"cimfed:mask"] == b"band(5)"
        manifest = answer.manifest
        assert {name: manifest[name] for name in ("outcome", "federation", "city", "collection", "grant", "rows")} == {
            "outcome": "answered",
            "federation": "sco",
            "city": CITY,
            "collection": "building",
            "grant": "massing",
            "rows": len(GIVEN),
        }
        assert (manifest["absent"], manifest["obligations"]) == (["year_built"], ["attribution"])
        assert manifest["policy_version"] == federation.cities[CITY].version
        assert abs(manifest["now"] - federation.clock()) < 60_000_000
        assert answer.heads == 0  # the manifest came at once
        outcome = await desk.ended(desk.calls())
        position, line, _ = desk.log()[-1]
        assert (line.view, position) == (manifest["view"], manifest["decision"])
        assert (outcome.outcome, outcome.rows, outcome.batches) == ("answered", len(GIVEN), 1)
        assert outcome.chain == manifest["chain"]
        assert desk.slots() == 0


async def test_all_properties_are_those_of_the_view_and_geometry_is_among_them(federation: World) -> None:
    async with opened(federation) as desk:
        answer = await desk.ask(raw.query(read=raw.read(where=taller(20))))
        assert answer.rows is not None
        assert answer.rows.column_names == ["city", "id", "geometry_lod0", "bbox", "function", "height"]
        assert set(answer.rows["height"].to_pylist()) == {Decimal("20.00")}


async def test_an_aggregate_gives_the_states_of_its_groups(federation: World) -> None:
    async with opened(federation) as desk:
        answer = await desk.ask(raw.query(aggregate=count("function")))
        assert answer.rows is not None
        expected = {use: sum(row["function"] == use for row in GIVEN) for use in set(USES)}
        assert dict(zip(*(answer.rows[name].to_pylist() for name in ("function", "count")), strict=True)) == expected


async def test_an_answer_bears_the_terms_of_its_snapshot(federation: World) -> None:
    """In the schema, with which the chain begins; a catalogue has them in its rows."""
    terms = {
        b"cimfed:licence": b"CC-BY-4.0",
        b"cimfed:attribution": b"the city",
        b"cimfed:vertical": b"Baltic 1977 height",
    }
    async with opened(federation) as desk:
        read = await desk.ask(raw.query(read=raw.read("building", "id")))
        total = await desk.ask(raw.query(aggregate=count("function", where=taller(5))))
        catalogue = await desk.ask(raw.query(catalog=query_pb2.Catalog()))
        said = [None if answer.rows is None else answer.rows.schema.metadata for answer in (read, total, catalogue)]
        assert said == [terms, terms | {b"cimfed:masks": b'{"height": "band(5)"}'}, None]


async def test_no_rows_are_no_data_and_no_groups_too(federation: World) -> None:
    async with opened(federation) as desk:
        assert (await desk.ask(raw.query(read=raw.read(where=taller(500))))).outcome == "no_data"
        assert (await desk.ask(raw.query(aggregate=count("function", where=taller(500))))).outcome == "no_data"
        total = await desk.ask(raw.query(aggregate=count(where=taller(500))))
        assert total.rows is not None
        assert total.rows.to_pylist() == [{"count": 0}]
        assert desk.log()[-3][2] is not None


async def test_a_catalogue_shows_what_is_granted_and_listed_to_whom(federation: World) -> None:
    async with opened(federation) as desk:
        answer = await desk.ask(raw.query(catalog=query_pb2.Catalog()))
        assert answer.rows is not None
        assert answer.rows.schema.equals(CATALOG)
        rows = {row["property"]: row for row in answer.rows.to_pylist()}
        assert rows["height"]["mask"] == "band(5)"
        assert (rows["height"]["grant"], rows["height"]["rows"], rows["height"]["licence"]) == (
            "massing",
            len(GIVEN),
            "CC-BY-4.0",
        )
        assert (rows["energy_kwh"]["granted"], rows["energy_kwh"]["grant"], rows["energy_kwh"]["rows"]) == (
            False,
            None,
            None,
        )
        assert "year_built" not in rows
    async with opened(federation, "inst.other") as desk:
        answer = await desk.ask(raw.query(catalog=query_pb2.Catalog(collection="building")))
        assert answer.rows is not None
        assert [(row["property"], row["granted"]) for row in answer.rows.to_pylist()] == [
            ("function", False),
            ("energy_kwh", False),
        ]
        facility = await desk.ask(raw.query(catalog=query_pb2.Catalog(collection="facility")))
        assert facility.outcome == "no_data"


async def test_a_gateway_presents_a_partners_query(federation: World) -> None:
    gateway = federation.parties["gw.alliance"]
    async with federation.node(CITY) as node, calling(federation, node, "gw.alliance") as caller:
        desk = Desk(federation, node, caller, "inst.tsinghua")
        asked = raw.query(read=raw.read(), via=["gw.alliance"])
        narrowing = raw.narrowing(gateway.signer, "gw.alliance", asked)
        answer = await desk.ask(asked, [narrowing])
        assert answer.outcome == "answered"
        assert answer.manifest["narrowing_hash"] == hashlib.sha256(narrowing.payload).digest()


# Refusals


async def test_a_signed_refusal_is_a_manifest_and_a_status_comes_before(federation: World) -> None:
    async with opened(federation) as desk:
        for asked, reason in (
            (raw.query(read=raw.read(), federation="brics"), "not_addressed"),
            (raw.query(read=raw.read(), cities=["uz.tashkent"]), "not_addressed"),
            (raw.query(1, read=raw.read()), "expired_query"),
            (raw.query(read=raw.read(), purpose="marketing"), "not_granted"),
            (raw.query(read=raw.read("facility")), "not_granted"),
            (raw.query(aggregate=count("year_built")), "unknown_property"),
            (raw.query(aggregate=count("flux")), "unknown_property"),
            (raw.query(aggregate=count("geometry_lod0")), "bad_query"),
        ):
            answer = await desk.ask(asked)
            assert (answer.outcome, answer.reason, answer.rows) == ("refused", reason, None)
            assert answer.manifest["message"]
            assert desk.log()[-1][1].reason == reason
        asked = raw.query(read=raw.read())
        assert (await desk.ask(asked)).outcome == "answered"
        assert (await desk.ask(asked)).reason == "replayed"
        before = len(desk.log())
        for request, code, reason in (
            (b"\xff\xff", "INVALID_ARGUMENT", "bad_query"),
            (raw.ask(federation.parties["inst.other"].signer, asked), "PERMISSION_DENIED", "not_via"),
            (raw.ask(federation.cities[CITY].signer, asked), "UNAUTHENTICATED", "unknown_key"),
            (raw.ask(desk.signer, asked)[:-3], "INVALID_ARGUMENT", "bad_query"),
        ):
            with pytest.raises(raw.Refused) as error:
                await desk.caller.frames(raw.READ, request)
            assert (error.value.code, error.value.reason) == (code, reason)
        with pytest.raises(raw.Refused) as error:
            await desk.caller.frames(raw.AGGREGATE, raw.ask(desk.signer, asked))
        assert error.value.reason == "bad_query"
        assert len(desk.log()) == before
        assert desk.node.service.unadmitted == {"bad_query": 3, "not_via": 1, "unknown_key": 1}


async def test_a_query_that_is_presented_again_and_again_has_one_line_for_each_reason(tmp_path: Path) -> None:
    """Else whoever holds one signed query could fill the log in its signer's name."""
    world = furnished(World(tmp_path))
    async with opened(world) as desk:

        async def refused(asked: query_pb2.Query) -> tuple[str, int]:
            answer = await desk.ask(asked)
            assert answer.outcome == "refused"
            return answer.reason, answer.manifest["decision"]

        asked = raw.query(world.clock(), read=raw.read())
        assert (await desk.ask(asked)).outcome == "answered"
        for _ in range(5):
            assert await refused(asked) == ("replayed", desk.log()[-1][0])
        elsewhere = raw.query(world.clock(), read=raw.read(), cities=["uz.tashkent"])
        for _ in range(5):
            assert await refused(elsewhere) == ("not_addressed", desk.log()[-1][0])
        world.clock.offset = 3600 * SECOND
        for _ in range(5):
            assert await refused(asked) == ("expired_query", desk.log()[-1][0])
        assert [line.reason for _, line, _ in desk.log()] == ["", "replayed", "not_addressed", "expired_query"]
        assert desk.node.service.repeated == {"replayed": 4, "not_addressed": 4, "expired_query": 4}


async def test_hidden_and_never_there_are_told_in_the_same_words(federation: World) -> None:
    async with opened(federation) as desk:

        async def said(name: str) -> str:
            where = query_pb2.Expression(is_null=query_pb2.IsNull(property=name))
            answer = await desk.ask(raw.query(read=raw.read(where=where)))
            return str(answer.manifest["message"]).replace(name, "NAME")

        assert await said("year_built") == await said("flux") == await said("energy_kwh")

        async def column(name: str) -> pa.ChunkedArray[Any]:
            answer = await desk.ask(raw.query(read=raw.read("building", "id", name)))
            assert answer.manifest["absent"] == [name]
            assert answer.rows is not None
            return answer.rows[name]

        assert (await column("year_built")).null_count == (await column("flux")).null_count == len(GIVEN)


async def test_what_cannot_be_logged_is_not_answered(tmp_path: Path) -> None:
    async with opened(furnished(World(tmp_path))) as desk:
        with desk.node.control.writing() as connection:
            connection.execute(text("DROP TABLE log_entry"))
        asked = raw.query(read=raw.read())
        with pytest.raises(raw.Refused) as error:
            await desk.caller.frames(raw.READ, raw.ask(desk.signer, asked))
        assert (error.value.code, error.value.reason) == ("UNAVAILABLE", "log_unavailable")


async def test_the_decision_is_in_the_log_before_the_first_row_leaves(
    federation: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(federation) as desk:
        at_open: list[int] = []
        store = desk.node.store
        read = type(store).read

        def looking(self: Any, *given: Any) -> Any:
            with federation.cities[CITY].control() as another, another.reading() as connection:
                at_open.append(decisions(connection)[-1][0])
            return read(self, *given)

        monkeypatch.setattr(type(store), "read", looking)
        answer = await desk.ask(raw.query(read=raw.read()))
        assert at_open == [answer.manifest["decision"]]


# Running answers


def large(world: World, rows: int = 40_000) -> World:
    """Enough rows for many frames: HTTP/2 holds some hundred KiB of them back from a slow reader."""
    world.add_gateway()
    world.add_partner()
    city = world.add_city(CITY)
    base = buildings(CITY, [{"usage_state": "in_use", "function": "office" * 200, "height": Decimal(3)}])
    table = base.take(pa.array([0] * rows, pa.int64()))
    ids = pa.array([f"b{number}" for number in range(rows)])
    city.adopt(table.set_column(table.column_names.index("id"), base.schema.field("id"), ids))
    city.activate(GRANTS)
    city.limits = {"batch_bytes": 256 * 1024, "head_bytes": 1024 * 1024, "recheck_seconds": 0.05, "ending_seconds": 60}
    return world


async def test_a_long_answer_is_many_batches_under_one_chain(tmp_path: Path) -> None:
    async with opened(large(World(tmp_path))) as desk:
        answer = await desk.ask(raw.query(read=raw.read("building", "id", "function")))
        assert answer.rows is not None
        assert answer.rows.num_rows == 40_000
        assert len(set(answer.rows["id"].to_pylist())) == 40_000
        assert answer.manifest["batches"] > 100
        assert 30 < answer.heads < answer.manifest["batches"]


async def test_the_log_has_the_ending_that_was_signed_though_the_caller_goes_with_it(
    federation: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Outlet.write

    async def gone(self: Outlet, data: bytes) -> None:
        await write(self, data)
        if isinstance(frames.decode(data).part, frames.Manifest):
            raise asyncio.CancelledError

    monkeypatch.setattr(Outlet, "write", gone)
    async with opened(federation) as desk:
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, raw.query(read=raw.read())))
        calls = desk.calls()
        while not isinstance(frames.decode(await call.read()).part, frames.Manifest):
            calls = calls or desk.calls()
        call.cancel()
        ended = await desk.ended(calls)
        assert (ended.outcome, ended.rows) == ("answered", len(GIVEN))


async def test_cancelling_frees_the_slot_and_is_logged(tmp_path: Path) -> None:
    async with opened(large(World(tmp_path))) as desk:
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, raw.query(read=raw.read())))
        for _ in range(3):
            await call.read()
        assert (desk.log()[-1][2], desk.slots()) == (None, 1)
        calls = desk.calls()
        call.cancel()
        ended = await desk.ended(calls)
        assert ended.outcome == "cancelled"
        assert 0 < ended.rows < 40_000
        assert desk.slots() == 0


async def interrupted(desk: Desk, meanwhile: Callable[[], object]) -> tuple[list[dict[str, Any]], query_pb2.Query]:
    """A read during which something happens; its frames to the end."""
    asked = raw.query(read=raw.read())
    call = desk.caller.call(raw.READ, raw.ask(desk.signer, asked))
    first = [await call.read() for _ in range(3)]
    (running,) = desk.node.service.running.values()
    assert running.checking is not None
    await asyncio.to_thread(meanwhile)
    await asyncio.wait([running.checking], timeout=60)  # the node notices while the answer waits for its reader
    rest = []
    while (data := await call.read()) is not grpc.aio.EOF:
        rest.append(data)
    return [read_frame(data) for data in [*first, *rest]], asked


def followed(desk: Desk, asked: query_pb2.Query, frames: list[dict[str, Any]]) -> Any:
    request_hash = hashlib.sha256(asked.SerializeToString()).digest()
    city = City(CITY, desk.keys, request_hash, "sco", "building")
    for frame in frames:
        city.take(frame)
    return city.finish()


RIGHTS: dict[str, Callable[[World], object]] = {
    "the partner is listed no more": lambda world: world.remove("inst.tsinghua"),
    "the partner is suspended": lambda world: suspend(world, "inst.tsinghua"),
    "the partner is revoked": lambda world: world.board.revoke("inst.tsinghua", "left", world.clock()),
    "its key is revoked": lambda world: world.board.revoke(
        world.parties["inst.tsinghua"].signer.public.id.hex(), "stolen", world.clock()
    ),
    "its issuer is revoked": lambda world: world.board.revoke(
        world.listing.partners[PartnerName("inst.tsinghua")].issuers[0].id.hex(), "stolen", world.clock()
    ),
    "the policy is another": lambda world: world.cities[CITY].activate(GRANTS.replace("CN", "IN")),
    "the directory has expired": lambda world: setattr(world.board, "keep_up", lambda now: late(world)),
}


def suspend(world: World, name: str) -> None:
    partner, now = world.listing.partners[PartnerName(name)], world.clock()
    suspended = replace(partner, suspended=(now, now + 3_600_000_000))
    world.publish(replace(world.listing, partners={**world.listing.partners, partner.name: suspended}))


def late(world: World) -> Directory:
    """The directory as it is once every mirror was away for too long."""
    return replace(world.board.directory, ends={"timestamp": 0})


@pytest.mark.parametrize("what", RIGHTS)
async def test_an_answer_ends_signed_when_its_right_ends(tmp_path: Path, what: str) -> None:
    world = large(World(tmp_path))
    async with opened(world) as desk:
        frames, asked = await interrupted(desk, lambda: RIGHTS[what](world))
        manifest = followed(desk, asked, frames)
        assert (manifest["outcome"], manifest["reason"]) == ("refused", "policy_changed")
        assert 0 < manifest["rows"] < 40_000
        assert (await desk.ended(desk.calls())).reason == "policy_changed"


async def test_an_answer_that_may_not_go_on_is_cut_off_where_its_end_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, write, stuck = large(World(tmp_path)), Outlet.write, asyncio.Event()

    async def taken(self: Outlet, data: bytes) -> None:
        """As to a caller that takes the first frames, and then no more."""
        if frames.decode(data).index > 2:
            stuck.set()
            await asyncio.Event().wait()
        await write(self, data)

    monkeypatch.setattr(Outlet, "write", taken)
    world.cities[CITY].limits |= {"ending_seconds": 0.1}
    async with opened(world) as desk:
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, raw.query(read=raw.read())))
        got = [read_frame(await call.read())]
        await stuck.wait()
        calls = desk.calls()
        await asyncio.to_thread(world.remove, "inst.tsinghua")
        ended = await desk.ended(calls)
        assert (ended.outcome, ended.reason) == ("cancelled", "policy_changed")
        assert desk.slots() == 0

        async def read_on() -> None:
            while True:
                got.append(read_frame(await call.read()))

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await read_on()
        assert raw.refusal(refused.value).reason == "policy_changed"
        rows = [frame["rows"] for frame in got if frame["rows"]]
        assert len(rows) == 2
        assert sum(rows) < ended.rows < 40_000  # what was on its way may have come: it is counted
        assert ended.batches == 3


async def test_an_import_while_serving_switches_whole(tmp_path: Path) -> None:
    world = large(World(tmp_path))
    async with opened(world) as desk:
        asked = raw.query(read=raw.read())
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, asked))
        frames = [await call.read() for _ in range(3)]
        old = desk.log()[-1][1].view
        fresh = buildings(CITY, [{"usage_state": "in_use", "height": Decimal(8)}] * 5)
        await asyncio.to_thread(world.cities[CITY].adopt, fresh)
        newer = await desk.ask(raw.query(read=raw.read("building", "id", "height")))
        assert newer.rows is not None
        assert newer.rows.num_rows == 5
        assert newer.manifest["view"] != old
        while (data := await call.read()) is not grpc.aio.EOF:
            frames.append(data)
        manifest = followed(desk, asked, [read_frame(data) for data in frames])
        assert (manifest["outcome"], manifest["rows"], manifest["view"]) == ("answered", 40_000, old)
        await desk.ended(desk.calls())
        # Nobody reads the old view any more: the next publication clears it away.
        assert any(path.stem == old for path in world.cities[CITY].home.views.iterdir())
        await asyncio.to_thread(world.cities[CITY].adopt, fresh)
        assert not any(path.stem == old for path in world.cities[CITY].home.views.iterdir())


async def test_an_activation_counts_from_the_next_query_on(tmp_path: Path) -> None:
    world = furnished(World(tmp_path))
    async with opened(world) as desk:
        assert (await desk.ask(raw.query(read=raw.read()))).manifest["policy_version"] == 1
        world.cities[CITY].activate(GRANTS.replace("height: {band: 5}, ", ""))
        answer = await desk.ask(raw.query(read=raw.read("building", "height")))
        assert (answer.manifest["policy_version"], answer.manifest["absent"]) == (2, ["height"])


async def test_a_statement_that_takes_too_long_ends_signed(tmp_path: Path) -> None:
    world = large(World(tmp_path))
    world.cities[CITY].limits["statement_time"] = 0.000001
    async with opened(world) as desk:
        answer = await desk.ask(raw.query(read=raw.read()))
        assert (answer.outcome, answer.reason) == ("refused", "timed_out")


async def test_an_answer_has_an_end_however_slowly_it_is_read(tmp_path: Path) -> None:
    """Else a few partners could keep all slots with answers that they read a frame at a time."""
    world = large(World(tmp_path))
    world.cities[CITY].limits |= {"answer_time": 0.2}
    async with opened(world) as desk:
        asked = raw.query(read=raw.read())
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, asked))
        first = await call.read()
        (running,) = desk.node.service.running.values()
        assert running.checking is not None
        async with asyncio.timeout(20):
            await asyncio.wait([running.checking])
        frames = [first]
        while (data := await call.read()) is not grpc.aio.EOF:
            frames.append(data)
        assert followed(desk, asked, [read_frame(data) for data in frames])["reason"] == "timed_out"
        assert desk.slots() == 0
        ended = desk.log()[-1][2]
        assert ended is not None
        assert (ended.outcome, ended.reason) == ("refused", "timed_out")


async def test_a_caller_that_takes_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outlet, "stall", 0.2)
    logged, log = asyncio.Event(), NodeService._log

    def watched(self: NodeService, ended: Outcome) -> None:
        log(self, ended)
        logged.set()

    monkeypatch.setattr(NodeService, "_log", watched)
    async with opened(large(World(tmp_path))) as desk:
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, raw.query(read=raw.read())))
        await call.read()
        async with asyncio.timeout(20):
            await logged.wait()
        assert desk.slots() == 0
        ended = desk.log()[-1][2]
        assert ended is not None
        assert (ended.outcome, ended.reason) == ("cancelled", "timed_out")
        call.cancel()


async def test_an_engine_that_fails_says_nothing_of_itself(federation: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(federation) as desk:

        def broken(*_: Any) -> Any:
            raise RuntimeError("secret words of an engine")

        monkeypatch.setattr(type(desk.node.store), "read", broken)
        answer = await desk.ask(raw.query(read=raw.read()))
        assert (answer.outcome, answer.reason) == ("refused", "internal")
        assert "secret" not in answer.manifest["message"]
        assert desk.slots() == 0


async def test_a_view_that_is_gone_is_told(tmp_path: Path) -> None:
    world = furnished(World(tmp_path))
    async with opened(world) as desk:
        for path in world.cities[CITY].home.views.iterdir():
            path.unlink()
        answer = await desk.ask(raw.query(read=raw.read()))
        assert (answer.outcome, answer.reason) == ("refused", "view_gone")


async def test_a_partner_has_its_share_of_slots(tmp_path: Path) -> None:
    world = large(World(tmp_path))
    world.cities[CITY].limits["concurrent_per_partner"] = 1
    async with opened(world) as desk:
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, raw.query(read=raw.read())))
        await call.read()
        assert (await desk.ask(raw.query(read=raw.read()))).reason == "overloaded"
        calls = desk.calls()
        call.cancel()
        await asyncio.wait(calls, timeout=60)
        assert (await desk.ask(raw.query(aggregate=count()))).outcome == "answered"


async def test_heavy_statements_of_one_partner_leave_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has four workers here; the partner asks for all of them, and for one more."""
    go_on, begun = threading.Event(), threading.Semaphore(0)
    statement = StatementRows.next

    def heavy(self: StatementRows, seconds: float) -> Any:
        begun.release()
        assert go_on.wait(30)
        return statement(self, seconds)

    monkeypatch.setattr(StatementRows, "next", heavy)
    monkeypatch.setattr(Workers, "patience", 0.5)
    world = furnished(World(tmp_path))
    world.add_partner("inst.iitd", "CN")
    async with opened(world) as desk, calling(world, desk.node, "inst.iitd") as caller:
        asked = {asyncio.create_task(desk.ask(raw.query(aggregate=count()))) for _ in range(5)}
        for _ in range(2):
            assert await asyncio.to_thread(begun.acquire, timeout=60)
        async with asyncio.timeout(20):
            other = await Desk(world, desk.node, caller, "inst.iitd").ask(raw.query(read=raw.read()))
            assert other.outcome == "answered"
            # Who waits too long is told so and gives its slot back; the two that run go on.
            refused: set[str] = set()
            running = asked
            while len(running) > 2:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                refused |= {task.result().reason for task in done}
        assert refused == {"overloaded"}
        go_on.set()
        assert {(await task).outcome for task in running} == {"answered"}
        await desk.node.service.settled()
        assert desk.slots() == 0


async def test_a_caller_that_goes_while_it_is_decided_leaves_no_slot(
    federation: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Event()
    admit = Admitter.admit

    def slow(self: Admitter, *given: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return admit(self, *given)

    monkeypatch.setattr(Admitter, "admit", slow)
    async with opened(federation) as desk:
        call = desk.caller.call(raw.READ, raw.ask(desk.signer, raw.query(read=raw.read())))
        await asyncio.to_thread(begun.wait, 20)
        calls = desk.calls()
        call.cancel()
        await asyncio.wait(calls, timeout=60)
        go_on.set()
        await desk.node.service.settled()
        assert (await desk.ended(set())).outcome == "cancelled"
        assert desk.slots() == 0


# What else is served


async def test_health_and_the_directory_are_served(federation: World) -> None:
    async with opened(federation) as desk:
        check = desk.caller.channel.unary_unary("/grpc.health.v1.Health/Check")
        status = health_pb2.HealthCheckResponse.FromString(await check(b"", timeout=60))
        assert status.status == health_pb2.HealthCheckResponse.SERVING
        fetch = desk.caller.channel.unary_unary("/cimfed.v1.DirectoryService/Fetch")
        for path, content in federation.board.files.items():
            request = directory_service_pb2.FetchRequest(path=path).SerializeToString()
            reply = directory_service_pb2.FetchReply.FromString(await fetch(request, timeout=60))
            assert (reply.found, reply.content) == (True, content)


async def test_a_leaf_of_an_unlisted_party_is_nobody(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    world, other = World(tmp_path / "one"), World(tmp_path / "other")
    furnished(world)
    stranger = other.add_partner("inst.tsinghua")
    async with world.node(CITY) as node, calling(world, node, "", stranger.leaves[Use.CLIENT]) as caller:
        with pytest.raises(raw.Refused) as error:
            await caller.frames(raw.READ, raw.ask(stranger.signer, raw.query(read=raw.read())))
        assert error.value.code == "UNAVAILABLE"  # the handshake fails
