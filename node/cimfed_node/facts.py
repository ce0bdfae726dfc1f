"""What a manifest says of a query, before anything was sent; and how it says no.

Rows, batches and chain are added by the ``Sealer`` of the answer, from what was written.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa

from cimfed.errors import CimfedError
from cimfed.model.answer import Manifest, Outcome
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Federation
from cimfed.model.schema import ATTRIBUTION, LICENCE, MASK, MASKS, VERTICAL
from cimfed.policy.shape import view_columns
from cimfed.query.expression import properties
from cimfed.query.query import Aggregate, Catalog, Read, Request
from cimfed_node.admit import Admission, Refusal
from cimfed_node.stores.base import View
from cimfed_node.tables.publication import SnapshotEntry


def facts(verdict: Admission | Refusal, city: CityName, federation: Federation) -> Manifest:
    """The manifest of an admitted query as it is if all goes well, or of a refused one."""
    signed, given = verdict.signed, verdict.given
    policy = given.policy if given else None
    shape = given.shape if given else None
    manifest = Manifest(
        request_hash=signed.request_hash,
        narrowing_hash=signed.way.narrowing_hash,
        federation=federation,
        city=city,
        collection=signed.query.request.collection or "",
        outcome=Outcome.ANSWERED,
        grant=given.grant if given else "",
        policy_version=policy.policy.version if policy else 0,
        policy_hash=policy.hash if policy else b"",
        now=signed.now,
        decision=verdict.decision,
    )
    if isinstance(verdict, Refusal):
        return refused(manifest, verdict.error)
    view, request = verdict.view, signed.query.request
    asked = request.properties if isinstance(request, Read) and request.properties is not None else ()
    return replace(
        manifest,
        view=view.id if view else "",
        snapshot=view.snapshot if view else "",
        compiler=view.compiler if view else "",
        shape_hash=verdict.shape_hash,
        absent=tuple(name for name in asked if shape and name not in view_columns(shape)),
        obligations=tuple(sorted(shape.obligations)) if shape else (),
    )


def masked(schema: pa.Schema, request: Request, view: View | None) -> pa.Schema:
    """The schema of an answer, which says of every property that the query names how the view has coarsened it."""
    if view is None or isinstance(request, Catalog):
        return schema
    named = properties(request.where) if request.where is not None else frozenset()
    if isinstance(request, Aggregate):
        named |= {*request.group_by, *(measure.of for measure in request.measures)}
    said = {at.name: (at.metadata or {}).get(MASK) for at in view.schema if at.name in named}
    found = {name: mask.decode() for name, mask in said.items() if mask is not None}
    if not found:
        return schema
    return schema.with_metadata({**(schema.metadata or {}), MASKS: json.dumps(found, sort_keys=True).encode()})


def described(schema: pa.Schema, snapshot: SnapshotEntry | None) -> pa.Schema:
    """The schema with what the importer said of the data: the chain signs it along with the rows."""
    if snapshot is None:
        return schema
    said = {LICENCE: snapshot.licence, ATTRIBUTION: snapshot.attribution, VERTICAL: snapshot.vertical}
    found = {key: text.encode() for key, text in said.items() if text}
    return schema.with_metadata({**(schema.metadata or {}), **found}) if found else schema


def refused(manifest: Manifest, error: Exception) -> Manifest:
    """The same as a refusal, in the words of the error tree alone: an engine's or library's never leave."""
    if not isinstance(error, CimfedError):
        error = CimfedError("the node failed; its log says why")
    return replace(manifest, outcome=Outcome.REFUSED, reason=error.reason, message=_sentence(error))


def _sentence(error: CimfedError) -> str:
    """What is wrong, where, and what to do about it."""
    text = f"{error.message} (at {error.place})" if error.place else error.message
    if error.remedy:
        text += f". {error.remedy}"
    return text.encode()[: LIMITS.error_detail].decode(errors="ignore")
