"""Attributes of a CityGML object under the names that CityJSON gives them, so that one mapping reads both.

``measuredHeight`` and ``con:height`` come in metres: a value in feet is converted, one in another unit stays with its
unit and is no number for a mapping. Of several values of ``function`` and its like the first counts. Names bear their
language: ``name:zh``. Generic attributes stand beside the others; one that has an other's name is ``gen:name``. Code
spaces, addresses, references to other systems and what an ADE adds keep their form as far as JSON has one, and end in
``ext``. Geometry among the attributes of an ADE is counted and left out.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Any

from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.citygml_names import (
    CITY,
    GML,
    HREF,
    LANG,
    OTHER,
    first_kid,
    kids,
    level_of_name,
    split,
    text_of,
)
from cimfed_node.ingest.readers.xml import Element

_METRES = frozenset(("", "m", "metre", "metres", "meter", "meters", "mtr", "9001"))
_FEET = frozenset(("ft", "foot", "feet", "[ft_i]", "9002"))
_FOOT = Decimal("0.3048")
_LENGTHS = frozenset(("measuredHeight", "averageHeight", "trunkDiameter", "crownDiameter", "height"))
_WHOLE = frozenset(("storeysAboveGround", "storeysBelowGround", "yearOfConstruction", "yearOfDemolition"))
_NUMBERS = _LENGTHS | {"rootBallDiameter", "maximumCrownDepth"}
_SILENT = frozenset(("boundedBy", "appearance", "metaDataProperty", "generalizesTo", "relatedTo", "location", "lod"))
_GENERIC = re.compile(r"(string|int|double|date|uri|measure|code|String|Int|Double|Date|Uri|Measure|Code)Attribute")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATES = {"dateOfConstruction": "yearOfConstruction", "dateOfDemolition": "yearOfDemolition"}


def number_of(text: str, whole: bool) -> Any:
    """A number as JSON has it; the text where it is none."""
    if whole:
        return int(text) if _INTEGER.fullmatch(text) else text
    return float(text) if len(text) <= 64 and _DECIMAL.fullmatch(text) else text


def unit_of(element: Element) -> str:
    """The unit of a measure, without what names the list that it is from."""
    uom = str(element.get("uom", "")).strip().lower()
    return re.split(r"[#:/]", uom)[-1] if uom else ""


def measure(element: Element, text: str, length: bool) -> Any:
    """A measure as a number, in metres where it is a length; with its unit where that is another."""
    unit = unit_of(element)
    value = number_of(text, False)
    if type(value) is str or unit in _METRES or (not length and unit in ("m2", "m3", "1", "scale")):
        return value
    if unit in _FEET and length:
        return float(Decimal(text) * _FOOT)
    return {"uom": str(element.get("uom")), "value": value}


class Attributes:
    """Attributes of one object while its properties are gone through. ``dropped``: counts what is left out."""

    def __init__(self, dropped: Counter[str]) -> None:
        self.values: dict[str, Any] = {}
        self._generic: dict[str, Any] = {}
        self._heights: list[tuple[Any, dict[str, Any]]] = []
        self._dropped = dropped
        self._budget = LIMITS.columns

    def add(self, prop: Element) -> None:
        """Take a property that is neither geometry nor another object."""
        kind, name = split(prop.tag)
        if kind == OTHER:
            self._put(f"{prop.prefix}:{name}" if prop.prefix else name, self._tree(prop))
        elif name in _SILENT:
            return
        elif name == "name":
            language = prop.get(LANG)
            self._put(f"name:{language[:40]}" if language else "name", text_of(prop) or None)
        elif _GENERIC.fullmatch(name) or name in ("genericAttribute", "genericAttributeSet"):
            self._add_generic(prop, self._generic)
        elif name == "height" and first_kid(prop) is not None:
            self._add_height(prop)
        elif name in ("address", "externalReference"):
            self._several(name, self._tree(prop))
        elif first_kid(prop) is not None:
            self._put(name, self._tree(prop))
        else:
            self._add_simple(prop, name)

    def _add_simple(self, prop: Element, name: str) -> None:
        text = text_of(prop)
        if not text:
            href = prop.get(HREF)
            if href is not None:
                self._several(name, str(href))
            return
        if name in _DATES and len(text) >= 4 and text[:4].isdecimal():
            self._put(_DATES[name], int(text[:4]))
            self._put(name, text)
        elif name in _WHOLE:
            self._put(name, number_of(text, True))
        elif name in _NUMBERS or prop.get("uom") is not None:
            self._put(name, measure(prop, text, name in _LENGTHS))
        else:
            self._put(name, text)
        space = prop.get("codeSpace")
        if space is not None:
            self.values.setdefault(f"{name}:codeSpace", str(space))

    def _put(self, name: str, value: Any) -> None:
        """The first value stands under the name itself, the others beside it."""
        if value is None:
            return
        if name in self.values:
            self._several(f"{name}:further", value)
        else:
            self._spend()
            self.values[name] = value

    def _several(self, name: str, value: Any) -> None:
        if value is not None:
            self._spend()
            self.values.setdefault(name, []).append(value)

    def _spend(self) -> None:
        self._budget -= 1
        if self._budget < 0:
            raise BadGeometry(f"more than {LIMITS.columns:,} attributes")

    def _add_generic(self, prop: Element, into: dict[str, Any]) -> None:
        name = split(prop.tag)[1]
        self._spend()
        if name == "genericAttribute":  # 3.0 has the attribute within
            for inner in kids(prop):
                self._add_generic(inner, into)
            return
        named = prop.get("name")
        values: list[Element] = []
        inside: dict[str, Any] = {}
        for child in kids(prop):
            local = split(child.tag)[1]
            if local == "name":
                named = text_of(child)
            elif local == "value":
                values.append(child)
            else:
                self._add_generic(child, inside)
        if not named:
            return
        if name.lower() == "genericattributeset":
            into.setdefault(named, inside)
        elif values:
            into.setdefault(named, self._value(name[0].lower() + name[1:], values[0]))

    @staticmethod
    def _value(kind: str, element: Element) -> Any:
        text = text_of(element)
        if kind == "intAttribute":
            return number_of(text, True)
        if kind == "doubleAttribute":
            return number_of(text, False)
        if kind == "measureAttribute":
            return measure(element, text, False)
        return text

    def _add_height(self, prop: Element) -> None:
        """A height of CityGML 3.0: a value from one level to another, measured or estimated."""
        for height in kids(prop):
            self._spend()
            told: dict[str, Any] = {}
            value: Any = None
            for child in kids(height):
                name, text = split(child.tag)[1], text_of(child)
                if name == "value":
                    value = measure(child, text, True)
                told[name] = value if name == "value" else text
            if value is not None:
                self._heights.append((value, told))

    def finished(self) -> dict[str, Any]:
        """All attributes of the object."""
        values = self.values
        if self._heights:
            measured = [value for value, told in self._heights if told.get("status") == "measured"]
            name = "measuredHeight" if measured else "height"
            values.setdefault(name, measured[0] if measured else self._heights[0][0])
            values["heights"] = [told for _, told in self._heights]
        for name, value in self._generic.items():
            values[f"gen:{name}" if name in values else name] = value
        return values

    def _tree(self, element: Element) -> Any:
        """What an element holds, as JSON: a text, or what its children hold by name."""
        self._spend()
        if first_kid(element) is None:
            return text_of(element) or element.get(HREF)
        found: dict[str, Any] = {}
        for child in kids(element):
            kind, name = split(child.tag)
            if kind == GML and name not in ("name", "description", "identifier", "posList", "pos"):
                self._dropped[f"{name} among attributes"] += 1
                continue
            if kind == CITY and level_of_name(child.tag):
                self._dropped[f"{name} among attributes"] += 1
                continue
            value = self._tree(child)
            if value is not None and name in found:
                if type(found[name]) is not list:
                    found[name] = [found[name]]
                found[name].append(value)
            elif value is not None:
                found[name] = value
        only = list(found.values())
        nested = len(only) == 1 and isinstance(only[0], dict)
        return (only[0] if nested else found) or None
