"""Messages of AdmissionService and PublicationService as bytes, both ways.

Requests that are no such message are ``BadQuery``, or ``TooLarge``; replies that are none are ``BadAnswer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from cimfed.errors import BadAnswer, BadQuery
from cimfed.model.admission import AskStatus, InvitationEntry, Join, JoinEntry, RequestState, Status
from cimfed.model.limits import KIB, LIMITS
from cimfed.trust.envelope import Envelope
from cimfed.v1 import admission_service_pb2 as admission
from cimfed.v1 import publication_service_pb2 as publication
from cimfed.wire.envelopes import from_message, parse, to_message

CARD = 16 * KIB  # bytes of a card's file
REQUEST = 32 * KIB  # of any other message but a publication
PUBLICATION = LIMITS.frame  # of a publication
_STATES = {
    RequestState.WAITING: admission.REQUEST_STATE_WAITING,
    RequestState.APPROVED: admission.REQUEST_STATE_APPROVED,
    RequestState.DENIED: admission.REQUEST_STATE_DENIED,
    RequestState.LISTED: admission.REQUEST_STATE_LISTED,
}
_OF_STATE = {number: state for state, number in _STATES.items()}

Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True)
class AccessEntry:
    """A partner's signed request and when it came, in microseconds."""

    request: Envelope
    received: int


@dataclass(frozen=True)
class Administered:
    """What an action gives; what it has none of is empty."""

    requests: tuple[JoinEntry, ...] = ()
    invitations: tuple[InvitationEntry, ...] = ()
    access_requests: tuple[AccessEntry, ...] = field(default=())


def encode_join(join: Join) -> bytes:
    return admission.JoinRequest(invitation=join.invitation, card=join.card, code=join.code).SerializeToString()


def decode_join(data: bytes) -> Join:
    message = admission.JoinRequest()
    parse(message, data, "the request", REQUEST)
    return Join(message.invitation, message.card, message.code)


def encode_ask_status(ask: AskStatus) -> bytes:
    return admission.JoinStatusRequest(invitation=ask.invitation, name=ask.name, code=ask.code).SerializeToString()


def decode_ask_status(data: bytes) -> AskStatus:
    message = admission.JoinStatusRequest()
    parse(message, data, "the request", REQUEST)
    return AskStatus(message.invitation, message.name, message.code)


def encode_status(status: Status) -> bytes:
    return admission.JoinReply(state=_STATES[status.state], message=status.message).SerializeToString()


def decode_status(data: bytes) -> Status:
    message = _reply(admission.JoinReply(), data)
    return Status(_state(message.state), message.message)


def encode_administer(request: Envelope) -> bytes:
    return admission.AdministerRequest(request=to_message(request)).SerializeToString()


def decode_administer(data: bytes) -> Envelope:
    message = admission.AdministerRequest()
    parse(message, data, "the request", REQUEST)
    return from_message(message.request)


def encode_administered(result: Administered) -> bytes:
    return admission.AdministerReply(
        requests=[
            admission.JoinEntry(
                id=item.id,
                card=item.card,
                state=_STATES[item.state],
                received=item.received,
                new_keys=item.new_keys,
                replaced=item.replaced,
            )
            for item in result.requests
        ],
        invitations=[
            admission.InvitationEntry(id=item.id, name=item.name, expires=item.expires, new_keys=item.new_keys)
            for item in result.invitations
        ],
        access_requests=[
            admission.AccessEntry(request=to_message(item.request), received=item.received)
            for item in result.access_requests
        ],
    ).SerializeToString()


def decode_administered(data: bytes) -> Administered:
    message = _reply(admission.AdministerReply(), data)
    return Administered(
        requests=tuple(
            JoinEntry(item.id, item.card, _state(item.state), item.received, item.new_keys, item.replaced)
            for item in message.requests
        ),
        invitations=tuple(
            InvitationEntry(item.id, item.name, item.expires, item.new_keys) for item in message.invitations
        ),
        access_requests=tuple(
            AccessEntry(from_message(item.request), item.received) for item in message.access_requests
        ),
    )


def encode_request_access(request: Envelope) -> bytes:
    return admission.RequestAccessRequest(request=to_message(request)).SerializeToString()


def decode_request_access(data: bytes) -> Envelope:
    message = admission.RequestAccessRequest()
    parse(message, data, "the request", REQUEST)
    return from_message(message.request)


def encode_access_kept() -> bytes:
    return admission.RequestAccessReply().SerializeToString()


def encode_publish(files: Mapping[str, bytes]) -> bytes:
    return publication.PublishRequest(
        files=[publication.PublishedFile(path=path, content=content) for path, content in files.items()]
    ).SerializeToString()


def decode_publish(data: bytes) -> Mapping[str, bytes]:
    message = publication.PublishRequest()
    parse(message, data, "the publication", PUBLICATION)
    files = {file.path: file.content for file in message.files}
    if len(files) != len(message.files):
        raise BadQuery("the publication has a file twice")
    return files


def encode_published(version: int) -> bytes:
    return publication.PublishReply(version=version).SerializeToString()


def decode_published(data: bytes) -> int:
    return int(_reply(publication.PublishReply(), data).version)


def _reply(message: Reply, data: bytes) -> Reply:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BadAnswer(f"the reply is not a {message.DESCRIPTOR.name} message") from None
    return message


def _state(number: admission.RequestState) -> RequestState:
    state = _OF_STATE.get(number)
    if state is None:
        raise BadAnswer("the reply has a state that is none")
    return state
