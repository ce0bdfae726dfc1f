"""Small files for import tests, and imports of them.

``imported`` gives rows by id, ``refused`` the refusal; both make sure that a refusal leaves nothing behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.errors import CimfedError
from cimfed.model.names import CityName
from cimfed_node.ingest import ImportReport, ImportRequest, import_files
from tests.oracle.places import to_crs84

Row = dict[str, Any]
Data = bytes | str | dict[str, Any] | Path  # content, or a file that is there

RD = "https://www.opengis.net/def/crs/EPSG/0/7415"
"""Of the Netherlands: metres, and heights above NAP."""
DAM = (121_000.0, 487_000.0)
"""A place in Amsterdam."""


@dataclass(frozen=True)
class Refusal:
    """An error as its reader sees it; ``message`` with the details, a line each."""

    reason: str
    message: str
    place: str | None
    remedy: str | None


def as_bytes(data: Data) -> bytes:
    assert not isinstance(data, Path)
    if isinstance(data, dict):
        data = json.dumps(data, ensure_ascii=False)
    return data.encode() if isinstance(data, str) else data


def request_for(
    folder: Path, files: Sequence[Data], collection: str, city: str, options: dict[str, Any]
) -> ImportRequest:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [data if isinstance(data, Path) else folder / f"data{number or ''}" for number, data in enumerate(files)]
    for path, data in zip(paths, files, strict=True):
        if not isinstance(data, Path):
            path.write_bytes(as_bytes(data))
    if isinstance(options.get("mapping"), str):
        (folder / "mapping.yaml").write_text(options["mapping"], encoding="utf-8")
        options = options | {"mapping": folder / "mapping.yaml"}
    return ImportRequest(files=tuple(paths), city=CityName(city), collection=collection, **options)


def imported(
    folder: Path, *files: Data, collection: str = "building", city: str = "xx.city", **options: Any
) -> tuple[dict[str, Row], ImportReport]:
    """Rows by id, geometries as shapely's, names as a dict, ``ext`` as values."""
    snapshot, report = import_files(request_for(folder, files, collection, city, options), folder / "snapshots")
    assert [path.name for path in (folder / "snapshots").iterdir()] == [snapshot.id]
    rows = pq.read_table(snapshot.path).to_pylist()
    for row in rows:
        for name in row:
            if name.startswith("geometry_") and row[name] is not None:
                row[name] = shapely.from_wkb(row[name])
        row["name"] = dict(row["name"] or ())
        row["ext"] = json.loads(row["ext"] or "{}")
    assert len({row["id"] for row in rows}) == len(rows) == report.rows == snapshot.rows
    return {row["id"]: row for row in rows}, report


def refused(folder: Path, *files: Data, collection: str = "building", city: str = "xx.city", **options: Any) -> Refusal:
    """The refusal of an import that does nothing at all."""
    request = request_for(folder, files, collection, city, options)
    with pytest.raises(CimfedError) as caught:
        import_files(request, folder / "snapshots")
    assert list((folder / "snapshots").iterdir()) == []
    if request.quarantine is not None and request.quarantine.resolve() not in request.files:
        assert not request.quarantine.exists()
    error = caught.value
    return Refusal(error.reason, "\n".join([error.message, *error.details]), error.place, error.remedy)


# GeoJSON


def ring(x: float, y: float, side: float = 0.001) -> list[list[float]]:
    """A closed square, counter-clockwise."""
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


SQUARE: dict[str, Any] = {"type": "Polygon", "coordinates": [ring(69.2, 41.3)]}


def feature(id: Any = "a", geometry: Any = SQUARE, **properties: Any) -> dict[str, Any]:
    """A Feature; without an id where that is ``...``."""
    made = {"type": "Feature", "id": id, "properties": properties, "geometry": geometry}
    if id is ...:
        del made["id"]
    return made


def features(*made: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", **more, "features": list(made)}


def lines(*documents: Any) -> str:
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)


# CityJSON


def city_object(kind: str = "Building", *geometries: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "geometry": list(geometries), **more}


def header(
    version: str = "2.0", crs: Any = RD, scale: float = 0.001, translate: Sequence[float] = (*DAM, 0.0), **more: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "CityJSON",
        "version": version,
        "transform": {"scale": [scale] * 3, "translate": list(translate)},
        **more,
    }
    if crs is not None:
        made["metadata"] = {"referenceSystem": crs}
    return made


def cityjson(objects: dict[str, Any], vertices: Iterable[Any], **options: Any) -> dict[str, Any]:
    """A document whose ``vertices`` are as the file has them: millimetres from the translation."""
    return {**header(**options), "CityObjects": objects, "vertices": list(vertices)}


def city_feature(id: str, objects: dict[str, Any], vertices: Iterable[Any]) -> dict[str, Any]:
    return {"type": "CityJSONFeature", "id": id, "CityObjects": objects, "vertices": list(vertices)}


def block(x: int, y: int, dx: int, dy: int, z0: int, z1: int) -> list[list[int]]:
    """The corners of a block, in metres from ``DAM``, as vertices of a file in millimetres: floor, then roof."""
    plan = [(x, y), (x + dx, y), (x + dx, y + dy), (x, y + dy)]
    return [[east * 1000, north * 1000, z * 1000] for z in (z0, z1) for east, north in plan]


def shell(first: int = 0) -> list[list[list[int]]]:
    """The six surfaces of a block whose corners begin at ``first``, all facing outwards."""
    a, b, c, d, e, f, g, h = range(first, first + 8)
    return [[[a, d, c, b]], [[e, f, g, h]], [[a, b, f, e]], [[b, c, g, f]], [[c, d, h, g]], [[d, a, e, h]]]


def solid(lod: str = "1", first: int = 0) -> dict[str, Any]:
    return {"type": "Solid", "lod": lod, "boundaries": [shell(first)]}


BLOCK = block(0, 0, 20, 10, 2, 14)


def on_map(*points: tuple[float, float], system: str = "EPSG:7415", origin: tuple[float, float] = DAM) -> Any:
    """Metres from ``origin`` as a polygon on the map, by a pipeline that was written down by hand."""
    return shapely.Polygon(to_crs84(system, [(origin[0] + x, origin[1] + y) for x, y in points]))


def same(one: Any, other: Any, within: float = 1e-8) -> bool:
    """Whether two geometries are the same but for the order of their parts and a millimetre."""
    return bool(shapely.equals_exact(one.normalize(), other.normalize(), tolerance=within))
