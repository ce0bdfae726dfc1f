"""The tables. Times are microseconds since 1970-01-01T00:00Z; hashes are raw bytes; names are text.

Decisions, outcomes and acts are entries of the log, whose tables are ``cimfed.tlog.schema``'s. They and the rows of
``erased`` are only ever added. They hold digests and names: never data, never a filter or its literals. A decision goes
by its ``position``, a number that is drawn: it stands in manifests, and one that counted would tell each partner how
much the others ask.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from cimfed.tlog.schema import TABLES as LOG_TABLES

SCHEMA_VERSION = 5
ONLY = 1  # the key of tables that have one row

# SQLite numbers rows of an INTEGER key by itself, and only of that; elsewhere 64 bits must be asked for.
_NUMBER: Any = BigInteger().with_variant(Integer(), "sqlite")


class SchemaRow(SQLModel, table=True):
    __tablename__ = "schema_version"

    id: int = Field(primary_key=True)
    version: int


class ClockRow(SQLModel, table=True):
    """The highest time that a query was decided at: this node never decides at an earlier one.

    ``restored``: when the node last came back from a backup, 0 if never. What was decided before that may be forgotten.
    """

    __tablename__ = "clock"

    id: int = Field(primary_key=True)
    mark: int = Field(sa_type=_NUMBER)
    restored: int = Field(default=0, sa_type=_NUMBER)


class SnapshotRow(SQLModel, table=True):
    """A snapshot that was imported; ``current`` on at most one of a collection."""

    __tablename__ = "snapshot"

    id: str = Field(primary_key=True)
    collection: str = Field(index=True)
    current: bool = False
    rows: int = Field(sa_type=_NUMBER)
    xmin: float | None = None
    ymin: float | None = None
    xmax: float | None = None
    ymax: float | None = None
    operation: str = ""  # the one PROJ operation of the import
    accuracy: float | None = None  # metres; unknown: none
    vertical: str = ""
    licence: str = ""
    attribution: str = ""
    imported: int = Field(sa_type=_NUMBER)


class ViewRow(SQLModel, table=True):
    """A view that stands. ``source``: a file's path relative to the views folder, or a relation's name.
    ``arrow_schema``: an Arrow schema message."""

    __tablename__ = "view"

    id: str = Field(primary_key=True)
    engine: str
    source: str
    collection: str
    snapshot: str
    shape_hash: bytes = Field(sa_type=LargeBinary)
    compiler: str
    arrow_schema: bytes = Field(sa_type=LargeBinary)
    rows: int = Field(sa_type=_NUMBER)
    widths: str  # JSON: Arrow bytes of a row by column
    size: int = Field(sa_type=_NUMBER)
    sha256: bytes = Field(sa_type=LargeBinary)
    built: int = Field(sa_type=_NUMBER)


class PolicyRow(SQLModel, table=True):
    """A policy version that was ever in force here; its signed file is ``policies/<version>.policy.json``."""

    __tablename__ = "policy"

    version: int = Field(sa_type=_NUMBER, primary_key=True)
    hash: bytes = Field(sa_type=LargeBinary)
    active: bool = Field(default=False, index=True)
    activated: int = Field(sa_type=_NUMBER)
    valid_from: int = Field(sa_type=_NUMBER)
    valid_to: int = Field(sa_type=_NUMBER)


class GrantRow(SQLModel, table=True):
    """A grant of the active policy and the view that answers it; none while its collection has no snapshot."""

    __tablename__ = "active_grant"

    grant: str = Field(primary_key=True)
    policy: int = Field(sa_type=_NUMBER)
    collection: str
    shape_hash: bytes = Field(sa_type=LargeBinary)
    view: str | None = None


class NonceRow(SQLModel, table=True):
    __tablename__ = "nonce"

    signer: bytes = Field(sa_type=LargeBinary, primary_key=True)
    value: bytes = Field(sa_type=LargeBinary, primary_key=True)
    kept_until: int = Field(sa_type=_NUMBER, index=True)


class SlotRow(SQLModel, table=True):
    """A query that runs, by its decision's position.

    It is renewed while it does; one whose process died ends at ``expires``.
    """

    __tablename__ = "slot"

    decision: int = Field(sa_type=_NUMBER, primary_key=True)
    partner: str = Field(index=True)
    view: str = ""
    expires: int = Field(sa_type=_NUMBER)


class BlockRow(SQLModel, table=True):
    """Whom this city answers no more, until the row goes: a name, a key's id in hex digits, or everybody."""

    __tablename__ = "block"

    subject: str = Field(primary_key=True)
    since: int = Field(sa_type=_NUMBER)
    operator: str
    reason: str


class ErasedRow(SQLModel, table=True):
    """A keyed digest of an object that was erased, and the token of the act."""

    __tablename__ = "erased"

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    token: bytes = Field(sa_type=LargeBinary)


TABLES: list[Any] = LOG_TABLES + [
    SQLModel.metadata.tables[str(row.__tablename__)]
    for row in (
        SchemaRow,
        ClockRow,
        SnapshotRow,
        ViewRow,
        PolicyRow,
        GrantRow,
        NonceRow,
        SlotRow,
        BlockRow,
        ErasedRow,
    )
]
