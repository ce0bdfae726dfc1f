"""Codes of countries, against the time zone database's own table and Debian's of ISO, where they are at hand."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from string import ascii_uppercase

import pytest

from cimfed.model.countries import NAMES, country_remedy, is_country

USERS = {"AA", "ZZ", *(f"Q{letter}" for letter in "MNOPQRSTUVWXYZ"), *(f"X{letter}" for letter in ascii_uppercase)}


def test_the_codes_are_those_of_the_time_zone_database() -> None:
    pytest.importorskip("tzdata")
    table = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")]
    assert dict(NAMES) == {code: name.replace("\u2019", "'") for code, name in rows}


def test_the_codes_are_those_of_iso() -> None:
    file = Path("/usr/share/iso-codes/json/iso_3166-1.json")
    if not file.exists():
        pytest.skip("Debian's iso-codes are not here")
    assert NAMES.keys() == {entry["alpha_2"] for entry in json.loads(file.read_text("utf-8"))["3166-1"]}


def test_two_capitals_are_a_country_or_one_of_users_or_none() -> None:
    codes = {first + second for first in ascii_uppercase for second in ascii_uppercase}
    assert {code for code in codes if is_country(code)} == NAMES.keys() | USERS
    assert NAMES.keys().isdisjoint(USERS)


@pytest.mark.parametrize("word", ["", "K", "kz", "KZ ", "KAZ", "K\u0396", "KZ\n"])
def test_nothing_else_is_one(word: str) -> None:
    assert not is_country(word)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("kz", "KZ"), (" In", "IN"), ("UK", "GB"), ("el", "GR"), ("KAZ", "KZ"), ("kazakhstan", "KZ"), ("xa", "XA"),
        ("Kazakstan", "KZ"), ("UZB", "UZ"), ("India", "IN"), ("KA", "KZ"),
    ],
)  # fmt: skip
def test_what_is_close_to_one_is_named(word: str, meant: str) -> None:
    assert country_remedy(word) == f"Did you mean {meant}?"


@pytest.mark.parametrize("word", ["", "1", "JA", "Q", "nowhere at all", "x" * 1_000_000])
def test_what_is_close_to_none_is_told_what_a_code_is(word: str) -> None:
    assert country_remedy(word) == "Give two capitals as in ISO 3166-1, such as KZ"
