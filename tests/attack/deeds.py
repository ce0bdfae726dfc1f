"""What a lying gateway sends to the nodes in the place of a partner's query: one deed each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cimfed.model.names import GatewayName
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner, Signer
from cimfed.v1 import query_pb2
from cimfed_gateway.service import Asked
from tests.attack.liar import Deed, Liar

Sent = tuple[Envelope, tuple[Envelope, ...]]


def changed(envelope: Envelope, change: Callable[[query_pb2.Query], object]) -> bytes:
    query = query_pb2.Query.FromString(envelope.payload)
    change(query)
    return query.SerializeToString()


def widening(change: Callable[[query_pb2.Query], object]) -> Deed:
    """Changes the query behind the partner's signature."""

    def deed(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
        sent = replace(asked.envelope, payload=changed(asked.envelope, change))
        return sent, (liar.narrowing(sent),)

    return deed


def drop_the_filter(query: query_pb2.Query) -> None:
    query.read.ClearField("where")


def ask_for_all_properties(query: query_pb2.Query) -> None:
    query.read.ClearField("properties")
    query.read.all_properties = True


def choose_another_grant(query: query_pb2.Query) -> None:
    query.grants.append(query_pb2.GrantChoice(city="kz.almaty", grant="everything"))


def ask_more_cities(query: query_pb2.Query) -> None:
    query.ClearField("cities")


def name_another_purpose(query: query_pb2.Query) -> None:
    query.purpose = "statistics"


def let_it_live_longer(query: query_pb2.Query) -> None:
    query.expires += 300_000_000


def take_another_nonce(query: query_pb2.Query) -> None:
    query.nonce = bytes(16)


def name_another_gateway(query: query_pb2.Query) -> None:
    query.via.append("gw.other")


def as_signed_by(signer: Callable[[Liar], Signer]) -> Deed:
    """The same question, with a nonce of its own, signed by another key."""

    def deed(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
        sent = seal(PayloadType.QUERY, changed(asked.envelope, take_another_nonce), signer(liar))
        return sent, (liar.narrowing(sent),)

    return deed


def without_a_signature(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    sent = replace(asked.envelope, signatures=())
    return sent, (liar.narrowing(sent),)


def as_another_payload_type(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    sent = replace(asked.envelope, payload_type=str(PayloadType.NARROWING))
    return sent, (liar.narrowing(sent),)


def without_a_narrowing(_liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    return asked.envelope, ()


def with_a_narrowing_that_it_did_not_sign(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    return asked.envelope, (liar.narrowing(asked.envelope, KeySigner.generate()),)


def with_a_narrowing_without_a_signature(_liar: Liar, asked: Asked, narrowing: Envelope) -> Sent:
    return asked.envelope, (replace(narrowing, signatures=()),)


def with_a_narrowing_of_another_query(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    return asked.envelope, (liar.narrowing(asked.envelope, request_hash=bytes(32)),)


def with_a_narrowing_in_another_gateways_name(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    return asked.envelope, (liar.narrowing(asked.envelope, gateway=GatewayName("gw.other")),)


def with_a_narrowing_that_passed_another_gateway(liar: Liar, asked: Asked, _narrowing: Envelope) -> Sent:
    return asked.envelope, (liar.narrowing(asked.envelope, passed=(GatewayName("gw.other"),)),)


def with_its_narrowing_twice(_liar: Liar, asked: Asked, narrowing: Envelope) -> Sent:
    return asked.envelope, (narrowing, narrowing)
