"""The coordinate reference system of a CityGML file, and which of its axes comes first.

The form of the name says it. ``urn:ogc:def:crs:EPSG::4326`` and ``http://www.opengis.net/def/crs/EPSG/0/4326`` mean the
axes as the definition has them, latitude or northing first where it says so; ``EPSG:4326`` and the old
``http://www.opengis.net/gml/srs/epsg.xml#4326`` mean easting or longitude first. A name given with ``--crs`` prevails
and says the order in the same way. Coordinates that are outside of the area that the CRS is used in, and would be
inside with their axes swapped, are refused: too many files have a name of the one form and an order of the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyproj
from pyproj.transformer import Transformer

from cimfed.errors import BadFile
from cimfed_node.ingest.arrays import Bools, Floats
from cimfed_node.ingest.crs import SourceCrs, parse_crs
from cimfed_node.ingest.georef import within

_ADV = re.compile(r"urn:adv:crs:([A-Z0-9_]+)(?:\*([A-Z0-9_]+))?")
_ADV_CODES = {
    **{f"ETRS89_UTM{zone}": 25800 + zone for zone in (31, 32, 33)},
    **{f"DE_DHDN_3GK{zone}": 31464 + zone for zone in (2, 3, 4, 5)},
    "DE_DHHN92_NH": 5783,
    "DE_DHHN2016_NH": 7837,
}
"""Names of Germany's surveying authorities (GeoInfoDok), whose order is easting first."""


@dataclass(frozen=True)
class Named:
    """``swapped``: northing or latitude comes first."""

    crs: SourceCrs
    swapped: bool
    name: str


def named(name: str, place: str) -> Named:
    """What an srsName means. Raises BadFile where PROJ knows no such CRS."""
    text = name.strip()
    german = _ADV.fullmatch(text)
    if german and german[1] in _ADV_CODES and (german[2] is None or german[2] in _ADV_CODES):
        codes = [_ADV_CODES[part] for part in german.groups() if part]
        urn = "urn:ogc:def:crs," + ",".join(f"crs:EPSG::{code}" for code in codes)
        return Named(parse_crs(urn if len(codes) > 1 else f"EPSG:{codes[0]}", place), False, name)
    if text.lower().startswith("urn:x-ogc:"):
        text = "urn:ogc:" + text[len("urn:x-ogc:") :]
    crs = parse_crs(text, place)
    by_definition = text.lower().startswith(("urn:", "http")) and "/gml/srs/" not in text.lower()
    return Named(crs, by_definition and crs.horizontal is not None and northing_first(crs.horizontal), name)


def northing_first(crs: pyproj.CRS) -> bool:
    """Whether PROJ swaps the axes of a definition to have easting or longitude first."""
    first, second = crs.axis_info[:2]
    if first.direction == second.direction:  # around a pole both axes point to it or away from it
        return first.name.lower().startswith("northing")
    return first.direction == "north" and second.direction == "east"


def check_order(points: Floats, source: Named, file: str) -> None:
    """``points``: (n, 2), easting or longitude first as ``source`` has it. Raises BadFile where only the other order
    makes sense."""
    if source.crs.horizontal is None or source.crs.area is None or not len(points):
        return
    if _inside(points, source.crs).any() or not _inside(points[:, ::-1], source.crs).all():
        return
    code = source.crs.name
    short = source.name.strip() if not source.swapped else code
    other = f"--crs {code}" if source.swapped else f"--crs urn:ogc:def:crs:{code.replace(':', '::')}"
    raise BadFile(
        f"the coordinates are where {short} is used only when their axes are swapped",
        place=file,
        remedy=f"Name the CRS in the form that means this order: {other}",
    )


def _inside(points: Floats, crs: SourceCrs) -> Bools:
    assert crs.horizontal is not None
    assert crs.area is not None
    own = Transformer.from_crs(crs.horizontal, crs.horizontal.geodetic_crs, always_xy=True)
    lonlat = np.column_stack(own.transform(points[:, 0], points[:, 1]))
    return within(np.where(np.isfinite(lonlat), lonlat, 999.0), crs.area)
