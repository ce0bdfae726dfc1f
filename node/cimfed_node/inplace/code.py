"""Whether reading a relation would run code of strangers.

A view's tables are read with its owner's rights, but its functions run with the reader's: here the operator's, who
may grant and make roles. So do casts of a type (``CREATE CAST``) wherever a column of it is made text, and constant
calls in indexes and constraints, which the planner works out. Whoever may write such a thing could do all that the
operator may. What is run has to be of a role that could act as the operator anyhow; a materialised view, which runs
nothing when it is read, is the way out.

Even functions of PostgreSQL's own can be told to run any SQL (``query_to_xml``). Of these a view may call the immutable
ones, PostGIS's ``st_`` ones, and stable ones of ``pg_catalog`` that do not.

PostGIS's schema is where the statements of this room look for names. A function there that is called like one of
PostgreSQL's or PostGIS's and fits a call better would be taken instead of it.

The relation is locked for the transaction, so that it is not another one after it was looked at; a materialised view,
which PostgreSQL does not lock by name, is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cimfed.errors import BadFile
from cimfed_node.inplace.fragments import lit, q

if TYPE_CHECKING:
    from cimfed_node.inplace.session import Connection, Session

BELOW = (
    "below(oid) AS (SELECT {}::oid UNION SELECT d.oid FROM below AS b CROSS JOIN LATERAL ("
    " SELECT p.refobjid FROM pg_class AS v JOIN pg_rewrite AS w ON w.ev_class = v.oid"
    " JOIN pg_depend AS p ON p.classid = 'pg_rewrite'::regclass AND p.objid = w.oid"
    " AND p.refclassid = 'pg_class'::regclass WHERE v.oid = b.oid AND v.relkind = 'v'"
    " UNION SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = b.oid) AS d(oid))"
)
"""A relation and what its rows come from when it is read: through views, and down to the partitions of a table."""

_STRANGE = "NOT pg_has_role({}, current_user, 'MEMBER')"
_FOUND = (
    "WITH RECURSIVE " + BELOW + ", trees(read, tree) AS ("
    " SELECT true, w.ev_action::text FROM below AS b JOIN pg_class AS v ON v.oid = b.oid AND v.relkind = 'v'"
    " JOIN pg_rewrite AS w ON w.ev_class = v.oid"
    " UNION ALL SELECT false, concat(i.indexprs::text, i.indpred::text) FROM below AS b"
    " JOIN pg_index AS i ON i.indrelid = b.oid"
    " UNION ALL SELECT false, c.conbin::text FROM below AS b JOIN pg_constraint AS c ON c.conrelid = b.oid"
    " UNION ALL SELECT false, x.stxexprs::text FROM below AS b JOIN pg_statistic_ext AS x ON x.stxrelid = b.oid"
    " UNION ALL SELECT false, concat(p.partexprs::text) FROM below AS b"
    " JOIN pg_partitioned_table AS p ON p.partrelid = b.oid),"
    " called(read, oid) AS (SELECT t.read, m[1]::oid FROM trees AS t CROSS JOIN LATERAL regexp_matches(t.tree,"
    " ':(?:funcid|opfuncid|hashfuncid|negfuncid|aggfnoid|winfnoid|tsmhandler) ([0-9]+)', 'g') AS m),"
    " cast_to(oid) AS (SELECT m[1]::oid FROM trees AS t CROSS JOIN LATERAL"
    " regexp_matches(t.tree, ':resulttype ([0-9]+)', 'g') AS m),"
    " used(oid) AS (SELECT a.atttypid FROM below AS b JOIN pg_attribute AS a ON a.attrelid = b.oid AND a.attnum > 0"
    " UNION SELECT x.oid FROM used AS u JOIN pg_type AS y ON y.oid = u.oid CROSS JOIN LATERAL ("
    " SELECT y.typelem UNION ALL SELECT y.typbasetype UNION ALL SELECT a.atttypid FROM pg_attribute AS a"
    " WHERE a.attrelid = y.typrelid AND y.typrelid <> 0 AND a.attnum > 0) AS x(oid) WHERE x.oid <> 0)"
    " SELECT 'the function ' || f.oid::regprocedure || ' of ' || quote_ident(r.rolname) FROM pg_proc AS f"
    " JOIN pg_roles AS r ON r.oid = f.proowner JOIN pg_language AS l ON l.oid = f.prolang"
    " WHERE (" + _STRANGE.format("f.proowner") + " AND (f.oid IN (SELECT c.oid FROM called AS c)"
    " OR f.oid IN (SELECT k.castfunc FROM pg_cast AS k JOIN used AS u ON u.oid = k.castsource)))"
    " OR (f.oid IN (SELECT c.oid FROM called AS c WHERE c.read) AND f.provolatile <> 'i'"
    " AND NOT (f.proname ~ '^_?st_' AND l.lanname = 'c' AND NOT f.proname ~ 'extent')"
    " AND (f.provolatile = 'v' OR f.pronamespace <> 'pg_catalog'::regnamespace OR f.proname ~ '_to_xml'))"
    " UNION ALL SELECT 'the domain ' || y.oid::regtype || ' of ' || quote_ident(r.rolname) FROM pg_type AS y"
    " JOIN pg_roles AS r ON r.oid = y.typowner WHERE y.oid IN (SELECT c.oid FROM cast_to AS c) AND y.typtype = 'd'"
    " AND " + _STRANGE.format("y.typowner") + " ORDER BY 1 LIMIT 3"
)
_OVERLOADS = (
    "WITH place(oid) AS (SELECT e.extnamespace FROM pg_extension AS e WHERE e.extname = 'postgis')"
    " SELECT 'function ' || f.oid::regprocedure, r.rolname FROM place AS s JOIN pg_proc AS f ON f.pronamespace = s.oid"
    " JOIN pg_roles AS r ON r.oid = f.proowner WHERE " + _STRANGE.format("f.proowner") + " AND EXISTS (SELECT FROM"
    " pg_proc AS o WHERE o.proname = f.proname AND o.oid <> f.oid AND NOT " + _STRANGE.format("o.proowner") + ")"
    " UNION ALL SELECT 'operator ' || p.oid::regoperator, r.rolname FROM place AS s JOIN pg_operator AS p"
    " ON p.oprnamespace = s.oid JOIN pg_roles AS r ON r.oid = p.oprowner WHERE "
    + _STRANGE.format("p.oprowner")
    + " ORDER BY 1 LIMIT 1"
)


def refuse_strangers(session: Session, oid: int, place: str) -> None:
    """Raises BadFile where reading a relation runs what is not to be trusted. The relation is locked: see above."""
    session.lock(oid, place)
    found = session.rows(q(_FOUND, lit(oid)), place)
    if found:
        raise BadFile(
            "to read it would run code with the operator's rights that may do more than read",
            place=place,
            remedy="Copy what it shows into a table or a materialised view of the same owner, and name that",
            details=[row[0] for row in found],
        )


def refuse_overloads(connection: Connection) -> None:
    """Raises BadFile where somebody put a function of a known name beside PostGIS's."""
    found = connection.execute(_OVERLOADS.encode()).fetchone()
    if found is not None:
        what, role = found
        raise BadFile(
            f"the {what} of {role} stands in PostGIS's schema and may be taken for another of that name",
            place="the database",
            remedy="Drop it, or give it to an administrator (ALTER ... OWNER TO); REVOKE CREATE on that schema",
        )
