"""Where the real data stands, and the ways from its coordinate systems to OGC:CRS84."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from pyproj import Transformer

Position = tuple[float, float]  # longitude, latitude in degrees

_GEOCENTRIC = (
    "+step +proj=push +v_3 +step +proj=cart +ellps={ellipsoid} +step +proj=helmert {shift} "
    "+step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 "
)
_DEGREES = "+step +proj=unitconvert +xy_in=rad +xy_out=deg"

# Amersfoort to WGS 84 (4), EPSG:4833; its rotations are given there in microradians.
_AMERSFOORT = (
    "+x=565.4171 +y=50.3319 +z=465.5524 +rx=0.398957388243134 +ry=-0.343987817378283 +rz=1.87740163998045 +s=4.0725 "
    "+convention=coordinate_frame"
)
# CH1903+ to WGS 84 (1), EPSG:1676.
_CH1903 = "+x=674.374 +y=15.056 +z=405.346"

PIPELINES = {
    "EPSG:7415": "+proj=pipeline +step +inv +proj=sterea +lat_0=52.1561605555556 +lon_0=5.38763888888889 +k=0.9999079 "
    "+x_0=155000 +y_0=463000 +ellps=bessel " + _GEOCENTRIC.format(ellipsoid="bessel", shift=_AMERSFOORT) + _DEGREES,
    "EPSG:2056": "+proj=pipeline +step +inv +proj=somerc +lat_0=46.9524055555556 +lon_0=7.43958333333333 +k_0=1 "
    "+x_0=2600000 +y_0=1200000 +ellps=bessel " + _GEOCENTRIC.format(ellipsoid="bessel", shift=_CH1903) + _DEGREES,
    # CGCS2000 has no published way to WGS 84: latitude and longitude are taken over.
    "EPSG:4549": "+proj=pipeline +step +inv +proj=tmerc +lat_0=0 +lon_0=120 +k=1 +x_0=500000 +y_0=0 +ellps=GRS80 "
    + _DEGREES,
}


@cache
def _transformer(system: str) -> Transformer:
    return Transformer.from_pipeline(PIPELINES[system])


def to_crs84(system: str, points: Iterable[tuple[float, float]]) -> list[Position]:
    """Eastings and northings to longitudes and latitudes."""
    found = list(points)
    lon, lat = _transformer(system).transform([x for x, _ in found], [y for _, y in found])
    return list(zip(lon, lat, strict=True))
