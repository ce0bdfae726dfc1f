"""Asking by hand: protobuf, one Ed25519 signature and a gRPC channel. Nothing of cimfed but the generated messages.

The answer is followed by ``tests.oracle.wire``, which knows docs/wire.md alone.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import pyarrow as pa
from google.rpc import error_details_pb2, status_pb2

from cimfed.v1 import answer_pb2, envelope_pb2, query_pb2, query_service_pb2
from tests.oracle.wire.envelopes import pre_authentication
from tests.oracle.wire.streams import City, read_frame

QUERY = "application/vnd.cimfed.query.v1+protobuf"
NARROWING = "application/vnd.cimfed.narrowing.v1+protobuf"
READ = "/cimfed.v1.QueryService/Read"
AGGREGATE = "/cimfed.v1.QueryService/Aggregate"
CATALOG = "/cimfed.v1.CatalogService/Catalog"
METHODS = {"read": READ, "aggregate": AGGREGATE, "catalog": CATALOG}


def sign(signer: Any, payload_type: str, payload: bytes, key_id: bytes | None = None) -> envelope_pb2.Envelope:
    """An envelope. ``signer``: whatever signs bytes; its key id unless another is given."""
    message = pre_authentication(payload_type, payload)
    signature = envelope_pb2.Signature(
        key_id=hashlib.sha256(signer.public.raw).digest() if key_id is None else key_id, signature=signer.sign(message)
    )
    return envelope_pb2.Envelope(payload_type=payload_type, payload=payload, signatures=[signature])


def query(now: int | None = None, **fields: Any) -> query_pb2.Query:
    """A query that lives for a minute from ``now`` (microseconds); ``fields`` go before what is usual."""
    now = time.time_ns() // 1000 if now is None else now
    usual = {
        "federation": "sco",
        "purpose": "research",
        "issued": now,
        "expires": now + 60_000_000,
        "nonce": os.urandom(16),
    }
    return query_pb2.Query(**{**usual, **fields})


def read(collection: str = "building", *names: str, **fields: Any) -> query_pb2.Read:
    return query_pb2.Read(
        collection=collection,
        properties=names,
        all_properties=not names,
        **{"compression": query_pb2.COMPRESSION_NONE, **fields},
    )


def ask(signer: Any, asked: query_pb2.Query, narrowings: Iterable[envelope_pb2.Envelope] = ()) -> bytes:
    return query_service_pb2.Ask(
        query=sign(signer, QUERY, asked.SerializeToString()), narrowings=list(narrowings)
    ).SerializeToString()


def narrowing(signer: Any, gateway: str, asked: query_pb2.Query, passed: Iterable[str] = ()) -> envelope_pb2.Envelope:
    request_hash = hashlib.sha256(asked.SerializeToString()).digest()
    made = answer_pb2.Narrowing(request_hash=request_hash, gateway=gateway, passed=list(passed))
    return sign(signer, NARROWING, made.SerializeToString())


class Refused(Exception):  # a verdict
    """The call ended with a status: its code's name and cimfed's reason."""

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


def refusal(error: grpc.aio.AioRpcError) -> Refused:
    reason = ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == "cimfed":
                    reason = info.reason
    return Refused(error.code().name, reason, error.details() or "")


@dataclass(frozen=True)
class Answer:
    """A city's answer that verified: what its manifest says, its rows, and how many heads came."""

    manifest: Mapping[str, Any]
    rows: pa.Table | None
    heads: int

    @property
    def outcome(self) -> str:
        return str(self.manifest["outcome"])

    @property
    def reason(self) -> str:
        return str(self.manifest["reason"])


class Caller:
    """A connection to one node under a party's own leaf."""

    def __init__(self, port: int, city: str, issuer_pem: bytes, leaf: Any, federation: str = "sco") -> None:
        credentials = grpc.ssl_channel_credentials(issuer_pem, leaf.key_pem, leaf.chain_pem)
        options = (
            ("grpc.ssl_target_name_override", f"{city}.{federation}.invalid"),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 5 * 1024 * 1024),
        )
        self.channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
        self.city, self.federation = city, federation

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    def call(self, method: str, request: bytes) -> Any:
        return self.channel.unary_stream(method)(request, timeout=30)

    async def frames(self, method: str, request: bytes) -> list[dict[str, Any]]:
        """Every frame as it came; Refused where the call ends with a status."""
        try:
            return [read_frame(data) async for data in self.call(method, request)]
        except grpc.aio.AioRpcError as error:
            raise refusal(error) from None

    async def answer(self, keys: Iterable[bytes], asked: query_pb2.Query, request: bytes) -> Answer:
        """The answer, verified step by step as docs/wire.md says; ``keys`` are the city's."""
        kind = asked.WhichOneof("request")
        collection = getattr(asked, kind).collection
        request_hash = hashlib.sha256(asked.SerializeToString()).digest()
        city = City(self.city, list(keys), request_hash, self.federation, collection)
        found = await self.frames(METHODS[kind], request)
        for frame in found:
            assert frame["city"] == self.city
            city.take(frame)
        manifest = city.finish()
        return Answer(manifest, rows_of(found), sum(frame["part"] == "head" for frame in found))


def rows_of(found: Iterable[Mapping[str, Any]]) -> pa.Table | None:
    """The Arrow rows of a stream's frames."""
    schema: Any = None
    batches = []
    for frame in found:
        if frame["part"] == "start":
            schema = pa.ipc.read_schema(pa.py_buffer(frame["start"]["schema"]))
        elif not frame["part"]:
            batches.append(pa.ipc.read_record_batch(pa.py_buffer(frame["payload"]), schema))
            assert batches[-1].num_rows == frame["rows"]
    return None if schema is None else pa.Table.from_batches(batches, schema)
