"""A city's own PostGIS table, federated where it stands: real database, real roles, real servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql

import cimfed
from cimfed.errors import BadConfig, BadFile, CimfedError, Conflict, NotFound, UnknownProperty
from cimfed.model.vocabulary import VOCABULARY
from cimfed.query.expression import Box
from cimfed_node import cli
from cimfed_node import database as connected
from cimfed_node.sql import requests
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.postgis import POSTGIS
from cimfed_node.stores.base import Engine, View
from cimfed_node.stores.postgis.compose import composed, quoted
from cimfed_node.stores.postgis.links import session
from cimfed_node.stores.postgis.store import SESSION
from cimfed_node.tables.publication import views
from cimfed_node.views.postgis import PostGISViews
from tests.federation.world import City, World
from tests.postgres import Cluster, Database
from tests.unit.cimfed.policy.documents import untouched

CITY = "kz.almaty"
WHOLE = """
  - id: whole
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact, function: exact, year_built: {band: 10}}
    geometry: {max_lod: 0}
"""
TALL = """
  - id: tall
    subject: {country: [CN]}
    purpose: [planning]
    collection: building
    columns: {id: exact, height: exact}
    rows: height >= 20
"""
FACILITIES = """
  - id: plants
    subject: {country: [CN]}
    purpose: [research]
    collection: facility
    columns: {id: exact}
"""
FUNCTIONS = {"apartments": "residential", "school": "school", "retail": "retail", "castle of ghosts": None}
Said = Callable[..., str]


def fill(database: Database, rows: int) -> None:
    """A table as a city has one: names of its own, codes of OpenStreetMap, and what is nobody else's business."""
    with database.connect() as connection:
        connection.execute(
            "CREATE TABLE houses (gid bigint PRIMARY KEY, height double precision, building text, "
            "start_date date, owner text, geom geometry(Polygon, 4326))"
        )
        connection.execute(
            "INSERT INTO houses SELECT n, n %% 40 + 0.5, (%s::text[])[n %% 4 + 1], "
            "make_date(1950 + (n %% 70)::int, 1, 1), 'owner ' || n, "
            "ST_MakeEnvelope(x, y, x + 0.0001, y + 0.0001, 4326) FROM (SELECT n, "
            "76.8 + (n %% 1000) * 0.0002 AS x, 43.1 + (n / 1000) * 0.0002 AS y FROM generate_series(1, %s) AS n) AS p",
            [list(FUNCTIONS), rows],
        )


@pytest.fixture
def city(tmp_path: Path) -> City:
    world = World(tmp_path)
    world.add_gateway()
    world.add_partner()
    return world.add_city(CITY)


@pytest.fixture
def said(city: City, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command of the operator prints, called in this process."""
    monkeypatch.setenv("CIMFED_NODE_HOME", str(city.home.path))

    def said(*argv: str) -> str:
        capsys.readouterr()
        cli.app(list(argv), standalone_mode=False)
        return "".join(capsys.readouterr())

    return said


def in_place(said: Said, database: Database, *more: str) -> str:
    return said(
        "import", "--collection", "building", "--in-place", database.url, "--table", "public.houses", "--id", "gid",
        "--licence", "CC0-1.0", *more,
    )  # fmt: skip


def standing(city: City) -> list[View]:
    with city.control() as control, control.reading() as connection:
        return [*views(connection, city.home.place).values()]


def relations(database: Database) -> set[str]:
    """All tables of the node's own schemas."""
    with database.connect() as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname LIKE 'cimfed%'").fetchall()
    return {name for (name,) in found}


def serving(city: City) -> psycopg.Connection[Any]:
    """As the service logs in."""
    return psycopg.connect(json.loads(city.home.database_of_service.read_text())["conninfo"], autocommit=True)


async def test_a_table_in_place_answers_like_the_table_itself(city: City, said: Said, database: Database) -> None:
    fill(database, 3000)
    printed = in_place(said, database)
    assert "3,000 rows, in place" in printed
    assert "castle of ghosts (750); kept in ext" in printed
    assert list((city.home.snapshots).glob("*/*.parquet")) == []
    city.activate(WHOLE + TALL)
    assert {view.engine for view in standing(city)} == {Engine.POSTGIS}
    async with city.world.node(CITY), city.world.gateway(), cimfed.connect_async(str(city.world.profile())) as fed:
        answer = fed.read("building", bbox=(76.8, 43.1, 76.85, 43.2), purpose="research")
        rows = {row["id"]: row for row in (await answer.to_table()).to_pylist()}
        with database.connect() as connection:
            plain = connection.execute(
                "SELECT gid::text, height, building, extract(year FROM start_date)::int, ST_AsText(geom) FROM houses "
                "WHERE geom && ST_MakeEnvelope(76.8, 43.1, 76.85, 43.2, 4326)"
            ).fetchall()
        assert rows.keys() == {row[0] for row in plain}
        assert len(rows) > 700
        for gid, height, building, year, _ in plain:
            assert rows[gid]["height"] == Decimal(str(height))
            assert rows[gid]["function"] == FUNCTIONS[building]
            assert rows[gid]["year_built"] == year // 10 * 10
        tall = fed.aggregate("building", ["count", "sum:height"], purpose="planning")
        with database.connect() as connection:
            expected = connection.execute(
                "SELECT count(*), sum(height::numeric) FROM houses WHERE height >= 20"
            ).fetchone()
        assert [tuple(row.values()) for row in (await tall.to_table()).to_pylist()] == [expected]


async def test_a_table_in_place_has_no_untouched_objects_and_refuses_as_without_the_right(
    city: City, said: Said, database: Database
) -> None:
    fill(database, 20)
    in_place(said, database)
    report = city.activate(untouched())
    assert report.notes == ("untouched gives no untouched objects: a view in a database has none",)
    async with city.world.node(CITY), city.world.gateway(), cimfed.connect_async(str(city.world.profile())) as fed:
        assert (await fed.read("building", purpose="research").to_table()).num_rows == 20
        refusals = []
        for grants in ("", untouched(original="false")):
            if grants:
                city.activate(grants)
            with pytest.raises(UnknownProperty) as refused:
                await fed.read("building", purpose="research", original=True).to_table()
            refusals.append(str(refused.value))
    assert "building has no property 'original'" in refusals[0]
    assert refusals[0] == refusals[1]


def test_the_role_that_serves_can_read_views_and_nothing_else(city: City, said: Said, database: Database) -> None:
    fill(database, 100)
    in_place(said, database)
    city.activate(TALL)
    (view,) = standing(city)
    login = connected.operator_login(city.home)
    with serving(city) as connection:
        for table in ("public.houses", f"{login.schema}_snapshots.anything"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {table}".encode())
        assert connection.execute(f"SELECT count(*) FROM {login.schema}.{view.source}".encode()).fetchone() == (41,)
        for statement in (
            f"DELETE FROM {login.schema}.{view.source}",
            f"CREATE TABLE {login.schema}.mine ()",
            "CREATE TABLE public.mine ()",
            "CREATE SCHEMA mine",
            "SET ROLE " + quoted(database.name),
            f"COPY {login.schema}.{view.source} TO '/tmp/leak'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    assert city.home.database_of_operator.stat().st_mode & 0o777 == 0o600
    assert city.home.database_of_service.stat().st_mode & 0o777 == 0o640


def test_a_role_that_could_read_the_table_is_refused(city: City, said: Said, database: Database) -> None:
    fill(database, 10)
    with database.connect() as connection:
        connection.execute("GRANT SELECT ON houses TO PUBLIC")
    with pytest.raises(BadConfig, match="can read tables outside"):
        in_place(said, database)
    assert not city.home.database_of_operator.exists()
    assert list(city.home.snapshots.iterdir()) == []


async def test_a_table_that_changed_is_not_built_from_and_the_views_before_it_go_on(
    city: City, said: Said, database: Database
) -> None:
    fill(database, 100)
    in_place(said, database)
    city.activate(TALL)
    with database.connect() as connection:
        connection.execute("UPDATE houses SET height = 99 WHERE gid = 7")
    with pytest.raises(Conflict, match="the table has changed since it was imported: with as many rows"):
        city.activate(WHOLE)
    with database.connect() as connection:
        connection.execute("ALTER TABLE houses RENAME TO dwellings")
    with pytest.raises(BadFile, match="is not there any more"):
        city.activate(WHOLE)
    with database.connect() as connection:
        connection.execute("ALTER TABLE dwellings RENAME TO houses")
    async with city.world.node(CITY), city.world.gateway(), cimfed.connect_async(str(city.world.profile())) as fed:
        assert (await fed.read("building", purpose="planning").to_table()).num_rows == 41
        in_place(said, database)
        assert (await fed.read("building", purpose="planning").to_table()).num_rows == 42
    city.activate(TALL + WHOLE)
    assert len(relations(database)) == len(standing(city)) == 2


def test_what_nobody_needs_any_more_is_dropped(city: City, said: Said, database: Database) -> None:
    fill(database, 100)
    in_place(said, database)
    city.activate(TALL + WHOLE)
    schema = connected.operator_login(city.home).schema
    with database.connect() as connection:
        connection.execute(f"CREATE TABLE {schema}.v_{'0' * 60} (debris int)".encode())
    city.activate(WHOLE)
    assert relations(database) == {view.source for view in standing(city)}
    assert len(relations(database)) == 1


async def test_a_database_that_is_away_takes_only_its_own_views_along(
    city: City, said: Said, tmp_path: Path, postgres: Cluster
) -> None:
    database = postgres.database()
    fill(database, 100)
    in_place(said, database)
    city.adopt(pa.table({"city": [CITY, CITY], "id": ["a", "b"]}), "facility")
    city.activate(TALL + FACILITIES)
    with psycopg.connect(database.url, autocommit=True) as connection:
        login = connected.operator_login(city.home)
        connection.execute(f"ALTER ROLE {quoted(login.serving)} NOLOGIN".encode())
    async with city.world.node(CITY), city.world.gateway(), cimfed.connect_async(str(city.world.profile())) as fed:
        assert (await fed.read("facility", purpose="research").to_table()).num_rows == 2
        answer = fed.read("building", purpose="planning")
        with pytest.raises(CimfedError):
            await answer.to_table()
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {quoted(login.serving)} LOGIN".encode())
        assert (await fed.read("building", purpose="planning").to_table()).num_rows == 41


def test_a_table_in_place_stands_in_no_files_way(city: City, said: Said, database: Database, tmp_path: Path) -> None:
    """It holds no rows here: nothing is compared with them, and an erasure passes them over."""
    fill(database, 10)
    in_place(said, database)
    with pytest.raises(NotFound, match="no snapshot here holds"):
        said("snapshots", "erase", "--collection", "building", "--id", "7", "--reason", "order", "--yes")
    file = tmp_path / "b.geojson"
    ring = [[76.9, 43.2], [76.9005, 43.2], [76.9, 43.2005], [76.9, 43.2]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    made = [{"type": "Feature", "id": id, "properties": {}, "geometry": shape} for id in ("7", "8")]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
    printed = said("import", str(file), "--collection", "building")
    assert "2 rows" in printed
    assert "cannot be compared" not in printed
    assert "erased: 1 objects" in said(
        "snapshots", "erase", "--collection", "building", "--id", "7", "--reason", "order", "--yes"
    )
    assert sum(pq.read_metadata(path).num_rows for path in city.home.snapshots.glob("*/*.parquet")) == 1
    with pytest.raises(BadFile, match="1 objects were erased from this node"):
        in_place(said, database)
    assert "10 rows, in place" in in_place(said, database, "--on-erased", "allow")
    with database.connect() as connection:
        connection.execute("DELETE FROM houses WHERE gid = 7")
    assert "9 rows, in place" in in_place(said, database)
    printed = said("snapshots", "erase", "--collection", "building", "--id", "8", "--reason", "order", "--yes")
    assert "public.houses was not searched" in printed
    in_place(said, database, "--on-erased", "allow", "--attribution", "the city")
    with pytest.raises(Conflict, match="may hold them"):
        said("snapshots", "rollback", "building", "--yes")


@pytest.mark.parametrize(
    "more",
    [
        ("--append",), ("--update",), ("--vertical", "EPSG:5737"), ("--layer", "a"), ("--encoding", "GB18030"),
        ("--on-duplicate", "merge"), ("--on-erased", "leave-out"), ("--engine", "duckdb"),
        ("--time-zone", "Asia/Almaty"), ("--place", "76.9,43.2"), ("--where", "height=1"),
    ],
)  # fmt: skip
def test_an_option_for_files_is_not_passed_over_for_a_table(
    city: City, said: Said, database: Database, more: tuple[str, ...]
) -> None:
    fill(database, 3)
    with pytest.raises(BadConfig, match=r"for files|without files"):
        in_place(said, database, *more)


def test_connecting_again_leaves_a_node_that_serves_its_login(
    city: City, said: Said, database: Database, postgres: Cluster
) -> None:
    fill(database, 10)
    said("postgis", "connect", database.url, "--schema", "of_the_city")
    before = city.home.database_of_service.read_bytes()
    assert "note:" not in said("postgis", "connect", f"{database.url}?application_name=x")
    said("import", "--collection", "building", "--in-place", database.url, "--table", "houses", "--id", "gid")
    assert city.home.database_of_service.read_bytes() == before
    with database.connect() as connection:
        connection.execute("ALTER ROLE of_the_city_serving PASSWORD 'lost'")
    assert "start it again" in said("postgis", "connect", database.url)
    with serving(city) as connection:
        assert connection.info.user == "of_the_city_serving"


def test_a_table_of_another_database_does_not_take_the_views_away(
    city: City, said: Said, database: Database, postgres: Cluster
) -> None:
    fill(database, 50)
    in_place(said, database)
    city.activate(TALL)
    other = postgres.database()
    fill(other, 10)
    kept = {path: path.read_bytes() for path in (city.home.database_of_operator, city.home.database_of_service)}
    with pytest.raises(BadConfig, match="another database"):
        said("import", "--collection", "facility", "--in-place", other.url, "--table", "houses", "--id", "gid")
    assert {path: path.read_bytes() for path in kept} == kept
    assert relations(other) == set()
    assert "import again" in said("postgis", "connect", other.url)
    assert "10 rows, in place" in in_place(said, other)
    assert relations(other) == {view.source for view in standing(city)}


def test_a_dry_run_changes_nothing(city: City, said: Said, database: Database, tmp_path: Path) -> None:
    fill(database, 50)
    before = sorted(path for path in city.home.path.rglob("*"))
    printed = in_place(said, database, "--dry-run", "--write-mapping", str(tmp_path / "mapping.yaml"))
    assert "format: PostGIS" in printed
    assert "castle of ghosts" in (tmp_path / "mapping.yaml").read_text()
    assert sorted(path for path in city.home.path.rglob("*")) == before
    assert relations(database) == set()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://nobody:secret-word@127.0.0.1:1/x", "cannot be reached"),
        ("no url secret-word", "connection string"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    city: City, said: Said, url: str, words: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for more in ((), ("--dry-run",)):
        with pytest.raises(CimfedError) as caught:
            said("import", "--collection", "building", "--in-place", url, "--table", "houses", *more)
        assert "secret-word" not in f"{caught.value} {caught.value.remedy} {caplog.text}"
    assert words in str(caught.value)


async def test_files_can_be_answered_by_the_database_as_by_the_embedded_engine(
    city: City, said: Said, database: Database, tmp_path: Path
) -> None:
    """The same file once by each engine, then more rows by --update, which stays with the engine."""
    rings = [[[76.9 + n / 1000, 43.2], [76.9005 + n / 1000, 43.2], [76.9 + n / 1000, 43.2005]] for n in range(60)]
    made = [
        {
            "type": "Feature",
            "id": f"b{n}",
            "properties": {"height": n / 3, "function": "school", "name": f"Мектеп {n}", "more": [n]},
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        }
        for n, ring in enumerate(rings)
    ]
    file, later = tmp_path / "b.geojson", tmp_path / "later.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": made[:50]}))
    later.write_text(json.dumps({"type": "FeatureCollection", "features": made[50:]}))
    with pytest.raises(NotFound, match="not connected"):
        said("import", str(file), "--collection", "building", "--engine", "postgis")
    said("postgis", "connect", database.url)
    grant = WHOLE.replace("height: exact", "height: exact, name: exact, ext: exact")
    answers = []
    for engine in ("duckdb", "postgis"):
        said("import", str(file), "--collection", "building", "--engine", engine)
        city.activate(grant)
        assert {str(view.engine) for view in standing(city)} == {engine}
        said("import", str(later), "--collection", "building", "--update")
        assert {str(view.engine) for view in standing(city)} == {engine}
        async with city.world.node(CITY), city.world.gateway(), cimfed.connect_async(str(city.world.profile())) as fed:
            answers.append((await fed.read("building", purpose="research").to_table()).sort_by("id"))
    assert answers[0].num_rows == 60
    assert answers[0].equals(answers[1])
    assert relations(database) == {view.source for view in standing(city)}  # what was loaded is gone


def explained(city: City, view: View, where: Box) -> str:
    """How the server runs a read of a view under policy."""
    columns = Columns(VOCABULARY.collections["building"], frozenset(view.schema.names))
    table = quoted(connected.operator_login(city.home).schema, view.source)
    statement = requests.read(("id", "geometry_lod0"), where, table, columns, POSTGIS)
    conninfo = session(json.loads(city.home.database_of_service.read_text())["conninfo"], SESSION)
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        found = connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {composed(statement)}".encode())
        return "\n".join(line for (line,) in found.fetchall())


@pytest.mark.parametrize("rows", [30_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_a_read_of_a_small_box_uses_the_views_index(city: City, said: Said, database: Database, rows: int) -> None:
    fill(database, rows)
    in_place(said, database)
    city.activate(WHOLE)
    (view,) = standing(city)
    assert view.rows == rows
    plan = explained(city, view, Box(76.81, 43.1, 76.8105, 43.1005))
    print(plan)
    assert "Bitmap Index Scan" in plan
    assert "Seq Scan" not in plan
    assert "(actual rows=0" not in plan


def test_an_import_whose_views_cannot_be_built_leaves_no_snapshot(city: City, said: Said, database: Database) -> None:
    fill(database, 20)
    in_place(said, database)
    city.activate(TALL)
    before = sorted(path.name for path in city.home.snapshots.iterdir())
    with database.connect() as connection:
        connection.execute("UPDATE houses SET height = 99 WHERE gid = 7")
        login = connected.operator_login(city.home)
        connection.execute(f"REVOKE CREATE ON SCHEMA {quoted(login.schema)} FROM {quoted(database.name)}".encode())
    with pytest.raises(CimfedError):
        in_place(said, database)
    assert sorted(path.name for path in city.home.snapshots.iterdir()) == before


def test_a_password_of_the_environment_is_not_relied_upon(
    city: City, said: Said, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret-word")
    with pytest.raises(BadConfig, match="PGPASSWORD is set"):
        in_place(said, database)
    assert not city.home.database_of_operator.exists()


def test_a_view_that_nobody_needs_waits_for_the_answer_that_ends(city: City, said: Said, database: Database) -> None:
    """After an erasure, an answer from an old view ends within seconds: the view must not outlive it."""
    fill(database, 50)
    in_place(said, database)
    city.activate(WHOLE)
    (view,) = standing(city)
    login = connected.operator_login(city.home)
    reading = psycopg.connect(json.loads(city.home.database_of_service.read_text())["conninfo"])
    reading.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(login.schema, view.source)))
    sweeping = Thread(target=PostGISViews(login.conninfo, login.schema).sweep, args=[set()])
    sweeping.start()
    with database.connect(autocommit=True) as connection:
        while sweeping.is_alive() and connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
            pass
    reading.close()
    sweeping.join()
    assert view.source not in relations(database)
