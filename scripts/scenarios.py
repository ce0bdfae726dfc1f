"""The cities of the demo: three generated ones, or six over the real data sets of a folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from alliance import City

BUILDINGS = {"cn.qingdao": 2000, "kz.almaty": 1600, "uz.tashkent": 1200}
EXTENTS = {
    "cn.qingdao": (119.5, 35.5, 121.1, 37.2),
    "kz.almaty": (76.3, 42.9, 77.6, 43.8),
    "uz.tashkent": (68.8, 40.9, 69.8, 41.7),
}


def _validity() -> str:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return f"[{today - timedelta(days=1):%Y-%m-%dT%H:%MZ}, {today + timedelta(days=180):%Y-%m-%dT%H:%MZ}]"


def policy(city: str, collections: dict[str, tuple[float, float, float, float]], grants: str) -> str:
    declared = "\n".join(f"  {name}: {{extent: {list(extent)}}}" for name, extent in collections.items())
    return (
        f"format: cimfed/policy/v1\ncity: {city}\nversion: 1\nvalid: {_validity()}\n"
        f"declared:\n{declared}\ngrants:\n{grants}"
    )


BUILDING_GRANTS = """\
  - id: massing
    subject: {country: [CN, IN, RU]}
    purpose: [research, heat-planning]
    collection: building
    columns:
      {id: exact, name: exact, function: exact, height: exact, height_method: exact, year_built: exact, district: exact}
    geometry: {max_lod: 1}
    obligations: [attribution]
  - id: open-statistics
    subject: {role: [researcher]}
    purpose: [statistics]
    collection: building
    columns: {function: exact, height: {band: 5}}
    rows: "usage_state = 'in_use'"
"""

# Almaty keeps its buildings' names and years to itself and gives heights in steps of five metres.
ALMATY_GRANTS = """\
  - id: massing
    subject: {country: [CN, IN]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact, height: {band: 5}, district: exact}
    rows: "usage_state = 'in_use'"
    geometry: {max_lod: 0}
    obligations: [attribution, no-onward-sharing]
"""


def generated(folder: Path, mappings: Path, sizes: dict[str, int] = BUILDINGS) -> list[City]:
    """Three cities whose files `scripts/make_city` has written to ``folder/<city>.city.jsonl``."""
    return [
        City(
            name,
            (
                (
                    str(folder / f"{name}.city.jsonl"), "--collection", "building",
                    "--mapping", str(mappings / f"{name}.yaml"),
                ),
            ),
            policy(name, {"building": EXTENTS[name]}, ALMATY_GRANTS if name == "kz.almaty" else BUILDING_GRANTS),
        )
        for name in sizes
    ]  # fmt: skip


ADMIN_GRANTS = """\
  - id: districts
    subject: {country: [CN, IN, RU, UZ]}
    purpose: [research]
    collection: admin_unit
    columns: {id: exact, name: exact, level: exact, code: exact}
    geometry: {max_lod: 0}
    obligations: [attribution]
  - id: plants
    subject: {country: [CN, IN, RU, UZ]}
    purpose: [research]
    collection: facility
    columns: {id: exact, name: exact, kind: exact, fuel: exact, capacity_mw: exact, owner: exact, year_built: exact}
    geometry: {max_lod: 0}
    obligations: [attribution]
"""

WORLD = (-180.0, -90.0, 180.0, 90.0)


def real(data: Path, mappings: Path) -> list[City]:
    """Six cities over `../shared/data` or a folder like it."""

    def districts(name: str, file: str, mapping: str, country: str, extent: tuple[float, float, float, float]) -> City:
        return City(
            name,
            (
                (str(data / file), "--collection", "admin_unit", "--mapping", str(mappings / mapping)),
                (
                    str(data / "powerplants/database_GEODB.csv"), "--collection", "facility",
                    "--mapping", str(mappings / "powerplants.yaml"), "--crs", "OGC:CRS84",
                    "--where", f"country={country}",
                ),
            ),
            policy(name, {"admin_unit": extent, "facility": WORLD}, ADMIN_GRANTS),
        )  # fmt: skip

    def buildings(name: str, file: str, extent: tuple[float, float, float, float], *more: str) -> City:
        return City(
            name,
            ((str(data / file), "--collection", "building", *more),),
            policy(name, {"building": extent}, BUILDING_GRANTS),
        )

    return [
        districts("ru.moscow", "moscow/moscow_districts.geojson", "ru.moscow.yaml", "RUS", (36.5, 55.0, 38.2, 56.1)),
        districts("in.delhi", "delhi/Delhi_Wards.geojson", "in.delhi.yaml", "IND", (76.7, 28.3, 77.4, 29.0)),
        districts(
            "uz.tashkent",
            "tashkent/tashkent_districts.geojson",
            "uz.tashkent-districts.yaml",
            "UZB",
            (69.0, 41.1, 69.5, 41.5),
        ),
        buildings("cn.shanghai", "derived/shanghai_lod1_4549.city.json", (121.3, 31.0, 121.7, 31.4)),
        buildings("nl.delft", "delft/delft.city.json", (4.2, 51.9, 4.5, 52.1)),
        buildings("ch.zurich", "zurich/zurich_subset_lod2.city.json", (8.4, 47.2, 8.7, 47.5)),
    ]
