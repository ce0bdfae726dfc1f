"""Whether everybody was shown the same log: checkpoints from its server, from its witnesses, from earlier times.

What is compared are checkpoints that the party itself signed; two that do not agree are a fork, and prove it to anyone.
What was found consistent is kept in the auditor's folder, so that the next time begins where this one ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cimfed.cli.audit_logs import Gathered, Keys, Servers, read_files
from cimfed.errors import CimfedError, Conflict, DataLoss, LogInconsistent
from cimfed.rpc.logs import LogClient
from cimfed.trust.files import replace_file
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, parse_checkpoint, parse_origin, verify_checkpoint
from cimfed.trust.tlog.export import items
from cimfed.trust.tlog.merkle import verify_consistency
from cimfed.trust.tlog.note import Note, parse_note
from cimfed.trust.tlog.walk import Walk


@dataclass(frozen=True)
class Shown:
    """A checkpoint of a log, and who had it: its server, cities, a file, or this office's memory (``kept``)."""

    by: tuple[str, ...]
    note: Note
    checkpoint: Checkpoint


@dataclass
class Compared:
    """One log. ``forks``: pairs that cannot both be of one log. ``trouble``: who could not be asked, and why."""

    origin: str
    size: int = 0
    agreed: list[str] = field(default_factory=list)
    forks: list[tuple[Shown, Shown]] = field(default_factory=list)
    trouble: dict[str, CimfedError] = field(default_factory=dict)


def compare(servers: Servers, name: str, kept: Kept) -> Compared:
    """A party's log as it is now, with what its witnesses were shown, and with what was kept of it.

    The party is asked last: its log grows meanwhile, and must not seem to be shorter than what a witness had of it.
    """
    result = Compared(name)
    shown: list[Shown] = []
    now: Shown | None = None
    with contextlib.ExitStack() as closing:
        client: LogClient | None = None
        notes: list[Note] = []
        try:
            asked = closing.enter_context(servers.client(name))
            origin, _ = servers.latest(asked)
            client = asked
        except DataLoss:
            raise
        except CimfedError as error:
            result.trouble[name] = error
            origin = kept.origin(name) or Origin(servers.directory.federation, name)
        result.origin = str(origin)
        keys = servers.keys.of(origin)
        shown += kept.shown(origin, keys)
        for city in servers.directory.members:
            if city != name:
                shown += _witnessed(servers, city, origin, result)
        if client is not None:
            try:
                notes = _of(servers.latest(client), origin)
            except DataLoss:
                raise
            except CimfedError as error:
                result.trouble[name], client = error, None
        shown = _merged([*(Shown((name,), note, parse_checkpoint(note.text)) for note in notes), *shown])
        if client is not None:
            now = next(one for one in shown if one.note.text == notes[-1].text)
        for number, one in enumerate(shown):
            _hold(one, now, shown[:number], client, result)
    if now is not None:
        result.size = now.checkpoint.size
        if not result.forks:
            kept.keep(origin, now.note)
    return result


def _of(latest: tuple[Origin, list[Note]], origin: Origin) -> list[Note]:
    """The checkpoints. Conflict where the log has begun anew since it was asked for its origin."""
    if latest[0] != origin:
        raise Conflict("the log has begun anew in this very moment", remedy="Compare again")
    return latest[1]


def _witnessed(servers: Servers, city: str, origin: Origin, result: Compared) -> Iterable[Shown]:
    try:
        with servers.client(city) as client:
            found = client.checkpoints(str(origin))
    except CimfedError as error:
        result.trouble[city] = error
        return
    keys = servers.keys.of(origin)
    for by, text in ((city, found.latest), *((f"{city} (refused)", text) for text in found.conflicts)):
        if text:
            try:
                note = parse_note(text)
                yield Shown((by,), note, verify_checkpoint(note, origin, keys))
            except DataLoss as error:  # the witness's word alone proves nothing
                result.trouble[city] = error


def _merged(shown: Iterable[Shown]) -> list[Shown]:
    """One of each checkpoint, with all who had it."""
    found: dict[tuple[int, bytes], Shown] = {}
    for one in shown:
        at = one.checkpoint.size, one.checkpoint.root
        known = found.get(at)
        found[at] = replace(known, by=tuple(dict.fromkeys((*known.by, *one.by)))) if known else one
    return list(found.values())


def _hold(one: Shown, now: Shown | None, others: Sequence[Shown], client: LogClient | None, result: Compared) -> None:
    """One that was shown against those of its size, and against the log as it is now where that can be had."""
    mine = one.checkpoint
    for other in others:
        if other.checkpoint.size == mine.size:
            _fork(result, one, other)
    if one is now:
        _agreed(result, one)
    if now is None or client is None or mine.size == now.checkpoint.size:
        return
    if mine.size > now.checkpoint.size:
        _fork(result, one, now)  # it was longer before
        return
    try:
        proof = client.consistency(result.origin, mine.size, now.checkpoint.size)
        verify_consistency(mine.size, now.checkpoint.size, proof, mine.root, now.checkpoint.root)
    except LogInconsistent:
        _fork(result, one, now)
    except CimfedError as error:
        result.trouble[client.name] = error
    else:
        _agreed(result, one)


def _agreed(result: Compared, one: Shown) -> None:
    result.agreed += [by for by in one.by if by not in result.agreed and by != parse_origin(result.origin).party]


def _fork(result: Compared, one: Shown, other: Shown) -> None:
    if (other, one) not in result.forks and (one, other) not in result.forks:
        result.forks.append((one, other))


class Kept:
    """Checkpoints that were found consistent, in a folder: one signed note for each log."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def origin(self, name: str) -> Origin | None:
        """Of the last generation that was seen of a party's log."""
        found = [parse_origin(parse_checkpoint(note.text).origin) for note in self._notes(name)]
        return max(found, key=lambda origin: origin.generation, default=None)

    def shown(self, origin: Origin, keys: Sequence[PublicKey]) -> list[Shown]:
        found = []
        for note in self._notes(origin.party):
            if parse_checkpoint(note.text).origin == str(origin):
                found.append(Shown(("kept",), note, verify_checkpoint(note, origin, keys)))
        return found

    def keep(self, origin: Origin, note: Note) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / f"{origin.party}.{origin.generation}.checkpoint", note.to_bytes())

    def _notes(self, party: str) -> list[Note]:
        if self._folder is None:
            return []
        paths = sorted(self._folder.glob(f"{party}.*.checkpoint"))
        return [parse_note(path.read_bytes()) for path in paths if path.name.rsplit(".", 2)[0] == party]


def compare_files(files: Sequence[Path], keys: Keys, gathered: Gathered) -> list[Compared]:
    """Exported logs, made at different times or given to different people: whether they are of one log each.

    A file whose entries are not those that its checkpoints are signed for proves nothing against the log's owner:
    anybody may have altered it. It is ``broken``, and compared with nothing.
    """
    shown: dict[Origin, list[Shown]] = {}
    gathered.each(map(str, files), lambda file: read_files([Path(file)], keys))
    files = [file for file in files if str(file) not in gathered.broken]
    for file in files:
        for origin, note in _notes_of(file):
            one = Shown((str(file),), note, verify_checkpoint(note, origin, keys.of(origin)))
            shown.setdefault(origin, []).append(one)
    results = {
        origin: Compared(
            str(origin), max(one.checkpoint.size for one in found), sorted({by for one in found for by in one.by})
        )
        for origin, found in shown.items()
    }
    for file in files:
        for walk in _walks(file, {origin: {one.checkpoint.size for one in found} for origin, found in shown.items()}):
            for one in shown[walk.origin]:
                if str(file) not in one.by and one.checkpoint.size == walk.size and one.checkpoint.root != walk.root:
                    own = [
                        own for own in shown[walk.origin] if str(file) in own.by and own.checkpoint.size >= walk.size
                    ]
                    for other in own[:1]:
                        _fork(results[walk.origin], one, other)
    return list(results.values())


def _notes_of(file: Path) -> Iterable[tuple[Origin, Note]]:
    origin: Origin | None = None
    with file.open("rb") as lines:
        for item in items(lines):
            if isinstance(item, Origin):
                origin = item
            elif isinstance(item, Note) and origin is not None:
                yield origin, item


def _walks(file: Path, sizes: Mapping[Origin, set[int]]) -> Iterable[Walk]:
    """The tree of the file's entries at each of these sizes."""
    walk: Walk | None = None
    with file.open("rb") as lines:
        for item in items(lines):
            if isinstance(item, Origin):
                walk = Walk(item, ())
            elif isinstance(item, bytes) and walk is not None:
                walk.add(item)
                if walk.size in sizes.get(walk.origin, ()):
                    yield walk
