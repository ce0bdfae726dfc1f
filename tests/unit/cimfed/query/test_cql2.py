"""CQL2 text: what it means (hand-written and by an independent parser), and what is said of text that is not it."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cql2 as independent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimfed.errors import BadQuery, CimfedError, TooDeep, TooLarge
from cimfed.query.cql2 import parse, to_cql2
from cimfed.query.expression import (
    And,
    Between,
    Box,
    Comparator,
    Comparison,
    Expression,
    In,
    IsNull,
    Literal,
    Not,
    Operand,
    Or,
    Property,
)
from tests.unit.cimfed.query.trees import chain, trees


def equal(name: str, value: Any) -> Comparison:
    return Comparison(Comparator.EQ, Property(name), Literal(value))


A, B, C = equal("a", Decimal(1)), equal("b", Decimal(2)), equal("c", Decimal(3))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("height > 50", Comparison(Comparator.GT, Property("height"), Literal(Decimal(50)))),
        ("50<height", Comparison(Comparator.LT, Literal(Decimal(50)), Property("height"))),
        ("a <> b", Comparison(Comparator.NE, Property("a"), Property("b"))),
        ("a<=1", Comparison(Comparator.LE, Property("a"), Literal(Decimal(1)))),
        ("a>=1", Comparison(Comparator.GE, Property("a"), Literal(Decimal(1)))),
        ("a=1 AND b=2 AND c=3", And((A, B, C))),
        ("(a=1 AND b=2) AND c=3", And((And((A, B)), C))),
        ("a=1 OR b=2 AND c=3", Or((A, And((B, C))))),
        ("a=1 AND b=2 OR c=3", Or((And((A, B)), C))),
        ("(a=1 or b=2) and c=3", And((Or((A, B)), C))),
        ("NOT a=1 AND b=2", And((Not(A), B))),
        ("not (a=1 and b=2)", Not(And((A, B)))),
        ("not not a=1", Not(Not(A))),
        ("((a=1))", A),
        ("a IN (1)", In(Property("a"), (Literal(Decimal(1)),))),
        ("a NOT in ('x','y')", Not(In(Property("a"), (Literal("x"), Literal("y"))))),
        ("a between 1 and 2 and b=2", And((Between(Property("a"), Literal(Decimal(1)), Literal(Decimal(2))), B))),
        ("a not between 1 and 2", Not(Between(Property("a"), Literal(Decimal(1)), Literal(Decimal(2))))),
        ("a is null", IsNull(Property("a"))),
        ("a IS NOT NULL", Not(IsNull(Property("a")))),
        ("a = 'it''s'", equal("a", "it's")),
        ("a = ''", equal("a", "")),
        ("a = 'two\nlines'", equal("a", "two\nlines")),
        (r"a = 'C:\'", equal("a", "C:\\")),
        ("a = true", equal("a", True)),
        ("a = -1.50e1", equal("a", Decimal(-15))),
        ("a = .5", equal("a", Decimal("0.5"))),
        ("a = 5.", equal("a", Decimal(5))),
        ("a = -0.0", equal("a", Decimal(0))),
        ("a = 9223372036854775807", equal("a", Decimal(2**63 - 1))),
        ("a = -9223372036854775808", equal("a", Decimal(-(2**63)))),
        ("a = 9223372036.854775807", equal("a", Decimal("9223372036.854775807"))),
        ("a = 0e999", equal("a", Decimal(0))),
        ("a = DATE('2024-02-29')", equal("a", datetime(2024, 2, 29, tzinfo=UTC))),
        ("a = TIMESTAMP('2024-02-29T23:59:59Z')", equal("a", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))),
        ("a = timestamp('2024-02-29T00:00:00.5Z')", equal("a", datetime(2024, 2, 29, 0, 0, 0, 500_000, UTC))),
        ('"a" = 1', A),
        ('"and" = 1', equal("and", Decimal(1))),
        ('"a ""b"" c" = 1', equal('a "b" c', Decimal(1))),
        ("date = 1", equal("date", Decimal(1))),
        ("osm:height.max_1 = 1", equal("osm:height.max_1", Decimal(1))),
        ("високий = 1", equal("високий", Decimal(1))),
        ("高度>1", Comparison(Comparator.GT, Property("高度"), Literal(Decimal(1)))),
        ("a\u3000=\u00a01", A),
        ("S_INTERSECTS(geometry, BBOX(76.8, 43.1, 77.0, 43.4))", Box(76.8, 43.1, 77.0, 43.4)),
        ("not s_intersects(geometry,bbox(170,-10,-170,10))", Not(Box(170.0, -10.0, -170.0, 10.0))),
    ],
)
def test_text_means_its_tree(text: str, tree: Expression) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", "column 1", "empty"),
        ("  ", "column 1", "empty"),
        ("a != 1", "column 3", "write <>"),
        ("a == 1", "column 3", "write ="),
        ("a = 1 && b = 2", "column 7", "Write AND"),
        ("a =", "column 4", "expected a property or a value, found the end"),
        ("a", "column 2", "expected a comparison"),
        ("a = 1 b = 2", "column 7", "expected AND, OR or the end, found 'b'"),
        ("a = 1)", "column 6", "found ')'"),
        ("(a = 1", "column 7", "expected AND, OR or )"),
        ("a in ()", "column 7", "expected a value"),
        ("a in 1", "column 6", "expected ( and a list of values"),
        ("a in (1,)", "column 9", "expected a value"),
        ("a in (b)", "column 7", "Text stands in single quotes"),
        ("1 in (1)", "column 1", "IN needs a property"),
        ("a between 1 or 2", "column 13", "upper end of BETWEEN"),
        ("a = null", "column 5", "Write IS NULL"),
        ("a is 1", "column 6", "expected NULL"),
        ("in = 1", "column 1", 'write "in"'),
        ("a = 'x", "column 5", "does not end"),
        ("a = 'it''s", "column 5", "does not end"),
        ('"a = 1', "column 1", "does not end"),
        ('"" = 1', "column 1", "a name is empty"),
        ("a like 'x%'", "column 3", "LIKE is not supported yet"),
        ("a not like 'x%'", "column 7", "LIKE is not supported yet"),
        ("casei(a) = 'x'", "column 1", "CASEI is not supported yet"),
        ("a = ACCENTI('x')", "column 5", "ACCENTI is not supported yet"),
        ("S_WITHIN(geometry, BBOX(1,2,3,4))", "column 1", "S_WITHIN is not supported yet"),
        ("T_AFTER(a, DATE('2024-01-01'))", "column 1", "T_AFTER is not supported yet"),
        ("avg(a) = 1", "column 1", "AVG is no function"),
        ("a * 2 = 4", "column 3", "arithmetic is not supported yet"),
        ("a -1 = 4", "column 3", "arithmetic is not supported yet"),
        ("a div 2 = 4", "column 3", "DIV is not supported yet"),
        ("S_INTERSECTS(geometry, POINT(1 2))", "column 24", "only spatial filter"),
        ("S_INTERSECTS(shape, BBOX(1,2,3,4))", "column 14", "expected geometry"),
        ("S_INTERSECTS(geometry, BBOX(1,2,3))", "column 34", "four coordinates"),
        ("S_INTERSECTS(geometry, BBOX(1,2,3,4,5,6))", "column 36", "four coordinates"),
        ("S_INTERSECTS(geometry, BBOX(1,2,3,1e999))", "column 35", "out of range"),
        ("a = DATE('2024-02-30')", "column 10", "DATE('2026-01-31')"),
        ("a = TIMESTAMP('2024-02-28')", "column 15", "TIMESTAMP('2026-01-31T08:30:00Z')"),
        ("a = TIMESTAMP('2024-02-28T00:00:00+05:00')", "column 15", "in UTC"),
        ("a = TIMESTAMP('2024-02-28T00:00:00.1234567Z')", "column 15", "in UTC"),
        ("a = TIMESTAMP('٢٠٢٤-02-28T00:00:00Z')", "column 15", "in UTC"),
        ("a = DATE(2024)", "column 10", "expected a text"),
        ("a = 9223372036854775808", "column 5", "out of range"),
        ("a = 0.0000000001", "column 5", "out of range"),
        ("a = 1e19", "column 5", "out of range"),
        ("a = 1e99999999999999999999", "column 5", "out of range"),
        ("a = 1; drop", "column 6", "';' is not expected"),
        ("a = 'x\0'", "column 7", "NUL"),
        ("a = '\ud800'", "column 6", "surrogate"),
    ],
)
def test_other_text_is_refused_where_it_goes_wrong(text: str, place: str, says: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse(text)
    assert caught.value.place == place
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digits_of_other_scripts_are_no_digits() -> None:
    with pytest.raises(BadQuery):
        parse("a = 1٣")


def test_depth_of_brackets_is_limited() -> None:
    assert parse("(" * 64 + "a=1" + ")" * 64) == A
    with pytest.raises(TooDeep, match="at most 64") as caught:
        parse("(" * 65 + "a=1" + ")" * 65)
    assert caught.value.place == "column 65"


def test_depth_of_the_tree_is_limited_however_it_is_written() -> None:
    assert parse("not " * 63 + "a=1") == chain([Not] * 63, A)
    with pytest.raises(TooDeep):
        parse("not " * 64 + "a=1")
    with pytest.raises(TooDeep):
        parse("not (" * 44 + "a=1 and (" * 20 + "a=1 or b=2 and c=3" + ")" * 64)


def test_deepest_tree_survives_its_text() -> None:
    for kinds in ([Not] * 63, [And, Or] * 31, [Or, Not, And] * 21, [And] * 63):
        tree = chain(kinds, A)
        assert parse(to_cql2(tree)) == tree


def test_nodes_are_limited() -> None:
    values = ",".join(["1"] * 4094)
    assert isinstance(parse(f"a in ({values})"), In)
    with pytest.raises(TooLarge):
        parse(f"a in ({values},1)")


def test_text_is_limited_in_bytes() -> None:
    assert parse(f"a = '{'ы' * 16_300}'")
    with pytest.raises(TooLarge, match="32768 bytes"):
        parse(f"a = '{'ы' * 16_400}'")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 32_000,
        "'" * 32_001,
        "'" + "''" * 16_000,
        '"' * 32_001,
        "a" * 32_000,
        "1" * 32_000,
        "-" * 32_000,
        "not " * 8_000,
        "a=1 and " * 4_000,
        "a in (" + "1," * 16_000,
        "a = 1e" + "9" * 32_000,
        " " * 32_000 + "a",
        ("a=1 or (" * 60) + "a=1 and " * 3_900,
    ],
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(CimfedError) as caught:
        parse(text)
    assert time.perf_counter() - begin < 5  # quadratic would be minutes
    assert len(str(caught.value)) < 300


@settings(deadline=None)
@given(trees())
def test_a_tree_survives_its_text(tree: Expression) -> None:
    assert parse(to_cql2(tree)) == tree


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_a_tree_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(CimfedError):
        parse(text)


WORDS = ["a", "b", "=", "<>", "<", "(", ")", ",", "and", "or", "not", "in", "between", "is", "null", "'x'", "-1", "2.5"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_what_we_read_the_independent_parser_reads_alike(words: list[str]) -> None:
    text = " ".join(words)
    try:
        tree = parse(text)
    except CimfedError:
        return  # it reads more than we do
    assert to_json(tree) == normalised(independent.parse_text(text).to_json())


@settings(max_examples=300, deadline=None)
@given(trees(max_leaves=8))
def test_the_independent_parser_reads_our_text_alike(tree: Expression) -> None:
    assert to_json(tree) == normalised(independent.parse_text(to_cql2(tree)).to_json())


def to_json(node: Expression) -> Any:
    """CQL2 JSON (OGC 21-065r2, clause 7), as the independent parser prints it: numbers are floats."""

    def value(operand: Operand) -> Any:
        if isinstance(operand, Property):
            return {"property": operand.name}
        match operand.value:
            case Decimal() as number:
                return float(number)
            case datetime() as instant:
                return {"timestamp": instant}
            case other:
                return other

    def op(name: str, *args: Any) -> Any:
        return {"op": name, "args": list(args)}

    match node:
        case And(items) | Or(items):
            name = "and" if isinstance(node, And) else "or"
            return normalised(op(name, *map(to_json, items)))
        case Not(item):
            return op("not", to_json(item))
        case Comparison(comparator, left, right):
            return op(str(comparator), value(left), value(right))
        case In(item, values):
            return op("in", value(item), [value(each) for each in values])
        case Between(item, low, high):
            return op("between", value(item), value(low), value(high))
        case IsNull(item):
            return op("isNull", value(item))
        case Box(xmin, ymin, xmax, ymax):
            return op("s_intersects", {"property": "geometry"}, {"bbox": [xmin, ymin, xmax, ymax]})


def normalised(node: Any) -> Any:
    """Ands of ands and ors of ors made one: the independent parser drops brackets that do not matter."""
    if isinstance(node, list):
        return [normalised(part) for part in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"timestamp"} and isinstance(node["timestamp"], str):
        return {"timestamp": datetime.fromisoformat(node["timestamp"])}
    if "op" not in node:
        return node
    args: list[Any] = []
    for part in map(normalised, node["args"]):
        same = isinstance(part, dict) and part.get("op") == node["op"] and node["op"] in ("and", "or")
        args.extend(part["args"] if same else [part])
    return {"op": node["op"], "args": args}
