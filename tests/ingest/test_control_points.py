"""Published positions come out of an import within the accuracy that its operation states."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import Geod

from cimfed.model.names import CityName
from cimfed_node.ingest import ImportReport, ImportRequest, import_files
from tests.oracle.control_points import POINTS, ControlPoint

GEOD = Geod(ellps="WGS84")
SYSTEMS = sorted({point.system for point in POINTS})


def of(system: str) -> list[ControlPoint]:
    return [point for point in POINTS if point.system == system]


def imported(path: Path, collection: str, **options: Any) -> tuple[dict[str, shapely.Geometry], ImportReport]:
    request = ImportRequest(files=(path,), city=CityName("xx.points"), collection=collection, **options)
    snapshot, report = import_files(request, path.parent / "snapshots")
    rows = pq.read_table(snapshot.path, columns=["id", "geometry_lod0"]).to_pylist()
    return {row["id"]: shapely.from_wkb(row["geometry_lod0"]) for row in rows}, report


def metres(point: ControlPoint, geometry: shapely.Geometry) -> float:
    """Geodesic distance from the published position to the nearest vertex."""
    corners = shapely.get_coordinates(geometry)
    return min(float(GEOD.inv(point.longitude, point.latitude, lon, lat)[2]) for lon, lat in corners)


def allowed(point: ControlPoint, report: ImportReport) -> float:
    assert report.operation.accuracy_m is not None
    assert not report.operation.declared
    return report.operation.accuracy_m + point.digits


def test_there_are_points_of_at_least_three_systems_with_their_sources() -> None:
    assert len(SYSTEMS) >= 3
    assert all(len(point.source) > 40 for point in POINTS)


@pytest.mark.parametrize("system", SYSTEMS)
def test_points_of_a_table_are_where_they_were_published(system: str, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "x", "y"])
        table.writerows([point.name, point.easting, point.northing] for point in of(system))
    found, report = imported(path, "facility", id_column="name", crs=system)
    assert report.operation.crs == system
    assert set(found) == {point.name for point in of(system)}
    for point in of(system):
        assert metres(point, found[point.name]) <= allowed(point, report)


@pytest.mark.parametrize("system", SYSTEMS)
def test_corners_of_cityjson_buildings_are_where_they_were_published(system: str, tmp_path: Path) -> None:
    """Each building is a triangle of 10 m by 10 m whose corner is a point."""
    objects, corners = {}, []
    for number, point in enumerate(of(system)):
        objects[point.name] = {
            "type": "Building",
            "geometry": [{"type": "MultiSurface", "lod": "0", "boundaries": [[[3 * number + i for i in range(3)]]]}],
        }
        for east, north in ((0, 0), (10, 0), (0, 10)):
            corners.append([round((point.easting + east) * 1000), round((point.northing + north) * 1000), 0])
    document = {
        "type": "CityJSON",
        "version": "2.0",
        "transform": {"scale": [0.001, 0.001, 0.001], "translate": [0.0, 0.0, 0.0]},
        "metadata": {"referenceSystem": f"https://www.opengis.net/def/crs/EPSG/0/{system.removeprefix('EPSG:')}"},
        "CityObjects": objects,
        "vertices": corners,
    }
    path = tmp_path / "points.city.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    found, report = imported(path, "building")
    for point in of(system):
        assert metres(point, found[point.name]) <= allowed(point, report)
        area, _ = GEOD.geometry_area_perimeter(shapely.orient_polygons(found[point.name]))
        assert area == pytest.approx(50.0, rel=0.01), "a triangle of 10 m by 10 m"
