"""What stands on the lots: use, height, storeys, age, energy. In the common vocabulary's terms and exact units.

Storeys follow from a log-normal height that is drawn for the kind of quarter, and the height as written from the
storeys again, so the two agree. Floor area is footprint by storeys; energy is floor area by an intensity of use, age
and climate. Values are whole numbers of the vocabulary's last decimal: centimetres, tenths of m2 and of kWh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from citygen.chance import Chance, Floats, Ints
from citygen.layout import KIND, Lots
from citygen.preset import Preset

FUNCTIONS = (
    "residential", "office", "retail", "industrial", "school", "hospital", "hotel", "transport", "worship", "public",
    "garage", "agricultural", "other",
)  # fmt: skip
ROOFS = ("flat", "shed", "gabled", "hipped", "pyramidal", "mansard", "dome", "other")
STATES = ("in_use", "vacant", "under_construction", "ruined")
CLASSES = ("A", "B", "C", "D", "E", "F", "G")

#                       res  off  ret  ind  sch  hos  hot  tra  wor  pub  gar  agr  oth
USES = np.array([
    [0.45, 0.28, 0.09, 0.00, 0.01, 0.01, 0.08, 0.00, 0.00, 0.05, 0.02, 0.00, 0.01],  # towers
    [0.58, 0.16, 0.11, 0.00, 0.03, 0.01, 0.03, 0.01, 0.01, 0.04, 0.01, 0.00, 0.01],  # perimeter
    [0.80, 0.02, 0.05, 0.00, 0.05, 0.01, 0.00, 0.00, 0.00, 0.02, 0.04, 0.00, 0.01],  # slabs
    [0.56, 0.10, 0.14, 0.04, 0.02, 0.01, 0.02, 0.01, 0.01, 0.03, 0.04, 0.00, 0.02],  # mixed
    [0.88, 0.01, 0.03, 0.01, 0.01, 0.00, 0.00, 0.00, 0.01, 0.01, 0.02, 0.01, 0.01],  # houses
    [0.02, 0.06, 0.08, 0.62, 0.00, 0.00, 0.00, 0.06, 0.00, 0.01, 0.07, 0.05, 0.03],  # works
])  # fmt: skip
STOREY = np.array([3.0, 3.8, 4.5, 6.0, 3.6, 3.9, 3.4, 6.0, 7.0, 4.2, 3.0, 4.5, 3.5])  # m
MOST_STOREYS = np.array([60, 90, 8, 5, 5, 14, 50, 3, 3, 9, 3, 2, 6])
INTENSITY = np.array([95, 150, 210, 240, 105, 280, 190, 120, 70, 130, 25, 40, 90])  # kWh a year and m2

MEDIAN = np.array([48.0, 18.0, 21.0, 12.0, 6.0, 9.5])  # height by kind of quarter, m
SPREAD = np.array([0.42, 0.24, 0.33, 0.38, 0.22, 0.34])
PITCHED = np.array([0.02, 0.30, 0.12, 0.35, 0.85, 0.25])


@dataclass(frozen=True)
class Stock:
    """One value for each building; ``..._known`` says which ones the city's records have."""

    function: Ints
    storeys: Ints
    cellars: Ints
    height: Ints  # cm
    height_known: np.ndarray
    year: Ints
    year_known: np.ndarray
    roof: Ints
    state: Ints
    footprint: Ints  # tenths of m2
    floor_area: Ints  # tenths of m2
    energy: Ints  # tenths of kWh a year
    energy_known: np.ndarray
    energy_class: Ints


def stock(preset: Preset, chance: Chance, lots: Lots) -> Stock:
    number, kind = lots.number, lots.kind
    function = chance.choice("function", number, USES[kind])
    storeys, height = _heights(preset, chance, lots, function)

    tall = storeys > 9
    cellars = np.where(
        tall, 1 + np.rint(2.2 * chance.uniform("cellars", number)), chance.uniform("cellars", number) < 0.3
    )
    middle = np.where(kind == KIND["towers"], 2008, np.where(lots.reach < 0.5, 1972, 1988))
    year = np.rint(middle + 17.0 * chance.normal("year", number)).astype(np.int64)
    year = np.clip(year, preset.founded, 2025)
    pitched = chance.uniform("pitched", number) < PITCHED[kind] * ~tall
    slope = chance.choice("roof", number, np.array([0.0, 0.12, 0.52, 0.22, 0.06, 0.06, 0.0, 0.02]))
    roof = np.where(function == FUNCTIONS.index("worship"), ROOFS.index("dome"), np.where(pitched, slope, 0))
    state = chance.choice("state", number, np.array([0.935, 0.035, 0.020, 0.010]))
    year = np.where(state == STATES.index("under_construction"), 2025, year)

    footprint = np.rint(lots.area * 10.0).astype(np.int64)
    floor_area = np.rint(lots.area * storeys * chance.between("floor", number, 0.88, 1.0) * 10.0).astype(np.int64)
    relative = preset.heating * np.exp(0.28 * chance.normal("energy", number) - 0.006 * (year - 1985))
    energy_class = np.searchsorted(np.array([0.55, 0.72, 0.88, 1.05, 1.28, 1.60]), relative)
    run = np.array([1.0, 0.12, 0.05, 0.02])[state]
    energy = np.rint(floor_area * INTENSITY[function] * relative * run).astype(np.int64)
    return Stock(
        function=function,
        storeys=storeys,
        cellars=cellars.astype(np.int64),
        height=height,
        height_known=chance.uniform("height/known", number) >= 0.12,
        year=year,
        year_known=chance.uniform("year/known", number) >= 0.15,
        roof=roof,
        state=state,
        footprint=footprint,
        floor_area=floor_area,
        energy=energy,
        energy_known=chance.uniform("energy/known", number) >= 0.22,
        energy_class=energy_class,
    )


def _heights(preset: Preset, chance: Chance, lots: Lots, function: Ints) -> tuple[Ints, Ints]:
    """Storeys, and heights in centimetres."""
    number, kind = lots.number, lots.kind
    centrality = np.clip(1.0 - lots.reach, 0.0, 1.0)
    median: Floats = MEDIAN[kind] * np.where(kind == KIND["towers"], 0.55 + 1.1 * centrality**2, 0.9 + 0.2 * centrality)
    target = (
        median * np.where(median > 10.0, preset.height, 1.0) * np.exp(SPREAD[kind] * chance.normal("height", number))
    )
    storey = STOREY[function] * chance.between("storey", number, 0.94, 1.06)
    most = np.minimum(MOST_STOREYS[function], ((preset.tallest - 2.0) / storey).astype(np.int64))
    storeys = np.clip(np.rint((target - 0.8) / storey), 1, most).astype(np.int64)
    height = np.rint((storeys * storey + chance.between("parapet", number, 0.3, 1.4)) * 100.0).astype(np.int64)
    return storeys, height
