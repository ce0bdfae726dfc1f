"""The columns of an answer: one schema for all cities, known before the first of them has spoken.

A read that names its properties has these columns, one that does not has all columns of the collection's vocabulary;
both in the vocabulary's order, and ``city`` always. So the schema depends on the query alone, never on which city was
first or away, and a ``RecordBatchReader`` can be had at once. What a city lacks is null. ``without_empty`` drops, from
a whole table, columns that no city has.

Batches come from other parties. Each must be just what its city's schema says and that schema what the vocabulary
says; offsets, text and the nesting of geometries are checked before anything reads them, and ``city`` is filled with
the name of the city whose signature is on the batch, whatever the batch says. Untouched objects
(``cimfed.client.originals``) stand after the vocabulary's columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any

import pyarrow as pa

from cimfed.client.originals import check_numbers
from cimfed.errors import BadAnswer
from cimfed.model.names import CityName
from cimfed.model.originals import ORIGINAL_HEADER
from cimfed.model.schema import (
    ATTRIBUTION,
    LICENCE,
    MASK,
    MASKS,
    ORIGINAL_FIELDS,
    VERTICAL,
    field,
)
from cimfed.model.texts import plain
from cimfed.model.vocabulary import VOCABULARY
from cimfed.query.query import Read
from cimfed.wire.batches import read_batch
from cimfed.wire.wkb import check_shapes

CITY = "city"
LONGEST = 2000  # characters of what a city says of its data


def read_schema(request: Read) -> pa.Schema:
    """The columns of a read's answer. UnknownProperty for a name that is not in the vocabulary."""
    collection = VOCABULARY.collections[request.collection]
    untouched = ORIGINAL_FIELDS if request.original else ()
    if request.properties is None:
        return pa.schema([*map(field, collection.properties.values()), *untouched])
    wanted = {collection.property(name).name for name in request.properties} | {CITY}
    return pa.schema([*(field(prop) for name, prop in collection.properties.items() if name in wanted), *untouched])


class Shaper:
    """Turns one city's payloads into batches of ``target``.

    ``given``: columns that the city really has.
    Columns that are not in ``target`` are left out: a city may know a newer vocabulary.
    ``headers``: how many the city's untouched objects may name.
    """

    def __init__(self, city: CityName, source: pa.Schema, target: pa.Schema, headers: int = 0) -> None:
        self.city = city
        self._headers = headers
        self.source = source
        self._target = target
        self._at = [self._place(wanted) for wanted in target]
        self._constants: dict[int, pa.Array[Any]] = {}
        self.given = frozenset(wanted.name for wanted, at in zip(target, self._at, strict=True) if at is not None)

    def shape(self, payload: bytes | memoryview, rows: int) -> pa.RecordBatch:
        batch = read_batch(self.city, payload, self.source, rows)
        columns = [
            self._constant(number, batch.num_rows) if at is None or wanted.name == CITY else batch.column(at)
            for number, (wanted, at) in enumerate(zip(self._target, self._at, strict=True))
        ]
        for wanted, column in zip(self._target, columns, strict=True):
            if pa.types.is_binary(wanted.type):
                check_shapes(self.city, wanted.name, column)
            elif wanted.name == ORIGINAL_HEADER:
                check_numbers(self.city, batch, self._headers)
        return pa.RecordBatch.from_arrays(columns, schema=self._target)

    def _place(self, wanted: pa.Field[Any]) -> int | None:
        """Where the city has the column; None where it has none, or one of nulls for an unknown property."""
        at = self.source.get_field_index(wanted.name)
        if at < 0 or pa.types.is_null(self.source.field(at).type):
            return None
        if not self.source.field(at).type.equals(wanted.type):
            raise BadAnswer(
                f"{self.city}: its column {wanted.name} is {self.source.field(at).type}, not {wanted.type}",
                remedy="Compare versions: the city or this client is older than the other",
            )
        return at

    def _constant(self, number: int, rows: int) -> pa.Array[Any]:
        """The city's name or nulls, as a slice of one array that all batches share."""
        found = self._constants.get(number)
        if found is None or len(found) < rows:
            wanted = self._target.field(number)
            found = pa.repeat(str(self.city), rows) if wanted.name == CITY else pa.nulls(rows, wanted.type)
            self._constants[number] = found
        return found if len(found) == rows else found.slice(0, rows)


def with_masks(
    table: pa.Table, masks: Mapping[CityName, Mapping[str, str]], measured: Mapping[str, str] | None = None
) -> pa.Table:
    """The table whose coarsened columns say so: ``cimfed:masks`` is a JSON object of cities and their masks.

    ``measured``: of which property a measure's column is.
    """
    measured = measured or {}
    schema = table.schema
    for at, item in enumerate(schema):
        name = measured.get(item.name, item.name)
        coarse = {city: of[name] for city, of in sorted(masks.items()) if name in of}
        if coarse:
            metadata: dict[Any, Any] = {MASKS: json.dumps(coarse).encode()}
            metadata.update(item.metadata or {})
            schema = schema.set(at, item.with_metadata(metadata))
    return pa.Table.from_arrays(table.columns, schema=schema)


def masks_of(schema: pa.Schema) -> dict[str, str]:
    """The properties that a query names and the city has coarsened, and how. What cannot be read says nothing."""
    found = {
        item.name: item.metadata[MASK].decode(errors="replace")
        for item in schema
        if item.metadata and MASK in item.metadata
    }
    try:
        named = json.loads((schema.metadata or {}).get(MASKS, b"{}"))
    except (ValueError, RecursionError):
        return found
    if isinstance(named, dict):
        found |= {name: mask for name, mask in named.items() if isinstance(mask, str)}
    return found


@dataclass(frozen=True)
class Said:
    """What a city's schema says beside its columns: how properties are coarsened, and of the data as a whole."""

    masks: Mapping[str, str] = field_of(default_factory=dict)
    licence: str = ""
    attribution: str = ""
    vertical: str = ""

    @classmethod
    def of(cls, schema: pa.Schema) -> Said:
        metadata = schema.metadata or {}
        licence, attribution, vertical = (
            plain(metadata.get(key, b"").decode(errors="replace")[:LONGEST]) for key in (LICENCE, ATTRIBUTION, VERTICAL)
        )
        return cls(masks_of(schema), licence, attribution, vertical)


def without_empty(table: pa.Table, given: Iterable[str]) -> pa.Table:
    """The table without the columns that nobody gave."""
    had = {*given, CITY}
    return table.select([name for name in table.column_names if name in had])
