"""Which literals a query may hold, and the one form of each number.

A number is ``unscaled * 10**-scale`` with an unscaled integer of 64 bits and 0 to 9 decimals, trailing zeros of the
fraction stripped. So every literal is a DECIMAL(19, s <= 9): beside an INTEGER (19 digits) or a DECIMAL(18, s) of
the vocabulary, the common type has at most 19 + 18 = 37 digits, and no engine's 38 overflow in a comparison. Every
value that a property can have can be written. Text holds no NUL (PostgreSQL has none) and no lone surrogates
(they have no UTF-8).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from cimfed.errors import BadQuery, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.query.expression import Scalar

MAX_SCALE = 9
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_RANGE = "Numbers have at most 9 decimals and, without the point, fit 64 bits"


def unscaled(number: Decimal) -> tuple[int, int]:
    """The number as (unscaled, scale), scale least; BadQuery when it is out of range. Exact in any context."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise BadQuery("a number must be finite")
    significant = "".join(map(str, digits)).rstrip("0")
    if not significant:
        return 0, 0
    exponent += len(digits) - len(significant)
    if -exponent > MAX_SCALE or len(significant) + exponent > 19 or len(significant) > 19:
        raise BadQuery("a number is out of range", remedy=_RANGE)
    value = int(significant) * 10 ** max(exponent, 0) * (-1 if sign else 1)
    if not INT64_MIN <= value <= INT64_MAX:
        raise BadQuery("a number is out of range", remedy=_RANGE)
    return value, max(-exponent, 0)


def number(value: int, scale: int) -> Decimal:
    """``value * 10**-scale``, exact."""
    return Decimal((int(value < 0), tuple(map(int, str(abs(value)))), -scale))


def canonical(value: Decimal) -> Decimal:
    """The one form of a number in range: no negative zero, no exponent, no trailing zeros after the point."""
    return number(*unscaled(value))


def check_literal(value: Scalar, place: str) -> None:
    """Refuses a literal that an engine might choke on."""
    if isinstance(value, bool):
        return
    if isinstance(value, Decimal):
        try:
            unscaled(value)
        except BadQuery as error:
            raise BadQuery(error.message, place=place, remedy=error.remedy) from None
    elif isinstance(value, str):
        check_text(value, place)
    elif isinstance(value, datetime):
        if value.utcoffset() != timedelta(0):
            raise BadQuery("a time must be in UTC", place=place)
    else:
        raise BadQuery("a literal must be text, a number, a boolean or a time", place=place)


def check_text(value: str, place: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadQuery("text must be Unicode without lone surrogates", place=place) from None
    if "\0" in value:
        raise BadQuery("text must not hold NUL", place=place)
    if size > LIMITS.filter_text:
        raise TooLarge(f"text must be at most {LIMITS.filter_text} bytes", place=place)
