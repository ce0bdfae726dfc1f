"""One value of a source to one value of a property's type.

Every function is total: it gives the value, None for "nothing there", or ``MISFIT`` for what is no such value (the
row keeps it in ``ext`` and the report counts it). Only a number that the type cannot hold is an error, ``OutOfRange``:
the object is bad. Text becomes NFC. Decimals are rounded once, half to even, from the number as the source writes
it: 2.675 is a tie although the nearest double is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final

from cimfed.model.instants import instant_of
from cimfed.model.vocabulary import Property, Type
from cimfed_node.ingest.limits import LIMITS


class _Misfit:
    def __repr__(self) -> str:
        return "MISFIT"


MISFIT: Final = _Misfit()
Converter = Callable[[Any], Any]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_YEAR = re.compile(r"(-?[0-9]{4})(?:-[0-9]{2}(?:-[0-9]{2}(?:[T ].*)?)?)?")
_MONTH = re.compile(r"[0-9]{4}(-[0-9]{2})?")
_EXACT = Context(prec=200)  # no rounding but the one that is meant
_INT64 = 2**63
READ_AT = "time"
"""The property that says when a reading was made."""
_DECIMAL18 = 10**18


class OutOfRange(ValueError):
    """A number that its property's type cannot hold."""


def nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def plain(raw: Any) -> Any:
    """A list of one item stands for the item: some writers wrap every attribute."""
    return raw[0] if type(raw) is list and len(raw) == 1 else raw


def to_text(raw: Any) -> Any:
    raw = plain(raw)
    if type(raw) is str:
        if len(raw) > LIMITS.text:
            raise OutOfRange(f"a text of more than {LIMITS.text:,} characters")
        return nfc(raw) if raw and not raw.isspace() else None
    if raw is None:
        return None
    if type(raw) is bool:
        return "true" if raw else "false"
    if type(raw) is int:
        return str(raw)
    if type(raw) is float:
        return str(int(raw)) if raw.is_integer() and abs(raw) < 2**53 else repr(raw)
    return MISFIT


def number(raw: Any, *, comma: bool = False, unit: str = "") -> Decimal | _Misfit | None:
    """A number as it is written; ``comma``: the source writes 12,5. A trailing ``unit`` is let pass."""
    raw = plain(raw)
    if type(raw) is int:
        return Decimal(raw)
    if type(raw) is float:
        return Decimal(repr(raw))
    if raw is None:
        return None
    if type(raw) is not str:
        return MISFIT
    text = raw.strip()
    if not text:
        return None
    if unit and text.endswith(unit):
        text = text[: -len(unit)].rstrip()
    if comma:
        text = text.replace(" ", "").replace("\u00a0", "").replace(",", ".")
    return Decimal(text) if len(text) <= 64 and _NUMBER.fullmatch(text) else MISFIT


def scaled(value: Decimal, scale: int) -> int:
    """The integer that DECIMAL(18, scale) holds for a number."""
    try:
        unscaled = int(_EXACT.scaleb(value, scale).to_integral_value(ROUND_HALF_EVEN))
    except (InvalidOperation, OverflowError, ValueError):
        raise OutOfRange("a number that is not finite") from None
    if not -_DECIMAL18 < unscaled < _DECIMAL18:
        raise OutOfRange(f"{value:.6g} is too large for DECIMAL(18, {scale})")
    return unscaled


def _decimal(prop: Property, factor: Decimal | None, comma: bool) -> Converter:
    scale, unit = prop.scale, prop.unit if prop.unit == "m" else ""

    def convert(raw: Any) -> Any:
        value = number(raw, comma=comma, unit=unit)
        if not isinstance(value, Decimal):
            return value
        return scaled(_EXACT.multiply(value, factor) if factor is not None else value, scale)

    return convert


def _integer(factor: Decimal | None, comma: bool) -> Converter:
    def convert(raw: Any) -> Any:
        if type(raw) is int and factor is None:
            value = Decimal(raw)
        else:
            found = number(raw, comma=comma)
            if not isinstance(found, Decimal):
                return found
            value = _EXACT.multiply(found, factor) if factor is not None else found
        if not value.is_finite():
            raise OutOfRange("a number that is not finite")
        if abs(value) >= _INT64:
            raise OutOfRange(f"{value:.6g} is too large for 64 bits")
        return int(value) if value == value.to_integral_value() else MISFIT

    return convert


def to_year(raw: Any) -> Any:
    """The year of a date such as 1998-05-03, or a year."""
    text = to_text(raw)
    if type(text) is not str:
        return text
    found = _YEAR.fullmatch(text.strip())
    return int(found[1]) if found else MISFIT


def to_time(raw: Any, local: Callable[[datetime], int] | None = None) -> Any:
    """Microseconds since the epoch. A date is its first moment. What names no offset is ``local``, else UTC."""
    text = to_text(raw)
    if type(text) is not str:
        return text
    text = text.strip()
    month = _MONTH.fullmatch(text)
    if month:
        text += "-01" if month[1] else "-01-01"
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return MISFIT
    try:
        if value.tzinfo is None and local is not None:
            return local(value)
        return instant_of(value if value.tzinfo else value.replace(tzinfo=UTC))
    except OverflowError:
        return MISFIT


def no_offset(_: datetime) -> int:
    """For times whose hour counts, where no zone was named."""
    raise OutOfRange("a time without an offset from UTC; name the zone of such times with --time-zone")


def converter(
    prop: Property,
    *,
    factor: Decimal | None,
    comma: bool,
    year: bool,
    local: Callable[[datetime], int] | None = None,
) -> Converter:
    """The conversion of a property that is neither code nor name. ``local``: what times without an offset are; else
    they are refused of readings (``time``), and UTC of validity."""
    match prop.type:
        case Type.TEXT:
            return to_text
        case Type.INTEGER:
            return to_year if year else _integer(factor, comma)
        case Type.DECIMAL:
            return _decimal(prop, factor, comma)
        case Type.TIME:
            without = local or (no_offset if prop.name == READ_AT else None)
            return lambda raw: to_time(raw, without)
        case _:
            raise ValueError(f"no source column can be a {prop.type}")
