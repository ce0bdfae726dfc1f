"""CQL2 text -> expression tree: a Pratt parser of two operators (OR, AND) over predicates.

``a AND b AND c`` is one And of three; brackets are kept as they nest. It recurses into brackets only, at most
``LIMITS.filter_depth`` of them. DATE('2026-01-31') is the first instant of that day in UTC. Functions and operators
of CQL2 that the tree has no node for are refused by name.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import NoReturn

from cimfed.errors import BadQuery, TooDeep
from cimfed.model.limits import LIMITS
from cimfed.query.cql2.lexer import WORDS, Kind, Token, fail, tokens
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
from cimfed.query.literals import canonical
from cimfed.query.size import check_size

_POWER = {"or": 1, "and": 2}
_JOIN: dict[str, type[And] | type[Or]] = {"or": Or, "and": And}
_NOT_YET = re.compile(r"casei|accenti|interval|[sta]_[a-z]+|(multi)?(point|linestring|polygon)|geometrycollection|bbox")
_INSTANT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z)?")
_INSTANTS = {"date": "DATE('2026-01-31')", "timestamp": "TIMESTAMP('2026-01-31T08:30:00Z')"}
_EXAMPLE = "A filter is, for example: height > 50 AND function IN ('office', 'retail')"
_BOX = "The only spatial filter is S_INTERSECTS(geometry, BBOX(xmin, ymin, xmax, ymax))"


def parse(text: str) -> Expression:
    """The tree of a filter. BadQuery (place ``column N``), TooLarge, TooDeep."""
    parser = _Parser(tokens(text))
    tree = parser.whole()
    check_size(tree)
    return tree


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._brackets = 0

    def whole(self) -> Expression:
        if self._at_end():
            fail("the filter is empty", 1, _EXAMPLE)
        tree = self._expression(0)
        if not self._at_end():
            self._expected("AND, OR or the end")
        return tree

    # Expressions

    def _expression(self, power: int) -> Expression:
        left = self._negated()
        while _POWER.get(joiner := self._word, 0) > power:
            items = [left]
            while self._take_word(joiner):
                items.append(self._expression(_POWER[joiner]))
            left = _JOIN[joiner](tuple(items))
        return left

    def _negated(self) -> Expression:
        nots = 0
        while self._take_word("not"):
            nots += 1
            self._check_depth(nots)
        tree = self._bracketed() if self._here.kind is Kind.OPEN else self._predicate()
        for _ in range(nots):
            tree = Not(tree)
        return tree

    def _bracketed(self) -> Expression:
        self._brackets += 1
        self._check_depth(self._brackets)
        self._take(Kind.OPEN, "(")
        tree = self._expression(0)
        self._take(Kind.CLOSE, "AND, OR or )")
        self._brackets -= 1
        return tree

    def _predicate(self) -> Expression:
        if self._function == "s_intersects":
            return self._box()
        start = self._here
        left = self._operand()
        if self._here.kind is Kind.COMPARATOR:
            op = Comparator(self._next().text)
            return Comparison(op, left, self._operand())
        negated = self._take_word("not")
        word = self._word
        if word in ("in", "between") or (word == "is" and not negated):
            self._next()
            if not isinstance(left, Property):
                fail(f"{word.upper()} needs a property before it, found {start}", start.column)
            if word == "is":
                negated = self._take_word("not")
            tree = self._tail(word, left)
            return Not(tree) if negated else tree
        if word in ("like", "div"):
            fail(f"{word.upper()} is not supported yet", self._here.column)
        if self._here.kind is Kind.NUMBER and self._here.text[0] in "+-":
            fail("arithmetic is not supported yet", self._here.column)
        self._expected("a comparison (= <> < <= > >= IN BETWEEN IS NULL)")

    def _tail(self, word: str, item: Property) -> In | Between | IsNull:
        if word == "is":
            if not self._take_word("null"):
                self._expected("NULL")
            return IsNull(item)
        if word == "between":
            low = self._literal()
            if not self._take_word("and"):
                self._expected("AND and the upper end of BETWEEN")
            return Between(item, low, self._literal())
        self._take(Kind.OPEN, "( and a list of values")
        values = [self._literal()]
        while self._here.kind is Kind.COMMA:
            self._next()
            values.append(self._literal())
        self._take(Kind.CLOSE, ", or )")
        return In(item, tuple(values))

    def _box(self) -> Box:
        self._next()
        self._next()
        geometry = self._next()
        if geometry.kind not in (Kind.NAME, Kind.QUOTED) or geometry.text != "geometry":
            fail(f"expected geometry, found {geometry}", geometry.column, _BOX)
        self._take(Kind.COMMA, ",")
        if self._function != "bbox":
            fail(f"expected BBOX(...), found {self._here}", self._here.column, _BOX)
        self._next()
        self._next()
        corners = [self._coordinate()]
        while self._here.kind is Kind.COMMA and len(corners) < 4:
            self._next()
            corners.append(self._coordinate())
        if len(corners) < 4:
            self._expected("four coordinates")
        self._take(Kind.CLOSE, ") after four coordinates")
        self._take(Kind.CLOSE, ")")
        return Box(*corners)

    # Operands

    def _operand(self) -> Operand:
        here = self._here
        if here.kind is Kind.QUOTED or (here.kind is Kind.NAME and self._word not in WORDS and not self._function):
            self._next()
            if not here.text:
                fail("a name is empty", here.column)
            return Property(here.text)
        return self._literal("a property or a value")

    def _literal(self, what: str = "a value") -> Literal:
        here = self._here
        if here.kind is Kind.TEXT:
            return Literal(self._next().text)
        if here.kind is Kind.NUMBER:
            return Literal(_decimal(self._next()))
        if self._function in _INSTANTS:
            return Literal(self._instant())
        if self._function:
            what = "is not supported yet" if _NOT_YET.fullmatch(self._function) else "is no function of CQL2"
            fail(f"{here.text.upper()[:40]} {what}", here.column)
        if self._word in ("true", "false"):
            self._next()
            return Literal(here.text.lower() == "true")
        if self._word == "null":
            fail("null is no value to compare with", here.column, "Write IS NULL")
        remedy = None
        if here.kind in (Kind.NAME, Kind.QUOTED):
            quoted = f'For a property of this name write "{here.text[:40]}"' if self._word in WORDS else None
            remedy = quoted or "Text stands in single quotes"
        self._expected(what, remedy)

    def _instant(self) -> datetime:
        function = self._next().text.lower()
        self._next()
        token = self._take(Kind.TEXT, "a text")
        self._take(Kind.CLOSE, ")")
        match = _INSTANT.fullmatch(token.text)
        if match and (match[4] is None) == (function == "date"):
            year, month, day, hour, minute, second = (int(match[part] or 0) for part in range(1, 7))
            fraction = int((match[7] or "").ljust(6, "0"))
            with suppress(ValueError):  # the 31st of June, a leap second
                return datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
        fail(f"{token} is no {function}", token.column, f"Write it as {_INSTANTS[function]}, in UTC")

    def _coordinate(self) -> float:
        token = self._take(Kind.NUMBER, "a coordinate")
        value = float(token.text) + 0.0  # never a negative zero
        if not math.isfinite(value):
            fail("a coordinate is out of range", token.column)
        return value

    # Tokens

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    @property
    def _word(self) -> str:
        """The word that stands here, in lower case; empty if something else does."""
        return self._here.text.lower() if self._here.kind is Kind.NAME else ""

    @property
    def _function(self) -> str:
        """The name of the function that is called here, in lower case; empty if none is."""
        if self._word and self._word not in WORDS and self._tokens[self._at + 1].kind is Kind.OPEN:
            return self._word
        return ""

    def _at_end(self) -> bool:
        return self._here.kind is Kind.END

    def _next(self) -> Token:
        token = self._here
        if not self._at_end():
            self._at += 1
        return token

    def _take(self, kind: Kind, what: str) -> Token:
        if self._here.kind is not kind:
            self._expected(what)
        return self._next()

    def _take_word(self, word: str) -> bool:
        if self._word != word:
            return False
        self._at += 1
        return True

    def _check_depth(self, depth: int) -> None:
        if depth > LIMITS.filter_depth:
            raise TooDeep(
                f"brackets and NOT nest at most {LIMITS.filter_depth} deep", place=f"column {self._here.column}"
            )

    def _expected(self, what: str, remedy: str | None = None) -> NoReturn:
        fail(f"expected {what}, found {self._here}", self._here.column, remedy)


def _decimal(token: Token) -> Decimal:
    exponent = re.split("[eE]", token.text)[1:]
    try:
        if len(token.text) > 64 or (exponent and len(exponent[0].lstrip("+-")) > 3):
            raise BadQuery("a number is out of range")
        return canonical(Decimal(token.text))
    except BadQuery as error:
        fail(error.message, token.column, error.remedy)
