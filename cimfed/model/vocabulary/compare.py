"""What one vocabulary changes against another, and whether old data and old policies stay valid.

*Data* stay valid when every row of the old vocabulary is one of the new: what is new is empty in it. *Policies* stay
valid when each that the old vocabulary allows is allowed by the new and gives the same: no word, unit, code or mask
that one may name goes away or comes to mean something else.

=====================================  =====  =========
change                                 data   policies
=====================================  =====  =========
collection, property, code, mask new   valid  valid
collection, property gone              not    not
type, unit changed                     not    not
scale raised                           not    valid
scale lowered                          not    not
code gone                              not    not
mask gone, lowest level raised         valid  not
other levels, meaning, order of codes  valid  valid
=====================================  =====  =========

A new meaning is for people to judge: the change says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cimfed.model.vocabulary.terms import Collection, Property, Vocabulary


class Kind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True)
class Change:
    """``place``: a collection, or a property such as ``building.height``. ``data``, ``policies``: whether old ones stay
    valid."""

    place: str
    kind: Kind
    what: str
    data: bool = True
    policies: bool = True


def compare(old: Vocabulary, new: Vocabulary, *, whole: bool) -> list[Change]:
    """``whole``: what ``new`` lacks is gone; else it is some collections, and the others stay as they are."""
    found = [*_common(old.common, new.common)] if whole else []
    for name, collection in new.collections.items():
        if name in old.collections:
            found += _properties(f"{name}.", _own(old, name), _own(new, name))
            found += _meaning(name, old.collections[name], collection)
        else:
            count = len(_own(new, name))
            found.append(Change(name, Kind.ADDED, f"a collection with {count} properties of its own"))
    if whole:
        gone = [name for name in old.collections if name not in new.collections]
        found += [Change(name, Kind.REMOVED, "the collection", data=False, policies=False) for name in gone]
        if found and old.version == new.version:
            found.append(Change("version", Kind.CHANGED, f"not: {new.version} as before; raise it before it is used"))
        elif old.version != new.version:
            found.append(Change("version", Kind.CHANGED, f"{old.version} to {new.version}"))
    return found


def _common(old: Mapping[str, Property], new: Mapping[str, Property]) -> Iterator[Change]:
    """Properties of all collections, once and not for each of them."""
    yield from _properties("*.", old, new)


def _own(vocabulary: Vocabulary, name: str) -> dict[str, Property]:
    properties = vocabulary.collections[name].properties
    return {name: prop for name, prop in properties.items() if name not in vocabulary.common}


def _properties(at: str, old: Mapping[str, Property], new: Mapping[str, Property]) -> Iterator[Change]:
    for name, prop in new.items():
        if name not in old:
            yield Change(f"{at}{name}", Kind.ADDED, f"{prop.form}: {prop.meaning}")
        else:
            yield from _property(f"{at}{name}", old[name], prop)
    for name in old:
        if name not in new:
            yield Change(f"{at}{name}", Kind.REMOVED, "the property", data=False, policies=False)


def _property(place: str, old: Property, new: Property) -> Iterator[Change]:
    def changed(what: str, data: bool = True, policies: bool = True) -> Change:
        return Change(place, Kind.CHANGED, what, data, policies)

    if old.type != new.type:
        yield changed(f"type {old.type} to {new.type}", False, False)
        return
    if old.unit != new.unit:
        yield changed(f"unit {old.unit or 'none'} to {new.unit or 'none'}", False, False)
    if old.scale != new.scale:
        yield changed(f"scale {old.scale} to {new.scale}", False, new.scale > old.scale)
    for words, one, other in (("codes", old.codes, new.codes), ("masks", old.masks, new.masks)):
        more, fewer = [word for word in other if word not in one], [word for word in one if word not in other]
        if more:
            yield changed(f"more {words}: {', '.join(more)}")
        if fewer:
            yield changed(f"{words} gone: {', '.join(fewer)}", words == "masks", False)
        if not more and not fewer and one != other:
            yield changed(f"order of {words}")
    if old.levels != new.levels:
        before, after = ("any" if not levels else ", ".join(map(str, levels)) for levels in (old.levels, new.levels))
        yield changed(f"levels {before} to {after}", True, min(new.levels, default=0) <= min(old.levels, default=0))
    yield from _meaning(place, old, new)


def _meaning(place: str, old: Property | Collection, new: Property | Collection) -> Iterator[Change]:
    if old.meaning != new.meaning:
        yield Change(place, Kind.CHANGED, f"meaning, judge whether values stay the same: {new.meaning}")
