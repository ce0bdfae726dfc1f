"""The meet of two shapes: the shape that gives no more than either.

Each part is a semilattice of its own, so the whole is one: meet is commutative, associative and idempotent, and
never wider than what it was made from.

====================  =======================================================================
rows, areas           united as sets: all must hold
columns               those of both, each under the coarser mask
max_lod               the less detailed; None (no geometry) is the least
valid                 the time in both; empty where the start is not before the end
via                   those in both; None (anyone) is the widest
obligations           united
original              where both have it
====================  =======================================================================

Masks are ordered by what can be computed from what: exact gives every band, a band gives every band whose width is
a multiple of its own, everything gives null. The coarser of two bands is that of the least common multiple of their
widths (docs/adr/0001-meet-of-bands.md).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import gcd, lcm
from types import MappingProxyType

import rfc8785

from cimfed.errors import BadPolicy
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.rows import tree
from cimfed.policy.shape import (
    EXACT,
    FINEST_LOD,
    MAX_WIDTH,
    NULL,
    Mask,
    MaskKind,
    Shape,
    band,
    follows_geometry,
    mask_value,
)
from cimfed.trust.hashing import digest

SHAPE_DOMAIN = "cimfed shape v1"
EVER = (0, 2**63 - 1)


def widest(collection: str) -> Shape:
    """The shape that gives everything: its meet with another is that other."""
    properties = VOCABULARY.collections[collection].properties
    return Shape(
        collection=collection,
        rows=frozenset(),
        areas=frozenset(),
        columns=MappingProxyType(
            {name: EXACT for name, prop in properties.items() if name != "city" and not follows_geometry(prop)}
        ),
        max_lod=FINEST_LOD,
        valid=EVER,
        original=True,
    )


def meet(one: Shape, other: Shape) -> Shape:
    if one.collection != other.collection:
        raise BadPolicy(f"shapes of {one.collection} and {other.collection} do not meet")
    return Shape(
        collection=one.collection,
        rows=one.rows | other.rows,
        areas=one.areas | other.areas,
        columns=MappingProxyType(
            {name: meet_masks(mask, other.columns[name]) for name, mask in one.columns.items() if name in other.columns}
        ),
        max_lod=None if one.max_lod is None or other.max_lod is None else min(one.max_lod, other.max_lod),
        valid=(max(one.valid[0], other.valid[0]), min(one.valid[1], other.valid[1])),
        obligations=one.obligations | other.obligations,
        via=_narrower(one.via, other.via),
        original=one.original and other.original,
    )


def meet_masks(one: Mask, other: Mask) -> Mask:
    """The finest mask that can be computed from either."""
    if one.kind is MaskKind.EXACT:
        return other
    if other.kind is MaskKind.EXACT:
        return one
    if one.width is None or other.width is None:
        return NULL
    width = _least_common_multiple(Fraction(one.width), Fraction(other.width))
    return band(_decimal(width)) if width <= MAX_WIDTH else NULL


def is_coarser(one: Mask, other: Mask) -> bool:
    """Whether ``one`` can be computed from ``other`` (a mask can from itself)."""
    return meet_masks(one, other) == one


def _least_common_multiple(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(lcm(one.numerator, other.numerator), gcd(one.denominator, other.denominator))


def _decimal(value: Fraction) -> Decimal:
    """Exact: the denominators of decimals divide a power of ten."""
    scale = 0
    while 10**scale % value.denominator:
        scale += 1
    return Decimal(f"{value.numerator * 10**scale // value.denominator}E-{scale}")


def _narrower(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def canonical(shape: Shape) -> bytes:
    """One text (RFC 8785 JSON) for one shape, whatever order it was made in. ``original`` stands there if true."""
    return rfc8785.dumps(
        {
            "collection": shape.collection,
            "rows": [text.decode() for text in sorted(rfc8785.dumps(tree(row)) for row in shape.rows)],
            "areas": sorted(area.hex() for area in shape.areas),
            "columns": {name: mask_value(mask) for name, mask in shape.columns.items()},
            "max_lod": shape.max_lod,
            "valid": [str(time) for time in shape.valid],
            "obligations": sorted(shape.obligations),
            "via": None if shape.via is None else sorted(shape.via),
            **({"original": True} if shape.original else {}),
        }
    )


def shape_hash(shape: Shape) -> bytes:
    """One of the inputs that name a view. It stays at the node (``payload.shown_shape`` is what leaves it)."""
    return digest(SHAPE_DOMAIN, [canonical(shape)])
