"""Comparing what was shown of a log, with servers that are lists of entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from cimfed.cli.audit_forks import Compared, Kept, compare
from cimfed.cli.audit_logs import Servers
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, parse_origin, sign_checkpoint
from cimfed.trust.tlog.note import Note
from cimfed.wire.logs import Checkpoints
from tests.unit.cimfed.trust.tlog.test_merkle import head, subproof

ORIGIN: Origin = parse_origin("sco/gw.alliance")
KEY = KeySigner.from_seed(b"\1" * 32)
OWNER, WITNESS = "gw.alliance", "kz.almaty"


def note(entries: list[bytes]) -> Note:
    return sign_checkpoint(Checkpoint(str(ORIGIN), len(entries), head(entries)), KEY)


@dataclass
class Served:
    """The owner's log, which grows by an entry whenever anybody is asked, and a witness that has all of it at once.

    ``other``: what the witness has in place of it.
    """

    entries: list[bytes]
    other: list[bytes] = field(default_factory=list)
    directory: Any = field(default_factory=lambda: SimpleNamespace(members=(WITNESS,), federation="sco"))
    keys: Any = field(default_factory=lambda: SimpleNamespace(of=lambda origin: [KEY.public]))

    @contextmanager
    def client(self, name: str) -> Iterator[Any]:
        yield SimpleNamespace(name=name, checkpoints=self.checkpoints, consistency=self.consistency)

    def latest(self, client: Any) -> tuple[Origin, list[Note]]:
        self.entries.append(b"more")
        return ORIGIN, [note(self.entries)]

    def checkpoints(self, origin: str) -> Checkpoints:
        self.entries.append(b"more")
        return Checkpoints(note(self.other or self.entries).to_bytes())

    def consistency(self, origin: str, old: int, new: int) -> tuple[bytes, ...]:
        return tuple(subproof(old, self.entries[:new], True))


def compared(served: Served) -> Compared:
    return compare(cast(Servers, served), OWNER, Kept(None))


def test_a_log_that_grows_while_it_is_compared_is_no_fork() -> None:
    result = compared(Served([b"a", b"b"]))
    assert (result.forks, result.trouble) == ([], {})
    assert result.agreed == [WITNESS]
    assert result.size == 5


def test_a_witness_that_was_shown_more_than_there_is_proves_a_fork() -> None:
    result = compared(Served([b"a", b"b"], other=[b"a", b"b", b"c", b"d", b"e", b"f"]))
    assert [(one.by, other.by) for one, other in result.forks] == [((WITNESS,), (OWNER,))]


def test_a_witness_that_was_shown_other_entries_proves_a_fork() -> None:
    result = compared(Served([b"a", b"b"], other=[b"a", b"x"]))
    assert [(one.by, other.by) for one, other in result.forks] == [((WITNESS,), (OWNER,))]
