"""What a lying gateway does to the answer that it passes on: one trick each."""

from __future__ import annotations

from dataclasses import replace

from cimfed.model.answer import Manifest, Outcome
from cimfed.model.names import CityName
from cimfed.query.query import Aggregate
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.hashing import digest, sha256
from cimfed.trust.keys import KeySigner
from cimfed.wire import answers, frames
from cimfed_gateway.merge import add_up
from cimfed_gateway.relay import Relay
from tests.attack.liar import Liar, Told, numbered

VICTIM, OTHER, EMPTY = "kz.almaty", "uz.tashkent", "in.delhi"
TOTAL = 13  # the count that ``change_the_total`` looks for


def _batches(told: Told) -> list[int]:
    return told.places(VICTIM, None)


def change_one_byte(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    at = _batches(told)[1]
    data = bytearray(items[at])
    data[-9] ^= 1
    items[at] = bytes(data)


def drop_a_batch(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    del items[_batches(told)[1]]


def drop_a_batch_and_close_the_gap(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    _, second, *rest = _batches(told)
    for at in rest:
        items[at] = numbered(items[at], frames.decode(items[at]).index - 1)
    del items[second]


def drop_the_last_batch(told: Told, _liar: Liar) -> None:
    """And every head behind it."""
    items = told.cities[VICTIM]
    last = _batches(told)[-1]
    for at in reversed([place for place in told.places(VICTIM, frames.Head) if place > last]):
        del items[at]
    del items[last]


def double_a_batch(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    at = _batches(told)[1]
    items.insert(at, items[at])


def double_a_batch_and_count_on(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    at = _batches(told)[0]
    items.insert(at + 1, numbered(items[at], 2))
    for place in told.places(VICTIM, None)[2:]:
        items[place] = numbered(items[place], frames.decode(items[place]).index + 1)


def swap_two_batches(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    first, second = _batches(told)[:2]
    items[first], items[second] = items[second], items[first]


def swap_two_batches_and_their_numbers(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    first, second = _batches(told)[:2]
    items[first], items[second] = numbered(items[second], 1), numbered(items[first], 2)


def count_a_row_more(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    at = _batches(told)[0]
    frame = frames.decode(items[at])
    items[at] = frames.encode(replace(frame, rows=frame.rows + 1))


def cut_off(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    del items[_batches(told)[1] :]
    told.coverage = None


def withhold_the_manifest(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    del items[told.places(VICTIM, frames.Manifest)[0]]


def send_the_manifest_twice(told: Told, _liar: Liar) -> None:
    items = told.cities[VICTIM]
    items.append(items[told.places(VICTIM, frames.Manifest)[0]])


def forge_a_head(told: Told, liar: Liar) -> None:
    """Changes a batch and signs a head over it with the only key it has."""
    items = told.cities[VICTIM]
    place = told.places(VICTIM, frames.Head)[0]
    part = frames.decode(items[place]).part
    assert isinstance(part, frames.Head)
    envelope = seal(PayloadType.HEAD, part.envelope.payload, liar.signer)
    items[place] = frames.encode(frames.Frame(VICTIM, frames.Head(envelope)))


def splice_a_batch(told: Told, liar: Liar) -> None:
    """From its answer to an earlier query, which went another way through the rows."""
    at = told.places(VICTIM, None)[1]
    told.cities[VICTIM][at] = liar.past[0].cities[VICTIM][at]


def splice_a_citys_stream(told: Told, liar: Liar) -> None:
    told.cities[VICTIM] = liar.past[0].cities[VICTIM]


def splice_a_city_and_its_line(told: Told, liar: Liar) -> None:
    """With the coverage's line of that time."""
    splice_a_citys_stream(told, liar)
    old = liar.past[0].coverage
    assert old is not None
    (line,) = (item for item in old.cities if item.city == VICTIM)
    told.line(VICTIM, **{name: value for name, value in vars(line).items() if name != "city"})


def resend_an_old_answer(told: Told, liar: Liar) -> None:
    old = liar.past[0].copy()
    told.cities, told.total, told.coverage = old.cities, old.total, old.coverage


def pass_one_city_for_another(told: Told, _liar: Liar) -> None:
    told.cities[OTHER] = [frames.encode(replace(frames.decode(data), city=OTHER)) for data in told.cities[VICTIM]]


def add_rows_of_its_own(told: Told, liar: Liar) -> None:
    frame = frames.decode(told.cities[VICTIM][told.places(VICTIM, None)[0]])
    told.total = [frames.encode(replace(frame, city=liar.name, index=1))]


def drop_a_city(told: Told, _liar: Liar) -> None:
    del told.cities[VICTIM]
    told.unlist(VICTIM)


def drop_a_city_from_the_stream(told: Told, _liar: Liar) -> None:
    del told.cities[VICTIM]


def drop_a_city_from_the_coverage(told: Told, _liar: Liar) -> None:
    told.unlist(VICTIM)


def list_a_city_twice(told: Told, _liar: Liar) -> None:
    assert told.coverage is not None
    told.coverage = replace(told.coverage, cities=(*told.coverage.cities, told.coverage.cities[0]))


def list_a_stranger(told: Told, _liar: Liar) -> None:
    assert told.coverage is not None
    stranger = replace(told.coverage.cities[0], city=CityName("xx.nowhere"))
    told.coverage = replace(told.coverage, cities=(*told.coverage.cities, stranger))


def call_it_unreachable_and_pass_its_frames_on(told: Told, _liar: Liar) -> None:
    told.call(VICTIM, Outcome.UNREACHABLE, "node_unreachable")


def call_it_late_and_pass_its_frames_on(told: Told, _liar: Liar) -> None:
    told.call(VICTIM, Outcome.TIMED_OUT, "timed_out")


def call_it_unreachable_after_its_rows(told: Told, _liar: Liar) -> None:
    """Without the manifest."""
    told.cities[VICTIM].pop()
    told.call(VICTIM, Outcome.UNREACHABLE, "node_unreachable")


def call_it_unreachable(told: Told, _liar: Liar) -> None:
    del told.cities[VICTIM]
    told.call(VICTIM, Outcome.UNREACHABLE, "node_unreachable")


def call_it_broken_off(told: Told, _liar: Liar) -> None:
    """Without the manifest."""
    told.cities[VICTIM].pop()
    told.call(VICTIM, Outcome.BROKEN, "truncated")


def call_it_empty(told: Told, _liar: Liar) -> None:
    del told.cities[VICTIM]
    told.call(VICTIM, Outcome.NO_DATA)


def call_it_empty_beside_its_rows(told: Told, _liar: Liar) -> None:
    told.line(VICTIM, outcome=Outcome.NO_DATA)


def call_it_empty_by_a_forged_manifest(told: Told, liar: Liar) -> None:
    """Signed with the only key it has."""
    value = _manifest(told, VICTIM)
    empty = replace(value, outcome=Outcome.NO_DATA, rows=0, batches=0, chain=bytes(32))
    envelope = seal(PayloadType.MANIFEST, answers.encode_manifest(empty), liar.signer)
    told.cities[VICTIM] = [frames.encode(frames.Frame(VICTIM, frames.Manifest(envelope)))]
    told.line(VICTIM, outcome=Outcome.NO_DATA, manifest_hash=envelope.payload_hash)


def call_it_empty_by_another_citys_manifest(told: Told, _liar: Liar) -> None:
    part = frames.decode(told.cities[EMPTY][-1]).part
    assert isinstance(part, frames.Manifest)
    told.cities[VICTIM] = [frames.encode(frames.Frame(VICTIM, part))]
    told.line(VICTIM, outcome=Outcome.NO_DATA, manifest_hash=part.envelope.payload_hash)


def say_that_it_refused(told: Told, _liar: Liar) -> None:
    told.line(VICTIM, outcome=Outcome.REFUSED, reason="not_granted")


def rule_it_out(told: Told, liar: Liar) -> None:
    del told.cities[VICTIM]
    routing = liar.directories.current(liar.now()).routing(VICTIM)
    assert routing is not None
    told.line(
        VICTIM,
        outcome=Outcome.RULED_OUT,
        reason="extent",
        message="",
        manifest_hash=b"",
        routing_hash=routing[1].payload_hash,
    )


def sign_the_coverage_of_another_request(told: Told, _liar: Liar) -> None:
    assert told.coverage is not None
    told.coverage = replace(told.coverage, request_hash=bytes(32))


def sign_as_another_gateway(told: Told, liar: Liar) -> None:
    assert told.coverage is not None
    told.ending = [liar.coverage_frame(told.coverage, KeySigner.generate())]


def use_an_older_directory(told: Told, _liar: Liar) -> None:
    assert told.coverage is not None
    told.coverage = replace(told.coverage, directory_version=told.coverage.directory_version - 1)


def send_no_coverage(told: Told, _liar: Liar) -> None:
    told.coverage = None


def name_another_narrowing(told: Told, liar: Liar) -> None:
    assert told.coverage is not None
    said = answers.decode_narrowing(told.coverage.narrowing)
    told.coverage = replace(told.coverage, narrowing=answers.encode_narrowing(replace(said, passed=(said.gateway,))))
    assert liar.name == said.gateway


def leave_the_narrowing_out(told: Told, _liar: Liar) -> None:
    assert told.coverage is not None
    told.coverage = replace(told.coverage, narrowing=b"")


# Of aggregates


def change_the_total(told: Told, _liar: Liar) -> None:
    """And sign the hash of what it sends."""
    (data,) = told.total[1:]
    frame = frames.decode(data)
    payload = bytearray(frame.payload)
    at = payload.rindex(TOTAL.to_bytes(8, "little"))
    payload[at] += 1
    told.total[1] = frames.encode(replace(frame, payload=bytes(payload)))
    start = frames.decode(told.total[0]).part
    assert isinstance(start, frames.Start)
    assert told.coverage is not None
    told.coverage = replace(told.coverage, total_hash=digest("cimfed/total/v1", (start.schema, sha256(bytes(payload)))))


def change_the_total_alone(told: Told, liar: Liar) -> None:
    assert told.coverage is not None
    signed = told.coverage.total_hash
    change_the_total(told, liar)
    told.coverage = replace(told.coverage, total_hash=signed)


def keep_the_total_back(told: Told, _liar: Liar) -> None:
    told.total = []


def keep_the_total_back_and_say_so(told: Told, liar: Liar) -> None:
    assert told.coverage is not None
    keep_the_total_back(told, liar)
    told.coverage = replace(told.coverage, total_hash=b"")


def call_it_unreachable_and_leave_it_out_of_the_total(told: Told, liar: Liar) -> None:
    call_it_unreachable(told, liar)
    assert liar.asked is not None
    assert told.coverage is not None
    request = liar.asked.query.request
    assert isinstance(request, Aggregate)
    relays = []
    for city, items in told.cities.items():
        relay = Relay(CityName(city), told.coverage.request_hash, liar.asked.directory.member(city).keys, keep=True)
        for data in items:
            relay.look(data)
        relays.append(relay)
    total = add_up(liar.name, request, relays)
    told.total, told.coverage = list(total.frames), replace(told.coverage, total_hash=total.hash)


def _manifest(told: Told, city: str) -> Manifest:
    part = frames.decode(told.cities[city][-1]).part
    assert isinstance(part, frames.Manifest)
    return answers.decode_manifest(part.envelope.payload)
