"""The shape of a grant: what it gives, in a form that can be met, hashed and compiled.

A shape is rows (predicates), areas (whole objects), columns each with a mask, the finest level of detail and a
validity. ``meet`` (in ``cimfed.policy.meet``) gives the tighter of two shapes; ``cimfed_node.views`` turns a shape
and a snapshot into a view by one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

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
        return f"band({self.width})" if self.kind is MaskKind.BAND else str(self.kind)


EXACT = Mask(MaskKind.EXACT)
NULL = Mask(MaskKind.NULL)


@dataclass(frozen=True)
class Shape:
    """All parts narrow: an object must satisfy every predicate of ``rows`` and lie wholly within every area.

    ``rows``: conjoined predicates, a set so that order cannot matter.
    ``areas``: WKB (OGC:CRS84, normalised) of areas, conjoined; an object without geometry_lod0 lies in none.
    ``columns``: mask by property name; a property not named is not there.
    ``max_lod``: finest level of detail given; None: no geometry and no box.
    ``valid``: half-open, microseconds since the epoch.
    """

    collection: str
    rows: frozenset[Expression]
    areas: frozenset[bytes]
    columns: Mapping[str, Mask]
    max_lod: int | None
    valid: tuple[int, int]
    obligations: frozenset[str] = frozenset()
    via: frozenset[str] | None = None  # gateways that may see it; None: any, or direct
