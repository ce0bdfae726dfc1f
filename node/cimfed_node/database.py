"""The city's PostgreSQL that a node is connected to: one, or none.

Two files hold a connection string each: ``keys/postgis.json`` the operator's, ``postgis.json`` that of the role that
serves, which the service's group may read. They are made once all was tried; connecting again replaces them.

The libraries are an extra of the distribution: they are loaded only where they are needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cimfed.errors import BadConfig, CimfedError, NotFound
from cimfed.trust.files import replace_file
from cimfed_node.config import Home
from cimfed_node.stores.base import Store

if TYPE_CHECKING:
    from cimfed_node.views.postgis import PostGISShelf

FORMAT = "cimfed/postgis/v1"


@dataclass(frozen=True)
class Login:
    """``conninfo``: as libpq takes it, a secret. ``serving``: the role that reads views."""

    conninfo: str
    schema: str
    serving: str


def connect(home: Home, url: str, *, schema: str = "", serving: str = "") -> Login:
    """Sets up schemas and rights in the database at ``url``, the operator's, and tries the role that serves.

    ``serving``: its connection string; empty: the role is made. What is empty stays as it is where the node is
    connected to this very database: a node that serves has logged in by it. Raises BadConfig, and changes no file,
    where anything is not as it must be; CimfedError where the server cannot be reached.
    """
    with _libraries():
        from cimfed_node.stores.postgis import PostGISStore
        from cimfed_node.views.postgis.roles import lets_in, make_role, role_of, set_up
    role_of(url)
    if "PGPASSWORD" in os.environ:
        raise BadConfig(
            "PGPASSWORD is set, which later commands and the service would not have",
            place="PGPASSWORD",
            remedy="Unset it; put the password into the connection string or into the operator's ~/.pgpass",
        )
    known = _read(home.database_of_service) if is_same_database(home, url) else None
    schema = schema or (known.schema if known else f"cimfed_{home.city.replace('.', '_').replace('-', '_')}")
    if not serving and known and known.schema == schema and lets_in(known.conninfo):
        serving = known.conninfo
    reached = serving or make_role(url, f"{schema}_serving")
    role = role_of(reached)
    set_up(url, schema, role)
    store = PostGISStore(reached, schema, connections=1)
    try:
        store.self_test()
    finally:
        store.close()
    login = Login(url, schema, role)
    _write(home.database_of_operator, login, 0o600)
    _write(home.database_of_service, Login(reached, schema, role), 0o640)
    return login


def is_connected(home: Home) -> bool:
    """As the service sees it, which cannot read the operator's file."""
    return home.database_of_service.exists()


def operator_login(home: Home) -> Login:
    """NotFound where the node is not connected to a database."""
    return _read(home.database_of_operator)


def is_login(home: Home, url: str) -> bool:
    """Whether the node is connected with this very string."""
    return home.database_of_operator.exists() and operator_login(home).conninfo == url


def is_same_database(home: Home, url: str) -> bool:
    """Whether the node is connected to the database that a connection string names, by whatever role."""
    if not home.database_of_operator.exists():
        return False
    with _libraries():
        from cimfed_node.views.postgis.roles import database_of
    return database_of(operator_login(home).conninfo) == database_of(url)


def check_libraries() -> None:
    """BadConfig where they are missing."""
    with _libraries():
        for name in ("psycopg", "adbc_driver_postgresql"):
            import_module(name)


def shelf(home: Home, key: Callable[[], bytes]) -> PostGISShelf:
    """The views in the database. NotFound where the node is not connected to one."""
    login = operator_login(home)
    with _libraries():
        from cimfed_node.views.postgis import PostGISShelf
    return PostGISShelf(login.conninfo, login.schema, login.serving, key, memory=home.settings.engine.memory)


def open_store(home: Home) -> Store:
    """The store over them, tried: a role that could read more than views is refused. NotFound as above."""
    login = _read(home.database_of_service)
    with _libraries():
        from cimfed_node.stores.postgis import PostGISStore
    engine = home.settings.engine
    store = PostGISStore(
        login.conninfo,
        login.schema,
        connections=int(home.limits.concurrent_per_node),  # one that waited for another would wait for its reader
        memory=engine.memory // engine.workers,
        limits=home.limits,
    )
    try:
        store.self_test()
    except CimfedError:
        store.close()
        raise
    return store


@contextmanager
def _libraries() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise BadConfig(
            f"PostgreSQL needs a library that is missing: {error.name}", remedy="pip install 'cimfed-node[postgis]'"
        ) from None


def _write(path: Path, login: Login, mode: int) -> None:
    text = json.dumps({"format": FORMAT, "conninfo": login.conninfo, "schema": login.schema, "serving": login.serving})
    replace_file(path, text.encode(), mode=mode)


def _read(path: Path) -> Login:
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFound("this node is not connected to a database", remedy="cimfed-node postgis connect") from None
    except (OSError, ValueError):
        raise BadConfig("the connection to the database cannot be read", place=str(path)) from None
    if facts.get("format") != FORMAT:
        raise BadConfig("the connection to the database has another format", place=str(path), remedy="Connect again")
    return Login(facts["conninfo"], facts["schema"], facts["serving"])
