"""Every error that a steward can meet: what it says, where it points, and that the page explains it."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from cimfed.errors import BadPolicy
from cimfed.policy import payload as payloads
from cimfed.policy.document import compose
from tests.unit.cimfed.policy.documents import CENTRE, GRANT, HEAD, PAGE, SALT

TEXT = HEAD + GRANT
RING = CENTRE["coordinates"][0]

DOCUMENTED = re.findall(r"^\| `([^`]+)` \| .*\|$", PAGE[PAGE.index("## Errors") :], re.MULTILINE)


def patterns() -> dict[str, re.Pattern[str]]:
    return {row: re.compile(".*".join(map(re.escape, row.split("…"))), re.DOTALL) for row in DOCUMENTED}


def more(line: str) -> str:
    """The small policy with a line more in its grant: it stands on line 11."""
    return TEXT + f"    {line}\n"


def instead(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def of_nested(name: str) -> str:
    return more("original: true").replace("collection: building", f"collection: {name}").replace("height: exact", "")


def area(value: object) -> str:
    return more(f"area: {{within: {json.dumps(value)}}}")


def polygon(*rings: Any) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": list(rings)}


def named(value: object) -> bytes:
    return json.dumps(value).encode()


FILES: dict[str, bytes] = {
    "text.geojson": b"\x00 no json",
    "deep.geojson": b"[" * 100_000,
    "large.geojson": b" " * (4 * 1024 * 1024 + 1),
    "list.geojson": b"[]",
    "two.geojson": named({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": CENTRE}] * 2}),
    "none.geojson": named({"type": "FeatureCollection"}),
    "bare.geojson": named({"type": "Feature"}),
    "empty.geojson": named({"type": "Feature", "geometry": None}),
    "metres.geojson": named({"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32643"}}, **CENTRE}),
    "point.geojson": named({"type": "Point", "coordinates": [76.9, 43.2]}),
    "untyped.geojson": named({"coordinates": [76.9, 43.2]}),
    "nan.geojson": b'{"type": "Polygon", "coordinates": [[[NaN, 1], [2, 1], [2, 2], [NaN, 1]]]}',
}


def from_file(name: str) -> str:
    return more(f"area: {{within: {name}}}")


def circle(vertices: int) -> list[list[float]]:
    """A ring of steps up and down again, valid and of any size."""
    there = [[76 + i / vertices / 2, 43.0] for i in range(vertices // 2)]
    back = [[x, 43.5] for x, _ in reversed(there)]
    return [*there, *back, there[0]]


# (what the message says, in part; line:column; the text)
CASES: list[tuple[str, str, str]] = [
    # YAML
    ("this is not well-formed YAML", "5:1", "format: cimfed/policy/v1\ngrants:\n  a:b:\n   - c: [\n"),
    ("this is not well-formed YAML", "2:1", "a: [1,\n"),
    ("this is not well-formed YAML", "1:6", 'a: "\\q"\n'),
    ("a character that YAML does not allow", "2:5", "a: b\nc: d\x07\n"),
    ("the file is empty", "1:1", ""),
    ("the file is empty", "1:1", "# nothing but a remark\n"),
    ("a policy file holds one document", "11:1", TEXT + "---\na: b\n"),
    ("no anchors here", "11:10", more("via: &here [direct]")),
    ("no aliases here", "11:10", more("via: *here")),
    ("no tags here", "11:11", more("rows: !!python/name:os.system x")),
    ("no tags here", "11:11", more("rows: !secret x")),
    ("'city' stands here twice, first on line 2", "11:1", TEXT + "city: kz.astana\n"),
    ("'height' stands here twice", "10:30", instead("{height: exact}", "{height: exact, height: exact}")),
    ("a key is a word, not a list or mapping", "11:7", more("? [a]\n    : b")),
    ("more than 32 levels deep", "11:40", more("rows: " + "[" * 40)),
    ("more than 100000 values", "11:", more(f"rows: [{'1,' * 100_000}]")),
    ("more than 1048576 characters", "1:1", TEXT + "#" * 1024 * 1024),
    # Structure
    ("a policy is a mapping", "1:1", "just words"),
    ("a policy is a mapping", "1:1", "- format: cimfed/policy/v1"),
    ("a policy must say city", "1:1", "format: cimfed/policy/v1\nversion: 1\n"),
    ("a grant must say purpose", "6:5", instead("    purpose: [research]\n", "")),
    ("a grant must say columns", "6:5", instead("    columns: {height: exact}\n", "")),
    ("a grant must say subject", "6:5", instead("    subject: {org: [inst.tsinghua]}\n", "")),
    ("unknown word 'colums' in a grant", "10:5", instead("columns", "colums")),
    ("unknown word 'salt' in a policy", "11:1", TEXT + "salt: 00\n"),
    ("unknown word '<<' in a grant", "11:5", more("<<: {id: two}")),
    ("unknown word 'except' in an area", "11:12", more("area: {except: areas/centre.geojson}")),
    ("a list of grants belongs here", "5:9", HEAD + "grants: {id: one}\n"),
    ("a list of purposes belongs here", "8:14", instead("[research]", "research")),
    ("a mapping of columns belongs here", "10:14", instead("{height: exact}", "[height]")),
    ("an id (lower case, digits and hyphens) belongs here", "6:9", instead("id: one", "id: [one]")),
    ("more than 1000 purposes", "8:14", instead("[research]", f"[{', '.join(f'p{i}' for i in range(1001))}]")),
    ("a condition in CQL2 text holds half of a character", "11:11", more("rows: \"name = '\\ud800'\"")),
    # Later releases
    *(
        (f"{word}: not supported by this release", "11:1", f"{TEXT}{word}: []\n")
        for word in ("restrictions", "forbids", "tests")
    ),
    *(
        (f"{word}: not supported by this release", "11:5", more(f"{word}: {{}}"))
        for word in ("release", "time", "quota", "of_whole")
    ),
    ("mode: not supported by this release", "11:42", more("area: {within: areas/centre.geojson, mode: clip}")),
    ("grid_m: not supported by this release", "11:28", more("geometry: {max_lod: 0, grid_m: 5}")),
    ("pseudonym: not supported by this release", "10:20", instead("{height: exact}", "{id: {pseudonym: a}}")),
    ("prefix: not supported by this release", "10:20", instead("{height: exact}", "{id: {prefix: 2}}")),
    ("year: not supported by this release", "10:27", instead("{height: exact}", "{valid_from: year}")),
    ("time: not supported by this release", "5:23", HEAD + "declared: {building: {time: []}}\n"),
    # Values
    ("'cimfed/policy/v2' is not a format that this release reads", "1:9", instead("policy/v1", "policy/v2")),
    ("'Almaty' is not a name", "2:7", instead("kz.almaty", "Almaty")),
    ("'inst.a' is the name of a partner, not of a city", "2:7", instead("kz.almaty", "inst.a")),
    ("'kz.almaty' is the name of a city, not of a partner", "7:21", instead("inst.tsinghua", "kz.almaty")),
    ("'inst.a' is the name of a partner, not of a gateway", "11:11", more("via: [inst.a]")),
    ("'0x10' is not a version", "3:10", instead("version: 1", "version: 0x10")),
    ("0 is not a version", "3:10", instead("version: 1", "version: 0")),
    ("9007199254740992 is not a version", "3:10", instead("version: 1", "version: 9007199254740992")),
    ("4 is not a level of detail", "11:25", more("geometry: {max_lod: 4}")),
    ("'Research' is not a purpose", "8:15", instead("[research]", "[Research]")),
    ("'cn' is not a country", "7:25", instead("org: [inst.tsinghua]", "country: [cn]")),
    ("'UK' is not a country", "7:29", instead("org: [inst.tsinghua]", "country: [CN, UK]")),
    ("'rounded' is not a mask", "10:23", instead("exact", "rounded")),
    ("'2027-01-01' is not a time in UTC", "4:28", instead("2027-01-01T00:00Z", "2027-01-01")),
    ("'2026-02-30T00:00Z' is not a time", "4:9", instead("2026-01-01T00:00Z", "2026-02-30T00:00Z")),
    ("'1969-12-31T23:59Z' is not a time", "4:9", instead("2026-01-01T00:00Z", "1969-12-31T23:59Z")),
    ("'9c' is not a SHA-256", "11:36", more("agreement: {id: MoU-1, sha256: 9c}")),
    ("'' is not an id of 1 to 200 characters", "11:21", more("agreement: {id: ''}")),
    ("research is named twice", "8:25", instead("[research]", "[research, research]")),
    ("inst.tsinghua is named twice", "7:36", instead("[inst.tsinghua]", "[inst.tsinghua, inst.tsinghua]")),
    ("direct is named twice", "11:19", more("via: [direct, direct]")),
    ("height is named twice", "5:29", HEAD + "listed: {building: [height, height]}\n"),
    ("an empty list of purposes matches nothing", "8:14", instead("[research]", "[]")),
    ("an empty list of organisations matches nothing", "7:20", instead("[inst.tsinghua]", "[]")),
    ("an empty list of roles matches nothing", "7:21", instead("org: [inst.tsinghua]", "role: []")),
    ("an empty list lets nobody present a query", "11:10", more("via: []")),
    ("a subject names someone", "7:14", instead("{org: [inst.tsinghua]}", "{}")),
    ("two grants are called one", "11:9", TEXT + GRANT.removeprefix("grants:\n")),
    ("validity is two times", "4:8", instead("[2026-01-01T00:00Z, 2027-01-01T00:00Z]", "[2026-01-01T00:00Z]")),
    ("validity ends before it begins", "11:12", more("valid: [2026-03-01T00:00Z, 2026-03-01T00:00Z]")),
    # Vocabulary
    ("there is no collection 'buildings'", "9:17", instead("collection: building", "collection: buildings")),
    ("there is no collection 'sewer'", "5:12", HEAD + "declared: {sewer: {}}\n"),
    ("building has no property 'hieght'", "10:15", instead("height", "hieght")),
    ("building has no property 'fuel'", "5:21", HEAD + "listed: {building: [fuel]}\n"),
    ("city is always given", "10:15", instead("{height: exact}", "{city: exact}")),
    ("geometry_lod0 is not a column to name", "10:15", instead("{height: exact}", "{geometry_lod0: exact}")),
    ("bbox is not a column to name", "10:15", instead("{height: exact}", "{bbox: exact}")),
    ("zmax needs geometry of level 1 or finer", "10:15", instead("{height: exact}", "{zmax: exact}")),
    ("a band has a width", "10:23", instead("exact", "band")),
    ("a mask must say band", "10:23", instead("exact", "{}")),
    ("function has no mask band", "10:25", instead("{height: exact}", "{function: {band: 2}}")),
    ("a band's width is more than 0", "10:30", instead("exact", "{band: 0}")),
    ("a band's width is more than 0", "10:30", instead("exact", "{band: 1000000000.5}")),
    ("'-5' is not a band's width", "10:30", instead("exact", "{band: -5}")),
    ("'1e3' is not a band's width", "10:30", instead("exact", "{band: 1e3}")),
    ("height has 2 decimals, the width has more", "10:30", instead("exact", "{band: 0.125}")),
    ("year_built has 0 decimals, the width has more", "10:34", instead("height: exact", "year_built: {band: 2.5}")),
    # Untouched objects
    ("'yes' is not original, true or false", "11:15", more("original: yes")),
    ("original, true or false belongs here", "11:15", more("original: [true]")),
    ("original shows every level of detail", "11:15", more("original: true")),
    ("original shows every level of detail", "12:15", more("geometry: {max_lod: 2}") + "    original: true\n"),
    (
        "original shows what the grant hides: id, name, zmin, zmax, valid_from ...",
        "12:15",
        more("geometry: {max_lod: 3}") + "    original: true\n",
    ),
    *(
        (f"objects of {name} have no original of their own", "11:15", of_nested(name))
        for name in ("building_part", "storey", "room")
    ),
    # Rows
    ("rows: ", "11:11", more("rows: height >")),
    ("rows: ", "11:11", more("rows: storeys > 3")),
    ("rows: ", "11:11", more("rows: height > 'tall'")),
    ("rows: ", "11:11", more("rows: name = 'Almaty'")),
    ("rows: ", "11:11", more("rows: S_INTERSECTS(geometry, BBOX(76, 43, 77, 44))")),
    ("rows: ", "11:11", more("rows: ''")),
    # Extents and areas
    *(
        (
            "an extent is [xmin, ymin, xmax, ymax] in degrees",
            "5:31",
            f"{HEAD}declared: {{building: {{extent: {extent}}}}}\n",
        )
        for extent in ("[76, 43, 77]", "[77, 43, 76, 44]", "[76, 43, 77, 91]", "[a, 43, 77, 44]", "[76, 43, 76, 44]")
    ),
    ("no.geojson cannot be read", "11:20", from_file("no.geojson")),
    ("large.geojson is larger than 4194304 bytes", "11:20", from_file("large.geojson")),
    ("text.geojson is not JSON", "11:20", from_file("text.geojson")),
    ("deep.geojson is not JSON", "11:20", from_file("deep.geojson")),
    ("an area is a GeoJSON object", "11:20: list.geojson", from_file("list.geojson")),
    ("an area is a GeoJSON object", "11:20: empty.geojson:geometry", from_file("empty.geojson")),
    ("an area is a GeoJSON Polygon or MultiPolygon", "11:20: point.geojson", from_file("point.geojson")),
    ("an area is a GeoJSON Polygon or MultiPolygon", "11:20: untyped.geojson", from_file("untyped.geojson")),
    ("an area file holds exactly one feature", "11:20: two.geojson", from_file("two.geojson")),
    ("an area file holds exactly one feature", "11:20: none.geojson", from_file("none.geojson")),
    ("the feature has no geometry", "11:20: bare.geojson", from_file("bare.geojson")),
    ("areas are in longitude and latitude (OGC:CRS84)", "11:20: metres.geojson:crs", from_file("metres.geojson")),
    (
        "a position is [longitude, latitude] in degrees",
        "11:20: nan.geojson:coordinates[0][0]",
        from_file("nan.geojson"),
    ),
    ("a list of rings belongs here", "11:55", area(polygon())),
    ("a list of polygons belongs here", "11:", area({"type": "MultiPolygon", "coordinates": []})),
    ("a ring has 4 to 10000 positions", "11:", area(polygon(RING[:3]))),
    ("a position is [longitude, latitude]", "11:", area(polygon([[1], *RING]))),
    ("a position is [longitude, latitude] in degrees", "11:", area(polygon([[4e5, 2e6], *RING[1:]]))),
    ("a position is [longitude, latitude] in degrees", "11:", area(polygon([["east", 43], *RING[1:]]))),
    ("the ring is not closed", "11:", area(polygon([*RING[:-1], [76.9, 43.21]]))),
    (
        "an edge spans more than 180 degrees",
        "11:",
        area(polygon([[177, 64], [-170, 64], [-170, 66], [177, 66], [177, 64]])),
    ),
    ("more than 10000 vertices", "11:", area(polygon(circle(9_000), circle(2_000)))),
    ("more than 10000 polygons", "11:", area({"type": "MultiPolygon", "coordinates": [[]] * 10_001})),
    (
        "the area crosses or touches itself near 76.95 43.25",
        "11:",
        area(polygon([[76.9, 43.2], [77.0, 43.3], [77.0, 43.2], [76.9, 43.3], [76.9, 43.2]])),
    ),
    ("the area crosses or touches itself", "11:", area({"type": "MultiPolygon", "coordinates": [[RING], [RING]]})),
]


def read_file(path: str) -> bytes:
    try:
        return FILES[path]
    except KeyError:
        raise FileNotFoundError(path) from None


@cache
def raised(text: str) -> BadPolicy:
    with pytest.raises(BadPolicy) as caught:
        compose(text, "p.yaml", read_file, SALT)
    return caught.value


@pytest.mark.parametrize(("says", "place", "text"), CASES, ids=[case[0][:40] for case in CASES])
def test_an_error_says_what_and_points_there(says: str, place: str, text: str) -> None:
    error = raised(text)
    assert says in error.message
    assert error.place is not None
    if place.endswith(":"):
        assert error.place.startswith(f"p.yaml:{place}")
    else:
        assert error.place == f"p.yaml:{place}"
    assert any(pattern.fullmatch(error.message) for pattern in patterns().values()), "not on the steward's page"
    assert len(str(error)) < 1024


def test_every_error_of_the_page_can_be_met(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = {raised(text).message for _, _, text in CASES}
    monkeypatch.setattr(payloads, "MAX_VALUES", 3)
    with pytest.raises(BadPolicy) as caught:
        payloads.to_payload(compose(TEXT, "p.yaml", read_file, SALT))
    messages.add(caught.value.message)
    unmet = [row for row, pattern in patterns().items() if not any(map(pattern.fullmatch, messages))]
    assert unmet == []


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (instead("columns", "colums"), "Did you mean columns?"),
        (instead("collection: building", "collection: buildings"), "Did you mean building?"),
        (instead("height", "hieght"), "Did you mean height?"),
        (instead("exact", "exakt"), "Did you mean exact?"),
        (TEXT + "grant: []\n", "Did you mean grants?"),
        (more("area: {qqq: 1}"), "Known here: within"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(text: str, remedy: str) -> None:
    assert raised(text).remedy == remedy


def test_errors_do_not_repeat_what_other_libraries_say() -> None:
    assert "yaml" not in str(raised("a: [1,\n")).replace("p.yaml", "")
    assert "expected" not in raised("a: [1,\n").message
