from cimfed.v1 import envelope_pb2 as _envelope_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RequestState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REQUEST_STATE_UNSPECIFIED: _ClassVar[RequestState]
    REQUEST_STATE_WAITING: _ClassVar[RequestState]
    REQUEST_STATE_APPROVED: _ClassVar[RequestState]
    REQUEST_STATE_DENIED: _ClassVar[RequestState]
    REQUEST_STATE_LISTED: _ClassVar[RequestState]
REQUEST_STATE_UNSPECIFIED: RequestState
REQUEST_STATE_WAITING: RequestState
REQUEST_STATE_APPROVED: RequestState
REQUEST_STATE_DENIED: RequestState
REQUEST_STATE_LISTED: RequestState

class JoinRequest(_message.Message):
    __slots__ = ("invitation", "card", "code")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    invitation: bytes
    card: bytes
    code: bytes
    def __init__(self, invitation: _Optional[bytes] = ..., card: _Optional[bytes] = ..., code: _Optional[bytes] = ...) -> None: ...

class JoinStatusRequest(_message.Message):
    __slots__ = ("invitation", "code", "name")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    invitation: bytes
    code: bytes
    name: str
    def __init__(self, invitation: _Optional[bytes] = ..., code: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class JoinReply(_message.Message):
    __slots__ = ("state", "message")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    state: RequestState
    message: str
    def __init__(self, state: _Optional[_Union[RequestState, str]] = ..., message: _Optional[str] = ...) -> None: ...

class AdministerRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _envelope_pb2.Envelope
    def __init__(self, request: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class AdministerReply(_message.Message):
    __slots__ = ("requests", "invitations", "access_requests")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INVITATIONS_FIELD_NUMBER: _ClassVar[int]
    ACCESS_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[JoinEntry]
    invitations: _containers.RepeatedCompositeFieldContainer[InvitationEntry]
    access_requests: _containers.RepeatedCompositeFieldContainer[AccessEntry]
    def __init__(self, requests: _Optional[_Iterable[_Union[JoinEntry, _Mapping]]] = ..., invitations: _Optional[_Iterable[_Union[InvitationEntry, _Mapping]]] = ..., access_requests: _Optional[_Iterable[_Union[AccessEntry, _Mapping]]] = ...) -> None: ...

class JoinEntry(_message.Message):
    __slots__ = ("id", "card", "state", "received", "new_keys", "replaced")
    ID_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    NEW_KEYS_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    card: bytes
    state: RequestState
    received: int
    new_keys: bool
    replaced: int
    def __init__(self, id: _Optional[bytes] = ..., card: _Optional[bytes] = ..., state: _Optional[_Union[RequestState, str]] = ..., received: _Optional[int] = ..., new_keys: _Optional[bool] = ..., replaced: _Optional[int] = ...) -> None: ...

class InvitationEntry(_message.Message):
    __slots__ = ("id", "name", "expires", "new_keys")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    NEW_KEYS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    name: str
    expires: int
    new_keys: bool
    def __init__(self, id: _Optional[bytes] = ..., name: _Optional[str] = ..., expires: _Optional[int] = ..., new_keys: _Optional[bool] = ...) -> None: ...

class AccessEntry(_message.Message):
    __slots__ = ("request", "received")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    request: _envelope_pb2.Envelope
    received: int
    def __init__(self, request: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., received: _Optional[int] = ...) -> None: ...

class RequestAccessRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _envelope_pb2.Envelope
    def __init__(self, request: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class RequestAccessReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
