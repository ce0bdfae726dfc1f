"""What all readers share: the context of an import, ids, and the filter of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cimfed.errors import BadFile
from cimfed_node.ingest.attributes import AttributeReader
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import SourceCrs
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.request import ImportRequest
from cimfed_node.ingest.values import MISFIT, OutOfRange, to_text

OBSERVATION, SENSOR = "observation", "sensor"
PLACE = "#"
"""Stands for an object's number in its file where a column of ids is named: ``#1`` is the first one."""


@dataclass
class Context:
    """One import: its mapping and the counts that readers keep.

    ``notes``: what the operator should know of the files. ``parts``: files that were read besides those that were
    named.
    ``objects``: objects of the collection met so far, bad ones included. ``skipped``: see ``ImportReport``.
    """

    request: ImportRequest
    mapping: MappingDocument
    attributes: AttributeReader
    notes: list[str] = field(default_factory=list)
    objects: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    parts: dict[Path, list[Path]] = field(default_factory=dict)

    @property
    def readings(self) -> bool:
        """Whether the objects are readings, which need no place, and no id where they have a sensor and a time."""
        return self.request.collection == OBSERVATION

    @property
    def id_column(self) -> str | None:
        return self.request.id_column

    def lacks_id(self, id: str | None) -> bool:
        """Whether an object is bad for want of an id. A reading gets one of its own where no column is named."""
        return id is None and (self.id_column is not None or not self.readings)

    def wanted(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a row passes ``where``."""
        for column, value in self.request.where:
            if to_text(attributes.get(column)) != value:
                self.skipped[""] += 1
                return False
        return True

    def id_of(self, own: Any, attributes: Mapping[str, Any], place: int) -> str | None:
        """The id of an object whose format gives it ``own`` (None: none), the ``place``-th in its file."""
        columns = (self.id_column,) if self.id_column else () if own is not None else self.mapping.id
        for column in columns:
            if column == PLACE:
                self.attributes.skip.add(PLACE)
                return f"{PLACE}{place}"
            if column in attributes:
                found = self.text(attributes[column])
                if found is not None:
                    self.attributes.skip.add(column)
                    return found
        return self.text(own) if self.id_column is None else None

    @staticmethod
    def text(raw: Any) -> str | None:
        try:
            text = to_text(raw)
        except OutOfRange:
            return None
        return None if text is None or text is MISFIT or len(text) > 1024 else str(text)

    def no_id(self, file: str, columns: Any, line: int, first: bool) -> BadObject:
        """An object without an id; where the first one has none, the source has none and the import cannot go on."""
        if not first:
            return BadObject(file, "", "no id", line)
        names = ", ".join(sorted(map(str, columns))[:20])
        what = f"no column {self.id_column!r}" if self.id_column else "no ids"
        raise BadFile(f"the objects have {what}", place=file, remedy=f"Name a column with --id, out of: {names}")


class Reader(Protocol):
    """A file that was opened. ``crs``: what it says itself, None where neither it nor its format says anything; raises
    BadFile where that is no CRS.

    ``header``: what the file says of all its objects, for the snapshot's original. ``chunk``: where ``read`` puts rows;
    the caller exchanges it (``new_chunk``) whenever it is full. ``total``: its objects, None where they are not known
    before they are read.
    """

    file: str
    format: str
    header: Mapping[str, Any]
    chunk: Chunk
    total: int | None

    @property
    def crs(self) -> SourceCrs | None: ...

    def new_chunk(self) -> Chunk: ...

    def read(self) -> Iterator[BadObject | None]:
        """One step per object: None when its rows are in the chunk, else why they are not."""
        ...
