"""The clock, by many facts: what is said of it, and of whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.doctor.clocks import Offset, clock
from cimfed.doctor.finding import Code, Severity

S = 1_000_000
NOW = 1_700_000_000 * S
AMONG_US = st.integers(-(10**6) * S, 10**6 * S)


def codes(*args: object, **more: object) -> list[Code]:
    return [found.code for found in clock(*args, **more)]  # type: ignore[arg-type]


def others(*seconds: float, doubt: float = 0.0) -> dict[str, Offset]:
    return {f"city{number}": Offset(int(each * S), int(doubt * S)) for number, each in enumerate(seconds)}


@pytest.mark.parametrize(
    ("offsets", "said"),
    [
        (others(0), [Code.OK]),
        (others(14, -14, 0), [Code.OK]),
        (others(16), [Code.CLOCK_DRIFTS]),
        (others(-30, -29, -28), [Code.CLOCK_DRIFTS]),
        (others(31), [Code.CLOCK_OFF]),
        (others(-31), [Code.CLOCK_OFF]),
        (others(3600, 3601), [Code.CLOCK_OFF]),
        (others(0, 0, 31), [Code.PEER_CLOCK_OFF]),
        (others(0, 31), [Code.PEER_CLOCK_OFF]),  # one word against another: nobody outvotes
        (others(31, 31, 0), [Code.CLOCK_OFF]),
        (others(31, -31, 0), [Code.PEER_CLOCK_OFF, Code.PEER_CLOCK_OFF]),
        (others(40, 40, -40), [Code.CLOCK_OFF, Code.PEER_CLOCK_OFF]),
        (others(31, doubt=2), [Code.CLOCK_DRIFTS]),  # not surely off
        ({}, [Code.CLOCK_UNMEASURED]),
    ],
)
def test_what_most_others_say_is_taken_for_the_time(offsets: dict[str, Offset], said: list[Code]) -> None:
    assert codes(NOW, NOW, offsets) == said


def test_an_error_says_which_way_the_clock_is_off() -> None:
    (behind,) = clock(NOW, None, others(45))
    (ahead,) = clock(NOW, None, others(-7200, -7200))
    assert "it is 45 s behind city0" in behind.what
    assert "it is 120 min ahead of city0, city1" in ahead.what
    assert (behind.severity, ahead.severity) == (Severity.ERROR, Severity.ERROR)


@pytest.mark.parametrize(
    ("issued", "said"), [(29, [Code.OK]), (30, [Code.OK]), (31, [Code.CLOCK_OFF]), (-900, [Code.OK])]
)
def test_a_directory_stamped_in_the_future_shows_a_clock_that_is_behind(issued: int, said: list[Code]) -> None:
    assert codes(NOW, NOW + issued * S, others(0)) == said


@pytest.mark.parametrize(("mark", "said"), [(30, [Code.OK]), (31, [Code.CLOCK_BEHIND_RECORD]), (-5, [Code.OK])])
def test_a_clock_below_what_was_recorded_is_an_error(mark: int, said: list[Code]) -> None:
    assert codes(NOW, NOW, others(0), NOW + mark * S) == said


@given(AMONG_US, st.lists(st.tuples(AMONG_US, st.integers(0, 10 * S)), max_size=6), AMONG_US)
def test_something_is_always_said_and_only_a_clock_beyond_the_tolerance_is_an_error(
    issued: int, asked: list[tuple[int, int]], mark: int
) -> None:
    offsets = {str(number): Offset(*each) for number, each in enumerate(asked)}
    found = list(clock(NOW, NOW + issued, offsets, NOW + mark))
    assert found
    worst = max([issued, mark, *(abs(each) for each, _ in asked)])
    if any(each.severity is Severity.ERROR for each in found):
        assert worst > 30 * S
    if all(abs(each) <= 15 * S for each, _ in asked) and asked and max(issued, mark) <= 30 * S:
        assert [each.code for each in found] == [Code.OK]
