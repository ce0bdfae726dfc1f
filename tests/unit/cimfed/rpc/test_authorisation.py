"""The table of callers, and that no served RPC lacks a row."""

from __future__ import annotations

import importlib
import pkgutil

import grpc_health.v1.health_pb2
import grpc_reflection.v1alpha.reflection_pb2
import pytest
from google.protobuf import descriptor_pool

import cimfed.v1
from cimfed.errors import NotAllowed
from cimfed.model.names import Kind
from cimfed.rpc.authorisation import (
    ADMINISTER,
    AGGREGATE,
    CATALOG,
    CHECKPOINT,
    CONSISTENCY,
    COSIGN,
    ENTRIES,
    FETCH,
    HEALTH_CHECK,
    JOIN,
    JOIN_STATUS,
    PROVE,
    PUBLISH,
    QUERIES,
    READ,
    REQUEST_ACCESS,
    TABLE,
    authorise,
)
from cimfed.trust.tls import Peer
from cimfed.v1 import (
    admission_service_pb2,
    catalog_service_pb2,
    directory_service_pb2,
    log_service_pb2,
    publication_service_pb2,
    query_service_pb2,
)
from tests.unit.cimfed.parties import CITY, DIRECTORY, GATEWAY, PARTNER

FILES = (
    query_service_pb2.DESCRIPTOR,
    catalog_service_pb2.DESCRIPTOR,
    directory_service_pb2.DESCRIPTOR,
    admission_service_pb2.DESCRIPTOR,
    publication_service_pb2.DESCRIPTOR,
    log_service_pb2.DESCRIPTOR,
    grpc_health.v1.health_pb2.DESCRIPTOR,
    grpc_reflection.v1alpha.reflection_pb2.DESCRIPTOR,
)
METHODS = {
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
PEERS: dict[Kind | None, Peer | None] = {None: None} | {
    kind: Peer(kind, name) for kind, name in zip(Kind, (CITY, PARTNER, GATEWAY, DIRECTORY), strict=True)
}


def test_every_service_of_the_contract_is_looked_at() -> None:
    for module in pkgutil.iter_modules(cimfed.v1.__path__):
        importlib.import_module(f"cimfed.v1.{module.name}")
    pool = descriptor_pool.Default()
    in_package = {
        service.full_name
        for module in pkgutil.iter_modules(cimfed.v1.__path__)
        for service in pool.FindFileByName(
            f"cimfed/v1/{module.name.removesuffix('_pb2')}.proto"
        ).services_by_name.values()
    }
    assert in_package == {method.split("/")[1] for method in METHODS if method.startswith("/cimfed.")}


@pytest.mark.parametrize("server", TABLE)
def test_every_rpc_has_a_row_and_every_row_is_an_rpc(server: Kind) -> None:
    assert set(TABLE[server]) == METHODS


def allowed(server: Kind) -> set[tuple[str, Kind | None]]:
    found = set()
    for method in METHODS:
        for kind, peer in PEERS.items():
            try:
                authorise(server, method, peer)
            except NotAllowed:
                continue
            found.add((method, kind))
    return found


EVERYBODY = {
    (method, kind)
    for kind in Kind
    for method in (
        FETCH,
        CHECKPOINT,
        CONSISTENCY,
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    )
}


def test_a_node_answers_gateways_and_partners_and_witnesses_the_logs_of_servers() -> None:
    methods = (READ, AGGREGATE, CATALOG, PROVE)
    queries = {(method, kind) for method in methods for kind in (Kind.GATEWAY, Kind.PARTNER)}
    witnessed = {(COSIGN, kind) for kind in (Kind.CITY, Kind.GATEWAY, Kind.DIRECTORY)}
    assert allowed(Kind.CITY) == queries | witnessed | {(ENTRIES, Kind.PARTNER)} | EVERYBODY


def test_a_gateway_answers_partners_alone() -> None:
    queries = {(method, Kind.PARTNER) for method in (READ, AGGREGATE, CATALOG, ENTRIES)}
    assert allowed(Kind.GATEWAY) == queries | EVERYBODY


def test_a_directory_service_answers_whoever_shows_no_certificate_and_tells_nobody_what_it_serves() -> None:
    joining = (JOIN, JOIN_STATUS, ADMINISTER, REQUEST_ACCESS, PUBLISH)
    served = (FETCH, *joining, CHECKPOINT, CONSISTENCY, ENTRIES, HEALTH_CHECK)
    assert allowed(Kind.DIRECTORY) == {(method, None) for method in served}


@pytest.mark.parametrize(
    "method",
    [
        "",
        "/",
        "/cimfed.v1.QueryService/",
        "/cimfed.v1.QueryService/read",
        "/cimfed.v1.QueryService/Read/",
        "//cimfed.v1.QueryService/Read",
        "/cimfed.v1.QueryService/%52ead",
        "/cimfed.v1.QueryService/../QueryService/Read",
        "/cimfed.v1.AdminService/Anything",
    ],
)
def test_what_is_not_in_the_table_is_denied(method: str) -> None:
    for server in TABLE:
        for peer in PEERS.values():
            with pytest.raises(NotAllowed):
                authorise(server, method, peer)


def test_every_query_is_counted_by_admission() -> None:
    assert {READ, AGGREGATE, CATALOG} == QUERIES
