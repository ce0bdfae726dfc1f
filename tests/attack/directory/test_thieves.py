"""What each key of the directory opens in a thief's hands, and that it opens nothing else: the table of what is taken.

The service is honest here, and its log is not looked at. What the thief of the service's own online key can do besides
(hide, freeze, fork, run ahead) is in ``test_versions``. Nodes pin their stewards, so no key here changes a policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from cimfed.errors import CimfedError, KeyRevoked
from cimfed.model.names import PartnerName
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.listing import Directory, Listing, Revocation
from cimfed.trust.directory.publication import Holders
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tls import IssuingKey
from tests.attack.directory.thief import CITY, DAY, OTHER, PARTNER, SCO, Town, partner, routing, stamped, town

FALSE = PartnerName("inst.false")
OWN = KeySigner.generate()
"""The thief's own key."""

Keys = Sequence[Signer]
Deed = Callable[[Town, Keys], dict[str, bytes]]


def signed(draft: Mapping[str, bytes], keys: Keys) -> dict[str, bytes]:
    """By every key at hand, whatever it is for."""
    found = dict(draft)
    everyone = {drafts.role_of(path): [key.public for key in keys] for path in draft if path.startswith("metadata/")}
    for key in keys:
        found = drafts.sign(found, key, everyone)
    return found


def listing(sco: Town, keys: Keys, listed: Listing) -> dict[str, bytes]:
    return signed(drafts.registrar_draft(2, SCO, listed, sco.clock()), keys)


def lists_a_false_partner(sco: Town, keys: Keys) -> dict[str, bytes]:
    partners = {**sco.listing.partners, FALSE: partner(FALSE, OWN, sco.clock())}
    return listing(sco, keys, replace(sco.listing, partners=partners))


def takes_a_city_off(sco: Town, keys: Keys) -> dict[str, bytes]:
    return listing(sco, keys, replace(sco.listing, members={CITY: sco.listing.members[CITY]}))


def takes_a_partners_place(sco: Town, keys: Keys) -> dict[str, bytes]:
    return listing(sco, keys, replace(sco.listing, partners={PARTNER: partner(PARTNER, OWN, sco.clock())}))


def takes_a_citys_place(sco: Town, keys: Keys) -> dict[str, bytes]:
    city = replace(
        sco.listing.members[CITY], keys=(OWN.public,), issuers=(IssuingKey.make(SCO, CITY, sco.clock()).issuer,)
    )
    return listing(sco, keys, replace(sco.listing, members={**sco.listing.members, CITY: city}))


def routes_a_city_under_another_steward(sco: Town, keys: Keys) -> dict[str, bytes]:
    city = replace(sco.listing.members[CITY], stewards=(OWN.public,))
    more = listing(sco, keys, replace(sco.listing, members={**sco.listing.members, CITY: city}))
    return {**more, **routes_a_city(sco, [OWN])}


def routes_a_city(sco: Town, keys: Keys) -> dict[str, bytes]:
    now = sco.clock()
    return signed(drafts.city_draft(CITY, 2, routing(CITY, keys[0], now, 9), now + DAY), keys)


def routes_another_city(sco: Town, keys: Keys) -> dict[str, bytes]:
    now = sco.clock()
    return signed(drafts.city_draft(OTHER, 1, routing(OTHER, keys[0], now, 9), now + DAY), keys)


def revokes(sco: Town, keys: Keys) -> dict[str, bytes]:
    revoked = (*sco.board.directory.revoked, Revocation(sco.access.public.id.hex(), "theft", sco.clock()))
    return signed(drafts.revoker_draft(3, SCO, revoked, sco.clock()), keys)


def takes_a_revocation_back(sco: Town, keys: Keys) -> dict[str, bytes]:
    return signed(drafts.revoker_draft(3, SCO, (), sco.clock()), keys)


def names(sco: Town, keys: Keys, registrar: KeySigner | None = None, revoker: KeySigner | None = None,
          address: str = "localhost:1") -> dict[str, bytes]:  # fmt: skip
    """What the board may say, with the word of those whom it names."""
    board, now = sco.board, sco.clock()
    service = replace(board.service, address=address)
    draft = drafts.targets_draft(
        2, SCO, service, board._one(registrar or board.registrar), board._one(revoker or board.revoker), now
    )
    more = signed(draft, keys)
    if registrar is not None:
        more |= listing(sco, [registrar], sco.listing)
    if revoker is not None:
        more |= signed(drafts.revoker_draft(3, SCO, (), now), [revoker])
    return more


def names_a_registrar(sco: Town, keys: Keys) -> dict[str, bytes]:
    return names(sco, keys, registrar=OWN)


def names_a_revoker_who_takes_all_back(sco: Town, keys: Keys) -> dict[str, bytes]:
    return names(sco, keys, revoker=OWN)


def moves_the_service(sco: Town, keys: Keys) -> dict[str, bytes]:
    return names(sco, keys, address="thief.example:1")


def names_a_board(sco: Town, keys: Keys) -> dict[str, bytes]:
    draft = drafts.root_draft(2, Holders((OWN.public,)), sco.board.online.public, sco.clock())
    return signed({**draft, **names(sco, keys)}, [*keys, OWN])


def ends_in(directory: Directory, deed: Deed) -> bool:
    """Whether the deed is done."""
    match deed:
        case _ if deed is lists_a_false_partner:
            return FALSE in directory.partners
        case _ if deed is takes_a_city_off:
            return OTHER not in directory.members
        case _ if deed is takes_a_partners_place:
            return directory.access_key(OWN.public.id, directory.at).organisation == PARTNER
        case _ if deed is takes_a_citys_place:
            return directory.members[CITY].keys == (OWN.public,)
        case _ if deed in (routes_a_city, routes_a_city_under_another_steward):
            entry = directory.members[CITY].entry
            return entry is not None and entry.version == 9
        case _ if deed is revokes:
            return sco_key_is_revoked(directory)
        case _ if deed is names_a_registrar:
            return held(directory, layout.REGISTRAR)
        case _ if deed is names_a_revoker_who_takes_all_back:
            return held(directory, layout.REVOKER) and not directory.revoked
        case _ if deed is moves_the_service:
            return directory.service.address == "thief.example:1"
        case _ if deed is names_a_board:
            return held(directory, layout.ROOT)
    return False


def sco_key_is_revoked(directory: Directory) -> bool:
    (listed,) = directory.published.partners[PARTNER].keys
    with pytest.raises(KeyRevoked):
        directory.access_key(listed.key.id, directory.at)
    return True


def held(directory: Directory, role: str) -> bool:
    return holders(directory)[role].keys == (OWN.public,)


THIEVES: dict[str, Callable[[Town], Keys]] = {
    "online": lambda sco: [sco.board.online],
    "registrar": lambda sco: [sco.board.registrar],
    "revoker": lambda sco: [sco.board.revoker],
    "steward": lambda sco: [sco.steward],
    "log": lambda sco: [sco.board.log],
    "node": lambda sco: [sco.node],
    "partner": lambda sco: [sco.access],
    "one of the board": lambda sco: sco.board.keys[:1],
    "two of the board": lambda sco: sco.board.keys[:2],
    "all but the board": lambda sco: [
        sco.board.online, sco.board.registrar, sco.board.revoker, sco.steward, sco.board.log, sco.node, sco.access,
    ],
}  # fmt: skip

TAKEN: dict[Deed, set[str]] = {
    lists_a_false_partner: {"registrar", "all but the board"},
    takes_a_city_off: {"registrar", "all but the board"},
    takes_a_partners_place: {"registrar", "all but the board"},
    takes_a_citys_place: {"registrar", "all but the board"},
    routes_a_city_under_another_steward: {"registrar", "all but the board"},
    routes_a_city: {"steward"},
    routes_another_city: set(),
    revokes: {"revoker", "all but the board"},
    takes_a_revocation_back: set(),
    names_a_registrar: {"two of the board"},
    names_a_revoker_who_takes_all_back: {"two of the board"},
    moves_the_service: {"two of the board"},
    names_a_board: {"two of the board"},
}


@pytest.mark.parametrize("thief", THIEVES)
@pytest.mark.parametrize("deed", TAKEN, ids=lambda deed: deed.__name__)
def test_a_key_opens_what_the_table_says_and_nothing_else(thief: str, deed: Deed) -> None:
    sco = town()
    sco.board.revoke("gw.other", "lost", sco.clock())
    keys = THIEVES[thief](sco)
    if deed is routes_a_city and thief == "all but the board":
        keys = [sco.steward]
    publication = deed(sco, keys)
    if thief in TAKEN[deed] or (keys == [sco.steward] and "steward" in TAKEN[deed]):
        assert ends_in(sco.board.accept(publication, sco.clock()), deed)
        return
    with pytest.raises(CimfedError):
        sco.board.accept(publication, sco.clock())
    if sco.board.online not in keys or deed is takes_a_revocation_back:
        return  # the second with both keys: who saw the revocation remembers it, see test_versions
    forged = stamped(sco.files, publication, sco.board.online, sco.clock())  # past the service, with its own key
    try:
        found = proof.read(forged, sco.board.root, sco.clock())
    except CimfedError:
        return
    assert not ends_in(found, deed)


def test_each_deed_is_somebodys_or_nobodys_on_purpose() -> None:
    assert {deed.__name__ for deed, thieves in TAKEN.items() if not thieves} == {
        "routes_another_city",
        "takes_a_revocation_back",
    }
    assert set().union(*TAKEN.values()) <= THIEVES.keys()


def test_the_board_ends_what_the_registrars_thief_did_in_one_publication() -> None:
    """It names another registrar, who lists everybody as before; the thief's own keys are nobody's."""
    sco = town()
    sco.board.accept(takes_a_partners_place(sco, [sco.board.registrar]), sco.clock())
    board, now = sco.board, sco.clock()
    board.registrar = KeySigner.generate()
    draft = {
        **drafts.targets_draft(2, SCO, board.service, board._one(board.registrar), board._one(board.revoker), now),
        **drafts.registrar_draft(3, SCO, sco.listing, now),
    }
    directory = board.accept(board.sign(draft, *board.keys[:2], board.registrar), now)
    assert directory.access_key(sco.access.public.id, now).organisation == PARTNER
    with pytest.raises(CimfedError):
        directory.access_key(OWN.public.id, now)
