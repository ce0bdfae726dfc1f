"""A city that keeps failing is left alone for a growing while and comes back by one probe."""

from __future__ import annotations

from cimfed_gateway.registry import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker


def broken(times: int, now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.failed(now)
    return breaker


def test_single_failures_do_not_close_a_city_out() -> None:
    breaker = broken(FAILURES - 1)
    assert breaker.admits(0.0)
    assert breaker.admits(0.0)


def test_after_repeated_failures_the_city_is_left_alone_for_the_pause() -> None:
    breaker = broken(FAILURES)
    assert not breaker.admits(FIRST_PAUSE - 0.01)
    assert breaker.admits(FIRST_PAUSE)


def test_only_one_query_probes() -> None:
    breaker = broken(FAILURES)
    assert breaker.admits(FIRST_PAUSE)
    assert not breaker.admits(FIRST_PAUSE)
    breaker.abandoned()
    assert breaker.admits(FIRST_PAUSE)


def test_a_probe_that_succeeds_opens_the_city_again() -> None:
    breaker = broken(FAILURES + 3)
    breaker.succeeded()
    assert breaker.admits(0.0)
    assert breaker.admits(0.0)


def test_the_pause_doubles_up_to_its_bound() -> None:
    assert broken(FAILURES + 1).until == 2 * FIRST_PAUSE
    assert broken(FAILURES + 40).until == LONGEST_PAUSE
