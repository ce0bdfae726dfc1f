"""Whether a relation is what a snapshot recorded: the number of its rows and a sum of their hashes.

A row's hash is the first 64 bits of the SHA-256 of its text, all columns that are harmonised in it; the sum goes over
rows in any order and is exact. Two states with one fingerprint are as unlikely as a guess of 64 bits. The text of a row
goes with the session's settings, so it is taken under ``session.SETTINGS`` only. Views should be built in the same
transaction in which the fingerprint was found to be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cimfed_node.inplace.fragments import Sql, joined, name, q
from cimfed_node.inplace.session import Session


@dataclass(frozen=True)
class Fingerprint:
    """``sum``: modulo 2**64, as 16 hexadecimal digits."""

    rows: int
    sum: str


def fingerprint(session: Session, source: Sql, columns: Iterable[str], place: str) -> Fingerprint:
    """Of a relation's rows in these columns. Geometries count with all their coordinates."""
    row = q("ROW({})::text", joined([q("s.{}", name(column)) for column in columns]))
    query = q(
        "SELECT count(*), COALESCE(sum(('x' || encode(substr(sha256(convert_to(r.t, 'UTF8')), 1, 8), 'hex'))"
        "::bit(64)::bigint::numeric), 0) FROM (SELECT {} AS t FROM {} AS s OFFSET 0) AS r",
        row,
        source,
    )
    rows, total = session.one(query, place)
    return Fingerprint(int(rows), f"{int(total) % 2**64:016x}")
