"""Where buildings stand: quarters, blocks, lots, footprints. Metres, in the plane of the city's coordinate system.

The plane is a grid of cells of 480 m. A cell is a park or one **quarter** of a kind (towers, perimeter blocks, slabs,
mixed, houses, works): a square of 400 m, turned by its district's angle, cut by streets into blocks and these into
lots. One lot holds one building, so buildings never overlap. Quarters are numbered from the centre outwards; building
``n`` is a lot of the quarter that the running total of lots says.

Footprints are rectangles, L, U, octagons and courts (a ring with a hole), with corners in whole millimetres: outer
rings counter-clockwise, holes clockwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from citygen.chance import Chance, Floats, Ints
from citygen.preset import Preset

CELL = 480.0
QUARTER = 400.0
PARKS = 0.06
LOTS_PER_CELL = 50.0  # on average, for a first guess of the city's radius
SETBACK = 1.5


@dataclass(frozen=True)
class Kind:
    """``blocks`` by ``blocks`` blocks between streets of ``street`` m, each of ``columns`` by ``rows`` lots.

    ``cover`` is the least and greatest part of a lot's width and depth that the building takes; ``shapes`` the odds
    of each of ``SHAPES``; ``wing`` the depth in metres of the wings of an L, U or court.
    """

    name: str
    blocks: int
    street: float
    columns: int
    rows: int
    cover: tuple[float, float]
    shapes: tuple[float, ...]
    wing: float

    @property
    def lots(self) -> int:
        return self.blocks**2 * self.columns * self.rows


#                                                            rect   L     U   court octagon
KINDS = (
    Kind("towers", 3, 22.0, 2, 2, (0.45, 0.70), (0.45, 0.15, 0.05, 0.05, 0.30), 14.0),
    Kind("perimeter", 4, 18.0, 2, 1, (0.75, 0.95), (0.30, 0.30, 0.25, 0.15, 0.00), 13.0),
    Kind("slabs", 2, 24.0, 2, 4, (0.35, 0.85), (0.85, 0.10, 0.05, 0.00, 0.00), 13.0),
    Kind("mixed", 4, 16.0, 3, 2, (0.60, 0.90), (0.60, 0.28, 0.09, 0.02, 0.01), 11.0),
    Kind("houses", 4, 12.0, 5, 2, (0.45, 0.75), (0.75, 0.23, 0.02, 0.00, 0.00), 6.0),
    Kind("works", 2, 24.0, 2, 2, (0.50, 0.90), (0.65, 0.20, 0.10, 0.05, 0.00), 22.0),
)
KIND = {kind.name: number for number, kind in enumerate(KINDS)}

# Odds of each kind at the centre, half-way out and at the edge.
ODDS = np.array(
    [
        [0.42, 0.38, 0.00, 0.20, 0.00, 0.00],
        [0.07, 0.18, 0.30, 0.32, 0.08, 0.05],
        [0.00, 0.02, 0.12, 0.22, 0.50, 0.14],
    ]
)

# Corners as (x, y) of a box of 1 by 1: "s" and "t" are a wing's part of width and depth, "S" and "T" the rest.
_CORNERS = (
    "00 10 11 01",
    "00 10 1t st s1 01",
    "00 10 11 S1 St st s1 01",
    "00 10 11 01 st sT ST St",
    "s0 S0 1t 1T S1 s1 0T 0t",
)
RECTANGLE, ELL, YOU, COURT, OCTAGON = range(5)
RINGS: tuple[tuple[tuple[int, ...], ...], ...] = (  # corner numbers of outer ring and holes, for each shape
    ((0, 1, 2, 3),),
    ((0, 1, 2, 3, 4, 5),),
    ((0, 1, 2, 3, 4, 5, 6, 7),),
    ((0, 1, 2, 3), (4, 5, 6, 7)),
    ((0, 1, 2, 3, 4, 5, 6, 7),),
)
CORNERS = tuple(sum(len(ring) for ring in rings) for rings in RINGS)
MOST_CORNERS = max(CORNERS)


@dataclass(frozen=True)
class Quarters:
    """All quarters of a city, from the centre outwards; ``first`` is the number of a quarter's first building."""

    x: Floats
    y: Floats
    angle: Floats
    kind: Ints
    district: Ints
    reach: Floats  # distance from the centre; 1 is the rim of a round city
    first: Ints


@dataclass(frozen=True)
class Lots:
    """The buildings ``number`` and where they stand. ``corners`` is (n, 8, 2) in millimetres from the city's origin."""

    number: Ints
    quarter: Ints
    place: Ints  # number of the lot in its quarter
    kind: Ints
    district: Ints
    reach: Floats
    shape: Ints
    corners: Ints
    area: Floats  # m2, of the footprint as written
    ground: Ints  # mm above the city's vertical datum


def quarters(preset: Preset, chance: Chance, buildings: int) -> Quarters:
    """The fewest quarters, nearest to the centre first, that hold so many buildings."""
    radius = CELL * np.sqrt(buildings / LOTS_PER_CELL / np.pi / preset.land) + CELL / 2
    span = int(radius / CELL * 2.0) + 4
    column, row = (part.ravel() for part in np.meshgrid(np.arange(-span, span + 1), np.arange(-span, span + 1)))
    x, y = np.float64(CELL) * column, np.float64(CELL) * row
    number = (column + 5000) * 10007 + row + 5000  # one for each cell, whatever the city's size
    inhabited = preset.on_land(x, y, CELL / 2) & (chance.uniform("park", number) >= PARKS)
    inhabited |= (column == 0) & (row == 0)
    order = np.lexsort((row, column, column**2 + row**2))
    order = order[inhabited[order]]
    x, y, number = x[order], y[order], number[order]

    reach = np.hypot(x, y) / radius
    wobble = np.clip(reach + 0.10 * chance.normal("kind/wobble", number), 0.0, 1.0)
    inner = np.clip(wobble * 2.0, 0.0, 1.0)[:, None]
    outer = np.clip(wobble * 2.0 - 1.0, 0.0, 1.0)[:, None]
    odds = ODDS[0] * (1 - inner) + ODDS[1] * (inner - outer) + ODDS[2] * outer
    kind = chance.choice("kind", number, odds)
    kind[0] = KIND["towers"]

    sites = np.array([(place.east, place.north) for place in preset.districts]) * (0.8 * radius)
    district = np.argmin((x[:, None] - sites[:, 0]) ** 2 + (y[:, None] - sites[:, 1]) ** 2, axis=1)
    angle = chance.between("angle/district", district, -9.0, 9.0) + chance.between("angle", number, -2.0, 2.0)

    lots = np.array([kind.lots for kind in KINDS])[kind]
    first = np.concatenate([[0], np.cumsum(lots)])
    count = int(np.searchsorted(first, buildings, side="left"))
    if count > len(x):
        raise ValueError(f"{preset.city} has no room for {buildings} buildings")
    return Quarters(
        x[:count], y[:count], np.radians(angle[:count]), kind[:count], district[:count], reach[:count], first[:count]
    )


def lots(preset: Preset, chance: Chance, city: Quarters, start: int, stop: int) -> Lots:
    """The buildings from ``start`` up to ``stop``."""
    number = np.arange(start, stop, dtype=np.int64)
    quarter = np.searchsorted(city.first, number, side="right") - 1
    place = number - city.first[quarter]
    kind = city.kind[quarter]
    blocks, columns, rows = (
        np.array([getattr(k, name) for k in KINDS])[kind] for name in ("blocks", "columns", "rows")
    )
    street, wing = (np.array([getattr(k, name) for k in KINDS])[kind] for name in ("street", "wing"))
    low, high = np.array([k.cover for k in KINDS])[kind].T

    block, lot = np.divmod(place, columns * rows)
    block_row, block_column = np.divmod(block, blocks)
    lot_row, lot_column = np.divmod(lot, columns)
    side = (QUARTER - (blocks - 1) * street) / blocks
    width, depth = side / columns, side / rows
    left = -QUARTER / 2 + block_column * (side + street) + lot_column * width
    bottom = -QUARTER / 2 + block_row * (side + street) + lot_row * depth

    across = (width - 2 * SETBACK) * (low + (high - low) * chance.uniform("across", number))
    along = (depth - 2 * SETBACK) * (low + (high - low) * chance.uniform("along", number))
    left = left + SETBACK + (width - 2 * SETBACK - across) * chance.uniform("left", number)
    bottom = bottom + SETBACK + (depth - 2 * SETBACK - along) * chance.uniform("bottom", number)

    shape = chance.choice("shape", number, np.array([k.shapes for k in KINDS])[kind])
    bevel = shape == OCTAGON
    s = np.where(bevel, 0.29, np.clip(wing / across, 0.20, 0.40))
    t = np.where(bevel, 0.29, np.clip(wing / along, 0.20, 0.42))
    corners = _corners(shape, s, t, chance.uniform("turn", number) < 0.5)
    local_x = left[:, None] + across[:, None] * corners[:, :, 0]
    local_y = bottom[:, None] + along[:, None] * corners[:, :, 1]

    cos, sin = np.cos(city.angle[quarter])[:, None], np.sin(city.angle[quarter])[:, None]
    x = city.x[quarter][:, None] + local_x * cos - local_y * sin
    y = city.y[quarter][:, None] + local_x * sin + local_y * cos
    whole = np.rint(np.stack([x, y], axis=-1) * 1000.0).astype(np.int64)
    ground = preset.ground(x[:, 0], y[:, 0]) + chance.between("ground", number, -0.3, 0.3)
    return Lots(
        number, quarter, place, kind, city.district[quarter], city.reach[quarter], shape, whole,
        _area(shape, whole), np.rint(ground * 100.0).astype(np.int64) * 10,
    )  # fmt: skip


def _corners(shape: Ints, s: Floats, t: Floats, turned: np.ndarray) -> Floats:
    """Corners in the unit box, (n, 8, 2); rows of shapes with fewer corners end with zeros."""
    values = {"0": np.zeros_like(s), "1": np.ones_like(s), "s": s, "S": 1 - s, "t": t, "T": 1 - t}
    found = np.zeros((len(shape), MOST_CORNERS, 2))
    for number, names in enumerate(_CORNERS):
        chosen = shape == number
        for place, (x, y) in enumerate(map(tuple, names.split())):
            found[chosen, place, 0] = values[x][chosen]
            found[chosen, place, 1] = values[y][chosen]
    # Half a turn keeps the rings' sense, which a reflection would not.
    return np.where(turned[:, None, None], 1.0 - found, found)


def _area(shape: Ints, corners: Ints) -> Floats:
    """By the shoelace formula on the corners as written; a hole runs clockwise, so it subtracts itself."""
    twice = np.zeros(len(shape), dtype=np.int64)
    for number, rings in enumerate(RINGS):
        chosen = shape == number
        points = corners[chosen]
        for ring in rings:
            here, there = points[:, ring], points[:, np.roll(ring, -1)]
            # Differences from a corner of the same building keep the products far below 2**63.
            origin = points[:, :1]
            here, there = here - origin, there - origin
            twice[chosen] += (here[..., 0] * there[..., 1] - there[..., 0] * here[..., 1]).sum(axis=1)
    return twice / 2e6


def pieces(buildings: int, size: int = 16_384) -> Iterator[tuple[int, int]]:
    """``(start, stop)`` of pieces that are made and written one at a time, so memory stays the same for any city."""
    for start in range(0, buildings, size):
        yield start, min(start + size, buildings)
