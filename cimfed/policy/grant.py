"""A policy as values: what a city gives to whom, for what, in which shape.

Values of these types have passed every check of ``cimfed.policy.document``; nothing here reads text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cimfed.model.names import CityName, PartnerName
from cimfed.model.routing import Extent
from cimfed.policy.shape import Mask
from cimfed.query.expression import Expression

FORMAT = "cimfed/policy/v1"


@dataclass(frozen=True)
class Subject:
    """Who asks, as the directory knows them: the organisation, its country (ISO 3166 alpha-2) and its roles."""

    org: PartnerName
    country: str
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Subjects:
    """Whom a grant means: all keys that are not empty must agree, each with one of its words."""

    org: frozenset[PartnerName] = frozenset()
    country: frozenset[str] = frozenset()
    role: frozenset[str] = frozenset()

    def __contains__(self, subject: Subject) -> bool:
        if not (self.org or self.country or self.role):
            return False  # the empty list refuses
        return (
            (not self.org or subject.org in self.org)
            and (not self.country or subject.country in self.country)
            and (not self.role or not self.role.isdisjoint(subject.roles))
        )


@dataclass(frozen=True)
class Agreement:
    """The contract behind a grant; ``sha256`` is that of its text, empty where none is given."""

    id: str
    sha256: bytes = b""


@dataclass(frozen=True)
class Grant:
    """``columns`` are the columns named; ``area`` is WKB in OGC:CRS84; ``valid`` None: as long as the policy.

    ``original``: untouched objects go along.
    """

    id: str
    subjects: Subjects
    purposes: frozenset[str]
    collection: str
    columns: Mapping[str, Mask]
    rows: Expression | None = None
    area: bytes | None = None
    max_lod: int | None = None
    valid: tuple[int, int] | None = None
    via: frozenset[str] | None = None
    obligations: frozenset[str] = frozenset()
    agreement: Agreement | None = None
    original: bool = False


@dataclass(frozen=True)
class Policy:
    """One version of a city's policy.

    ``valid``: half-open, microseconds since the epoch.
    ``declared``: the extent that no answer of a collection leaves; None where none is declared.
    ``listed``: properties that anyone of the federation may see in the catalogue, by collection.
    ``salt``: 16 random bytes that keep the published hash from confirming a guess of the text.
    """

    city: CityName
    version: int
    valid: tuple[int, int]
    declared: Mapping[str, Extent | None]
    listed: Mapping[str, frozenset[str]]
    grants: tuple[Grant, ...]
    salt: bytes

    def collections(self) -> list[str]:
        """Every collection that the policy speaks of, sorted."""
        return sorted({*self.declared, *self.listed, *(grant.collection for grant in self.grants)})
