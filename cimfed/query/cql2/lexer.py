"""CQL2 text -> tokens, in one pass of one regular expression.

Every alternative is possessive, so the pass is linear whatever the text. Columns count characters from 1, line
ends included. Characters of names and white space are those of the standard's BNF (OGC 21-065r2, annex B).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple, NoReturn

from cimfed.errors import BadQuery, TooLarge
from cimfed.model.limits import LIMITS

_START = (
    ":_A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u167f\u1681-\u1ffe\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_SPACE = "\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NAME = rf"[{_START}][{_START}.0-9\u0300-\u036f\u203f\u2040]*+"
_TOKEN = re.compile(
    rf"""(?P<space>[{_SPACE}]++)
    |(?P<name>{_NAME})
    |(?P<quoted>"[^"]*+(?:""[^"]*+)*+")
    |(?P<text>'[^']*+(?:''[^']*+)*+')
    |(?P<number>[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
    |(?P<comparator><>|<=|>=|=(?!=)|<|>)
    |(?P<open>\()|(?P<close>\))|(?P<comma>,)""",
    re.VERBOSE,
)
WORDS = frozenset({"and", "or", "not", "in", "between", "is", "null", "like", "true", "false", "div"})
"""Words that are no names of properties, unless they stand in double quotes."""

_WRONG = {
    "!=": "For 'not equal' write <>",
    "==": "For 'equal' write =",
    "&&": "Write AND",
    "||": "Write OR",
    "!": "Write NOT",
}


class Kind(StrEnum):
    NAME = "name"
    QUOTED = "quoted"  # a name in double quotes
    TEXT = "text"
    NUMBER = "number"
    COMPARATOR = "comparator"
    OPEN = "open"
    CLOSE = "close"
    COMMA = "comma"
    END = "end"


class Token(NamedTuple):
    """``text`` of names in quotes and of text literals is without quotes and doubling."""

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind is Kind.END else repr(self.text if len(self.text) <= 40 else self.text[:40] + "…")


def fail(message: str, column: int, remedy: str | None = None) -> NoReturn:
    raise BadQuery(message, place=f"column {column}", remedy=remedy)


def tokens(text: str) -> list[Token]:
    """All tokens and a closing END."""
    _check(text)
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse(text, position)
        position = match.end()
        name = match.lastgroup
        if name is None or name == "space":
            continue
        kind, value = Kind(name), match.group()
        if kind is Kind.QUOTED:
            value = value[1:-1].replace('""', '"')
        elif kind is Kind.TEXT:
            value = value[1:-1].replace("''", "'")
        found.append(Token(kind, value, match.start() + 1))
    found.append(Token(Kind.END, "", len(text) + 1))
    return found


def _check(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        fail("the filter holds a lone surrogate, which is no character", error.start + 1)
    if size > LIMITS.filter_text:
        raise TooLarge(f"a filter's text must be at most {LIMITS.filter_text} bytes, this has {size}")
    if (nul := text.find("\0")) >= 0:
        fail("the filter holds a NUL character", nul + 1)


def _refuse(text: str, position: int) -> NoReturn:
    here = text[position]
    column = position + 1
    if here == "'":
        fail("a text begins here and does not end", column, "Close it with ', and double a ' inside it")
    if here == '"':
        fail("a quoted name begins here and does not end", column, 'Close it with "')
    if here in "+-*/%^":
        fail("arithmetic is not supported yet", column)
    for wrong, remedy in _WRONG.items():
        if text.startswith(wrong, position):
            fail(f"{wrong} is not CQL2", column, remedy)
    fail(f"{here!r} is not expected here", column)
