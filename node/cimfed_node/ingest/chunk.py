"""Rows gathered until they are worth an Arrow table.

A row's attributes are mapped when it comes; its geometry waits for the chunk's end. An object that proves bad after its
row was begun is remembered and taken out at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cimfed.model.instants import instant_text
from cimfed_node.ingest.attributes import AttributeReader, Values
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.shapes import ShapeList
from cimfed_node.ingest.values import READ_AT, OutOfRange


@dataclass
class Chunk:
    """``lines``: where each row's object stands in its file (0: no lines). ``originals``: untouched objects with the
    rows that came of them."""

    file: str
    shapes: ShapeList
    ids: list[str] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    ext: list[str | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    originals: list[tuple[bytes, list[int]]] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)

    def row(self, id: str | None, attributes: dict[str, Any], line: int, reader: AttributeReader) -> int:
        """Begin a row. Raises OutOfRange where an attribute cannot be held; no row is begun then.

        A reading without an id is known by its sensor, what it reads and when.
        """
        return self.put(id, reader.read(attributes), line)

    def put(self, id: str | None, mapped: Values, line: int) -> int:
        """Begin a row whose attributes are mapped."""
        self.ids.append(reading_id(mapped.values) if id is None else id)
        self.values.append(mapped.values)
        self.ext.append(mapped.ext)
        self.lines.append(line)
        return len(self.ids) - 1

    def fail(self, row: int, error: BadGeometry | str) -> None:
        self.bad.setdefault(row, str(error))

    @property
    def full(self) -> bool:
        return len(self.ids) >= LIMITS.chunk_objects or self.shapes.size >= LIMITS.chunk_points


def reading_id(values: dict[str, Any]) -> str:
    sensor, time = values.get("sensor"), values.get(READ_AT)
    if sensor is None or time is None:
        raise OutOfRange("a reading without an id, and without a sensor and a time that could stand for one")
    return f"{sensor}/{values.get('property') or ''}/{instant_text(time)}"
