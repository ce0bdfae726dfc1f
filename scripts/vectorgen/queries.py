"""query.json: payloads of queries and what they mean, and payloads that are none."""

from __future__ import annotations

from typing import Any

from cimfed.v1 import query_pb2 as pb
from vectorgen.forms import Case, Document, accept, block, document, number, reject
from vectorgen.parties import ALMATY, GATEWAY, NOW, SECOND, TASHKENT

NONCE = bytes(range(16))
EXPIRES = NOW + 120 * SECOND
MEANT = {
    "federation": "sco",
    "cities": [],
    "purpose": "research",
    "grants": {},
    "via": [],
    "issued": NOW,
    "expires": EXPIRES,
    "nonce": NONCE.hex(),
}
ABOUT = (
    "The payload of a query's envelope, and what it means. Filters are written as in CQL2 JSON, but numbers and times"
    " are exact text and a box is {op: box, args: [xmin, ymin, xmax, ymax]}. Bytes may be a list of [hex, times] that"
    " are to be joined. A node or gateway says no before it looks at time, addressees or policy."
)


def documents() -> dict[str, Document]:
    return {"query.json": document("A query", ABOUT, [*_accepted(), *_envelope_faults(), *_filter_faults(), *_sizes()])}


def _query(**fields: Any) -> pb.Query:
    common = {"federation": "sco", "purpose": "research", "issued": NOW, "expires": EXPIRES, "nonce": NONCE}
    return pb.Query(**common | fields)


def _encoded(query: pb.Query) -> bytes:
    return query.SerializeToString(deterministic=True)


def _read(where: pb.Expression | None = None, **fields: Any) -> pb.Query:
    return _query(read=pb.Read(collection="building", where=where, all_properties=True, compression=1, **fields))


def _where(payload: bytes) -> bytes:
    """A query whose filter is these bytes."""
    return _encoded(_query()) + block(10, block(1, "building") + block(2, payload) + number(3, 1) + number(5, 1))


def _meant(**facts: Any) -> dict[str, Any]:
    return MEANT | facts


def _meant_read(where: Any = None, properties: list[str] | None = None, compression: str = "") -> dict[str, Any]:
    return {"collection": "building", "where": where, "properties": properties, "compression": compression}


def _property(name: str) -> pb.Operand:
    return pb.Operand(property=name)


def _decimal(unscaled: int, scale: int = 0) -> pb.Literal:
    return pb.Literal(decimal=pb.Decimal(unscaled=unscaled, scale=scale))


def _compare(op: str, name: str, literal: pb.Literal) -> pb.Expression:
    return pb.Expression(
        comparison=pb.Comparison(
            op=getattr(pb, f"COMPARATOR_{op}"), left=_property(name), right=pb.Operand(literal=literal)
        )
    )


def _joined(connective: str, *parts: pb.Expression) -> pb.Expression:
    return pb.Expression(connective=getattr(pb, f"CONNECTIVE_{connective}"), parts=parts)


def _in(name: str, *values: pb.Literal) -> pb.Expression:
    expression = pb.Expression()
    listed = getattr(expression, "in")
    listed.property = name
    listed.values.extend(values)
    return expression


def _accepted() -> list[Case]:
    def case(name: str, query: pb.Query, **facts: Any) -> Case:
        return accept(name, bytes=_encoded(query).hex(), query=_meant(**facts))

    tall = _compare("GT", "height", _decimal(505, 1))
    meant_tall = {"op": ">", "args": [{"property": "height"}, {"number": "50.5"}]}
    return [
        case("all of a collection", _read(), read=_meant_read()),
        case(
            "cities, grants, gateway, properties, compression",
            _query(
                cities=[ALMATY, TASHKENT],
                grants=[pb.GrantChoice(city=ALMATY, grant="massing")],
                via=[GATEWAY],
                read=pb.Read(collection="building", properties=["id", "height"], compression=pb.COMPRESSION_ZSTD),
            ),
            cities=[ALMATY, TASHKENT],
            grants={ALMATY: "massing"},
            via=[GATEWAY],
            read=_meant_read(properties=["id", "height"], compression="zstd"),
        ),
        case("a comparison with a decimal", _read(tall), read=_meant_read(meant_tall)),
        case(
            "a literal on the left",
            _read(
                pb.Expression(
                    comparison=pb.Comparison(
                        op=pb.COMPARATOR_LE, left=pb.Operand(literal=_decimal(-7)), right=_property("storeys_below")
                    )
                )
            ),
            read=_meant_read({"op": "<=", "args": [{"number": "-7"}, {"property": "storeys_below"}]}),
        ),
        case(
            "two properties",
            _read(
                pb.Expression(
                    comparison=pb.Comparison(
                        op=pb.COMPARATOR_NE, left=_property("year_built"), right=_property("year_demolished")
                    )
                )
            ),
            read=_meant_read({"op": "<>", "args": [{"property": "year_built"}, {"property": "year_demolished"}]}),
        ),
        case(
            "and, or, not, in, between, is null, a box",
            _read(
                _joined(
                    "AND",
                    _joined("OR", _in("function", pb.Literal(text="office"), pb.Literal(text="школа")), tall),
                    _joined("NOT", pb.Expression(is_null=pb.IsNull(property="name"))),
                    pb.Expression(between=pb.Between(property="year_built", low=_decimal(1900), high=_decimal(2000))),
                    pb.Expression(box=pb.Box(xmin=76.5, ymin=-0.0, xmax=77.25, ymax=43.5)),
                )
            ),
            read=_meant_read(
                {
                    "op": "and",
                    "args": [
                        {
                            "op": "or",
                            "args": [
                                {"op": "in", "args": [{"property": "function"}, ["office", "школа"]]},
                                meant_tall,
                            ],
                        },
                        {"op": "not", "args": [{"op": "isNull", "args": [{"property": "name"}]}]},
                        {
                            "op": "between",
                            "args": [{"property": "year_built"}, {"number": "1900"}, {"number": "2000"}],
                        },
                        {"op": "box", "args": [76.5, 0.0, 77.25, 43.5]},
                    ],
                }
            ),
        ),
        case(
            "a box across the antimeridian",
            _read(pb.Expression(box=pb.Box(xmin=179.5, ymin=-17.0, xmax=-179.5, ymax=-16.0))),
            read=_meant_read({"op": "box", "args": [179.5, -17.0, -179.5, -16.0]}),
        ),
        case(
            "a time",
            _read(_compare("GE", "valid_from", pb.Literal(time=NOW))),
            read=_meant_read({"op": ">=", "args": [{"property": "valid_from"}, {"timestamp": "2026-10-14T17:46:40Z"}]}),
        ),
        case(
            "the largest number, and nine decimals",
            _read(_in("floor_area", _decimal(2**63 - 1), _decimal(-(2**63)), _decimal(1, 9), _decimal(0))),
            read=_meant_read(
                {
                    "op": "in",
                    "args": [
                        {"property": "floor_area"},
                        [
                            {"number": "9223372036854775807"},
                            {"number": "-9223372036854775808"},
                            {"number": "0.000000001"},
                            {"number": "0"},
                        ],
                    ],
                }
            ),
        ),
        case(
            "an aggregate",
            _query(
                aggregate=pb.Aggregate(
                    collection="building",
                    where=tall,
                    group_by=["city", "function"],
                    measures=[
                        pb.Measure(function=pb.FUNCTION_COUNT),
                        pb.Measure(function=pb.FUNCTION_MEAN, property="height"),
                    ],
                )
            ),
            aggregate={
                "collection": "building",
                "where": meant_tall,
                "group_by": ["city", "function"],
                "measures": [["count", ""], ["mean", "height"]],
            },
        ),
        case("a catalogue of all collections", _query(catalog=pb.Catalog()), catalog={"collection": None}),
        case(
            "a catalogue of one", _query(catalog=pb.Catalog(collection="building")), catalog={"collection": "building"}
        ),
        case(
            "untouched objects as well",
            _read(original=True),
            read=_meant_read() | {"original": True},
        ),
        case(
            "a property that is in no vocabulary is the view's to answer for",
            _read(_compare("EQ", "colour", pb.Literal(text="red"))),
            read=_meant_read({"op": "=", "args": [{"property": "colour"}, "red"]}),
        ),
        accept(
            "fields in another order are the same query",
            bytes=(block(10, block(1, "building") + number(5, 1) + number(3, 1)) + _encoded(_query())).hex(),
            query=_meant(read=_meant_read()),
        ),
    ]


def _bad(name: str, payload: bytes | pb.Query, reason: str = "bad_query") -> Case:
    return reject(name, reason, bytes=(payload if isinstance(payload, bytes) else _encoded(payload)).hex())


def _envelope_faults() -> list[Case]:
    whole = _encoded(_read())
    read = {"collection": "building", "all_properties": True, "compression": pb.COMPRESSION_NONE}
    return [
        _bad("nothing", b""),
        _bad("cut short", whole[:-1]),
        _bad("an unknown field", whole + number(99, 1)),
        _bad(
            "an unknown field within the request", _encoded(_query()) + block(10, block(1, "building") + number(9, 1))
        ),
        _bad("no request", _query()),
        _bad("a request of a kind that this release lacks", _encoded(_query()) + block(13, b"")),
        _bad("a nonce of 15 bytes", _query(nonce=NONCE[:15], read=pb.Read(**read))),
        _bad("a nonce of 17 bytes", _query(nonce=NONCE + b"\0", read=pb.Read(**read))),
        _bad("a time before 1970", _query(issued=-1, read=pb.Read(**read))),
        _bad("a federation that is no name", _query(federation="SCO", read=pb.Read(**read))),
        _bad("a partner among the cities", _query(cities=["inst.tsinghua"], read=pb.Read(**read))),
        _bad("a city twice", _query(cities=[ALMATY, ALMATY], read=pb.Read(**read))),
        _bad("a city in via", _query(via=[ALMATY], read=pb.Read(**read))),
        _bad("a purpose that is no label", _query(purpose="Research!", read=pb.Read(**read))),
        _bad(
            "two grants of one city",
            _query(grants=[pb.GrantChoice(city=ALMATY, grant=g) for g in "ab"], read=pb.Read(**read)),
        ),
        _bad("all properties and some", _query(read=pb.Read(**read | {"properties": ["id"]}))),
        _bad("no properties", _query(read=pb.Read(**read | {"all_properties": False}))),
        _bad("unspecified compression", _query(read=pb.Read(**read | {"compression": 0}))),
        _bad("an unknown compression", _query(read=pb.Read(**read | {"compression": 99}))),
        _bad(
            "untouched objects, and a property of their name",
            _query(
                read=pb.Read(**read | {"all_properties": False, "properties": ["id", "original"], "original": True})
            ),
        ),
        _bad("no such collection", _query(read=pb.Read(**read | {"collection": "castle"}))),
        _bad("an aggregate of nothing", _query(aggregate=pb.Aggregate(collection="building"))),
        _bad("an unspecified function", _query(aggregate=pb.Aggregate(collection="building", measures=[pb.Measure()]))),
        _bad(
            "a count of a property",
            _query(aggregate=pb.Aggregate(collection="building", measures=[pb.Measure(function=1, property="height")])),
        ),
        _bad(
            "a sum of text",
            _query(
                aggregate=pb.Aggregate(collection="building", measures=[pb.Measure(function=2, property="function")])
            ),
        ),
    ]


def _filter_faults() -> list[Case]:
    def bad(name: str, where: pb.Expression) -> Case:
        return _bad(name, _read(where))

    text = pb.Literal(text="x")
    return [
        bad("an empty expression", pb.Expression()),
        bad("an empty operand", pb.Expression(comparison=pb.Comparison(op=1, left=_property("id")))),
        bad("an empty literal", _compare("EQ", "id", pb.Literal())),
        bad("an unspecified comparator", _compare("UNSPECIFIED", "id", text)),
        bad("an unspecified connective", _joined("UNSPECIFIED", _compare("EQ", "id", text))),
        _bad("an unknown connective", _where(number(6, 9) + block(7, b"") * 2)),
        _bad("a comparator twice, an unknown field", _where(block(1, number(1, 1) + number(9, 1)))),
        bad("NOT of two", _joined("NOT", *[_compare("EQ", "id", text)] * 2)),
        bad("AND of one", _joined("AND", _compare("EQ", "id", text))),
        bad("OR of none", _joined("OR")),
        bad("parts of a comparison", pb.Expression(is_null=pb.IsNull(property="id"), parts=[pb.Expression()])),
        bad("IN of nothing", _in("id")),
        bad("a property without a name", _compare("EQ", "", text)),
        bad(
            "two literals",
            pb.Expression(
                comparison=pb.Comparison(op=1, left=pb.Operand(literal=text), right=pb.Operand(literal=text))
            ),
        ),
        bad("a number with a trailing zero", _compare("GT", "height", _decimal(500, 1))),
        bad(
            "zero with decimals (the only negative zero that there could be is -0.0)",
            _compare("GT", "height", _decimal(0, 1)),
        ),
        bad("ten decimals", _compare("GT", "height", _decimal(1, 10))),
        bad("a number compared with text", _compare("GT", "height", text)),
        bad("geometry compared", _compare("EQ", "geometry_lod0", text)),
        bad("truth compared", _compare("EQ", "id", pb.Literal(boolean=True))),
        bad("NUL in text", _compare("EQ", "id", pb.Literal(text="a\0b"))),
        _bad("text that is not UTF-8", _where(block(4, block(1, b"\xff")))),
        bad("a time past the year 9999", _compare("GE", "valid_from", pb.Literal(time=2**63 - 1))),
        bad("a box upside down", pb.Expression(box=pb.Box(xmin=0, ymin=1, xmax=1, ymax=0))),
        bad("a box out of range", pb.Expression(box=pb.Box(xmin=0, ymin=0, xmax=181, ymax=1))),
        bad("a box of NaN", pb.Expression(box=pb.Box(xmin=float("nan"), ymin=0, xmax=1, ymax=1))),
    ]


def _sizes() -> list[Case]:
    deep = pb.Expression(is_null=pb.IsNull(property="id"))
    deepest = None
    for depth in range(2, 66):
        deep = _joined("NOT", deep)
        if depth == 64:
            deepest = deep
    beyond = b""
    for _ in range(120):
        beyond = number(6, 1) + block(7, beyond)
    meant: Any = {"op": "isNull", "args": [{"property": "id"}]}
    for _ in range(63):
        meant = {"op": "not", "args": [meant]}
    assert deepest is not None
    empty = block(1, "")  # a literal: the empty text
    many = _parted(_where, lambda content: block(2, block(1, "id") + content), block(2, empty))
    return [
        accept("64 deep", bytes=_encoded(_read(deepest)).hex(), query=_meant(read=_meant_read(meant))),
        reject("65 deep", "too_deep", bytes=_encoded(_read(deep)).hex()),
        reject("deeper than protobuf parsers go", "bad_query", bytes=_where(beyond).hex()),
        reject("1,001 cities", "too_large", bytes=[[_encoded(_read()).hex(), 1], [block(2, "a.b").hex(), 1001]]),
        reject("1,001 values of IN", "too_large", bytes=many(1001)),
        reject("more than 4,096 nodes", "too_large", bytes=many(4097)),
        reject(
            "text of more than 32 KiB",
            "too_large",
            bytes=_parted(
                _where,
                lambda content: block(
                    1, number(1, 1) + block(2, block(1, "id")) + block(3, block(2, block(1, content)))
                ),
                b"x",
            )(32 * 1024 + 1),
        ),
        reject(
            "more than 256 KiB", "too_large", bytes=[[_encoded(_read()).hex(), 1], [block(3, "p" * 126).hex(), 2048]]
        ),
    ]


def _parted(outer: Any, inner: Any, part: bytes) -> Any:
    """Gives the bytes around ``times`` parts, without the parts written out."""

    def joined(times: int) -> list[list[Any]]:
        before, after = outer(inner(part * times)).split(part * times, 1)
        return [[before.hex(), 1], [part.hex(), times], [after.hex(), 1]]

    return joined
