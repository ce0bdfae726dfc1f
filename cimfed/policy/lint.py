"""What a steward should look at twice before signing: findings that need no data.

A finding is not an error of the format; the policy means what it says. An ``ERROR`` is one where what it says very
likely gives away what it hides, or gives nothing at all.

==================  ========  =====================================================================
fine-geometry       error     a masked measure that the given geometry tells exactly
never-valid         error     the grant is never valid while the policy is
area-outside        error     the area lies outside the declared extent: no object is given
join                warning   two grants that one subject can hold together give more than each
beside-originals    warning   a grant of untouched objects, beside one of the same subject that hides something
broad-subject       warning   no organisation is named: whoever is admitted later is meant too
beyond-policy       warning   the grant ends after the policy or begins before it, and is cut
area-cut            warning   the area leaves the declared extent, and is cut
undeclared-extent   warning   no extent is declared: every query comes to this city
empty-declaration   warning   a collection is declared, but neither listed nor granted
listed-not-granted  warning   a listed property is granted to nobody
==================  ========  =====================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import shapely

from cimfed.model.instants import instant_text
from cimfed.policy.area import extent_area
from cimfed.policy.decide import shape_of
from cimfed.policy.grant import Grant, Policy, Subjects
from cimfed.policy.meet import is_coarser
from cimfed.policy.shape import EXACT, NULL, view_columns

TOLD_BY_GEOMETRY = {"height": 1, "zmin": 1, "zmax": 1, "volume": 1, "footprint_area": 0}
"""Measures, and the level of detail from which the geometry tells them."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    severity: Severity
    rule: str
    message: str
    grant: str = ""  # empty: of the policy as a whole

    def __str__(self) -> str:
        return f"{self.severity}: {self.rule}: {f'grant {self.grant}: ' if self.grant else ''}{self.message}"


def lint(policy: Policy) -> list[Finding]:
    """All findings, errors first, else in the order of the document."""
    found = [finding for grant in policy.grants for finding in _of_grant(policy, grant)]
    found += _joins(policy)
    found += _of_policy(policy)
    return sorted(found, key=lambda finding: finding.severity is not Severity.ERROR)


def _of_grant(policy: Policy, grant: Grant) -> Iterator[Finding]:
    def error(rule: str, message: str) -> Finding:
        return Finding(Severity.ERROR, rule, message, grant.id)

    def warning(rule: str, message: str) -> Finding:
        return Finding(Severity.WARNING, rule, message, grant.id)

    for name, lod in TOLD_BY_GEOMETRY.items():
        mask = grant.columns.get(name, EXACT)
        if mask != EXACT and grant.max_lod is not None and grant.max_lod >= lod:
            yield error("fine-geometry", f"{name} is {mask}, but geometry of level {grant.max_lod} tells it")
    if not grant.subjects.org:
        named = "a role" if grant.subjects.role else "a country"
        yield warning("broad-subject", f"it goes to whoever is admitted with {named}, now or later; name org")
    start, end = shape_of(policy, grant).valid
    if start >= end:
        yield error("never-valid", "it is not valid at any time that the policy is")
    elif grant.valid is not None and (start, end) != grant.valid:
        yield warning(
            "beyond-policy", f"it is cut to the policy's validity, {instant_text(start)} to {instant_text(end)}"
        )
    extent = policy.declared.get(grant.collection)
    if extent is not None and grant.area is not None:
        box, area = shapely.from_wkb(extent_area(extent)), shapely.from_wkb(grant.area)
        if not shapely.intersects(box, area):
            yield error("area-outside", f"its area lies outside the declared extent of {grant.collection}")
        elif not shapely.covers(box, area):
            yield warning("area-cut", f"its area leaves the declared extent of {grant.collection}, and is cut")


def _joins(policy: Policy) -> Iterator[Finding]:
    """Pairs of grants that one subject can hold, where one shows finer what the other masks or leaves out, or shows
    objects untouched.

    A partner who gets both can lay the answers side by side; no rule at the node can prevent it.
    """
    for one, other in combinations(policy.grants, 2):
        if one.collection != other.collection or not _share_subject(one.subjects, other.subjects):
            continue
        if one.valid and other.valid and max(one.valid[0], other.valid[0]) >= min(one.valid[1], other.valid[1]):
            continue
        if one.original != other.original:
            whole, narrow = (one, other) if one.original else (other, one)
            yield Finding(
                Severity.WARNING,
                "beside-originals",
                f"whoever also holds {narrow.id} has objects of it untouched by this one: all that {narrow.id} hides "
                "of them, and by comparing both how this city's coordinates are transformed",
                whole.id,
            )
        first, second = view_columns(shape_of(policy, one)), view_columns(shape_of(policy, other))
        more_in_one = [name for name, mask in first.items() if not is_coarser(mask, second.get(name, NULL))]
        more_in_other = [name for name, mask in second.items() if not is_coarser(mask, first.get(name, NULL))]
        if more_in_one and more_in_other:
            yield Finding(
                Severity.WARNING,
                "join",
                f"whoever also holds {other.id} can join their answers: this one gives finer "
                f"{', '.join(more_in_one)}; {other.id} gives finer {', '.join(more_in_other)}",
                one.id,
            )


def _share_subject(one: Subjects, other: Subjects) -> bool:
    """Whether some subject may be meant by both; roles never rule that out, since one can have several."""
    return all(
        not first or not second or not first.isdisjoint(second)
        for first, second in ((one.org, other.org), (one.country, other.country))
    )


def _of_policy(policy: Policy) -> Iterator[Finding]:
    granted = {grant.collection for grant in policy.grants}
    for name in sorted(granted):
        if policy.declared.get(name) is None:
            yield Finding(
                Severity.WARNING, "undeclared-extent", f"{name} has no declared extent: every query for it comes here"
            )
    for name in policy.declared:
        if name not in granted and name not in policy.listed:
            yield Finding(Severity.WARNING, "empty-declaration", f"{name} is published, but neither listed nor granted")
    for name, properties in policy.listed.items():
        given = {
            column
            for grant in policy.grants
            if grant.collection == name
            for column, mask in view_columns(shape_of(policy, grant)).items()
            if mask != NULL
        }
        if missing := sorted(properties - given):
            yield Finding(Severity.WARNING, "listed-not-granted", f"{name}: granted to nobody: {', '.join(missing)}")
