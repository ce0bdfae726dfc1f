"""The self test passes with the rights that ``set_up`` gives, and refuses every wider set-up in words that help."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from cimfed.errors import BadConfig, CimfedError
from cimfed_node.stores.postgis import PostGISStore
from cimfed_node.views.postgis import set_up
from tests.contract.benches import serving_role
from tests.postgres import Cluster, Database


@dataclass
class Setup:
    database: Database
    role: str
    url: str

    def administrate(self, *statements: str) -> None:
        """As a superuser; ``{role}``, ``{owner}`` and ``{database}`` stand for names."""
        names = {
            "role": sql.Identifier(self.role),
            "owner": sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(self.database.url)["user"])),
            "database": sql.Identifier(self.database.name),
        }
        with self.database.cluster.administrator(self.database.name) as admin:
            for statement in statements:
                admin.execute(sql.SQL(statement).format(**names))  # type: ignore[arg-type]

    def refused(self, url: str | None = None, schema: str = "views") -> str | None:
        store = PostGISStore(self.url if url is None else url, schema)
        try:
            store.self_test()
        except BadConfig as refused:
            return refused.line if refused.remedy else ""
        finally:
            store.close()
        return None


@pytest.fixture(scope="module")
def database(postgres: Cluster) -> Database:
    return postgres.database()


@pytest.fixture
def setup(database: Database) -> Setup:
    role, url = serving_role(database)
    set_up(database.url, "views", role)
    return Setup(database, role, url)


def test_what_set_up_gives_is_enough_and_not_too_much(setup: Setup) -> None:
    assert setup.refused() is None
    set_up(setup.database.url, "views", setup.role)
    assert setup.refused() is None


WIDER = [
    (["ALTER ROLE {role} SUPERUSER"], ["ALTER ROLE {role} NOSUPERUSER"], "is a superuser"),
    (["ALTER ROLE {role} CREATEROLE"], ["ALTER ROLE {role} NOCREATEROLE"], "may make roles"),
    (["ALTER ROLE {role} CREATEDB"], ["ALTER ROLE {role} NOCREATEDB"], "or databases"),
    (["ALTER ROLE {role} BYPASSRLS"], ["ALTER ROLE {role} NOBYPASSRLS"], "pass row security"),
    (["GRANT pg_read_all_data TO {role}"], ["REVOKE pg_read_all_data FROM {role}"], "member of another role"),
    (
        ["ALTER ROLE {role} NOINHERIT", "GRANT {owner} TO {role}"],
        ["REVOKE {owner} FROM {role}"],
        "member of another role",
    ),
    (["CREATE SCHEMA own AUTHORIZATION {role}"], ["DROP SCHEMA own"], "owns something"),
    (["GRANT CREATE ON SCHEMA public TO PUBLIC"], ["REVOKE CREATE ON SCHEMA public FROM PUBLIC"], "can make tables"),
    (["GRANT CREATE ON SCHEMA views TO {role}"], ["REVOKE CREATE ON SCHEMA views FROM {role}"], "can make tables"),
    (["GRANT CREATE ON DATABASE {database} TO {role}"], ["REVOKE CREATE ON DATABASE {database} FROM {role}"], "tables"),
    (
        ["CREATE TABLE views.t (a int)", "GRANT INSERT ON views.t TO {role}"],
        ["DROP TABLE views.t"],
        "can write a table",
    ),
    (
        ["CREATE TABLE views.t (a int)", "GRANT UPDATE (a) ON views.t TO PUBLIC"],
        ["DROP TABLE views.t"],
        "can write a table",
    ),
    (
        ["CREATE TABLE public.t (a int)", "GRANT SELECT ON public.t TO PUBLIC"],
        ["DROP TABLE public.t"],
        "outside of the views' schema",
    ),
    (
        ["CREATE VIEW public.t AS SELECT 1 AS a", "GRANT SELECT (a) ON public.t TO {role}"],
        ["DROP VIEW public.t"],
        "outside of the views' schema",
    ),
    (["REVOKE USAGE ON SCHEMA views FROM {role}"], [], "cannot use the views' schema"),
]


@pytest.mark.parametrize(("wrong", "mend", "words"), WIDER)
def test_a_wider_set_up_is_refused(setup: Setup, wrong: list[str], mend: list[str], words: str) -> None:
    setup.administrate(*wrong)
    try:
        found = setup.refused()
        assert found is not None
        assert words in found
    finally:
        setup.administrate(*mend)
    set_up(setup.database.url, "views", setup.role)
    assert setup.refused() is None


def test_what_was_taken_from_the_role_comes_back_with_set_up(setup: Setup) -> None:
    setup.administrate("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    try:
        with pytest.raises(CimfedError):
            setup.refused()
        set_up(setup.database.url, "views", setup.role)
        assert setup.refused() is None
    finally:
        setup.administrate("GRANT CONNECT ON DATABASE {database} TO PUBLIC")


def test_the_operators_own_url_does_not_serve(setup: Setup) -> None:
    assert setup.refused(setup.database.url) is not None


def test_a_table_in_a_schema_that_the_role_cannot_use_is_out_of_its_reach(setup: Setup) -> None:
    setup.administrate("CREATE SCHEMA apart", "CREATE TABLE apart.t ()", "GRANT SELECT ON apart.t TO PUBLIC")
    try:
        assert setup.refused() is None
    finally:
        setup.administrate("DROP SCHEMA apart CASCADE")


def test_a_session_cannot_write_even_where_it_has_the_right(setup: Setup) -> None:
    setup.administrate("CREATE SEQUENCE views.numbers", "GRANT ALL ON views.numbers TO {role}")
    pool = PostGISStore(setup.url, "views")._pool
    link = pool.take(60)
    assert link is not None
    with pytest.raises(Exception, match="read-only transaction"):
        link.ask("SELECT nextval(CAST('views.numbers' AS regclass))")
    pool.give(link)
    pool.close()
    setup.administrate("DROP SEQUENCE views.numbers")


def test_a_database_without_postgis_is_refused(setup: Setup) -> None:
    bare = f"{setup.database.name}_bare"
    setup.administrate(f'CREATE DATABASE "{bare}" TEMPLATE template0')
    url = psycopg.conninfo.make_conninfo(setup.url, dbname=bare)
    assert "no PostGIS" in (setup.refused(url) or "")
    with pytest.raises(BadConfig, match="no PostGIS"):
        set_up(psycopg.conninfo.make_conninfo(setup.database.url, dbname=bare), "views", setup.role)


def test_a_role_that_is_not_there_and_names_that_need_quotes_are_refused(setup: Setup) -> None:
    with pytest.raises(BadConfig, match="does not exist"):
        set_up(setup.database.url, "views", "nobody_of_that_name")
    with pytest.raises(BadConfig, match="cannot serve too"):
        set_up(setup.database.url, "views", str(psycopg.conninfo.conninfo_to_dict(setup.database.url)["user"]))
    for name in ("Views", "a b", 'x"; DROP TABLE t; --', "", "pg_views", "v" * 64):
        with pytest.raises(BadConfig):
            set_up(setup.database.url, name, setup.role)
        with pytest.raises(BadConfig):
            PostGISStore(setup.url, name)


def test_a_server_that_is_away_is_no_wrong_set_up(setup: Setup) -> None:
    store = PostGISStore(psycopg.conninfo.make_conninfo(setup.url, port="1"), "views")
    with pytest.raises(CimfedError) as away:
        store.self_test()
    assert (away.value.reason, away.value.message) == ("internal", "the node's database cannot be reached")
    store.close()
