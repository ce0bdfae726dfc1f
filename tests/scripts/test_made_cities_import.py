"""A made city, imported with its own mapping, is its truth: the generator's table, which knows nothing of cimfed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.model.names import CityName
from cimfed_node.ingest import ImportRequest, import_files
from tests.scripts.made import CITIES, make, truth_rows

BUILDINGS = 800
NEAR = 1e-7  # degrees: about a centimetre
FIGURES = ("height", "floor_area", "energy_kwh", "zmin", "zmax")
COUNTS = ("storeys_above", "storeys_below", "year_built")
WORDS = ("function", "height_method", "roof_type", "energy_class", "usage_state", "parcel_id", "district")


def imported(
    folder: Path, city: str, form: str, *options: object
) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    mapping, truth = folder / "mapping.yaml", folder / "truth.csv"
    file = make(
        folder / "city.json", city, BUILDINGS, "--format", form, "--mapping-out", mapping, "--truth", truth, *options
    )
    request = ImportRequest(files=(file,), city=CityName(city), collection="building", mapping=mapping)
    snapshot, report = import_files(request, folder / "snapshots")
    assert report.bad == report.duplicates == report.repaired == 0
    assert not report.unmapped, "the mapping knows every code"
    assert not report.dropped
    return pq.read_table(snapshot.path).to_pylist(), truth_rows(truth)


@pytest.mark.parametrize("city", CITIES)
@pytest.mark.parametrize("form", ["cityjson", "cityjsonseq"])
def test_an_import_is_the_truth(city: str, form: str, tmp_path: Path) -> None:
    rows, truth = imported(tmp_path, city, form)
    assert {row["id"] for row in rows} == set(truth)
    assert len(rows) == BUILDINGS
    for row in rows:
        told = truth[row["id"]]
        for name in WORDS:
            assert (row[name] or "") == told[name], name
        for name in COUNTS:
            assert row[name] == (int(told[name]) if told[name] else None), name
        for name in FIGURES:
            assert row[name] == (Decimal(told[name]) if told[name] else None), name
        # The truth adds up exactly what the import measures in doubles: a tie may fall to either side.
        assert abs(row["footprint_area"] - Decimal(told["footprint_area"])) <= Decimal("0.1")
        area = Decimal(told["footprint_area"]) * Decimal(told["height"])
        assert row["volume"] == pytest.approx(area, rel=Decimal("0.001"))
        assert row["footprint_method"] == "given"
        names = {key[5:]: value for key, value in told.items() if key.startswith("name_") and value}
        assert dict(row["name"] or ()) == names


@pytest.mark.parametrize("city", CITIES)
def test_an_import_puts_every_building_where_the_truth_has_it(city: str, tmp_path: Path) -> None:
    rows, truth = imported(tmp_path, city, "cityjsonseq")
    for row in rows:
        told = truth[row["id"]]
        first = np.array([float(told["lon"]), float(told["lat"])])
        for level in ("geometry_lod0", "geometry_lod1"):
            corners = shapely.get_coordinates(shapely.from_wkb(row[level]))
            assert np.abs(corners - first).max(axis=1).min() < NEAR
        levels = shapely.get_coordinates(shapely.from_wkb(row["geometry_lod1"]), include_z=True)[:, 2]
        assert levels.min() == pytest.approx(float(told["zmin"]), abs=1e-6)
        assert levels.max() == pytest.approx(float(told["zmax"]), abs=1e-6)
        footprint = shapely.from_wkb(row["geometry_lod0"])
        assert footprint.is_valid
        assert (row["bbox"]["xmin"], row["bbox"]["ymax"]) == (footprint.bounds[0], footprint.bounds[3])


def test_footprints_alone_have_no_derived_heights(tmp_path: Path) -> None:
    rows, truth = imported(tmp_path, "kz.almaty", "cityjsonseq", "--lod", 0)
    for row in rows:
        told = truth[row["id"]]
        assert row["geometry_lod1"] is None
        assert row["zmin"] is None
        assert row["height"] == (Decimal(told["height"]) if told["height"] else None)
        assert (row["height_method"] or "") == told["height_method"]
