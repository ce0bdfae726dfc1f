"""Hashes, and protobuf's encoding as far as cimfed uses it: varints and length-delimited fields."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """``reason`` is the code that a client gives."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hashed(domain: str, *parts: bytes | str | int) -> bytes:
    """H(domain, parts)."""
    whole = b""
    for part in (domain, *parts):
        if isinstance(part, str):
            part = part.encode()
        elif isinstance(part, int):
            part = part.to_bytes(8, "big")
        whole += len(part).to_bytes(8, "big") + part
    return sha256(whole)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    value = 0
    for count, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise Refused("chain_broken", "a number is cut short")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of varint and length-delimited fields, in order; anything else is refused."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, form = tag >> 3, tag & 7
        if not number or form not in (0, 2):
            raise Refused("chain_broken", f"field {number} has form {form}")
        value, at = varint(data, at)
        if form == 0:
            yield number, value
            continue
        if at + value > len(data):
            raise Refused("chain_broken", "a field is cut short")
        yield number, data[at : at + value]
        at += value


@dataclass(frozen=True, eq=False)
class Form:
    """A message's fields by number: the name and the kind (``bytes``, ``text``, ``int``, or the form of a message)."""

    fields: Mapping[int, tuple[str, Any]]
    many: frozenset[str]

    def read(self, data: bytes, *, strict: bool = True) -> dict[str, Any]:
        """Values by name, those that are not there as proto3 has it. ``strict`` refuses unknown fields."""
        found: dict[str, Any] = {
            name: [] if name in self.many else _EMPTY.get(kind) for name, kind in self.fields.values()
        }
        for number, value in fields(data):
            if number not in self.fields:
                if strict:
                    raise Refused("chain_broken", f"unknown field {number}")
                continue
            name, kind = self.fields[number]
            if name in self.many:
                found[name].append(_value(kind, value))
            else:
                found[name] = _value(kind, value)
        return found


_EMPTY: Mapping[Any, Any] = {"bytes": b"", "text": "", "int": 0}


def _value(kind: Any, value: int | bytes) -> Any:
    if isinstance(value, int) or kind == "int":
        if not isinstance(value, int) or kind != "int":
            raise Refused("chain_broken", "a field is of another kind")
        return value & (2**64 - 1)
    if isinstance(kind, Form):
        return kind.read(value)
    if kind == "text":
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Refused("chain_broken", "text is not UTF-8") from None
    return value


def form(*described: tuple[str, Any] | str) -> Form:
    """Fields numbered from 1: ``"name kind"`` or ``(name, form)``; a ``*`` behind the name repeats, ``-`` is a gap."""
    numbered: dict[int, tuple[str, Any]] = {}
    many = set()
    for number, item in enumerate(described, start=1):
        if item == "-":
            continue
        name, kind = item.split() if isinstance(item, str) else item
        if name.endswith("*"):
            name = name[:-1]
            many.add(name)
        numbered[number] = name, kind
    return Form(numbered, frozenset(many))
