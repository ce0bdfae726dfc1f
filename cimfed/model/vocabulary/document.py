"""Vocabulary documents: YAML to collections and properties, with every fault and its place.

A vocabulary is a folder: ``common.yaml`` with the version, the collections and the properties that all of them have,
and one file for each collection, named after it. Single collections can be read beside a vocabulary that is whole: they
have its common properties and must agree with it.

1. A file is one YAML mapping of at most 1 MiB and 8 levels, without anchors, aliases and keys that stand twice.
2. Words of the format are known, required ones are there, and what YAML would take for a number, a boolean or nothing
   is no text: it must stand in quotes.
3. Names are lower-case words, and none is one that an aggregate's result or state may have.
4. ``codes`` go with codes, ``unit`` with numbers, ``scale`` with decimals; masks stand from the finest to the coarsest,
   from ``exact`` to ``null``, ``band`` with numbers alone.
5. No collection redefines a common property. One name has one type, unit and scale in all collections.

Leaves out: whether a unit is one of UCUM's.
"""

from __future__ import annotations

import re
from collections.abc import Collection as Some
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import yaml

from cimfed.errors import BadVocabulary
from cimfed.model.vocabulary.terms import MASKS, NUMERIC, Collection, Property, Type, Vocabulary

SUFFIX = ".yaml"
COMMON = f"common{SUFFIX}"
MAX_TEXT = 1024 * 1024
MAX_SCALE = 18
MAX_DEPTH = 8

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
_UNIT = re.compile(r"[!-~]{1,32}")
_TAKEN = ("n_", "sum_", "mean_", "min_", "max_")
_STR, _INT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(texts: Mapping[str, str], beside: Vocabulary | None = None) -> Vocabulary:
    """The vocabulary of some files, by name. Raises BadVocabulary with all faults.

    Without ``common.yaml`` they are collections beside ``beside``, and the vocabulary has these alone.
    """
    faults: list[str] = []
    version, order = "", None
    common: Mapping[str, Property] = {}
    if COMMON in texts:
        version, common, order = _File(COMMON, faults).common(texts[COMMON])
    elif beside is not None:
        version, common = beside.version, beside.common
    else:
        faults.append(f"{COMMON}: it is missing, with the version, the collections and the properties of all")
    found: dict[str, Collection] = {}
    for source in texts:
        if source != COMMON:
            collection = _File(source, faults).collection(texts[source], common)
            if collection is not None:
                found[collection.name] = collection
    if order is not None:
        names = {source.removesuffix(SUFFIX) for source in texts if source != COMMON}
        faults += [f"{COMMON}: {name} is listed, but there is no {name}{SUFFIX}" for name in order if name not in names]
        faults += [f"{name}{SUFFIX}: the collection is not listed in {COMMON}" for name in sorted(names - {*order})]
        found = {name: found[name] for name in order if name in found}
    others = [] if COMMON in texts or beside is None else list(beside.collections.values())
    if not faults:
        faults += _disagreements([*(one for one in others if one.name not in found), *found.values()])
    if faults:
        first, _, message = faults[0].partition(": ")
        if len(faults) == 1:
            raise BadVocabulary(message, place=first)
        raise BadVocabulary(f"{len(faults)} faults", details=faults)
    return Vocabulary(version, MappingProxyType(found), MappingProxyType(dict(common)))


def _disagreements(collections: list[Collection]) -> list[str]:
    first: dict[str, tuple[str, Property]] = {}
    faults = []
    for collection in collections:
        for name, prop in collection.properties.items():
            where, told = first.setdefault(name, (collection.name, prop))
            for what in ("type", "unit", "scale"):
                one, other = getattr(prop, what), getattr(told, what)
                if one != other:
                    here = f"{collection.name}{SUFFIX}: {name}"
                    faults.append(f"{here}: its {what} is {one or 'none'}, but {other or 'none'} in {where}")
                    break
    return faults


class _File:
    """One file; what is wrong with it goes to ``faults``, and reading goes on."""

    def __init__(self, source: str, faults: list[str]) -> None:
        self._source = source
        self._faults = faults

    def common(self, text: str) -> tuple[str, dict[str, Property], list[str]]:
        found = self._fields(self._root(text), "common.yaml", ("version", "collections", "properties"))
        version = self._word(found.get("version"), _VERSION, 'a version such as "2"')
        collections = self._words(found.get("collections"), _NAME, "a collection's name")
        return version or "", self._properties(found.get("properties"), {}), list(collections)

    def collection(self, text: str, common: Mapping[str, Property]) -> Collection | None:
        name = self._source.removesuffix(SUFFIX)
        root = self._root(text)
        if not self._source.endswith(SUFFIX) or not _NAME.fullmatch(name):
            self._fault(None, f"a collection's file is called after it: lower-case words and {SUFFIX}")
            return None
        found = self._fields(root, "a collection", ("meaning", "properties"))
        meaning = self._meaning(found.get("meaning"))
        own = self._properties(found.get("properties"), common)
        return Collection(name, meaning, MappingProxyType({**common, **own}))

    def _properties(self, node: Any, common: Mapping[str, Property]) -> dict[str, Property]:
        found: dict[str, Property] = {}
        for key, value in self._pairs(node, "properties"):
            name = key.value
            if not _NAME.fullmatch(name):
                self._fault(key, f"{name[:64]!r} is no name of a property: lower-case words, such as year_built")
            elif name == "count" or name.startswith(_TAKEN):
                self._fault(key, f"{name} could be a column of an aggregate: count, or one with {', '.join(_TAKEN)}")
            elif name in common:
                self._fault(key, f"{name} is a property of all collections already")
            else:
                found[name] = self._property(name, value)
        return found

    def _property(self, name: str, node: Any) -> Property:
        found = self._fields(node, "a property", ("type", "meaning"), ("unit", "scale", "codes", "masks", "levels"))
        types = {str(known): known for known in Type}
        kind = types.get(self._word(found.get("type"), _NAME, "a type") or "")
        if "type" in found and kind is None:
            self._fault(found["type"], f"there is no such type; known are {', '.join(types)}")
        for word, goes in (("codes", kind is Type.CODE), ("scale", kind is Type.DECIMAL), ("unit", kind in NUMERIC)):
            if word in found and not goes:
                self._fault(found[word], f"{word} does not go with {kind or 'that type'}")
        for word, needed in (("codes", kind is Type.CODE), ("scale", kind is Type.DECIMAL)):
            if needed and word not in found:
                self._fault(node, f"{kind} needs {word}")
        return Property(
            name=name,
            type=kind or Type.TEXT,
            meaning=self._meaning(found.get("meaning")),
            unit=self._word(found.get("unit"), _UNIT, "a unit in UCUM's code") or "",
            scale=self._number(found.get("scale"), MAX_SCALE) or 0,
            codes=self._words(found.get("codes"), _CODE, "a code"),
            masks=self._masks(found["masks"], kind) if "masks" in found else ("exact", "null"),
            levels=self._levels(found.get("levels")),
        )

    def _masks(self, node: Any, kind: Type | None) -> tuple[str, ...]:
        masks = self._words(node, _NAME, "a mask")
        ladder = tuple(mask for mask in MASKS if mask in masks)
        if masks and (masks != ladder or not {"exact", "null"} <= {*masks}):
            self._fault(node, 'masks go from the finest to the coarsest: [exact, "null"] or [exact, band, "null"]')
        elif "band" in masks and kind not in NUMERIC:
            self._fault(node, f"band does not go with {kind or 'that type'}")
        return masks

    def _levels(self, node: Any) -> tuple[int, ...]:
        levels = [self._number(item, 3) for item in self._items(node, "a level of detail")]
        if None not in levels and levels != sorted({*levels}, key=lambda level: level or 0):
            self._fault(node, "levels rise, and none stands twice")
        return tuple(level for level in levels if level is not None)

    def _meaning(self, node: Any) -> str:
        text = self._text(node, "a meaning")
        if node is not None and text is not None and (not text.strip() or "\n" in text or len(text) > 200):
            self._fault(node, "a meaning is one line of at most 200 characters")
        return text or ""

    def _number(self, node: Any, most: int) -> int | None:
        if node is None:
            return None
        plain = isinstance(node, yaml.ScalarNode) and node.tag == _INT and re.fullmatch("[0-9]{1,2}", node.value)
        if plain and int(node.value) <= most:
            return int(node.value)
        self._fault(node, f"a whole number from 0 to {most} belongs here")
        return None

    def _word(self, node: Any, pattern: re.Pattern[str], what: str) -> str | None:
        text = self._text(node, what)
        if text is not None and not pattern.fullmatch(text):
            self._fault(node, f"{text[:64]!r} is not {what}")
            return None
        return text

    def _words(self, node: Any, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
        found: list[str] = []
        items = self._items(node, what)
        if node is not None and isinstance(node, yaml.SequenceNode) and not items:
            self._fault(node, "an empty list says nothing")
        for item in items:
            word = self._word(item, pattern, what)
            if word is not None and word in found:
                self._fault(item, f"{word} stands twice")
            elif word is not None:
                found.append(word)
        return tuple(found)

    def _text(self, node: Any, what: str) -> str | None:
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{what} belongs here")
        elif node.tag != _STR:
            self._fault(node, f'{what} belongs here; write it in quotes: "{node.value[:64]}"')
        else:
            return str(node.value)
        return None

    def _items(self, node: Any, what: str) -> list[Any]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._fault(node, f"a list belongs here, each {what}")
            return []
        return list(node.value)

    def _pairs(self, node: Any, what: str) -> list[tuple[Any, Any]]:
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"a mapping belongs here: {what}")
            return []
        pairs: dict[str, tuple[Any, Any]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                self._fault(key, "a key is a plain word")
            elif key.value in pairs:
                self._fault(key, f"{key.value[:64]!r} stands twice")
            else:
                pairs[key.value] = key, value
        return list(pairs.values())

    def _fields(self, node: Any, of: str, required: Some[str], optional: Some[str] = ()) -> dict[str, Any]:
        if node is None:
            return {}
        found: dict[str, Any] = {}
        known = (*required, *optional)
        for key, value in self._pairs(node, of):
            if key.value in known:
                found[key.value] = value
            else:
                self._fault(key, f"unknown word {key.value[:64]!r} in {of}; known are {', '.join(known)}")
        for word in required:
            if word not in found and isinstance(node, yaml.MappingNode):
                self._fault(node, f"{of} must say {word}")
        return found

    def _root(self, text: str) -> Any:
        if len(text) > MAX_TEXT:
            self._fault(None, f"more than {MAX_TEXT} characters")
            return None
        try:
            depth = 0
            for event in yaml.parse(text, Loader=_LOADER):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:
                    self._fault(event, f"more than {MAX_DEPTH} levels deep")
                    return None
                if getattr(event, "anchor", None) is not None:
                    self._fault(event, "no anchors and aliases here: write the value out")
                    return None
            root = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._faults.append(f"{self._at(mark)}: this is not well-formed YAML")
            return None
        except (yaml.YAMLError, ValueError, RecursionError):
            self._fault(None, "this is not well-formed YAML")
            return None
        if root is None:
            self._fault(None, "the file is empty")
        return root

    def _fault(self, node: Any, message: str) -> None:
        self._faults.append(f"{self._at(None if node is None else node.start_mark)}: {message}")

    def _at(self, mark: Any) -> str:
        return self._source if mark is None else f"{self._source}:{mark.line + 1}:{mark.column + 1}"
