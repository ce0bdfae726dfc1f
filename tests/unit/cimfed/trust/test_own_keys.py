"""When a party that serves takes its next keys into use: the directory says it, and nobody is left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cimfed.errors import DirectoryExpired
from cimfed.model.names import Federation, GatewayName, Kind
from cimfed.trust import next_keys
from cimfed.trust.directory.edit import with_gateway
from cimfed.trust.directory.layout import TIMESTAMP_LIFE
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.envelope import PayloadType, seal, verify
from cimfed.trust.identity_files import load_issuing_key, make_identity
from cimfed.trust.keys import settled, works
from cimfed.trust.own_keys import OwnKeys
from cimfed.trust.tls import Use, check_leaf
from tests.board import Board

SCO, NAME = Federation("sco"), GatewayName("gw.alliance")
START = 1_800_000_000_000_000
MINUTE = 60_000_000
LONG = TIMESTAMP_LIFE.total_seconds() * 1_000_000


@dataclass
class World:
    """A gateway, and the directory that it follows."""

    home: Path
    board: Board
    now: int = START
    away: bool = False

    def latest(self, now: int) -> Directory:
        if self.away:
            raise DirectoryExpired("never fetched")
        return self.board.directory

    current = latest

    def publish(self, *, keys: slice = slice(None), issuers: slice = slice(None)) -> None:
        """The registrar lists these of the old and the next ones."""
        listing = self.board.directory.published
        old = self.card
        following, issuer = next_keys.next_signing(self.home, Kind.GATEWAY), next_keys.next_issuer(self.home)
        card = replace(
            old,
            keys=tuple(key for key in (*old.keys, following) if key)[keys],
            issuers=tuple(one for one in (*old.issuers, issuer) if one)[issuers],
        )
        self.board.publish(with_gateway(listing, card), self.now)

    def __post_init__(self) -> None:
        self.card = make_identity(self.home, NAME, SCO, START, "localhost:9")
        self.board.publish(with_gateway(Listing(), self.card), START)

    def own(self) -> OwnKeys:
        made = OwnKeys(self.home, Kind.GATEWAY, SCO, NAME, lambda: self.now)
        made.follow(self)
        return made

    def make_next(self) -> None:
        next_keys.make_next_signing(self.home, Kind.GATEWAY, None, None)
        next_keys.make_next_issuer(self.home, SCO, NAME, START)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, Board("sco", START))


def shown(own: OwnKeys, world: World) -> tuple[object, object]:
    """The key that signs, and the issuer that leaves are of, as others find them out."""
    envelope = seal(PayloadType.COVERAGE, b"x", own.signer)
    gateway = world.board.directory.gateway(NAME)
    (key,) = verify(envelope, PayloadType.COVERAGE, gateway.keys)
    leaf = own.leaves(Use.SERVER).current(world.now)
    for issuer in gateway.issuers:
        try:
            check_leaf(leaf.chain_pem, SCO, lambda *_, issuer=issuer: (issuer,), world.now, Use.SERVER)
            return key, issuer
        except Exception:
            continue
    raise AssertionError("a leaf of no listed issuer")


def test_a_next_key_that_is_not_listed_is_not_used(world: World) -> None:
    world.make_next()
    own = world.own()
    world.now += 60 * MINUTE
    assert shown(own, world) == (world.card.keys[0], world.card.issuers[0])


def test_a_next_key_is_used_once_everybody_whose_directory_counts_knows_it(world: World) -> None:
    """The own directory may be the first that lists it; another in force is at most a timestamp's life older."""
    world.make_next()
    own = world.own()
    world.publish()
    old, new = (world.card.keys[0], world.card.issuers[0]), (
        next_keys.next_signing(world.home, Kind.GATEWAY), next_keys.next_issuer(world.home)
    )  # fmt: skip
    assert shown(own, world) == old
    world.now += int(LONG) - 1
    assert shown(own, world) == old
    world.now += 1
    assert shown(own, world) == new


def test_it_is_used_at_once_where_the_old_one_is_listed_no_more(world: World) -> None:
    world.make_next()
    own = world.own()
    world.publish(keys=slice(1, None))
    key, issuer = shown(own, world)
    assert key == next_keys.next_signing(world.home, Kind.GATEWAY)
    assert issuer == world.card.issuers[0]


def test_keys_that_come_while_it_runs_are_found_when_the_directory_lists_them(world: World) -> None:
    own = world.own()
    world.make_next()
    world.publish(keys=slice(1, None), issuers=slice(1, None))
    assert shown(own, world) == (
        next_keys.next_signing(world.home, Kind.GATEWAY), next_keys.next_issuer(world.home),
    )  # fmt: skip


def test_what_was_taken_is_given_up_when_it_is_revoked(world: World) -> None:
    world.make_next()
    own = world.own()
    world.publish()
    shown(own, world)
    world.now += int(LONG)
    assert shown(own, world)[0] != world.card.keys[0]
    new = next_keys.next_signing(world.home, Kind.GATEWAY)
    assert new is not None
    world.board.revoke(new.id.hex(), "lost", world.now)
    assert shown(own, world)[0] == world.card.keys[0]


def test_without_a_directory_everything_stays_as_it_is(world: World) -> None:
    world.make_next()
    world.publish()
    world.away = True
    own = world.own()
    world.now += 60 * MINUTE
    assert own.signing().public == world.card.keys[0]
    assert works(own.signer)


def test_after_the_files_are_in_place_the_next_start_has_them(world: World) -> None:
    world.make_next()
    following, issuer = next_keys.next_signing(world.home, Kind.GATEWAY), next_keys.next_issuer(world.home)
    world.publish(keys=slice(1, None), issuers=slice(1, None))
    next_keys.keep_former(world.home, Kind.GATEWAY, world.card.keys[0])
    next_keys.put_in_place(world.home, Kind.GATEWAY)
    assert (world.own().signing().public, world.own().issuing().issuer) == (following, issuer)
    assert next_keys.former_keys(world.home) == list(world.card.keys)


def test_files_that_were_moved_half_way_still_serve_and_are_moved_again(world: World) -> None:
    """A crash after the certificate was put in place, and before its key."""
    world.make_next()
    issuer = next_keys.next_issuer(world.home)
    keys = world.home / "keys"
    (keys / "tls.next.pem").replace(keys / "tls.pem")
    assert world.own().issuing().issuer == issuer
    next_keys.put_in_place(world.home, Kind.GATEWAY)
    assert load_issuing_key(world.home).issuer == issuer


def test_an_issuing_key_that_was_moved_half_way_is_not_lost_to_the_next_one(world: World) -> None:
    world.make_next()
    issuer = next_keys.next_issuer(world.home)
    keys = world.home / "keys"
    (keys / "tls.next.pem").replace(keys / "tls.pem")
    following = next_keys.make_next_issuer(world.home, world.card.federation, world.card.name, world.now)
    assert load_issuing_key(world.home).issuer == issuer
    assert next_keys.load_next_issuing_key(world.home).issuer == following


def test_a_next_key_that_cannot_be_read_is_told_once_and_the_old_one_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.make_next()
    next_keys.next_key_path(world.home, Kind.GATEWAY).chmod(0o644)
    own = world.own()
    world.publish()
    world.now += 60 * MINUTE
    assert own.signing().public == world.card.keys[0]
    world.board.restamp(world.now)
    own.signing()
    assert [record.message for record in caplog.records if "start it again" in record.message] == [
        "a next key cannot be read by this process: start it again to take that key into use"
    ]


def test_many_threads_never_sign_in_the_name_of_another_key(world: World) -> None:
    """Half of them are under way while the keys change."""
    world.make_next()
    own = world.own()
    world.publish()
    own.signing()

    def sign(number: int) -> bool:
        if number == 100:
            world.now += int(LONG)
        signer = settled(own.signer)
        envelope = seal(PayloadType.COVERAGE, b"%d" % number, own.signer)
        (signature,) = envelope.signatures
        keys = [key for key in world.board.directory.gateway(NAME).keys if key.id == signature.key_id]
        return works(signer) and bool(verify(envelope, PayloadType.COVERAGE, keys))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(sign, range(200)))
    assert own.signing().public == next_keys.next_signing(world.home, Kind.GATEWAY)
