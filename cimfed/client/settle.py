"""The gateway's coverage, checked against what the cities signed. Pure: values in, a verified ``Coverage`` or an error.

1. It is signed by a key that the directory lists for the gateway that was asked (Forged).
2. It is of this request, federation and gateway, and of the time of this request.
3. It was made with the directory in hand; with an older one it might leave out a member. (A later one: NewerDirectory.)
4. It lists every member of that directory, each once, and nobody else.
5. ``answered``, ``no_data`` and ``refused`` are the city's words: its manifest was seen, is the very one and says so.
6. A city whose manifest was seen is not called ruled out, unreachable, late or broken off.
7. A city that sent anything is not called unreachable or ruled out.
8. ``ruled_out`` is repeated here: the routing entry that the city's steward signed rules it out, for the same reason.
9. The narrowing is the gateway's own, of this request; every manifest names it.
10. The total's hash is that of the total's frames. (Its content is compared in ``cimfed.client.totals``.)

What disagrees is CoverageMismatch, naming the city.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cimfed.errors import BadSignature, ChainBroken, CimfedError, CoverageMismatch, Forged
from cimfed.model.answer import BY_CITY, CityOutcome, Coverage, Manifest, Outcome
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName
from cimfed.query.query import Query
from cimfed.query.route import RuledOut, route
from cimfed.trust.answer import Asked
from cimfed.trust.directory.listing import Directory
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.trust.hashing import digest, sha256
from cimfed.wire import answers

SECOND = 1_000_000
Ending = tuple[Manifest, Envelope]


class NewerDirectory(CoverageMismatch):
    """The gateway used a later version of the directory than the one in hand."""


def settle(
    envelope: Envelope,
    query: Query,
    asked: Asked,
    gateway: str,
    directory: Directory,
    cities: Mapping[CityName, Ending | None],
    now: int | None,
) -> Coverage:
    """Checks 1 to 9. ``cities``: how each that sent anything ended, None for those that sent no manifest.

    ``now`` bounds the coverage's own time from above; None where it was long ago.
    """
    coverage = _open(envelope, query, asked, gateway, directory, now)
    directory = directory.as_of(coverage.now)
    for line in _members(coverage, directory):
        _check_word(gateway, line, cities.get(line.city))
        if line.outcome in (Outcome.UNREACHABLE, Outcome.RULED_OUT) and line.city in cities:
            raise CoverageMismatch(f"{gateway} calls {line.city} {line.outcome}, but it sent a part of an answer")
    _check_routing(coverage, query, directory)
    _check_narrowing(coverage, asked, [ending[0] for ending in cities.values() if ending])
    return coverage


def check_total(coverage: Coverage, schema: bytes, payloads: Iterable[bytes | memoryview]) -> None:
    """Check 10. An empty ``schema``: no total was sent."""
    expected = digest("cimfed/total/v1", (schema, *map(sha256, payloads))) if schema else b""
    if coverage.total_hash != expected:
        raise CoverageMismatch(f"{coverage.gateway} signs another total than it sent")


def _open(
    envelope: Envelope, query: Query, asked: Asked, gateway: str, directory: Directory, now: int | None
) -> Coverage:
    """Checks 1 to 3."""
    # 1
    try:
        verify(envelope, PayloadType.COVERAGE, directory.gateway(gateway).keys)
    except (BadSignature, CimfedError):
        raise Forged(f"{gateway}: its coverage is not signed by a key of that gateway") from None
    coverage = answers.decode_coverage(envelope.payload)
    # 2
    if coverage.request_hash != asked.request_hash:
        raise CoverageMismatch(f"{gateway}: its coverage is of another request")
    if coverage.federation != asked.federation or coverage.gateway != gateway:
        raise CoverageMismatch(f"{gateway}: its coverage is of {coverage.gateway} in {coverage.federation}")
    tolerance = int(LIMITS.clock_tolerance * SECOND)
    if coverage.now < query.issued - tolerance or (now is not None and coverage.now > now + tolerance):
        raise CoverageMismatch(f"{gateway}: its coverage is not of the time of this request")
    # 3
    if coverage.directory_version > directory.version:
        raise NewerDirectory(
            f"{gateway} used version {coverage.directory_version} of the directory, only {directory.version} can be had"
        )
    if coverage.directory_version < directory.version:
        raise CoverageMismatch(
            f"{gateway} used version {coverage.directory_version} of the directory, older than {directory.version}",
            remedy="A member may be left out; ask again when the gateway has the current one",
        )
    return coverage


def _members(coverage: Coverage, directory: Directory) -> tuple[CityOutcome, ...]:
    """Check 4."""
    seen: set[CityName] = set()
    for line in coverage.cities:
        if line.city in seen:
            raise CoverageMismatch(f"{coverage.gateway} lists {line.city} twice")
        if line.city not in directory.members:
            raise CoverageMismatch(f"{coverage.gateway} lists {line.city[:100]}, which is no member")
        seen.add(line.city)
    for city in directory.members:
        if city not in seen:
            raise CoverageMismatch(f"{coverage.gateway} says nothing of {city}")
    return coverage.cities


def _check_word(gateway: str, line: CityOutcome, ending: Ending | None) -> None:
    """Checks 5 and 6."""
    if ending is None:
        if line.outcome in BY_CITY:
            raise CoverageMismatch(
                f"{gateway} calls {line.city} {line.outcome}, but passed on no manifest that says so"
            )
        return
    manifest, envelope = ending
    if line.outcome is not manifest.outcome:
        raise CoverageMismatch(
            f"{gateway} calls {line.city} {line.outcome}, its signed manifest says {manifest.outcome}"
        )
    if line.manifest_hash != envelope.payload_hash:
        raise CoverageMismatch(f"{gateway} names another manifest of {line.city} than it passed on")
    if (line.reason, line.message) != (manifest.reason, manifest.message):
        raise CoverageMismatch(f"{gateway} gives another reason for {line.city} than its signed manifest")


def _check_routing(coverage: Coverage, query: Query, directory: Directory) -> None:
    """Check 8. The gateway may ask a city that routing rules out, but not leave out one that it does not."""
    ruled_out = route(query, {city: member.entry for city, member in directory.members.items()})
    for line in coverage.cities:
        if line.outcome is not Outcome.RULED_OUT:
            continue
        why = ruled_out[line.city]
        if why is None:
            raise CoverageMismatch(f"{coverage.gateway} rules out {line.city}, but its routing entry does not")
        if line.reason != why:
            raise CoverageMismatch(f"{coverage.gateway} rules out {line.city} for another reason than {why}")
        entry = directory.routing(line.city)
        if why is not RuledOut.NOT_ADDRESSED and (entry is None or line.routing_hash != entry[1].payload_hash):
            raise CoverageMismatch(f"{coverage.gateway} rules out {line.city} by another routing entry than its own")


def _check_narrowing(coverage: Coverage, asked: Asked, manifests: Iterable[Manifest]) -> None:
    """Check 9."""
    try:
        narrowing = answers.decode_narrowing(coverage.narrowing)
    except ChainBroken:
        raise CoverageMismatch(f"{coverage.gateway}: its narrowing cannot be read") from None
    if narrowing.request_hash != asked.request_hash or narrowing.gateway != coverage.gateway or narrowing.passed:
        raise CoverageMismatch(f"{coverage.gateway}: its narrowing is of another request or gateway")
    expected = sha256(coverage.narrowing)
    for manifest in manifests:
        if manifest.narrowing_hash != expected:
            raise CoverageMismatch(f"{manifest.city} was asked with another narrowing than {coverage.gateway} says")
