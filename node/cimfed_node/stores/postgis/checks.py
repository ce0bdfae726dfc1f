"""What a serving session must be: computing what statements rely on, and unable to do or see anything but its views.

Each question is SQL that is true when all is well. A wrong set-up fails closed, and says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from cimfed.errors import BadConfig, CimfedError
from cimfed_node.stores.postgis.compose import literal
from cimfed_node.stores.postgis.links import Link

# Text by bytes, exact decimals and their sign under modulus, microseconds, closed areas and ISO WKB.
_KNOWN = """
SELECT 'Z' COLLATE "C" < 'a' AND 'z' COLLATE "C" < 'é' AND '｡' COLLATE "C" < '𐀀'
   AND mod(CAST(-7.31 AS numeric(18, 2)), 0.05) = -0.01
   AND CAST(sum(CAST(9999999999999999.99 AS numeric(18, 2))) AS text) = '19999999999999999.98'
   AND max(TIMESTAMPTZ '1970-01-01T00:00:00.000001Z') - TIMESTAMPTZ 'epoch' = INTERVAL '1 microsecond'
   AND current_setting('TimeZone') = 'UTC'
   AND current_setting('server_encoding') = 'UTF8'
   AND current_setting('standard_conforming_strings') = 'on'
   AND ST_Covers(
           ST_GeomFromWKB(decode('01010000000000000000000000000000000000f03f', 'hex'), 4326),
           ST_GeomFromWKB(decode('01010000000000000000000000000000000000f03f', 'hex'), 4326))
   AND ST_AsBinary(ST_GeomFromText('POINT Z (0 1 2)', 4326), CAST('NDR' AS text)) =
           decode('01e90300000000000000000000000000000000f03f0000000000000040', 'hex') AS fine
FROM generate_series(1, 2)
"""
# Tables of extensions are open to everyone as their makers meant it, and hold none of the city's rows.
_TABLES = """
FROM pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND s.nspname NOT IN ('pg_catalog', 'information_schema')
AND NOT EXISTS (
    SELECT FROM pg_depend AS d WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid
    AND d.refclassid = CAST('pg_extension' AS regclass) AND d.deptype = 'e')
"""
_OWN = "Give the node a role of its own, as set_up makes it"


@dataclass(frozen=True)
class Question:
    truth: str
    otherwise: str
    remedy: str


def questions(schema: str) -> list[Question]:
    own = literal(schema)
    return [
        Question(
            "(SELECT NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) "
            "FROM pg_roles WHERE rolname = current_user)",
            "the role that serves is a superuser, or may make roles or databases, replicate or pass row security",
            _OWN,
        ),
        Question(
            "NOT EXISTS (SELECT FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member "
            "WHERE r.rolname = current_user)",
            "the role that serves is a member of another role",
            "REVOKE that role from it",
        ),
        Question(
            "NOT EXISTS (SELECT FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid "
            "WHERE r.rolname = current_user AND d.refclassid = CAST('pg_authid' AS regclass) AND d.deptype = 'o')",
            "the role that serves owns something",
            "REASSIGN OWNED BY it TO the operator",
        ),
        Question(
            "current_setting('transaction_read_only') = 'on'",
            "the session can write",
            "Let no pooler between node and database drop the session's settings",
        ),
        Question(
            "NOT has_database_privilege(current_database(), 'CREATE') AND NOT EXISTS "
            "(SELECT FROM pg_namespace AS s WHERE s.nspname !~ '^pg_' AND has_schema_privilege(s.oid, 'CREATE'))",
            "the role that serves can make tables",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC, and CREATE on the database and other schemas from the role",
        ),
        Question(
            f"NOT EXISTS (SELECT {_TABLES} AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') "
            "OR has_any_column_privilege(c.oid, 'INSERT, UPDATE')))",
            "the role that serves can write a table",
            "REVOKE all but SELECT from it, and from PUBLIC",
        ),
        Question(
            f"NOT EXISTS (SELECT {_TABLES} AND s.nspname <> {own} AND has_schema_privilege(s.oid, 'USAGE') "
            "AND has_any_column_privilege(c.oid, 'SELECT'))",
            "the role that serves can read tables outside of the views' schema",
            "REVOKE SELECT on them from it and from PUBLIC",
        ),
        Question(
            f"coalesce((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = {own}), false)",
            "the role that serves cannot use the views' schema",
            "Run set_up with the operator's URL",
        ),
    ]


def check(link: Link, schema: str) -> None:
    if link.ask(_KNOWN) != [{"fine": True}]:
        raise CimfedError("the engine does not compute what statements rely on")
    asked = questions(schema)
    items = ", ".join(f"{question.truth} AS q{at}" for at, question in enumerate(asked))
    (found,) = link.ask(f"SELECT {items}")
    for at, question in enumerate(asked):
        if found[f"q{at}"] is not True:
            raise BadConfig(question.otherwise, place=schema, remedy=question.remedy)
