from cimfed.v1 import directory_service_pb2 as _directory_service_pb2
from cimfed.v1 import envelope_pb2 as _envelope_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Receipt(_message.Message):
    __slots__ = ("version", "query", "cities", "coverage", "files", "log")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CITIES_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    version: int
    query: _envelope_pb2.Envelope
    cities: _containers.RepeatedCompositeFieldContainer[CityReceipt]
    coverage: _envelope_pb2.Envelope
    files: _containers.RepeatedCompositeFieldContainer[_directory_service_pb2.DirectoryFile]
    log: _containers.RepeatedCompositeFieldContainer[LogProof]
    def __init__(self, version: _Optional[int] = ..., query: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., cities: _Optional[_Iterable[_Union[CityReceipt, _Mapping]]] = ..., coverage: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ..., files: _Optional[_Iterable[_Union[_directory_service_pb2.DirectoryFile, _Mapping]]] = ..., log: _Optional[_Iterable[_Union[LogProof, _Mapping]]] = ...) -> None: ...

class LogProof(_message.Message):
    __slots__ = ("city", "entry", "index", "proof", "checkpoint")
    CITY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    city: str
    entry: bytes
    index: int
    proof: _containers.RepeatedScalarFieldContainer[bytes]
    checkpoint: str
    def __init__(self, city: _Optional[str] = ..., entry: _Optional[bytes] = ..., index: _Optional[int] = ..., proof: _Optional[_Iterable[bytes]] = ..., checkpoint: _Optional[str] = ...) -> None: ...

class CityReceipt(_message.Message):
    __slots__ = ("city", "schema", "batch_hashes", "manifest")
    CITY_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    BATCH_HASHES_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    city: str
    schema: bytes
    batch_hashes: _containers.RepeatedScalarFieldContainer[bytes]
    manifest: _envelope_pb2.Envelope
    def __init__(self, city: _Optional[str] = ..., schema: _Optional[bytes] = ..., batch_hashes: _Optional[_Iterable[bytes]] = ..., manifest: _Optional[_Union[_envelope_pb2.Envelope, _Mapping]] = ...) -> None: ...
