"""The new life that a control database begins when it comes back from a backup.

Between the backup and now the node may have answered: nonces were spent, and lines logged, that this database does not
know. So, in one transaction:
1. the time of the return is kept, and the clock's mark is not below it: queries of before are refused from now on;
2. slots of the old life are free, and its views are forgotten: their files are in no backup;
3. a snapshot that did not come along is not current;
4. the log goes on under a new generation (``new_generation``), since outside a longer one may have been seen;
5. the return has its line among the acts.
"""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import delete, update
from sqlalchemy.engine import Connection

from cimfed.tlog import log
from cimfed.tlog.checkpoints import generation_of
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import Act, Restored
from cimfed_node.tables.acts import put_act
from cimfed_node.tables.admissions import clock_mark
from cimfed_node.tables.schema import ClockRow, GrantRow, SlotRow, SnapshotRow, ViewRow

_CLOCK = ClockRow.__table__  # type: ignore[attr-defined]
_SLOT = SlotRow.__table__  # type: ignore[attr-defined]
_VIEW = ViewRow.__table__  # type: ignore[attr-defined]
_GRANT = GrantRow.__table__  # type: ignore[attr-defined]
_SNAPSHOT = SnapshotRow.__table__  # type: ignore[attr-defined]


def begin_new_life(connection: Connection, act: Act, snapshots: Set[str], origin: Origin) -> None:
    """``act``: the return, its time that of the new life's beginning; ``snapshots``: those that came along.

    ``origin``: the name of the node's log.
    """
    restored = max(act.time, clock_mark(connection))
    connection.execute(update(_CLOCK).values(mark=restored, restored=restored))
    connection.execute(delete(_SLOT))
    connection.execute(update(_GRANT).values(view=None))
    connection.execute(delete(_VIEW))
    connection.execute(update(_SNAPSHOT).where(_SNAPSHOT.c.id.not_in(snapshots)).values(current=False))
    new_generation(connection, origin, restored)
    put_act(connection, act)


def new_generation(connection: Connection, origin: Origin, now: int) -> None:
    """Begins the log anew; its first entry says how far this database knows the one before."""
    known = log.head(connection)
    before = generation_of(origin, known.generation)
    log.begin_generation(connection, Restored(now, str(before), known.size, known.root))
