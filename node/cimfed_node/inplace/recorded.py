"""What a snapshot records of a relation that stays where it is: an inventory, and no rows."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from cimfed.errors import BadFile, Conflict
from cimfed.model.instants import instant_text
from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.ingest.snapshot import IMPORTING, Snapshot, seal_snapshot
from cimfed_node.inplace.citydb import citydb_relation
from cimfed_node.inplace.fingerprint import Fingerprint, fingerprint
from cimfed_node.inplace.fragments import lit, q
from cimfed_node.inplace.relation import find_relation
from cimfed_node.inplace.request import InPlace
from cimfed_node.inplace.session import Session
from cimfed_node.stores.base import Engine


@dataclass(frozen=True)
class Recorded:
    """``source``, ``hashed``, ``select``, ``fingerprint``: see ``InPlace``."""

    relation: str
    source: str
    hashed: tuple[str, ...]
    select: str
    fingerprint: Fingerprint

    @property
    def citydb(self) -> bool:
        return self.source.startswith("(")

    def check(self, session: Session) -> None:
        """Conflict where the relation is no longer what the snapshot was made of; BadFile where it may not be read any
        more, or runs code of strangers now."""
        if self.citydb:
            schema, _, collection = self.relation.rpartition(": ")
            citydb_relation(session, schema, collection)
        elif session.one(q("SELECT to_regclass({}) IS NULL", lit(self.source)), self.relation) == (True,):
            raise BadFile("the table is not there any more", place=self.relation, remedy="Import it in place again")
        else:
            find_relation(session, self.source)
        found = fingerprint(session, sql.Composed([sql.SQL(self.source)]), self.hashed, self.relation)
        if found != self.fingerprint:
            then = self.fingerprint.rows
            how = "with as many rows" if found.rows == then else f"{found.rows:,} rows now, {then:,} then"
            raise Conflict(
                f"the table has changed since it was imported: {how}",
                place=self.relation,
                remedy="Import it in place again",
            )


def recorded(snapshot: Snapshot) -> Recorded:
    """BadFile where the snapshot is not of this kind."""
    facts = snapshot.inventory.get("in_place")
    if facts is None:
        raise BadFile("the snapshot has rows of its own", place=snapshot.id)
    return Recorded(
        facts["relation"],
        facts["source"],
        tuple(facts["hashed"]),
        facts["select"],
        Fingerprint(facts["fingerprint"]["rows"], facts["fingerprint"]["sum"]),
    )


def seal_in_place(found: InPlace, city: CityName, collection: str, terms: tuple[str, str], snapshots: Path) -> Snapshot:
    """The snapshot of a relation, below ``snapshots``. ``terms``: licence and attribution."""
    facts = {
        "city": city,
        "collection": collection,
        "engine": str(Engine.POSTGIS),
        "rows": found.rows,
        "extent": None if found.extent is None else list(found.extent),
        "times": [None if time is None else instant_text(time) for time in found.times],
        "vocabulary": VOCABULARY.version,
        "licence": terms[0],
        "attribution": terms[1],
        "sources": [{"name": found.relation, "format": "PostGIS"}],
        "in_place": {
            "relation": found.relation,
            "source": found.source,
            "hashed": list(found.hashed),
            "select": found.select,
            "fingerprint": {"rows": found.fingerprint.rows, "sum": found.fingerprint.sum},
        },
        **found.facts,
    }
    snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=IMPORTING, dir=snapshots))
    try:
        return seal_snapshot(folder, snapshots, facts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
