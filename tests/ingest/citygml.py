"""CityJSON documents written as CityGML 2.0 and 3.0, and members of CityGML by hand.

Knows nothing of the reader: plain strings. A solid refers by ``xlink:href`` to the surfaces that its boundary surfaces
hold, as the common exporters write it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

MODULES = (
    ("bldg", "building"),
    ("brid", "bridge"),
    ("tun", "tunnel"),
    ("tran", "transportation"),
    ("luse", "landuse"),
    ("wtr", "waterbody"),
    ("veg", "vegetation"),
    ("frn", "cityfurniture"),
    ("dem", "relief"),
    ("grp", "cityobjectgroup"),
    ("gen", "generics"),
    ("app", "appearance"),
    ("con", "construction"),
)
SHANGHAI = "http://www.opengis.net/def/crs/EPSG/0/4549"
NORMAL = ("measuredHeight", "storeysAboveGround", "roofType", "function", "usage", "class", "yearOfConstruction")


def namespaces(version: str) -> str:
    gml = "http://www.opengis.net/gml" + ("/3.2" if version == "3.0" else "")
    spaces = {"core": f"http://www.opengis.net/citygml/{version}", "gml": gml}
    spaces |= {short: f"http://www.opengis.net/citygml/{name}/{version}" for short, name in MODULES}
    spaces |= {"xlink": "http://www.w3.org/1999/xlink", "xAL": "urn:oasis:names:tc:ciq:xsdschema:xAL:2.0"}
    return " ".join(f'xmlns:{short}="{space}"' for short, space in spaces.items())


def envelope(srs: str, dimension: int = 3) -> str:
    corners = "<gml:lowerCorner>0 0 0</gml:lowerCorner><gml:upperCorner>1 1 1</gml:upperCorner>"
    box = f"<gml:Envelope srsName={quoteattr(srs)} srsDimension='{dimension}'>{corners}</gml:Envelope>"
    return f"<gml:boundedBy>{box}</gml:boundedBy>"


def model(
    *members: str,
    version: str = "2.0",
    srs: str | None = "EPSG:7415",
    before: str = "",
    after: str = "",
    root: str = "",
) -> str:
    """A CityModel of these objects."""
    bounded = "" if srs is None else envelope(srs)
    inside = "\n".join(f"<core:cityObjectMember>{member}</core:cityObjectMember>" for member in members)
    start = f"<core:CityModel {namespaces(version)} {root}>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{start}{bounded}{before}\n{inside}\n{after}</core:CityModel>\n'


def positions(points: Iterable[Iterable[float]]) -> str:
    return " ".join(repr(float(number)) for point in points for number in point)


def ring(points: list[Any], closed: bool = True) -> str:
    listed = [*points, points[0]] if closed else points
    return f"<gml:LinearRing><gml:posList>{positions(listed)}</gml:posList></gml:LinearRing>"


def polygon(rings: list[list[Any]], id: str = "") -> str:
    named = f' gml:id="{id}"' if id else ""
    outer, *inner = map(ring, rings)
    holes = "".join(f"<gml:interior>{hole}</gml:interior>" for hole in inner)
    return f"<gml:Polygon{named}><gml:exterior>{outer}</gml:exterior>{holes}</gml:Polygon>"


def member(surface: str) -> str:
    return f"<gml:surfaceMember>{surface}</gml:surfaceMember>"


def multi(*surfaces: str) -> str:
    return f"<gml:MultiSurface>{''.join(map(member, surfaces))}</gml:MultiSurface>"


def solid(*surfaces: str) -> str:
    """A Solid of surfaces, or of references to them."""
    inside = "".join(
        f'<gml:surfaceMember xlink:href="{one}"/>' if one.startswith("#") else member(one) for one in surfaces
    )
    return f"<gml:Solid><gml:exterior><gml:CompositeSurface>{inside}</gml:CompositeSurface></gml:exterior></gml:Solid>"


def building(*content: str, id: str = "a", kind: str = "bldg:Building") -> str:
    named = f' gml:id="{id}"' if id else ""
    return f"<{kind}{named}>{''.join(content)}</{kind}>"


class Writer:
    """One CityJSON document as one CityGML file. ``swapped``: the second coordinate is written first."""

    def __init__(self, document: dict[str, Any], version: str, srs: str, swapped: bool) -> None:
        self.document, self.version, self.srs = document, version, srs
        scale, translate = document["transform"]["scale"], document["transform"]["translate"]
        self.points = []
        for vertex in document["vertices"]:
            x, y, z = (c * s + t for c, s, t in zip(vertex, scale, translate, strict=True))
            self.points.append((y, x, z) if swapped else (x, y, z))
        self.three = version == "3.0"

    def text(self) -> str:
        objects = self.document["CityObjects"]
        roots = [id for id, node in objects.items() if not node.get("parents")]
        members = [self.object(id, objects[id]) for id in roots]
        return model(*members, version=self.version, srs=self.srs)

    def object(self, id: str, node: dict[str, Any]) -> str:
        kind = node["type"]
        assert kind in ("Building", "BuildingPart")
        content = [self.attributes(node.get("attributes", {}))]
        for number, geometry in enumerate(node.get("geometry", [])):
            content.append(self.geometry(f"{id}_{number}", geometry))
        for child in node.get("children", []):
            prop = "bldg:buildingPart" if self.three else "bldg:consistsOfBuildingPart"
            content.append(f"<{prop}>{self.object(child, self.document['CityObjects'][child])}</{prop}>")
        return f"<bldg:{kind} gml:id={quoteattr(id)}>{''.join(content)}</bldg:{kind}>"

    def attributes(self, attributes: dict[str, Any]) -> str:
        made = []
        for name, value in attributes.items():
            if name == "name" or name.startswith("name:"):
                language = f' xml:lang="{name[5:]}"' if name != "name" else ""
                made.append(f"<gml:name{language}>{escape(value)}</gml:name>")
            elif name == "measuredHeight" and self.three:
                made.append(
                    "<con:height><con:Height><con:highReference>highestRoofEdge</con:highReference>"
                    "<con:lowReference>lowestGroundPoint</con:lowReference><con:status>measured</con:status>"
                    f'<con:value uom="m">{value}</con:value></con:Height></con:height>'
                )
            elif name == "measuredHeight":
                made.append(f'<bldg:measuredHeight uom="m">{value}</bldg:measuredHeight>')
            elif name in NORMAL:
                made.append(f"<bldg:{name}>{escape(str(value))}</bldg:{name}>")
            else:
                made.append(self.generic(name, value))
        return "".join(made)

    def generic(self, name: str, value: Any) -> str:
        kind = {int: "int", float: "double", str: "string"}[type(value)]
        text = escape(str(value))
        if not self.three:
            return f"<gen:{kind}Attribute name={quoteattr(name)}><gen:value>{text}</gen:value></gen:{kind}Attribute>"
        inside = f"<gen:name>{escape(name)}</gen:name><gen:value>{text}</gen:value>"
        kind = kind.capitalize()
        return f"<core:genericAttribute><gen:{kind}Attribute>{inside}</gen:{kind}Attribute></core:genericAttribute>"

    def geometry(self, id: str, geometry: dict[str, Any]) -> str:
        level = str(geometry["lod"])[0]
        is_solid = geometry["type"] == "Solid"
        faces = geometry["boundaries"][0] if is_solid else geometry["boundaries"]
        semantics = geometry.get("semantics") or {}
        values = semantics.get("values") or [None]
        values = (values[0] if is_solid else values) or [None] * len(faces)
        assert len(values) == len(faces)
        own, made = [], []
        for number, (face, value) in enumerate(zip(faces, values, strict=True)):
            rings = [[self.points[i] for i in one] for one in face]
            written = polygon(rings, f"{id}_{number}")
            if value is None or level == "1":  # CityGML 2.0 has boundary surfaces from LoD2 on
                own.append(written)
            else:
                made.append(self.bound(semantics["surfaces"][value]["type"], level, multi(written)))
                own.append(f"#{id}_{number}")
        core = "core" if self.three else "bldg"
        if is_solid:
            made.append(f"<{core}:lod{level}Solid>{solid(*own)}</{core}:lod{level}Solid>")
        elif not made:
            made.append(f"<{core}:lod{level}MultiSurface>{multi(*own)}</{core}:lod{level}MultiSurface>")
        return "".join(made)

    def bound(self, kind: str, level: str, surface: str) -> str:
        if self.three:
            inside = f"<core:lod{level}MultiSurface>{surface}</core:lod{level}MultiSurface>"
            return f"<core:boundary><con:{kind}>{inside}</con:{kind}></core:boundary>"
        inside = f"<bldg:lod{level}MultiSurface>{surface}</bldg:lod{level}MultiSurface>"
        return f"<bldg:boundedBy><bldg:{kind}>{inside}</bldg:{kind}></bldg:boundedBy>"


def as_citygml(document: dict[str, Any], version: str, srs: str, *, swapped: bool = False) -> str:
    return Writer(document, version, srs, swapped).text()
