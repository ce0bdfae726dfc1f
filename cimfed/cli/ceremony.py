"""What a ceremony drafts: the first version of a directory, and the next root. Values and files only.

Whoever holds a role by the old root and by the new one must both sign a new root (TUF 5.3.4), so a draft's signers are
taken from the directory that it follows on and from the draft itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cimfed.errors import BadConfig
from cimfed.model.instants import instant_text
from cimfed.model.names import DirectoryName, Federation, Kind
from cimfed.trust.card import Card
from cimfed.trust.directory import layout
from cimfed.trust.directory.acceptance import holders, metadata_of
from cimfed.trust.directory.layout import Files
from cimfed.trust.directory.listing import Directory, Listing, Service
from cimfed.trust.directory.publication import (
    Holders,
    holders_of,
    missing_signatures,
    parsed,
    registrar_draft,
    revoker_draft,
    role_of,
    root_draft,
    targets_draft,
)
from cimfed.trust.keys import PublicKey


@dataclass(frozen=True)
class Change:
    """Of who holds the roles; what is empty or None stays. ``remove``: texts of keys or first digits of ids."""

    add: tuple[PublicKey, ...] = ()
    remove: tuple[str, ...] = ()
    threshold: int | None = None
    registrar: tuple[PublicKey, ...] = ()
    registrar_threshold: int | None = None
    revoker: tuple[PublicKey, ...] = ()
    online: PublicKey | None = None
    service: Card | None = None


def first_draft(
    of: Federation, service: Card, online: PublicKey, board: Holders, registrar: Holders, revoker: Holders, now: int
) -> dict[str, bytes]:
    check_apart(board, registrar, revoker, online)
    return {
        **root_draft(1, board, online, now),
        **targets_draft(1, of, service_of(service), registrar, revoker, now),
        **registrar_draft(1, of, Listing(), now),
        **revoker_draft(1, of, (), now),
    }


def next_draft(directory: Directory, change: Change, now: int) -> dict[str, bytes]:
    """The next root and the board's next word; the registrar's and the revoker's too where their keys change."""
    held = holders(directory)
    old = held[layout.ROOT]
    gone = [_named(word, old.keys) for word in change.remove]
    keys = tuple(dict.fromkeys((*(key for key in old.keys if key not in gone), *change.add)))
    board = _held(keys, change.threshold, old.threshold, "--threshold")
    registrar = _exchanged(held[layout.REGISTRAR], change.registrar, change.registrar_threshold)
    revoker = _exchanged(held[layout.REVOKER], change.revoker, None)
    online = change.online or held[layout.TIMESTAMP].keys[0]
    check_apart(board, registrar, revoker, online)
    service = directory.service if change.service is None else service_of(change.service)
    of = directory.federation
    draft = {
        **root_draft(directory.versions[layout.ROOT] + 1, board, online, now),
        **targets_draft(directory.versions[layout.TARGETS] + 1, of, service, registrar, revoker, now),
    }
    if registrar != held[layout.REGISTRAR]:
        draft |= registrar_draft(directory.versions[layout.REGISTRAR] + 1, of, directory.published, now)
    if revoker != held[layout.REVOKER]:
        draft |= revoker_draft(directory.versions[layout.REVOKER] + 1, of, directory.revoked, now)
    return draft


def check_apart(board: Holders, registrar: Holders, revoker: Holders, online: PublicKey) -> None:
    """BadConfig where one key has two of these roles: a thief of it would have both."""
    seen: dict[PublicKey, str] = {}
    for role, keys in (
        ("board", board.keys), (layout.REGISTRAR, registrar.keys),
        (layout.REVOKER, revoker.keys), ("online", (online,)),
    ):  # fmt: skip
        for key in keys:
            if key in seen:
                raise BadConfig(f"one key is named for {seen[key]} and {role}", remedy="Every role has keys of its own")
            seen[key] = role


def service_of(card: Card) -> Service:
    if card.kind is not Kind.DIRECTORY:
        raise BadConfig(f"this is the card of a {card.kind}, not of a directory service", place=card.name)
    return Service(DirectoryName(card.name), card.address, card.issuers, card.keys)


def draft_holders(draft: Files, before: Directory | None) -> dict[str, tuple[PublicKey, ...]]:
    """Whose signatures belong on each role of the draft."""
    return {role: keys for role, (keys, _) in _signers(draft, before).items()}


def still_missing(draft: Files, before: Directory | None) -> dict[str, int]:
    """How many signatures each role of the draft lacks; roles that lack none are left out."""
    missing = {
        role: max(missing_signatures(draft, role, held) for held in needed)
        for role, (_, needed) in _signers(draft, before).items()
    }
    return {role: count for role, count in missing.items() if count}


def describe(draft: Files, before: Directory | None = None) -> Iterator[str]:
    """Roles, ends and keys of the draft, for people who are about to sign it."""
    for path in sorted(metadata_of(draft)):
        role, signed = role_of(path), parsed(draft[path]).signed
        ended = before.ends.get(role) if before is not None else None
        was = f", before until {instant_text(ended)[:16].replace('T', ' ')}" if ended is not None else ""
        yield f"{role}, version {signed.version}, good until {signed.expires:%Y-%m-%d %H:%M} UTC{was}"
    for role, held in sorted(holders_in(draft).items()):
        ids = ", ".join(key.id.hex()[:16] for key in held.keys)
        yield f"  {role}: {held.threshold} of {len(held.keys)}: {ids}"


def _signers(draft: Files, before: Directory | None) -> dict[str, tuple[tuple[PublicKey, ...], list[Holders]]]:
    new, old = holders_in(draft), holders(before) if before else {}
    found = {}
    for path in metadata_of(draft):
        role = role_of(path)
        needed = [held for held in (new.get(role) or old.get(role),) if held is not None]
        if role == layout.ROOT and role in old:
            needed.append(old[role])
        if not needed:
            raise BadConfig(f"nobody may sign for {role}")
        found[role] = tuple(dict.fromkeys(key for held in needed for key in held.keys)), needed
    return found


def holders_in(draft: Files) -> dict[str, Holders]:
    """Who holds the roles by the root and the board's word in the draft."""
    found: dict[str, Holders] = {}
    for path in metadata_of(draft):
        signed = parsed(draft[path]).signed
        if role_of(path) == layout.ROOT:
            found |= {role: holders_of(signed, role) for role in layout.TOP}
        elif role_of(path) == layout.TARGETS:
            found |= {role: holders_of(signed, role) for role in (layout.REGISTRAR, layout.REVOKER)}
    return found


def _exchanged(held: Holders, keys: tuple[PublicKey, ...], threshold: int | None) -> Holders:
    if not keys:
        return held if threshold is None else replace(held, threshold=threshold)
    return _held(keys, threshold, held.threshold, "--registrar-threshold")


def _held(keys: tuple[PublicKey, ...], threshold: int | None, before: int, option: str) -> Holders:
    """BadConfig where fewer would have to sign than before, and nobody has said so."""
    if threshold is None and len(keys) < before:
        raise BadConfig(
            f"{before} must sign now, and {len(keys)} {'key is' if len(keys) == 1 else 'keys are'} left",
            place=option,
            remedy=f"Name more keys, or say with {option} that fewer are enough",
        )
    return Holders(keys, threshold or before)


def _named(word: str, keys: tuple[PublicKey, ...]) -> PublicKey:
    found = [key for key in keys if key.id.hex().startswith(word.lower()) or key.text == word.strip()]
    if len(word) < 8 or len(found) != 1:
        raise BadConfig("no key of the board, or several", place=word[:80], remedy="Give 8 or more digits of its id")
    return found[0]
