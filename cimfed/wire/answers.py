"""Heads, manifests, coverages and narrowings as the exact bytes that are signed.

Decoding refuses what it does not know: an unspecified outcome, unknown fields, hashes of the wrong length. The
bytes were verified before they get here, so a fault is the signer's: ChainBroken.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from cimfed.errors import ChainBroken
from cimfed.model.answer import CityOutcome, Coverage, Head, Manifest, Narrowing, Outcome
from cimfed.model.names import CityName, Federation, GatewayName
from cimfed.v1 import answer_pb2

_OUTCOMES = {outcome: getattr(answer_pb2, f"OUTCOME_{outcome.name}") for outcome in Outcome}
_OUTCOME_OF = {number: outcome for outcome, number in _OUTCOMES.items()}


def _parse(message: Message, data: bytes, what: str) -> None:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise ChainBroken(f"{what} cannot be parsed") from None
    _known(message, what)


def _known(message: Message, what: str) -> None:
    if len(UnknownFieldSet(message)):
        raise ChainBroken(f"{what} has fields that this release does not know", remedy="Upgrade cimfed")


def _outcome(number: int, what: str) -> Outcome:
    try:
        return _OUTCOME_OF[number]
    except KeyError:
        raise ChainBroken(f"{what} has an unknown outcome") from None


def _hash(value: bytes, what: str, *, empty: bool = False) -> bytes:
    if len(value) != 32 and not (empty and not value):
        raise ChainBroken(f"{what} is not a SHA-256 hash")
    return value


def encode_head(head: Head) -> bytes:
    return answer_pb2.Head(
        request_hash=head.request_hash, city=head.city, index=head.index, chain=head.chain
    ).SerializeToString()


def decode_head(data: bytes) -> Head:
    message = answer_pb2.Head()
    _parse(message, data, "a head")
    return Head(
        request_hash=_hash(message.request_hash, "a head's request hash"),
        city=CityName(message.city),
        index=message.index,
        chain=_hash(message.chain, "a head's chain"),
    )


def encode_manifest(manifest: Manifest) -> bytes:
    fields = {name: value for name, value in vars(manifest).items() if name != "outcome"}
    return answer_pb2.Manifest(outcome=_OUTCOMES[manifest.outcome], **fields).SerializeToString()


def decode_manifest(data: bytes) -> Manifest:
    message = answer_pb2.Manifest()
    _parse(message, data, "a manifest")
    return Manifest(
        request_hash=_hash(message.request_hash, "a manifest's request hash"),
        narrowing_hash=_hash(message.narrowing_hash, "a manifest's narrowing hash", empty=True),
        federation=Federation(message.federation),
        city=CityName(message.city),
        collection=message.collection,
        outcome=_outcome(message.outcome, "a manifest"),
        reason=message.reason,
        message=message.message,
        grant=message.grant,
        view=message.view,
        snapshot=message.snapshot,
        policy_version=message.policy_version,
        policy_hash=message.policy_hash,
        shape_hash=message.shape_hash,
        compiler=message.compiler,
        now=message.now,
        rows=message.rows,
        batches=message.batches,
        chain=message.chain,
        absent=tuple(message.absent),
        obligations=tuple(message.obligations),
        decision=message.decision,
    )


def encode_coverage(coverage: Coverage) -> bytes:
    return answer_pb2.Coverage(
        request_hash=coverage.request_hash,
        federation=coverage.federation,
        gateway=coverage.gateway,
        directory_version=coverage.directory_version,
        now=coverage.now,
        total_hash=coverage.total_hash,
        narrowing=coverage.narrowing,
        cities=[
            answer_pb2.CityOutcome(
                city=item.city,
                outcome=_OUTCOMES[item.outcome],
                reason=item.reason,
                message=item.message,
                manifest_hash=item.manifest_hash,
                routing_hash=item.routing_hash,
            )
            for item in coverage.cities
        ],
    ).SerializeToString()


def decode_coverage(data: bytes) -> Coverage:
    message = answer_pb2.Coverage()
    _parse(message, data, "a coverage")
    for item in message.cities:
        _known(item, "a line of a coverage")
    return Coverage(
        request_hash=_hash(message.request_hash, "a coverage's request hash"),
        federation=Federation(message.federation),
        gateway=GatewayName(message.gateway),
        directory_version=message.directory_version,
        now=message.now,
        total_hash=_hash(message.total_hash, "a coverage's total hash", empty=True),
        narrowing=message.narrowing,
        cities=tuple(
            CityOutcome(
                city=CityName(item.city),
                outcome=_outcome(item.outcome, "a coverage"),
                reason=item.reason,
                message=item.message,
                manifest_hash=item.manifest_hash,
                routing_hash=item.routing_hash,
            )
            for item in message.cities
        ),
    )


def encode_narrowing(narrowing: Narrowing) -> bytes:
    return answer_pb2.Narrowing(
        request_hash=narrowing.request_hash, gateway=narrowing.gateway, passed=narrowing.passed
    ).SerializeToString()


def decode_narrowing(data: bytes) -> Narrowing:
    message = answer_pb2.Narrowing()
    _parse(message, data, "a narrowing")
    return Narrowing(
        request_hash=_hash(message.request_hash, "a narrowing's request hash"),
        gateway=GatewayName(message.gateway),
        passed=tuple(GatewayName(name) for name in message.passed),
    )
