"""The signed form of a policy, and what is published of it.

The payload is canonical JSON (RFC 8785): areas embedded as GeoJSON, rows as trees, sets sorted, exact numbers and
times as text. ``from_payload`` is total and strict: it gives a policy only for the very bytes that ``to_payload``
gives for that policy, so two readers cannot understand one signed policy differently. The payload stays at the node
and with its auditors; the directory gets the routing entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import rfc8785

from cimfed.errors import BadPolicy, CimfedError
from cimfed.model.instants import instant_text
from cimfed.model.limits import LIMITS
from cimfed.model.routing import RoutingEntry, routing_payload
from cimfed.policy.area import read_area, to_geojson
from cimfed.policy.cursor import Cursor, json_place
from cimfed.policy.document import Form, read
from cimfed.policy.grant import FORMAT, Grant, Policy
from cimfed.policy.meet import canonical
from cimfed.policy.rows import read_tree, tree
from cimfed.policy.shape import Shape, mask_value
from cimfed.trust.hashing import digest, sha256

SALTED_DOMAIN = "cimfed policy salted v1"
SHOWN_DOMAIN = "cimfed shape shown v1"
MAX_VALUES = 1_000_000  # commas and brackets: what a payload may cost before it is understood


def to_payload(policy: Policy) -> bytes:
    """The bytes that the steward signs."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "salt": policy.salt.hex(),
        "city": policy.city,
        "version": policy.version,
        "valid": _times(policy.valid),
    }
    if policy.declared:
        document["declared"] = {
            name: {} if extent is None else {"extent": list(extent)} for name, extent in policy.declared.items()
        }
    if policy.listed:
        document["listed"] = {name: sorted(properties) for name, properties in policy.listed.items()}
    if policy.grants:
        document["grants"] = [_grant(grant) for grant in policy.grants]
    payload = rfc8785.dumps(document)
    if _too_large(payload):
        raise BadPolicy("the policy is too large to be signed", remedy="Simplify its areas")
    return payload


def from_payload(payload: bytes, source: str = "policy") -> Policy:
    """The policy of a payload whose signature was checked; ``source`` stands in error places."""
    if _too_large(payload):
        raise BadPolicy("the policy is too large", place=source)
    try:
        document = json.loads(payload, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise BadPolicy("the policy is not JSON", place=source) from None
    policy = read(Cursor(document, (), json_place(source)), Form(rows=read_tree, area=read_area, salt=None))
    if to_payload(policy) != payload:
        raise BadPolicy("the policy is not in canonical form", place=source, remedy="Sign it again")
    return policy


def policy_hash(payload: bytes) -> bytes:
    """What manifests call the policy."""
    return sha256(payload)


def salted_hash(policy: Policy, payload: bytes) -> bytes:
    """What the routing entry calls the policy: nobody without the salt can try a guess of the text against it."""
    return digest(SALTED_DOMAIN, [policy.salt, payload])


def shown_shape(policy: Policy, shape: Shape) -> bytes:
    """What manifests call a shape. Partners know all of it but rows, areas and ``via``, and could guess these."""
    return digest(SHOWN_DOMAIN, [policy.salt, canonical(shape)])


def routing_of(policy: Policy, payload: bytes) -> RoutingEntry:
    return RoutingEntry(
        city=policy.city,
        version=policy.version,
        policy_hash=salted_hash(policy, payload),
        collections=MappingProxyType({name: policy.declared.get(name) for name in policy.collections()}),
        valid=policy.valid,
    )


def routing_entry(policy: Policy, payload: bytes) -> bytes:
    """The payload of the routing entry: collections and declared extents; no grantees, no areas of grants."""
    return routing_payload(routing_of(policy, payload))


def _grant(grant: Grant) -> dict[str, Any]:
    subjects = {
        "org": sorted(grant.subjects.org),
        "country": sorted(grant.subjects.country),
        "role": sorted(grant.subjects.role),
    }
    document: dict[str, Any] = {
        "id": grant.id,
        "subject": {key: words for key, words in subjects.items() if words},
        "purpose": sorted(grant.purposes),
        "collection": grant.collection,
        "columns": {name: mask_value(mask) for name, mask in grant.columns.items()},
    }
    if grant.rows is not None:
        try:
            document["rows"] = tree(grant.rows)
        except CimfedError as error:
            raise BadPolicy(f"rows: {error.message}", place=grant.id, remedy=error.remedy) from None
    if grant.area is not None:
        document["area"] = {"within": to_geojson(grant.area)}
    if grant.max_lod is not None:
        document["geometry"] = {"max_lod": grant.max_lod}
    if grant.valid is not None:
        document["valid"] = _times(grant.valid)
    if grant.via is not None:
        document["via"] = sorted(grant.via)
    if grant.obligations:
        document["obligations"] = sorted(grant.obligations)
    if grant.agreement is not None:
        agreement = {"id": grant.agreement.id}
        if grant.agreement.sha256:
            agreement["sha256"] = grant.agreement.sha256.hex()
        document["agreement"] = agreement
    if grant.original:
        document["original"] = True
    return document


def _times(times: Iterable[int]) -> list[str]:
    return [instant_text(time) for time in times]


def _too_large(payload: bytes) -> bool:
    values = sum(payload.count(mark) for mark in (b",", b"[", b"{"))
    return len(payload) > LIMITS.policy or values > MAX_VALUES
