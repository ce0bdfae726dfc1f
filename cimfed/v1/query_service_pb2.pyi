from cimfed.v1 import answer_pb2 as _answer_pb2
from cimfed.v1 import envelope_pb2 as _envelope_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ask(_message.Message):
    __slots__ = ("query", "narrowings")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    NARROWINGS_FIELD_NUMBER: _ClassVar[int]
    query: _envelope_pb2.Envelope
    narrowings: _containers.RepeatedCompositeFieldContainer[_envelope_pb2.Envelope]
    def __init__(self, query: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., narrowings: _Optional[_Iterable[_Union[_envelope_pb2.Envelope, _Mapping]]] = ...) -> None: ...
