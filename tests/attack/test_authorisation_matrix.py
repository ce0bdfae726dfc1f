"""Who may call what: every RPC of every kind of server by every kind of caller, over real TLS, and what each is told.

Each table has a line for callers who are told the same; its cells stand under the columns of its heading. A cell is
what comes back, in the words of ``SAID``. An RPC that no column has, or a caller that no line has, fails here.
"""

from __future__ import annotations

import importlib
import pkgutil

import grpc_health.v1.health_pb2
import grpc_reflection.v1alpha.reflection_pb2
import pytest
from google.protobuf import descriptor_pool

import cimfed.v1
from cimfed.errors import BY_REASON
from cimfed.model.names import Kind
from cimfed.rpc.authorisation import TABLE
from tests.attack.asks import ASKS, NO_CONNECTION, UNKNOWN, Town, verdict

over_the_wire = pytest.mark.asyncio(loop_scope="module")

COLUMNS = {
    "query": ("read", "aggregate", "catalog"),
    "fetch": ("fetch",),
    "seen": ("checkpoint", "consistency"),
    "elsewhere": ("read", "aggregate", "catalog", "prove", "cosign", "watch", "services", "reflect"),
    "join": ("join", "joined?"),
    "admin": ("invite", "asked me", "asked it"),
    "access": ("access",),
    "publish": ("list", "revoke", "board", "route"),
    "health": ("health",),
    "watch": ("watch",),
    "services": ("services",),
    "reflect": ("reflect",),
    "unknown": ("unknown",),
}
"""What is asked under each heading; one that is not here is of one question. ``own_log`` and ``logs``: its entries."""

SAID = {
    "ok": "ok",
    "-": NO_CONNECTION,  # TLS refuses before anything of ours runs
    "peer": "unknown_peer",
    "no": "not_allowed",
    "key": "unknown_key",
    "gone": "key_revoked",
    "sign": "bad_signature",
    "code": "bad_invitation",
    "bad": "bad_directory",
    "none": "not_found",
    "else": "not_addressed",
    "ELSE": "signed not_addressed",  # in a manifest: the partner has proven who it is
}

Lines = list[tuple[str, tuple[str, ...]]]

NO_LEAF = (
    "nobody",
    "a newcomer with an invitation",
    "a steward",
    "a registrar",
    "a former registrar",
    "a revoker",
    "one of the board",
    "enough of the board",
)
OTHER_OFFICES = tuple(f"{name}, by a partner's leaf" for name in NO_LEAF[2:] if name != "a registrar")
BAD_LEAF = (
    "a partner whose leaf has expired",
    "a partner by its server's leaf",
    "a partner by a leaf of another federation",
    "a partner of another federation",
)
TAKEN_OFF = (
    "a revoked partner",
    "a revoked gateway",
    "a revoked city",
    "a suspended partner",
    "a suspended gateway",
    "a suspended city",
    "a partner whose issuer is revoked",
)
CONNECTED_BEFORE = tuple(f"{name}, connected before" for name in TAKEN_OFF)

NODE = (
    "query fetch seen prove cosign own_log logs join admin access publish health watch services reflect unknown",
    [
        ("ok    ok    ok   ok    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner",)),
        ("ok    ok    ok   ok    ok     no      no   no   no    no     no      ok     ok    no       ok      no",
         ("a gateway",)),
        ("no    ok    ok   no    ok     no      no   no   no    no     no      ok     ok    no       ok      no",
         ("a city", "the directory service")),
        ("key   ok    ok   ok    no     ok      else no   no    no     no      ok     ok    no       ok      no",
         ("a registrar, by a partner's leaf",)),
        # What is proven is proven to the organisation, by its leaf.
        ("key   ok    ok   ok    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         OTHER_OFFICES),
        ("key   ok    ok   none  no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner whose key has expired",)),
        ("gone  ok    ok   none  no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner whose key is revoked",)),
        ("ELSE  ok    ok   ok    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner that speaks of another federation",)),
        ("peer  peer  peer peer  peer   peer    peer peer peer  peer   peer    peer   peer  peer     peer    peer",
         CONNECTED_BEFORE),
        ("-     -     -    -     -      -       -    -    -     -      -       -      -     -        -       -",
         (*NO_LEAF, *BAD_LEAF, *TAKEN_OFF)),
    ],
)  # fmt: skip

GATEWAY = (
    "query fetch seen prove cosign own_log logs join admin access publish health watch services reflect unknown",
    [
        ("ok    ok    ok   no    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner",)),
        ("no    ok    ok   no    no     no      no   no   no    no     no      ok     ok    no       ok      no",
         ("a gateway", "a city", "the directory service")),
        ("key   ok    ok   no    no     ok      else no   no    no     no      ok     ok    no       ok      no",
         ("a registrar, by a partner's leaf",)),
        ("key   ok    ok   no    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         (*OTHER_OFFICES, "a partner whose key has expired")),
        ("gone  ok    ok   no    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner whose key is revoked",)),
        ("else  ok    ok   no    no     sign    sign no   no    no     no      ok     ok    no       ok      no",
         ("a partner that speaks of another federation",)),
        ("peer  peer  peer peer  peer   peer    peer peer peer  peer   peer    peer   peer  peer     peer    peer",
         CONNECTED_BEFORE),
        ("-     -     -    -     -      -       -    -    -     -      -       -      -     -        -       -",
         (*NO_LEAF, *BAD_LEAF, *TAKEN_OFF)),
    ],
)  # fmt: skip

DIRECTORY = (
    "elsewhere fetch seen own_log logs join invite asked_me asked_it access list revoke board route health unknown",
    [
        # Nobody is asked for a certificate: whoever has none, or one that is worth nothing, is heard like the others.
        ("no        ok    ok   sign    sign code sign   sign     sign     key    bad  bad    bad   bad   ok     no",
         ("nobody", "a city", "a gateway", "the directory service", "a revoked gateway", "a revoked city",
          "a suspended gateway", "a suspended city", "a suspended partner", "one of the board",
          "one of the board, by a partner's leaf", "a former registrar", "a former registrar, by a partner's leaf",
          "a partner whose key has expired", "a partner of another federation")),
        ("no        ok    ok   sign    sign ok   sign   sign     sign     key    bad  bad    bad   bad   ok     no",
         ("a newcomer with an invitation",)),
        # What counts is the access key; an issuer is for TLS.
        ("no        ok    ok   sign    sign code sign   sign     sign     ok     bad  bad    bad   bad   ok     no",
         ("a partner", "a partner whose issuer is revoked", "a partner whose leaf has expired",
          "a partner by its server's leaf", "a partner by a leaf of another federation")),
        ("no        ok    ok   sign    sign code sign   sign     sign     else   bad  bad    bad   bad   ok     no",
         ("a partner that speaks of another federation",)),
        ("no        ok    ok   sign    sign code sign   sign     sign     gone   bad  bad    bad   bad   ok     no",
         ("a revoked partner", "a partner whose key is revoked")),
        ("no        ok    ok   sign    sign code sign   ok       sign     key    bad  bad    bad   ok    ok     no",
         ("a steward", "a steward, by a partner's leaf")),
        ("no        ok    ok   ok      else code ok     ok       ok       key    ok   bad    bad   bad   ok     no",
         ("a registrar", "a registrar, by a partner's leaf")),
        ("no        ok    ok   sign    sign code sign   sign     sign     key    bad  ok     bad   bad   ok     no",
         ("a revoker", "a revoker, by a partner's leaf")),
        ("no        ok    ok   sign    sign code sign   sign     sign     key    bad  bad    ok    bad   ok     no",
         ("enough of the board", "enough of the board, by a partner's leaf")),
    ],
)  # fmt: skip

TABLES: dict[Kind, tuple[str, Lines]] = {Kind.CITY: NODE, Kind.GATEWAY: GATEWAY, Kind.DIRECTORY: DIRECTORY}


def cells(server: Kind) -> dict[str, dict[str, str]]:
    """By caller and by what is asked: what comes back."""
    heading, lines = TABLES[server]
    all_logs = {f"log of a {kind}" for kind in TABLES}
    logs = {"own_log": {f"log of a {server}"}, "logs": all_logs - {f"log of a {server}"}}
    found: dict[str, dict[str, str]] = {}
    for line, callers in lines:
        row = {}
        for column, cell in zip(heading.split(), line.split(), strict=True):
            for asked in logs.get(column) or COLUMNS.get(column) or (column.replace("_", " "),):
                assert asked not in row
                row[asked] = SAID[cell]
        for caller in callers:
            assert caller not in found, f"{caller} has two lines"
            found[caller] = row
    return found


CASES = [(server, caller) for server in TABLES for caller in cells(server)]


@over_the_wire
@pytest.mark.parametrize(("server", "name"), CASES, ids=[f"{name} at a {server}" for server, name in CASES])
async def test_a_caller_gets_what_the_table_says(town: Town, server: Kind, name: str) -> None:
    caller = town.callers[name]
    async with town.calling(name, server) as channel:
        found = {asked: await verdict(town, caller, channel, asked) for asked in ASKS}
    assert found == cells(server)[name]


@over_the_wire
async def test_every_caller_has_a_line_in_every_table(town: Town) -> None:
    for server in TABLES:
        held = {name for name, caller in town.callers.items() if caller.held and server is Kind.DIRECTORY}
        assert set(cells(server)) == set(town.callers) - held


def reflected() -> set[str]:
    """Every method that any file of the contract, of health or of reflection declares."""
    for module in pkgutil.iter_modules(cimfed.v1.__path__):
        importlib.import_module(f"cimfed.v1.{module.name}")
    names = [f"cimfed/v1/{m.name.removesuffix('_pb2')}.proto" for m in pkgutil.iter_modules(cimfed.v1.__path__)]
    files = [
        *map(descriptor_pool.Default().FindFileByName, names),
        grpc_health.v1.health_pb2.DESCRIPTOR,
        grpc_reflection.v1alpha.reflection_pb2.DESCRIPTOR,
    ]
    return {
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


@pytest.mark.parametrize("server", list(Kind))
def test_every_rpc_has_a_column_and_a_row(server: Kind) -> None:
    """Kinds that serve nothing have no table, and no RPC."""
    if server not in TABLES:
        assert server is Kind.PARTNER
        assert server not in TABLE
        return
    columns = {asked for row in cells(server).values() for asked in row}
    assert {ASKS[column][0] for column in columns} == reflected() | {UNKNOWN}
    assert set(TABLE[server]) == reflected()


def test_each_word_is_a_reason_and_each_is_said() -> None:
    reasons = {word.removeprefix("signed ") for word in SAID.values()} - {"ok", NO_CONNECTION}
    assert reasons <= BY_REASON.keys()
    said = {word for server in TABLES for row in cells(server).values() for word in row.values()}
    assert said == set(SAID.values())
