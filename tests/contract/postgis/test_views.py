"""Views in PostgreSQL hold what their shape gives, and nothing else; they are whole or not there, and found again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import shapely

from cimfed.errors import BadFile, CimfedError, Conflict, ViewGone
from cimfed.model.limits import LIMITS
from cimfed.policy.meet import shape_hash
from cimfed.policy.shape import EXACT, NULL, Mask, Shape, band
from cimfed.query.expression import Box, Comparator, Comparison, Literal, Property
from cimfed.query.query import Read
from cimfed.trust.hashing import digest
from cimfed_node.sql import requests
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.postgis import POSTGIS
from cimfed_node.stores.base import View
from cimfed_node.stores.postgis.compose import composed
from cimfed_node.views import view_id
from cimfed_node.views.files import shown_snapshot
from cimfed_node.views.postgis import PostGISBuilder, PostGISViews, Source, load, unload
from tests.contract.benches import KEY, SCHEMA, PostGISBench, serving_role
from tests.contract.store_contract import everything, wide
from tests.postgres import Cluster
from tests.unit.node import rows as made
from tests.unit.node.views.test_build import COLUMNS, SHAPES, _city, expected, shape


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[PostGISBench]:
    found = PostGISBench(tmp_path_factory.mktemp("home"), postgres)
    yield found
    found.close()


@pytest.fixture(scope="module")
def city() -> list[dict[str, Any]]:
    return _city(2000)


@pytest.fixture(scope="module")
def source(bench: PostGISBench, city: list[dict[str, Any]]) -> Source:
    return bench.load(made.table(city, COLUMNS))


def rows_of(bench: PostGISBench, view: View) -> list[dict[str, Any]]:
    return everything(bench.store.read(view, Read("building"))).to_pylist()


def asked(bench: PostGISBench, text: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """By plain psycopg, as the operator."""
    with bench.database.connect(autocommit=True) as connection:
        return connection.execute(text.encode(), values).fetchall()


def relations(bench: PostGISBench) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relnamespace = CAST(%s AS regnamespace) ORDER BY 1"
    return [name for (name,) in asked(bench, query, [SCHEMA])]


@pytest.mark.parametrize("of", SHAPES)
def test_a_view_is_the_rows_columns_masks_and_geometry_of_its_shape(
    bench: PostGISBench, source: Source, city: list[dict[str, Any]], of: Shape
) -> None:
    view = bench.builder.build(source, of)
    masks: Mapping[str, Mask] = {name: of.columns.get(name, EXACT) for name in view.schema.names}
    found, should = rows_of(bench, view), expected(city, of, masks)
    assert view.rows == len(found)
    assert sorted(found, key=str) == sorted(should, key=str)
    assert bench.views.open(view.id) == view
    assert (view.snapshot, view.shape_hash) == (shown_snapshot(KEY, source.id), shape_hash(of))


@pytest.mark.parametrize(
    ("value", "width", "floor"),
    [
        ("-7.31", "5", "-10.00"),
        ("0.29", "0.1", "0.20"),
        ("9999999999999999.99", "1000000000", "9999999000000000.00"),
        ("-9999999999999999.99", "1000000000", None),
        ("-9999999999999999.99", "0.01", "-9999999999999999.99"),
    ],
)
def test_bands_floor_from_zero(bench: PostGISBench, value: str, width: str, floor: str | None) -> None:
    rows = made.table([made.building(1, height=Decimal(value)), made.building(2, height=None)])
    found = rows_of(bench, bench.shaped(rows, shape({"id": EXACT, "height": band(Decimal(width))}, None)))
    assert {row["id"]: row["height"] for row in found} == {"b1": None if floor is None else Decimal(floor), "b2": None}


@pytest.mark.parametrize(("value", "floor"), [(-1, -10), (2**63 - 1, 9223372036854775800), (-(2**63), None)])
def test_bands_of_integers_reach_to_the_ends(bench: PostGISBench, value: int, floor: int | None) -> None:
    rows = made.table([made.building(1, year_built=value)])
    found = rows_of(bench, bench.shaped(rows, shape({"year_built": band(Decimal(10))}, None)))
    assert [row["year_built"] for row in found] == [floor]


# What is there beside the rows


def test_what_the_shape_does_not_give_is_nowhere_in_the_server(bench: PostGISBench) -> None:
    """Not in statistics or indexes, and no definition of the view is kept: every value has a mark to look for."""
    rows = [
        made.building(at, shapely.box(76, 43, 76.1, 43.1), district="hidden-district", function=f"given-{at % 2}")
        for at in range(500)
    ]
    only = Comparison(Comparator.EQ, Property("function"), Literal("given-1"))
    of = shape({"id": EXACT, "function": EXACT, "district": NULL}, 0, rows=(only,))
    view = bench.shaped(made.table(rows, (*made.COLUMNS, "district")), of)
    key = digest("cimfed view order v1", [KEY, view.id])
    with psycopg.connect(bench.serving) as serving:
        for table in (
            "pg_stats",
            "pg_class",
            "pg_attribute",
            "pg_description",
            "pg_rewrite",
            "pg_views",
            "pg_matviews",
        ):
            text = str(serving.execute(f"SELECT CAST(x AS text) FROM {table} AS x".encode()).fetchall())
            assert "hidden-district" not in text
            assert "given-0" not in text
            assert key.hex() not in text
            assert ("given-1" in text) == (table == "pg_stats")
    with bench.database.cluster.administrator(bench.database.name) as admin:
        paths = admin.execute(
            "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relname LIKE %s OR oid IN (SELECT indexrelid FROM "
            "pg_index WHERE indrelid = CAST(%s AS regclass))",
            [view.source, f'{SCHEMA}."{view.source}"'],
        ).fetchall()
        admin.execute("CHECKPOINT")
        assert len(paths) == 3  # the table, the index of places, the index of ids
        for (path,) in paths:
            (raw,) = admin.execute("SELECT pg_read_binary_file(%s)", [path]).fetchone() or (b"",)
            assert b"hidden-district" not in raw
            assert b"given-0" not in raw


def test_text_lies_in_collation_c(bench: PostGISBench, source: Source) -> None:
    view = bench.builder.build(source, SHAPES[1])
    query = (
        "SELECT a.attname, l.collname FROM pg_attribute AS a JOIN pg_collation AS l ON l.oid = a.attcollation "
        "WHERE a.attrelid = CAST(%s AS regclass)"
    )
    found = dict(asked(bench, query, [f'{SCHEMA}."{view.source}"']))
    assert found == dict.fromkeys(("city", "id", "function"), "C")


def test_only_the_serving_role_may_read_and_only_the_view(bench: PostGISBench, source: Source) -> None:
    view = bench.builder.build(source, SHAPES[0])
    rights = asked(
        bench,
        "SELECT a.grantee::regrole::text, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a "
        "WHERE c.relname = %s AND a.grantee <> c.relowner",
        [view.source],
    )
    assert rights == [(bench.role, "SELECT")]
    with psycopg.connect(bench.serving, autocommit=True) as serving:
        assert serving.execute(f"SELECT count(*) FROM {SCHEMA}.{view.source}".encode()).fetchone() == (view.rows,)
        for text in (f"SELECT * FROM {source.relation}", f"DELETE FROM {SCHEMA}.{view.source}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                serving.execute(text.encode())
    _, other = serving_role(bench.database)
    with psycopg.connect(other) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT * FROM {SCHEMA}.{view.source}".encode())


# The order of rows


def test_without_geometry_the_order_says_nothing_without_the_key(bench: PostGISBench) -> None:
    for words in ("", "x" * 1900):  # short rows would go where long ones left room, if the server had its way
        of = shape({"id": EXACT, "function": EXACT}, None)
        rows = [made.building(at, function=words[: at * 37 % 1900]) for at in range(5000)]
        view = bench.shaped(made.table(rows), of)
        found = [row["id"] for row in rows_of(bench, view)]
        key = digest("cimfed view order v1", [KEY, view.id])
        assert found == sorted((row["id"] for row in rows), key=lambda id: hashlib.sha256(key + id.encode()).digest())


def test_with_geometry_the_order_is_of_places_whatever_the_source_had(
    bench: PostGISBench, city: list[dict[str, Any]]
) -> None:
    """Places in one order; rows that share one, or have none, in an order of the view's own key."""
    placed = [row for row in city if row["geometry_lod0"] is not None]
    number = dict.fromkeys((row["geometry_lod0"] for row in placed), 0)
    for row in placed:
        number[row["geometry_lod0"]] += 1
    crowds: list[list[str]] = []
    alone: list[list[str]] = []
    for rows in (city, city[::-1], sorted(city, key=lambda row: str(row["height"]))):
        found = rows_of(bench, bench.shaped(made.table(rows, COLUMNS), shape({"id": EXACT}, 0)))
        places = [row["geometry_lod0"] for row in found]
        assert places[len(placed) :] == [None] * (len(city) - len(placed))
        alone.append([row["id"] for row in found if number.get(row["geometry_lod0"]) == 1])
        crowds.append([row["id"] for row in found if number.get(row["geometry_lod0"]) != 1])
    assert alone[0] == alone[1] == alone[2]
    assert len({tuple(crowd) for crowd in crowds}) == 3
    assert sorted(crowds[0]) == sorted(crowds[1])
    steps = [one.distance(other) for one, other in zip(*[_shapes(found, at) for at in (0, 1)], strict=True)]
    assert sum(steps) / len(steps) < 0.05  # neighbours lie near each other, in a city of 0.6 degrees


def _shapes(rows: list[dict[str, Any]], shift: int) -> list[shapely.Geometry]:
    found = [shapely.from_wkb(row["geometry_lod0"]) for row in rows if row["geometry_lod0"] is not None]
    return found[shift : len(found) - 1 + shift]


def test_reads_come_in_the_tables_order_whatever_the_plan(bench: PostGISBench, source: Source) -> None:
    view = bench.builder.build(source, shape({"id": EXACT}, 0))
    order = [row["id"] for row in rows_of(bench, view)]
    for box in (Box(76.0, 43.0, 76.02, 43.02), Box(76.0, 43.0, 76.3, 43.3), Box(76.0, 43.0, 80, 50)):
        found = [row["id"] for row in everything(bench.store.read(view, Read("building", box))).to_pylist()]
        assert found == [id for id in order if id in set(found)]
        assert found


def test_a_small_box_is_found_by_the_index(bench: PostGISBench) -> None:
    rows = [made.building(at, shapely.Point(at % 200 / 100, at // 200 / 100)) for at in range(20_000)]
    view = bench.view(made.table(rows))
    columns = Columns(made.BUILDING, frozenset(view.schema.names))
    for box, number in (
        (Box(0.5, 0.5, 0.52, 0.52), 9),
        (Box(0.5, 0.5, 0.5, 0.5), 1),
        (Box(1.99, 0.5, 0.0, 0.505), 2),
        (Box(-1e308, 0.5, 0.0, 1e308), 50),
    ):
        text = composed(requests.read(("id",), box, f'{SCHEMA}."{view.source}"', columns, POSTGIS))
        with psycopg.connect(bench.serving) as serving:
            plan = str(serving.execute(b"EXPLAIN " + text.encode()).fetchall())
        assert "st_makeenvelope_idx" in plan
        assert everything(bench.store.read(view, Read("building", box))).num_rows == number


# Whole or not there


def test_a_view_that_is_there_is_used_as_it_stands(bench: PostGISBench, source: Source) -> None:
    of = shape({"id": EXACT, "height": EXACT}, None)
    view = bench.builder.build(source, of)
    before = asked(bench, "SELECT oid FROM pg_class WHERE relname = %s", [view.source])
    assert bench.builder.build(source, of) == view
    assert asked(bench, "SELECT oid FROM pg_class WHERE relname = %s", [view.source]) == before
    assert view.id == view_id(KEY, source.id, shape_hash(of))
    assert view.id in bench.views.ids()
    assert PostGISViews(bench.serving, SCHEMA).open(view.id) == view


def test_two_who_build_the_same_view_get_the_same(bench: PostGISBench, source: Source) -> None:
    of = shape({"id": EXACT, "year_built": EXACT}, 1)
    found: list[View] = []
    threads = [threading.Thread(target=lambda: found.append(bench.builder.build(source, of))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4


def test_a_view_of_another_release_is_not_opened_and_built_again(bench: PostGISBench, source: Source) -> None:
    of = shape({"id": EXACT, "function": EXACT}, None)
    view = bench.builder.build(source, of)
    table = f'{SCHEMA}."{view.source}"'
    with bench.database.connect(autocommit=True) as connection:
        (facts,) = connection.execute("SELECT obj_description(CAST(%s AS regclass))", [table]).fetchone() or ("",)
        for spoil in (
            f"COMMENT ON TABLE {table} IS NULL",
            f"COMMENT ON TABLE {table} IS '[]'",
            f"COMMENT ON TABLE {table} IS '{facts.replace(chr(34) + '1' + chr(34), chr(34) + '0' + chr(34))}'",
            f"COMMENT ON TABLE {table} IS '{facts.replace('building', 'starship')}'",
            f"ALTER TABLE {table} ADD COLUMN more text",
            f"ALTER TABLE {table} ALTER COLUMN id TYPE varchar",
        ):
            connection.execute(spoil.encode())
            with pytest.raises(BadFile):
                bench.views.open(view.id)
            assert view.id not in bench.views.ids()
            assert bench.builder.build(source, of) == view


def test_a_build_that_fails_leaves_nothing_behind(bench: PostGISBench, source: Source) -> None:
    before = relations(bench)
    relation = source.relation
    for wrong, error in (
        (f"(SELECT id, height FROM {relation})", BadFile),
        (f"(SELECT city, id, ST_SetSRID(geometry_lod0, 3857) AS geometry_lod0 FROM {relation})", BadFile),
        (f"(SELECT city, id, 'tall' AS height FROM {relation})", CimfedError),
        (f"(SELECT city, id, 1e17 AS height FROM {relation})", CimfedError),
        (f"(SELECT city, id, 1 / 0 AS height FROM {relation})", CimfedError),
        ("no_such_relation", CimfedError),
        ("(SELECT", CimfedError),
    ):  # fmt: skip
        of = shape({"id": EXACT, "height": EXACT, "district": EXACT}, 0)
        with pytest.raises(error) as failed:
            bench.builder.build(replace(source, id="f" * 64, relation=wrong), of)
        assert "SELECT" not in str(failed.value)
        assert "relation " not in str(failed.value).replace("the relation has", "")
    with pytest.raises(CimfedError):
        bench.builder.build(source, replace(shape({"id": EXACT}), collection="facility"))
    assert relations(bench) == before


def test_a_role_that_is_gone_leaves_no_view_that_nobody_can_read(bench: PostGISBench, source: Source) -> None:
    before = relations(bench)
    builder = PostGISBuilder(bench.database.url, SCHEMA, "nobody_of_that_name", b"o" * 32)
    with pytest.raises(CimfedError):
        builder.build(source, shape({"id": EXACT}, None))
    assert relations(bench) == before


def test_a_view_is_not_dropped_while_it_is_read(bench: PostGISBench) -> None:
    view = bench.view(wide(20_000), geometry=False)
    small = bench.limited(replace(LIMITS, batch_bytes=64 * 1024))
    reader = small.read(view, Read("building"))
    assert reader.read_next() is not None
    with pytest.raises(Conflict):
        bench.views.drop(view.id)
    assert everything(reader).num_rows > 0
    small.close()
    bench.views.drop(view.id)
    bench.views.drop(view.id)
    with pytest.raises(ViewGone):
        bench.views.open(view.id)


# Relations of a city's own


def test_any_relation_with_the_vocabularys_columns_serves(bench: PostGISBench) -> None:
    """Other types, collations and more columns: what is compared is what is shown."""
    with bench.database.connect(autocommit=True) as connection:
        connection.execute(
            'CREATE TABLE own (gid int, use varchar(9) COLLATE "en-x-icu", tall double precision, geom geometry)'
        )
        connection.execute(
            "INSERT INTO own VALUES (1, 'a', 5.004, 'POINT(76 43)'), (2, 'Z', 5.006, NULL), (3, 'é', 5, NULL)"
        )
    relation = (
        "(SELECT 'kz.almaty' AS city, CAST(gid AS text) AS id, use AS function, tall AS height, geom, "
        "ST_SetSRID(geom, 4326) AS geometry_lod0, ST_XMin(geom) AS bbox_xmin, ST_YMin(geom) AS bbox_ymin, "
        "ST_XMax(geom) AS bbox_xmax, ST_YMax(geom) AS bbox_ymax, '$1' AS \"$1\" FROM public.own)"
    )
    above = Comparison(Comparator.GT, Property("height"), Literal(Decimal(5)))
    capital = Comparison(Comparator.LT, Property("function"), Literal("a"))
    source = Source("e" * 64, made.CITY, "building", relation)
    columns = {"id": EXACT, "function": EXACT, "height": EXACT}
    every = rows_of(bench, bench.builder.build(source, shape(columns, 0)))
    assert {row["id"]: (row["function"], row["height"]) for row in every} == {
        "1": ("a", Decimal("5.00")),
        "2": ("Z", Decimal("5.01")),
        "3": ("é", Decimal("5.00")),
    }
    assert every[0]["geometry_lod0"] == shapely.to_wkb(shapely.Point(76, 43))
    for predicate, ids in ((above, ["2"]), (capital, ["2"])):
        found = rows_of(bench, bench.builder.build(source, shape(columns, None, rows=(predicate,))))
        assert [row["id"] for row in found] == ids


UNSOUND = [
    ("city", "'uz.tashkent' AS city", "another city"),
    ("city", "CAST(NULL AS text) AS city", "another city"),
    ("height", "'NaN' AS height", "NaN"),
    ("valid_from", "'infinity' AS valid_from", "years 1 to 9999"),
    ("valid_from", "'0001-12-31 BC' AS valid_from", "years 1 to 9999"),
    ("valid_from", "TIMESTAMPTZ '10000-01-01Z' AS valid_from", "years 1 to 9999"),
    ("bbox", "CAST(NULL AS int) AS bbox_xmin, 1 AS bbox_ymin, 1 AS bbox_xmax, 1 AS bbox_ymax", "some of its sides"),
    ("bbox", "2 AS bbox_xmin, 1 AS bbox_ymin, 1 AS bbox_xmax, 1 AS bbox_ymax", "no box"),
    ("bbox", "0 AS bbox_xmin, 1 AS bbox_ymin, 'NaN' AS bbox_xmax, 1 AS bbox_ymax", "no box"),
    ("bbox", "CAST('-Infinity' AS float8) AS bbox_xmin, 1 AS bbox_ymin, 1 AS bbox_xmax, 1 AS bbox_ymax", "no box"),
    ("name", "ARRAY['kk'] AS name_languages, CAST(NULL AS text[]) AS name_texts", "no languages or no texts"),
    ("name", "ARRAY['kk', 'ru'] AS name_languages, ARRAY['a'] AS name_texts", "one language to a text"),
    ("name", "ARRAY[CAST(NULL AS text)] AS name_languages, ARRAY['a'] AS name_texts", "one language to a text"),
    ("name", "ARRAY[['kk']] AS name_languages, ARRAY['a'] AS name_texts", "one language to a text"),
    ("geometry_lod0", "ST_GeomFromText('POINT(1 1)', 3857) AS geometry_lod0", "SRID 4326"),
    ("geometry_lod0", "ST_GeomFromText('CIRCULARSTRING(0 0, 1 1, 2 0)', 4326) AS geometry_lod0", "arcs"),
]
SOUND = {
    "city": "'kz.almaty' AS city",
    "id": "'b1' AS id",
    "height": "CAST(1 AS numeric) AS height",
    "valid_from": "TIMESTAMPTZ '0001-01-01Z' AS valid_from",
    "bbox": "1 AS bbox_xmin, 1 AS bbox_ymin, CAST(1 AS float8) AS bbox_xmax, 1 AS bbox_ymax",
    "name": "CAST('{}' AS text[]) AS name_languages, CAST('{}' AS text[]) AS name_texts",
    "geometry_lod0": "ST_GeomFromText('POINT(1 1)', 4326) AS geometry_lod0",
}
ALL = shape({"id": EXACT, "name": EXACT, "height": EXACT, "valid_from": EXACT}, 0)


@pytest.mark.parametrize(("name", "item", "words"), UNSOUND)
def test_what_the_vocabulary_cannot_hold_is_refused(bench: PostGISBench, name: str, item: str, words: str) -> None:
    before = relations(bench)
    relation = f"(SELECT {', '.join((SOUND | {name: item}).values())} UNION ALL SELECT {', '.join(SOUND.values())})"
    with pytest.raises(BadFile, match=words) as refused:
        bench.builder.build(Source("c" * 64, made.CITY, "building", relation), ALL)
    assert refused.value.place == name
    assert relations(bench) == before


def test_a_row_of_ends_and_nothing_is_sound(bench: PostGISBench) -> None:
    relation = f"(SELECT {', '.join(SOUND.values())})"
    view = bench.builder.build(Source("d" * 64, made.CITY, "building", relation), ALL)
    (row,) = rows_of(bench, view)
    assert (row["name"], row["valid_from"].year) == ([], 1)


# Loading


def test_a_snapshot_is_loaded_once_and_whole(bench: PostGISBench, city: list[dict[str, Any]], tmp_path: Path) -> None:
    snapshot = made.write_snapshot(tmp_path, made.table(city[:50], COLUMNS))
    source = load(bench.database.url, SCHEMA, snapshot)
    assert (source.id, source.city, source.collection) == (snapshot.id, snapshot.city, "building")
    again: list[Source] = []
    others = [made.write_snapshot(tmp_path, made.table(city[:at], COLUMNS)) for at in (50, 51)]
    threads = [
        threading.Thread(target=lambda one=one: again.append(load(bench.database.url, SCHEMA, one)))
        for one in others * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(again) == 4
    assert len({one.relation for one in again}) == 2
    assert source in again
    found = asked(bench, f"SELECT id, height, bbox_xmin, name_texts FROM {source.relation} ORDER BY id")
    assert found == sorted(
        (
            row["id"],
            row["height"],
            row["bbox"] and row["bbox"]["xmin"],
            row["name"] and [text for _, text in row["name"]],
        )
        for row in city[:50]
    )


def test_a_snapshot_that_is_unloaded_leaves_its_views(bench: PostGISBench) -> None:
    source = bench.load(made.table([made.building(1, height=Decimal(77))]))
    view = bench.builder.build(source, shape({"id": EXACT, "height": EXACT}, None))
    for _ in range(2):
        unload(bench.database.url, SCHEMA)
    assert asked(bench, "SELECT to_regclass(%s)", [source.relation]) == [(None,)]
    assert len(rows_of(bench, view)) == 1


def test_what_postgresql_cannot_hold_is_refused_and_nothing_is_left(bench: PostGISBench, tmp_path: Path) -> None:
    before = asked(bench, "SELECT count(*) FROM pg_class")
    for row in (
        made.building(1, function="a\0b"),
        {**made.building(1), "name": [("kk", "a\0")]},
        {**made.building(1), "name": [("\0", "a")]},
    ):
        snapshot = made.write_snapshot(tmp_path, made.table([made.building(2), row], COLUMNS))
        with pytest.raises(BadFile, match=r"U\+0000") as refused:
            load(bench.database.url, SCHEMA, snapshot)
        assert refused.value.place in (f"{snapshot.id}: function", f"{snapshot.id}: name")
    broken = made.write_snapshot(tmp_path, made.table([{**made.building(3), "geometry_lod0": b"no WKB"}], COLUMNS))
    with pytest.raises(CimfedError) as failed:
        load(bench.database.url, SCHEMA, broken)
    assert "WKB" not in str(failed.value)
    broken.path.write_bytes(b"PAR1 this is no Parquet PAR1")
    with pytest.raises(BadFile):
        load(bench.database.url, SCHEMA, broken)
    assert asked(bench, "SELECT count(*) FROM pg_class") == before


def test_the_sign_of_zero_comes_back(bench: PostGISBench) -> None:
    place = shapely.LineString([(-0.0, 0.0), (0.0, -0.0)])
    box = {"xmin": -0.0, "ymin": 0.0, "xmax": 0.0, "ymax": -0.0}
    (row,) = rows_of(bench, bench.view(made.table([{**made.building(1, place), "bbox": box}])))
    assert str(row["bbox"]) == str(box)
    assert row["geometry_lod0"] == shapely.to_wkb(place)


def test_every_character_but_nul_comes_back(bench: PostGISBench) -> None:
    every = "".join(map(chr, (*range(1, 0xD800), *range(0xE000, 0x110000))))
    rows = pa.Table.from_batches(made.table([made.building(1, function=every)]).to_batches())
    view = bench.view(rows, geometry=False)
    (found,) = rows_of(bench, view)
    assert found["function"] == every
