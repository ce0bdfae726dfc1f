"""The outlines of real objects, made with plain shapely of what their files draw, in OGC:CRS84."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.geometry

from tests.oracle.places import to_crs84

Outline = shapely.Geometry


def _faces(boundaries: Any, values: Any) -> Iterator[tuple[list[list[int]], int | None]]:
    """Each surface's rings of vertex numbers, and the number of its semantics, however deep they are nested."""
    for at, part in enumerate(boundaries):
        value = values[at] if isinstance(values, list) else None
        if isinstance(part[0][0], int):
            yield part, value
        else:
            yield from _faces(part, value)


def _is_ground(geometry: dict[str, Any], number: int | None) -> bool:
    return number is not None and geometry["semantics"]["surfaces"][number]["type"] == "GroundSurface"


def cityjson(path: Path, system: str) -> dict[str, Outline]:
    """Each top-level Building with its parts from above: its ground surfaces where it has some, else all surfaces."""
    document = json.loads(path.read_bytes())
    things = document["CityObjects"]
    grid = np.array(document["vertices"]) * document["transform"]["scale"] + document["transform"]["translate"]
    places = to_crs84(system, grid[:, :2].tolist())

    def outline(names: list[str]) -> Outline:
        ground, every = [], []
        for geometry in (geometry for name in names for geometry in things[name].get("geometry", ())):
            for rings, number in _faces(geometry["boundaries"], geometry.get("semantics", {}).get("values")):
                shell, *holes = [[places[vertex] for vertex in ring] for ring in rings]
                drawn = shapely.Polygon(shell, holes)
                every.append(drawn)
                if _is_ground(geometry, number):
                    ground.append(drawn)
        # An upright surface is a line from above: no polygon.
        return shapely.union_all([drawn for drawn in ground or every if drawn.is_valid and drawn.area > 0])

    return {
        identifier: outline([identifier, *thing.get("children", ())])
        for identifier, thing in things.items()
        if thing["type"] == "Building" and not thing.get("parents")
    }


def geojson(features: list[dict[str, Any]]) -> Outline:
    """What the features cover together."""
    return shapely.union_all([_areas(feature["geometry"]) for feature in features])


def _areas(geometry: dict[str, Any]) -> Outline:
    drawn = shapely.geometry.shape(geometry)
    return shapely.union_all(shapely.get_parts(drawn)) if drawn.geom_type == "GeometryCollection" else drawn
