"""The shape of a grant: what it gives, in a form that can be met, hashed and compiled.

A shape is rows (predicates), areas (whole objects), columns each with a mask, the finest level of detail, whether
untouched objects go along, a validity, obligations, and whom the answer may pass through. ``meet`` (in
``cimfed.policy.meet``) gives the tighter of two shapes; ``cimfed_node.views`` turns a shape and a snapshot into a view
by one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from cimfed.model.vocabulary import VOCABULARY, Collection, Property, Type
from cimfed.query.expression import Expression


class MaskKind(StrEnum):
    EXACT = "exact"
    BAND = "band"  # floor to a multiple of the width, from zero
    NULL = "null"


@dataclass(frozen=True)
class Mask:
    """``width`` is of BAND only: positive, in the property's unit, with no more decimals than its scale."""

    kind: MaskKind
    width: Decimal | None = None

    def __str__(self) -> str:
        """``exact``, ``band(5)`` or ``null``: one text for one mask, as Arrow field metadata has it."""
        return str(self.kind) if self.width is None else f"band({width_text(self.width)})"


EXACT = Mask(MaskKind.EXACT)
NULL = Mask(MaskKind.NULL)
FINEST_LOD = 3
MAX_WIDTH = Decimal(10) ** 9
"""Bands wider than this say nothing any more; the meet of bands that would need one is NULL."""


def band(width: Decimal) -> Mask:
    return Mask(MaskKind.BAND, width)


def width_text(width: Decimal) -> str:
    """The width without exponent and trailing zeros: 5, 2.5, 1000."""
    return format(width.normalize(), "f")


def mask_value(mask: Mask) -> str | dict[str, str]:
    """The mask as canonical JSON has it."""
    return str(mask) if mask.width is None else {"band": width_text(mask.width)}


@dataclass(frozen=True)
class Shape:
    """All parts narrow: an object must satisfy every predicate of ``rows`` and lie wholly within every area.

    ``rows``: conjoined predicates, a set so that order cannot matter.
    ``areas``: WKB (OGC:CRS84, normalised) of areas, conjoined; an object without geometry_lod0 lies in none.
    ``columns``: mask by name, of the columns that the grant names; ``view_columns`` adds those that follow.
    ``max_lod``: finest level of detail given; None: no geometry and no box.
    ``valid``: half-open, microseconds since the epoch.
    ``original``: the untouched object beside each row (``gives_originals``).
    """

    collection: str
    rows: frozenset[Expression]
    areas: frozenset[bytes]
    columns: Mapping[str, Mask]
    max_lod: int | None
    valid: tuple[int, int]
    obligations: frozenset[str] = frozenset()
    via: frozenset[str] | None = None  # gateways that may present it, and the word "direct"; None: any of them
    original: bool = False


DIRECT = "direct"
"""Stands in ``via`` for the partner itself, with no gateway between."""


def view_columns(shape: Shape) -> dict[str, Mask]:
    """Every column of the view of a shape, in the vocabulary's order.

    These are ``city``, the columns that the shape names, geometry up to ``max_lod``, and ``bbox`` where there is
    geometry. A named column that needs a finer level of detail than the shape gives (zmin, zmax) is not there.
    """
    found: dict[str, Mask] = {}
    for name, prop in VOCABULARY.collections[shape.collection].properties.items():
        if name == "city" or (follows_geometry(prop) and _has_level(prop, shape.max_lod)):
            found[name] = EXACT
        elif name in shape.columns and (not prop.levels or _has_level(prop, shape.max_lod)):
            found[name] = shape.columns[name]
    return found


NESTED = ("building_part", "storey", "room")
"""Collections whose objects have no original of their own: they stand in their building's."""


def gives_originals(shape: Shape) -> bool:
    """Whether untouched objects go along: never where the shape, however it came about, hides anything of them."""
    collection = VOCABULARY.collections[shape.collection]
    whole = shape.max_lod == FINEST_LOD and not lacking(collection, shape.columns)
    return shape.original and whole and shape.collection not in NESTED


def lacking(collection: Collection, columns: Mapping[str, Mask]) -> list[str]:
    """Columns of a collection that could be named and are not, or not exact: what an original would show of them."""
    return [
        name
        for name, prop in collection.properties.items()
        if name != "city" and not follows_geometry(prop) and columns.get(name) != EXACT
    ]


def follows_geometry(prop: Property) -> bool:
    """Whether the column comes with ``max_lod`` alone and is never named."""
    return prop.type in (Type.GEOMETRY, Type.BOX)


def lowest_level(prop: Property) -> int:
    """The least ``max_lod`` at which a column stands that depends on geometry."""
    if prop.type is Type.GEOMETRY:
        return int(prop.name.removeprefix("geometry_lod"))
    return min(prop.levels, default=0)


def _has_level(prop: Property, max_lod: int | None) -> bool:
    return max_lod is not None and lowest_level(prop) <= max_lod
