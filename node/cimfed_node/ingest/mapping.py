"""The mapping document: which attribute of the source gives which property, and how.

YAML, every scalar taken as text (``no`` is a word, ``0.3048`` exactly that number)::

    format: cimfed/mapping/v1
    extends: building             # optional: start from a shipped mapping; what stands here replaces its rules
    types: [Building]             # types of CityJSON objects that become rows
    id: [编号, "#"]                # attributes that hold the id, in order of preference; "#": place in the file
    x: [lon]                      # columns of CSV that hold the coordinates
    y: {from: [lat], decimal: ","}                       # the source writes 41,3
    geometry: [wkt]               # or one column that holds WKT, or WKB in hexadecimal
    properties:
      height:                     # one source, or a list of them in order of preference
        - 建筑高度                 # an attribute as it stands
        - {from: [height_ft], factor: 0.3048}              # value * factor is in the vocabulary's unit
        - {from: h_dak_max, minus: h_maaiveld}             # less another attribute, where that is given
      floor_area: {from: площадь, decimal: ","}            # the source writes 12,5
      year_built: {from: [start_date], part: year}         # the year of a date
      function:
        from: [用途, класс]
        codes: [function, {жилое: residential, 未知: null}]  # shipped tables by name, own entries; the last wins
        otherwise: other          # optional: for what the tables lack
      source: {constant: cadastre of 2024}
      name: {zh: 名称, en: [name_en], und: name, "*": "name:*"}  # by language; "*": whatever stands for the star

A property's first attribute that gives a value wins. A code of the vocabulary stands for itself; codes are compared
without regard to case. ``null`` marks a code as known and saying nothing. Attributes without a rule, values that are no
code or number, and the losing attributes of a property stay in ``ext``. Unknown keys are errors.

Leaves out: expressions, joins, splitting of values.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cimfed.errors import BadMapping
from cimfed.model.vocabulary import Collection, Property, Type
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.plainyaml import load_plain
from cimfed_node.ingest.values import MISFIT, OutOfRange, converter, nfc

FORMAT = "cimfed/mapping/v1"
RESERVED = frozenset(
    {"city", "id", "bbox", "zmin", "zmax", "ext", "footprint_method"} | {f"geometry_lod{level}" for level in range(4)}
)
"""Properties that the import fills itself."""

_KEYS = {"format", "extends", "types", "id", "x", "y", "geometry", "properties"}
_LISTS = ("types", "id", "x", "y", "geometry")
_SOURCE_KEYS = {"from", "factor", "decimal", "minus", "part", "codes", "otherwise"}
_NULLS = {"", "null", "~"}


@dataclass(frozen=True)
class Source:
    """One attribute as a source of a property. ``codes``: folded text -> code, None for one that says nothing."""

    column: str
    factor: Decimal | None = None
    comma: bool = False
    minus: str | None = None
    year: bool = False
    codes: AnyMapping[str, str | None] | None = None
    otherwise: str | None = None

    def settings(self) -> dict[str, Any]:
        """All but the column, as a mapping document writes it."""
        entry: dict[str, Any] = {}
        if self.factor is not None:
            entry["factor"] = str(self.factor)
        if self.comma:
            entry["decimal"] = ","
        if self.minus is not None:
            entry["minus"] = self.minus
        if self.year:
            entry["part"] = "year"
        if self.codes:
            entry["codes"] = dict(sorted(self.codes.items()))
        if self.otherwise is not None:
            entry["otherwise"] = self.otherwise
        return entry


@dataclass(frozen=True)
class Rule:
    """How one property is had: from its sources in order of preference, or a constant.

    ``languages`` is of NAMES only: (language or "*", column or pattern) pairs.
    """

    prop: Property
    sources: tuple[Source, ...] = ()
    languages: tuple[tuple[str, str], ...] = ()
    constant: str | None = None


@dataclass(frozen=True)
class Mapping:
    """A whole mapping for one collection. ``name`` is where it came from, for messages."""

    name: str
    rules: AnyMapping[str, Rule]
    types: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    x: tuple[str, ...] = ()
    y: tuple[str, ...] = ()
    geometry: tuple[str, ...] = ()
    commas: frozenset[str] = frozenset()  # "x" and "y" where they are written with a decimal comma

    def document(self) -> dict[str, Any]:
        """The mapping as it can be written and read again, tables spelled out; the same for equal mappings."""
        document: dict[str, Any] = {"format": FORMAT}
        for key in _LISTS:
            if names := list(getattr(self, key)):
                document[key] = {"from": names, "decimal": ","} if key in self.commas else names
        document["properties"] = {name: _rule_document(rule) for name, rule in self.rules.items()}
        return document


def fold(code: str) -> str:
    """Codes are compared without regard to case, width of spaces and Unicode composition."""
    return nfc(" ".join(code.casefold().split()))


def _rule_document(rule: Rule) -> Any:
    if rule.constant is not None:
        return {"constant": rule.constant}
    if rule.prop.type is Type.NAMES:
        languages: dict[str, list[str]] = {}
        for language, column in rule.languages:
            languages.setdefault(language, []).append(column)
        return dict(languages)
    entries: list[dict[str, Any]] = []
    for source in rule.sources:
        settings = source.settings()
        if entries and {key: value for key, value in entries[-1].items() if key != "from"} == settings:
            entries[-1]["from"].append(source.column)
        else:
            entries.append({"from": [source.column], **settings})
    return entries[0] if len(entries) == 1 else entries


class _Parser:
    """One document's parse; ``at`` says where in it something is wrong."""

    def __init__(self, name: str, collection: Collection) -> None:
        self.name = name
        self.collection = collection

    def wrong(self, message: str, at: str, remedy: str | None = None) -> BadMapping:
        return BadMapping(message, place=f"{self.name}: {at}" if at else self.name, remedy=remedy)

    def columns(self, node: Any, at: str) -> tuple[str, ...]:
        found = [node] if isinstance(node, str) else node
        if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
            raise self.wrong("expected an attribute's name or a list of names", at)
        if len(set(found)) < len(found):
            raise self.wrong("an attribute stands twice", at)
        return tuple(found)

    def keys(self, node: Any, allowed: set[str], at: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            raise self.wrong("expected a mapping of keys to values", at)
        for key in node:
            if key not in allowed:
                raise self.wrong(f"unknown key {key!r}", at, remedy=f"Known are {', '.join(sorted(allowed))}")
        return node

    def code(self, prop: Property, code: str, at: str) -> str:
        if code not in prop.codes:
            raise self.wrong(f"{code!r} is no code of {prop.name}", at, f"Its codes: {', '.join(prop.codes)}")
        return code

    def codes(self, prop: Property, node: Any, at: str) -> dict[str, str | None]:
        table: dict[str, str | None] = {}
        for part in node if isinstance(node, list) else [node]:
            if isinstance(part, str):
                shipped = shipped_tables().get(part)
                if shipped is None:
                    known = ", ".join(sorted(shipped_tables()))
                    raise self.wrong(f"there is no shipped table {part!r}", at, remedy=f"Known are {known}")
                table |= {key: code for key, code in shipped.items() if code is None or code in prop.codes}
            elif isinstance(part, dict):
                for key, code in part.items():
                    if not isinstance(code, str):
                        raise self.wrong("expected a code", f"{at}.{key}")
                    table[fold(key)] = None if code in _NULLS else self.code(prop, code, f"{at}.{key}")
            else:
                raise self.wrong("expected a shipped table's name or a mapping of codes", at)
        return table

    def rule(self, name: str, node: Any) -> Rule:
        at = f"properties.{name}"
        prop = self.collection.properties.get(name)
        if prop is None or name in RESERVED:
            why = "is filled by the import itself" if prop else f"is no property of {self.collection.name}"
            free = [known for known in self.collection.properties if known not in RESERVED]
            raise self.wrong(f"{name!r} {why}", at, remedy=f"Properties: {', '.join(free)}")
        if prop.type is Type.NAMES:
            return self.names(prop, node, at)
        if isinstance(node, dict) and "constant" in node:
            return self.constant(prop, node, at)
        sources: list[Source] = []
        for entry in node if isinstance(node, list) else [node]:
            sources += self.sources(prop, entry, at)
        if len({source.column for source in sources}) < len(sources):
            raise self.wrong("an attribute stands twice", at)
        return Rule(prop, sources=tuple(sources))

    def sources(self, prop: Property, node: Any, at: str) -> list[Source]:
        node = self.keys({"from": node} if isinstance(node, str) else node, _SOURCE_KEYS, at)
        if "from" not in node:
            raise self.wrong("a rule has 'from' or 'constant'", at)
        numeric = (Type.INTEGER, Type.DECIMAL)
        for key, types in (
            ("codes", (Type.CODE,)),
            ("otherwise", (Type.CODE,)),
            ("part", (Type.INTEGER,)),
            ("factor", numeric),
            ("decimal", numeric),
            ("minus", numeric),
        ):
            if key in node and prop.type not in types:
                raise self.wrong(f"{key!r} does not go with {prop.type}", at)
        if node.get("part", "year") != "year":
            raise self.wrong("'part' can only be year", at)
        if node.get("decimal", ".") not in (".", ","):
            raise self.wrong("'decimal' is '.' or ','", at)
        if not isinstance(node.get("minus", ""), str):
            raise self.wrong("'minus' is an attribute's name", at)
        own: dict[str, str | None] = {fold(code): code for code in prop.codes}
        otherwise = node.get("otherwise")
        settings: dict[str, Any] = {
            "factor": self.factor(node["factor"], at) if "factor" in node else None,
            "comma": node.get("decimal") == ",",
            "minus": node.get("minus"),
            "year": "part" in node,
            "codes": own | self.codes(prop, node.get("codes", []), f"{at}.codes") if prop.codes else None,
            "otherwise": None if otherwise is None else self.code(prop, otherwise, f"{at}.otherwise"),
        }
        return [Source(column, **settings) for column in self.columns(node["from"], f"{at}.from")]

    def factor(self, text: Any, at: str) -> Decimal:
        try:
            factor = Decimal(text)
        except (InvalidOperation, TypeError, ValueError):
            raise self.wrong("'factor' is a number", at) from None
        if not factor.is_finite() or factor == 0:
            raise self.wrong("'factor' is a number other than 0", at)
        return factor

    def constant(self, prop: Property, node: dict[str, Any], at: str) -> Rule:
        constant = node["constant"]
        if len(node) > 1 or not isinstance(constant, str):
            raise self.wrong("a constant is one value and stands alone", at)
        if prop.type is Type.CODE:
            self.code(prop, constant, at)
        else:
            try:
                value = converter(prop, factor=None, comma=False, year=False)(constant)
            except OutOfRange as error:
                raise self.wrong(str(error), at) from None
            if value is None or value is MISFIT:
                raise self.wrong(f"{constant!r} is no {prop.type}", at)
        return Rule(prop, constant=constant)

    def axis(self, node: Any, at: str) -> tuple[Any, bool]:
        """Columns of a coordinate, and whether they are written with a decimal comma."""
        if not isinstance(node, dict):
            return node, False
        node = self.keys(node, {"from", "decimal"}, at)
        if node.get("decimal", ".") not in (".", ","):
            raise self.wrong("'decimal' is '.' or ','", at)
        return node.get("from"), node.get("decimal") == ","

    def names(self, prop: Property, node: Any, at: str) -> Rule:
        if isinstance(node, (str, list)):
            node = {"und": node}
        if not isinstance(node, dict):
            raise self.wrong("expected attributes by language", at)
        pairs = []
        for language, columns in node.items():
            for column in self.columns(columns, f"{at}.{language}"):
                if (language == "*") != column.endswith("*") or "*" in column[:-1]:
                    raise self.wrong("a pattern ends with its one star and stands under '*'", f"{at}.{language}")
                pairs.append((language, column))
        return Rule(prop, languages=tuple(pairs))

    def mapping(self, document: Any) -> Mapping:
        document = self.keys(document, _KEYS, "")
        if document.get("format") != FORMAT:
            raise self.wrong(f"the first line of a mapping is 'format: {FORMAT}'", "format")
        base = Mapping(name=self.name, rules={})
        if "extends" in document:
            if document["extends"] not in shipped_names():
                known = ", ".join(shipped_names())
                raise self.wrong("there is no such shipped mapping", "extends", remedy=f"Known are {known}")
            base = replace(shipped(document["extends"], self.collection), name=self.name)
        lists: dict[str, Any] = {"commas": base.commas}
        for key in (key for key in _LISTS if key in document):
            node, comma = self.axis(document[key], key) if key in ("x", "y") else (document[key], False)
            lists[key] = self.columns(node, key)
            lists["commas"] = lists["commas"] | {key} if comma else lists["commas"] - {key}
        rules = document.get("properties", {})
        if not isinstance(rules, dict):
            raise self.wrong("expected rules by property", "properties")
        own = {name: self.rule(name, node) for name, node in rules.items()}
        merged = {**base.rules, **own}
        ordered = {name: merged[name] for name in self.collection.properties if name in merged}
        return replace(base, rules=ordered, **lists)


@cache
def shipped_names() -> tuple[str, ...]:
    folder = files("cimfed_node.ingest").joinpath("mappings")
    return tuple(
        sorted(f.name[: -len(".yaml")] for f in folder.iterdir() if f.name.endswith(".yaml") and f.name != "codes.yaml")
    )


@cache
def shipped_tables() -> AnyMapping[str, AnyMapping[str, str | None]]:
    """The tables of ``mappings/codes.yaml``, which are written the other way round: code -> texts."""
    text = files("cimfed_node.ingest").joinpath("mappings/codes.yaml").read_text("utf-8")
    tables: dict[str, dict[str, str | None]] = {}
    for name, codes in load_plain(text, "codes.yaml").items():
        table: dict[str, str | None] = {}
        for code, texts in codes.items():
            for item in texts:
                if table.setdefault(fold(item), None if code in _NULLS else code) != (
                    code if code not in _NULLS else None
                ):
                    raise BadMapping(f"{item!r} stands for two codes", place=f"codes.yaml: {name}")
        tables[name] = table
    return tables


def shipped(name: str, collection: Collection) -> Mapping:
    """The mapping that comes with this software for a collection."""
    text = files("cimfed_node.ingest").joinpath(f"mappings/{name}.yaml").read_text("utf-8")
    return _Parser(f"{name}.yaml", collection).mapping(load_plain(text, f"{name}.yaml"))


def parse_mapping(text: str, name: str, collection: Collection) -> Mapping:
    """A mapping document; raises BadMapping with the place in it."""
    return _Parser(name, collection).mapping(load_plain(text, name))


def read_mapping(path: Path, collection: Collection) -> Mapping:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadMapping(f"cannot be read: {error.strerror}", place=path.name) from None
    if len(raw) > LIMITS.mapping:
        raise BadMapping(f"a mapping has at most {LIMITS.mapping // 1024:,} KiB", place=path.name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadMapping("not UTF-8", place=path.name) from None
    return parse_mapping(text, path.name, collection)


def write_mapping(document: AnyMapping[str, Any]) -> str:
    """A mapping document as YAML to edit."""
    return yaml.safe_dump(_quoted(document), allow_unicode=True, sort_keys=False, width=110, default_flow_style=None)


def _quoted(node: Any) -> Any:
    """``None`` is the only thing that is not text in a mapping document."""
    if isinstance(node, AnyMapping):
        return {str(key): _quoted(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_quoted(item) for item in node]
    return node
