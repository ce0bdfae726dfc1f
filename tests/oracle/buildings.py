"""Buildings of Delft, Zurich and Shanghai as their files have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.places import Position, to_crs84

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Building:
    """``corners`` are all its vertices in OGC:CRS84; ``zmin``, ``zmax`` and ``height`` exact to the centimetre, half to
    even; ``measured`` says that the height is an attribute. None: the file does not tell.
    """

    id: str
    height: Decimal | None
    measured: bool
    zmin: Decimal | None
    zmax: Decimal | None
    corners: tuple[Position, ...]
    names: dict[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


def _numbers(boundaries: Any) -> Iterator[int]:
    if isinstance(boundaries, int):
        yield boundaries
    else:
        for part in boundaries:
            yield from _numbers(part)


def _cityjson(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes(), parse_float=Decimal)  # type: ignore[no-any-return]


def _vertices(document: dict[str, Any], geometries: list[dict[str, Any]]) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Coordinates as exact decimals: integer times scale plus translate."""
    scale, translate = document["transform"]["scale"], document["transform"]["translate"]
    used = sorted({number for geometry in geometries for number in _numbers(geometry["boundaries"])})
    found = []
    for number in used:
        x, y, z = (
            document["vertices"][number][axis] * Decimal(scale[axis]) + Decimal(translate[axis]) for axis in range(3)
        )
        found.append((x, y, z))
    return found


def _building(
    system: str, identifier: str, points: list[tuple[Decimal, Decimal, Decimal]], height: Decimal | None, **more: Any
) -> Building:
    low, high = min(z for *_, z in points), max(z for *_, z in points)
    return Building(
        id=identifier,
        height=(high - low if height is None else Decimal(height)).quantize(CENT),
        measured=height is not None,
        zmin=low.quantize(CENT),
        zmax=high.quantize(CENT),
        corners=tuple(to_crs84(system, ((float(x), float(y)) for x, y, _ in points))),
        **more,
    )


def delft(path: Path) -> dict[str, Building]:
    """Every top-level Building; each has a ``measuredHeight`` and one Solid."""
    document = _cityjson(path)
    return {
        identifier: _building(
            "EPSG:7415", identifier, _vertices(document, thing["geometry"]), thing["attributes"]["measuredHeight"]
        )
        for identifier, thing in document["CityObjects"].items()
        if thing["type"] == "Building" and not thing.get("parents")
    }


def zurich(path: Path) -> dict[str, Building]:
    """Every top-level Building, with the vertices of all of its parts; nothing in the file says how high one is."""
    document = _cityjson(path)
    things = document["CityObjects"]
    found = {}
    for identifier, thing in things.items():
        if thing["type"] != "Building" or thing.get("parents"):
            continue
        parts = tuple(thing.get("children", ()))
        geometries = [g for name in (identifier, *parts) for g in things[name].get("geometry", ())]
        points = _vertices(document, geometries)
        found[identifier] = _building("EPSG:2056", identifier, points, None, parts=parts)
    return found


def zurich_parts(path: Path) -> dict[str, Building]:
    """Every BuildingPart; ``parts`` holds the one building that it belongs to."""
    document = _cityjson(path)
    return {
        identifier: _building(
            "EPSG:2056", identifier, _vertices(document, thing["geometry"]), None, parts=tuple(thing["parents"])
        )
        for identifier, thing in document["CityObjects"].items()
        if thing["type"] == "BuildingPart"
    }


def shanghai(path: Path) -> dict[str, Building]:
    """The extruded buildings; ``name`` is what people there call it, ``name:<language>`` in other languages."""
    document = _cityjson(path)
    found = {}
    for identifier, thing in document["CityObjects"].items():
        told = thing["attributes"]
        found[identifier] = _building(
            "EPSG:4549",
            identifier,
            _vertices(document, thing["geometry"]),
            told["measuredHeight"],
            names={key: value for key, value in told.items() if key == "name" or key.startswith("name:")},
        )
    return found


def shanghai_tiles(path: Path) -> dict[str, Building]:
    """The buildings of map tiles: objects cut at the edges of tiles share an id and are one building.

    Of an attribute the first value among the pieces counts. No vertical coordinates; those of other kinds are left out.
    """
    pieces: dict[str, list[dict[str, Any]]] = {}
    for feature in json.loads(path.read_bytes(), parse_float=Decimal)["features"]:
        if feature["properties"]["kind"] == "building":
            pieces.setdefault(str(feature["properties"]["id"]), []).append(feature)
    found = {}
    for identifier, features in pieces.items():
        properties = [feature["properties"] for feature in features]
        height = next((p["height"] for p in properties if p.get("height") is not None), None)
        names: dict[str, str] = {}
        for told in reversed(properties):
            names |= {key: value for key, value in told.items() if key == "name" or key.startswith("name:")}
        found[identifier] = Building(
            id=identifier,
            height=None if height is None else Decimal(height).quantize(CENT),
            measured=height is not None,
            zmin=None,
            zmax=None,
            corners=tuple(
                (float(x), float(y))
                for feature in features
                for ring in feature["geometry"]["coordinates"]
                for x, y in ring
            ),
            names=names,
        )
    return found
