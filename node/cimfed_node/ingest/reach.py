"""How far rows reach: their extent, their times, and the kinds of their geometries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cimfed.model.instants import instant_text
from cimfed.model.routing import Extent
from cimfed_node.ingest.antimeridian import Sides
from cimfed_node.ingest.arrays import Column


class Reach:
    """Grows with every table of rows that it is shown."""

    def __init__(self) -> None:
        self._box = [np.inf, np.inf, -np.inf, -np.inf]
        self._sides = Sides()
        self._times: list[int | None] = [None, None]

    def widen(self, table: pa.Table) -> None:
        box: Column = table.column("bbox").combine_chunks().drop_null()
        if len(box):
            corners = [box.field(i).to_numpy() for i in range(4)]
            low, high = [float(c.min()) for c in corners[:2]], [float(c.max()) for c in corners[2:]]
            self._box = [*map(min, self._box[:2], low), *map(max, self._box[2:], high)]
            self._sides.add(corners[0].astype(np.float64), corners[2].astype(np.float64))
        known = [pc.min_max(table.column(name)).values() for name in ("valid_from", "valid_to")]
        (first, _), (_, last) = ([end.cast(pa.int64()).as_py() for end in ends] for ends in known)
        self.widen_times((first, last))

    def widen_times(self, times: tuple[int | None, int | None]) -> None:
        """The earliest begin and the latest end, None where there is none."""
        for place, (time, how) in enumerate(zip(times, (min, max), strict=True)):
            held = self._times[place]
            self._times[place] = time if held is None else held if time is None else how(held, time)

    @property
    def extent(self) -> Extent | None:
        a, b, c, d = self._box
        return None if a == np.inf else (a, b, c, d)

    def narrowed(self, extent: Extent) -> Extent:
        """Two corners of the boxes; see ``Sides``."""
        return self._sides.narrowed(extent)

    def facts(self) -> dict[str, Any]:
        """What the inventory records."""
        return {
            "extent": None if self.extent is None else list(self.extent),
            "times": [None if t is None else instant_text(t) for t in self._times],
        }
