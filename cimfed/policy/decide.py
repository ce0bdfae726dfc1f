"""The decision: which grant of a policy answers a query, and the shape that it gives.

The order of evaluation, each step as it stands in the code:

1. The policy is in force now (half-open). Otherwise: not_granted.
2. A grant matches when it is of the collection, names the purpose, means the subject (organisation, country and
   role must all agree where named) and is itself valid now.
3. Where a grant is named, only that one of those that match is left.
4. No grant is left: not_granted, with one message whatever the cause and whether data exists or not.
5. None is named and several match: choose_grant with their ids. Grants never join.
6. ``via``: the partner itself, or every gateway that the answer passes, is one that the grant names. Otherwise:
   not_via.
7. The shape: the grant's own, met with the declared extent of its collection and the policy's validity.

Keys, signatures, addresses and times of the query were checked before; what was not is denied here by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cimfed.errors import ChooseGrant, NotGranted, NotVia
from cimfed.model.names import GatewayName
from cimfed.policy.area import extent_area
from cimfed.policy.grant import Grant, Policy, Subject
from cimfed.policy.meet import meet, widest
from cimfed.policy.rows import conjuncts
from cimfed.policy.shape import DIRECT, Shape


@dataclass(frozen=True)
class Decision:
    """``shape`` is the effective one: its hash names the view that answers."""

    grant: Grant
    shape: Shape


def decide(
    policy: Policy,
    subject: Subject,
    purpose: str,
    collection: str,
    now: int,
    presenter: GatewayName | None = None,
    named_grant: str | None = None,
    passed: Sequence[GatewayName] = (),
) -> Decision:
    """The grant that answers; NotGranted, ChooseGrant or NotVia.

    ``now`` in microseconds. ``presenter`` is the gateway that presents the query, None where the partner itself
    does; ``passed`` are the gateways that it passed before.
    """
    if not _holds(policy.valid, now):  # 1
        raise _not_granted()
    matching = [  # 2
        grant
        for grant in matching_grants(policy, subject, now)
        if grant.collection == collection and purpose in grant.purposes
    ]
    if named_grant is not None:  # 3
        matching = [grant for grant in matching if grant.id == named_grant]
    if not matching:  # 4
        raise _not_granted()
    if len(matching) > 1:  # 5
        ids = ", ".join(grant.id for grant in matching)
        raise ChooseGrant(f"several grants match: {ids}", remedy="Name one of them for this city")
    grant = matching[0]
    shape = shape_of(policy, grant)
    check_via(shape, presenter, passed)  # 6
    return Decision(grant, shape)  # 7


def matching_grants(policy: Policy, subject: Subject, now: int) -> Iterator[Grant]:
    """Grants that mean the subject and are valid now, for whatever purpose and collection."""
    for grant in policy.grants:
        if subject in grant.subjects and _holds(policy.valid, now) and _holds(grant.valid or policy.valid, now):
            yield grant


def check_via(shape: Shape, presenter: GatewayName | None, passed: Sequence[GatewayName] = ()) -> None:
    """NotVia unless the shape lets the answer go to whoever presents the query, and through all that it passed."""
    if not allows(shape.via, presenter, passed):
        raise NotVia("the grant does not allow this way", remedy="Ask through a gateway that the city names")


def allows(via: frozenset[str] | None, presenter: GatewayName | None, passed: Sequence[GatewayName] = ()) -> bool:
    """Whether an answer may be seen by whoever presents the query, and by all that it passed."""
    seen = {DIRECT} if presenter is None and not passed else {*passed, *([presenter] if presenter else [])}
    return via is None or seen <= via


def shape_of(policy: Policy, grant: Grant) -> Shape:
    """The effective shape: what the view of the grant is compiled from."""
    extent = policy.declared.get(grant.collection)
    bounds = replace(
        widest(grant.collection),
        areas=frozenset() if extent is None else frozenset({extent_area(extent)}),
        valid=policy.valid,
    )
    own = Shape(
        collection=grant.collection,
        rows=conjuncts(grant.rows),
        areas=frozenset() if grant.area is None else frozenset({grant.area}),
        columns=grant.columns,
        max_lod=grant.max_lod,
        valid=grant.valid or policy.valid,
        obligations=grant.obligations,
        via=grant.via,
        original=grant.original,
    )
    return meet(own, bounds)


def shapes(policy: Policy) -> Iterator[tuple[str, Shape]]:
    """Every grant's id and effective shape: what an activation compiles."""
    for grant in policy.grants:
        yield grant.id, shape_of(policy, grant)


def _holds(valid: tuple[int, int], now: int) -> bool:
    return valid[0] <= now < valid[1]


def _not_granted() -> NotGranted:
    return NotGranted("nothing is granted for this", remedy="Ask the city for access")
