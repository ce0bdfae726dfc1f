"""The schemas and the rights: the operator owns them, the role that serves reads views and nothing else.

Where the operator may make roles, the one that serves is made with a password that is drawn; elsewhere the database's
administrator makes it. What was set up already stays; running it again mends what was changed.
"""

from __future__ import annotations

import secrets

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cimfed.errors import BadConfig
from cimfed.model.limits import KIB
from cimfed_node.stores.postgis.store import schema_name
from cimfed_node.views.postgis.sessions import transaction

_MAY_LIMIT = "SELECT has_parameter_privilege('temp_file_limit', 'SET')"
_MAY_CONNECT = "SELECT has_database_privilege(%s, current_database(), 'CONNECT')"
_CONNECT_SECONDS = 10
_PARAMETERS = 150_000  # the release that knows privileges of parameters


def snapshots_schema(schema: str) -> str:
    """Beside the views' schema: loaded snapshots, which the serving role cannot reach."""
    return schema_name(f"{schema}_snapshots")


def make_role(url: str, name: str) -> str:
    """Makes the role that serves, or gives it a new password; gives its connection string. ``url``: the operator's.

    Raises BadConfig where the operator may not.
    """
    password = secrets.token_urlsafe(24)
    role, secret = sql.Identifier(schema_name(name)), sql.Literal(password)
    with transaction(url) as connection:
        there = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if there else "CREATE ROLE {} LOGIN PASSWORD {}")
        try:
            connection.execute(statement.format(role, secret))
        except psycopg.errors.InsufficientPrivilege:
            raise BadConfig(
                "the operator's role may not make or change roles",
                place=name,
                remedy=f"Let the database's administrator run CREATE ROLE {name} LOGIN PASSWORD '...', and give its "
                "connection string with --serving",
            ) from None
    return make_conninfo(url, user=name, password=password)


def lets_in(conninfo: str) -> bool:
    """Whether the server takes this login."""
    try:
        psycopg.connect(conninfo, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.Error:
        return False
    return True


def database_of(conninfo: str) -> tuple[str, ...]:
    """Host, port and name of a database, as a connection string says them; names of one host are not compared."""
    try:
        said = conninfo_to_dict(conninfo)
    except psycopg.Error:
        return ()
    host = said.get("host") or said.get("hostaddr") or ""
    return (str(host), str(said.get("port") or "5432"), str(said.get("dbname") or said.get("user") or ""))


def role_of(conninfo: str) -> str:
    """BadConfig where a connection string names no user."""
    try:
        name = conninfo_to_dict(conninfo).get("user")
    except psycopg.Error:
        name = None
    if not name:
        raise BadConfig("this is no connection string that names a user", remedy="postgresql://user@host/database")
    return str(name)


def set_up(url: str, schema: str, serving: str, *, disk: int | None = None) -> None:
    """``url``: the operator's. ``serving``: the role's name, which must exist.

    ``disk``: bytes of temporary files that one session of the role may fill; set where the operator may set it.
    """
    views, snapshots = sql.Identifier(schema_name(schema)), sql.Identifier(snapshots_schema(schema))
    role = sql.Identifier(serving)
    with transaction(url) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [serving]).fetchone() is None:
            raise BadConfig(
                "the role that is to serve does not exist",
                place=serving[:64],
                remedy="Make it: CREATE ROLE ... LOGIN PASSWORD ...",
            )
        if connection.info.user == serving:
            raise BadConfig("the operator's role cannot serve too", place=serving[:64], remedy="Make a role for it")
        if connection.execute(_MAY_CONNECT, [serving]).fetchone() != (True,):
            database = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
        for name in (views, snapshots):
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            connection.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC, {}").format(name, role))
            connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM PUBLIC").format(name))
        connection.execute(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}").format(snapshots, role))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(views, role))
        connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(views, role))
        may_limit = connection.info.server_version >= _PARAMETERS and connection.execute(_MAY_LIMIT).fetchone()
        if disk is not None and may_limit and may_limit[0]:
            limit = sql.Literal(f"{max(disk // KIB, 1)}kB")
            connection.execute(sql.SQL("ALTER ROLE {} SET temp_file_limit = {}").format(role, limit))
