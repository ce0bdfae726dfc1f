"""Which rows belong to an object, and which objects were erased.

A row belongs to the objects that it names: a part, storey or room to its building, a room to its storey, a sensor to
what it stands at, a reading to its sensor and to what it is about. Erased objects are known by keyed digests alone:
who reads these without the city's secret cannot tell which objects there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from cimfed.errors import BadFile
from cimfed.model.vocabulary import VOCABULARY, Type
from cimfed.trust.hashing import digest
from cimfed_node.ingest.arrays import Bools, among

DOMAIN = "cimfed erased object v1"
_FEATURE, _ITS_COLLECTION = "feature", "feature_collection"


class OnErased(StrEnum):
    """What becomes of objects of a file that were erased here, and of what belongs to them."""

    REFUSE = "refuse"
    LEAVE_OUT = "leave-out"
    ALLOW = "allow"


@cache
def links(collection: str) -> tuple[tuple[str, str], ...]:
    """The columns that name other objects, each with their collection: empty where the row itself names that."""
    found = VOCABULARY.collections[collection].properties
    named = [(name, name) for name, prop in found.items() if prop.type is Type.TEXT and name in VOCABULARY.collections]
    return (*named, *([(_FEATURE, "")] if _ITS_COLLECTION in found else []))


@cache
def named_by_others() -> frozenset[str]:
    """Collections whose objects rows of others may belong to."""
    found: set[str] = set()
    for collection in VOCABULARY.collections.values():
        found |= {target for _, target in links(collection.name) if target}
        if _ITS_COLLECTION in collection.properties:
            found |= set(collection.properties[_ITS_COLLECTION].codes)
    return frozenset(found)


def columns(collection: str) -> list[str]:
    """What ``belonging`` looks at."""
    named = [name for name, _ in links(collection)]
    return ["id", *named, *([_ITS_COLLECTION] if _FEATURE in named else [])]


def belonging(table: pa.Table, collection: str, objects: Mapping[str, Any]) -> Bools:
    """Rows that are one of the objects, or belong to one. ``objects``: arrays of ids by collection."""
    found: Bools = np.zeros(table.num_rows, np.bool_)
    if collection in objects:
        found |= among(table.column("id"), objects[collection])
    for name, target in links(collection):
        if name not in table.column_names:
            continue
        for other in (target,) if target else objects:
            if other in objects:
                here = among(table.column(name), objects[other])
                if not target:
                    here &= among(table.column(_ITS_COLLECTION), pa.array([other]))
                found |= here
    return found


def object_digest(secret: bytes, collection: str, id: str) -> bytes:
    return digest(DOMAIN, [secret, collection, id])


@dataclass
class Erased:
    """Objects that were erased here, by digest, and what becomes of them in an import. ``met``: their rows so far."""

    secret: bytes = b""
    digests: Set[bytes] = frozenset()
    rule: OnErased = OnErased.REFUSE
    met: int = 0
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def rows(self, collection: str, ids: Sequence[str], values: Iterable[Mapping[str, Any]]) -> list[int]:
        """The rows that an import leaves out. BadFile where it is refused."""
        if not self.digests:
            return []
        found = [
            number
            for number, (id, row) in enumerate(zip(ids, values, strict=True))
            if self._is(collection, id) or self._belongs(collection, row)
        ]
        self.met += len(found)
        return [] if self.rule is OnErased.ALLOW else found

    def check(self) -> None:
        """After the last row. BadFile where any was met that must not be."""
        if self.met and self.rule is OnErased.REFUSE:
            raise BadFile(
                f"{self.met:,} objects were erased from this node, or belong to one that was; nothing was imported",
                remedy="Leave them out with --on-erased leave-out, or bring them back with --on-erased allow",
            )

    @property
    def notes(self) -> tuple[str, ...]:
        how = "let in again" if self.rule is OnErased.ALLOW else "left out"
        return (f"{self.met:,} objects that were erased here, or belong to one, were {how}",) if self.met else ()

    def _is(self, collection: str, id: str) -> bool:
        return object_digest(self.secret, collection, id) in self.digests

    def _belongs(self, collection: str, row: Mapping[str, Any]) -> bool:
        for name, target in links(collection):
            id, other = row.get(name), target or row.get(_ITS_COLLECTION)
            if id is None or other is None:
                continue
            known = self._known.get((other, id))
            if known is None:
                known = self._known[other, id] = self._is(other, id)
            if known:
                return True
        return False
