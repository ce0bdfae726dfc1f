"""What a property holds for what a source writes: decimals, whole numbers, years, times, codes, names, and the rest."""

from __future__ import annotations

import json
import random
import unicodedata
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.ingest.making import feature, features, imported, lines, refused

HEAD = "format: cimfed/mapping/v1\nproperties:\n"


def read(folder: Path, values: list[Any], rule: str, prop: str) -> list[dict[str, Any]]:
    """The rows of objects that have each of these values as attribute ``v``, under one rule."""
    data = features(*(feature(f"f{number}", None, v=value) for number, value in enumerate(values)))
    rows, _ = imported(folder, data, mapping=f"{HEAD}  {prop}: {rule}\n")
    return [rows[f"f{number}"] for number in range(len(values))]


# source, rule, what height (two decimals) is; None: it stays in ext
NUMBERS: list[tuple[Any, str, str | None]] = [
    ("2.675", "v", "2.68"),
    (2.675, "v", "2.68"),
    (2.665, "v", "2.66"),
    ("2.665", "v", "2.66"),
    ("2.6650000000000000000000000000000000001", "v", "2.67"),
    (-2.665, "v", "-2.66"),
    ("-2.675", "v", "-2.68"),
    (0.005, "v", "0.00"),
    (0.015, "v", "0.02"),
    (1e-30, "v", "0.00"),
    ("1e3", "v", "1000.00"),
    (" 12.5 ", "v", "12.50"),
    ("12.5 m", "v", "12.50"),
    ("12.5m", "v", "12.50"),
    ("+7", "v", "7.00"),
    (".5", "v", "0.50"),
    ("5.", "v", "5.00"),
    ([12.5], "v", "12.50"),
    ("9999999999999999.99", "v", "9999999999999999.99"),
    ("-9999999999999999.99", "v", "-9999999999999999.99"),
    ("12,5", "v", None),
    ("12.5 ft", "v", None),
    ("high", "v", None),
    ("0x10", "v", None),
    ("1_000", "v", None),
    ("１２", "v", None),
    ("nan", "v", None),
    ("Infinity", "v", None),
    (True, "v", None),
    ([1, 2], "v", None),
    ({"a": 1}, "v", None),
    ("12,5", "{from: v, decimal: ','}", "12.50"),
    ("1 234,565", "{from: v, decimal: ','}", "1234.56"),
    ("1\u00a0234,575", "{from: v, decimal: ','}", "1234.58"),
    ("1.234,5", "{from: v, decimal: ','}", None),
    (12.5, "{from: v, decimal: ','}", "12.50"),
    ("100", "{from: v, factor: 0.3048}", "30.48"),
    (1, "{from: v, factor: 0.3048}", "0.30"),
    ("12,5", "{from: v, factor: -2, decimal: ','}", "-25.00"),
    ("0.5", "{from: v, factor: 0.01}", "0.00"),
    ("1.5", "{from: v, factor: 0.01}", "0.02"),
    ("1e20", "{from: v, factor: 1e-20}", "1.00"),
]


@pytest.mark.parametrize("rule", sorted({rule for _, rule, _ in NUMBERS}))
def test_a_number_becomes_a_decimal_rounded_half_to_even_once(rule: str, tmp_path: Path) -> None:
    cases = [(raw, expected) for raw, own, expected in NUMBERS if own == rule]
    rows = read(tmp_path, [raw for raw, _ in cases], rule, "height")
    found = [
        (raw, None if row["height"] is None else str(row["height"])) for (raw, _), row in zip(cases, rows, strict=True)
    ]
    assert found == cases
    assert [row["ext"] for row in rows] == [{} if expected else {"v": raw} for raw, expected in cases]
    assert [row["height_method"] for row in rows] == ["measured" if expected else None for _, expected in cases]


def test_random_numbers_are_rounded_as_decimal_arithmetic_says(tmp_path: Path) -> None:
    chance = random.Random(7)
    texts = [f"{chance.uniform(-1, 1) * 10 ** chance.randint(-3, 9):.{chance.randint(0, 6)}f}" for _ in range(300)]
    texts += [f"{n}.{d}5" for n in (0, 7, 1000) for d in range(100, 110)]
    rows = read(tmp_path, texts, "{from: v, factor: 0.3048}", "height")
    exact = [Decimal(text) * Decimal("0.3048") for text in texts]
    assert [row["height"] for row in rows] == [one.quantize(Decimal("0.01"), ROUND_HALF_EVEN) for one in exact]


@pytest.mark.parametrize("raw", ["1e16", 1e16, "10000000000000000", "-1e16", "1e999", "9999999999999999.995"])
def test_a_number_that_a_decimal_cannot_hold_makes_a_bad_object(raw: Any, tmp_path: Path) -> None:
    error = refused(tmp_path, features(feature("a"), feature("b", height=raw)))
    assert "b: height for height: " in error.message
    assert "too large for DECIMAL(18, 2)" in error.message


@pytest.mark.parametrize(
    ("top", "less", "expected"),
    [
        (20.5, -0.5, "21.00"),
        ("20.565", "0.1", "20.46"),
        (20.5, None, "20.50"),
        (20.5, "", "20.50"),
        (20.5, "unknown", None),
        ("", 3, None),
        ("high", 3, None),
        ("1e15", "1", "999999999999999.00"),
    ],
)
def test_minus_takes_another_attribute_off(top: Any, less: Any, expected: str | None, tmp_path: Path) -> None:
    rows, _ = imported(
        tmp_path,
        features(feature("a", top=top, less=less)),
        mapping=HEAD + "  height: {from: top, minus: less}\n",
    )
    assert (None if rows["a"]["height"] is None else str(rows["a"]["height"])) == expected


@pytest.mark.parametrize(
    ("raw", "rule", "expected"),
    [
        (5, "v", 5),
        ("5", "v", 5),
        (5.0, "v", 5),
        ("5.0", "v", 5),
        ("5,0", "{from: v, decimal: ','}", 5),
        ("1e3", "v", 1000),
        (2**63 - 1, "v", 2**63 - 1),
        (-(2**63) + 1, "v", -(2**63) + 1),
        (5.5, "v", None),
        ("five", "v", None),
        (True, "v", None),
        (3, "{from: v, factor: 2}", 6),
        (3, "{from: v, factor: 0.5}", None),
    ],
)
def test_a_whole_number_is_whole_or_stays_in_ext(raw: Any, rule: str, expected: int | None, tmp_path: Path) -> None:
    (row,) = read(tmp_path, [raw], rule, "storeys_above")
    assert row["storeys_above"] == expected
    assert ("v" in row["ext"]) == (expected is None)


@pytest.mark.parametrize("raw", [2**63, "9223372036854775808", 1e30, "-1e19"])
def test_a_whole_number_beyond_64_bits_makes_a_bad_object(raw: Any, tmp_path: Path) -> None:
    assert "too large for 64 bits" in refused(tmp_path, features(feature("a", levels=raw))).message


YEARS: list[tuple[Any, int | None]] = [
    ("1998-05-03", 1998),
    ("1998-05", 1998),
    ("1998", 1998),
    (1998, 1998),
    (1998.0, 1998),
    ("1998-05-03T10:00:00Z", 1998),
    ("1998-05-03 10:00", 1998),
    (" 1998 ", 1998),
    ("-0044-03-15", -44),
    ("0800", 800),
    ("98", None),
    ("03.05.1998", None),
    ("1998/05/03", None),
    ("ca. 1900", None),
    (19980503, None),
    ("１９９８", None),
    ("", None),
]


def test_the_year_of_a_date_is_taken(tmp_path: Path) -> None:
    rows = read(tmp_path, [raw for raw, _ in YEARS], "{from: v, part: year}", "year_built")
    assert [(raw, row["year_built"]) for (raw, _), row in zip(YEARS, rows, strict=True)] == YEARS
    assert [row["ext"] for row in rows] == [{"v": raw} if year is None and raw else {} for raw, year in YEARS]


TIMES: list[tuple[Any, datetime | None]] = [
    ("2024", datetime(2024, 1, 1, tzinfo=UTC)),
    (2024, datetime(2024, 1, 1, tzinfo=UTC)),
    ("2024-05", datetime(2024, 5, 1, tzinfo=UTC)),
    ("2024-05-03", datetime(2024, 5, 3, tzinfo=UTC)),
    ("2024-05-03T10:00:00", datetime(2024, 5, 3, 10, tzinfo=UTC)),
    ("2024-05-03T10:00:00Z", datetime(2024, 5, 3, 10, tzinfo=UTC)),
    ("2024-05-03T10:00:00.123456+05:00", datetime(2024, 5, 3, 5, 0, 0, 123456, tzinfo=UTC)),
    ("1969-12-31T23:59:59.999999Z", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("2024-13-01", None),
    ("2024-02-30", None),
    ("yesterday", None),
]


def test_a_time_is_utc_unless_it_names_its_zone(tmp_path: Path) -> None:
    rows = read(tmp_path, [raw for raw, _ in TIMES], "v", "valid_from")
    assert [(raw, row["valid_from"]) for (raw, _), row in zip(TIMES, rows, strict=True)] == TIMES
    assert [row["ext"] for row in rows] == [{} if time else {"v": raw} for raw, time in TIMES]


CODES: list[tuple[Any, str | None]] = [
    ("office", "office"),
    ("OFFICE", "office"),
    ("  Office  ", "office"),
    ("жилой  дом", "residential"),
    ("ЖИЛОЙ\u00a0ДОМ", "residential"),
    ("жилой\u3000дом", "residential"),
    ("жилои\u0306 дом", "residential"),
    ("四\u5c4b", None),
    ("住宅", "residential"),
    (1120, "office"),
    ("1120", "office"),
    (1120.0, "office"),
    (["1120"], "office"),
    ("оffice", None),  # the first letter is Cyrillic
    ("castle", None),
    ("yes", None),
    (True, None),
    ("", None),
    ("Мешіт", "worship"),
    ("DO\u02bbKON", "retail"),
]


def test_codes_are_compared_without_case_width_of_spaces_and_composition(tmp_path: Path) -> None:
    rows = read(tmp_path, [raw for raw, _ in CODES], "{from: v, codes: function}", "function")
    assert [(raw, row["function"]) for (raw, _), row in zip(CODES, rows, strict=True)] == CODES
    kept = [{"v": raw} if code is None and raw != "" else {} for raw, code in CODES]
    assert [row["ext"] for row in rows] == json.loads(
        unicodedata.normalize("NFC", json.dumps(kept, ensure_ascii=False))
    )


def test_unknown_codes_are_counted_and_known_ones_that_say_nothing_are_not(tmp_path: Path) -> None:
    made = [feature(f"f{n}", function=code) for n, code in enumerate(["castle", "castle", "fort", "yes", "office"])]
    _, report = imported(tmp_path, features(*made))
    assert report.unmapped == {("function", "function"): {"castle": 2, "fort": 1}}
    assert report.matched["function"] == {"function": 1}


def test_own_codes_prevail_over_shipped_ones_and_otherwise_takes_the_rest(tmp_path: Path) -> None:
    rule = "{from: v, codes: [function, {ОФИС: public, office: hotel}], otherwise: other}"
    rows = read(tmp_path, ["офис", "Office", "castle", "住宅", "", None], rule, "function")
    assert [row["function"] for row in rows] == ["public", "hotel", "other", "residential", None, None]


def test_names_are_taken_by_language_and_by_pattern_in_one_form_of_unicode(tmp_path: Path) -> None:
    properties = {
        "name": "Cafe\u0301",
        "name:en": "Coffee",
        "name:zh-Hans": "咖啡馆",
        "name:sr-Latn": "Kafić",
        "name:etymology": "a word",
        "name:old:en": "Tavern",
        "name:": "nothing",
        "name:ru": "",
        "name:kk": None,
        "name:tg": 7,
    }
    rows, report = imported(tmp_path, features(feature("a", **properties)))
    assert rows["a"]["name"] == {
        "und": "Café",
        "en": "Coffee",
        "zh-Hans": "咖啡馆",
        "sr-Latn": "Kafić",
        "tg": "7",
    }
    assert rows["a"]["ext"] == {key: properties[key] for key in ("name:etymology", "name:old:en", "name:")}
    assert set(report.unclaimed) == set(rows["a"]["ext"])


def test_losers_unknown_attributes_and_misfits_stay_in_ext(tmp_path: Path) -> None:
    properties = {
        "height": 5,
        "measuredHeight": "tall",
        "building:height": 7.25,
        "function": "castle",
        "building": "house",
        "colour": {"roof": ["red", 1.50, None, True], "wall": ""},
        "e\u0301": "e\u0301",
        "big": 2**60,
        "nothing": None,
    }
    rows, _ = imported(tmp_path, features(feature("a", **properties)))
    row = rows["a"]
    assert (row["height"], row["function"]) == (5, "residential")
    kept = {key: value for key, value in properties.items() if key not in ("height", "building", "e\u0301")}
    assert row["ext"] == kept | {"é": "é", "big": str(2**60)}


@pytest.mark.parametrize("order", [("measuredHeight", "height"), ("height", "measuredHeight")])
def test_the_first_of_the_rules_wins_whatever_the_order_in_the_file(order: tuple[str, str], tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, lines(feature("a", **{name: len(name) for name in order})))
    assert rows["a"]["height"] == len("measuredHeight")
    assert rows["a"]["ext"] == {"height": len("height")}


def test_a_constant_is_in_every_row(tmp_path: Path) -> None:
    text = HEAD + "".join(
        f"  {name}: {{constant: {value}}}\n"
        for name, value in {"height": "2.675", "year_built": "1990", "function": "hotel", "valid_from": "2024"}.items()
    )
    rows, _ = imported(tmp_path, features(feature("a", height=9), feature("b")), mapping=text)
    for row in rows.values():
        assert (str(row["height"]), row["year_built"], row["function"]) == ("2.68", 1990, "hotel")
        assert row["valid_from"] == datetime(2024, 1, 1, tzinfo=UTC)
    assert rows["a"]["ext"] == {"height": 9}


def test_ext_is_canonical_json(tmp_path: Path) -> None:
    """RFC 8785, 3.2.3: keys by UTF-16 units; numbers as ECMAScript writes them."""
    properties = {"\U0001f600": 1, "\uff21": 2, "b": 1e21, "a": 1.0, "c": 1e-7, "ö": 333333333.33333329}
    imported(tmp_path, features(feature("a", **properties)))
    (path,) = tmp_path.glob("snapshots/*/building.parquet")
    (text,) = pq.read_table(path, columns=["ext"]).column("ext").to_pylist()
    assert text == '{"a":1,"b":1e+21,"c":1e-7,"ö":333333333.3333333,"\U0001f600":1,"\uff21":2}'
    assert json.loads(text) == properties
