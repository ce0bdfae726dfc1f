"""The one form of each number, exact whatever the context of decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimfed.errors import BadQuery
from cimfed.query.literals import canonical, number, unscaled


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 9), st.integers(0, 30))
def test_every_number_in_range_has_one_form(value: int, scale: int, zeros: int) -> None:
    written = Decimal(f"{value}{'0' * zeros}E-{scale + zeros}")
    with localcontext(prec=3):
        digits, least = unscaled(written)
        found = canonical(written)
    assert Fraction(digits, 10**least) == Fraction(written) == Fraction(found)
    assert least == 0 or digits % 10
    assert found == number(digits, least)
    assert "E" not in str(found) or least > 6
    assert f"{found:f}" == f"{canonical(found):f}"


@settings(deadline=None)
@given(st.decimals())
def test_any_decimal_has_its_form_or_is_refused(written: Decimal) -> None:
    try:
        digits, scale = unscaled(written)
    except BadQuery:
        return
    assert Fraction(digits, 10**scale) == Fraction(written)
    assert -(2**63) <= digits < 2**63
    assert 0 <= scale <= 9


def test_zero_has_no_sign_and_no_scale() -> None:
    for text in ("0", "-0", "0.000", "-0E+99", "0E-99"):
        assert str(canonical(Decimal(text))) == "0"


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "9223372036854775808", "1E-10", "1E+19", "0.12345678901"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        canonical(Decimal(text))
