"""What an activation would change, told without building anything and without the operator's lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cimfed.errors import CimfedError
from cimfed.policy.decide import shapes
from cimfed.policy.grant import Policy
from cimfed_node.activate import Publisher


@dataclass(frozen=True)
class Foreseen:
    """``before`` 0: no policy is in force, or none that can be believed.

    Ids of grants: ``altered`` ones give something else, or to others, or on other terms.
    """

    version: int
    before: int
    same: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    altered: tuple[str, ...]
    notes: tuple[str, ...]


def foresee(publishing: Publisher, content: bytes, source: str) -> Foreseen:
    """The errors of ``Publisher.activate`` where it would be refused."""
    checked = publishing.check(content, source)
    notes, before, old = [*checked.notes], 0, dict[str, object]()
    try:
        in_force = publishing.policy_in_force()
    except CimfedError as error:
        in_force = None
        notes.append(f"what is in force cannot be compared with: {error.message}")
    if in_force is not None:
        before, old = in_force.policy.version, dict(_terms(in_force.policy))
    new = _terms(checked.signed.policy)
    return Foreseen(
        version=checked.signed.policy.version,
        before=before,
        same=checked.same,
        added=tuple(grant for grant in new if grant not in old),
        removed=tuple(grant for grant in old if grant not in new),
        altered=tuple(grant for grant, terms in new.items() if grant in old and old[grant] != terms),
        notes=tuple(notes),
    )


def _terms(policy: Policy) -> Mapping[str, object]:
    """All that a policy says of each grant, and the shape that comes of it."""
    given = dict(shapes(policy))
    return {grant.id: (grant, grant.valid or policy.valid, given[grant.id]) for grant in policy.grants}
