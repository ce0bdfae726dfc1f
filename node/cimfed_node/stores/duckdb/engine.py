"""Opens DuckDB: the one file of the node that does.

There are two engines, in memory, each a database of its own. The **serving** engine reads files of the views folder
and nothing else, has no extension but what DuckDB is built with, and never spills to disk. The **building** engine
reads snapshots, writes views, and has the spatial extension, loaded from its wheel. Both are locked once they are
set up: no statement can loosen them, load code or reach the network.

Beware, all seen with DuckDB 1.5.5:
1. Settings of a session are lost on its cursors: everything here is SET GLOBAL.
2. GeoParquet metadata turns WKB columns into GEOMETRY, which then cannot be fetched as Arrow: conversion is off.
3. ``allowed_directories`` also allows writing there, and hard links: the Unix user that serves has no right to
   write in the folder, and nobody makes hard links in it.
4. A second ``duckdb.connect()`` in the process would be unconfined: hence this file alone may call it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path

import duckdb

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.limits import MIB

_COMMON: Mapping[str, str | bool] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,  # a table's name never means a Python variable
    "enable_geoparquet_conversion": False,
    "enable_external_file_cache": False,  # the system's cache does as well, and memory stays flat
    "parquet_metadata_cache": True,
    "preserve_insertion_order": True,
    "TimeZone": "UTC",
}
_SPATIAL = {"allow_unsigned_extensions": "false"}
"""Of a database that loads the extension. The check of its signature reads all of it: most of the time that opening
takes."""
_GLOB = frozenset("*?[]{}")


class Engine:
    """A confined database. Every statement runs on a cursor of its own: a second one would end the first's rows."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, places: Sequence[str], settings: Mapping[str, str | bool]
    ) -> None:
        self._connection = connection
        self._places = sorted(places)
        self._settings = settings
        self._lock = threading.Lock()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            return self._connection.cursor()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def check(self) -> None:
        """The settings stand on a new cursor, and the file system outside is out of reach."""
        cursor = self.cursor()
        try:
            found = dict(cursor.execute("SELECT name, value FROM duckdb_settings()").fetchall())
            for name, value in self._settings.items():
                if found.get(name) != (value if isinstance(value, str) else str(value).lower()):
                    raise CimfedError(f"the engine's setting {name} is not what it must be")
            places = cursor.execute("SELECT current_setting('allowed_directories')").fetchone()
            if places is None or sorted(places[0]) != self._places:
                raise CimfedError("the engine is not confined to its folders")
            try:
                cursor.execute("SELECT count(*) FROM read_blob($1)", [str(Path(__file__).resolve())])
            except duckdb.PermissionException:
                return
            raise CimfedError("the engine reads files outside its folders")
        finally:
            cursor.close()


def serving(views: Path, *, memory: int, threads: int) -> Engine:
    """``memory`` in bytes. What does not fit is refused, so that no data is left on disk."""
    return _open([views], memory, threads, {"temp_directory": ""})


def building(folders: Sequence[Path], scratch: Path, *, memory: int, threads: int) -> Engine:
    """``scratch`` takes what does not fit the memory while a statement runs."""
    settings: dict[str, str | bool] = {"temp_directory": str(scratch.resolve()), "geometry_always_xy": True}
    return _open([*folders, scratch], memory, threads, settings, spatial=True)


def _open(
    folders: Sequence[Path], memory: int, threads: int, more: Mapping[str, str | bool], *, spatial: bool = False
) -> Engine:
    places = sorted({_place(folder) for folder in folders})
    connection = duckdb.connect(":memory:", config={"threads": str(threads), **(_SPATIAL if spatial else {})})
    try:
        if spatial:
            _load_spatial(connection)
        settings = {**_COMMON, **more}
        for name, value in settings.items():
            _set(connection, name, _literal(value))
        _set(connection, "memory_limit", _literal(f"{max(memory // MIB, 1)}MiB"))
        _set(connection, "allowed_directories", f"[{', '.join(map(_literal, places))}]")
        _set(connection, "enable_external_access", "false")
        _set(connection, "lock_configuration", "true")
    except duckdb.Error as error:
        connection.close()
        raise BadConfig(f"the engine cannot be set up ({type(error).__name__})") from error
    return Engine(connection, places, {**settings, "enable_external_access": False, "lock_configuration": True})


def _place(folder: Path) -> str:
    place = str(folder.resolve())
    if _GLOB & set(place):
        raise BadConfig("the folder's name would be taken for a pattern", place=place, remedy="Use a plain name")
    return place + "/"


def _load_spatial(connection: duckdb.DuckDBPyConnection) -> None:
    package = files("duckdb_extension_spatial")
    with as_file(package / "extensions" / f"v{duckdb.__version__}" / "spatial.duckdb_extension") as path:
        connection.execute(f"LOAD {_literal(str(path))}")


def _set(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    connection.execute(f'SET GLOBAL "{name}" = {value}')


def _literal(value: str | bool) -> str:
    """Settings take no parameters."""
    return str(value).lower() if isinstance(value, bool) else "'" + value.replace("'", "''") + "'"
