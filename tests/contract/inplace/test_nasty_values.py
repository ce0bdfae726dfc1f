"""Whatever stands in a table, the statement runs; what it gives is what an import of the same values gives."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from cimfed.errors import BadFile
from tests.contract.inplace.making import Field, difference, harmonised, loaded, previewed
from tests.ingest.making import SQUARE, feature, features, imported
from tests.postgres import Cluster, Database

MAPPING = """
format: cimfed/mapping/v1
properties:
  name: {und: [title, name], en: [title_en], "*": "name:*"}
  source: [origin, height]
  function: {from: [use, kind], codes: [function, {Contör: office, nothing: null, ÉCOLE: school}]}
  usage_state: {from: state, codes: {ok: in_use}, otherwise: ruined}
  height: [{from: height, decimal: ","}, {from: feet, factor: 0.3048}, {from: top, minus: ground}]
  storeys_above: [storeys, {from: twice, factor: 0.5}]
  year_built: {from: [built, use], part: year}
  floor_area: [area]
  valid_from: [since, built]
  energy_kwh: {constant: "12.25"}
  district: {constant: Здесь}
"""
TEXTS = (
    "title", "name", "title_en", "name:tg", "name:not a tag", "origin", "use", "kind", "state", "height", "feet", "top",
    "ground", "storeys", "twice", "built", "area", "since", "rest", '"; DROP TABLE things; --', "%s {} %(x)s", "Ключ",
)  # fmt: skip

PHASES = (Phase.explicit, Phase.generate)
"""Rows are many and independent: nothing to shrink."""

WORDS = (
    "", " ", "\u3000\t", "\x1c", "office", "OFFICE ", "contör", "CONTÖR", "e\u0301cole", "École", "straße", "STRASSE",
    "nothing", "1", "12,5", "12.5", " 1 234,5 ", "1\u00a0234,5", "7 m", "7m", "m", "-0", "1e3", "1e400", "1e-400",
    ".5", "5.", "+3", "--3", "NaN", "nan", "Infinity", "-inf", "0x10", "１２", "9" * 64, "9" * 65, "1e15",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "99999999999999.995", "2.675", "2.665",
    "-2.675", "0.5", "1.5", "2.50", "1998", "1998-05", "1998-05-03", "1998-02-30", "1998-13-01", "0000-01-01",
    "0044-03-15 BC", "1998-05-03T24:00:00", "1998-05-03T23:59:59.1234567Z", "1998-05-03 10:11+05:30",
    "1998-05-03T10:11:12,5-0030", "19980503", "19980503T101112Z", "1998-0503", "1998-05-03T10", "1998-05-03T10:60",
    "1998-05-03X10:11", "9999-12-31T23:59:59+23:59", "2024-02-29", "2023-02-29", "'", "\\", "$$", "%s", "{}", "\n",
    "true", "{\"a\": 1}", "a\u0308", "\U0001f3e0", "\u00df",
)  # fmt: skip


def text(random: Random) -> str | None:
    """Nothing, a word that means something or nearly, or characters of any script."""
    kind = random.random()
    if kind < 0.3:
        return None
    if kind < 0.9:
        return random.choice(WORDS)
    ranges = ((1, 0x300), (0x300, 0x370), (0x370, 0xD800), (0xE000, 0x1F000))
    return "".join(chr(random.randrange(*random.choice(ranges))) for _ in range(random.randrange(6)))


def double(random: Random) -> float:
    ties = (2.675, 2.5, 0.125, 1e-7, -0.0, 12.0, 1e14, 5e-324, 99999999999999.5, 0.1 + 0.2)
    return random.choice((random.choice(ties), random.uniform(-1e4, 1e4), random.lognormvariate(0, 12) % 1e15))


def whole(random: Random) -> int:
    return random.choice((random.randrange(-(2**63), 2**63), random.randrange(-3000, 3000), 2**53, -(2**63)))


def nested(random: Random, depth: int = 2) -> Any:
    """JSON, but for a list of one list, of which an import takes the inner item as a code."""
    kind = random.randrange(8 if depth else 5)
    if kind < 5:
        plain = (None, random.random() < 0.5, random.randrange(-(2**53) + 1, 2**53), random.choice(WORDS))
        return random.choice((*plain, round(random.uniform(-99, 99), 3)))
    if kind < 7:
        found = [nested(random, depth - 1) for _ in range(random.randrange(3))]
        return [*found, 7] if len(found) == 1 and isinstance(found[0], list) else found
    return {key: nested(random, depth - 1) for key in random.sample(["a", "é", "o\u0301", ""], 2)}


NUMBERS = (
    "height", "feet", "top", "ground", "storeys", "twice", "built", "area", "title", "use", "state", "since", "rest",
)  # fmt: skip
TYPES: dict[str, Callable[[Random], Any]] = {
    "double precision": double,
    "bigint": whole,
    "integer": lambda random: random.choice((random.randrange(-(2**31), 2**31), random.randrange(2100))),
    "boolean": lambda random: random.random() < 0.5,
    "jsonb": nested,
}
ROWS = 100
SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def shared(postgres: Cluster) -> Database:
    return postgres.database()


@settings(max_examples=2, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_texts(tmp_path_factory: pytest.TempPathFactory, shared: Database, seed: int) -> None:
    random = Random(seed)
    rows = [{name: text(random) for name in TEXTS} for _ in range(ROWS)]
    same(tmp_path_factory.mktemp("texts"), shared, [Field(name) for name in TEXTS], rows)


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=1, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_types(tmp_path_factory: pytest.TempPathFactory, shared: Database, kind: str, seed: int) -> None:
    random = Random(seed)
    rows = [{name: TYPES[kind](random) for name in NUMBERS if random.random() < 0.8} for _ in range(ROWS)]
    same(tmp_path_factory.mktemp("types"), shared, [Field(name, kind) for name in NUMBERS], rows)


def same(folder: Path, database: Database, fields: list[Field], rows: list[dict[str, Any]]) -> None:
    """Rows that an import puts into quarantine are put there in place too; the others come out the same."""
    given = [
        feature(f"r{number}", SQUARE, **{name: value for name, value in row.items() if value is not None})
        for number, row in enumerate(rows)
    ] + [feature("good", SQUARE)]
    (folder / "m.yaml").write_text(MAPPING, encoding="utf-8")
    theirs, report = imported(folder / "first", features(*given), mapping=MAPPING, quarantine=folder / "first.jsonl")
    with database.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS things")
        loaded(connection, "things", fields, given)
    ours, made = harmonised(
        database, "things", mapping=folder / "m.yaml", id_column="fid", quarantine=folder / "second.jsonl"
    )
    assert ours.keys() == theirs.keys()
    apart = {id: d for id in ours if (d := difference(ours[id], theirs[id]))}
    assert not apart, apart
    assert made.report.bad == report.bad
    bad = [json.loads(line)["object"] for line in (folder / "second.jsonl").read_bytes().splitlines()]
    assert sorted(bad) == sorted({one["id"] for one in given} - theirs.keys())


def test_values_that_no_file_can_hold(database: Database) -> None:
    """NaN, infinities, years before Christ, numbers beyond all doubles, JSON that jsonb does not take."""
    columns = {
        "measuredHeight": "double precision", "floor_area": "numeric", "levels": "real", "start_date": "date",
        "valid_from": "timestamptz", "valid_to": "timestamp", "doc": "json", "many": "text[]", "raw": "bytea",
        "span": "interval", "pair": "int4range", "one": "uuid", "flag": "bit(3)", "spots": "point",
    }  # fmt: skip
    rows: list[tuple[Any, ...]] = [
        ("NaN", "NaN", "NaN", "infinity", "infinity", "infinity", '"\\u0000"', ["a", None], b"\x00", "1 day", "[1,2)",
         "00000000-0000-0000-0000-000000000000", "101", "(1,2)"),
        ("Infinity", "Infinity", "-Infinity", "-infinity", "-infinity", "-infinity", '"\\ud800"', [], b"", None, None,
         None, None, None),
        (None, None, None, "0044-03-15 BC", "0044-03-15 BC", "0044-03-15 BC", "1e99999", ["x"], None, None, None, None,
         None, None),
        (1.5, "1.25", 3, "5874897-12-31", "294276-12-31", "294276-12-31", '{"a": "\\ud83c\\udfe0"}', None, None, None,
         None, None, None, None),
    ]  # fmt: skip
    with database.connect() as connection:
        kinds = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in columns.items())
        connection.execute(sql.SQL("CREATE TABLE odd (id int, geom geometry(Point, 4326), {})").format(kinds))
        for number, row in enumerate(rows):
            connection.execute(
                sql.SQL("INSERT INTO odd VALUES (%s, ST_SetSRID(ST_Point(1, 2), 4326), {})").format(
                    sql.SQL(", ").join([sql.SQL("%s")] * len(row))
                ),
                [number, *row],
            )
    ours, made = harmonised(database, "odd")
    assert [ours[str(n)]["height"] for n in range(3)] == [None, None, None]
    assert str(ours["3"]["height"]) == "1.50"
    assert str(ours["3"]["floor_area"]) == "1.2"
    assert [ours[str(n)]["year_built"] for n in range(4)] == [None] * 4
    assert [ours[str(n)]["valid_from"] for n in range(4)] == [None] * 4
    assert ours["0"]["ext"]["measuredHeight"] == "NaN"
    assert ours["1"]["ext"]["measuredHeight"] == "Infinity"
    assert ours["2"]["ext"]["start_date"] == "0044-03-15 BC"
    assert ours["0"]["ext"]["doc"] == '"\\u0000"'
    assert ours["2"]["ext"]["doc"] == "1e99999"
    assert ours["3"]["ext"]["doc"] == {"a": "\U0001f3e0"}
    assert ours["0"]["ext"]["many"] == ["a", None]
    assert ours["0"]["ext"]["flag"] == "101"
    assert "raw" not in ours["0"]["ext"]
    assert any(note == "raw (bytea) is left out" for note in made.report.notes)
    assert made.report.unmapped["height", "measuredHeight"] == {"Infinity": 1, "NaN": 1}
    assert math.isclose(made.report.nulls["height"], 3)


def test_geometries(database: Database) -> None:
    """Each is a row of its own; those that cannot stand are told by reason."""
    good = {
        "square": "POLYGON((1 1, 2 1, 2 2, 1 2, 1 1))",
        "bow": "POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))",
        "twice": "MULTIPOLYGON(((0 0, 2 0, 2 2, 0 2, 0 0)), ((1 1, 3 1, 3 3, 1 3, 1 1)))",
        "curve": "CURVEPOLYGON(CIRCULARSTRING(0 0, 4 0, 4 4, 0 4, 0 0))",
        "arc": "CIRCULARSTRING(0 0, 1 1, 2 0)",
        "surface": "MULTISURFACE(CURVEPOLYGON(CIRCULARSTRING(0 0, 4 0, 4 4, 0 4, 0 0)), ((7 7, 8 7, 8 8, 7 7)))",
        "line": "LINESTRING Z (0 0 1, 1 1 2)",
        "points": "MULTIPOINT M ((0 0 1), (1 1 2))",
        "areas": "GEOMETRYCOLLECTION(POLYGON((0 0, 1 0, 1 1, 0 0)), GEOMETRYCOLLECTION(POLYGON((1 0, 2 0, 1 1, 1 0))))",
        "alone": "GEOMETRYCOLLECTION(POINT(1 1))",
        "empty": "POLYGON EMPTY",
        "hollow": "GEOMETRYCOLLECTION(POINT EMPTY)",
        "body": "POLYHEDRALSURFACE Z (((0 0 0, 0 1 0, 1 1 0, 1 0 0, 0 0 0)), ((0 0 0, 1 0 0, 1 0 5, 0 0 5, 0 0 0)))",
        "tin": "TIN Z (((0 0 0, 1 0 0, 0 1 3, 0 0 0)), ((0 0 0, 0 1 3, 0 1 0, 0 0 0)))",
        "nested": "GEOMETRYCOLLECTION Z (POLYHEDRALSURFACE Z (((0 0 0, 0 1 0, 1 1 0, 1 0 0, 0 0 0))))",
    }
    bad = {
        "mixed": "GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(0 0, 1 1))",
        "flat": "POLYGON((0 0, 1 1, 2 2, 0 0))",
        "point": "LINESTRING(1 1, 1 1)",
        "far": "POINT(500 1)",
        "nan": "LINESTRING(1 NaN, 2 2)",
        "nan_area": "POLYGON((0 0, 1 NaN, 1 1, 0 0))",
        "nan_arc": "CIRCULARSTRING(0 0, NaN 1, 2 0)",
        "nan_body": "POLYHEDRALSURFACE Z (((0 0 0, 0 NaN 0, 1 1 0, 0 0 0)))",
        "nan_mixed": "GEOMETRYCOLLECTION(POINT(1 NaN))",
        "huge": "POINT(1e300 1e300)",
    }
    with database.connect() as connection:
        connection.execute("CREATE TABLE shapes (id text, geom geometry)")
        for id, text in {**good, **bad}.items():
            connection.execute("INSERT INTO shapes VALUES (%s, ST_SetSRID(%s::geometry, 4326))", [id, text])
        connection.execute("INSERT INTO shapes VALUES ('none', NULL)")
        infinite = "ST_SetSRID(ST_MakePoint('Infinity'::float8, 1), 4326)"
        connection.execute(f"INSERT INTO shapes VALUES ('infinite', {infinite})")
    with pytest.raises(BadFile) as caught:
        harmonised(database, "shapes")
    assert caught.value.message == "11 bad rows; nothing was imported"
    assert sorted(line.split(":")[0] for line in caught.value.details) == [
        "a GeometryCollection of points, lines or areas together",
        "a geometry of which nothing is left once it is made valid",
        "coordinates outside of the area that the CRS is used in",
    ]
    seen = previewed(database, "shapes")
    assert seen.report.bad == 11
    assert {one.object for one in seen.bad} <= {*bad, "infinite"}


def test_rows_that_stand_are_valid_and_longitude_first(database: Database, tmp_path: Path) -> None:
    test_geometries(database)
    ours, made = harmonised(database, "shapes", quarantine=tmp_path / "bad.jsonl")
    assert len(ours) == 16
    for row in ours.values():
        shape = row["geometry_lod0"]
        if shape is not None:
            assert shape.is_valid
            assert not shape.has_z
    assert {id for id, row in ours.items() if row["geometry_lod0"] is None} == {"empty", "hollow", "none"}
    assert ours["bow"]["geometry_lod0"].area == pytest.approx(2)
    assert ours["twice"]["geometry_lod0"].area == pytest.approx(7)
    assert ours["areas"]["geometry_lod0"].area == pytest.approx(1)
    assert ours["curve"]["geometry_lod0"].area == pytest.approx(8 * math.pi, rel=0.01)
    assert ours["arc"]["geometry_lod0"].length == pytest.approx(math.pi, rel=0.01)
    assert ours["body"]["geometry_lod0"].area == ours["nested"]["geometry_lod0"].area == pytest.approx(1)
    assert ours["tin"]["geometry_lod0"].area == pytest.approx(0.5)
    methods = {id: row["footprint_method"] for id, row in ours.items()}
    assert methods["square"] == methods["nested"] == "given"
    assert methods["body"] == methods["tin"] == "projection"
    assert methods["line"] is methods["points"] is methods["none"] is None
    assert made.report.repaired == 3
