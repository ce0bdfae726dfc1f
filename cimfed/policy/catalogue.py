"""What one subject may know of a policy: what is granted to it, and what is listed for all.

Rules: nobody sees grants of others, neither their ids nor their number; a property appears without a grant only
where the steward listed it; a policy or grant that is not valid now is not there; nothing listed or granted is an
empty catalogue, not an error. Via plays no part: what may be asked is seen, also where another way must be taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.decide import matching_grants, shape_of
from cimfed.policy.grant import Grant, Policy, Subject
from cimfed.policy.shape import Mask, view_columns


@dataclass(frozen=True)
class Entry:
    """One property, as one grant gives it, or as it is listed.

    ``mask``, ``grant``, ``valid`` and what follows are of granted entries only. ``listed``: anyone of the
    federation may see that the property is there.
    """

    collection: str
    property: str
    listed: bool
    granted: bool
    mask: Mask | None = None
    grant: str = ""
    purposes: tuple[str, ...] = ()
    max_lod: int | None = None
    valid: tuple[int, int] | None = None
    obligations: tuple[str, ...] = ()
    via: frozenset[str] | None = None


def catalogue(policy: Policy, subject: Subject, now: int, collection: str | None = None) -> list[Entry]:
    """Entries by collection, then grants in the policy's order, then what is listed and not granted."""
    if not policy.valid[0] <= now < policy.valid[1]:
        return []
    grants = list(matching_grants(policy, subject, now))
    found: list[Entry] = []
    for name in [collection] if collection is not None else policy.collections():
        of_grants = [entry for grant in grants if grant.collection == name for entry in _granted(policy, grant)]
        given = {entry.property for entry in of_grants}
        found += of_grants
        found += [
            Entry(name, prop, listed=True, granted=False)
            for prop in _in_order(name, policy.listed.get(name, frozenset()))
            if prop not in given
        ]
    return found


def _granted(policy: Policy, grant: Grant) -> list[Entry]:
    shape = shape_of(policy, grant)
    return [
        Entry(
            collection=grant.collection,
            property=name,
            listed=name in policy.listed.get(grant.collection, ()),
            granted=True,
            mask=mask,
            grant=grant.id,
            purposes=tuple(sorted(grant.purposes)),
            max_lod=shape.max_lod,
            valid=shape.valid,
            obligations=tuple(sorted(shape.obligations)),
            via=shape.via,
        )
        for name, mask in view_columns(shape).items()
    ]


def _in_order(collection: str, properties: frozenset[str]) -> list[str]:
    return [name for name in VOCABULARY.collections[collection].properties if name in properties] if properties else []
