"""What a statement of the serving engine could reach, whatever it said: the views folder, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.limits import MIB
from cimfed_node.stores.duckdb import engine
from cimfed_node.stores.duckdb.engine import Engine
from tests.lacking import root

SECRET = "the-secret-of-the-city"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one view, and secrets beside, above and linked to from inside the folder."""
    home = tmp_path_factory.mktemp("home")
    for name in ("views", "views2", "snapshots"):
        (home / name).mkdir()
    pq.write_table(pa.table({"x": [1]}), home / "views" / "view.parquet")
    for folder in ("snapshots", "views2"):
        pq.write_table(pa.table({"x": [SECRET]}), home / folder / "s.parquet")
        (home / folder / "s.txt").write_text(SECRET)
        (home / folder / "s.csv").write_text(f"x\n{SECRET}\n")
        (home / folder / "s.json").write_text(f'{{"x": "{SECRET}"}}')
    (home / "views" / "link.parquet").symlink_to(home / "snapshots" / "s.parquet")
    (home / "views" / "relative.parquet").symlink_to("../snapshots/s.parquet")
    (home / "views" / "up").symlink_to(home)
    (home / "views" / "link.txt").symlink_to(home / "snapshots" / "s.txt")
    return home


@pytest.fixture(scope="module")
def serving(home: Path) -> Iterator[Engine]:
    found = engine.serving(home / "views", memory=256 * MIB, threads=1)
    yield found
    found.close()


# {h} is the home, {v} the views folder in it.
FORMS = [
    "SELECT * FROM '{h}/snapshots/s.parquet'",
    'SELECT * FROM "{h}/snapshots/s.parquet"',
    "SELECT * FROM read_parquet('{h}/snapshots/s.parquet')",
    "SELECT * FROM parquet_scan('{h}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet(['{v}2/s.parquet', '{h}/snapshots/s.parquet'])",
    "SELECT * FROM read_parquet('{v}/../snapshots/s.parquet')",
    "SELECT * FROM read_parquet('{v}/./../snapshots/s.parquet')",
    "SELECT * FROM read_parquet('{v}//..//snapshots//s.parquet')",
    "SELECT * FROM read_parquet('{v}/view.parquet/../../snapshots/s.parquet')",
    "SELECT * FROM read_parquet('{v}/no-such/../../snapshots/s.parquet')",
    "SELECT * FROM read_parquet('{v}2/s.parquet')",
    "SELECT * FROM read_parquet('{v}/../views2/s.parquet')",
    "SELECT * FROM read_parquet('{v}/link.parquet')",
    "SELECT * FROM read_parquet('{v}/relative.parquet')",
    "SELECT * FROM read_parquet('{v}/up/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('{v}/*/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('{v}/l*.parquet')",
    "SELECT * FROM read_parquet('{v}/../**/s.parquet')",
    "SELECT * FROM read_parquet('{v}/{{up,x}}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('file:{h}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('file://{h}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('file:///{h}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('file://localhost{h}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('file://{v}/../snapshots/s.parquet')",
    "SELECT * FROM read_parquet('/proc/self/root{h}/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('/proc/self/cwd/snapshots/s.parquet')",
    "SELECT * FROM read_parquet('snapshots/s.parquet')",
    "SELECT * FROM read_parquet('../snapshots/s.parquet')",
    "SELECT * FROM read_parquet('~/s.parquet')",
    "SELECT * FROM read_parquet('http://127.0.0.1:9/s.parquet')",
    "SELECT * FROM read_parquet('https://127.0.0.1:9/s.parquet')",
    "SELECT * FROM read_parquet('s3://bucket/s.parquet')",
    "SELECT * FROM parquet_metadata('{h}/snapshots/s.parquet')",
    "SELECT * FROM parquet_schema('{h}/snapshots/s.parquet')",
    "SELECT * FROM parquet_kv_metadata('{h}/snapshots/s.parquet')",
    "SELECT * FROM parquet_file_metadata('{h}/snapshots/s.parquet')",
    "SELECT * FROM parquet_bloom_probe('{h}/snapshots/s.parquet', 'x', 'y')",
    "SELECT * FROM read_csv('{h}/snapshots/s.csv')",
    "SELECT * FROM read_csv_auto('{h}/snapshots/s.csv')",
    "SELECT * FROM sniff_csv('{h}/snapshots/s.csv')",
    "SELECT * FROM '{h}/snapshots/s.csv'",
    "SELECT * FROM read_json('{h}/snapshots/s.json')",
    "SELECT * FROM read_json_objects('{h}/snapshots/s.json')",
    "SELECT * FROM read_ndjson('{h}/snapshots/s.json')",
    "SELECT content FROM read_text('{h}/snapshots/s.txt')",
    "SELECT content FROM read_text('{v}/link.txt')",
    "SELECT content FROM read_blob('{h}/snapshots/s.txt')",
    "SELECT content FROM read_text('/proc/self/environ')",
    "SELECT content FROM read_blob('/proc/self/cmdline')",
    "SELECT content FROM read_text('/etc/passwd')",
    "SELECT content FROM read_text('/dev/stdin')",
    "SELECT * FROM glob('{h}/snapshots/*')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('{v}/up/snapshots/*')",
    "SELECT getenv('HOME')",
    "COPY (SELECT 1 AS x) TO '{h}/snapshots/out.parquet'",
    "COPY (SELECT 1 AS x) TO '{v}/../out.csv'",
    "COPY (SELECT 1 AS x) TO '{v}/up/out.csv'",
    "COPY (SELECT 1 AS x) TO '/dev/stdout' (FORMAT csv)",
    "CREATE TABLE taken AS SELECT * FROM '{h}/snapshots/s.parquet'",
    "ATTACH '{h}/snapshots/new.db'",
    "ATTACH '{h}/control.sqlite' (TYPE sqlite)",
    "ATTACH 'dbname=postgres' AS pg (TYPE postgres)",
    "EXPORT DATABASE '{h}/snapshots/all'",
    "IMPORT DATABASE '{h}/snapshots'",
    "INSTALL httpfs",
    "INSTALL spatial FROM '{h}'",
    "LOAD httpfs",
    "LOAD '{h}/snapshots/s.so'",
    "FORCE INSTALL json FROM community",
    "SET enable_external_access = true",
    "SET GLOBAL enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET allowed_paths = ['/etc/passwd']",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "SET temp_directory = '{h}/snapshots'",
    "SET memory_limit = '100GB'",
    "SET threads = 64",
    "SET log_query_path = '{h}/snapshots/log'",
    "SET profiling_output = '{h}/snapshots/log'",
    "SET extension_directory = '{h}'",
    "SET custom_extension_repository = 'http://127.0.0.1:9'",
    "PRAGMA temp_directory = '{h}'",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
]


# Where a plain engine finds nothing on this host either.
ELSEWHERE = (
    "http:",
    "https:",
    "s3:",
    "~/",
    "/dev/stdin",
    "no-such",
    "view.parquet/..",
    "getenv",
    "localhost",
    "{{up",
    "sniff",
)


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("SELECT")])
def test_a_plain_engine_would_read_what_the_serving_one_refuses(
    home: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Else a form could be refused for its spelling alone."""
    if any(part in form for part in ELSEWHERE):
        return
    monkeypatch.chdir(home / "snapshots" if "'../" in form else home)
    with duckdb.connect() as plain:
        assert plain.execute(form.format(h=home, v=home / "views")).fetchall()


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_path_or_statement_leads_out(
    serving: Engine, home: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(home / "snapshots" if "'../" in form else home)
    before = sorted(str(path) for path in home.rglob("*"))
    cursor = serving.cursor()
    with pytest.raises(duckdb.Error) as refused:
        cursor.execute(form.format(h=home, v=home / "views")).fetchall()
    cursor.close()
    assert SECRET not in str(refused.value)
    assert sorted(str(path) for path in home.rglob("*")) == before


def test_the_view_itself_is_read(serving: Engine, home: Path) -> None:
    serving.check()
    cursor = serving.cursor()
    assert cursor.execute("SELECT x FROM read_parquet($1)", [str(home / "views" / "view.parquet")]).fetchall() == [(1,)]
    cursor.close()


def test_a_python_variable_is_no_table(serving: Engine) -> None:
    secret = pa.table({"x": [SECRET]})
    with pytest.raises(duckdb.Error):
        serving.cursor().execute("SELECT * FROM secret").fetchall()
    assert secret.num_rows == 1


def test_nothing_spills_to_disk(serving: Engine, home: Path) -> None:
    with pytest.raises(duckdb.OutOfMemoryException):
        serving.cursor().execute("SELECT i, count(*) FROM range(30_000_000) t(i) GROUP BY i").fetchall()


def test_a_folder_that_would_be_a_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig):
        engine.serving(tmp_path / "[views]", memory=256 * MIB, threads=1)


def test_a_folder_reached_by_a_link_or_with_quotes_in_its_name_is_served(tmp_path: Path) -> None:
    real = tmp_path / "city's, own"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    pq.write_table(pa.table({"x": [1]}), real / "view.parquet")
    found = engine.serving(tmp_path / "link", memory=256 * MIB, threads=1)
    found.check()
    assert found.cursor().execute("SELECT x FROM read_parquet($1)", [str(real / "view.parquet")]).fetchall() == [(1,)]
    found.close()


def test_an_engine_that_is_not_confined_fails_its_check(tmp_path: Path) -> None:
    for connection, places in ((duckdb.connect(), []), (duckdb.connect(), ["/nowhere/"])):
        with pytest.raises(CimfedError):
            Engine(connection, places, {}).check()
        connection.close()


def test_the_building_engine_reaches_its_folders_alone(tmp_path: Path) -> None:
    for name in ("snapshots", "views", "scratch", "keys"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(SECRET)
    found = engine.building(
        [tmp_path / "snapshots", tmp_path / "views"], tmp_path / "scratch", memory=256 * MIB, threads=1
    )
    found.check()
    read = "SELECT content FROM read_text($1)"
    assert found.cursor().execute(read, [str(tmp_path / "snapshots" / "a.txt")]).fetchall() == [(SECRET,)]
    with pytest.raises(duckdb.PermissionException):
        found.cursor().execute(read, [str(tmp_path / "keys" / "a.txt")]).fetchall()
    found.close()


def test_the_extension_is_loaded_as_its_makers_signed_it_and_not_with_another_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine._SPATIAL, "allow_unsigned_extensions", "false")  # as it is but for tests
    engine.building([tmp_path], tmp_path, memory=256 * MIB, threads=1).close()
    content = bytearray(next(engine.files("duckdb_extension_spatial").rglob("spatial.duckdb_extension")).read_bytes())
    content[len(content) // 2] ^= 1
    copy = tmp_path / "extensions" / f"v{duckdb.__version__}" / "spatial.duckdb_extension"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(content)
    monkeypatch.setattr(engine, "files", lambda _: tmp_path)
    with pytest.raises(BadConfig, match="cannot be set up"):
        engine.building([tmp_path], tmp_path, memory=256 * MIB, threads=1)


def test_the_services_own_user_cannot_open_a_snapshot_and_cannot_write_views() -> None:
    """The kernel's word, with the modes that a home has: snapshots 0700, views 0750 of the service's group."""
    root()
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    service = 65534
    try:
        home.chmod(0o755)
        for name, mode in (("snapshots", 0o700), ("views", 0o750)):
            (home / name).mkdir()
            (home / name / "rows.parquet").write_bytes(b"rows")
            (home / name / "rows.parquet").chmod(0o640)
            (home / name).chmod(mode)
        for path in (home / "views", home / "views" / "rows.parquet"):
            os.chown(path, 0, service)
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(service)
            os.setuid(service)
            os._exit(_what_opens(home))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0b001
    finally:
        shutil.rmtree(home)


def _what_opens(home: Path) -> int:
    """Bits: the view to read, the snapshot to read, the view to write, a new file in the views folder."""
    found = 0
    for bit, (path, flags) in enumerate(
        [
            (home / "views" / "rows.parquet", os.O_RDONLY),
            (home / "snapshots" / "rows.parquet", os.O_RDONLY),
            (home / "views" / "rows.parquet", os.O_WRONLY),
            (home / "views" / "new.parquet", os.O_WRONLY | os.O_CREAT),
        ]
    ):
        try:
            os.close(os.open(path, flags))
        except PermissionError:
            continue
        found |= 1 << bit
    return found
