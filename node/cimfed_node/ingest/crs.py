"""Coordinate reference systems as sources name them.

``parse_crs`` takes a code (``EPSG:4549``, ``EPSG:4549+5737``), a URN, an opengis.net URL, WKT, PROJJSON (text or
parsed) or ``GCJ-02``, and nothing else: PROJ's own strings can name files. Of a compound CRS the horizontal part is
kept; heights are never touched, but must go up and be in metres. Axis order is not looked at: every format that is read
here, and everything inside, puts easting or longitude first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pyproj
from pyproj.exceptions import CRSError

from cimfed.errors import BadFile
from cimfed_node.ingest import gcj02

GCJ02 = "GCJ-02"
CRS84 = "OGC:CRS84"
FORMS = "Name it by EPSG code, URN, URL, WKT or PROJJSON: --crs EPSG:4549, or OGC:CRS84 for longitude and latitude"
_HEIGHTS = "Name it by EPSG code or in your own words: --vertical EPSG:5705, --vertical 'Baltic 1977 height'"
LONGEST = 100  # characters of a name

Area = tuple[float, float, float, float]  # west, south, east, north in degrees; west > east across the antimeridian
WORLD: Area = (-180.0, -90.0, 180.0, 90.0)

_CODE = re.compile(
    r"(EPSG|OGC|ESRI|IGNF|IAU_2015):[A-Za-z0-9_.]+(\+((EPSG|ESRI|IGNF):)?[A-Za-z0-9_.]+)?", re.IGNORECASE
)
_NAMED = re.compile(r"(urn:ogc:def:crs[:,]|https?://(www\.)?opengis\.net/def/crs/)[^\s]+", re.IGNORECASE)
_VERTICAL = re.compile(r"(EPSG|ESRI|IGNF):[A-Za-z0-9_.]+|urn:ogc:def:crs:\S+|https?://\S+", re.IGNORECASE)
_COMPOUND = re.compile(
    r"https?://(?:www\.)?opengis\.net/def/crs-compound\?1=\S+/EPSG/[^/\s]+/([0-9]+)&2=\S+/EPSG/[^/\s]+/([0-9]+)",
    re.IGNORECASE,
)
_GML = re.compile(r"https?://(?:www\.)?opengis\.net/gml/srs/epsg\.xml#([0-9]+)", re.IGNORECASE)  # GML 2 and 3.1
_WKT = re.compile(r"\s*(PROJ|GEOG|GEOD|GEOC|COMP|COMPOUND|BOUND|BASE)[A-Z_]*\s*[\[(]", re.IGNORECASE)


@dataclass(frozen=True)
class SourceCrs:
    """``name``: how it is recorded. ``horizontal``: two axes; None for GCJ-02. ``vertical``: name of the height system,
    empty where none is named. ``area``: where it is used, None where it does not say."""

    name: str
    horizontal: pyproj.CRS | None
    vertical: str = ""
    area: Area | None = None

    @property
    def projected(self) -> bool:
        return self.horizontal is not None and self.horizontal.is_projected

    @property
    def unit(self) -> float:
        """Metres in one unit of the axes of a projected CRS."""
        assert self.horizontal is not None
        return float(self.horizontal.axis_info[0].unit_conversion_factor)


def _bad(message: str, place: str) -> BadFile:
    return BadFile(message, place=place, remedy=FORMS)


def _pyproj(named: str | Mapping[str, Any], place: str) -> pyproj.CRS:
    try:
        if isinstance(named, Mapping):
            return pyproj.CRS.from_json_dict(dict(named))
        text = named.strip()
        old = _GML.fullmatch(text)
        if old or text.isdigit():
            text = f"EPSG:{old[1] if old else text}"
        if both := _COMPOUND.fullmatch(text):
            text = f"EPSG:{both[1]}+{both[2]}"
        if text.startswith("{"):
            return pyproj.CRS.from_json_dict(orjson.loads(text))
        if _CODE.fullmatch(text) or _NAMED.fullmatch(text) or _WKT.match(text):
            return pyproj.CRS.from_user_input(text)
    except (CRSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    raise _bad(f"{str(named)[:80]!r} names no coordinate reference system that PROJ knows", place)


def _split(crs: pyproj.CRS, place: str) -> tuple[pyproj.CRS, str]:
    """The horizontal part, and the name of the vertical one."""
    if crs.is_geocentric:
        raise BadFile(
            f"{crs.name!r} is geocentric: X, Y and Z from the middle of the earth",
            place=place,
            remedy="Convert the file first, for instance with PROJ's cs2cs, and name what it is in then with --crs",
        )
    vertical = ""
    if crs.is_compound:
        parts = crs.sub_crs_list
        crs, vertical = parts[0], parts[1].name
        heights = parts[1].axis_info
    else:
        heights = crs.axis_info[2:]
        if heights:
            vertical = "ellipsoidal height"
    _check_heights(heights, place)
    if not (crs.is_projected or crs.is_geographic):
        raise _bad(f"{crs.name!r} is neither projected nor geographic", place)
    return (crs.to_2d() if len(crs.axis_info) > 2 else crs), vertical


def _name(crs: pyproj.CRS) -> str:
    """Its code; of a compound CRS without one, those of its parts; else its own name."""
    authority = crs.to_authority(min_confidence=100)
    if authority:
        return ":".join(authority)
    parts = [part.to_authority(min_confidence=100) for part in crs.sub_crs_list] if crs.is_compound else []
    if parts and all(parts):
        return "+".join(":".join(part) for part in parts)
    return str(crs.name)


def _check_heights(axes: list[Any], place: str) -> None:
    for axis in axes:
        if axis.unit_conversion_factor != 1.0 or axis.direction != "up":
            what = "depths" if axis.direction != "up" else f"heights in {axis.unit_name}"
            raise BadFile(
                f"{what} are not supported",
                place=place,
                remedy="Convert them to heights in metres first, for instance with PROJ's cs2cs",
            )


def parse_vertical(named: str, place: str) -> str:
    """The name of a height system that is said by EPSG code, URN or URL, or in words of one's own.

    Raises BadFile where a code is no height system in metres.
    """
    text = named.strip()
    if not 1 <= len(text) <= LONGEST or not text.isprintable():
        raise BadFile("this names no height system", place=place, remedy=_HEIGHTS)
    if not (_VERTICAL.fullmatch(text) or text.isdigit()):
        return text
    try:
        crs = pyproj.CRS.from_user_input(f"EPSG:{text}" if text.isdigit() else text)
    except CRSError:
        raise BadFile(f"{text!r} names no height system that PROJ knows", place=place, remedy=_HEIGHTS) from None
    if not crs.is_vertical or crs.is_compound:
        raise BadFile(f"{crs.name!r} is no height system", place=place, remedy=_HEIGHTS)
    _check_heights(crs.axis_info, place)
    return crs.name


def parse_crs(named: str | Mapping[str, Any], place: str) -> SourceCrs:
    """Raises BadFile where the text names nothing usable; ``place`` is the file or option that it stands in."""
    if isinstance(named, str) and named.strip().upper().replace("_", "-") in (GCJ02, "GCJ02"):
        return SourceCrs(GCJ02, None, area=gcj02.AREA)
    crs = _pyproj(named, place)
    horizontal, vertical = _split(crs, place)
    used = horizontal.area_of_use or crs.area_of_use
    return SourceCrs(
        name=_name(crs),
        horizontal=horizontal,
        vertical=vertical,
        area=(used.west, used.south, used.east, used.north) if used else None,
    )
