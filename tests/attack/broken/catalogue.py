"""All kinds that are files, by ``FORMAT: what is wrong``."""

from __future__ import annotations

from tests.attack.broken import citygml, cityjson, documents, geojson, ifc, packed, tables, vectors
from tests.attack.broken.kind import Kind

KINDS: dict[str, Kind] = {}
for family in (cityjson, citygml, geojson, tables, vectors, ifc, packed, documents):
    assert KINDS.keys().isdisjoint(family.KINDS)
    KINDS |= family.KINDS
