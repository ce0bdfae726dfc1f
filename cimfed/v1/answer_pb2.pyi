from cimfed.v1 import envelope_pb2 as _envelope_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ANSWERED: _ClassVar[Outcome]
    OUTCOME_NO_DATA: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_RULED_OUT: _ClassVar[Outcome]
    OUTCOME_UNREACHABLE: _ClassVar[Outcome]
    OUTCOME_TIMED_OUT: _ClassVar[Outcome]
    OUTCOME_BROKEN: _ClassVar[Outcome]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ANSWERED: Outcome
OUTCOME_NO_DATA: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_RULED_OUT: Outcome
OUTCOME_UNREACHABLE: Outcome
OUTCOME_TIMED_OUT: Outcome
OUTCOME_BROKEN: Outcome

class Frame(_message.Message):
    __slots__ = ("index", "city", "start", "head", "manifest", "coverage", "rows", "payload")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    index: int
    city: str
    start: Start
    head: _envelope_pb2.Envelope
    manifest: _envelope_pb2.Envelope
    coverage: _envelope_pb2.Envelope
    rows: int
    payload: bytes
    def __init__(self, index: _Optional[int] = ..., city: _Optional[str] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., head: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., manifest: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., coverage: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., rows: _Optional[int] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("schema", "view")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    schema: bytes
    view: str
    def __init__(self, schema: _Optional[bytes] = ..., view: _Optional[str] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("request_hash", "city", "index", "chain")
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    request_hash: bytes
    city: str
    index: int
    chain: bytes
    def __init__(self, request_hash: _Optional[bytes] = ..., city: _Optional[str] = ..., index: _Optional[int] = ..., chain: _Optional[bytes] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("request_hash", "narrowing_hash", "federation", "city", "collection", "outcome", "reason", "message", "grant", "view", "snapshot", "policy_version", "policy_hash", "shape_hash", "compiler", "now", "rows", "batches", "chain", "absent", "obligations", "decision")
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    NARROWING_HASH_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_HASH_FIELD_NUMBER: _ClassVar[int]
    SHAPE_HASH_FIELD_NUMBER: _ClassVar[int]
    COMPILER_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    OBLIGATIONS_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    request_hash: bytes
    narrowing_hash: bytes
    federation: str
    city: str
    collection: str
    outcome: Outcome
    reason: str
    message: str
    grant: str
    view: str
    snapshot: str
    policy_version: int
    policy_hash: bytes
    shape_hash: bytes
    compiler: str
    now: int
    rows: int
    batches: int
    chain: bytes
    absent: _containers.RepeatedScalarFieldContainer[str]
    obligations: _containers.RepeatedScalarFieldContainer[str]
    decision: int
    def __init__(self, request_hash: _Optional[bytes] = ..., narrowing_hash: _Optional[bytes] = ..., federation: _Optional[str] = ..., city: _Optional[str] = ..., collection: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., grant: _Optional[str] = ..., view: _Optional[str] = ..., snapshot: _Optional[str] = ..., policy_version: _Optional[int] = ..., policy_hash: _Optional[bytes] = ..., shape_hash: _Optional[bytes] = ..., compiler: _Optional[str] = ..., now: _Optional[int] = ..., rows: _Optional[int] = ..., batches: _Optional[int] = ..., chain: _Optional[bytes] = ..., absent: _Optional[_Iterable[str]] = ..., obligations: _Optional[_Iterable[str]] = ..., decision: _Optional[int] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("request_hash", "federation", "gateway", "directory_version", "now", "cities", "total_hash", "narrowing")
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_VERSION_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    CITIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_HASH_FIELD_NUMBER: _ClassVar[int]
    NARROWING_FIELD_NUMBER: _ClassVar[int]
    request_hash: bytes
    federation: str
    gateway: str
    directory_version: int
    now: int
    cities: _containers.RepeatedCompositeFieldContainer[CityOutcome]
    total_hash: bytes
    narrowing: bytes
    def __init__(self, request_hash: _Optional[bytes] = ..., federation: _Optional[str] = ..., gateway: _Optional[str] = ..., directory_version: _Optional[int] = ..., now: _Optional[int] = ..., cities: _Optional[_Iterable[_Union[CityOutcome, _Mapping]]] = ..., total_hash: _Optional[bytes] = ..., narrowing: _Optional[bytes] = ...) -> None: ...

class CityOutcome(_message.Message):
    __slots__ = ("city", "outcome", "reason", "message", "manifest_hash", "routing_hash")
    CITY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_HASH_FIELD_NUMBER: _ClassVar[int]
    ROUTING_HASH_FIELD_NUMBER: _ClassVar[int]
    city: str
    outcome: Outcome
    reason: str
    message: str
    manifest_hash: bytes
    routing_hash: bytes
    def __init__(self, city: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., manifest_hash: _Optional[bytes] = ..., routing_hash: _Optional[bytes] = ...) -> None: ...

class Narrowing(_message.Message):
    __slots__ = ("request_hash", "gateway", "passed")
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    request_hash: bytes
    gateway: str
    passed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_hash: _Optional[bytes] = ..., gateway: _Optional[str] = ..., passed: _Optional[_Iterable[str]] = ...) -> None: ...
