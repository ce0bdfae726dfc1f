"""What a statement need not ask an engine about an area."""

from __future__ import annotations

from typing import Any

import shapely


def is_box(area: Any) -> bool:
    """Whether a polygon is exactly its own bounding box."""
    return bool(
        area.geom_type == "Polygon"
        and shapely.get_num_interior_rings(area) == 0
        and shapely.equals(area, shapely.box(*area.bounds))
    )
