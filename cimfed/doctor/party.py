"""What every party's home is examined for: keys, TLS, the directory and how it lists the party, others.

Who is asked is looked up in the directory that the home has, and again in a newer one where a mirror gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cimfed.doctor import clocks, homes, listed, look, peers
from cimfed.doctor.ask import Askers, Target
from cimfed.doctor.finding import Checking, Code, Examination
from cimfed.doctor.peers import Asked
from cimfed.errors import CimfedError
from cimfed.model.names import Federation, kind_of
from cimfed.trust.directory.follow import last_known, pinned_root
from cimfed.trust.directory.listing import Directory, Partner
from cimfed.trust.keys import PublicKey
from cimfed.trust.next_keys import signing_key_path
from cimfed.trust.tls import Issuer, Leaf, LeafSource, Use

SERVICE = "the directory service"  # before its name is known


@dataclass(frozen=True)
class Place:
    """``directory``: the follower's folder; ``service``: where the directory service is dialled, ``host:port``.

    ``key``: the signing key's file; ``of_person``: it asks for a secret, which ``secret_file`` may hold. ``address``
    empty: that of the card. ``follows``: a server keeps the directory up to date here.
    """

    home: Path
    name: str
    federation: Federation
    directory: Path
    service: str
    key: Path
    mirrors: Sequence[str] = ()
    address: str = ""
    stewards: tuple[PublicKey, ...] = ()
    of_person: bool = False
    secret_file: Path | None = None
    follows: bool = True


@dataclass(frozen=True)
class Seen:
    """``newest`` of all directories that were found, of the home's and of those that others serve."""

    newest: Directory | None
    asked: Sequence[Asked]

    @property
    def serving(self) -> bool:
        """Whether the home's own server answers."""
        return any(each.own and each.pong is not None and each.pong.serving for each in self.asked)

    @property
    def issued(self) -> int | None:
        return self.newest.issued if self.newest else None


def examine_party(
    exam: Examination,
    place: Place,
    whom: Callable[[Directory], Sequence[str]],
    now: Callable[[], int],
    needed: Sequence[str] = (),
) -> Seen:
    """``whom``: whom to ask besides the directory service, by name. ``needed``: without whom nothing works."""
    here = now()
    key = look.key_fact(place.key, place.secret_file, place.of_person)
    card = exam.look("keys", lambda: look.card_in(place.home), Code.CARD_OTHER)
    exam.judge("keys", lambda: homes.key(key, place.of_person, card.keys if card else None))
    exam.judge("keys", lambda: homes.keys_folder(look.mode_of(place.key.parent), str(place.key.parent)))
    following = None
    if place.key == signing_key_path(place.home, kind_of(place.name)):
        following = exam.look(
            "keys", lambda: look.next_key_fact(place.home, kind_of(place.name), place.secret_file, place.of_person)
        )
    if following is not None:
        coming = following
        exam.judge("keys", lambda: homes.key(coming, place.of_person))
    certificates = look.tls_facts(place.home, place.federation, place.name, here)
    for fact, _ in certificates:
        exam.judge("tls", lambda fact=fact: homes.tls(fact, here))  # type: ignore[misc]
    issuing = [each for _, each in certificates if each is not None]

    def leaf(known: Directory | None) -> Leaf | None:
        """Of the newest issuing key that is listed, as a server shows it."""
        issuers = _issuers(known, place.name)
        chosen = [each for each in issuing if each.issuer in issuers] or issuing[:1]
        return LeafSource(chosen[-1], place.federation, place.name, Use.CLIENT).current(here) if chosen else None

    seen, held = ask_around(exam, place, leaf, whom, now, needed)
    here_too = [each.public for each in (key, following) if each is not None and each.public is not None]
    own = listed.Own(
        place.name,
        tuple(here_too) or (card.keys if card and place.of_person else ()),
        tuple(each.issuer for each in issuing),
        place.address or (card.address if card else ""),
        place.stewards,
    )
    found = seen.newest
    if found is not None:
        exam.judge("listing", lambda: listed.listing(found, own, here))
        if place.follows:
            exam.judge("directory", lambda: peers.followed(held, found, here))
    return seen


def ask_around(
    exam: Examination,
    place: Place,
    leaf: Callable[[Directory | None], Leaf | None],
    whom: Callable[[Directory], Sequence[str]],
    now: Callable[[], int],
    needed: Sequence[str] = (),
) -> tuple[Seen, Directory | None]:
    """The directory and others; and what the home itself has of the directory."""
    here = now()
    root = exam.look("directory", lambda: pinned_root(place.directory), Code.ROOT_DAMAGED)
    held = None
    if root is not None:
        held = exam.look(
            "directory", lambda: last_known(place.directory, place.federation, here), Code.DIRECTORY_DAMAGED
        )

    def ask(known: Directory | None) -> list[Asked]:
        askers = Askers(place.federation, place.directory, leaf(known), now, root)
        service, targets = targets_of(known, place, whom, needed)
        return askers.ask(targets, service, place.mirrors)

    asked = exam.look("peers", lambda: ask(held)) or []
    known = peers.newest([held, *(each.served for each in asked)])
    if known is not None and (held is None or held.version < known.version):  # others may be listed now
        asked = exam.look("peers", lambda: ask(known)) or asked
        known = peers.newest([known, *(each.served for each in asked)])
    if root is None:  # what anybody serves can be verified by nothing: whether they are there is all that is looked at
        exam.judge("peers", lambda: peers.reached(asked))
        return Seen(None, asked), None
    if known is None:
        exam.findings.append(
            Checking("directory").error(
                Code.DIRECTORY_UNKNOWN,
                "there is none here, and none could be fetched: nobody can be asked, and nobody is answered",
                "See what is said of mirrors; check directory and mirrors in the settings",
            )
        )
    else:
        have = {"this home": held, **{each.name: each.served for each in asked}}
        exam.judge("directory", lambda: peers.forks({name: one for name, one in have.items() if one}))
        found = known.as_of(here)
        exam.judge("directory", lambda: listed.directory(found, here))
        known = found
    exam.judge("peers", lambda: peers.peers(asked, known, here))
    return Seen(known, asked), held


def _issuers(known: Directory | None, name: str) -> tuple[Issuer, ...]:
    try:
        return known.party(name).issuers if known else ()
    except CimfedError:
        return ()


def targets_of(
    known: Directory | None, place: Place, whom: Callable[[Directory], Sequence[str]], needed: Sequence[str]
) -> tuple[str, list[Target]]:
    """The directory service's name, and everybody to be asked; ``place``'s own server among them, where it has one."""
    if known is None:
        return SERVICE, [Target(SERVICE, place.service)] if place.service else []
    service = known.service.name
    targets = []
    for name in dict.fromkeys([service, *whom(known), place.name]):
        try:
            party = known.party(name)
        except CimfedError:
            if name in needed:
                targets.append(Target(name, "", needed=True))
            continue
        if not isinstance(party, Partner):
            targets.append(Target(name, party.address, party.issuers, name in needed, name == place.name))
    return service, targets


def examine_clock(exam: Examination, seen: Seen, now: Callable[[], int], mark: int = 0) -> None:
    exam.judge("clock", lambda: clocks.clock(now(), seen.issued, peers.offsets(seen.asked), mark))
