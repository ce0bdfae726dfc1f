"""What an import of a made city must give, in the common vocabulary, straight from the generator.

Decimals are written with all their places. ``lon``, ``lat`` are the footprint's first corner in
OGC:CRS84 by the pipeline that the preset states; ``x``, ``y`` the same corner in the city's own system.
``footprint_area`` is that of the plane. Unknown values are empty. Names stand in columns ``name_<language>``.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from pyproj import Transformer

from citygen.columns import decimals
from citygen.stock import CLASSES, FUNCTIONS, ROOFS, STATES
from citygen.write import City

COLUMNS = (
    "id", "function", "height", "height_method", "storeys_above", "storeys_below", "year_built", "roof_type",
    "floor_area", "footprint_area", "energy_kwh", "energy_class", "usage_state", "parcel_id", "district",
    "zmin", "zmax", "x", "y", "lon", "lat",
)  # fmt: skip
_PARCEL = {"cn.qingdao": "不动产单元号", "kz.almaty": "кадастровый_номер", "uz.tashkent": "kadastr_raqami"}


def write_truth(city: City, path: Path) -> None:
    preset = city.preset
    transformer = Transformer.from_pipeline(preset.pipeline)
    languages = list(preset.names)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, *(f"name_{language}" for language in languages)])
        for standing, stands in city.pieces():
            columns = preset.attributes(standing, stands, city.chance)
            x = standing.corners[:, 0, 0] / 1000.0 + preset.origin[0]
            y = standing.corners[:, 0, 1] / 1000.0 + preset.origin[1]
            lon, lat = transformer.transform(x, y)
            known = stands.height_known | city.solids
            methods = np.where(stands.height_known, "measured", np.where(city.solids, "derived", ""))
            classes = stands.energy_known & preset.classes
            everywhere = np.ones(len(x), dtype=bool)
            bottom, top = standing.ground // 10, standing.ground // 10 + stands.height
            made: list[list[object]] = [
                list(preset.identifiers(standing, stands, city.chance)),
                _where(np.array(FUNCTIONS)[stands.function].tolist(), everywhere),
                _where(decimals(stands.height, 2), known),
                methods.tolist(),
                stands.storeys.tolist(),
                stands.cellars.tolist(),
                _where(stands.year.tolist(), stands.year_known),
                np.array(ROOFS)[stands.roof].tolist(),
                list(decimals(stands.floor_area, 1)),
                list(decimals(stands.footprint, 1)),
                _where(decimals(stands.energy, 1), stands.energy_known),
                _where(np.array(CLASSES)[stands.energy_class].tolist(), classes),
                np.array(STATES)[stands.state].tolist(),
                columns[_PARCEL[preset.city]],
                [preset.districts[number].name for number in standing.district.tolist()],
                _where(decimals(bottom, 2), everywhere & city.solids),
                _where(decimals(top, 2), everywhere & city.solids),
                [f"{value:.3f}" for value in x.tolist()],
                [f"{value:.3f}" for value in y.tolist()],
                [f"{value:.10f}" for value in np.asarray(lon).tolist()],
                [f"{value:.10f}" for value in np.asarray(lat).tolist()],
            ]
            made += [columns[preset.names[language]] for language in languages]
            table.writerows(zip(*made, strict=True))


def _where(values: list[str] | list[int], mask: np.ndarray) -> list[object]:
    return [value if keep else "" for value, keep in zip(values, mask.tolist(), strict=True)]
