"""Asks others, all at once and never for long: are they there, what is the time there, which directory do they have.

1. Each is dialled as any client dials it: with the own leaf, believing the listed issuers alone. The directory service
   is then asked under whatever certificate it shows, as followers do.
2. What a mirror serves is verified from the pinned root, in a folder that goes away again: nothing of the home changes,
   and nothing that a mirror says is believed.
3. ``LIMIT`` seconds are for everybody together; whoever has not answered by then did not answer in time.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cimfed.console import told
from cimfed.doctor.peers import Asked
from cimfed.errors import BadDirectory, CimfedError, NodeUnreachable, TimedOut, UnknownPeer
from cimfed.model.names import Federation
from cimfed.rpc.mirror import PartyMirror, UnknownService, extra_mirror
from cimfed.rpc.ping import Pong, ping
from cimfed.trust.directory import layout
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Always, Folder, Mirror
from cimfed.trust.tls import Issuer, Leaf

LIMIT = 5.0  # seconds
T = TypeVar("T")


def at_once(tasks: Mapping[str, Callable[[], T]], seconds: float | None = None) -> dict[str, T | CimfedError]:
    """What each gives or raises; TimedOut for those that take longer. These are left to themselves."""
    seconds = LIMIT if seconds is None else seconds
    found: dict[str, T | CimfedError] = {}
    done = threading.Condition()

    def run(name: str, task: Callable[[], T]) -> None:
        result: T | CimfedError
        try:
            result = task()
        except Exception as error:
            result = told(error)
        with done:
            found[name] = result
            done.notify()

    for name, task in tasks.items():
        threading.Thread(target=run, args=(name, task), name=f"doctor {name}", daemon=True).start()
    until = time.monotonic() + seconds
    with done:
        done.wait_for(lambda: len(found) == len(tasks), max(0.0, until - time.monotonic()))
        late = TimedOut(f"no answer within {seconds:g} s")
        return {name: found.get(name, late) for name in tasks}


@dataclass(frozen=True)
class Target:
    """One to be asked. ``issuers`` empty: the directory service, of which nothing is known yet."""

    name: str
    address: str
    issuers: tuple[Issuer, ...] = ()
    needed: bool = False
    own: bool = False


class _Pinged(Mirror, Protocol):
    def ping(self, now: Callable[[], int]) -> Pong | None: ...

    def close(self) -> None: ...


class _Party(PartyMirror):
    def ping(self, now: Callable[[], int]) -> Pong | None:
        return ping(self._channel, self.name, now, LIMIT)


class _Unknown(UnknownService):
    def ping(self, now: Callable[[], int]) -> Pong | None:
        self.get(layout.TIMESTAMP_FILE)  # which connects
        return ping(self._channel, self.name, now, LIMIT)


class _Extra:
    """Plain files: they have no health check."""

    def __init__(self, text: str) -> None:
        self._mirror: Any = extra_mirror(text)
        self.name: str = self._mirror.name

    def get(self, path: str) -> bytes | None:
        content: bytes | None = self._mirror.get(path)
        return content

    def ping(self, now: Callable[[], int]) -> Pong | None:
        return None

    def close(self) -> None:
        with suppress(AttributeError):
            self._mirror.close()


@dataclass
class _Answer:
    pong: Pong | None
    timestamp: bytes | None
    mirror: _Pinged
    verified: bool


class Askers:
    """For one home. ``directory``: the follower's folder in it. ``leaf``: the own one for client use, None without.
    ``root``: the pinned one; where None, nothing could verify what is served, and nothing of it is read."""

    def __init__(
        self, of: Federation, directory: Path, leaf: Leaf | None, now: Callable[[], int], root: bytes | None
    ) -> None:
        self._of, self._home, self._leaf, self._now, self._root = of, directory, leaf, now, root
        self._open: list[_Pinged] = []

    def ask(self, targets: Sequence[Target], service: str, extra: Sequence[str] = ()) -> list[Asked]:
        """``service``: the directory service's name among the targets, which nobody in particular may ask.
        ``extra``: further mirrors, as settings name them."""
        mirrors = {text: _Extra(text) for text in extra}
        tasks: dict[str, Callable[[], _Answer]] = {
            target.name: lambda target=target: self._dial(target, target.name == service)  # type: ignore[misc]
            for target in targets
        }
        tasks |= {text: lambda mirror=mirror: self._call(mirror) for text, mirror in mirrors.items()}  # type: ignore[misc]
        try:
            answers = at_once(tasks)
            served = self._followed({name: each for name, each in answers.items() if isinstance(each, _Answer)})
            asked = [self._asked(target, answers[target.name], served) for target in targets]
            return asked + [self._asked(Target(text, ""), answers[text], served) for text in mirrors]
        finally:
            for mirror in list(self._open):  # which ends calls that still run
                mirror.close()

    def _asked(
        self, target: Target, answer: _Answer | CimfedError, served: Mapping[str, Directory | CimfedError]
    ) -> Asked:
        made = Asked(target.name, target.address, target.needed, target.own)
        if isinstance(answer, CimfedError):
            return replace(made, error=answer)
        made = replace(made, pong=answer.pong, verified=answer.verified)
        if self._root is None:
            return made
        found = served.get(target.name, BadDirectory("it has none"))
        return replace(made, trouble=found) if isinstance(found, CimfedError) else replace(made, served=found)

    def _dial(self, target: Target, service: bool) -> _Answer:
        if not service and self._leaf is None:
            raise UnknownPeer("there is no certificate here to call with", remedy="See what is said of the TLS key")
        if not target.address:
            raise UnknownPeer(f"the directory does not list {target.name}", remedy="Name another in the profile")
        if not target.issuers:
            return self._call(_Unknown(target.address), verified=False)
        leaf = None if service else self._leaf
        try:
            return self._call(_Party(self._of, target.name, target.address, target.issuers, leaf))
        except NodeUnreachable as error:
            if service:
                with suppress(CimfedError):
                    return self._call(_Unknown(target.address), verified=False)
            raise why_unreachable(target.name, target.address, error) from None

    def _call(self, mirror: _Pinged, verified: bool = True) -> _Answer:
        self._open.append(mirror)
        pong = mirror.ping(self._now)
        return _Answer(pong, mirror.get(layout.TIMESTAMP_FILE), mirror, verified)

    def _followed(self, answers: Mapping[str, _Answer]) -> dict[str, Directory | CimfedError]:
        """By name of the mirror: the directory behind its timestamp. Those that serve the same are read once."""
        by_stamp: dict[bytes, dict[str, _Answer]] = {}
        for name, each in answers.items():
            if each.timestamp is not None and self._root is not None:
                by_stamp.setdefault(each.timestamp, {})[name] = each

        def task(number: int) -> Callable[[], dict[str, Directory | CimfedError]]:
            stamp, mirrors = list(by_stamp.items())[number]
            return lambda: self._follow_any(stamp, mirrors)

        found: dict[str, Directory | CimfedError] = {}
        done = at_once({str(number): task(number) for number in range(len(by_stamp))})
        for number, mirrors in enumerate(by_stamp.values()):
            result = done[str(number)]
            found |= dict.fromkeys(mirrors, result) if isinstance(result, CimfedError) else result
        return found

    def _follow_any(self, timestamp: bytes, mirrors: Mapping[str, _Answer]) -> dict[str, Directory | CimfedError]:
        """In turn, until one serves all that belongs to its timestamp: so one that lies stands alone."""
        found: dict[str, Directory | CimfedError] = {}
        good: Directory | None = None
        for name, each in mirrors.items():
            try:
                good = good or self._follow(timestamp, each.mirror)
                found[name] = good
            except CimfedError as error:
                found[name] = error
        return found

    def _follow(self, timestamp: bytes, mirror: Mirror) -> Directory:
        try:
            return self._follow_from(_Near(timestamp, mirror, Folder(self._home / "files")))
        except BadDirectory:  # it may have another content of a version that the home has
            return self._follow_from(_Near(timestamp, mirror))

    def _follow_from(self, mirror: Mirror) -> Directory:
        with tempfile.TemporaryDirectory(prefix="cimfed-doctor-", ignore_cleanup_errors=True) as folder:
            assert self._root is not None
            pin(Path(folder), self._root)
            return Follower(Path(folder), self._of, Always(mirror), self._now).refresh()


class _Near:
    """A mirror whose files are taken from ``kept`` where that has them: they are verified like any."""

    def __init__(self, timestamp: bytes, mirror: Mirror, kept: Mapping[str, bytes] | None = None) -> None:
        self.name, self._timestamp, self._mirror = mirror.name, timestamp, mirror
        self._kept = {} if kept is None else kept

    def get(self, path: str) -> bytes | None:
        if path == layout.TIMESTAMP_FILE:
            return self._timestamp
        with suppress(CimfedError):
            content = self._kept.get(path)
            if content is not None:
                return content
        return self._mirror.get(path)


def why_unreachable(name: str, address: str, error: CimfedError) -> CimfedError:
    """More than gRPC tells: no such host, no connection, or no TLS."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
    except socket.gaierror:
        return NodeUnreachable("there is no host of that name")
    except TimeoutError:
        return NodeUnreachable("the host does not answer")
    except OSError as why:
        return NodeUnreachable(f"no connection: {why.strerror}" if why.strerror else error.message)
    return UnknownPeer(
        "it takes connections, but TLS comes to nothing: one side does not know the other's issuing key",
        remedy=f"Compare what the directory lists with card.json, here and at {name}; look for a proxy in between",
    )
