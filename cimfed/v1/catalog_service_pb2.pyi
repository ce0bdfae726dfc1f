from cimfed.v1 import answer_pb2 as _answer_pb2
from cimfed.v1 import query_service_pb2 as _query_service_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
