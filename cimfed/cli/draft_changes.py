"""What a draft changes in the directory that it follows on, in words: what whoever signs it says yes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cimfed.cli.ceremony import holders_in
from cimfed.cli.known_keys import ACCESS, ISSUER, ROLES, SIGNING, STEWARD, KnownKey, known_keys
from cimfed.model.instants import instant_text
from cimfed.model.names import Federation, kind_of
from cimfed.trust.card import card_of
from cimfed.trust.directory import layout
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.drafted import read_draft
from cimfed.trust.directory.layout import Files
from cimfed.trust.directory.listing import Directory, Gateway, Listing, Member, Partner, Party
from cimfed.trust.directory.publication import Holders

SAME = {layout.TARGETS: layout.ROOT, layout.SNAPSHOT: layout.TIMESTAMP}  # who holds the one holds the other


def changes(draft: Files, before: Directory | None) -> list[str]:
    """A line for each; of a first draft what it begins with. BadDirectory where it is not what would be signed."""
    said = read_draft(draft, before)
    known = {key.id: key for key in known_keys(before)} if before is not None else {}
    found: list[str] = []
    if before is not None:
        found += _of_roles(holders_in(draft), holders(before), known)
    if said.service is not None:
        found += _of_parties(said.federation, [before.service] if before else [], [said.service])
    if said.listing is not None:
        old = before.published if before is not None else Listing()
        found += _of_parties(said.federation, old.parties(), said.listing.parties())
        if old.vocabulary != said.listing.vocabulary:
            new = said.listing.vocabulary
            found.append(f"vocabulary: version {new.version}, SHA-256 {new.sha256.hex()}" if new else "no vocabulary")
    if said.revoked is not None:
        was, now = set(before.revoked if before is not None else ()), set(said.revoked)
        found += [
            f"{_named(item.subject, known)} {'is revoked' if item in now else 'is revoked no more'}: {item.reason}"
            for item in sorted(was ^ now, key=lambda item: (item.at, item.subject))
        ]
    return found


def _of_roles(
    new: Mapping[str, Holders], old: Mapping[str, Holders], known: Mapping[str, KnownKey]
) -> Iterator[str]:  # fmt: skip
    for role, held in new.items():
        if role in SAME and new.get(SAME[role]) == held:
            continue
        what, was = ROLES.get(role, f"key for {role}"), old[role]
        if held.threshold != was.threshold:
            yield (
                f"for {role} {held.threshold} of {len(held.keys)} must sign, before {was.threshold} of {len(was.keys)}"
            )
        for key in was.keys:
            if key not in held.keys:
                yield f"{what} {key.id.hex()[:16]} goes"
        for key in held.keys:
            if key not in was.keys:
                other = known.get(key.id.hex())
                yield f"{what} {key.id.hex()[:16]} comes{f', known as {other.shown}' if other is not None else ''}"


def _named(subject: str, known: Mapping[str, KnownKey]) -> str:
    return known[subject].shown if subject in known else subject[:16] if "." not in subject else subject


def _of_parties(
    of: Federation, old: Iterator[Party] | list[Party], new: Iterator[Party] | list[Party]
) -> Iterator[str]:
    was, now = ({party.name: party for party in parties} for parties in (old, new))
    for name in sorted(was.keys() | now.keys()):
        if name not in was or name not in now:
            party, word = (now[name], "comes") if name in now else (was[name], "goes")
            yield f"{kind_of(name)} {name} {word}, fingerprint {card_of(of, party).fingerprint}"
            continue
        before, after = _facts(was[name]), _facts(now[name])
        yield from (f"{name}: {fact} goes" for fact in before if fact not in after)
        yield from (f"{name}: {fact} comes" for fact in after if fact not in before)


def _facts(party: Party) -> list[str]:
    facts = []
    if isinstance(party, Partner):
        facts += [f"country {party.country}", *(f"role {role}" for role in party.roles)]
        for access in party.keys:
            first, last = (instant_text(time)[:10] for time in access.valid)
            facts.append(f"{ACCESS} {access.key.id.hex()[:16]}, valid {first} to {last}")
    else:
        facts.append(f"address {party.address}")
        facts += [f"{SIGNING[kind_of(party.name)]} {key.id.hex()[:16]}" for key in party.keys]
    if isinstance(party, Member):
        facts += [f"{STEWARD} {key.id.hex()[:16]}" for key in party.stewards]
    facts += [f"{ISSUER} {issuer.id.hex()[:16]}" for issuer in party.issuers]
    if isinstance(party, Member | Gateway | Partner) and party.suspended is not None:
        facts.append(f"suspension until {instant_text(party.suspended[1])[:16]}")
    return facts
