"""The common vocabulary: collections and their properties, with types, units and codes.

One YAML file per collection stands beside this module; ``VOCABULARY`` is all of them, checked once at import.
Every row of every collection also has the common properties of ``common.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import yaml

from cimfed.errors import BadConfig, UnknownProperty


class Type(StrEnum):
    TEXT = "text"
    CODE = "code"  # text out of a closed list
    INTEGER = "integer"  # 64 bits
    DECIMAL = "decimal"  # DECIMAL(18, scale)
    TIME = "time"  # UTC, microseconds
    NAMES = "names"  # map of language to text, NFC; cannot be compared
    JSON = "json"  # text holding JSON; cannot be compared
    GEOMETRY = "geometry"  # WKB in OGC:CRS84, z in the city's vertical datum; cannot be compared
    BOX = "box"  # struct of xmin, ymin, xmax, ymax in degrees; cannot be compared


COMPARABLE = frozenset({Type.TEXT, Type.CODE, Type.INTEGER, Type.DECIMAL, Type.TIME})
NUMERIC = frozenset({Type.INTEGER, Type.DECIMAL})


@dataclass(frozen=True)
class Property:
    """``scale`` is the number of decimals (DECIMAL only), ``unit`` a UCUM code, ``masks`` the declared chain."""

    name: str
    type: Type
    meaning: str
    unit: str = ""
    scale: int = 0
    codes: tuple[str, ...] = ()
    masks: tuple[str, ...] = ("exact", "null")  # from the finest to the coarsest
    levels: tuple[int, ...] = ()  # LoDs of which one is needed for the property to stand (zmin, zmax)


@dataclass(frozen=True)
class Collection:
    name: str
    meaning: str
    properties: Mapping[str, Property]

    def property(self, name: str) -> Property:
        try:
            return self.properties[name]
        except KeyError:
            raise UnknownProperty(f"{self.name} has no property {name[:64]!r}", place=name[:64]) from None


@dataclass(frozen=True)
class Vocabulary:
    version: str
    collections: Mapping[str, Collection]


def _properties(document: Mapping[str, object], source: str) -> dict[str, Property]:
    found: dict[str, Property] = {}
    for name, entry in document.items():
        if not isinstance(entry, Mapping):
            raise BadConfig("a property is a mapping", place=f"{source}: {name}")
        fields = dict(entry)
        for key in ("codes", "masks", "levels"):
            if key in fields:
                fields[key] = tuple(fields[key])
        found[name] = Property(name=name, type=Type(fields.pop("type")), **fields)
    return found


@cache
def load() -> Vocabulary:
    """The vocabulary that this release carries."""
    folder = files(__package__)
    common = yaml.safe_load(folder.joinpath("common.yaml").read_text("utf-8"))
    shared = _properties(common["properties"], "common.yaml")
    collections: dict[str, Collection] = {}
    for name in common["collections"]:
        source = f"{name}.yaml"
        document = yaml.safe_load(folder.joinpath(source).read_text("utf-8"))
        own = _properties(document["properties"], source)
        collections[name] = Collection(
            name=name, meaning=document["meaning"], properties=MappingProxyType({**shared, **own})
        )
    return Vocabulary(version=str(common["version"]), collections=MappingProxyType(collections))


VOCABULARY = load()
