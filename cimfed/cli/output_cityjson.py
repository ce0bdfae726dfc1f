"""Rows as CityJSON 2.0 (cityjson.org/specs/2.0.1): one document, or CityJSONSeq with one feature on each line.

1. An object's id is its city's name, a slash and its own id; a row without an id has its number in the answer there.
2. Its type is that of its collection (``TYPES``). A row that its type cannot hold, such as a building that is a point
   or a part whose building nobody told, is a GenericCityObject: no geometry is left out.
3. A part, storey or room stands under a Building that has its city, its id and children alone.
4. Attributes have the vocabulary's names, what is null is left out. Names are ``name`` and ``name:LANGUAGE``, what
   ``ext`` holds are attributes of their own where their names are free: an import takes both as they were. Box,
   ``zmin`` and ``zmax`` are the object's ``geographicalExtent``.
5. All levels of detail are geometries. What has no height lies at the row's ``zmin``, or at 0.
6. ``referenceSystem`` is OGC:CRS84, which is two-dimensional: heights are in each city's own vertical datum, and that
   is said under ``cimfed``. CRS84h would say ellipsoidal heights, which they are not.

The first line tells what is known last, so the rest waits in a file without a name. Text is made of whole columns;
``ext`` alone is read row by row, since nobody checked that it is JSON.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute

from cimfed.cli import cityjson_shapes
from cimfed.cli.cityjson_shapes import AREA, LINE, POINT, SCALE, Drawn, listed
from cimfed.cli.output_text import json_text, quoted
from cimfed.client.geo import PREFIX
from cimfed.errors import BadAnswer, BadConfig
from cimfed.model.vocabulary import VOCABULARY

pc: Any = pyarrow.compute  # its stubs do not know that scalars may stand beside arrays
Provenance = Callable[[], Mapping[str, Any]]

ROWS = 2048  # rows that are made into text at a time
CRS = "https://www.opengis.net/def/crs/OGC/1.3/CRS84"
GENERIC = "GenericCityObject"
TYPES: Mapping[str, str] = {
    "building": "Building",
    "building_part": "BuildingPart",
    "storey": "BuildingStorey",
    "room": "BuildingRoom",
    "transportation": "Road",
    "land_use": "LandUse",
    "water_body": "WaterBody",
    "vegetation": "PlantCover",
    "city_furniture": "CityFurniture",
    "bridge": "Bridge",
    "tunnel": "Tunnel",
    "relief": "TINRelief",
    "admin_unit": GENERIC,
    "facility": GENERIC,
    "sensor": GENERIC,
}
"""By collection, where ``_OTHERWISE`` says nothing else. Observations are no objects of a city."""
_OTHERWISE: Mapping[str, Mapping[str, str]] = {
    "transportation": {
        "railway": "Railway",
        "subway": "Railway",
        "tram": "Railway",
        "funicular": "Railway",
        "ferry": "Waterway",
        "square": "TransportSquare",
        "parking": "TransportSquare",
    },
    "vegetation": {"tree": "SolitaryVegetationObject"},
}
"""By function."""
_LINES = ("Road", "Railway", "Waterway", "TransportSquare", "WaterBody")
_ALL = ("CityFurniture", "SolitaryVegetationObject", GENERIC)
_WITHIN = ("building_part", "storey", "room")
_BOX = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")


def check_collection(collection: str) -> None:
    """BadConfig for a collection whose rows are no city objects."""
    if collection in VOCABULARY.collections and collection not in TYPES:
        raise BadConfig(
            f"{collection} is nothing that CityJSON holds",
            place="--output",
            remedy="Write .csv, .parquet, .geojson or .gpkg",
        )


def write_cityjsonseq(
    source: pa.RecordBatchReader, file: BinaryIO, collection: str, levels: Iterable[int], about: Provenance | None
) -> None:
    writer = _Writer(collection, levels)
    with _waiting(file) as body:
        for feature in writer.features(source):
            body.write(feature)
        file.write(_dump(writer.head(about) | {"CityObjects": {}, "vertices": []}) + b"\n")
        _append(file, body)


def write_cityjson(
    source: pa.RecordBatchReader, file: BinaryIO, collection: str, levels: Iterable[int], about: Provenance | None
) -> None:
    writer = _Writer(collection, levels)
    with _waiting(file) as objects, _waiting(file) as vertices:
        writer.document(source, objects, vertices)
        file.write(_dump(writer.head(about)).removesuffix(b"}") + b',"CityObjects":{')
        _append(file, objects)
        file.write(b'\n},"vertices":[')
        _append(file, vertices)
        file.write(b"\n]}\n")


class _Writer:
    def __init__(self, collection: str, levels: Iterable[int]) -> None:
        self._collection = collection
        self._levels = sorted(levels)
        self._translate: tuple[float, float, float] | None = None
        self._extent: np.ndarray[Any, np.dtype[Any]] | None = None
        self._rows = 0

    def features(self, source: pa.RecordBatchReader) -> Iterator[bytes]:
        """Lines of CityJSONSeq."""
        for rows in _chunks(source):
            id, parent, object, drawn = self._objects(rows, None)
            members = listed((_text(_stub(rows, parent), id, "]}"), _text(id, ":", object)), rows.num_rows)
            feature = _text('{"type":"CityJSONFeature","id":', id, ',"CityObjects":{', members, '},"vertices":[')
            yield _lines(_text(feature, drawn.vertices, "]}\n"), "")

    def document(self, source: pa.RecordBatchReader, objects: BinaryIO, vertices: BinaryIO) -> None:
        """``objects``, ``vertices``: members of the document, with commas between them. A document is read whole, so
        its ids are kept meanwhile."""
        families: dict[str, tuple[str, list[str]]] = {}
        known: set[str] = set()
        count, first = 0, True
        for rows in _chunks(source):
            id, parent, object, drawn = self._objects(rows, count)
            told = (array.to_pylist() for array in (id, parent, _stub(rows, parent)))
            for own, building, stub in zip(*told, strict=True):
                assert own is not None
                if own in known:
                    raise BadAnswer(f"the answer has two objects of the id {own[:100]}", remedy="Write .city.jsonl")
                known.add(own)
                if building is not None and stub is not None:
                    families.setdefault(building, (stub, []))[1].append(own)
            objects.write((b"\n" if first else b",\n") + _lines(_text(id, ":", object), ",\n"))
            first = False
            there = drawn.vertices.filter(pa.array(drawn.counts > 0))
            if len(there):
                vertices.write((b",\n" if count else b"\n") + _lines(there, ",\n"))
            count += int(drawn.counts.sum())
        for building, (stub, children) in families.items():
            if building in known:
                raise BadAnswer(f"the answer has two objects of the id {building[:100]}", remedy="Write .city.jsonl")
            objects.write(f",\n{stub}{','.join(children)}]}}".encode())

    def head(self, about: Provenance | None) -> dict[str, Any]:
        """What a document, or the first line of a sequence, says of the whole."""
        metadata: dict[str, Any] = {"referenceSystem": CRS}
        if self._extent is not None:
            metadata["geographicalExtent"] = [*self._extent[0].tolist(), *self._extent[1].tolist()]
        if about is not None:
            told = about()
            cities = [line["city"] for line in told["cities"] if line["rows"]]
            metadata["title"] = f"{self._collection} of {', '.join(cities) or 'no city'}"
            metadata["referenceDate"] = told["asked"][:10]
            metadata["identifier"] = told["request_hash"]
            metadata["cimfed"] = told
        translate = list(self._translate or (0.0, 0.0, 0.0))
        return {
            "type": "CityJSON",
            "version": "2.0",
            "transform": {"scale": list(SCALE), "translate": translate},
            "metadata": metadata,
        }

    def _objects(
        self, rows: pa.RecordBatch, base: int | None
    ) -> tuple[pa.Array[Any], pa.Array[Any], pa.Array[Any], Drawn]:
        """Of each row: id, id of its parent (null: none), the object, geometry. Ids are JSON texts."""
        columns = {level: rows.column(f"{PREFIX}{level}") for level in self._levels}
        if self._translate is None:
            self._translate = cityjson_shapes.place_of(columns)
        surface = "CompositeSurface" if self._collection == "relief" else "MultiSurface"
        drawn = cityjson_shapes.draw(
            columns, rows.num_rows, self._translate or (0.0, 0.0, 0.0), _heights(rows), surface, base
        )
        self._stretch(drawn)
        id = self._ids(rows)
        parent = self._parents(rows, id)
        kind = self._types(rows, drawn, parent)
        parent = pc.if_else(pc.equal(kind, GENERIC), _null(), parent)
        extent, told = _extents(rows)
        attributes = listed(_attributes(rows, told), rows.num_rows)
        object = listed(
            (
                _text('{"type":"', kind, '"'),
                _text('"parents":[', parent, "]"),
                _text('"geographicalExtent":[', extent, "]"),
                _text('"attributes":{', attributes, "}"),
                _text('"geometry":[', drawn.geometry, "]"),
            ),
            rows.num_rows,
        )
        return id, parent, _text(object, "}"), drawn

    def _stretch(self, drawn: Drawn) -> None:
        if drawn.box is not None:
            whole = drawn.box if self._extent is None else np.vstack((self._extent, drawn.box))
            self._extent = np.array([whole.min(axis=0), whole.max(axis=0)])

    def _ids(self, rows: pa.RecordBatch) -> pa.Array[Any]:
        number = pa.array(range(self._rows + 1, self._rows + rows.num_rows + 1)).cast(pa.string())
        self._rows += rows.num_rows
        own = _text("/", number)
        if "id" in rows.schema.names:
            own = pc.coalesce(rows.column("id"), own)
        return quoted(_text(rows.column("city"), "/", own))

    def _parents(self, rows: pa.RecordBatch, id: pa.Array[Any]) -> pa.Array[Any]:
        if self._collection not in _WITHIN or "building" not in rows.schema.names:
            return pa.nulls(rows.num_rows, pa.string())
        parent = quoted(_text(rows.column("city"), "/", rows.column("building")))
        found: pa.Array[Any] = pc.if_else(pc.equal(parent, id), _null(), parent)  # it cannot be its own
        return found

    def _types(self, rows: pa.RecordBatch, drawn: Drawn, parent: pa.Array[Any]) -> pa.Array[Any]:
        kind: Any = pa.repeat(TYPES[self._collection], rows.num_rows)
        if "function" in rows.schema.names:
            for function, other in _OTHERWISE.get(self._collection, {}).items():
                kind = pc.if_else(pc.fill_null(pc.equal(rows.column("function"), function), False), other, kind)
        points, lines = pa.array(drawn.kinds[POINT]), pa.array(drawn.kinds[LINE])
        if self._collection == "vegetation":  # a plant cover is an area
            area = pc.and_(pa.array(drawn.kinds[AREA]), pc.invert(pc.or_(points, lines)))
            kind = pc.if_else(area, kind, _OTHERWISE["vegetation"]["tree"])
        fits = pc.or_(pc.invert(points), pc.is_in(kind, pa.array(_ALL)))
        fits = pc.and_(fits, pc.or_(pc.invert(lines), pc.is_in(kind, pa.array((*_ALL, *_LINES)))))
        if self._collection in _WITHIN:
            fits = pc.and_(fits, pc.is_valid(parent))
        found: pa.Array[Any] = pc.if_else(fits, kind, GENERIC)
        return found


def _chunks(source: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in source:
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def _heights(rows: pa.RecordBatch) -> np.ndarray[Any, np.dtype[Any]]:
    if "zmin" not in rows.schema.names:
        return np.zeros(rows.num_rows)
    found = pc.fill_null(pc.cast(rows.column("zmin"), pa.float64()), 0.0)
    heights: np.ndarray[Any, np.dtype[Any]] = found.to_numpy(zero_copy_only=False)
    return heights


def _stub(rows: pa.RecordBatch, parent: pa.Array[Any]) -> pa.Array[Any]:
    """The Building above a part, but for the ids of its children and the end; null where there is none."""
    if "building" not in rows.schema.names:
        return pa.nulls(rows.num_rows, pa.string())
    city, own = quoted(rows.column("city")), quoted(rows.column("building"))
    head = _text(':{"type":"Building","attributes":{"city":', city, ',"id":', own, '},"children":[')
    return _text(parent, head)


def _extents(rows: pa.RecordBatch) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Six numbers where a row has them all, and which rows those are."""
    if not {"bbox", "zmin", "zmax"} <= set(rows.schema.names):
        return pa.nulls(rows.num_rows, pa.string()), pa.repeat(False, rows.num_rows)
    box: Any = rows.column("bbox")
    sides = dict(zip((item.name for item in box.type), box.flatten(), strict=True))
    sides |= {name: rows.column(name) for name in ("zmin", "zmax")}
    told: Any = pa.repeat(True, rows.num_rows)
    for side in sides.values():
        there = pc.is_finite(side) if pa.types.is_floating(side.type) else pc.is_valid(side)
        told = pc.and_(told, pc.fill_null(there, False))
    text = pc.binary_join_element_wise(*(pc.cast(sides[name], pa.string()) for name in _BOX), ",")
    return pc.if_else(told, text, _null()), told


def _attributes(rows: pa.RecordBatch, extent: pa.Array[Any]) -> Iterator[pa.Array[Any]]:
    """Members of ``attributes``, null where a row lacks them. ``extent``: rows that have zmin and zmax elsewhere."""
    taken = {item.name for item in rows.schema}
    for item, column in zip(rows.schema, rows.columns, strict=True):
        if item.name.startswith(PREFIX) or pa.types.is_struct(item.type):
            continue
        if pa.types.is_map(item.type):
            yield _names(item.name, column)
        elif item.name == "ext":
            members = [None if text is None else _members(text, taken) for text in column.to_pylist()]
            yield pa.array(members, pa.string())
        else:
            said = pc.is_valid(column)
            if item.name in ("zmin", "zmax"):
                said = pc.and_(said, pc.invert(extent))
            yield pc.if_else(said, _text(f'"{item.name}":', json_text(column)), _null())


def _names(property: str, column: pa.Array[Any]) -> pa.Array[Any]:
    """``name`` for the language that nobody told, ``name:LANGUAGE`` for the others."""
    assert isinstance(column, pa.MapArray)
    word = pc.if_else(pc.equal(column.keys, "und"), property, _text(f"{property}:", column.keys))
    pairs = _text(quoted(word), ":", pc.fill_null(quoted(column.items), "null"))
    whole = pc.binary_join(pa.ListArray.from_arrays(column.offsets, pairs), ",")
    there = pc.and_(pc.is_valid(column), pc.not_equal(whole, ""))
    found: pa.Array[Any] = pc.if_else(there, whole, _null())
    return found


def _members(text: str, taken: set[str]) -> str | None:
    """What ``ext`` holds, each by its own name; as text where it is no object that JSON can say again."""
    try:
        found = json.loads(text, parse_constant=_refuse)
        if not isinstance(found, dict):
            raise ValueError
        said: dict[str, Any] = {key: value for key, value in found.items() if not _is_taken(key, taken)}
        if len(said) < len(found):
            said["ext"] = {key: value for key, value in found.items() if key not in said}
        whole = json.dumps(said, ensure_ascii=False, allow_nan=False)
        whole.encode()
    except (ValueError, RecursionError):  # the first of lone surrogates, too
        return json.dumps({"ext": text}, ensure_ascii=False)[1:-1]
    return whole[1:-1] or None


def _is_taken(name: str, taken: set[str]) -> bool:
    return name in taken or name.startswith("name:")


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _null() -> pa.Scalar[Any]:
    return pa.scalar(None, pa.string())


def _text(*parts: Any) -> pa.Array[Any]:
    """Parts one after the other; null where one of them is."""
    found: pa.Array[Any] = pc.binary_join_element_wise(*parts, "")
    return found


def _lines(texts: pa.Array[Any], between: str) -> bytes:
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return bytes(memoryview(pc.binary_join(whole, between)[0].as_buffer()))


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _waiting(file: BinaryIO) -> Any:
    """A file without a name, on the disk where the real one is."""
    name = getattr(file, "name", None)
    return tempfile.TemporaryFile(dir=Path(name).parent if isinstance(name, str) and name.startswith("/") else None)


def _append(file: BinaryIO, body: BinaryIO) -> None:
    body.seek(0)
    shutil.copyfileobj(body, file, 1024 * 1024)
