"""What a vocabulary consists of: collections, their properties, and the types that these have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cimfed.errors import UnknownProperty


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
MASKS = ("exact", "band", "null")
"""Masks that a property may declare, from the finest to the coarsest."""


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

    @property
    def form(self) -> str:
        """The type as people read it: ``decimal(2)``."""
        return f"{self.type}({self.scale})" if self.type is Type.DECIMAL else str(self.type)


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
    """``common``: the properties that every collection has, which stand in ``properties`` of each."""

    version: str
    collections: Mapping[str, Collection]
    common: Mapping[str, Property]
