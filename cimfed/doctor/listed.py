"""The directory, and how it lists the party whose home this is: facts to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cimfed.doctor.finding import Checking, Code, Finding
from cimfed.model.names import Kind, kind_of
from cimfed.trust.directory import layout
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.continuity import held_back
from cimfed.trust.directory.listing import (
    AccessKey,
    Directory,
    Member,
    Partner,
    Party,
    Revocation,
    other_vocabulary,
    signing_keys,
)
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Issuer

DIRECTORY, LISTING = Checking("directory"), Checking("listing")
_MICRO = timedelta(microseconds=1)
LONGEST_NOTICE = layout.BOARD_LIFE // _MICRO // 3

NOTICE: Mapping[str, int] = {
    layout.ROOT: layout.BOARD_LIFE // _MICRO // 3,
    layout.TARGETS: layout.BOARD_LIFE // _MICRO // 3,
    layout.SNAPSHOT: layout.SNAPSHOT_LIFE // _MICRO // 3,
    layout.TIMESTAMP: layout.TIMESTAMP_LIFE // _MICRO // 3,
    layout.REGISTRAR: layout.REGISTRAR_LIFE // _MICRO // 3,
    layout.REVOKER: timedelta(hours=6) // _MICRO,
}
"""How long before its end a role is warned of: a third of its life, the revoker's six hours."""

_SPEAKS: Mapping[str, str] = {
    layout.ROOT: "The board must sign the next root: cimfed directory rotate-root",
    layout.TARGETS: "The board must sign its next word: cimfed directory rotate-root",
    layout.SNAPSHOT: "The directory service must run: cimfed-gateway directory doctor tells more there",
    layout.TIMESTAMP: "The directory service must run: cimfed-gateway directory doctor tells more there",
    layout.REGISTRAR: "The registrar must publish again, also where nothing changes: cimfed directory renew",
    layout.REVOKER: "The revoker must say its list anew, also where nothing changes: cimfed revoke renew, from a timer",
}


def notice(valid: tuple[int, int]) -> int:
    """When something that holds for that time is warned of: in the last third, or the last third of a year."""
    return valid[1] - min((valid[1] - valid[0]) // 3, LONGEST_NOTICE)


@dataclass(frozen=True)
class Own:
    """What is here of a party. ``keys``, ``issuers``: those in use, and after them the next ones while they change.
    What is empty is not known here, or there is none."""

    name: str
    keys: tuple[PublicKey, ...]
    issuers: tuple[Issuer, ...]
    address: str = ""
    stewards: tuple[PublicKey, ...] = ()


def directory(found: Directory, now: int) -> Iterator[Finding]:
    """How long each role holds."""
    well = True
    for role in layout.ROLES:
        ends = found.ends[role]
        if now >= ends:
            yield DIRECTORY.error(
                Code.ROLE_ENDED,
                f"what its {role} says has ended: nothing is answered until it speaks again",
                _SPEAKS[role],
                about=role,
                since=ends,
            )
        elif ends - now <= NOTICE[role]:
            yield DIRECTORY.warning(
                Code.ROLE_ENDING, f"what its {role} says ends soon", _SPEAKS[role], about=role, until=ends
            )
        else:
            continue
        well = False
    if well:
        first = min(found.ends, key=lambda role: found.ends[role])
        yield DIRECTORY.ok(f"version {found.version}; its {first} ends first", until=found.expires)
    for party in held_back(found):
        yield DIRECTORY.warning(
            Code.KEYS_HELD_BACK,
            f"{party.name} has new keys that no key of it which is known here has named; they do not count here",
            f"Ask {party.name} for its fingerprint, then accept them: key accept {party.name} (docs/keys.md); "
            "if it knows nothing of them, tell the administrator at once",
            about=party.name,
        )
    difference = other_vocabulary(found)
    if difference is not None:
        yield DIRECTORY.warning(
            Code.VOCABULARY_OTHER, difference, "Install that release; docs/vocabulary.md tells how to compare"
        )


def listing(found: Directory, own: Own, now: int) -> Iterator[Finding]:
    """Whether the directory lists what is here: party, key, issuer, address, stewards."""
    gone = _of_subject(found, own.name)
    party = _published(found, own.name)
    if gone is not None:
        yield LISTING.error(
            Code.REVOKED,
            f"{own.name} was revoked: {gone.reason}",
            "Ask the administrator; a party that was revoked joins under another name, with other keys",
            about=own.name,
            since=gone.at,
        )
        return
    if party is None:
        yield LISTING.error(
            Code.NOT_LISTED,
            f"version {found.version} of the directory does not list {own.name}",
            "Give card.json to the administrator, or cimfed join with an invitation",
            about=own.name,
        )
        return
    told = [
        *_suspended(party, now),
        *_keys(found, party, own.keys),
        *_issuers(found, party, own.issuers),
        *_access(found, party, own.keys, now),
    ]
    if not isinstance(party, Partner) and own.address and party.address != own.address:
        told.append(
            LISTING.error(
                Code.ADDRESS_OTHER,
                f"others dial {party.address}, which the directory lists; here it is {own.address}",
                "Correct the settings and card.json, or have the administrator list the new address",
                about=own.name,
            )
        )
    if isinstance(party, Member):
        told += _stewards(party, own.stewards)
    yield from told
    if not any(finding.code is not Code.OK for finding in told):
        yield LISTING.ok(f"{own.name} is listed with what is here", about=own.name)


def _suspended(party: Party, now: int) -> Iterator[Finding]:
    span = getattr(party, "suspended", None)
    if span is None or now >= span[1]:
        return
    if now >= span[0]:
        yield LISTING.error(
            Code.SUSPENDED,
            f"the registrar has suspended {party.name}",
            "Ask the administrator; it ends by itself",
            about=party.name,
            since=span[0],
            until=span[1],
        )
    else:
        yield LISTING.warning(
            Code.SUSPENDED,
            f"the registrar will suspend {party.name}",
            "Ask the administrator",
            about=party.name,
            since=span[0],
            until=span[1],
        )


def _keys(found: Directory, party: Party, own: tuple[PublicKey, ...]) -> Iterator[Finding]:
    """While keys change, one that is listed is enough."""
    listed = [key for key in signing_keys(party) if _of_subject(found, key.id.hex()) is None]
    if own and not set(own) & set(listed):
        key = own[0]
        gone = _of_subject(found, key.id.hex())
        if gone is not None:
            yield LISTING.error(
                Code.KEY_REVOKED,
                f"the signing key {key.id.hex()[:16]} was revoked: {gone.reason}",
                "Make a new key and have the administrator list it (docs/keys.md)",
                about=key.id.hex(),
                since=gone.at,
            )
        else:
            yield LISTING.error(
                Code.KEY_NOT_LISTED,
                f"the directory lists {_ids(listed)} for {party.name}, not the key that is here, {key.id.hex()[:16]}",
                "Have the administrator list the card of this key, or put the listed key back",
                about=key.id.hex(),
            )
        return
    others = [key for key in listed if key not in own]
    if own and others:
        yield LISTING.warning(
            Code.KEY_ELSEWHERE,
            f"the directory lists further keys of {party.name}, which are not here: {_ids(others)}",
            "Expected while keys change; else have the administrator take them off",
            about=party.name,
        )


def _issuers(found: Directory, party: Party, own: tuple[Issuer, ...]) -> Iterator[Finding]:
    listed = {issuer.key for issuer in party.issuers if _of_subject(found, issuer.id.hex()) is None}
    if not own or listed & {issuer.key for issuer in own}:
        return
    issuer = own[0]
    gone = _of_subject(found, issuer.id.hex())
    why = f"was revoked: {gone.reason}" if gone else f"is not the one that the directory lists for {party.name}"
    yield LISTING.error(
        Code.ISSUER_NOT_LISTED,
        f"the TLS issuing key {issuer.id.hex()[:16]} {why}: no connection is taken",
        "Have the administrator list the card that goes with it, or put the listed one back",
        about=issuer.id.hex(),
        since=gone.at if gone else None,
    )


def _access(found: Directory, party: Party, own: tuple[PublicKey, ...], now: int) -> Iterator[Finding]:
    """How long those last that count. A revoked one is no more than that, whatever time it was listed for."""
    if not isinstance(party, Partner):
        return
    for access in party.keys:
        if _of_subject(found, access.key.id.hex()) is None and (not own or access.key in own):
            yield from _lasting(access, now)


def _lasting(access: AccessKey, now: int) -> Iterator[Finding]:
    start, end = access.valid
    short = access.key.id.hex()[:16]
    more = {"about": access.key.id.hex(), "since": start, "until": end}
    renew = "Ask the administrator to renew it"
    if now >= end:
        yield LISTING.error(Code.ACCESS_KEY_ENDED, f"the access key {short} is valid no more", renew, **more)
    elif now < start:
        yield LISTING.error(
            Code.ACCESS_KEY_NOT_BEGUN,
            f"the access key {short} is not valid yet",
            "Wait, or ask the administrator",
            **more,
        )
    elif now >= notice(access.valid):
        yield LISTING.warning(Code.ACCESS_KEY_ENDING, f"the access key {short} is not valid for long", renew, **more)
    else:
        yield LISTING.ok(f"the access key {short} is valid", **more)


def _stewards(party: Member, pinned: tuple[PublicKey, ...]) -> Iterator[Finding]:
    if not pinned or set(pinned) == set(party.stewards):
        return
    shared = set(pinned) & set(party.stewards)
    make = LISTING.warning if shared else LISTING.error
    yield make(
        Code.STEWARDS_OTHER,
        f"node.toml pins the stewards {_ids(pinned)}, the directory lists {_ids(party.stewards)}",
        "Compare fingerprints with the stewards themselves: whichever is wrong must change",
        about=party.name,
    )


def office(found: Directory, now: int) -> Iterator[Finding]:
    """What the administrators should see to."""
    registrar = holders(found)[layout.REGISTRAR]
    left = [key for key in registrar.keys if _of_subject(found, key.id.hex()) is None]
    if len(left) < registrar.threshold:
        yield LISTING.error(
            Code.KEY_REVOKED,
            f"{registrar.threshold} of the registrar's keys must sign, and {len(left)} of them are not revoked: "
            "nobody can be let in, changed or renewed",
            "The board names another registrar: cimfed directory rotate-root --registrar",
            about=layout.REGISTRAR,
        )
    ending = [
        f"{partner.name} ({access.key.id.hex()[:8]})"
        for partner in found.partners.values()
        for access in partner.keys
        if now >= notice(access.valid)
    ]
    if ending:
        yield LISTING.warning(
            Code.PARTNERS_ENDING,
            f"access keys that end soon or have ended: {_some(ending)}",
            "Renew those that are to go on: cimfed key renew",
        )
    unrouted = [name for name, member in found.members.items() if member.routing is None]
    if unrouted:
        yield LISTING.warning(
            Code.CITIES_UNROUTED,
            f"cities without a valid routing entry, which are asked in vain: {_some(unrouted)}",
            "Their stewards publish it with a policy: cimfed policy publish",
        )
    if not ending and not unrouted:
        counts = f"cities: {len(found.members)}, gateways: {len(found.gateways)}, partners: {len(found.partners)}"
        yield LISTING.ok(f"{counts}, revocations: {len(found.revoked)}")


def _published(found: Directory, name: str) -> Party | None:
    """As signed, suspended or not."""
    if kind_of(name) is Kind.DIRECTORY:
        return found.service if found.service.name == name else None
    return next((party for party in found.published.parties() if party.name == name), None)


def _of_subject(found: Directory, subject: str) -> Revocation | None:
    return next((each for each in found.revoked if each.subject == subject), None)


def _ids(keys: Sequence[PublicKey]) -> str:
    return ", ".join(key.id.hex()[:16] for key in keys) or "no key"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
