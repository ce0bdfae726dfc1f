"""What a city is to the generator: where it lies, how it is built, and how it writes its buildings down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from citygen.chance import Chance, Floats

if TYPE_CHECKING:
    from citygen.columns import Columns
    from citygen.layout import Lots
    from citygen.stock import Stock


@dataclass(frozen=True)
class District:
    """``east`` and ``north`` place it, in radii of the city; a quarter belongs to the nearest one."""

    name: str
    code: str
    east: float
    north: float


@dataclass(frozen=True)
class Preset:
    """``origin`` is easting and northing of the centre in ``epsg``; ``pipeline`` takes these to OGC:CRS84.

    ``attributes`` gives the columns of the city's own schema, in its order (None: not known); ``omits`` says whether
    an unknown value's attribute is left out or written as null. ``names`` maps a language to the column with names.
    """

    city: str
    title: str
    epsg: int
    version: str
    lods: tuple[str, str]
    origin: tuple[float, float]
    pipeline: str
    districts: tuple[District, ...]
    land: float  # part of a circle about the centre that can be built on
    on_land: Callable[[Floats, Floats, float], np.ndarray]  # x, y of a cell's middle, half its side
    ground: Callable[[Floats, Floats], Floats]  # metres above the vertical datum
    tallest: float
    height: float  # how much higher or lower than the middle of the three cities
    heating: float  # energy for heating and cooling, likewise
    founded: int
    identifiers: Callable[[Lots, Stock, Chance], list[str]]
    attributes: Callable[[Lots, Stock, Chance], Columns]
    names: dict[str, str]
    classes: bool  # whether it records energy classes
    omits: bool
