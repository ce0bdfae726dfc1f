"""Positions that others published in two systems. None of them was computed by PROJ or by this software.

Each gives easting and northing in an EPSG system and longitude and latitude in WGS 84 or a realisation of ETRS89 or
GDA94, which agree with it within the accuracy that the operations state. ``digits`` is the place to which the published
longitude and latitude are rounded, as metres on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass


def _degrees(degrees: int, minutes: int, seconds: float) -> float:
    return degrees + minutes / 60 + seconds / 3600


@dataclass(frozen=True)
class ControlPoint:
    name: str
    system: str
    easting: float
    northing: float
    longitude: float
    latitude: float
    digits: float
    source: str


_SCHREUTELKAMP = (
    "F. H. Schreutelkamp and G. L. Strang van Hees: Benaderingsformules voor de transformatie tussen RD- en "
    "WGS84-kaartcoördinaten. Geodesia 2001 no. 2, numerical examples"
)
_RDNAPTRANS = "Kadaster, Rijksdriehoeksmeting: RDNAPTRANS2008, appendix: test sheet, from RD/NAP to ETRS89"
_SWISSTOPO = (
    "swisstopo: Approximate formulas for the transformation between Swiss projection coordinates and WGS84 "
    "(ch1903wgs84_e.pdf), numerical example, where the rigorous values of NAVREF stand beside the approximate ones"
)
_GDA = (
    "ICSM: Geocentric Datum of Australia Technical Manual, version 2.3, sample data of the chapter on Redfearn's "
    "formulae; the same figures are in the GDA2020 Technical Manual 1.8, tables 5.1 and C-1"
)
_HONG_KONG = (
    "Survey and Mapping Office, Lands Department, Hong Kong: coordinate transformation tool (geodetic.gov.hk), the "
    "answer that J. Zhang's manual of the R package HK80 prints at HK1980GRID_TO_WGS84GEO"
)
_RD, _RD_NAP, _LV95, _MGA55, _HK80 = "EPSG:28992", "EPSG:7415", "EPSG:2056", "EPSG:28355", "EPSG:2326"
_RIGOROUS = _degrees(8, 43, 49.79), _degrees(46, 2, 38.87)
_FLINDERS = _degrees(144, 25, 29.52440), -_degrees(37, 57, 3.72030)
_BUNINYONG = _degrees(143, 55, 35.38390), -_degrees(37, 39, 10.15610)

POINTS = (
    ControlPoint("Westertoren", _RD, 120_700.723, 487_525.501, 4.88352559, 52.37453253, 0.001, _SCHREUTELKAMP),
    ControlPoint("Martinitoren", _RD, 233_883.131, 582_065.167, 6.56820053, 53.21938317, 0.001, _SCHREUTELKAMP),
    ControlPoint("Texel", _RD_NAP, 117_380.12, 575_040.34, 4.824761912, 53.160753042, 0.001, _RDNAPTRANS),
    ControlPoint("Noord-Groningen", _RD_NAP, 247_380.56, 604_580.78, 6.776726674, 53.419482050, 0.001, _RDNAPTRANS),
    ControlPoint("Amersfoort", _RD_NAP, 155_000.0, 463_000.0, 5.387203657, 52.155172897, 0.001, _RDNAPTRANS),
    ControlPoint("Zeeuws-Vlaanderen", _RD_NAP, 16_460.91, 377_380.23, 3.397588595, 51.368607152, 0.001, _RDNAPTRANS),
    ControlPoint("Zuid-Limburg", _RD_NAP, 182_260.45, 311_480.67, 5.773795548, 50.792584916, 0.001, _RDNAPTRANS),
    ControlPoint("swisstopo's example", _LV95, 2_700_000.0, 1_100_000.0, *_RIGOROUS, 0.3, _SWISSTOPO),
    ControlPoint("Flinders Peak", _MGA55, 273_741.297, 5_796_489.777, *_FLINDERS, 0.001, _GDA),
    ControlPoint("Buninyong", _MGA55, 228_854.052, 5_828_259.038, *_BUNINYONG, 0.001, _GDA),
    ControlPoint("Hong Kong", _HK80, 832_591.320, 820_351.389, 114.141187917, 22.322172084, 0.001, _HONG_KONG),
)
