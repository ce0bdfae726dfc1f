"""The new life that a control database begins when it comes back from a backup.

Between the backup and now the node may have answered: nonces were spent, and lines logged, that this database does not
know. So, in one transaction:
1. the time of the return is kept, and the clock's mark is not below it: queries of before are refused from now on;
2. slots of the old life are free, and its views are forgotten: their files are in no backup;
3. a snapshot that did not come along is not current;
4. the log begins a new generation, since outside a longer one may have been seen, and the return is an act in it.
"""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import delete, update
from sqlalchemy.engine import Connection

from cimfed.tlog.copying import begin_again
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import Act
from cimfed_node.tables.acts import put_act
from cimfed_node.tables.admissions import clock_mark
from cimfed_node.tables.schema import ClockRow, GrantRow, SlotRow, SnapshotRow, ViewRow

_CLOCK = ClockRow.__table__  # type: ignore[attr-defined]
_SLOT = SlotRow.__table__  # type: ignore[attr-defined]
_VIEW = ViewRow.__table__  # type: ignore[attr-defined]
_GRANT = GrantRow.__table__  # type: ignore[attr-defined]
_SNAPSHOT = SnapshotRow.__table__  # type: ignore[attr-defined]


def begin_new_life(connection: Connection, act: Act, snapshots: Set[str], log: Origin, generation: int = 0) -> Origin:
    """``act``: the return, its time that of the new life's beginning; ``snapshots``: those that came along.

    Gives the name of the log from now on. ``generation``: its number, if not the next one.
    """
    restored = max(act.time, clock_mark(connection))
    connection.execute(update(_CLOCK).values(mark=restored, restored=restored))
    connection.execute(delete(_SLOT))
    connection.execute(update(_GRANT).values(view=None))
    connection.execute(delete(_VIEW))
    connection.execute(update(_SNAPSHOT).where(_SNAPSHOT.c.id.not_in(snapshots)).values(current=False))
    begun = begin_again(connection, log, restored, generation)
    put_act(connection, act)
    return begun
