"""What an operator means by the word given to ``block``, and whom it turns away.

Pure but for ``listed``. The directory helps to read what was typed and to catch a slip; a block needs none: without
one, names and whole ids are taken as they are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cimfed.errors import BadConfig, CimfedError, NotFound
from cimfed.model.names import Kind, kind_of
from cimfed.rpc import clock
from cimfed.trust.directory.follow import last_known
from cimfed.trust.directory.listing import Directory
from cimfed.trust.keys import ALGORITHM, PublicKey
from cimfed_node.config import Home
from cimfed_node.tables.admissions import Asked
from cimfed_node.tables.blocks import EVERYBODY

PLACE = "KEY|ORG"
SHORTEST = 8  # hex digits of a key's id
_DIGITS = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}")


@dataclass(frozen=True)
class Target:
    """``subject`` as in the table of blocks. ``party``: whose key it is, or the name itself; empty where unknown.

    ``listed`` None: there is no directory to tell.
    """

    subject: str
    party: str = ""
    listed: bool | None = None

    @property
    def shown(self) -> str:
        if self.subject == EVERYBODY:
            return "everybody"
        if self.subject == self.party:
            return self.party
        return f"key {self.subject[:16]} of {self.party}" if self.party else f"key {self.subject[:16]}"

    def hits(self, line: Asked) -> bool:
        """Whether it turns away what was asked then. Gateways before the presenter are not in the log."""
        return (
            self.subject in (EVERYBODY, line.organisation, line.presenter, line.key_id.hex())
            or (self.subject != self.party and line.presenter == self.party != line.organisation)  # a gateway's key
        )


def listed(home: Home) -> Directory | None:
    """The home's directory, expired or not; None where there is none that can be believed."""
    try:
        return last_known(home.directory, home.federation, clock.now())
    except CimfedError:
        return None


def target(given: str | None, everybody: bool, directory: Directory | None, *, unlisted: bool = False) -> Target:
    """BadConfig for what cannot be blocked, or is not clear; NotFound for what the directory does not list."""
    if everybody is (given is not None):
        raise BadConfig("name a key or an organisation, or say --all", place=PLACE)
    if given is None:
        return Target(EVERYBODY)
    return _party(given, directory, unlisted) if "." in given else _key(given, directory)


def standing(given: str | None, everybody: bool, subjects: Iterable[str]) -> str:
    """Which of the blocks that stand is meant. NotFound where none is."""
    if everybody is (given is not None):
        raise BadConfig("name a key or an organisation, or say --all", place=PLACE)
    if given is None or "." in given:
        found = [subject for subject in subjects if subject == (given or EVERYBODY)]
    else:
        digits = _digits(given)
        found = [subject for subject in subjects if _DIGITS.fullmatch(subject) and subject.startswith(digits)]
    if not found:
        raise NotFound("there is no such block", place=PLACE, remedy="See cimfed-node blocks")
    return _only(found)


def _party(name: str, directory: Directory | None, unlisted: bool) -> Target:
    if kind_of(name) not in (Kind.PARTNER, Kind.GATEWAY):
        raise BadConfig(f"{name} asks for nothing", place=PLACE, remedy="Block partners, gateways or keys")
    if directory is None:
        return Target(name, name)
    names = [*directory.partners, *directory.gateways]
    if name in names:
        return Target(name, name, True)
    if not unlisted:
        close = difflib.get_close_matches(name, names, n=1)
        raise NotFound(
            f"the directory does not list {name}",
            place=PLACE,
            remedy=(f"Did you mean {close[0]}? " if close else "") + "To block it nevertheless, say --unlisted",
        )
    return Target(name, name, False)


def _key(given: str, directory: Directory | None) -> Target:
    digits = _digits(given)
    whole = len(digits) == 64
    if directory is None:
        if not whole:
            raise BadConfig(
                "there is no directory here that can be read, so a key needs its whole id",
                place=PLACE,
                remedy="Give all 64 digits, as the log of decisions has them, or block the organisation",
            )
        return Target(digits)
    found = {id: party for id, party in _ids(directory) if id.startswith(digits)}
    if not found and whole:
        return Target(digits, listed=False)
    if not found:
        raise NotFound("the directory lists no such key", place=PLACE, remedy="Give all 64 digits to block it anyway")
    id = _only(sorted(found))
    return Target(id, found[id], True)


def _digits(given: str) -> str:
    """Of a key's id, or of what it begins with; of a whole public key, as ``.pub`` files have it, its id's."""
    if given.startswith(f"{ALGORITHM}:"):
        return PublicKey.parse(given).id.hex()
    digits = given.lower()
    if not _DIGITS.fullmatch(digits):
        raise BadConfig(
            f"{given[:64]!r} is neither a name nor a key's id",
            place=PLACE,
            remedy=f"Give a name such as inst.tsinghua, or {SHORTEST} to 64 hex digits of an id",
        )
    return digits


def _ids(directory: Directory) -> Iterator[tuple[str, str]]:
    """The ids of all keys that sign queries or narrowings, valid now or not, and whose they are."""
    for partner in directory.partners.values():
        yield from ((each.key.id.hex(), partner.name) for each in partner.keys)
    for gateway in directory.gateways.values():
        yield from ((key.id.hex(), gateway.name) for key in gateway.keys)


def _only(found: list[str]) -> str:
    if len(found) > 1:
        raise BadConfig(f"{len(found)} keys begin so", place=PLACE, details=found[:10], remedy="Give more digits")
    return found[0]
