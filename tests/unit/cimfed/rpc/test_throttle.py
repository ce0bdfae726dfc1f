"""Callers that are nobody: so often from one address, so many at once, and one address never takes what is all's."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from cimfed.errors import NotAllowed, Overloaded
from cimfed.rpc import throttle
from cimfed.rpc.throttle import Allowance, Throttle, source

METHOD = "/x/Y"
HERE, THERE = "ipv4:192.0.2.1:4000", "ipv4:192.0.2.2:4000"


class Door:
    def __init__(self, rate: float = 0.5, burst: int = 3, slots_each: int = 2, slots: int = 3) -> None:
        self.time = 0.0
        self.throttle = Throttle({METHOD: Allowance(rate, burst, slots_each, slots)}, lambda: self.time)

    def calls(self, peer: str) -> int:
        """How many are let in, one after the other."""
        passed = 0
        try:
            while True:
                with self.throttle.slot(METHOD, peer):
                    passed += 1
        except Overloaded:
            return passed


def test_an_address_has_a_burst_and_then_its_rate() -> None:
    door = Door()
    assert door.calls(HERE) == 3
    door.time = 1.9
    assert door.calls(HERE) == 0
    door.time = 2.0
    assert door.calls(HERE) == 1
    door.time = 1000.0
    assert door.calls(HERE) == 3


def test_another_address_has_its_own() -> None:
    door = Door()
    assert door.calls(HERE) == 3
    assert door.calls(THERE) == 3
    assert door.calls("ipv4:192.0.2.1:5000") == 0  # another port is no other address


def test_an_address_holds_its_slots_at_most_and_all_hold_the_methods() -> None:
    door = Door(burst=100)
    with ExitStack() as running:
        for peer in (HERE, HERE, THERE):
            running.enter_context(door.throttle.slot(METHOD, peer))
        for peer in (HERE, THERE):
            with pytest.raises(Overloaded), door.throttle.slot(METHOD, peer):
                pass
    assert door.calls(THERE) == 99  # what was refused took none of them


def test_a_refusal_says_when_to_come_back() -> None:
    door = Door(rate=0.25)
    door.calls(HERE)
    with pytest.raises(Overloaded) as raised, door.throttle.slot(METHOD, HERE):
        pass
    assert raised.value.retry_after == 4.0


def test_a_slot_is_given_back_after_an_error() -> None:
    door = Door(burst=100)
    for _ in range(10):
        with pytest.raises(ValueError, match="broken"), door.throttle.slot(METHOD, HERE):
            raise ValueError("broken")


def test_a_method_without_an_allowance_is_nobodys() -> None:
    with pytest.raises(NotAllowed), Door().throttle.slot("/x/Z", HERE):
        pass


def test_what_is_known_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "REMEMBERED", 10)
    door = Door(burst=1)
    for number in range(1000):
        assert door.calls(f"ipv4:10.0.{number // 256}.{number % 256}:1") == 1
        assert door.calls(HERE) == (number == 0)  # who keeps calling is not forgotten
    assert len(door.throttle._methods[METHOD].buckets) == 10


@pytest.mark.parametrize(
    ("peer", "counts_as"),
    [
        ("ipv4:192.0.2.1:4000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:4000", "2001:db8::/64"),
        ("ipv6:[2001:db8::1:2:3:4]:4000", "2001:db8::/64"),
        ("ipv6:%5B2001:db8:0:1::1%5D:4000", "2001:db8:0:1::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4000", "fe80::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:4000", "192.0.2.1"),
        ("ipv6:%5B::1%5D:4000", "::/64"),
        ("unix:/tmp/x", ""),
        ("ipv4:nonsense", ""),
        ("", ""),
    ],
)
def test_what_of_an_address_counts(peer: str, counts_as: str) -> None:
    assert source(peer) == counts_as
