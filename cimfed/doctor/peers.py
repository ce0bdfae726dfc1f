"""Others: reached or not, serving or not, and which directory each has. Facts to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from cimfed.doctor.clocks import Offset
from cimfed.doctor.finding import Checking, Code, Finding
from cimfed.errors import CimfedError, Denied, NodeUnreachable, TimedOut, Unauthenticated
from cimfed.rpc.ping import Pong
from cimfed.trust.directory.layout import ROOT, TARGETS, TIMESTAMP, TIMESTAMP_FILE
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.publication import parsed

CHECK = Checking("peers")
SPREADS = 30_000_000  # microseconds after which whatever was published has come everywhere; followers take 2 s


@dataclass(frozen=True)
class Asked:
    """What came of asking one. ``needed``: nothing works here without it. ``own``: it is this home's own server.

    ``pong`` None: it has no health check (plain files), or did not answer; ``error`` says why. ``served``: the
    directory that its files prove, None where ``trouble`` says why not. ``verified`` False: the directory service,
    under another certificate than the directory lists.
    """

    name: str
    address: str = ""
    needed: bool = False
    own: bool = False
    pong: Pong | None = None
    error: CimfedError | None = None
    served: Directory | None = None
    trouble: CimfedError | None = None
    verified: bool = True


def offsets(asked: Sequence[Asked]) -> Mapping[str, Offset]:
    """How others' clocks stand to the own one."""
    return {
        each.name: Offset(each.pong.offset, each.pong.doubt)
        for each in asked
        if not each.own and each.pong is not None and each.pong.offset is not None
    }


def newest(known: Sequence[Directory | None]) -> Directory | None:
    """The newest, by version and then by its stamp."""
    return max((each for each in known if each), key=lambda each: (each.version, each.issued), default=None)


def peers(asked: Sequence[Asked], known: Directory | None, now: int) -> Iterator[Finding]:
    """``known``: the newest directory of all."""
    for each in asked:
        yield from _own(each) if each.own else _peer(each, known, now)
    mirrors = [each for each in asked if not each.own]
    if mirrors and not any(each.served for each in mirrors):
        yield CHECK.error(
            Code.MIRRORS_AWAY,
            "no mirror of the directory could be asked: what is known here goes on until it ends",
            "Is this host's network up? Else tell the administrator, or name another mirror (mirrors in the settings)",
            until=known.expires if known else None,
        )


def reached(asked: Sequence[Asked]) -> Iterator[Finding]:
    """Who is there, where nothing that they serve can be verified here; under whatever certificate."""
    for each in asked:
        yield from _peer(replace(each, verified=True), None, 0)


def followed(held: Directory | None, known: Directory | None, now: int) -> Iterator[Finding]:
    """Whether what a server keeps here is up to date. None held: it never was followed here."""
    if known is None:
        return
    if held is not None:
        spreading = now < held.expires and now - known.issued < SPREADS
        newest = held.version >= known.version and (now < held.expires or held.expires >= known.expires)
        if spreading or newest:
            return
    what = f"version {held.version}" if held else "nothing"
    yield Checking("directory").warning(
        Code.DIRECTORY_BEHIND,
        f"{what} is kept here, version {known.version} is current: nothing that serves here follows it",
        "Is the service running? Its log says what it meets at the mirrors",
    )


def forks(found: Mapping[str, Directory]) -> Iterator[Finding]:
    """``found``: the directory that each has, by name. Of one root, a version has one content, and what was revoked
    stays so until the board has spoken: only stolen keys make it otherwise."""
    for (one, first), (other, second) in combinations(found.items(), 2):
        if first.versions[ROOT] != second.versions[ROOT]:
            continue
        older, newer = sorted((first, second), key=lambda each: each.version)
        what = ""
        if first.version == second.version and first.hash != second.hash:
            what = f"version {first.version} of the directory is one at {one} and another at {other}"
        elif _stamp(first).version == _stamp(second).version and _stamp(first) != _stamp(second):
            what = f"timestamp {_stamp(first).version} of the directory is one at {one} and another at {other}"
        elif older.versions[TARGETS] == newer.versions[TARGETS] and not set(newer.revoked) >= set(older.revoked):
            what = f"of {one} and {other} the one with the newer directory lacks revocations that the other has"
        if what:
            yield Checking("directory").error(
                Code.DIRECTORY_FORKED,
                what,
                "Tell the administrator at once: the directory service's key is misused. The board exchanges it",
                about=other,
            )


def _stamp(directory: Directory) -> Any:
    return parsed(directory.files[TIMESTAMP_FILE]).signed


def _own(each: Asked) -> Iterator[Finding]:
    if each.pong is not None and each.pong.serving:
        yield CHECK.ok(f"{each.name} itself serves at {each.address}, {_took(each.pong)}", about=each.name)
        return
    why = _why(each.error) if each.error else "it says that it is not serving"
    yield CHECK.warning(
        Code.NOT_SERVING,
        f"{each.name} itself is not reached at {each.address}, which the directory lists: {why}",
        "Start it; or, where hosts inside cannot dial what others dial, ask from outside",
        about=each.name,
    )


def _peer(each: Asked, known: Directory | None, now: int) -> Iterator[Finding]:
    make = CHECK.error if each.needed else CHECK.warning
    if isinstance(each.error, Unauthenticated | Denied):
        yield CHECK.error(
            Code.PEER_REFUSES,
            f"{each.name} at {each.address} takes no call from here: {_why(each.error)}",
            each.error.remedy or "It follows the directory: see how that lists what is here",
            about=each.name,
        )
        return
    if each.error is not None and not isinstance(each.error, NodeUnreachable | TimedOut):
        yield make(
            Code.PEER_NOT_SERVING,
            f"{each.name} is reached at {each.address}, and answers nothing but {_why(each.error)}",
            each.error.remedy or "Its operator's log says why",
            about=each.name,
        )
        return
    if each.error is not None:
        yield make(
            Code.PEER_UNREACHABLE,
            f"{each.name} cannot be reached{f' at {each.address}' if each.address else ''}: {_why(each.error)}",
            "Is it running, does a firewall let this host through, and is its address the listed one?",
            about=each.name,
        )
        return
    if each.pong is not None and not each.pong.serving:
        yield make(
            Code.PEER_NOT_SERVING,
            f"{each.name} is reached, and says that it does not serve",
            "It starts, ends, or has not passed its self-test: its operator's log says which",
            about=each.name,
        )
    if not each.verified:
        yield CHECK.warning(
            Code.SERVICE_UNVERIFIED,
            f"the directory service at {each.address} shows another certificate than the directory lists",
            "Expected before the first fetch and while it changes its key; else somebody stands in between",
            about=each.name,
        )
    mirrored = [*_mirror(each, known, now)]
    yield from mirrored
    if each.pong is not None and each.pong.serving and not mirrored:
        version = f", directory version {each.served.version}" if each.served else ""
        yield CHECK.ok(f"{each.name} serves at {each.address}, {_took(each.pong)}{version}", about=each.name)
    elif each.pong is None and each.served and not mirrored:
        yield CHECK.ok(f"{each.name} has directory version {each.served.version}", about=each.name)


def _mirror(each: Asked, known: Directory | None, now: int) -> Iterator[Finding]:
    if each.trouble is not None:
        yield CHECK.error(
            Code.MIRROR_FALSE,
            f"the directory that {each.name} serves does not verify here: {_why(each.trouble)}",
            "Followers pass it over. Tell its operator and the administrator; compare fingerprints of root.json",
            about=each.name,
        )
    elif each.served is not None and known is not None:
        ended = now >= each.served.ends[TIMESTAMP]
        behind = each.served.version < known.version and now - known.issued >= SPREADS
        if behind or ended:
            yield CHECK.warning(
                Code.MIRROR_BEHIND,
                f"{each.name} has version {each.served.version} of the directory, stamped long ago; "
                f"version {known.version} is current",
                "Followers pass it over. Tell its operator: it does not reach the directory service",
                about=each.name,
                since=each.served.issued,
            )


def _why(error: CimfedError) -> str:
    return f"{error.reason}: {error.message}"


def _took(pong: Pong) -> str:
    return f"{pong.latency * 1000:.0f} ms"
