"""What a gateway could do to an answer, and the reason that the client gives for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from cimfed.client.federation import Federation
from cimfed.errors import ChainBroken, CimfedError, CoverageMismatch, Forged, Truncated
from cimfed.model.answer import CityOutcome, Outcome
from cimfed.trust.keys import KeySigner
from cimfed.wire import answers, frames
from tests.unit.cimfed.client.world import (
    ALMATY,
    GATEWAY,
    NOW,
    QINGDAO,
    TASHKENT,
    Stream,
    World,
    asker,
    connect,
    line_of,
)

Change = Callable[[World, Stream], object]


def read(world: World, change: Change, **options: object) -> None:
    with connect(world, lambda stream: change(world, stream)) as fed:
        fed.read("building", purpose="research", **options).to_table()  # type: ignore[arg-type]


def frame_at(stream: Stream, at: int) -> frames.Frame:
    return stream.frames[at]


def flip_a_byte(world: World, stream: Stream) -> None:
    at = stream.payloads(ALMATY)[1]
    data = bytearray(frame_at(stream, at).payload)
    data[-1] ^= 1
    stream.frames[at] = replace(frame_at(stream, at), payload=bytes(data))


def drop_a_batch(world: World, stream: Stream) -> None:
    stream.drop(stream.payloads(ALMATY)[1])


def drop_a_batch_and_renumber(world: World, stream: Stream) -> None:
    _, second, third, _ = stream.payloads(ALMATY)
    stream.frames[third] = replace(frame_at(stream, third), index=2)
    stream.drop(second)


def double_a_batch(world: World, stream: Stream) -> None:
    at = stream.payloads(ALMATY)[1]
    stream.frames.insert(at, frame_at(stream, at))


def double_a_batch_and_renumber(world: World, stream: Stream) -> None:
    at = stream.payloads(ALMATY)[1]
    stream.frames.insert(at + 1, replace(frame_at(stream, at), index=3))


def swap_two_batches(world: World, stream: Stream) -> None:
    _, second, third, _ = stream.payloads(ALMATY)
    one, other = frame_at(stream, second), frame_at(stream, third)
    stream.frames[second], stream.frames[third] = replace(other, index=2), replace(one, index=3)


def splice_from_another_answer(world: World, stream: Stream) -> None:
    ours, theirs = stream.payloads(ALMATY)[0], stream.payloads(QINGDAO)[0]
    stream.frames[ours] = replace(frame_at(stream, theirs), city=ALMATY)


def answer_of_another_request(world: World, stream: Stream) -> None:
    other = replace(stream.query, payload=stream.query.payload + b"\x1a\x08research")
    positions = stream.of(ALMATY)
    for at, frame in zip(positions, world.cities[ALMATY].stream(other), strict=True):
        stream.frames[at] = frame


def another_schema(world: World, stream: Stream) -> None:
    at = stream.of(ALMATY)[0]
    start = stream.frames[stream.of(QINGDAO)[0]].part
    stream.frames[at] = frames.Frame(ALMATY, start)


def start_twice(world: World, stream: Stream) -> None:
    stream.frames.insert(0, frame_at(stream, stream.of(ALMATY)[0]))


def batch_before_start(world: World, stream: Stream) -> None:
    stream.drop(stream.of(ALMATY)[0])


def batch_after_manifest(world: World, stream: Stream) -> None:
    stream.frames.append(replace(frame_at(stream, stream.payloads(ALMATY)[0]), index=5))


def manifest_twice(world: World, stream: Stream) -> None:
    stream.frames.append(frame_at(stream, stream.of(ALMATY)[-1]))


def head_of_another_city(world: World, stream: Stream) -> None:
    ours = next(at for at in stream.of(ALMATY) if isinstance(frame_at(stream, at).part, frames.Head))
    theirs = next(at for at in stream.of(QINGDAO) if isinstance(frame_at(stream, at).part, frames.Head))
    stream.frames[ours] = frames.Frame(ALMATY, frame_at(stream, theirs).part)


def head_by_the_gateway(world: World, stream: Stream) -> None:
    at = next(at for at in stream.of(ALMATY) if isinstance(frame_at(stream, at).part, frames.Head))
    part = frame_at(stream, at).part
    assert isinstance(part, frames.Head)
    world.cities[ALMATY].key, kept = world.gateway, world.cities[ALMATY].key
    stream.frames[at] = world.cities[ALMATY].head(answers.decode_head(part.envelope.payload))
    world.cities[ALMATY].key = kept


def rows_miscounted(world: World, stream: Stream) -> None:
    at = stream.payloads(ALMATY)[1]
    stream.frames[at] = replace(frame_at(stream, at), rows=11)


def city_renamed(world: World, stream: Stream) -> None:
    stream.frames = [replace(frame, city=TASHKENT) if frame.city == ALMATY else frame for frame in stream.frames]


def no_such_city(world: World, stream: Stream) -> None:
    stream.frames.insert(0, replace(frame_at(stream, 0), city="kz.astana"))


def cut_off(world: World, stream: Stream) -> None:
    stream.frames, stream.coverage = stream.frames[:6], None


def no_manifest(world: World, stream: Stream) -> None:
    stream.drop(stream.of(ALMATY)[-1])


def city_left_out_of_coverage(world: World, stream: Stream) -> None:
    assert stream.coverage is not None
    stream.drop(*stream.of(ALMATY))
    kept = tuple(line for line in stream.coverage.cities if line.city != ALMATY)
    stream.coverage = replace(stream.coverage, cities=kept)


def city_listed_twice(world: World, stream: Stream) -> None:
    assert stream.coverage is not None
    stream.coverage = replace(stream.coverage, cities=(*stream.coverage.cities, stream.coverage.cities[0]))


def stranger_in_coverage(world: World, stream: Stream) -> None:
    assert stream.coverage is not None
    extra = CityOutcome("kz.astana", Outcome.UNREACHABLE)  # type: ignore[arg-type]
    stream.coverage = replace(stream.coverage, cities=(*stream.coverage.cities, extra))


def unreachable_with_its_manifest(world: World, stream: Stream) -> None:
    stream.say(ALMATY, outcome=Outcome.UNREACHABLE, manifest_hash=b"")


def unreachable_after_its_rows(world: World, stream: Stream) -> None:
    stream.drop(stream.of(ALMATY)[-1])
    stream.say(ALMATY, outcome=Outcome.UNREACHABLE, manifest_hash=b"")


def said_without_data(world: World, stream: Stream) -> None:
    stream.say(ALMATY, outcome=Outcome.NO_DATA)


def dropped_and_said_without_data(world: World, stream: Stream) -> None:
    stream.drop(*stream.of(ALMATY))
    stream.say(ALMATY, outcome=Outcome.NO_DATA)


def another_manifest_named(world: World, stream: Stream) -> None:
    stream.say(ALMATY, manifest_hash=bytes(32))


def another_reason(world: World, stream: Stream) -> None:
    stream.say(ALMATY, message="nothing to see here")


def ruled_out_wrongly(world: World, stream: Stream) -> None:
    entry = world.directory.routing(ALMATY)
    assert entry is not None
    stream.drop(*stream.of(ALMATY))
    stream.say(
        ALMATY, outcome=Outcome.RULED_OUT, reason="extent", manifest_hash=b"", routing_hash=entry[1].payload_hash
    )


def coverage_of_another_request(world: World, stream: Stream) -> None:
    assert stream.coverage is not None
    stream.coverage = replace(stream.coverage, request_hash=bytes(32))


def coverage_by_another_key(world: World, stream: Stream) -> None:
    stream.signer = KeySigner.generate()


def coverage_by_a_city(world: World, stream: Stream) -> None:
    stream.signer = world.cities[ALMATY].key


def coverage_of_yesterday(world: World, stream: Stream) -> None:
    assert stream.coverage is not None
    stream.coverage = replace(stream.coverage, now=NOW - 86_400_000_000)


def another_narrowing(world: World, stream: Stream) -> None:
    assert stream.coverage is not None
    narrowing = answers.decode_narrowing(stream.coverage.narrowing)
    changed = answers.encode_narrowing(replace(narrowing, request_hash=bytes(32)))
    stream.coverage = replace(stream.coverage, narrowing=changed)


def asked_without_narrowing(world: World, stream: Stream) -> None:
    positions = stream.of(ALMATY)
    again = world.cities[ALMATY].stream(stream.query)
    for at, frame in zip(positions, again, strict=True):
        stream.frames[at] = frame
    part = again[-1].part
    assert isinstance(part, frames.Manifest)
    stream.say(ALMATY, manifest_hash=part.envelope.payload_hash)


def total_where_there_is_none(world: World, stream: Stream) -> None:
    stream.frames.append(replace(frame_at(stream, stream.of(ALMATY)[0]), city=GATEWAY))


def city_sends_a_coverage(world: World, stream: Stream) -> None:
    envelope = frame_at(stream, stream.of(ALMATY)[-1]).part
    assert isinstance(envelope, frames.Manifest)
    stream.frames.insert(1, frames.Frame(ALMATY, frames.Coverage(envelope.envelope)))


CAUGHT: list[tuple[Change, type[CimfedError], str]] = [
    (flip_a_byte, ChainBroken, r"kz\.almaty: the batches are not those that the city signed \(rule 3\)"),
    (drop_a_batch, ChainBroken, r"kz\.almaty: a head is of 2 batches, 1 came \(rule 3\)|batch 3 came where batch 2"),
    (drop_a_batch_and_renumber, ChainBroken, r"kz\.almaty: .*\(rule 3\)"),
    (double_a_batch, ChainBroken, r"kz\.almaty: batch 2 came where batch 3 was due \(rule 2\)"),
    (double_a_batch_and_renumber, ChainBroken, r"kz\.almaty: a head is of 2 batches, 3 came \(rule 3\)"),
    (swap_two_batches, ChainBroken, r"kz\.almaty: the batches are not those that the city signed \(rule 3\)"),
    (splice_from_another_answer, ChainBroken, r"kz\.almaty: the batches are not those"),
    (answer_of_another_request, ChainBroken, r"kz\.almaty: a head is of another request \(rule 3\)"),
    (another_schema, ChainBroken, r"kz\.almaty: the batches are not those that the city signed \(rule 3\)"),
    (start_twice, ChainBroken, r"kz\.almaty: it started twice \(rule 1\)"),
    (batch_before_start, ChainBroken, r"kz\.almaty: a batch came before the start \(rule 1\)"),
    (batch_after_manifest, ChainBroken, r"kz\.almaty: more came after its manifest \(rule 8\)"),
    (manifest_twice, ChainBroken, r"kz\.almaty: more came after its manifest \(rule 8\)"),
    (head_of_another_city, Forged, r"kz\.almaty: a head is not signed by a key of that city \(rule 3\)"),
    (head_by_the_gateway, Forged, r"kz\.almaty: a head is not signed by a key of that city \(rule 3\)"),
    (rows_miscounted, ChainBroken, r"kz\.almaty: a batch has 10 rows, its frame says 11"),
    (city_renamed, ChainBroken, r"uz\.tashkent: it started twice \(rule 1\)"),
    (no_such_city, ChainBroken, r"kz\.astana: the directory does not list it, but it answers \(rule 10\)"),
    (cut_off, Truncated, r"gw\.alliance: the stream ended without its coverage \(rule 12\)"),
    (no_manifest, CoverageMismatch, r"gw\.alliance calls kz\.almaty answered, but passed on no manifest"),
    (city_left_out_of_coverage, CoverageMismatch, r"gw\.alliance says nothing of kz\.almaty"),
    (city_listed_twice, CoverageMismatch, r"lists cn\.qingdao twice"),
    (stranger_in_coverage, CoverageMismatch, r"lists kz\.astana, which is no member"),
    (unreachable_with_its_manifest, CoverageMismatch, r"kz\.almaty unreachable, its signed manifest says answered"),
    (unreachable_after_its_rows, CoverageMismatch, r"kz\.almaty unreachable, but it sent a part of an answer"),
    (said_without_data, CoverageMismatch, r"kz\.almaty no_data, its signed manifest says answered"),
    (dropped_and_said_without_data, CoverageMismatch, r"kz\.almaty no_data, but passed on no manifest"),
    (another_manifest_named, CoverageMismatch, r"another manifest of kz\.almaty"),
    (another_reason, CoverageMismatch, r"another reason for kz\.almaty"),
    (ruled_out_wrongly, CoverageMismatch, r"rules out kz\.almaty, but its routing entry does not"),
    (coverage_of_another_request, CoverageMismatch, r"gw\.alliance: its coverage is of another request"),
    (coverage_by_another_key, Forged, r"gw\.alliance: its coverage is not signed by a key of that gateway"),
    (coverage_by_a_city, Forged, r"gw\.alliance: its coverage is not signed by a key of that gateway"),
    (coverage_of_yesterday, CoverageMismatch, r"gw\.alliance: its coverage is not of the time of this request"),
    (another_narrowing, CoverageMismatch, r"gw\.alliance: its narrowing is of another request or gateway"),
    (asked_without_narrowing, CoverageMismatch, r"kz\.almaty was asked with another narrowing"),
    (total_where_there_is_none, ChainBroken, r"gw\.alliance: it sent a part that is not a gateway's to send"),
    (city_sends_a_coverage, ChainBroken, r"kz\.almaty: it sent a gateway's coverage \(rule 11\)"),
]


@pytest.mark.parametrize(("change", "error", "message"), CAUGHT, ids=[change.__name__ for change, *_ in CAUGHT])
def test_a_gateway_is_caught(change: Change, error: type[CimfedError], message: str) -> None:
    with pytest.raises(error) as caught:
        read(World(), change)
    assert type(caught.value) is error
    assert re.search(message, caught.value.message)
    assert caught.value.exit_code == 8


def test_an_honest_gateway_is_not_caught() -> None:
    read(World(), lambda world, stream: None, require="all")


def test_no_row_of_a_batch_that_the_city_did_not_sign_is_handed_out() -> None:
    world = World()
    seen: list[str] = []
    with connect(world, lambda stream: swap_two_batches(world, stream)) as fed:
        batches = fed.read("building", purpose="research", cities=[ALMATY])
        with pytest.raises(ChainBroken):
            seen.extend(name for batch in batches for name in batch["id"].to_pylist())
    assert set(seen) <= {f"{ALMATY}/{i}" for i in range(10)}


def test_the_answer_to_a_query_given_to_another_is_refused() -> None:
    """A gateway that keeps an answer and hands it out again: its bytes are bound to the first request."""
    world = World()
    line = line_of(world)
    kept: list[bytes] = []
    honest = line.respond

    def replayed(request: bytes) -> list[bytes]:
        kept.extend(honest(request) if not kept else ())
        return kept

    line.respond = replayed
    with Federation(asker(world, line)) as fed:
        fed.read("building", purpose="research").to_table()
        with pytest.raises(ChainBroken, match="another request"):
            fed.read("building", purpose="research").to_table()


@pytest.mark.parametrize(
    ("reason", "box", "caught"),
    [("extent", (0, 0, 1, 1), None), ("collection", (0, 0, 1, 1), "for another reason"), ("extent", None, "does not")],
)
def test_ruling_out_is_repeated(reason: str, box: tuple[float, ...] | None, caught: str | None) -> None:
    def change(world: World, stream: Stream) -> None:
        if box is None:
            ruled_out_wrongly(world, stream)
        stream.say(ALMATY, reason=reason)

    if caught is None:
        read(World(), change, bbox=box, require="all")
        return
    with pytest.raises(CoverageMismatch, match=caught):
        read(World(), change, bbox=box)


def test_an_empty_routing_hash_rules_nothing_out() -> None:
    with pytest.raises(CoverageMismatch, match=r"rules out kz\.almaty by another routing entry"):
        read(World(), lambda world, stream: stream.say(ALMATY, routing_hash=b""), bbox=(0, 0, 1, 1))
