"""The keys that a directory names, whose they are, and how a command line names one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cimfed.errors import BadConfig
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind, kind_of
from cimfed.trust.directory import layout
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.listing import Directory, Member, Partner, Party, Revocation, Span
from cimfed.trust.identity_files import load_public_key
from cimfed.trust.keys import PublicKey

ACCESS, ISSUER, STEWARD = "access key", "TLS issuing key", "steward's key"
SIGNING = {Kind.CITY: "node's key", Kind.GATEWAY: "gateway's key", Kind.DIRECTORY: "log key"}
ROLES = {layout.ROOT: "board's key", layout.REGISTRAR: "registrar's key", layout.REVOKER: "revoker's key",
         layout.TIMESTAMP: "online key"}  # fmt: skip
_DIGITS = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class KnownKey:
    """``owner``: a party's name, or empty for a key of a role. ``revoked``: by itself or with its owner."""

    id: str
    what: str
    owner: str
    valid: Span | None = None
    revoked: Revocation | None = None
    listed: bool = True

    @property
    def shown(self) -> str:
        return f"{self.what} {self.id[:16]}{f' of {self.owner}' if self.owner else ''}"

    def state(self, now: int) -> str:
        if self.revoked is not None:
            return f"revoked {instant_text(self.revoked.at)[:19]}: {self.revoked.reason}"
        if not self.listed:
            return "not listed"
        if self.valid is None:
            return "valid"
        if now < self.valid[0]:
            return f"valid from {instant_text(self.valid[0])[:10]}"
        return f"{'valid until' if now < self.valid[1] else 'ended'} {instant_text(self.valid[1])[:10]}"


def known_keys(directory: Directory) -> list[KnownKey]:
    """All of them: of parties, also suspended ones, and of the roles."""
    subjects = {item.subject: item for item in directory.revoked}
    found = [key for party in (directory.service, *directory.published.parties()) for key in _of(party, subjects)]
    for role, what in ROLES.items():
        found += [_known(key.id.hex(), what, "", None, subjects) for key in holders(directory)[role].keys]
    return found


def find_keys(keys: Iterable[KnownKey], word: str) -> list[KnownKey]:
    """Those that a word names: a party's name, 8 or more digits of an id, a public key or its ``.pub`` file.

    Empty where none is known. BadConfig for a word that can name none, or names several by too few digits.
    """
    if named(word):
        return [key for key in keys if key.owner == word]
    digits = key_digits(word)
    found = [key for key in keys if key.id.startswith(digits)]
    if len({key.id for key in found}) > 1:
        raise BadConfig("several keys begin like this", place=word[:80], remedy="Give more digits of its id")
    return found


def named(word: str) -> bool:
    """Whether a word is a party's name."""
    try:
        kind_of(word)
    except BadConfig:
        return False
    return not Path(word).is_file()


def key_digits(word: str) -> str:
    """The digits of an id: given as such, or of a public key, or of its file."""
    if _DIGITS.fullmatch(word.lower()):
        return word.lower()
    if word.startswith("ed25519:"):
        return PublicKey.parse(word).id.hex()
    if Path(word).is_file():
        return load_public_key(Path(word)).id.hex()
    raise BadConfig(
        "neither a name nor a key",
        place=word[:80],
        remedy="Give a name, 8 or more digits of a key's id, or a .pub file",
    )


def _of(party: Party, subjects: dict[str, Revocation]) -> Iterator[KnownKey]:
    if isinstance(party, Partner):
        for access in party.keys:
            yield _known(access.key.id.hex(), ACCESS, party.name, access.valid, subjects)
    else:
        for key in party.keys:
            yield _known(key.id.hex(), SIGNING[kind_of(party.name)], party.name, None, subjects)
    if isinstance(party, Member):
        for key in party.stewards:
            yield _known(key.id.hex(), STEWARD, party.name, None, subjects)
    for issuer in party.issuers:
        yield _known(issuer.id.hex(), ISSUER, party.name, issuer.valid, subjects)


def _known(id_: str, what: str, owner: str, valid: Span | None, subjects: dict[str, Revocation]) -> KnownKey:
    return KnownKey(id_, what, owner, valid, subjects.get(id_) or subjects.get(owner))
