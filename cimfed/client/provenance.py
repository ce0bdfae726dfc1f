"""What a saved answer says of itself: who was asked what and when, what came of it, and under which terms.

One structure for all formats, in the words of a coverage (``docs/export.md``). It proves nothing: that is the receipt's
to do, whose query has the hash that stands here as ``request_hash``.
"""

from __future__ import annotations

from typing import Any

from cimfed.client.coverage import Coverage
from cimfed.model.instants import instant_text
from cimfed.model.vocabulary import VOCABULARY
from cimfed.query.cql2 import to_cql2
from cimfed.query.query import Aggregate, Catalog, Query, Read

FORMAT = "cimfed/provenance/v1"


def provenance(query: Query, request_hash: bytes, coverage: Coverage) -> dict[str, Any]:
    """Of an answer that was verified to its end; for JSON. ``complete``: no city that may have rows is missing."""
    request = query.request
    asked: dict[str, Any] = {"request": type(request).__name__.lower(), "collection": request.collection}
    match request:
        case Read():
            asked["properties"] = None if request.properties is None else list(request.properties)
            if request.original:
                asked["original"] = True
        case Aggregate():
            asked["measures"] = [measure.name for measure in request.measures]
            asked["by"] = list(request.group_by)
    if not isinstance(request, Catalog):
        asked["where"] = None if request.where is None else to_cql2(request.where)
    told = coverage.to_dict()
    return {
        "format": FORMAT,
        "federation": query.federation,
        **asked,
        "purpose": query.purpose,
        "asked": instant_text(query.issued),
        "request_hash": request_hash.hex(),
        "vocabulary": VOCABULARY.version,
        "crs": "OGC:CRS84",
        "gateway": told["gateway"],
        "directory_version": told["directory_version"],
        "complete": told["complete"],
        "cities": [line for line, of in zip(told["cities"], coverage, strict=True) if of.asked],
    }
