"""Witnesses cosign what continues the log that they saw, and nothing else; every log is cosigned by two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cimfed.errors import Forged, LogInconsistent, NodeUnreachable, NotAllowed
from cimfed.tlog import checkpoints, log
from cimfed.tlog.checkpoints import Made
from cimfed.tlog.database import Database
from cimfed.tlog.witness import EVIDENCE, Cosigner, Witness, conflicts, cosigners, witnesses
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.checkpoint import Origin, cosigned_at, parse_checkpoint, sign_checkpoint
from cimfed.trust.tlog.entries import Restored
from cimfed.trust.tlog.note import Note, parse_note
from cimfed.wire.logs import AskCosignature, decode_ask_cosignature, encode_cosignature
from tests.unit.cimfed.parties import CITY, GATEWAY, SCO, World
from tests.unit.cimfed.tlog.conftest import make
from tests.unit.cimfed.tlog.test_log import act

NOW = 1_790_000_000_000_000
TASHKENT, QINGDAO, DELHI = "uz.tashkent", "cn.qingdao", "in.delhi"
PARTIES = (CITY, TASHKENT, QINGDAO, DELHI, GATEWAY)


@dataclass
class Bench:
    """Parties with a log each, whose calls go from one to the other without a network."""

    world: World
    folder: Path
    databases: dict[str, Database]
    away: set[str]
    asked: list[tuple[str, str]]

    def origin(self, name: str, generation: int = 1) -> Origin:
        return Origin(SCO, name, generation)

    def witness(self, name: str) -> Witness:
        signer = self.world.parties[name].signer
        return Witness(self.databases[name], self.origin(name), signer, self.world, lambda: NOW)

    def cosigner(self, name: str) -> Cosigner:
        async def ask(city: str, _method: str, request: bytes, _within: float | None) -> bytes:
            self.asked.append((name, city))
            if city in self.away:
                raise NodeUnreachable(f"{city} cannot be reached")
            outcome = await asyncio.to_thread(self.witness(city).cosign, decode_ask_cosignature(request), name)
            return encode_cosignature(outcome)

        return Cosigner(self.databases[name], self.origin(name), self.world, ask, lambda: NOW)

    def grow(self, name: str, *numbers: int) -> Made:
        """Acts of these numbers, and a checkpoint."""
        with self.databases[name].writing() as connection:
            for number in numbers:
                log.append(connection, act(number))
            made = checkpoints.publish(connection, self.origin(name), self.world.parties[name].signer, NOW, every=0)
        assert made is not None
        return made

    def anew(self, name: str) -> None:
        """The party's log as an empty database: a disk that was set back."""
        self.databases[name].close()
        self.databases[name] = make(self.folder / f"{name}.{len(list(self.folder.iterdir()))}.sqlite")

    def proof(self, name: str, old: int, new: int) -> tuple[bytes, ...]:
        with self.databases[name].reading() as connection:
            return tuple(log.consistency(connection, 1, old, new))

    def note(self, name: str) -> Note:
        with self.databases[name].reading() as connection:
            made = checkpoints.latest(connection)
        assert made is not None
        return made.note

    def evidence(self, name: str) -> list[tuple[Note, Note | None]]:
        with self.databases[name].reading() as connection:
            return conflicts(connection)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    databases = {name: make(tmp_path / f"{name}.sqlite") for name in PARTIES}
    made = Bench(World(NOW, *PARTIES), tmp_path, databases, set(), [])
    yield made
    for database in made.databases.values():
        database.close()


def asking(made: Made, old: int = 0, proof: tuple[bytes, ...] = ()) -> AskCosignature:
    return AskCosignature(made.note.to_bytes(), old, proof)


def signature_of(line: str | int, made: Made) -> Note:
    assert isinstance(line, str)
    return parse_note(f"{made.note.text}\n{line}".encode())


def test_a_witness_signs_the_first_checkpoint_that_it_sees_with_its_own_key_and_the_time(bench: Bench) -> None:
    made = bench.grow(CITY, 1, 2)
    note = signature_of(bench.witness(TASHKENT).cosign(asking(made), CITY), made)
    key = bench.world.parties[TASHKENT].signer.public
    assert cosigned_at(note, bench.origin(TASHKENT), [key]) == NOW // 1_000_000


def test_a_witness_tells_what_it_saw_last_and_signs_what_continues_that(bench: Bench) -> None:
    witness = bench.witness(TASHKENT)
    witness.cosign(asking(bench.grow(CITY, 1, 2, 3)), CITY)
    made = bench.grow(CITY, 4, 5)
    assert witness.cosign(asking(made), CITY) == 3
    assert isinstance(witness.cosign(asking(made, 3, bench.proof(CITY, 3, 5)), CITY), str)
    assert isinstance(witness.cosign(asking(made, 5), CITY), str)  # again: the answer was lost
    assert bench.evidence(TASHKENT) == []


def test_a_witness_never_goes_back(bench: Bench) -> None:
    witness = bench.witness(TASHKENT)
    first, second = bench.grow(CITY, 1, 2), bench.grow(CITY, 3)
    witness.cosign(asking(second), CITY)
    assert witness.cosign(asking(first), CITY) == 3


def test_two_checkpoints_of_one_size_are_refused_and_kept(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    witness = bench.witness(TASHKENT)
    one = bench.grow(CITY, 1, 2)
    witness.cosign(asking(one), CITY)
    bench.anew(CITY)
    other = bench.grow(CITY, 1, 7)
    for _ in range(2):
        with pytest.raises(LogInconsistent, match="two checkpoints of 2 entries are signed"):
            witness.cosign(asking(other), CITY)
    assert [(new.text, seen and seen.text) for new, seen in bench.evidence(TASHKENT)] == [
        (other.note.text, one.note.text)
    ]
    assert "kept as evidence" in caplog.text
    assert isinstance(witness.cosign(asking(one, 2), CITY), str)  # what it saw first is what counts


def test_a_fork_that_grew_past_what_was_seen_is_refused_and_kept(bench: Bench) -> None:
    witness = bench.witness(TASHKENT)
    witness.cosign(asking(bench.grow(CITY, 1, 2, 3)), CITY)
    bench.anew(CITY)
    made = bench.grow(CITY, 1, 2, 8, 9)
    with pytest.raises(LogInconsistent, match="does not continue"):
        witness.cosign(asking(made, 3, bench.proof(CITY, 3, 4)), CITY)
    assert [new.text for new, _ in bench.evidence(TASHKENT)] == [made.note.text]


def test_evidence_has_an_end(bench: Bench) -> None:
    witness, signer = bench.witness(TASHKENT), bench.world.parties[CITY].signer
    made = bench.grow(CITY, 1, 2)
    witness.cosign(asking(made), CITY)
    checkpoint = parse_checkpoint(made.note.text)
    for number in range(EVIDENCE + 4):
        false = type(checkpoint)(checkpoint.origin, checkpoint.size, sha256(bytes([number])))
        with pytest.raises(LogInconsistent):
            witness.cosign(AskCosignature(sign_checkpoint(false, signer).to_bytes(), 2, ()), CITY)
    assert len(bench.evidence(TASHKENT)) == EVIDENCE


def test_a_witness_cosigns_the_callers_own_log_alone(bench: Bench) -> None:
    made = bench.grow(CITY, 1)
    for caller in (QINGDAO, GATEWAY):
        with pytest.raises(NotAllowed):
            bench.witness(TASHKENT).cosign(asking(made), caller)


def test_a_checkpoint_that_another_key_signed_is_no_checkpoint(bench: Bench) -> None:
    checkpoint = parse_checkpoint(bench.grow(CITY, 1).note.text)
    false = sign_checkpoint(checkpoint, KeySigner.generate())
    with pytest.raises(Forged):
        bench.witness(TASHKENT).cosign(AskCosignature(false.to_bytes(), 0, ()), CITY)


def test_a_log_that_begins_anew_is_another_log_and_ends_the_one_before(bench: Bench) -> None:
    witness = bench.witness(TASHKENT)
    before = bench.grow(CITY, 1, 2)
    witness.cosign(asking(before), CITY)
    checkpoint = parse_checkpoint(before.note.text)
    with bench.databases[CITY].writing() as connection:
        log.begin_generation(connection, Restored(NOW, checkpoint.origin, checkpoint.size, checkpoint.root))
    after = bench.grow(CITY, 3)
    assert parse_checkpoint(after.note.text).origin == str(bench.origin(CITY, 2))
    assert isinstance(witness.cosign(asking(after), CITY), str)
    with pytest.raises(LogInconsistent, match="has ended"):
        witness.cosign(asking(before, 2), CITY)


async def test_every_log_is_cosigned_by_two_other_cities(bench: Bench) -> None:
    for name in PARTIES:
        bench.grow(name, 1, 2, 3)
        done = await bench.cosigner(name).once()
        expected = witnesses(name, bench.world.directory.members)[:2]
        assert done == set(expected)
        assert name not in done
        assert cosigners(bench.note(name), bench.world.directory, name) == dict.fromkeys(done, NOW // 1_000_000)


async def test_a_log_that_grows_is_cosigned_again_with_a_proof(bench: Bench) -> None:
    cosigner = bench.cosigner(CITY)
    for first in (0, 10, 20):
        bench.grow(CITY, *range(first, first + 5))
        assert len(await cosigner.once()) == 2
    again = bench.cosigner(CITY)  # that knows nothing of what the witnesses saw
    bench.grow(CITY, 99)
    bench.asked.clear()
    assert len(await again.once()) == 2
    assert len(bench.asked) == 4  # each said first what it saw
    assert all(not bench.evidence(name) for name in PARTIES)


async def test_others_follow_while_a_witness_cannot_be_reached(bench: Bench) -> None:
    order = witnesses(CITY, bench.world.directory.members)
    bench.away.add(order[0])
    cosigner = bench.cosigner(CITY)
    bench.grow(CITY, 1)
    assert await cosigner.once() == set(order[1:3])
    bench.grow(CITY, 2)
    bench.asked.clear()
    assert await cosigner.once() == set(order[1:3])
    assert order[0] not in {city for _, city in bench.asked}  # others are asked before it for a while
    bench.away.update(order)
    bench.grow(CITY, 3)
    assert await cosigner.once() == set()


async def test_a_log_that_was_set_back_is_not_cosigned_and_its_operator_is_told(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.grow(CITY, 1, 2, 3)
    await bench.cosigner(CITY).once()
    bench.anew(CITY)
    bench.grow(CITY, 1)
    remaining = set(witnesses(CITY, bench.world.directory.members)[2:])
    assert await bench.cosigner(CITY).once() == remaining  # whoever never saw the log cannot know
    assert "has seen 3 entries of this log, which has 1" in caplog.text
    assert any(record.levelname == "ERROR" for record in caplog.records)


@pytest.mark.parametrize(
    "reply",
    [
        lambda line: line.replace("uz.tashkent", "in.delhi"),
        lambda line: "no line\n",
        lambda line: line + line,
        lambda line: line[:-8] + "AAAA===\n",
        lambda line: "\N{EM DASH} " + "x" * 70_000 + " AAAAAAAAAA==\n",
    ],
)
async def test_what_a_witness_sends_is_verified_before_it_is_kept(bench: Bench, reply: Callable[[str], str]) -> None:
    made = bench.grow(CITY, 1)
    bench.world.drop(QINGDAO)
    bench.world.drop(DELHI)

    async def ask(city: str, _method: str, request: bytes, _within: float | None) -> bytes:
        outcome = bench.witness(city).cosign(decode_ask_cosignature(request), CITY)
        assert isinstance(outcome, str)
        return encode_cosignature(reply(outcome))

    cosigner = Cosigner(bench.databases[CITY], bench.origin(CITY), bench.world, ask, lambda: NOW)
    assert await cosigner.once() == set()
    assert bench.note(CITY).signatures == made.note.signatures


def test_the_choice_of_witnesses_is_fixed_by_the_names_alone() -> None:
    cities = [f"kz.c{number}" for number in range(20)]
    drawn = {name: witnesses(name, cities)[:2] for name in cities}  # type: ignore[type-var,arg-type]
    again = {name: witnesses(name, reversed(cities))[:2] for name in cities}  # type: ignore[type-var,arg-type]
    assert drawn == again
    assert all(name not in chosen for name, chosen in drawn.items())
    assert len({city for chosen in drawn.values() for city in chosen}) > 10  # the work is spread
