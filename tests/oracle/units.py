"""Districts of Moscow, Delhi and Tashkent, and power plants of the world, as their files have them."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.places import Position

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Unit:
    """``names`` by the file's own attribute; ``corners`` are all its vertices."""

    id: str | None
    names: dict[str, str]
    corners: tuple[Position, ...]


@dataclass(frozen=True)
class Plant:
    id: str
    name: str
    fuel: str
    capacity_mw: Decimal | None
    owner: str
    year: int | None
    position: Position


def _positions(coordinates: Any) -> Iterator[Position]:
    if isinstance(coordinates[0], float | int):
        yield float(coordinates[0]), float(coordinates[1])
    else:
        for part in coordinates:
            yield from _positions(part)


def _corners(geometry: dict[str, Any]) -> tuple[Position, ...]:
    if geometry["type"] == "GeometryCollection":
        return tuple(corner for part in geometry["geometries"] for corner in _corners(part))
    return tuple(_positions(geometry["coordinates"]))


def _units(path: Path, identifier: str, names: tuple[str, ...]) -> list[Unit]:
    found = []
    for feature in json.loads(path.read_bytes())["features"]:
        told = feature["properties"]
        own = told[identifier]
        found.append(
            Unit(
                id=None if own is None else str(own),
                names={name: unicodedata.normalize("NFC", told[name]) for name in names if told[name] is not None},
                corners=_corners(feature["geometry"]),
            )
        )
    return found


def moscow(path: Path) -> list[Unit]:
    return _units(path, "cartodb_id", ("name", "name_lat"))


def delhi(path: Path) -> list[Unit]:
    """One of the wards has neither number nor name."""
    return _units(path, "Ward_No", ("Ward_Name",))


def tashkent(path: Path) -> list[Unit]:
    return _units(path, "ADM2_EN", ("ADM2_EN", "ADM2_RU", "ADM2_UZ"))


def plants(path: Path, country: str) -> dict[str, Plant]:
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["gppd_idnr"]: Plant(
                id=row["gppd_idnr"],
                name=unicodedata.normalize("NFC", row["name"]),
                fuel=row["primary_fuel"],
                capacity_mw=Decimal(row["capacity_mw"]).quantize(CENT) if row["capacity_mw"] else None,
                owner=row["owner"],
                year=int(float(row["commissioning_year"])) if row["commissioning_year"] else None,
                position=(float(row["longitude"]), float(row["latitude"])),
            )
            for row in csv.DictReader(file)
            if row["country"] == country
        }
