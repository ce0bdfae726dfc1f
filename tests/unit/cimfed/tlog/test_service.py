"""LogService behind real mutual TLS: what it gives to whom, and what it refuses, with which reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from cimfed.errors import (
    BadQuery,
    BadSignature,
    CimfedError,
    ExpiredQuery,
    NotAddressed,
    NotAllowed,
    NotFound,
    NotGranted,
    Overloaded,
    ProofPending,
    Replayed,
    TooLarge,
)
from cimfed.rpc import clock
from cimfed.rpc.authorisation import CHECKPOINT, COSIGN
from cimfed.rpc.logs import LogClient
from cimfed.tlog import checkpoints, log
from cimfed.tlog.checkpoints import Made
from cimfed.tlog.database import Database
from cimfed.tlog.service import EACH, PAGE, RUNNING, LogService
from cimfed.tlog.witness import Witness
from cimfed.trust.admin import AdminRequest, Occasion, seal_admin
from cimfed.trust.envelope import Envelope
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tlog.checkpoint import Origin, cosign, parse_checkpoint
from cimfed.trust.tlog.entries import Act, Decision, Entry, Position, Restored, decode, encode
from cimfed.trust.tlog.merkle import folded, leaf_hash, verify_consistency, verify_inclusion
from cimfed.trust.tlog.note import parse_note
from cimfed.trust.tlog.readings import Reading
from cimfed.trust.tls import Use
from cimfed.wire.logs import AskProof, Proven, decode_proven, encode_ask_checkpoint, encode_ask_proof
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, World
from tests.unit.cimfed.rpc.serving import calling, serving
from tests.unit.cimfed.tlog.test_log import act, write
from tests.unit.cimfed.trust.tlog.test_merkle import head

TASHKENT, OTHER = "uz.tashkent", "inst.false"
ORIGIN = Origin(SCO, CITY)
T = TypeVar("T")


def decision(number: int, **changes: object) -> Decision:
    made = Decision(
        number, Position(number), bytes([number]) * 32, b"k" * 32, PARTNER, GATEWAY, "read", "research", "building"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class Bench:
    world: World
    database: Database
    service: LogService

    def publish(self, *entries: Entry) -> Made:
        write(self.database, *entries)
        with self.database.writing() as connection:
            made = checkpoints.publish(connection, ORIGIN, self.world.parties[CITY].signer, clock.now(), every=0)
        assert made is not None
        return made

    def cosign(self, made: Made, seconds: int, *names: str) -> None:
        lines = [cosign(made.note, Origin(SCO, name), self.world.parties[name].signer, seconds) for name in names]
        with self.database.writing() as connection:
            checkpoints.add_signatures(connection, made, lines)

    async def ask(self, caller: str, call: Callable[[LogClient], T]) -> T:
        def asked() -> T:
            leaf = self.world.parties[caller].leaves(Use.CLIENT).current(clock.now())
            with LogClient(self.world.directory, CITY, leaf) as client:
                return call(client)

        return await asyncio.to_thread(asked)

    async def refused(self, caller: str, call: Callable[[LogClient], object]) -> CimfedError:
        try:
            given = await self.ask(caller, call)
        except CimfedError as error:
            return error
        raise AssertionError(f"it was given: {given!r}")

    def request(
        self, first: int = 0, count: int = 100, at: str = CITY, signer: Signer | None = None, **arguments: str
    ) -> Envelope:
        occasion = Occasion.now(SCO, self.world.directory.service.name, clock.now())
        said = {**Reading(at, first, count).arguments, **arguments}
        return seal_admin(AdminRequest(occasion, "entries", said), signer or self.world.board.registrar)

    def contents(self) -> list[bytes]:
        with self.database.reading() as connection:
            return [content for _, content in log.contents(connection, log.EntryId(1, 0), 10_000)]


@asynccontextmanager
async def bench_of(database: Database, audit: bool = True) -> AsyncIterator[Bench]:
    world = World(clock.now(), CITY, TASHKENT, "cn.qingdao", GATEWAY, PARTNER, OTHER)
    witness = Witness(database, ORIGIN, world.parties[CITY].signer, world, clock.now)
    service = LogService(database, ORIGIN, world, clock.now, witness, audit=audit)
    async with serving(world, {}, unary=service.handlers()):
        yield Bench(world, database, service)


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with bench_of(database) as made:
        yield made


def proving(number: int, request_hash: bytes | None = None) -> Callable[[LogClient], Proven]:
    asked = encode_ask_proof(AskProof(number, bytes([number]) * 32 if request_hash is None else request_hash))
    return lambda client: decode_proven(client.prove(asked))


async def test_every_listed_party_is_given_checkpoints_and_the_proofs_between_them(bench: Bench) -> None:
    old, new = bench.publish(act(1), act(2), act(3)), bench.publish(act(4), act(5))
    for caller in (PARTNER, GATEWAY, TASHKENT):
        found = await bench.ask(caller, lambda client: client.checkpoints())
        assert parse_note(found.latest) == new.note
        proof = await bench.ask(caller, lambda client: client.consistency("", 3, 5))
        before, after = parse_checkpoint(old.note.text), parse_checkpoint(new.note.text)
        verify_consistency(3, 5, proof, before.root, after.root)
    assert isinstance(await bench.refused(PARTNER, lambda client: client.consistency("", 3, 6)), BadQuery)
    assert isinstance(await bench.refused(PARTNER, lambda client: client.consistency("", 4, 3)), BadQuery)
    elsewhere = await bench.refused(PARTNER, lambda client: client.consistency("sco/uz.tashkent", 0, 1))
    assert isinstance(elsewhere, NotFound)


async def test_the_last_checkpoint_with_cosignatures_is_given_beside_the_last(bench: Bench) -> None:
    old = bench.publish(act(1))
    bench.cosign(old, 5, TASHKENT)
    new = bench.publish(act(2))
    found = await bench.ask(PARTNER, lambda client: client.checkpoints())
    assert (parse_note(found.latest).text, parse_note(found.cosigned).text) == (new.note.text, old.note.text)


async def test_a_log_that_is_empty_has_no_checkpoint_yet(bench: Bench) -> None:
    assert isinstance(await bench.refused(PARTNER, lambda client: client.checkpoints()), NotFound)


async def test_a_log_of_a_generation_before_is_answered_for_too(bench: Bench) -> None:
    made = bench.publish(act(1), act(2))
    checkpoint = parse_checkpoint(made.note.text)
    with bench.database.writing() as connection:
        log.begin_generation(connection, Restored(9, checkpoint.origin, checkpoint.size, checkpoint.root))
    now = bench.publish(act(3))
    latest = await bench.ask(PARTNER, lambda client: client.checkpoints())
    assert parse_checkpoint(parse_note(latest.latest).text) == parse_checkpoint(now.note.text)
    before = await bench.ask(PARTNER, lambda client: client.checkpoints(str(ORIGIN)))
    assert parse_note(before.latest) == made.note
    request = bench.request(generation="1")
    page = await bench.ask(PARTNER, lambda client: client.entries(request))
    assert (page.origin, page.size, len(page.entries)) == (str(ORIGIN), 2, 2)


async def test_a_decision_is_proven_to_who_asked_it_and_to_who_presented_it(bench: Bench) -> None:
    made = bench.publish(act(1), decision(7), act(3))
    for caller in (PARTNER, GATEWAY):
        found = await bench.ask(caller, proving(7))
        assert (decode(found.entry), found.index, parse_note(found.checkpoint)) == (decision(7), 1, made.note)
        root = parse_checkpoint(made.note.text).root
        assert root == head([encode(act(1)), encode(decision(7)), encode(act(3))])
        verify_inclusion(1, 3, leaf_hash(found.entry), found.proof, root)


async def test_to_everybody_else_there_is_no_such_decision(bench: Bench) -> None:
    bench.publish(decision(7), decision(8, presenter=PARTNER))
    nothing = await bench.refused(PARTNER, proving(9))
    for caller, call in (
        (OTHER, proving(7)),
        (GATEWAY, proving(8)),
        (PARTNER, proving(7, b"\0" * 32)),
        (PARTNER, proving(7, b"")),
        (PARTNER, proving(0)),
    ):
        error = await bench.refused(caller, call)
        assert (type(error), str(error)) == (NotFound, str(nothing))
    assert isinstance(await bench.refused(TASHKENT, proving(7)), NotAllowed)


async def test_a_decision_is_proven_once_a_checkpoint_has_it(bench: Bench) -> None:
    bench.publish(act(1))
    write(bench.database, decision(7))
    error = await bench.refused(PARTNER, proving(7))
    assert isinstance(error, ProofPending)
    assert error.retry_after == 1.0
    bench.publish(act(2))
    assert (await bench.ask(PARTNER, proving(7))).index == 1


async def test_the_proof_is_by_the_first_checkpoint_that_two_witnesses_cosigned(bench: Bench) -> None:
    made = [bench.publish(decision(7)), *(bench.publish(act(number)) for number in range(1, 5))]

    async def size() -> int:
        found = await bench.ask(PARTNER, proving(7))
        return parse_checkpoint(parse_note(found.checkpoint).text).size

    assert await size() == 5  # nobody has cosigned one
    bench.cosign(made[2], 20, TASHKENT)
    assert await size() == 3
    bench.cosign(made[3], 30, TASHKENT, "cn.qingdao")
    bench.cosign(made[4], 40, TASHKENT, "cn.qingdao")
    assert await size() == 4
    bench.cosign(made[1], 50, "cn.qingdao", TASHKENT)
    assert await size() == 2


async def test_entries_are_read_by_a_registrar_and_verify_by_the_checkpoint(bench: Bench) -> None:
    acts = [act(number) for number in range(1, 8)]
    bench.publish(*acts)
    request = bench.request(first=3, count=4)
    page = await bench.ask(PARTNER, lambda client: client.entries(request))
    assert [decode(content) for content in page.entries] == acts[3:]
    assert (page.origin, page.first, page.size) == (str(ORIGIN), 3, 8)
    assert folded(page.peaks) == head([encode(one) for one in acts[:3]])


async def test_a_reading_is_an_entry_before_it_is_answered(bench: Bench) -> None:
    bench.publish(act(1))
    request = bench.request(first=1)
    page = await bench.ask(PARTNER, lambda client: client.entries(request))
    (content,) = page.entries
    reading = decode(content)
    assert isinstance(reading, Act)
    assert (reading.act, reading.operator) == ("entries", bench.world.board.registrar.public.id.hex())
    assert (reading.subject, reading.reason) == ("sco/kz.almaty from 1", f"presented by {PARTNER}")


async def test_no_request_for_entries_is_taken_twice(bench: Bench) -> None:
    bench.publish(act(1))
    request = bench.request()
    await bench.ask(PARTNER, lambda client: client.entries(request))
    for caller in (PARTNER, OTHER):
        assert isinstance(await bench.refused(caller, lambda client: client.entries(request)), Replayed)
    assert len(bench.contents()) == 2


async def test_entries_are_given_to_nobody_without_a_registrars_signature(bench: Bench) -> None:
    bench.publish(act(1))
    now, service = clock.now(), bench.world.directory.service.name
    said = Reading(CITY, 0, 1).arguments
    registrar = bench.world.board.registrar
    old = Occasion.now(SCO, service, now - 3_600_000_000)
    cases = [
        (bench.request(signer=KeySigner.generate()), BadSignature),
        (bench.request(signer=bench.world.parties[CITY].steward), BadSignature),
        (bench.request(signer=bench.world.board.revoker), BadSignature),
        (bench.request(at=TASHKENT), NotAddressed),
        (seal_admin(AdminRequest(old, "entries", said), registrar), ExpiredQuery),
        (seal_admin(AdminRequest(Occasion.now(SCO, service, now), "requests", {}), registrar), BadQuery),
        (bench.request(first=7), BadQuery),
        (bench.request(count=0), BadQuery),
        (bench.request(first=-1), BadQuery),
        (bench.request(generation="2"), NotFound),
        (bench.request(more="1"), BadQuery),
    ]
    for request, reason in cases:
        error = await bench.refused(PARTNER, lambda client, request=request: client.entries(request))
        assert type(error) is reason, error
    assert isinstance(await bench.refused(TASHKENT, lambda client: client.entries(bench.request())), NotAllowed)


async def test_a_registrar_whose_key_was_revoked_reads_no_entries(bench: Bench) -> None:
    bench.publish(act(1))
    registrar = bench.world.board.registrar
    await bench.ask(PARTNER, lambda client: client.entries(bench.request()))
    bench.world.board.revoke(registrar.public.id.hex(), "left", clock.now())
    assert isinstance(await bench.refused(PARTNER, lambda client: client.entries(bench.request())), BadSignature)


async def test_a_city_may_keep_its_entries_to_itself(database: Database) -> None:
    async with bench_of(database, audit=False) as bench:
        bench.publish(act(1))
        assert isinstance(await bench.refused(PARTNER, lambda client: client.entries(bench.request())), NotGranted)
        assert len(bench.contents()) == 1
        await bench.ask(PARTNER, lambda client: client.checkpoints())


async def test_a_reply_has_an_end_however_much_is_asked_for(bench: Bench) -> None:
    bench.publish(*(replace(act(number), reason="x" * 16_000) for number in range(200)))
    request = bench.request(count=100_000)
    page = await bench.ask(PARTNER, lambda client: client.entries(request))
    assert PAGE - 20_000 < sum(map(len, page.entries)) <= PAGE
    assert page.size == 201


async def test_a_witness_tells_what_it_saw_of_anothers_log(bench: Bench) -> None:
    assert (await bench.ask(PARTNER, lambda client: client.checkpoints("sco/uz.tashkent"))).latest == b""
    for bad in ("nonsense", "sco/nobody", "sco/uz.tashkent/1"):
        assert (await bench.refused(PARTNER, lambda client, bad=bad: client.checkpoints(bad))).reason


async def test_no_more_calls_run_at_once_than_there_is_room_for(bench: Bench) -> None:
    bench.publish(act(1))
    request = encode_ask_checkpoint("")
    for caller, running in (("gw.alliance", RUNNING), (PARTNER, EACH)):
        with _held(bench.service, caller, running):
            async with calling(bench.world) as pool:
                with pytest.raises(Overloaded) as raised:
                    await pool.unary(CITY, CHECKPOINT, request, 20.0)
        assert raised.value.retry_after == 1.0
    with _held(bench.service, OTHER, EACH):
        assert (await bench.ask(PARTNER, lambda client: client.checkpoints())).latest
    assert (await bench.ask(PARTNER, lambda client: client.checkpoints())).latest


@contextmanager
def _held(service: LogService, caller: str, running: int) -> Iterator[None]:
    """As if so many calls of the caller were running."""
    service._running[caller] = running
    yield
    service._running.clear()


@pytest.mark.parametrize("data", [b"\xff", b"x" * 100_000])
async def test_bytes_that_are_no_request_are_refused(bench: Bench, data: bytes) -> None:
    for method in bench.service.calls():
        async with calling(bench.world, TASHKENT if method == COSIGN else PARTNER) as pool:
            with pytest.raises((BadQuery, TooLarge)):
                await pool.unary(CITY, method, data, 20.0)
