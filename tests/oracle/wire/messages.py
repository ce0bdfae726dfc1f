"""The messages of protos/cimfed/v1 that an answer is made of."""

from __future__ import annotations

from tests.oracle.wire.encoding import form

OUTCOMES = ("", "answered", "no_data", "refused", "ruled_out", "unreachable", "timed_out", "broken")
BY_CITY = ("answered", "no_data", "refused")
REQUESTS = ("read", "aggregate", "catalog")
PARTS = ("start", "head", "manifest", "coverage")

SIGNATURE = form("key_id bytes", "signature bytes")
ENVELOPE = form("payload_type text", "payload bytes", ("signatures*", SIGNATURE))
START = form("schema bytes", "view text")
FRAME = form(
    *("index int", "city text", ("start", START), ("head", ENVELOPE), ("manifest", ENVELOPE), ("coverage", ENVELOPE)),
    *("-", "rows int", "-", "-", "-", "-", "-", "-", "payload bytes"),
)
HEAD = form("request_hash bytes", "city text", "index int", "chain bytes")
MANIFEST = form(
    *("request_hash bytes", "narrowing_hash bytes", "federation text", "city text", "collection text", "outcome int"),
    *("reason text", "message text", "grant text", "view text", "snapshot text", "policy_version int"),
    *("policy_hash bytes", "shape_hash bytes", "compiler text", "now int", "rows int", "batches int", "chain bytes"),
    *("absent* text", "obligations* text", "decision int"),
)
LINE = form("city text", "outcome int", "reason text", "message text", "manifest_hash bytes", "routing_hash bytes")
COVERAGE = form(
    *("request_hash bytes", "federation text", "gateway text", "directory_version int", "now int"),
    *(("cities*", LINE), "total_hash bytes", "narrowing bytes"),
)
QUERY = form(
    *("federation text", "cities* text", "purpose text", "grants* bytes", "via* text", "issued int", "expires int"),
    *("nonce bytes", "-"),
    ("read", form("collection text", "where bytes", "all int", "properties* text", "compression int", "original int")),
    ("aggregate", form("collection text", "where bytes", "group_by* text", "measures* bytes")),
    ("catalog", form("collection text")),
)
NARROWING = form("request_hash bytes", "gateway text", "passed* text")
CITY_RECEIPT = form("city text", "schema bytes", "batch_hashes* bytes", ("manifest", ENVELOPE))
FILE = form("path text", "content bytes")
LOG_PROOF = form("city text", "entry bytes", "index int", "proof* bytes", "checkpoint text")
RECEIPT = form(
    *("version int", ("query", ENVELOPE), ("cities*", CITY_RECEIPT), ("coverage", ENVELOPE), "-", ("files*", FILE)),
    ("log*", LOG_PROOF),
)
