"""routing.json and policy.json: signed JSON documents."""

from __future__ import annotations

import json
from typing import Any

import rfc8785

from cimfed.trust.envelope import Envelope, PayloadType, seal
from vectorgen.forms import Case, Document, accept, document, encoded, reject
from vectorgen.hashing import hashed
from vectorgen.parties import ALMATY, TASHKENT, keys, public, signer

STEWARD = f"steward of {ALMATY}"
EXTENT = [76.5, 43.0, 77.25, 43.5]


SIGNED = " Each case is an envelope: its type, the payload as text, the one signature in base64."


def documents() -> dict[str, Document]:
    steward = {"keys": keys(STEWARD), "city": ALMATY, "stewards": [public(STEWARD)]}
    return {
        "routing.json": document(
            "Routing entries", "A city's routing entry, read with its stewards' keys." + SIGNED, _routings(), **steward
        ),
        "policy.json": document(
            "Hashes and signatures",
            "A city's policy, read with its stewards' keys. salted is the hash that the routing entry publishes"
            " (docs/policy.md, 'The signed form')." + SIGNED,
            _policies(),
            **steward,
        ),
    }


def _signed(kind: PayloadType, content: Any, role: str) -> Envelope:
    """``content`` is bytes, or a document that is made canonical."""
    return seal(kind, content if isinstance(content, bytes) else rfc8785.dumps(content), signer(role))


def _file(envelope: Envelope) -> Case:
    """What a DSSE JSON file without a hint holds: the payload as text."""
    (signature,) = envelope.signatures
    return {
        "type": str(envelope.payload_type),
        "payload": envelope.payload.decode(),
        "signature": encoded(signature.signature),
    }


# routing.json


def _routings() -> list[Case]:
    entry: dict[str, Any] = {
        "format": "cimfed/routing/v1",
        "city": ALMATY,
        "version": 3,
        "valid": ["2026-10-13T00:00:00Z", "2027-01-12T00:00:00.5Z"],
        "policy_hash": "ab" * 32,
        "collections": {"building": {"extent": EXTENT}, "facility": {}},
    }
    entry["valid"][1] = "2027-01-12T00:00:00.500000Z"
    payload = rfc8785.dumps(entry)

    def bad(name: str, content: Any, reason: str = "bad_directory", role: str = STEWARD) -> Case:
        return reject(name, reason, **_file(_signed(PayloadType.ROUTING, content, role)))

    return [
        accept(
            "two collections, one without an extent",
            **_file(_signed(PayloadType.ROUTING, payload, STEWARD)),
        ),
        bad("signed by another city's steward", payload, "bad_signature", f"steward of {TASHKENT}"),
        reject(
            "signed as a policy",
            "bad_signature",
            **_file(_signed(PayloadType.POLICY, payload, STEWARD)),
        ),
        bad("of another city", entry | {"city": TASHKENT}),
        bad("an unknown word", entry | {"grantees": ["inst.tsinghua"]}),
        bad("a word is missing", {key: value for key, value in entry.items() if key != "valid"}),
        bad("another format", entry | {"format": "cimfed/routing/v2"}),
        bad("version 0", entry | {"version": 0}),
        bad("a version that is no integer", payload.replace(b'"version":3', b'"version":3.0')),
        bad("a hash that is too short", entry | {"policy_hash": "ab" * 31}),
        bad("it ends before it begins", entry | {"valid": entry["valid"][::-1]}),
        bad("a time in another zone", entry | {"valid": ["2026-10-13T00:00:00+05:00", entry["valid"][1]]}),
        bad("a time with blanks of precision", entry | {"valid": ["2026-10-13T00:00Z", entry["valid"][1]]}),
        bad("an extent of three numbers", entry | {"collections": {"building": {"extent": EXTENT[:3]}}}),
        bad("an extent upside down", entry | {"collections": {"building": {"extent": EXTENT[2:] + EXTENT[:2]}}}),
        bad("an extent out of range", entry | {"collections": {"building": {"extent": [76.5, 43.0, 181.0, 43.5]}}}),
        bad("not canonical: keys out of order", json.dumps(entry, separators=(",", ":")).encode()),
        bad("not canonical: a number with a trailing zero", payload.replace(b"76.5", b"76.50")),
        bad("not JSON", payload[:-1]),
    ]


# policy.json


def _policies() -> list[Case]:
    whole = rfc8785.dumps(_policy())
    policy = _small_policy()
    payload = rfc8785.dumps(policy)

    def bad(name: str, content: Any, reason: str = "bad_policy", role: str = STEWARD) -> Case:
        return reject(name, reason, **_file(_signed(PayloadType.POLICY, content, role)))

    def granted(**other: Any) -> dict[str, Any]:
        return policy | {"grants": [policy["grants"][0] | other]}

    return [
        accept(
            "masks, rows, an area, an agreement",
            **_file(_signed(PayloadType.POLICY, whole, STEWARD)),
            salted=hashed("cimfed policy salted v1", bytes.fromhex(policy["salt"]), whole).hex(),
        ),
        accept(
            "one plain grant",
            **_file(_signed(PayloadType.POLICY, payload, STEWARD)),
        ),
        bad("signed by the node's key", payload, "bad_signature", ALMATY),
        bad("signed by another city's steward", payload, "bad_signature", f"steward of {TASHKENT}"),
        reject(
            "signed as a routing entry",
            "bad_signature",
            **_file(_signed(PayloadType.ROUTING, payload, STEWARD)),
        ),
        bad("of another city", policy | {"city": TASHKENT}),
        bad("an unknown word", policy | {"priority": 1}),
        bad("a word that this release does not keep", granted(quota={"queries_per_day": 1})),
        bad("an unknown mask", granted(columns={"height": {"blur": "5"}})),
        bad("a grant without purposes", granted(purpose=[])),
        bad("a set out of order", granted(purpose=["research", "heat-planning"])),
        bad("a band width with a trailing zero", granted(columns={"height": {"band": "5.0"}})),
        bad("a time without seconds", policy | {"valid": ["2026-10-01T00:00Z", "2027-04-01T00:00:00Z"]}),
        bad("without a salt", {key: value for key, value in policy.items() if key != "salt"}),
        bad("not canonical: keys out of order", json.dumps(policy, separators=(",", ":")).encode()),
        bad("a key twice", payload.replace(b'"version":3', b'"version":2,"version":3')),
        bad("not JSON", payload[:-1]),
    ]


def _small_policy() -> dict[str, Any]:
    whole = _policy()
    grant = {key: whole["grants"][0][key] for key in ("id", "subject", "purpose", "collection", "columns")}
    return {key: value for key, value in whole.items() if key not in ("declared", "listed")} | {"grants": [grant]}


def _policy() -> dict[str, Any]:
    ring = [[76.5, 43], [77, 43], [77, 43.25], [76.5, 43.25], [76.5, 43]]
    return {
        "format": "cimfed/policy/v1",
        "salt": "00112233445566778899aabbccddeeff",
        "city": ALMATY,
        "version": 3,
        "valid": ["2026-10-01T00:00:00Z", "2027-04-01T00:00:00Z"],
        "declared": {"building": {"extent": EXTENT}},
        "listed": {"building": ["energy_kwh", "height"]},
        "grants": [
            {
                "id": "massing",
                "subject": {"country": ["CN", "IN"], "org": ["inst.tsinghua"]},
                "purpose": ["heat-planning", "research"],
                "collection": "building",
                "columns": {"function": "exact", "height": {"band": "5"}},
                "rows": {
                    "op": "and",
                    "args": [
                        {"op": "=", "args": [{"property": "usage_state"}, "in_use"]},
                        {"op": ">", "args": [{"property": "height"}, {"number": "2.5"}]},
                    ],
                },
                "area": {"within": {"type": "Polygon", "coordinates": [ring]}},
                "geometry": {"max_lod": 0},
                "via": ["gw.alliance"],
                "obligations": ["attribution"],
                "agreement": {"id": "MoU-2026-17", "sha256": "9c" * 32},
            }
        ],
    }
