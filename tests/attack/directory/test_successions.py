"""What a thief with the registrar's key leaves with those who remember whose keys are whose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785

from cimfed.model.names import PartnerName
from cimfed.rpc import clock
from cimfed.trust.card import Card
from cimfed.trust.directory.edit import DAY, with_card, without
from cimfed.trust.directory.follow import Follower, accept_keys, pin
from cimfed.trust.directory.listing import AccessKey
from cimfed.trust.directory.mirrors import Always
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner
from tests.board import Files
from tests.unit.cimfed.garbled import SUBJECTS, garbled_issuer
from tests.unit.cimfed.parties import PARTNER, SCO, Party, World


@pytest.fixture
def world() -> World:
    return World(clock.now())


@pytest.fixture
def follower(world: World, tmp_path: Path) -> Follower:
    """Who has seen everybody as they are."""
    pin(tmp_path, world.board.root)
    found = Follower(tmp_path, SCO, Always(Files(world.board.files)), clock.now)
    found.refresh()
    return found


def unchecked(card: Card, *signers: KeySigner) -> Envelope:
    """A card as no software here makes it."""
    document = {
        "format": "cimfed/card/v2", "kind": str(card.kind), "name": card.name, "federation": card.federation,
        "address": card.address, "issuers": [issuer.pem.decode() for issuer in card.issuers],
        "keys": [key.text for key in card.keys], "stewards": [key.text for key in card.stewards],
    }  # fmt: skip
    return seal(PayloadType.CARD, rfc8785.dumps(document), *signers)


def with_own_key(world: World, own: KeySigner) -> None:
    """The thief's beside the partner's: everybody now looks whether some card names it."""
    partner = world.listing.partners[PartnerName(PARTNER)]
    keys = (*partner.keys, AccessKey(own.public, partner.name, (world.now, world.now + DAY)))
    world.listing = replace(world.listing, partners={partner.name: replace(partner, keys=keys)})


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_card_that_breaks_whoever_reads_it_holds_nobody_up(world: World, follower: Follower, subject: bytes) -> None:
    """What the service published and no follower could take would end the federation with the next timestamp."""
    own = KeySigner.generate()
    with_own_key(world, own)
    card = replace(Party.make(PARTNER, world.now).card(), issuers=(garbled_issuer(world.parties[PARTNER], subject),))
    world.listing = replace(world.listing, successions=(unchecked(replace(card, keys=(own.public,)), own),))
    published = world.publish()
    assert follower.refresh().version == published.version
    assert [key.key for key in follower.current(clock.now()).partner(PARTNER).keys] == [
        world.parties[PARTNER].signer.public
    ]


def test_a_name_that_the_thief_listed_first_is_its_true_partys_where_that_is_accepted(
    world: World, follower: Follower, tmp_path: Path
) -> None:
    """Whoever saw it took it as listed, and holds the true party's keys back when the thief is long gone."""
    name = PartnerName("inst.iitd")
    false, true = Party.make(name, world.now), Party.make(name, world.now)
    world.listing = with_card(world.listing, false.card(), "IN", (), (world.now, world.now + DAY))
    world.publish()
    assert len(follower.refresh().partner(name).keys) == 1
    world.listing = with_card(without(world.listing, name), true.card(), "IN", (), (world.now, world.now + DAY))
    world.board.revoke(false.signer.public.id.hex(), "false")
    world.publish()
    assert follower.refresh().partner(name).keys == ()
    accept_keys(tmp_path, world.directory.published.partners[name])
    assert [key.key for key in follower.refresh().partner(name).keys] == [true.signer.public]
    world.listing = with_card(world.listing, false.card(), "IN", (), (world.now, world.now + DAY))
    world.publish()
    assert follower.refresh().partner(name).keys == ()  # known still, and revoked
