"""Receipts as bytes: an answer without its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from cimfed.errors import BadAnswer, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName
from cimfed.trust.envelope import Envelope
from cimfed.v1 import directory_service_pb2, receipt_pb2
from cimfed.wire.envelopes import from_message, to_message
from cimfed.wire.logs import Proven

VERSION = 2
MAX_BYTES = LIMITS.receipt


@dataclass(frozen=True)
class CityReceipt:
    """``schema`` is empty for a city that refused before it started."""

    city: CityName
    schema: bytes
    batch_hashes: tuple[bytes, ...]
    manifest: Envelope


@dataclass(frozen=True)
class LogProof:
    """That a city's decision is in its log."""

    city: CityName
    proven: Proven


@dataclass(frozen=True)
class Receipt:
    """``coverage`` is None where one city was asked directly; ``directory`` has its files by path. ``log`` is of the
    cities that were asked for it."""

    query: Envelope
    cities: tuple[CityReceipt, ...]
    coverage: Envelope | None
    directory: Mapping[str, bytes]
    log: tuple[LogProof, ...] = ()


def encode_receipt(receipt: Receipt) -> bytes:
    message = receipt_pb2.Receipt(
        version=VERSION,
        query=to_message(receipt.query),
        cities=[
            receipt_pb2.CityReceipt(
                city=item.city,
                schema=item.schema,
                batch_hashes=item.batch_hashes,
                manifest=to_message(item.manifest),
            )
            for item in receipt.cities
        ],
        files=[
            directory_service_pb2.DirectoryFile(path=path, content=content)
            for path, content in receipt.directory.items()
        ],
        log=[
            receipt_pb2.LogProof(
                city=item.city,
                entry=item.proven.entry,
                index=item.proven.index,
                proof=item.proven.proof,
                checkpoint=item.proven.checkpoint.decode(),
            )
            for item in receipt.log
        ],
    )
    if receipt.coverage is not None:
        message.coverage.CopyFrom(to_message(receipt.coverage))
    return message.SerializeToString()


def decode_receipt(data: bytes) -> Receipt:
    """BadAnswer for bytes that are none of this release, TooLarge above ``MAX_BYTES``. Nothing is verified yet."""
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the receipt has {len(data)} bytes, more than {MAX_BYTES}")
    message = receipt_pb2.Receipt()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BadAnswer("this is not a receipt") from None
    if message.version != VERSION or not _known(message):
        raise BadAnswer(f"this is not a receipt of version {VERSION}", remedy="Upgrade cimfed if it is a newer one")
    return Receipt(
        query=from_message(message.query),
        cities=tuple(
            CityReceipt(CityName(item.city), item.schema, tuple(item.batch_hashes), from_message(item.manifest))
            for item in message.cities
        ),
        coverage=from_message(message.coverage) if message.HasField("coverage") else None,
        directory={file.path: file.content for file in message.files},
        log=tuple(
            LogProof(
                CityName(item.city),
                Proven(item.entry, item.index, tuple(item.proof), item.checkpoint.encode()),
            )
            for item in message.log
        ),
    )


def _known(message: Message) -> bool:
    """Whether this release knows all fields, of the messages within too."""
    return not len(UnknownFieldSet(message)) and all(
        _known(part)
        for field, value in message.ListFields()
        if field.message_type
        for part in (value if field.is_repeated else (value,))
    )
