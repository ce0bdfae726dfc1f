"""Who may call what: one table, every RPC by the kinds of its callers, for each kind of server.

What is not in the table is denied, unknown methods too. Names are compared whole and as they stand. That a peer may
call an RPC gives it no data: a query is answered for the partner that signed it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cimfed.errors import NotAllowed
from cimfed.model.names import Kind
from cimfed.trust.tls import Peer

READ = "/cimfed.v1.QueryService/Read"
AGGREGATE = "/cimfed.v1.QueryService/Aggregate"
CATALOG = "/cimfed.v1.CatalogService/Catalog"
FETCH = "/cimfed.v1.DirectoryService/Fetch"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
HEALTH_LIST = "/grpc.health.v1.Health/List"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

QUERIES = frozenset({READ, AGGREGATE, CATALOG})
"""The RPCs that cost something: admission counts these."""

_LISTED = frozenset(Kind)
_NOBODY: frozenset[Kind] = frozenset()
_COMMON = {
    FETCH: _LISTED,
    HEALTH_CHECK: _LISTED,
    HEALTH_WATCH: _LISTED,
    HEALTH_LIST: _NOBODY,
    REFLECTION: _LISTED,
}

TABLE: Mapping[Kind, Mapping[str, frozenset[Kind]]] = {
    Kind.CITY: {
        **_COMMON,
        READ: frozenset({Kind.GATEWAY, Kind.PARTNER}),
        AGGREGATE: frozenset({Kind.GATEWAY, Kind.PARTNER}),
        CATALOG: frozenset({Kind.GATEWAY, Kind.PARTNER}),
    },
    Kind.GATEWAY: {
        **_COMMON,
        READ: frozenset({Kind.PARTNER}),
        AGGREGATE: frozenset({Kind.PARTNER}),
        CATALOG: frozenset({Kind.PARTNER}),
    },
}
"""By what the server is: a city's node or a gateway."""


def authorise(server: Kind, method: str, peer: Peer) -> None:
    """NotAllowed unless the table gives this caller this RPC."""
    if peer.kind not in TABLE[server].get(method, _NOBODY):
        raise NotAllowed(f"a {peer.kind} may not call {method[:100]} at a {server}")
