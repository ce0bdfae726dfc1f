"""Times: of PostgreSQL's own types as they are, of text by the forms of ISO 8601 that cities write.

Read are a year, a month, a date, or a date and a time, in the extended or the basic form, with or without a zone; what
names no zone is UTC. Weeks, which an import from files reads too, are not: they stay in ``ext``.
"""

from __future__ import annotations

from cimfed_node.inplace.fragments import Sql, lit, q, stripped
from cimfed_node.inplace.relation import Kind

_TIME = (
    r"^([0-9]{4})(?:-([0-9]{2})|(?:(-?)([0-9]{2})\3([0-9]{2})"
    r"(?:.([0-9]{2})(?:(:?)([0-9]{2})(?:\7([0-9]{2})(?:[.,]([0-9]+))?)?)?"
    r"(Z|([+-])([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2}))?)?)?)?))?$"
)
"""1 year, 2 month alone, 4 month, 5 day, 6 hour, 8 minute, 9 second, 10 fraction, 12 sign, 13 to 15 offset."""


def parts(text: Sql) -> Sql:
    return q("regexp_match({}, {})", stripped(text), lit(_TIME))


def instant(kind: Kind, value: Sql, found: Sql) -> Sql:
    """``found``: the parts of a text; not asked for where the column is of a time's own type."""
    if kind in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        moment = value if kind is Kind.TIMESTAMPTZ else q("({}::timestamp AT TIME ZONE 'UTC')", value)
        first, end = ("0001-01-01", "10000-01-01") if kind is Kind.DATE else ("0001-01-01T00:00Z", "10000-01-01T00:00Z")
        return q("CASE WHEN {0} >= {1} AND {0} < {2} THEN {3} END", value, lit(first), lit(end), moment)
    return q(
        "(SELECT CASE WHEN y >= 1 AND mo BETWEEN 1 AND 12 AND d >= 1 AND h <= 23 AND mi <= 59 AND s <= 59"
        " AND oh <= 23 AND om <= 59 AND os <= 59 THEN CASE WHEN d <= extract(day FROM make_date(y, mo, 1)"
        " + interval '1 month' - interval '1 day') THEN"
        " (make_timestamp(y, mo, d, h, mi, s) + us * interval '1 microsecond'"
        " - sign * make_interval(hours => oh, mins => om, secs => os)) AT TIME ZONE 'UTC' END END"
        " FROM (SELECT f[1]::integer AS y, COALESCE(f[2], f[4], '1')::integer AS mo, COALESCE(f[5], '1')::integer AS d,"
        " COALESCE(f[6], '0')::integer AS h, COALESCE(f[8], '0')::integer AS mi, COALESCE(f[9], '0')::integer AS s,"
        " rpad(left(COALESCE(f[10], '0'), 6), 6, '0')::integer AS us, CASE f[12] WHEN '-' THEN -1 ELSE 1 END AS sign,"
        " COALESCE(f[13], '0')::integer AS oh, COALESCE(f[14], '0')::integer AS om,"
        " COALESCE(f[15], '0')::integer AS os FROM (SELECT {} AS f) AS a OFFSET 0) AS b)",
        found,
    )
