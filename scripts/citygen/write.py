"""CityJSON and CityJSONSeq out of lots and stock, one piece at a time.

Rules kept: vertices are whole numbers under the file's ``transform`` (scale 1 mm); the outer rings of a solid's faces
run counter-clockwise seen from outside; every edge is shared by exactly two faces, through the same two vertices. A
building's footprint (LoD0) is a MultiSurface of one surface over the ground vertices of its solid (LoD1).

A CityJSON file holds all objects before all vertices, so the city is made twice over rather than held in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import orjson

from citygen.chance import Chance
from citygen.layout import CORNERS, RINGS, Lots, Quarters, lots, pieces, quarters
from citygen.preset import Preset
from citygen.stock import Stock, stock

Ring = list[int]
Geometry = dict[str, object]
_MARK = 1_000_000  # stands for the index of a building's first vertex, where geometry is a template
_MARKED = re.compile(rb"10000\d\d")


class City:
    """A city to be: seed, number of buildings and what follows from them."""

    def __init__(self, preset: Preset, buildings: int, seed: int, solids: bool) -> None:
        self.preset, self.buildings, self.solids = preset, buildings, solids
        self.chance = Chance(preset.city, seed)
        self.quarters: Quarters = quarters(preset, self.chance, buildings)

    def pieces(self) -> Iterator[tuple[Lots, Stock]]:
        for start, stop in pieces(self.buildings):
            standing = lots(self.preset, self.chance, self.quarters, start, stop)
            yield standing, stock(self.preset, self.chance, standing)

    def header(self) -> dict[str, object]:
        east, north = self.preset.origin
        return {
            "type": "CityJSON",
            "version": self.preset.version,
            "transform": {"scale": [0.001, 0.001, 0.001], "translate": [east, north, 0.0]},
            "metadata": {
                "title": self.preset.title,
                "referenceSystem": f"https://www.opengis.net/def/crs/EPSG/0/{self.preset.epsg}",
            },
        }


def footprint(shape: int, base: int = 0) -> list[list[Ring]]:
    """The boundaries of the LoD0 MultiSurface."""
    return [[[base + corner for corner in ring] for ring in RINGS[shape]]]


def solid(shape: int, base: int = 0) -> list[list[list[Ring]]]:
    """The boundaries of the LoD1 Solid: ground, roof, then a wall for each edge of each ring."""
    up = CORNERS[shape]
    ground = [[base + corner for corner in reversed(ring)] for ring in RINGS[shape]]
    roof = [[base + up + corner for corner in ring] for ring in RINGS[shape]]
    walls = [
        [[base + here, base + there, base + up + there, base + up + here]]
        for ring in RINGS[shape]
        for here, there in zip(ring, ring[1:] + ring[:1], strict=True)
    ]
    return [[ground, roof, *walls]]


def geometries(preset: Preset, shape: int, solids: bool, base: int = 0) -> list[Geometry]:
    found: list[Geometry] = [{"type": "MultiSurface", "lod": preset.lods[0], "boundaries": footprint(shape, base)}]
    if solids:
        found.append({"type": "Solid", "lod": preset.lods[1], "boundaries": solid(shape, base)})
    return found


def vertices(standing: Lots, heights: np.ndarray, solids: bool) -> list[list[list[int]]]:
    """For each building its vertices: ground corners, then the same corners at the roof."""
    found: list[list[list[int]]] = [[]] * len(standing.number)
    for shape, count in enumerate(CORNERS):
        chosen = np.flatnonzero(standing.shape == shape)
        levels = 2 if solids else 1
        made = np.empty((len(chosen), levels * count, 3), dtype=np.int64)
        made[:, :, :2] = np.tile(standing.corners[chosen, :count], (1, levels, 1))
        made[:, :count, 2] = standing.ground[chosen, None]
        if solids:
            made[:, count:, 2] = (standing.ground + heights * 10)[chosen, None]
        for at, points in zip(chosen.tolist(), made.tolist(), strict=True):
            found[at] = points
    return found


def objects(city: City, standing: Lots, stands: Stock) -> Iterator[tuple[str, dict[str, object]]]:
    """Identifier and attributes of each building of a piece."""
    preset = city.preset
    columns = preset.attributes(standing, stands, city.chance)
    names = tuple(columns)
    identifiers = preset.identifiers(standing, stands, city.chance)
    for identifier, row in zip(identifiers, zip(*columns.values(), strict=True), strict=True):
        pairs = zip(names, row, strict=True)
        if preset.omits:
            yield identifier, {name: value for name, value in pairs if value is not None}
        else:
            yield identifier, dict(pairs)


def write_sequence(city: City, out: BinaryIO) -> None:
    """CityJSONSeq: a header line, then a line for each building."""
    out.write(orjson.dumps({**city.header(), "CityObjects": {}, "vertices": []}) + b"\n")
    made = [orjson.dumps(geometries(city.preset, shape, city.solids)) for shape in range(len(RINGS))]
    fragments = [orjson.Fragment(geometry) for geometry in made]
    for standing, stands in city.pieces():
        points = vertices(standing, stands.height, city.solids)
        rows = zip(objects(city, standing, stands), standing.shape.tolist(), points, strict=True)
        out.writelines(
            orjson.dumps(
                {
                    "type": "CityJSONFeature",
                    "id": identifier,
                    "CityObjects": {
                        identifier: {"type": "Building", "attributes": attributes, "geometry": fragments[shape]}
                    },
                    "vertices": corners,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for (identifier, attributes), shape, corners in rows
        )


def _template(preset: Preset, shape: int, solids: bool) -> tuple[bytes, np.ndarray]:
    """Geometry as JSON with ``%d`` for each vertex index, and the indices of a building whose first vertex is 0."""
    text = orjson.dumps(geometries(preset, shape, solids, _MARK))
    indices = [int(found) - _MARK for found in _MARKED.findall(text)]
    return _MARKED.sub(b"%d", text), np.array(indices)


def write_city(city: City, out: BinaryIO) -> None:
    """One CityJSON object; its keys in the usual order, vertices last."""
    templates = [_template(city.preset, shape, city.solids) for shape in range(len(RINGS))]
    counts = np.array(CORNERS) * (2 if city.solids else 1)
    out.write(orjson.dumps(city.header())[:-1] + b',"CityObjects":{')
    base, comma = 0, b""
    for standing, stands in city.pieces():
        size = counts[standing.shape]
        first = base + np.cumsum(size) - size
        base += int(size.sum())
        rows = zip(objects(city, standing, stands), standing.shape.tolist(), first.tolist(), strict=True)
        for (identifier, attributes), shape, start in rows:
            text, indices = templates[shape]
            geometry = orjson.Fragment(text % tuple((indices + start).tolist()))
            body = {"type": "Building", "attributes": attributes, "geometry": geometry}
            out.write(comma + orjson.dumps({identifier: body})[1:-1])
            comma = b","
    out.write(b'},"vertices":[')
    comma = b""
    for standing, stands in city.pieces():
        points = [point for corners in vertices(standing, stands.height, city.solids) for point in corners]
        out.write(comma + orjson.dumps(points)[1:-1])
        comma = b","
    out.write(b"]}\n")
