"""GCJ-02, the shifted coordinates of Chinese web maps, and back to WGS 84.

There is no official definition to hold this against: the formula is the one that leaked and that open map software has
used since (eviltransform and others; its published pairs for Shanghai, Shenzhen and Beijing are in the tests). It is
on the Krasovsky ellipsoid, applies within a rectangle around China, and leaves everything else as it is. The inverse is
had by iteration and agrees with the formula to 1e-9 degrees; how well the formula agrees with the maps is known from
comparisons only: ``ACCURACY_M`` is what we state.
"""

from __future__ import annotations

import numpy as np

from cimfed_node.ingest.arrays import Bools, Floats

ACCURACY_M = 5.0
AREA = (72.004, 0.8293, 137.8347, 55.8271)
_A = 6378245.0
_EE = 0.00669342162296594323


def _offset(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """The shift at a WGS 84 place, in degrees."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    common = (20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + common
    north += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + common
    east += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1 - _EE * np.sin(phi) ** 2
    meridian = _A * (1 - _EE) / (magic * np.sqrt(magic))
    parallel = _A / np.sqrt(magic) * np.cos(phi)
    return np.degrees(east / parallel), np.degrees(north / meridian)


def _outside(lon: Floats, lat: Floats) -> Bools:
    west, south, east, north = AREA
    return (lon < west) | (lon > east) | (lat < south) | (lat > north)


def from_wgs84(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    east, north = _offset(lon, lat)
    outside = _outside(lon, lat)
    return np.where(outside, lon, lon + east), np.where(outside, lat, lat + north)


def to_wgs84(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Fixed point iteration: the shift changes by a part in a thousand over its own length, so six rounds suffice."""
    guess_lon, guess_lat = lon, lat
    for _ in range(8):
        shifted_lon, shifted_lat = from_wgs84(guess_lon, guess_lat)
        guess_lon, guess_lat = guess_lon + (lon - shifted_lon), guess_lat + (lat - shifted_lat)
    return guess_lon, guess_lat
