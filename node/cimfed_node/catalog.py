"""A city's catalogue for one partner: what is granted to it, and what is listed for all.

The policy says what may be seen (``cimfed.policy.catalogue``); the control tables add what the views hold today.
"""

from __future__ import annotations

import pyarrow as pa

from cimfed.model.catalog import CATALOG
from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.catalogue import Entry, catalogue
from cimfed.policy.decide import allows
from cimfed.policy.grant import Policy
from cimfed_node.asked import Signed
from cimfed_node.tables import Control
from cimfed_node.tables.publication import SnapshotEntry, current_snapshots, rows_by_grant


def catalogue_rows(
    city: CityName, policy: Policy | None, signed: Signed, collection: str | None, control: Control
) -> pa.RecordBatch:
    """Rows of ``CATALOG``, all in one batch; none where nothing is granted or listed.

    How many rows a view has is told only where the grant lets an answer go the way that the catalogue goes.
    """
    entries = [] if policy is None else catalogue(policy, signed.subject, signed.now, collection)
    with control.reading() as connection:
        snapshots, rows = current_snapshots(connection), rows_by_grant(connection)
    return pa.RecordBatch.from_pylist(
        [
            _row(
                city,
                entry,
                snapshots.get(entry.collection),
                rows.get(entry.grant) if allows(entry.via, signed.way.presenter, signed.way.passed) else None,
            )
            for entry in entries
        ],
        schema=CATALOG,
    )


def _row(city: CityName, entry: Entry, snapshot: SnapshotEntry | None, rows: int | None) -> dict[str, object]:
    prop = VOCABULARY.collections[entry.collection].properties[entry.property]
    row: dict[str, object] = {
        "city": city,
        "collection": entry.collection,
        "property": entry.property,
        "type": str(prop.type),
        "unit": prop.unit or None,
        "codes": " ".join(prop.codes) or None,
        "listed": entry.listed,
        "granted": entry.granted,
        "meaning": prop.meaning,
    }
    if entry.granted:
        row |= {
            "grant": entry.grant,
            "purposes": " ".join(entry.purposes),
            "mask": str(entry.mask),
            "max_lod": entry.max_lod,
            "obligations": " ".join(entry.obligations) or None,
            "valid_to": entry.valid[1] if entry.valid else None,
            "rows": rows,
        }
    if entry.granted and snapshot is not None:
        row |= {
            "licence": snapshot.licence or None,
            "attribution": snapshot.attribution or None,
            "vertical": snapshot.vertical or None,
            "operation": snapshot.operation or None,
            "accuracy_m": snapshot.accuracy,
        }
    return row
