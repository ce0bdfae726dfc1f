"""Who may call what: one table, every RPC by the kinds of its callers, for each kind of server.

What is not in the table is denied, unknown methods too. Names are compared whole and as they stand. That a peer may
call an RPC gives it no data: a query is answered for the partner that signed it. A directory service asks for no
certificate, so its callers are nobody to it (None), and it goes by what their messages prove.
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
JOIN = "/cimfed.v1.AdmissionService/Join"
JOIN_STATUS = "/cimfed.v1.AdmissionService/JoinStatus"
ADMINISTER = "/cimfed.v1.AdmissionService/Administer"
REQUEST_ACCESS = "/cimfed.v1.AdmissionService/RequestAccess"
PUBLISH = "/cimfed.v1.PublicationService/Publish"
CHECKPOINT = "/cimfed.v1.LogService/Checkpoint"
CONSISTENCY = "/cimfed.v1.LogService/Consistency"
PROVE = "/cimfed.v1.LogService/Prove"
COSIGN = "/cimfed.v1.LogService/Cosign"
ENTRIES = "/cimfed.v1.LogService/Entries"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
HEALTH_LIST = "/grpc.health.v1.Health/List"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

QUERIES = frozenset({READ, AGGREGATE, CATALOG})
"""The RPCs that cost something: admission counts these."""

Callers = frozenset[Kind | None]

_LISTED: Callers = frozenset(Kind)
_ANYBODY: Callers = frozenset({None})
_NOBODY: Callers = frozenset()
_COMMON = {
    FETCH: _LISTED,
    CHECKPOINT: _LISTED,
    CONSISTENCY: _LISTED,
    ENTRIES: frozenset({Kind.PARTNER}),  # and a registrar's signature
    HEALTH_CHECK: _LISTED,
    HEALTH_WATCH: _LISTED,
    HEALTH_LIST: _NOBODY,
    REFLECTION: _LISTED,
    **dict.fromkeys((JOIN, JOIN_STATUS, ADMINISTER, REQUEST_ACCESS, PUBLISH), _NOBODY),
}

TABLE: Mapping[Kind, Mapping[str, Callers]] = {
    Kind.CITY: {
        **_COMMON,
        READ: frozenset({Kind.GATEWAY, Kind.PARTNER}),
        AGGREGATE: frozenset({Kind.GATEWAY, Kind.PARTNER}),
        CATALOG: frozenset({Kind.GATEWAY, Kind.PARTNER}),
        PROVE: frozenset({Kind.GATEWAY, Kind.PARTNER}),
        COSIGN: frozenset({Kind.CITY, Kind.GATEWAY, Kind.DIRECTORY}),
    },
    Kind.GATEWAY: {
        **_COMMON,
        READ: frozenset({Kind.PARTNER}),
        AGGREGATE: frozenset({Kind.PARTNER}),
        CATALOG: frozenset({Kind.PARTNER}),
        PROVE: _NOBODY,
        COSIGN: _NOBODY,
    },
    Kind.DIRECTORY: {
        **dict.fromkeys((READ, AGGREGATE, CATALOG, PROVE, COSIGN, HEALTH_WATCH, HEALTH_LIST, REFLECTION), _NOBODY),
        **dict.fromkeys((FETCH, HEALTH_CHECK, JOIN, JOIN_STATUS, ADMINISTER, REQUEST_ACCESS, PUBLISH), _ANYBODY),
        **dict.fromkeys((CHECKPOINT, CONSISTENCY, ENTRIES), _ANYBODY),
    },
}
"""By what the server is: a city's node, a gateway or the directory service."""


def authorise(server: Kind, method: str, peer: Peer | None) -> None:
    """NotAllowed unless the table gives this caller this RPC."""
    if (peer.kind if peer else None) not in TABLE[server].get(method, _NOBODY):
        raise NotAllowed(f"{f'a {peer.kind}' if peer else 'nobody'} may not call {method[:100]} at a {server}")
