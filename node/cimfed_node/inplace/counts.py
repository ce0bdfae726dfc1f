"""What the rows of a statement come to, counted by the database in one pass, and told as an import tells it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cimfed.model.instants import instant_of
from cimfed.model.routing import Extent
from cimfed.model.vocabulary import Collection, Type
from cimfed_node.ingest.footprint import PROJECTION
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.report import BadObject
from cimfed_node.inplace.claims import Claim
from cimfed_node.inplace.fragments import Sql, joined, lit, name, q
from cimfed_node.inplace.harmonise import CORNERS, Statement
from cimfed_node.inplace.session import Session

EXAMPLES = 5


@dataclass
class Counts:
    """Of good rows, but for ``bad``: reason -> rows."""

    rows: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    derived: Counter[str] = field(default_factory=Counter)
    matched: dict[str, dict[str, int]] = field(default_factory=dict)
    missed: dict[int, int] = field(default_factory=dict)  # by the claim's number
    unclaimed: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    extent: Extent | None = None
    times: tuple[int | None, int | None] = (None, None)


def count(session: Session, made: Statement, collection: Collection, id_column: str, place: str) -> Counts:
    """One pass over all rows."""
    claimed = {claim.cell.column.name for claim in made.claims}
    free = [cell for cell in made.cells if cell.column.name not in claimed and cell.column.name != id_column]
    asked: dict[str, Sql] = {"rows": q("count(*)"), "repaired": _where(name("row_mended"))}
    for prop in collection.properties.values():
        column = "name_texts" if prop.type is Type.NAMES else CORNERS[0] if prop.type is Type.BOX else prop.name
        asked[f"null {prop.name}"] = _where(q("s.{} IS NULL", name(column)))
        if prop.name.endswith("_method"):
            made_up = q("s.{} IN ('derived', {})", name(prop.name), lit(PROJECTION))
            asked[f"derived {prop.name.removesuffix('_method')}"] = _where(made_up)
    for claim in made.claims:
        asked[f"won {claim.number}"] = _where(claim.won)
        asked[f"missed {claim.number}"] = _where(claim.missed)
    for cell in free:
        asked[f"free {cell.number}"] = _where(q("{} IS NOT NULL", cell.x))
    for corner in CORNERS:
        asked[corner] = q(f"{corner[-3:]}(s.{corner})")
    asked["first"], asked["last"] = q("min(s.valid_from)"), q("max(s.valid_to)")
    query = q("SELECT s.row_bad, {} FROM {} AS s GROUP BY s.row_bad", joined(asked.values()), made.rows)
    counts = Counts()
    for reason, *values in session.rows(query, place):
        found = dict(zip(asked, values, strict=True))
        if reason is None:
            _take(counts, found, made.claims)
            counts.unclaimed.update({c.column.name: n for c in free if (n := found[f"free {c.number}"])})
        else:
            counts.bad[reason] = found["rows"]
    return counts


def _where(condition: Sql) -> Sql:
    return q("count(*) FILTER (WHERE {})", condition)


def _take(counts: Counts, found: dict[str, Any], claims: tuple[Claim, ...]) -> None:
    counts.rows, counts.repaired = found["rows"], found["repaired"]
    for key, value in found.items():
        what, _, subject = key.partition(" ")
        if what == "null":
            counts.nulls[subject] = value
        elif what == "derived":
            counts.derived[subject] = value
    for claim in claims:
        won = found[f"won {claim.number}"]
        if won:
            counts.matched.setdefault(claim.prop.name, {})[claim.cell.column.name] = won
        counts.missed[claim.number] = found[f"missed {claim.number}"]
    west, south, east, north = (found[corner] for corner in CORNERS)
    if west is not None:
        counts.extent = (west, south, east, north)
    counts.times = (_instant(found["first"]), _instant(found["last"]))


def _instant(value: datetime | None) -> int | None:
    return None if value is None else instant_of(value)


def unmapped(session: Session, made: Statement, counts: Counts, place: str) -> dict[tuple[str, str], dict[str, int]]:
    """The values that are no code, number or time, the most frequent first."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for claim in made.claims:
        if counts.missed.get(claim.number):
            query = q(
                "SELECT r.u, count(*) FROM (SELECT left(COALESCE({}, {}::text), 64) AS u FROM {} AS s WHERE {}"
                ' AND s.attributes_bad IS NULL) AS r GROUP BY r.u ORDER BY 2 DESC, r.u COLLATE "C" LIMIT {}',
                *(claim.cell.t, claim.cell.x, made.rows, claim.missed, lit(LIMITS.codes)),
            )
            found[claim.prop.name, claim.cell.column.name] = dict(session.rows(query, place))
    return found


def bad_rows(session: Session, made: Statement, place: str, *, each: int | None) -> list[BadObject]:
    """Bad rows by reason and id; ``each``: so many of every reason at most."""
    query = q(
        "SELECT r.row_id, r.row_bad FROM (SELECT s.row_id, s.row_bad, row_number() OVER (PARTITION BY s.row_bad"
        ' ORDER BY s.row_id COLLATE "C") AS n FROM {} AS s WHERE s.row_bad IS NOT NULL) AS r WHERE {}'
        ' ORDER BY r.row_bad COLLATE "C", r.n',
        made.rows,
        q("true") if each is None else q("r.n <= {}", lit(each)),
    )
    return [BadObject(place, id or "", reason) for id, reason in session.stream(query, place)]


def shared_ids(session: Session, made: Statement, id_text: Sql, place: str) -> tuple[int, list[str]]:
    """How many ids stand for several rows, and the first ones."""
    query = q(
        "SELECT count(*) OVER (), d.i FROM (SELECT {0} AS i FROM {1} AS s WHERE {0} IS NOT NULL GROUP BY 1"
        ' HAVING count(*) > 1) AS d ORDER BY d.i COLLATE "C" LIMIT 20',
        id_text,
        made.texts,
    )
    rows = session.rows(query, place)
    return (rows[0][0] if rows else 0), [row[1] for row in rows]
