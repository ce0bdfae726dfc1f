from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_UNSPECIFIED: _ClassVar[Compression]
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_LZ4: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]

class Function(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUNCTION_UNSPECIFIED: _ClassVar[Function]
    FUNCTION_COUNT: _ClassVar[Function]
    FUNCTION_SUM: _ClassVar[Function]
    FUNCTION_MEAN: _ClassVar[Function]
    FUNCTION_MIN: _ClassVar[Function]
    FUNCTION_MAX: _ClassVar[Function]

class Connective(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONNECTIVE_UNSPECIFIED: _ClassVar[Connective]
    CONNECTIVE_NOT: _ClassVar[Connective]
    CONNECTIVE_AND: _ClassVar[Connective]
    CONNECTIVE_OR: _ClassVar[Connective]

class Comparator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPARATOR_UNSPECIFIED: _ClassVar[Comparator]
    COMPARATOR_EQ: _ClassVar[Comparator]
    COMPARATOR_NE: _ClassVar[Comparator]
    COMPARATOR_LT: _ClassVar[Comparator]
    COMPARATOR_LE: _ClassVar[Comparator]
    COMPARATOR_GT: _ClassVar[Comparator]
    COMPARATOR_GE: _ClassVar[Comparator]
COMPRESSION_UNSPECIFIED: Compression
COMPRESSION_NONE: Compression
COMPRESSION_LZ4: Compression
COMPRESSION_ZSTD: Compression
FUNCTION_UNSPECIFIED: Function
FUNCTION_COUNT: Function
FUNCTION_SUM: Function
FUNCTION_MEAN: Function
FUNCTION_MIN: Function
FUNCTION_MAX: Function
CONNECTIVE_UNSPECIFIED: Connective
CONNECTIVE_NOT: Connective
CONNECTIVE_AND: Connective
CONNECTIVE_OR: Connective
COMPARATOR_UNSPECIFIED: Comparator
COMPARATOR_EQ: Comparator
COMPARATOR_NE: Comparator
COMPARATOR_LT: Comparator
COMPARATOR_LE: Comparator
COMPARATOR_GT: Comparator
COMPARATOR_GE: Comparator

class Query(_message.Message):
    __slots__ = ("federation", "cities", "purpose", "grants", "via", "issued", "expires", "nonce", "read", "aggregate", "catalog")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    CITIES_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    VIA_FIELD_NUMBER: _ClassVar[int]
    ISSUED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    federation: str
    cities: _containers.RepeatedScalarFieldContainer[str]
    purpose: str
    grants: _containers.RepeatedCompositeFieldContainer[GrantChoice]
    via: _containers.RepeatedScalarFieldContainer[str]
    issued: int
    expires: int
    nonce: bytes
    read: Read
    aggregate: Aggregate
    catalog: Catalog
    def __init__(self, federation: _Optional[str] = ..., cities: _Optional[_Iterable[str]] = ..., purpose: _Optional[str] = ..., grants: _Optional[_Iterable[_Union[GrantChoice, _Mapping]]] = ..., via: _Optional[_Iterable[str]] = ..., issued: _Optional[int] = ..., expires: _Optional[int] = ..., nonce: _Optional[bytes] = ..., read: _Optional[_Union[Read, _Mapping]] = ..., aggregate: _Optional[_Union[Aggregate, _Mapping]] = ..., catalog: _Optional[_Union[Catalog, _Mapping]] = ...) -> None: ...

class GrantChoice(_message.Message):
    __slots__ = ("city", "grant")
    CITY_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    city: str
    grant: str
    def __init__(self, city: _Optional[str] = ..., grant: _Optional[str] = ...) -> None: ...

class Read(_message.Message):
    __slots__ = ("collection", "where", "all_properties", "properties", "compression", "original")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    ALL_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    collection: str
    where: Expression
    all_properties: bool
    properties: _containers.RepeatedScalarFieldContainer[str]
    compression: Compression
    original: bool
    def __init__(self, collection: _Optional[str] = ..., where: _Optional[_Union[Expression, _Mapping]] = ..., all_properties: _Optional[bool] = ..., properties: _Optional[_Iterable[str]] = ..., compression: _Optional[_Union[Compression, str]] = ..., original: _Optional[bool] = ...) -> None: ...

class Aggregate(_message.Message):
    __slots__ = ("collection", "where", "group_by", "measures")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    collection: str
    where: Expression
    group_by: _containers.RepeatedScalarFieldContainer[str]
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    def __init__(self, collection: _Optional[str] = ..., where: _Optional[_Union[Expression, _Mapping]] = ..., group_by: _Optional[_Iterable[str]] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ...) -> None: ...

class Measure(_message.Message):
    __slots__ = ("function", "property")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    function: Function
    property: str
    def __init__(self, function: _Optional[_Union[Function, str]] = ..., property: _Optional[str] = ...) -> None: ...

class Catalog(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class Expression(_message.Message):
    __slots__ = ("comparison", "between", "is_null", "box", "connective", "parts")
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    IN_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_FIELD_NUMBER: _ClassVar[int]
    IS_NULL_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    CONNECTIVE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    comparison: Comparison
    between: Between
    is_null: IsNull
    box: Box
    connective: Connective
    parts: _containers.RepeatedCompositeFieldContainer[Expression]
    def __init__(self, comparison: _Optional[_Union[Comparison, _Mapping]] = ..., between: _Optional[_Union[Between, _Mapping]] = ..., is_null: _Optional[_Union[IsNull, _Mapping]] = ..., box: _Optional[_Union[Box, _Mapping]] = ..., connective: _Optional[_Union[Connective, str]] = ..., parts: _Optional[_Iterable[_Union[Expression, _Mapping]]] = ..., **kwargs) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("op", "left", "right")
    OP_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    op: Comparator
    left: Operand
    right: Operand
    def __init__(self, op: _Optional[_Union[Comparator, str]] = ..., left: _Optional[_Union[Operand, _Mapping]] = ..., right: _Optional[_Union[Operand, _Mapping]] = ...) -> None: ...

class In(_message.Message):
    __slots__ = ("property", "values")
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    property: str
    values: _containers.RepeatedCompositeFieldContainer[Literal]
    def __init__(self, property: _Optional[str] = ..., values: _Optional[_Iterable[_Union[Literal, _Mapping]]] = ...) -> None: ...

class Between(_message.Message):
    __slots__ = ("property", "low", "high")
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    property: str
    low: Literal
    high: Literal
    def __init__(self, property: _Optional[str] = ..., low: _Optional[_Union[Literal, _Mapping]] = ..., high: _Optional[_Union[Literal, _Mapping]] = ...) -> None: ...

class IsNull(_message.Message):
    __slots__ = ("property",)
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    property: str
    def __init__(self, property: _Optional[str] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("xmin", "ymin", "xmax", "ymax")
    XMIN_FIELD_NUMBER: _ClassVar[int]
    YMIN_FIELD_NUMBER: _ClassVar[int]
    XMAX_FIELD_NUMBER: _ClassVar[int]
    YMAX_FIELD_NUMBER: _ClassVar[int]
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    def __init__(self, xmin: _Optional[float] = ..., ymin: _Optional[float] = ..., xmax: _Optional[float] = ..., ymax: _Optional[float] = ...) -> None: ...

class Operand(_message.Message):
    __slots__ = ("property", "literal")
    PROPERTY_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    property: str
    literal: Literal
    def __init__(self, property: _Optional[str] = ..., literal: _Optional[_Union[Literal, _Mapping]] = ...) -> None: ...

class Literal(_message.Message):
    __slots__ = ("text", "decimal", "boolean", "time")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DECIMAL_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    text: str
    decimal: Decimal
    boolean: bool
    time: int
    def __init__(self, text: _Optional[str] = ..., decimal: _Optional[_Union[Decimal, _Mapping]] = ..., boolean: _Optional[bool] = ..., time: _Optional[int] = ...) -> None: ...

class Decimal(_message.Message):
    __slots__ = ("unscaled", "scale")
    UNSCALED_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    unscaled: int
    scale: int
    def __init__(self, unscaled: _Optional[int] = ..., scale: _Optional[int] = ...) -> None: ...
