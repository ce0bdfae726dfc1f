"""Cards that the directory shows to everybody, handed in again by somebody who has nothing but them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.model.admission import Join, RequestState, Status
from cimfed.rpc.authorisation import JOIN
from cimfed.trust.card import Card, endorsed, parse_card, seal_card
from cimfed.trust.directory.documents import NAMED
from cimfed.trust.directory.edit import DAY, with_card, with_more_keys
from cimfed.trust.envelope import to_json
from cimfed.trust.keys import KeySigner
from cimfed.wire import admissions as wire
from tests.unit.cimfed.parties import GATEWAY, PARTNER, Party
from tests.unit.gateway.directory.alliance import Alliance


@pytest.fixture
def alliance(tmp_path: Path) -> Alliance:
    return Alliance(tmp_path).begin()


def hand_in(alliance: Alliance, content: bytes) -> Status:
    return wire.decode_status(alliance.serving.calls()[JOIN](wire.encode_join(Join(b"", content, b""))))


def waiting(alliance: Alliance) -> list[bytes]:
    return [entry.card for entry in alliance.administer("requests").requests]


def published(alliance: Alliance) -> bytes:
    """The last card of the successions: whoever can fetch the directory has it."""
    return to_json(alliance.repository.roster().directory.published.successions[-1])


def rotating(card: Card, old: KeySigner) -> tuple[Card, KeySigner]:
    new = KeySigner.generate()
    both = replace(card, keys=(old.public, new.public))
    return parse_card(seal_card(both, old, new)), new


def spaced(content: bytes) -> bytes:
    return json.dumps(json.loads(content), indent=1).encode()


def signed_twice(content: bytes) -> bytes:
    document = json.loads(content)
    document["signatures"].append(document["signatures"][0])
    return json.dumps(document).encode()


def as_it_is(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize("written", [as_it_is, spaced, signed_twice])
def test_a_card_of_a_rotation_that_is_over_brings_no_old_key_back_and_ends_no_newer_request(
    alliance: Alliance, written: Callable[[bytes], bytes]
) -> None:
    """The present key is on it, beside one that was dropped, and perhaps leaked."""
    party = alliance.parties[GATEWAY]
    both, new = rotating(party.card(), party.signer)
    hand_in(alliance, to_json(both.envelope))
    alliance.publish(with_card(alliance.listing, both))
    alliance.publish(with_card(alliance.listing, parse_card(seal_card(replace(both, keys=(new.public,)), new))))
    following = to_json(rotating(party.card(), new)[0].envelope)
    assert hand_in(alliance, following).state is RequestState.WAITING
    assert hand_in(alliance, written(published(alliance))).state is RequestState.LISTED  # what became of it
    assert waiting(alliance) == [following]
    assert hand_in(alliance, following).state is RequestState.WAITING


@pytest.mark.parametrize("written", [as_it_is, spaced])
@pytest.mark.parametrize("later", [0, NAMED])
def test_the_card_of_a_further_key_does_not_take_the_others_off_the_list(
    alliance: Alliance, written: Callable[[bytes], bytes], later: int
) -> None:
    """It names that key alone, and was listed beside them without being handed in. Later ones push it off the list."""
    party = alliance.parties[PARTNER]
    kept = b""
    for _ in range(1 + later):
        more = replace(Party.make(PARTNER, alliance.now), issuing=party.issuing)
        card = parse_card(endorsed(seal_card(more.card(), more.signer), party.signer))
        alliance.publish(with_more_keys(alliance.listing, card, (alliance.now, alliance.now + DAY)))
        kept = kept or published(alliance)
    assert hand_in(alliance, written(kept)).state is RequestState.LISTED  # what became of it
    assert waiting(alliance) == []


def test_a_card_that_was_denied_is_no_new_request_in_another_writing(alliance: Alliance) -> None:
    party = alliance.parties[GATEWAY]
    card = to_json(rotating(party.card(), party.signer)[0].envelope)
    hand_in(alliance, card)
    (entry,) = alliance.administer("requests").requests
    alliance.administer("deny", id=entry.id.hex(), message="not now")
    for written in (spaced(card), signed_twice(card)):
        assert hand_in(alliance, written) == Status(RequestState.DENIED, "not now")
    assert waiting(alliance) == []
