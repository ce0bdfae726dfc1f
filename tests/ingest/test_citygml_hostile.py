"""CityGML that is broken, nonsense, or made to do harm: each file has one error, each object one line of quarantine.

What a file could make a parser do beyond opening and closing elements is tried here: entities of every kind, document
types, inclusions, depth, breadth, and references that multiply.
"""

from __future__ import annotations

import contextlib
import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from cimfed.errors import CimfedError
from cimfed_node.ingest import import_files, importer
from cimfed_node.ingest.readers import lines as streams
from tests.ingest.citygml import (
    building,
    member,
    model,
    multi,
    namespaces,
    polygon,
    positions,
)
from tests.ingest.making import imported, refused, request_for
from tests.ingest.test_citygml_geometry import SOLID, corner, flat
from tests.ingest.test_malformed_files import lower

GOOD = building(f"<bldg:lod1Solid>{SOLID}</bldg:lod1Solid>", id="good")
FILE = model(GOOD, building(id="b"))
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


def typed(subset: str, use: str = "") -> str:
    """The good file under a document type; ``use`` stands as an attribute's value."""
    text = FILE.replace(DECLARATION, f"{DECLARATION}<!DOCTYPE core:CityModel [{subset}]>")
    return text.replace('gml:id="b"', f'gml:id="b" a="{use}"')


def inside(text: str) -> str:
    """The good file with something in the second object."""
    return FILE.replace('gml:id="b">', f'gml:id="b">{text}')


DOCTYPE = "a document type"
BROKEN = "not well-formed"
FILES: dict[str, tuple[str | bytes, str]] = {
    "billion laughs": (typed(f'<!ENTITY l0 "lol">{LAUGHS}', "&l11;"), DOCTYPE),
    "quadratic blow-up": (typed(f'<!ENTITY a "{"a" * 50_000}">', "&a;" * 50_000), DOCTYPE),
    "an entity of a file": (typed('<!ENTITY a SYSTEM "file:///etc/passwd">'), DOCTYPE),
    "an entity of the network": (typed('<!ENTITY a SYSTEM "http://127.0.0.1:1/">'), DOCTYPE),
    "an entity of parameters": (typed('<!ENTITY % a SYSTEM "file:///etc/passwd">%a;'), DOCTYPE),
    "an entity of itself": (typed('<!ENTITY a "&a;">', "&a;"), DOCTYPE),
    "an external subset": (
        FILE.replace(DECLARATION, DECLARATION + '<!DOCTYPE core:CityModel SYSTEM "http://127.0.0.1:1/a.dtd">'),
        DOCTYPE,
    ),
    "a document type after comments": (
        FILE.replace(DECLARATION, DECLARATION + "<!-- <core:CityModel> --><?a b?>\n<!DOCTYPE a>"),
        DOCTYPE,
    ),
    "a document type in small letters": (FILE.replace(DECLARATION, DECLARATION + "<!doctype a>"), DOCTYPE),
    "a document type in UTF-16": (typed('<!ENTITY a "b">', "&a;").replace("UTF-8", "UTF-16").encode("utf-16"), DOCTYPE),
    "a document type without a declaration": ("<!DOCTYPE a>" + FILE.removeprefix(DECLARATION), DOCTYPE),
    "a document type behind a mark": (b"\xef\xbb\xbf<!DOCTYPE a>" + FILE.removeprefix(DECLARATION).encode(), DOCTYPE),
    "a document type in UTF-7": (
        FILE.replace("UTF-8", "UTF-7").replace("<core:CityModel", "+ADw-!DOCTYPE a+AD4-<core:CityModel", 1),
        "the encoding 'UTF-7'",
    ),
    "a document type in the middle": (inside("<!DOCTYPE a>"), BROKEN),
    "a document type at the end": (FILE + '<!DOCTYPE a [<!ENTITY a "b">]>', BROKEN),
    "an unknown entity": (inside("&a;"), BROKEN),
    "an unknown entity of an attribute": (inside('<bldg:class a="&a;"/>'), BROKEN),
    "a letter that is none": (inside("&#0;"), BROKEN),
    "half a letter": (inside("&#xD800;"), BROKEN),
    "a control character": (inside("\x01"), BROKEN),
    "depth": (inside("<a>" * 5_000 + "</a>" * 5_000), "nested more than 256"),
    "depth that never ends": (inside("<a>" * 400_000), "nested more than 256"),
    "a text without end": (inside("<bldg:class>" + "x" * 11_000_000), "more than 10 MB"),
    "a whole text that is too long": (inside("<bldg:class>" + "x" * 11_000_000 + "</bldg:class>"), "more than 10 MB"),
    "an attribute that is too long": (inside(f'<bldg:class a="{"x" * 11_000_000}"/>'), "more than 10 MB"),
    "a name that is too long": (inside(f"<{'x' * 11_000_000}/>"), "XML"),
    "a comment that is too long": (inside(f"<!--{'x' * 11_000_000}-->"), "more than 10 MB"),
    "a million attributes": (
        inside(f"<bldg:class {' '.join(f'a{n}={chr(34)}{chr(34)}' for n in range(10**6))}/>"),
        "XML",
    ),
    "an attribute twice": (inside('<bldg:class a="" a=""/>'), BROKEN),
    "a namespace that is not declared": (inside("<bad:class/>"), BROKEN),
    "an end that does not fit": (inside("<bldg:class></bldg:function>"), BROKEN),
    "an end too many": (FILE + "</core:CityModel>", BROKEN),
    "two documents": (FILE + FILE, BROKEN),
    "two roots": (FILE + FILE.removeprefix(DECLARATION), BROKEN),
    "text after the end": (FILE + "text", BROKEN),
    "bytes that are no text": (inside("@@").encode().replace(b"@@", b"\xff\xfe"), "not UTF-8"),
    "a zero": (inside("\0"), ""),
    "nothing but a declaration": (DECLARATION, "root element"),
    "nothing but a comment": (
        f"{DECLARATION}<!-- {FILE.removeprefix(DECLARATION).replace('--', '')} -->",
        "root element",
    ),
    "a comment without end": (f"{DECLARATION}<!-- {'x' * 300_000}", "root element"),
    "a root's tag without end": (f"{DECLARATION}<core:CityModel {namespaces('2.0')} {'a' * 300_000}", "XML"),
    "a root's attributes without end": (
        f"{DECLARATION}<core:CityModel {namespaces('2.0')} " + " ".join(f'b{n}=""' for n in range(100_000)) + "/>",
        "XML",
    ),
    "a root without objects": (model(), "nothing for the collection"),
    "a root of text": (model().replace("</core:CityModel>", "x" * 1000 + "</core:CityModel>"), "nothing for"),
    "other things alone": (model(building(kind="frn:CityFurniture")), "nothing for the collection"),
    "a nameless object first": (model(building(id=""), GOOD), "no ids"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("quarantine", [False, True], ids=["", "with quarantine"])
def test_a_file_that_is_none_is_refused_with_one_error(name: str, quarantine: bool, tmp_path: Path) -> None:
    data, told = FILES[name]
    more: dict[str, Any] = {"quarantine": tmp_path / "bad"} if quarantine else {}
    error = refused(tmp_path / "files", data, **more)
    assert error.reason == "bad_file"
    assert told in error.message
    assert "\n" not in error.message
    assert len(error.message) < 300
    assert "data" in (error.place or "")
    assert "HUGE" not in error.message


@pytest.mark.parametrize("part", [0.05, 0.2, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_that_is_cut_off_is_refused(part: float, packed: bool, tmp_path: Path) -> None:
    raw = FILE.encode()
    raw = gzip.compress(raw) if packed else raw
    error = refused(tmp_path, raw[: int(len(raw) * part)])
    assert error.reason == "bad_file"
    assert ("damaged gzip" in error.message) == packed


def test_errors_say_the_line(tmp_path: Path) -> None:
    error = refused(tmp_path, FILE.replace("</core:CityModel>", "\n\n<a></b></core:CityModel>"))
    line = FILE[: FILE.index("</core:CityModel>")].count("\n") + 3
    assert error.place == f"data:{line}"


def test_an_entity_that_nobody_declared_is_named_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, inside("\n&secret;"))
    assert error.message == "not well-formed XML: Entity 'secret' not defined"
    assert error.place == "data:5"


def test_an_inclusion_is_an_element_like_any_other(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    include = f"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' parse='text' href='{secret}'/>"
    rows, _ = imported(tmp_path / "files", inside(f"<bldg:class>{include}</bldg:class>"))
    assert set(rows) == {"good", "b"}
    assert "secret" not in str(rows["b"]["class"] if "class" in rows["b"] else rows["b"]["ext"])


def test_instructions_and_comments_anywhere_do_nothing(tmp_path: Path) -> None:
    noise = "<?xml-stylesheet href='file:///etc/passwd'?><!-- x --><?php die() ?>"
    text = FILE.replace("<core:cityObjectMember>", f"{noise}<core:cityObjectMember>{noise}").replace(
        "</core:CityModel>", f"{noise * 1000}</core:CityModel>{noise}"
    )
    rows, _ = imported(tmp_path, text.replace(DECLARATION, DECLARATION + noise))
    assert set(rows) == {"good", "b"}


# Objects


def lod1(text: str) -> str:
    return f"<bldg:lod1MultiSurface>{text}</bldg:lod1MultiSurface>"


def face(ring: str) -> str:
    return lod1(multi(f"<gml:Polygon><gml:exterior>{ring}</gml:exterior></gml:Polygon>"))


def linear(numbers: str, attributes: str = "") -> str:
    return face(f"<gml:LinearRing><gml:posList {attributes}>{numbers}</gml:posList></gml:LinearRing>")


CLOSED = [*flat([(0, 0), (1, 0), (1, 1)]), corner(0, 0, 2)]
RING = positions(CLOSED)
DOUBLING = "".join(
    f'<gml:surfaceMember><gml:CompositeSurface gml:id="c{n}">'
    + f'<gml:surfaceMember xlink:href="#c{n + 1}"/>' * 2
    + "</gml:CompositeSurface></gml:surfaceMember>"
    for n in range(60)
)
LAST = member(polygon([flat([(0, 0), (1, 0), (1, 1)])], id="c60"))
MANY = polygon([flat([(n % 100, n // 100 + n % 3) for n in range(2000)])], id="many")
AGAIN = '<gml:surfaceMember xlink:href="#many"/>'
OBJECTS: dict[str, tuple[str, str]] = {
    "a ring that is open": (linear(positions(flat([(0, 0), (1, 0), (1, 1), (0, 1)]))), "not closed"),
    "a ring of three": (linear(positions([CLOSED[0], CLOSED[1], CLOSED[0]])), "fewer than 4 positions"),
    "an empty ring": (linear(""), "0 numbers"),
    "a ring without positions": (face("<gml:LinearRing/>"), "fewer than 4 positions"),
    "a ring of words": (linear("a b c"), "not numbers"),
    "numbers with strokes": (linear(RING.replace("0", "1_0", 1)), "not numbers"),
    "a number too few": (linear(RING.rpartition(" ")[0]), "11 numbers"),
    "four dimensions": (linear(RING, "srsDimension='4'"), "neither 2 nor 3"),
    "no dimensions": (linear(RING, "srsDimension='0'"), "neither 2 nor 3"),
    "dimensions of words": (linear(RING, "srsDimension='x'"), "neither 2 nor 3"),
    "huge dimensions": (linear(RING, f"srsDimension='{10**30}'"), "neither 2 nor 3"),
    "infinity": (linear(RING.replace("2.0", "inf")), "coordinates outside"),
    "no number": (linear(RING.replace("2.0", "nan")), "not closed"),
    "far away": (linear(RING.replace("121000.0", "1e300")), "coordinates outside"),
    "beyond all numbers": (linear(RING.replace("121000.0", "1e999")), "coordinates outside"),
    "a polygon of nothing": (lod1(multi("<gml:Polygon/>")), "without an outer ring"),
    "a polygon of two rings": (
        lod1(
            multi(
                polygon([CLOSED[:3]])
                .replace("<gml:exterior>", "<gml:exterior/><gml:exterior>", 1)
                .replace(
                    "<gml:exterior/>",
                    f"<gml:exterior><gml:LinearRing><gml:posList>{RING}</gml:posList></gml:LinearRing></gml:exterior>",
                )
            )
        ),
        "two outer rings",
    ),
    "an arc": (
        face(
            "<gml:Ring><gml:curveMember><gml:Curve><gml:segments><gml:Arc>"
            f"<gml:posList>{RING}</gml:posList></gml:Arc></gml:segments></gml:Curve></gml:curveMember></gml:Ring>"
        ),
        "'Arc' is no line",
    ),
    "a cone": (lod1("<gml:Cone/>"), "'Cone' is no geometry"),
    "an object as a surface": (lod1(multi("<bldg:Building/>")), "'Building' is no surface"),
    "a solid as a surface": (lod1(multi(SOLID)), "'Solid' is no surface"),
    "a solid of lines": (
        "<bldg:lod1Solid><gml:Solid><gml:exterior><gml:LineString/></gml:exterior></gml:Solid></bldg:lod1Solid>",
        "'LineString' is no surface",
    ),
    "an empty solid": ("<bldg:lod1Solid><gml:Solid/></bldg:lod1Solid>", "without vertices"),
    "a surface of itself": (
        lod1('<gml:MultiSurface gml:id="m"><gml:surfaceMember xlink:href="#m"/></gml:MultiSurface>'),
        "without end",
    ),
    "surfaces of each other": (
        lod1(
            '<gml:CompositeSurface gml:id="x"><gml:surfaceMember><gml:CompositeSurface gml:id="y">'
            '<gml:surfaceMember xlink:href="#x"/></gml:CompositeSurface></gml:surfaceMember></gml:CompositeSurface>'
        ),
        "without end",
    ),
    "references that double": (
        lod1(f"<gml:MultiSurface>{DOUBLING}{LAST}</gml:MultiSurface>"),
        "more than 1,000,000 vertices",
    ),
    "one surface again and again": (
        lod1(f"<gml:MultiSurface>{member(MANY)}{AGAIN * 600}</gml:MultiSurface>"),
        "more than 1,000,000 vertices",
    ),
    "an id twice": (
        f"<bldg:consistsOfBuildingPart>{building(id='bad', kind='bldg:BuildingPart')}</bldg:consistsOfBuildingPart>",
        "twice",
    ),
    "a part of itself": (
        "<bldg:consistsOfBuildingPart xlink:href='#bad'/>",
        "twice",
    ),
    "a bad part": (
        "<bldg:consistsOfBuildingPart>"
        + building(lod1("<gml:Cone/>"), id="p", kind="bldg:BuildingPart")
        + "</bldg:consistsOfBuildingPart>",
        "'Cone' is no geometry",
    ),
    "too many attributes": (
        "".join(f"<gen:intAttribute name='n{n}'><gen:value>1</gen:value></gen:intAttribute>" for n in range(10_001)),
        "10,000",
    ),
    "too many things in an extension": (f"<u:a xmlns:u='http://u'>{'<u:b>1</u:b>' * 10_001}</u:a>", "10,000"),
    "a text that is too long": (f"<gml:name>{'x' * (2**20 + 1)}</gml:name>", "a text of more than"),
    "a height beyond all": ("<bldg:measuredHeight>1e30</bldg:measuredHeight>", "too large"),
    "storeys beyond all": ("<bldg:storeysAboveGround>99999999999999999999</bldg:storeysAboveGround>", "too large"),
    "heights beyond all": (linear(RING.replace(" 2.0", " 1e12")), "heights beyond any planet"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_that_is_none_has_one_line_of_quarantine_and_the_others_are_read(name: str, tmp_path: Path) -> None:
    content, told = OBJECTS[name]
    text = model(GOOD, building(content, id="bad"), building(id="b"))
    rows, report = imported(tmp_path, text, quarantine=tmp_path / "bad.jsonl")
    assert set(rows) == {"good", "b"}
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert '"object": "bad"' in line
    assert '"line": 4' in line
    assert told in line
    assert (report.bad, report.objects) == (1, 3)


def test_a_surface_of_nothing_is_no_geometry(tmp_path: Path) -> None:
    """It is valid GML, and exporters write it."""
    rows, report = imported(tmp_path, model(GOOD, building(lod1("<gml:MultiSurface/>"), id="b")))
    assert rows["b"]["geometry_lod0"] is None
    assert report.bad == 0


def test_an_object_of_too_many_parts_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, family=3)
    parts = "".join(
        f"<bldg:consistsOfBuildingPart>{building(id=f'p{n}', kind='bldg:BuildingPart')}</bldg:consistsOfBuildingPart>"
        for n in range(3)
    )
    assert "bad: more than 3 objects" in refused(tmp_path, model(GOOD, building(parts, id="bad"))).message


# Limits of one member


@pytest.mark.parametrize(
    ("limit", "content", "told"),
    [
        ("line", "<bldg:class>" + "x" * 300_000 + "</bldg:class>", "an object of more than"),
        ("line", "<bldg:class>y</bldg:class>" * 20_000, "an object of more than"),
        ("marks", "<a/>" * 60_000, "more than 30,000 tags and attributes"),
        (
            "marks",
            "".join(f"<a{' '.join(f' b{n}={chr(34)}{chr(34)}' for n in range(100))}/>" for _ in range(600)),
            "tags",
        ),
    ],
)
def test_one_member_is_bounded_while_it_is_read(
    limit: str, content: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, **{limit: {"line": 200_000, "marks": 30_000}[limit]})
    assert told in refused(tmp_path, inside(content)).message


def test_what_comes_before_the_first_object_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, line=200_000)
    text = model(GOOD, before="<gml:name>x</gml:name>" * 20_000)
    assert "beyond all bounds" in refused(tmp_path, text).message


def test_a_gzip_bomb_is_refused_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(FILE.replace("</core:CityModel>", " \n" * 2_000_000 + "</core:CityModel>").encode())
    assert len(packed) < 20_000
    monkeypatch.setattr(importer, "open_bytes", lambda path: streams.open_bytes(path, 1_000_000))
    assert "more than 1,000,000 bytes after decompression" in refused(tmp_path, packed).message


PIECES = (
    b"<",
    b">",
    b"/",
    b'"',
    b"&",
    b"#",
    b"gml:",
    b" ",
    b"-",
    b"nan",
    b"\x00",
    b"\xff",
    b"Solid",
    b"<!--",
    b"]]>",
    b"[",
)


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_a_few_wrong_bytes_is_read_or_refused(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    raw = bytearray(FILE.encode())
    for _ in range(drawn.randint(1, 3)):
        at = drawn.randrange(100, len(raw))
        raw[at : at + drawn.choice((0, 1, 20))] = drawn.choice(PIECES)
    request = request_for(tmp_path, [bytes(raw)], "building", "xx.city", {"quarantine": tmp_path / "bad"})
    with contextlib.suppress(CimfedError):
        import_files(request, tmp_path / "snapshots")
