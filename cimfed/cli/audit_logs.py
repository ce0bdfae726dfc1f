"""Where an auditor's entries come from: exported files, or the servers themselves. Nothing is given before it verifies.

A server's entries are asked for under a registrar's signature, over the connection of a listed partner: nodes and
gateways take callers that the directory lists, and no others. From the checkpoint that the server signed, the tree is
recomputed: from the first entry, or from the hashes that stand for those before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cimfed.cli.audit_sums import ReadLog
from cimfed.errors import BadAnswer, BadConfig, CimfedError, DataLoss, LogInconsistent, UnknownPeer
from cimfed.rpc import clock
from cimfed.rpc.logs import LogClient
from cimfed.trust.admin import AdminRequest, Occasion, seal_admin
from cimfed.trust.directory.listing import Directory, Partner, signing_keys
from cimfed.trust.keys import PublicKey, Signer
from cimfed.trust.tlog.checkpoint import (
    Checkpoint,
    Origin,
    cosigned_by,
    parse_checkpoint,
    parse_origin,
    verify_checkpoint,
)
from cimfed.trust.tlog.entries import Entry, Other
from cimfed.trust.tlog.export import items
from cimfed.trust.tlog.note import Note, parse_note
from cimfed.trust.tlog.readings import ACTION, Reading
from cimfed.trust.tlog.walk import Walk
from cimfed.trust.tls import LeafSource
from cimfed.wire.logs import Page

T = TypeVar("T")
AT_ONCE = 1_000_000  # entries asked for; a reply has as many as fit


@dataclass
class Keys:
    """Who may sign checkpoints: those that the directory lists, the revoked too, and what the auditor names besides."""

    directory: Directory | None
    more: tuple[PublicKey, ...] = ()

    def of(self, origin: Origin) -> Sequence[PublicKey]:
        """UnknownPeer where nothing is known of whose log it is."""
        listed = () if self.directory is None else self._listed(self.directory, origin.party)
        if not listed and not self.more:
            raise UnknownPeer(
                f"no key of {origin.party} is known", remedy="Name an office (--home), or its key (--log-key)"
            )
        return (*listed, *self.more)

    def cosigned(self, note: Note, origin: Origin) -> tuple[str, ...]:
        """The cities, other than the log's own, whose cosignature it bears. Forged for a false one."""
        if self.directory is None:
            return ()
        federation = self.directory.federation
        return tuple(
            city
            for city, member in self.directory.published.members.items()
            if city != origin.party and cosigned_by(note, str(Origin(federation, city)), member.keys) is not None
        )

    def _listed(self, directory: Directory, name: str) -> tuple[PublicKey, ...]:
        parties = {str(party.name): party for party in (directory.service, *directory.published.parties())}
        return signing_keys(parties[name]) if name in parties else ()


def read_files(files: Iterable[Path], keys: Keys) -> list[ReadLog]:
    """Of exported logs, each recomputed whole. LogInconsistent, Forged with the place."""
    return [read for file in files for read in _read_file(file, keys)]


def _read_file(file: Path, keys: Keys) -> Iterator[ReadLog]:
    walk: Walk | None = None
    entries: list[Entry | Other] = []
    last: tuple[Checkpoint, Note] | None = None
    try:
        with file.open("rb") as lines:
            for item in items(lines):
                if isinstance(item, Origin):
                    if walk is not None:
                        yield _whole(walk, entries, last, keys)
                    walk, entries, last = Walk(item, keys.of(item)), [], None
                elif walk is None:
                    raise LogInconsistent("the first line does not say whose log it is")
                elif isinstance(item, Note):
                    last = walk.check(item), item
                else:
                    entries.append(walk.add(item)[0])
        if walk is not None:
            yield _whole(walk, entries, last, keys)
    except DataLoss as error:
        place = f"{file}, {error.place}" if error.place else str(file)
        raise type(error)(error.message, place=place, remedy=error.remedy) from None


def _whole(walk: Walk, entries: list[Entry | Other], last: tuple[Checkpoint, Note] | None, keys: Keys) -> ReadLog:
    signed = last[0].size if last else 0
    cosigned = keys.cosigned(last[1], walk.origin) if last else ()
    return ReadLog(walk.origin, 0, entries, last[0] if last else None, walk.checkpoints, cosigned, walk.size - signed)


@dataclass
class Servers:
    """Logs of listed parties, read over the wire. ``signer``: a registrar's key. ``leaves``: of a listed partner."""

    directory: Directory
    signer: Signer | None
    leaves: LeafSource | None
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = Keys(self.directory)

    @property
    def names(self) -> list[str]:
        """Everybody who has a log."""
        directory = self.directory
        return [directory.service.name, *sorted(directory.gateways), *sorted(directory.members)]

    @contextlib.contextmanager
    def client(self, name: str) -> Iterator[LogClient]:
        if isinstance(self.directory.party(name), Partner):
            raise UnknownPeer(f"{name} has no log")
        leaf = self.leaves.current(clock.now()) if self.leaves else None
        with LogClient(self.directory, name, leaf) as client:
            yield client

    def latest(self, client: LogClient) -> tuple[Origin, list[Note]]:
        """The party's log as it is now, and its checkpoints, verified: the last, and before it the last cosigned."""
        found = client.checkpoints()
        notes = {text: parse_note(text) for text in (found.cosigned, found.latest) if text}
        origin = parse_origin(parse_checkpoint(parse_note(found.latest).text).origin)
        if origin.first != Origin(self.directory.federation, client.name):
            raise BadAnswer(f"{client.name} has given a checkpoint of another log")
        for note in notes.values():
            verify_checkpoint(note, origin, self.keys.of(origin))
        return origin, list(notes.values())

    def read(self, name: str, first_of: Callable[[int], int] = lambda size: 0) -> ReadLog:
        """From that entry on (of the log's size) to the last that is signed."""
        with self.client(name) as client:
            origin, notes = self.latest(client)
            by_size = {parse_checkpoint(note.text).size: note for note in notes}
            size = max(by_size)
            first = min(max(0, first_of(size)), size)
            walk, entries = Walk(origin, self.keys.of(origin)), list[Entry | Other]()
            walk.size = first
            for number, page in enumerate(self._pages(client, origin, first, size)):
                if number == 0:
                    walk.peaks = _peaks(page, name)
                for content in page.entries[: size - walk.size]:
                    entries.append(walk.add(content)[0])
                    if walk.size in by_size:
                        walk.check(by_size[walk.size])
        if walk.size != size or (not walk.checkpoints and size):
            raise BadAnswer(f"{name} has given {walk.size} entries of {size}")
        cosigned = dict.fromkeys(city for note in notes for city in self.keys.cosigned(note, origin))
        last = parse_checkpoint(by_size[size].text)
        return ReadLog(origin, first, entries, last, walk.checkpoints, tuple(cosigned))

    def _pages(self, client: LogClient, origin: Origin, first: int, size: int) -> Iterator[Page]:
        if self.signer is None:
            raise BadConfig("entries are read under a registrar's key", place="--key", remedy="Name an office (--home)")
        at = first
        while at < size:
            reading = Reading(client.name, at, min(AT_ONCE, size - at), origin.generation)
            occasion = Occasion.now(self.directory.federation, self.directory.service.name, clock.now())
            page = client.entries(seal_admin(AdminRequest(occasion, ACTION, reading.arguments), self.signer))
            if page.origin != str(origin) or page.first != at or not page.entries:
                raise BadAnswer(f"{client.name} has given other entries than it was asked for")
            yield page
            at += len(page.entries)


def _peaks(page: Page, name: str) -> list[bytes]:
    if len(page.peaks) != page.first.bit_count() or any(len(one) != 32 for one in page.peaks):
        raise BadAnswer(f"{name} has given other hashes than a tree of {page.first} entries has")
    return list(page.peaks)


@dataclass
class Gathered:
    """What came of asking each of several: ``broken`` does not verify, ``missing`` could not be had."""

    missing: dict[str, CimfedError] = field(default_factory=dict)
    broken: dict[str, CimfedError] = field(default_factory=dict)

    def each(self, names: Iterable[str], ask: Callable[[str], T]) -> list[T]:
        found = []
        for name in names:
            try:
                found.append(ask(name))
            except DataLoss as error:
                self.broken[name] = error
            except CimfedError as error:
                self.missing[name] = error
        return found
