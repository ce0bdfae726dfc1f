"""Small helpers by which a city writes its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from citygen.chance import Chance, Ints
from citygen.layout import Lots
from citygen.stock import FUNCTIONS, Stock

Columns = dict[str, list[object]]

# One in this many buildings of a use bears a name, where the use has names at all.
NAMED = {"office": 2, "retail": 3, "school": 1, "hospital": 1, "hotel": 1, "worship": 1, "public": 1, "transport": 2}


def words(table: Sequence[object], which: Ints) -> list[object]:
    """``table[which]`` for each."""
    return list(np.array(table, dtype=object)[which])


def spoken(tables: Sequence[Sequence[object]], which: Ints, chance: Chance, lots: Lots, stream: str) -> list[object]:
    """``words`` out of one of several tables with the same meaning; the first is three times as likely as any other."""
    odds = np.array([3.0] + [1.0] * (len(tables) - 1))
    table = chance.choice(f"spoken/{stream}", lots.number, odds)
    return list(np.array(tables, dtype=object)[table, which])


def decimals(values: Ints, places: int) -> list[str]:
    """Whole numbers (0 or more) of the last place as decimal text."""
    power = 10**places
    return [f"{value // power}.{value % power:0{places}d}" for value in values.tolist()]


def known(values: Ints | Sequence[object], mask: np.ndarray, divisor: int = 1) -> list[object]:
    """Whole numbers, or decimals of 1/``divisor``; None where the city does not know."""
    if isinstance(values, np.ndarray):
        values = (values if divisor == 1 else values / divisor).tolist()
    return [value if is_known else None for value, is_known in zip(values, mask.tolist(), strict=True)]


def number(lots: Lots) -> Ints:
    """A number for a school or hospital: no two in a quarter of the same use share it often."""
    return 1 + (lots.quarter * 7 + lots.place) % 211


def names(
    lots: Lots,
    stock: Stock,
    chance: Chance,
    patterns: Mapping[str, str],
    districts: Sequence[str],
    places: Sequence[str],
) -> list[object]:
    """Names for those that bear one, by the pattern of their use: ``{d}`` district, ``{p}`` place, ``{n}`` number."""
    often = np.array([1 / NAMED[use] if use in NAMED else 0.0 for use in FUNCTIONS])
    bears = chance.uniform("named", lots.number) < often[stock.function]
    place = (chance.words("place", lots.number) % np.uint64(len(places))).astype(np.int64)
    found: list[object] = [None] * len(lots.number)
    numbers = number(lots)
    for at in np.flatnonzero(bears).tolist():
        found[at] = patterns[FUNCTIONS[stock.function[at]]].format(
            d=districts[lots.district[at]], p=places[place[at]], n=numbers[at]
        )
    return found
