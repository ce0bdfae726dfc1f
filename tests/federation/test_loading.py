"""A command loads what it needs, and nobody waits for the rest: looked at in ``sys.modules``, not by a clock."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ARROW = {"pyarrow", "numpy", "pandas", "geopandas"}
ENGINES = {"duckdb", "pyproj", "lxml", "psycopg", "adbc_driver_manager", "ifcopenshell"}
GEOMETRY = {"shapely"}
DATABASE = {"sqlalchemy", "sqlmodel"}
NETWORK = {"grpc", "tuf", "urllib3"}
SETTINGS = {"pydantic_settings"}
ROWS = ARROW | ENGINES | GEOMETRY
ALL = ROWS | DATABASE | NETWORK | SETTINGS

UNNEEDED = {
    ("cimfed.cli.main", "--help", "--version"): ALL,
    ("cimfed_node.cli", "--help", "--version"): ALL,
    ("cimfed_gateway.cli", "--help", "--version", "directory --help"): ALL,
    (
        "cimfed.cli.main",
        *("directory", "member", "partner", "requests", "revoke", "key", "access", "vocabulary", "audit", "doctor"),
        *("profile", "join"),
    ): ROWS | DATABASE | SETTINGS,
    ("cimfed.cli.main", "policy"): ENGINES | DATABASE | SETTINGS | {"pyarrow"},
    ("cimfed.cli.main", "read", "aggregate", "catalog", "receipt"): (
        ENGINES | DATABASE | SETTINGS | {"pandas", "geopandas"}
    ),
    ("cimfed_node.cli", "log", "collections"): ROWS | NETWORK,
    ("cimfed_node.cli", "init", "block", "unblock", "blocks"): ROWS | {"grpc"},
    ("cimfed_node.cli", "key"): ROWS | DATABASE,
    ("cimfed_node.cli", "join"): ROWS,
    ("cimfed_node.cli", "doctor"): ENGINES | {"pyarrow"},
    ("cimfed_gateway.cli", "log"): ROWS | NETWORK,
    ("cimfed_gateway.cli", "init"): ROWS | DATABASE | {"grpc"},
    ("cimfed_gateway.cli", "join", "key"): ROWS | DATABASE,
    ("cimfed_gateway.cli", "doctor", "directory doctor"): ROWS,
    ("cimfed_gateway.cli", "directory init", "directory begin", "directory log"): ROWS | {"grpc"},
    ("cimfed_gateway.cli", "serve", "directory serve"): ENGINES | GEOMETRY,
}
"""By program and commands: libraries that none of them needs before it does anything."""

LOOK = """
import contextlib, importlib, io, json, sys
program, commands, unneeded = json.loads(sys.argv[1])
app = importlib.import_module(program).app
for command in commands:
    words = command.split()
    with contextlib.redirect_stdout(io.StringIO()):
        app(words if words[-1].startswith("--") else [*words, "--help"], standalone_mode=False)
    if found := [name for name in unneeded if name in sys.modules]:
        sys.exit(f"{command} loads {', '.join(found)}")
"""


@pytest.mark.parametrize("commands", UNNEEDED, ids=" ".join)
def test_commands_load_nothing_that_they_do_not_need(commands: tuple[str, ...]) -> None:
    program, *typed = commands
    order = json.dumps([program, typed, sorted(UNNEEDED[commands])])
    done = subprocess.run([sys.executable, "-c", LOOK, order], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
