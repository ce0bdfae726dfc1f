"""The texts of codes that a relation holds, and what they mean by the mapping.

Codes are compared without regard to case, spaces and composition. PostgreSQL folds case by its collation, so the
relation's own texts are read here once, folded as an import folds them, and those that the mapping knows go into the
statement as they stand. A text that turns up later changes the relation's fingerprint.
"""

from __future__ import annotations

from cimfed.errors import BadFile
from cimfed.model.vocabulary import Type
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.mapping import fold
from cimfed_node.inplace.claims import Claim, Codes
from cimfed_node.inplace.fragments import Sql, q
from cimfed_node.inplace.session import Session


def known_codes(session: Session, rows: Sql, claims: list[Claim], place: str) -> Codes:
    """``rows``: the relation with the texts of its cells. Raises BadFile where the spellings of known codes go beyond
    all sense."""
    found: dict[tuple[str, str], dict[str, str | None]] = {}
    columns = {c.cell.column.name: c.cell for c in claims if c.prop.type is Type.CODE}
    for column, cell in columns.items():
        own = [c for c in claims if c.prop.type is Type.CODE and c.cell == cell and c.source is not None]
        tables = [(c, c.source.codes or {}) for c in own if c.source is not None]
        for key in own:
            found[key.prop.name, column] = {}
        query = q("SELECT DISTINCT {0} FROM {1} AS s WHERE {0} IS NOT NULL", cell.t, rows)
        for (text,) in session.stream(query, place):
            folded = fold(text)
            for claim, table in tables:
                if folded in table:
                    held = found[claim.prop.name, column]
                    held[text] = table[folded]
                    if len(held) > 10 * LIMITS.codes:
                        raise BadFile(
                            f"more than {10 * LIMITS.codes:,} spellings of known codes",
                            place=f"{place}: {column}",
                            remedy="Give a view that writes each code in one way",
                        )
    return found
