"""Roads, land use, water, plants and bridges as the files of Shanghai and Delft have them, read as plain JSON.

What a word of a file means stands here a second time, written down by hand, for the words that these files have.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.oracle.places import Position, to_crs84

SAME = {
    "secondary",
    "primary",
    "residential",
    "service",
    "pedestrian",
    "cycleway",
    "tertiary",
    "path",
    "steps",
    "trunk",
}
WAYS = {name: name for name in SAME | {"subway", "funicular", "footway", "ferry", "station"}} | {
    "pier": "footway", "secondary_link": "secondary", "trunk_link": "trunk", "primary_link": "primary",
    "tertiary_link": "tertiary", "living_street": "residential", "unclassified": "other", "bus_stop": "stop",
}  # fmt: skip
USES = {"residential", "grass", "park", "commercial", "forest", "retail", "school", "hospital", "garden"}
LAND = {name: name for name in USES} | {
    "pedestrian": "transport", "pier": "transport", "parking": "transport", "bridge": "transport", "fuel": "transport",
    "footway": "transport", "recreation_ground": "recreation", "attraction": "recreation", "pitch": "recreation",
    "natural_wood": "forest", "library": "school", "protected_area": "protected", "place_of_worship": "worship",
    "wall": "other", "fence": "other", "tree_row": "other", "hedge": "other",
}  # fmt: skip
PAVING = {
    "asphalt": "asphalt", "fine_gravel": "gravel", "paved": "paved", "concrete": "concrete", "paving_stones": "stones",
    "grass": "unpaved", "open verharding": "stones", "gesloten verharding": "paved", "onverhard": "unpaved",
}  # fmt: skip
DELFT = {
    "Road": ("function", {"voetpad": "footway", "parkeervlak": "parking", "rijbaan lokale weg": "tertiary",
                          "voetpad op trap": "steps", "voetgangersgebied": "pedestrian"}),
    "LandUse": ("bgt_fysiekvoorkomen", {}),
    "PlantCover": ("plus_fysiekvoorkomen", {"heesters": "shrubs", "gras- en kruidachtigen": "grass",
                                            "waardeOnbekend": "mixed"}),
    "WaterBody": ("class", {"waterloop": "watercourse"}),
    "Bridge": ("class", {}),
}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """One object of a file. ``corners``: all its vertices in OGC:CRS84. ``told``: its attributes."""

    id: str
    function: str | None
    surface: str | None
    names: dict[str, str]
    corners: tuple[Position, ...]
    told: dict[str, Any]


def _positions(coordinates: Any) -> Iterator[Position]:
    if isinstance(coordinates[0], float | int):
        yield float(coordinates[0]), float(coordinates[1])
    else:
        for part in coordinates:
            yield from _positions(part)


def shanghai(path: Path, words: dict[str, str]) -> list[Thing]:
    """Features in the file's order, an object of several tiles several times; function by the words given."""
    found = []
    for feature in json.loads(path.read_bytes())["features"]:
        told = feature["properties"]
        names = {key[5:] or "und": told[key] for key in told if key == "name" or key.startswith("name:")}
        found.append(
            Thing(
                id=str(told["id"]),
                function=words.get(told.get("kind_detail"), words.get(told["kind"])),
                surface=PAVING.get(told.get("surface")),
                names={key: unicodedata.normalize("NFC", name) for key, name in names.items()},
                corners=tuple(_positions(feature["geometry"]["coordinates"])),
                told=told,
            )
        )
    return found


def _numbers(boundaries: Any) -> Iterator[int]:
    if isinstance(boundaries, int):
        yield boundaries
    else:
        for part in boundaries:
            yield from _numbers(part)


def delft(path: Path, kind: str) -> dict[str, Thing]:
    document = json.loads(path.read_bytes())
    (sx, sy, _), (tx, ty, _) = document["transform"]["scale"], document["transform"]["translate"]
    attribute, words = DELFT[kind]
    found = {}
    for id, node in document["CityObjects"].items():
        if node["type"] == kind:
            numbers = [number for geometry in node["geometry"] for number in _numbers(geometry["boundaries"])]
            points = [document["vertices"][number] for number in numbers]
            told = node["attributes"]
            found[id] = Thing(
                id=id,
                function=words.get(told.get(attribute)),
                surface=PAVING.get(told.get("surfacematerial", told.get("bgt_fysiekvoorkomen"))),
                names={},
                corners=tuple(to_crs84("EPSG:7415", [(x * sx + tx, y * sy + ty) for x, y, _ in points])),
                told=told,
            )
    return found


def numbered(things: list[Thing]) -> dict[str, Thing]:
    """By id; the second thing of an id is called ``id~2``, and so on."""
    seen: Counter[str] = Counter()
    found = {}
    for thing in things:
        seen[thing.id] += 1
        found[thing.id if seen[thing.id] == 1 else f"{thing.id}~{seen[thing.id]}"] = thing
    return found
