"""Files to sorted chunks: read, map, place, derive, spill.

The coordinate operation is chosen by the first chunk and pinned; if the whole extent, known at the end, asks for
another one, everything is read again with that one. What becomes of the chunks is ``imports``.
"""

from __future__ import annotations

import gc
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os.path import realpath
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from cimfed.errors import BadFile
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.ingest import duplicates
from cimfed_node.ingest.attributes import AttributeReader
from cimfed_node.ingest.bad import BAD, Bad
from cimfed_node.ingest.belonging import Erased
from cimfed_node.ingest.carry import original_line
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import FORMS, SourceCrs, parse_crs, parse_vertical
from cimfed_node.ingest.detect import reader_of, whole_reader
from cimfed_node.ingest.georef import Georeference, facts, georeference
from cimfed_node.ingest.limits import MIB
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.ingest.mapping import read_mapping, shipped
from cimfed_node.ingest.reach import Reach
from cimfed_node.ingest.readers.base import Context, Reader
from cimfed_node.ingest.readers.ifc import IfcReader
from cimfed_node.ingest.readers.lines import open_bytes, written
from cimfed_node.ingest.report import BadObject, ImportReport, OperationReport
from cimfed_node.ingest.request import ImportRequest
from cimfed_node.ingest.snapshot import ORIGINAL, digests
from cimfed_node.ingest.spill import Spill
from cimfed_node.ingest.table import TableBuilder
from cimfed_node.ingest.zones import instant_in, zone_of
from cimfed_node.room import Room

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is: objects, rows or bytes."""
EVERY = 1000  # objects between two reports


class _Again(Exception):
    """The whole extent asks for another operation than the first chunk did."""

    def __init__(self, points: np.ndarray[Any, Any]) -> None:
        self.points = points


@dataclass
class Run:
    """One pass over the files. ``sample``: rows kept for a preview."""

    request: ImportRequest
    mapping: MappingDocument
    folder: Path
    progress: Progress | None = None
    reference: Georeference | None = None
    final: bool = False  # the operation stands, whatever the extent
    tolerant: bool = False  # bad objects are counted, never refused
    operations: Mapping[str, str] = field(default_factory=dict)  # by CRS, those that rows before came by
    erased: Erased = field(default_factory=Erased)
    room: Room = field(default_factory=Room)

    def __post_init__(self) -> None:
        collection = self.request.vocabulary
        zone = zone_of(self.request.time_zone)
        attributes = AttributeReader(self.mapping, None if zone is None else lambda local: instant_in(local, zone))
        self.context = Context(self.request, self.mapping, attributes)
        self.builder = TableBuilder(self.request.city, collection)
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        self.spill = Spill(self.scratch, self.builder.schema, self.room)
        self.formats: list[str] = []
        self.dropped: dict[str, int] = {}
        self.notes: list[str] = []
        self.reach = Reach()

    def read(self) -> None:
        """All files into sorted chunks and the original. Raises BadFile where bad objects have no quarantine."""
        with (
            (self.scratch / BAD).open("wb") as bad,
            pa.OSFile(str(self.folder / ORIGINAL), "wb") as file,
            pa.CompressedOutputStream(file, "zstd") as self.original,
        ):
            self.bad = Bad(bad)
            for path in self.request.files:
                self._file(path)
        self.erased.check()
        refused = self.request.quarantine is None and not self.tolerant
        if self.bad.count and (refused or not self.spill.rows):
            raise self.bad.refusal(others=self.spill.rows > 0)
        if not self.spill.rows:
            raise self._nothing()
        self._check_operation()

    def _file(self, path: Path) -> None:
        with whole_reader(path, self.scratch, self.context) as reader:
            if reader is not None:
                self._rows(reader, lambda: (0, 0))
                return
        with open_bytes(path) as raw:
            size = path.stat().st_size
            stream: io.BufferedReader = io.BufferedReader(raw, MIB)
            reader = reader_of(stream, path.name, self.context)
            try:
                self._rows(reader, lambda: (raw.position, size))
            finally:
                if isinstance(reader, IfcReader):
                    reader.close()

    def _rows(self, reader: Reader, position: Callable[[], tuple[int, int]]) -> None:
        self.formats.append(reader.format)
        if self.request.place is not None and not isinstance(reader, IfcReader):
            raise BadFile("only an IFC project is put in a place", place=reader.file, remedy="Leave out --place")
        source = self._crs(reader)
        self.original.write(written({"file": reader.file, "header": reader.header}, reader.file) + b"\n")
        for number, bad in enumerate(reader.read(), 1):
            if bad is not None:
                self.bad.add(bad)
            if self.progress is not None and number % EVERY == 0:
                done, total = position() if reader.total is None else (number, reader.total)
                self.progress(f"reading {reader.file}", done, total)
            if reader.chunk.full:
                self._flush(reader.chunk, source)
                reader.chunk = reader.new_chunk()
        self._flush(reader.chunk, source)

    def _crs(self, reader: Reader) -> SourceCrs:
        """The CRS of a file: what was asked for, else what it says. All files must have the same."""
        named = self.request.crs
        try:
            told = reader.crs
        except BadFile:
            if not named:
                raise
            told = None
        source = parse_crs(named, "--crs") if named else told
        if source is None:
            raise BadFile(f"{reader.format} without a coordinate reference system", place=reader.file, remedy=FORMS)
        if named and told is not None and told.name != source.name:
            self.notes.append(f"{reader.file} says {told.name}; {source.name} was used as --crs asks")
        if self.request.vertical is not None:
            vertical = parse_vertical(self.request.vertical, "--vertical")
            if source.vertical not in ("", vertical):
                self.notes.append(f"{reader.file} has {source.vertical}; {vertical} is recorded as --vertical asks")
            source = replace(source, vertical=vertical)
        if self.reference is not None and self.reference.source.name != source.name:
            raise BadFile(
                f"{source.name} after {self.reference.source.name}: a snapshot has one coordinate operation",
                place=reader.file,
                remedy="Import files of one CRS at a time, or convert them to one",
            )
        return source

    def _flush(self, chunk: Chunk, source: SourceCrs) -> None:
        for raw, rows in chunk.originals:
            if not rows:  # of the file, not of an object
                self.original.write(b'{"ids":[],"object":%b}\n' % raw)
        if not chunk.ids:
            return
        if self.reference is None:
            self.reference = self.pin(source, chunk.shapes.points())
        shapes = chunk.shapes.finish(len(chunk.ids), self.reference)
        shapes.bad |= chunk.bad
        erased = set(self.erased.rows(self.request.collection, chunk.ids, chunk.values))
        shapes.bad |= dict.fromkeys(erased, "erased")
        active = self.context.attributes.active | {"building"}
        table, keys, order = self.builder.build(chunk.ids, chunk.values, chunk.ext, shapes, self.reference, active)
        for row, reason in sorted(shapes.bad.items()):
            if row in erased:
                continue
            self.bad.add(BadObject(chunk.file, chunk.ids[row], reason, chunk.lines[row]))
        for cause, count in chunk.shapes.dropped.items():
            self.dropped[cause] = self.dropped.get(cause, 0) + count
        for raw, rows in chunk.originals:
            ids = [chunk.ids[row] for row in rows if row not in shapes.bad]
            if ids and erased.isdisjoint(rows):
                self.original.write(original_line(ids, raw))
        self.reach.widen(table)
        self.spill.add(table, keys, order)

    def pin(self, source: SourceCrs, points: np.ndarray[Any, Any]) -> Georeference:
        country = self.request.city.split(".", 1)[0]
        kept = self.operations.get(source.name, "")
        return georeference(source, points, country=country, wanted=self.request.operation, kept=kept)

    def _check_operation(self) -> None:
        reference = self.reference
        if reference is None or self.final or self.reach.extent is None or self.request.operation:
            return
        a, b, c, d = self.reach.narrowed(self.reach.extent)
        points = reference.backward(np.array([[a, b], [a, d], [c, b], [c, d]]))
        other, own = self.pin(reference.source, points).operation, reference.operation
        if (other.name, other.definition) != (own.name, own.definition):
            raise _Again(points)

    def _cut(self) -> Iterator[str]:
        if self.builder.counts.cut:
            yield f"{self.builder.counts.cut:,} objects across the antimeridian were cut there"

    def _nothing(self) -> BadFile:
        skipped = self.context.skipped
        told = ", ".join(f"{number:,} {kind or 'rows left out by --where'}" for kind, number in skipped.items())
        if not skipped:
            remedy = "There are no objects in it"
        elif set(skipped) == {""}:
            remedy = "Compare --where with the values of the file, which --dry-run shows without it"
        else:
            remedy = f"The mapping takes objects of type {', '.join(self.mapping.types) or '(none)'}"
        return BadFile(
            f"nothing for the collection {self.request.collection}" + (f"; skipped: {told}" if told else ""),
            place=self.request.files[0].name,
            remedy=remedy,
        )

    def _unmet(self) -> Iterator[str]:
        """Rules of the operator's own that nothing in the files answers to: likely a typing mistake."""
        if self.request.mapping is None:
            return
        ours = shipped(self.request.collection, self.request.vocabulary).rules
        attributes = self.context.attributes
        met = {*attributes.matched, *(key for key, counts in attributes.unmapped.items() if counts)}
        for name, rule in self.mapping.rules.items():
            columns = [source.column for source in rule.sources]
            if columns and ours.get(name) != rule and not any((name, column) in met for column in columns):
                yield f"no object has what the mapping names for {name}: {', '.join(columns)}"

    def report(self, groups: Mapping[str, duplicates.Places]) -> ImportReport:
        counts, attributes = self.builder.counts, self.context.attributes
        matched: dict[str, dict[str, int]] = {}
        for (prop, column), count in attributes.matched.items():
            matched.setdefault(prop, {})[column] = count
        assert self.reference is not None
        operation, source = self.reference.operation, self.reference.source
        return ImportReport(
            objects=self.context.objects,
            rows=self.spill.rows,
            matched=matched,
            unmapped={key: dict(c.most_common()) for key, c in attributes.unmapped.items() if c},
            unclaimed=dict(attributes.unclaimed.most_common()),
            nulls=dict(counts.nulls),
            derived={name: n for name, n in counts.derived.items() if n},
            skipped=dict(self.context.skipped),
            dropped=dict(self.dropped),
            repaired=counts.repaired,
            duplicates=sum(len(places) - 1 for places in groups.values()),
            bad=self.bad.count,
            operation=OperationReport(
                source.name, operation.name, operation.accuracy_m, bool(operation.declared), source.vertical
            ),
            notes=(
                *self._cut(),
                *dict.fromkeys([*self.notes, *self.context.notes]),
                *operation.notes,
                *self._unmet(),
                *self.erased.notes,
            ),
        )

    @property
    def heights(self) -> bool:
        """Whether any row says how high it is."""
        chunks = map(self.spill.chunk, range(self.spill.chunks))
        return any(chunk.column("zmin").null_count < chunk.num_rows for chunk in chunks)

    def reach_facts(self) -> dict[str, Any]:
        return {"rows": self.spill.rows, **self.reach.facts()}

    def facts(self) -> dict[str, Any]:
        """The inventory without its files."""
        request, reference = self.request, self.reference
        assert reference is not None
        return {
            "city": request.city,
            "collection": request.collection,
            **self.reach_facts(),
            "vocabulary": VOCABULARY.version,
            "licence": request.licence,
            "attribution": request.attribution,
            "sources": [
                {"name": path.name, **digests(path, self.context.parts.get(path, ())), "format": form}
                for path, form in zip(request.files, self.formats, strict=True)
            ],
            "mapping": self.mapping.document(),
            "layer": request.layer,
            "encoding": request.encoding,
            "where": [list(pair) for pair in request.where],
            "id_column": request.id_column,
            "on_duplicate": str(request.on_duplicate),
            **({"time_zone": request.time_zone} if request.time_zone else {}),
            "bad": self.bad.count,
            **({"engine": str(request.engine)} if request.engine else {}),
            **facts(reference),
        }


def mapping_of(request: ImportRequest) -> MappingDocument:
    """The mapping in force."""
    collection = request.vocabulary
    return read_mapping(request.mapping, collection) if request.mapping else shipped(collection.name, collection)


def passes(
    request: ImportRequest,
    folder: Path,
    progress: Progress | None,
    *,
    tolerant: bool = False,
    operations: Mapping[str, str] = MappingProxyType({}),
    erased: Erased | None = None,
    room: Room | None = None,
) -> Run:
    """Read the files, again where the operation has to be another one. ``operations`` and so on: see ``Run``."""
    if not request.files:
        raise BadFile("no file was named")
    if request.quarantine is not None and realpath(request.quarantine) in map(realpath, request.files):
        raise BadFile("the quarantine file is one of the files to import", place=str(request.quarantine))
    mapping = mapping_of(request)
    erased, room = erased or Erased(), room or Room()
    used = room.used
    run = Run(request, mapping, folder, progress, tolerant=tolerant, operations=operations, erased=erased, room=room)
    with _without_collector():
        try:
            run.read()
        except _Again as again:
            assert run.reference is not None
            reference = run.pin(run.reference.source, again.points)
            shutil.rmtree(run.scratch)
            erased.met, room.used = 0, used
            run = Run(
                request, mapping, folder, progress, reference, final=True, tolerant=tolerant, erased=erased, room=room
            )
            run.read()
    return run


@contextmanager
def _without_collector() -> Iterator[None]:
    """Parsed objects hold no cycles, and looking for some takes a fifth of the time of an import."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
