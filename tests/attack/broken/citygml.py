"""CityGML 2.0 and 3.0: the XML, the document, and beside a good building one that is not."""

from __future__ import annotations

from tests.attack.broken.kind import Kind, aside, error
from tests.ingest.citygml import building, member, model, multi, namespaces, polygon, positions
from tests.ingest.making import DAM

X, Y = DAM
SQUARE = [(X, Y, 2.0), (X + 20, Y, 2.0), (X + 20, Y + 10, 2.0), (X, Y + 10, 2.0)]
CLOSED = positions([*SQUARE, SQUARE[0]])


def multisurface(text: str, level: int = 1) -> str:
    return f"<bldg:lod{level}MultiSurface>{text}</bldg:lod{level}MultiSurface>"


GOOD = building(multisurface(multi(polygon([SQUARE]))), id="good")
FILE = model(GOOD)
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
LAUGHS = '<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def typed(subset: str, use: str = "") -> str:
    """The good file under a document type."""
    text = FILE.replace(DECLARATION, f"{DECLARATION}<!DOCTYPE core:CityModel [{subset}]>")
    return text.replace("</bldg:Building>", f"<gml:name>{use}</gml:name></bldg:Building>")


def inside(text: str) -> str:
    return FILE.replace("</bldg:Building>", f"{text}</bldg:Building>")


def ring(numbers: str, attributes: str = "") -> str:
    line = f"<gml:LinearRing><gml:posList {attributes}>{numbers}</gml:posList></gml:LinearRing>"
    return multisurface(multi(f"<gml:Polygon><gml:exterior>{line}</gml:exterior></gml:Polygon>"))


def bad(content: str, says: str, id: str = "bad") -> Kind:
    """A second building with this in it; members stand on lines of their own, from the third on."""
    return aside(model(GOOD, building(content, id="bad")), says, id, "x:4")


DOUBLING = "".join(
    f'<gml:surfaceMember><gml:CompositeSurface gml:id="c{n}">'
    + f'<gml:surfaceMember xlink:href="#c{n + 1}"/>' * 2
    + "</gml:CompositeSurface></gml:surfaceMember>"
    for n in range(40)
) + member(polygon([SQUARE], id="c40"))
PART = "<bldg:consistsOfBuildingPart>{}</bldg:consistsOfBuildingPart>"

DOCUMENTS: dict[str, Kind] = {
    "cut off": error(FILE[:-60], "not well-formed XML", "x:"),
    "a billion laughs": error(typed(LAUGHS, "&l9;"), "document type", "x"),
    "an entity of a file": error(typed('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"), "document type", "x"),
    "an entity of the network": error(typed('<!ENTITY a SYSTEM "http://127.0.0.1:1/a">', "&a;"), "document type", "x"),
    "parameter entities": error(typed('<!ENTITY % a SYSTEM "http://127.0.0.1:1/a"> %a;'), "document type", "x"),
    "a document type in the middle": error(inside("<!DOCTYPE a>"), "not well-formed XML", "x:"),
    "an unknown entity": error(inside("&a;"), "Entity 'a' not defined", "x:3"),
    "half a letter": error(inside("&#xD800;"), "not well-formed XML", "x:3"),
    "an end that does not fit": error(inside("<bldg:class></bldg:usage>"), "not well-formed XML", "x:3"),
    "a prefix of nothing": error(inside("<nothing:class/>"), "not well-formed XML", "x:3"),
    "a second document": error(FILE + FILE, "not well-formed XML", "x:"),
    "a depth of a thousand": error(inside("<a>" * 1000 + "</a>" * 1000), "nested more than 256", "x"),
    "a text of eleven million": error(inside(f"<gml:name>{'x' * 11_000_000}</gml:name>"), "more than 10 MB", "x"),
    "bytes that are no UTF-8": error(inside("@").encode().replace(b"@", b"\xff\xfe"), "not UTF-8", "x"),
    "another encoding than it says": error(inside("<gml:name>Дом</gml:name>").encode("cp1251"), "not UTF-8", "x"),
    "an encoding that is none": error(FILE.replace("UTF-8", "KLINGON-8"), "declares the encoding", "x"),
    "an encoding that hides": error(FILE.replace("UTF-8", "UTF-7"), "declares the encoding", "x"),
    "a web page": error("<!DOCTYPE html><html><body>404 Not Found</body></html>", "this is HTML"),
    "a model of nobody's": error("<CityModel><Building/></CityModel>", "not OGC's"),
    "a version of the future": error(FILE.replace("citygml/2.0", "citygml/9.0"), "CityGML 9.0 is not read"),
    "a building without its model": error(
        DECLARATION + GOOD.replace("<bldg:Building", f"<bldg:Building {namespaces('2.0')}", 1), "no CityModel around it"
    ),
    "no objects": error(model(), "nothing for the collection building"),
    "lamps alone": error(model(building(id="a", kind="frn:CityFurniture")), "nothing for the collection building"),
    "no system": error(model(GOOD, srs=None), "without a coordinate reference system"),
    "a system that is none": error(model(GOOD, srs="urn:ogc:def:crs:EPSG::999999"), "names no coordinate reference"),
    "two systems at once": error(
        model(GOOD, srs="urn:ogc:def:crs,crs:EPSG::28992,crs:EPSG::999999"), "names no coordinate reference"
    ),
    "the other order of axes": error(model(GOOD, srs="EPSG:2056"), "1 bad objects"),
    "no ids": error(model(building(multisurface(multi(polygon([SQUARE]))), id="")), "no ids"),
    "an id twice": error(model(GOOD, GOOD), "stand for several objects", "id"),
}

OBJECTS: dict[str, Kind] = {
    "a ring that is open": bad(ring(positions(SQUARE)), "not closed"),
    "a ring of three": bad(ring(positions([SQUARE[0], SQUARE[1], SQUARE[0]])), "fewer than 4 positions"),
    "a number too few": bad(ring(CLOSED.rpartition(" ")[0]), "numbers that are no positions"),
    "words for numbers": bad(ring("here and there"), "not numbers"),
    "a decimal comma": bad(ring(CLOSED.replace(".", ",")), "not numbers"),
    "not a number": bad(ring(CLOSED.replace(repr(X + 20), "NaN")), "coordinates"),
    "infinity": bad(ring(CLOSED.replace(repr(X + 20), "INF")), "coordinates outside"),
    "on the moon": bad(ring(CLOSED.replace(repr(X + 20), "3.8e8")), "coordinates outside"),
    "four dimensions": bad(ring(CLOSED, 'srsDimension="4"'), "neither 2 nor 3"),
    "no heights in a body": bad(
        ring(positions([(a, b) for a, b, _ in [*SQUARE, SQUARE[0]]]), 'srsDimension="2"'), "without heights"
    ),
    "a system of its own": bad(
        multisurface(multi(polygon([SQUARE]).replace("<gml:Polygon", '<gml:Polygon srsName="EPSG:4326"'))),
        "not the coordinate reference system of the file",
    ),
    "no outer ring": bad(multisurface(multi("<gml:Polygon/>")), "without an outer ring"),
    "a sphere": bad(multisurface("<gml:Sphere/>"), "'Sphere' is no geometry"),
    "a surface of itself": bad(
        multisurface('<gml:MultiSurface gml:id="m"><gml:surfaceMember xlink:href="#m"/></gml:MultiSurface>'),
        "without end",
    ),
    "references that double": bad(
        multisurface(f"<gml:MultiSurface>{DOUBLING}</gml:MultiSurface>"), "more than 1,000,000 vertices"
    ),
    "a reference to another file": bad(
        multisurface('<gml:MultiSurface><gml:surfaceMember xlink:href="../../etc/passwd#a"/></gml:MultiSurface>'),
        "a reference to another file",
    ),
    "a part of itself": bad(PART.format(building(id="bad", kind="bldg:BuildingPart")), "stands twice"),
    "ten thousand attributes": bad(
        "".join(f"<gen:intAttribute name='n{n}'><gen:value>1</gen:value></gen:intAttribute>" for n in range(10_001)),
        "more than 10,000",
    ),
    "storeys without end": bad("<bldg:storeysAboveGround>99999999999999999999</bldg:storeysAboveGround>", "too large"),
    "an object without an id": aside(model(GOOD, building(id="")), "no id", "", "x:4"),
}

KINDS = {
    **{f"CityGML: {name}": kind for name, kind in DOCUMENTS.items()},
    **{f"CityGML: {name}": kind for name, kind in OBJECTS.items()},
    "CityGML 3: an object cut off": error(model(GOOD, version="3.0")[:-300], "not well-formed XML", "x:"),
    "CityGML 3: a cone": aside(
        model(
            building(id="good"),
            building("<core:lod1Solid><gml:Cone/></core:lod1Solid>", id="bad"),
            version="3.0",
        ),
        "'Cone' is no geometry",
        "bad",
        "x:4",
    ),
}
