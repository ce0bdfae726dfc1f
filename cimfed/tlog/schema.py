"""The tables of a log. Rows are only ever added, but for the one of ``log_head`` and the cosignatures of a checkpoint;
checkpoints alone are taken away again, when they are old.

The entries' bytes are the only truth; every hash, the head and the keys can be made of them again. A log has one
**generation** unless a restore lost entries: then the next one begins, and what is left of the one before stays. Rows
go by one number, so that they lie in the order in which they are written:

- an entry by ``generation << 40 | index``;
- the hash of a complete subtree by ``generation << 46 | number << 6 | level``; level 0 is not stored.

Generations have 17 bits (``GENERATIONS``), so every row's number has 63.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from cimfed.trust.tlog.merkle import Subtree

ONLY = 1  # the key of the table that has one row
MOST = 2**40  # entries of a generation

# SQLite numbers rows of an INTEGER key by itself, and only of that; elsewhere 64 bits must be asked for.
NUMBER: Any = BigInteger().with_variant(Integer(), "sqlite")


@dataclass(frozen=True, order=True)
class EntryId:
    """Where an entry stands."""

    generation: int
    index: int

    @property
    def row(self) -> int:
        return self.generation << 40 | self.index

    @classmethod
    def of(cls, row: int) -> EntryId:
        return cls(row >> 40, row & MOST - 1)


def node_row(generation: int, subtree: Subtree) -> int:
    return generation << 46 | subtree.number << 6 | subtree.level


class HeadRow(SQLModel, table=True):
    """The current generation, how many entries it has, and the hashes of its tree's peaks, the largest first."""

    __tablename__ = "log_head"

    id: int = Field(primary_key=True)
    generation: int
    size: int = Field(sa_type=NUMBER)
    peaks: bytes = Field(sa_type=LargeBinary)


class EntryRow(SQLModel, table=True):
    __tablename__ = "log_entry"

    id: int = Field(sa_type=NUMBER, primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)


class NodeRow(SQLModel, table=True):
    """The hash of a complete subtree of level 1 or more."""

    __tablename__ = "log_node"

    id: int = Field(sa_type=NUMBER, primary_key=True)
    hash: bytes = Field(sa_type=LargeBinary)


class KeyRow(SQLModel, table=True):
    """What an entry is found by: see ``log``. No two entries have the same."""

    __tablename__ = "log_key"
    __table_args__ = {"sqlite_with_rowid": False}

    key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    entry: int = Field(sa_type=NUMBER)


class CheckpointRow(SQLModel, table=True):
    """A checkpoint of this log: the signed note, cosignatures and all, and when it was made."""

    __tablename__ = "log_checkpoint"

    id: int = Field(sa_type=NUMBER, primary_key=True)  # as an entry's: generation and size
    made: int = Field(sa_type=NUMBER)  # microseconds since the epoch
    note: bytes = Field(sa_type=LargeBinary)


class SeenRow(SQLModel, table=True):
    """The last checkpoint of another's log that was found consistent here: the signed note."""

    __tablename__ = "log_seen"

    origin: str = Field(primary_key=True)
    size: int = Field(sa_type=NUMBER)
    note: bytes = Field(sa_type=LargeBinary)


class ConflictRow(SQLModel, table=True):
    """A checkpoint of another's log that was refused as a witness, beside what was seen before: evidence."""

    __tablename__ = "log_conflict"

    id: bytes = Field(sa_type=LargeBinary, primary_key=True)  # SHA-256 of the note's text
    origin: str = Field(index=True)
    time: int = Field(sa_type=NUMBER)  # microseconds since the epoch
    note: bytes = Field(sa_type=LargeBinary)
    seen: bytes = Field(sa_type=LargeBinary)


TABLES: list[Any] = [
    SQLModel.metadata.tables[str(row.__tablename__)]
    for row in (HeadRow, EntryRow, NodeRow, KeyRow, CheckpointRow, SeenRow, ConflictRow)
]
