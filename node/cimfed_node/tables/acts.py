"""The log of administrative acts, and the digests of erased objects. Lines are only ever added.

They hold names and digests, never data: an act on an object has the number of objects, and no id.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from cimfed_node.tables.schema import ActRow, ErasedRow

_ACT = ActRow.__table__  # type: ignore[attr-defined]
_ERASED = ErasedRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Act:
    """What was done, by whom and when. ``subject``: the snapshot's id, the policy's version and hash, or a
    backup's digest.

    ``objects``: how many rows a snapshot has that came into force or went, or how many objects were erased.
    ``token``: drawn once, so that an act which is done again after a crash has one line.
    """

    time: int
    act: str
    operator: str
    collection: str = ""
    subject: str = ""
    objects: int = 0
    reason: str = ""
    token: bytes = field(default_factory=lambda: secrets.token_bytes(16))


def put_act(connection: Connection, act: Act) -> None:
    """One line, unless it stands already."""
    if connection.execute(select(_ACT.c.sequence).where(_ACT.c.token == act.token)).first() is None:
        connection.execute(
            insert(_ACT),
            {
                "time": act.time,
                "act": act.act,
                "operator": act.operator,
                "collection": act.collection,
                "subject": act.subject,
                "objects": act.objects,
                "reason": act.reason,
                "token": act.token,
            },
        )


def acts(connection: Connection) -> list[Act]:
    """All of them, the last one first."""
    rows = connection.execute(select(_ACT).order_by(_ACT.c.sequence.desc())).mappings()
    return [Act(**{name: row[name] for name in Act.__dataclass_fields__}) for row in rows]


def put_erased(connection: Connection, digests: Iterable[bytes], token: bytes) -> None:
    """Digests of objects that an act erased."""
    known = erased_digests(connection)
    rows = [{"digest": one, "token": token} for one in dict.fromkeys(digests) if one not in known]
    if rows:
        connection.execute(insert(_ERASED), rows)


def erased_digests(connection: Connection) -> frozenset[bytes]:
    return frozenset(connection.execute(select(_ERASED.c.digest)).scalars())
