"""Administrative acts, which are entries of the log, and the digests of erased objects. Lines are only ever added.

They hold names and digests, never data: an act on an object has the number of objects, and no id.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from cimfed.tlog import log
from cimfed.trust.tlog.entries import Act
from cimfed_node.tables.schema import ErasedRow

_ERASED = ErasedRow.__table__  # type: ignore[attr-defined]


def put_act(connection: Connection, act: Act) -> None:
    """One line, unless it stands already."""
    if log.find(connection, log.act_key(act.token)) is None:
        log.append(connection, act)


def acts(connection: Connection) -> list[Act]:
    """All of them, the last one first."""
    return [entry for _, entry in log.history(connection, backwards=True) if isinstance(entry, Act)]


def put_erased(connection: Connection, digests: Iterable[bytes], token: bytes) -> None:
    """Digests of objects that an act erased."""
    known = erased_digests(connection)
    rows = [{"digest": one, "token": token} for one in dict.fromkeys(digests) if one not in known]
    if rows:
        connection.execute(insert(_ERASED), rows)


def erased_digests(connection: Connection) -> frozenset[bytes]:
    return frozenset(connection.execute(select(_ERASED.c.digest)).scalars())
