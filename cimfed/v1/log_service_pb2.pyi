from cimfed.v1 import envelope_pb2 as _envelope_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckpointRequest(_message.Message):
    __slots__ = ("origin",)
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    origin: str
    def __init__(self, origin: _Optional[str] = ...) -> None: ...

class CheckpointReply(_message.Message):
    __slots__ = ("checkpoint", "cosigned", "conflicts")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    COSIGNED_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    cosigned: str
    conflicts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, checkpoint: _Optional[str] = ..., cosigned: _Optional[str] = ..., conflicts: _Optional[_Iterable[str]] = ...) -> None: ...

class ConsistencyRequest(_message.Message):
    __slots__ = ("origin", "old_size", "new_size")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    origin: str
    old_size: int
    new_size: int
    def __init__(self, origin: _Optional[str] = ..., old_size: _Optional[int] = ..., new_size: _Optional[int] = ...) -> None: ...

class ConsistencyReply(_message.Message):
    __slots__ = ("proof",)
    PROOF_FIELD_NUMBER: _ClassVar[int]
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, proof: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ProveRequest(_message.Message):
    __slots__ = ("decision", "request_hash")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    decision: int
    request_hash: bytes
    def __init__(self, decision: _Optional[int] = ..., request_hash: _Optional[bytes] = ...) -> None: ...

class ProveReply(_message.Message):
    __slots__ = ("entry", "index", "proof", "checkpoint")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    entry: bytes
    index: int
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    checkpoint: str
    def __init__(self, entry: _Optional[bytes] = ..., index: _Optional[int] = ..., proof: _Optional[_Iterable[bytes]] = ..., checkpoint: _Optional[str] = ...) -> None: ...

class CosignRequest(_message.Message):
    __slots__ = ("checkpoint", "old_size", "proof")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    old_size: int
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, checkpoint: _Optional[str] = ..., old_size: _Optional[int] = ..., proof: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CosignReply(_message.Message):
    __slots__ = ("cosignature", "seen_size")
    COSIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SEEN_SIZE_FIELD_NUMBER: _ClassVar[int]
    cosignature: str
    seen_size: int
    def __init__(self, cosignature: _Optional[str] = ..., seen_size: _Optional[int] = ...) -> None: ...

class EntriesRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: _envelope_pb2.Envelope
    def __init__(self, request: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...

class EntriesReply(_message.Message):
    __slots__ = ("origin", "first", "entries", "peaks", "size")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    PEAKS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    origin: str
    first: int
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    peaks: _containers.RepeatedScalarFieldContainer[bytes]
    size: int
    def __init__(self, origin: _Optional[str] = ..., first: _Optional[int] = ..., entries: _Optional[_Iterable[bytes]] = ..., peaks: _Optional[_Iterable[bytes]] = ..., size: _Optional[int] = ...) -> None: ...
