"""References between geometries: within an object, to one before or after it, and to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.citygml import building, model, multi, solid
from tests.ingest.making import imported, refused
from tests.ingest.test_citygml_geometry import block, polygons
from tests.ingest.test_malformed_files import lower

OWN = polygons(*block(), id="p")
NEXT = polygons(*block(20, 0, 10, 10))
WALL = "#p3"  # of the first block, facing the second


def surfaces(text: str) -> str:
    return f"<bldg:lod1MultiSurface>{text}</bldg:lod1MultiSurface>"


def turned(reference: str) -> str:
    return f'<gml:OrientableSurface orientation="-"><gml:baseSurface xlink:href="{reference}"/></gml:OrientableSurface>'


FIRST = building(f"<bldg:lod1Solid>{solid(*OWN)}</bldg:lod1Solid>", id="a")
# The wall between the two blocks is the first one's, seen from the other side.
SECOND = building(f"<bldg:lod1Solid>{solid(*NEXT[:5], turned(WALL))}</bldg:lod1Solid>", id="b")
OTHERS = [building(id=f"other{number}") for number in range(20)]


@pytest.mark.parametrize(
    "members",
    [
        [FIRST, SECOND],
        [SECOND, FIRST],
        [FIRST, *OTHERS, SECOND],
        [SECOND, *OTHERS, FIRST],
    ],
    ids=["before", "after", "farther before", "farther after"],
)
def test_a_wall_between_two_buildings_is_found(members: list[str], tmp_path: Path) -> None:
    rows, report = imported(tmp_path, model(*members))
    assert {rows[id]["volume"] for id in "ab"} == {2400, 1200}
    assert report.objects == len(members) == report.rows


def test_an_object_waits_for_one_reference_after_another(tmp_path: Path) -> None:
    split = [building(surfaces(multi(face)), id=f"f{number}") for number, face in enumerate(OWN)]
    whole = building(f"<bldg:lod1Solid>{solid(*(f'#p{number}' for number in range(6)))}</bldg:lod1Solid>")
    rows, _ = imported(tmp_path, model(whole, *split))
    assert rows["a"]["volume"] == 2400


@pytest.mark.parametrize("reference", ["#gone", "#"])
def test_a_reference_to_nothing_makes_a_bad_object(reference: str, tmp_path: Path) -> None:
    bad = building(f"<bldg:lod1Solid>{solid(*OWN[:5], reference)}</bldg:lod1Solid>", id="bad")
    text = model(building(id="good"), bad, building(id="other"))
    error = refused(tmp_path, text)
    assert "1 bad objects" in error.message
    assert f"data:4: bad: the reference {reference} leads to nothing" in error.message
    rows, report = imported(tmp_path / "rest", text, quarantine=tmp_path / "bad")
    assert (set(rows), report.bad, report.objects) == ({"good", "other"}, 1, 3)


def test_a_reference_to_another_file_makes_a_bad_object(tmp_path: Path) -> None:
    reached = building('<bldg:lod1Solid xlink:href="other.gml#x"/>', id="r")
    error = refused(tmp_path, model(building(id="good"), reached))
    assert "r: a reference to another file: 'other.gml#x'" in error.message


def test_a_member_of_another_file_is_counted(tmp_path: Path) -> None:
    text = model(FIRST).replace("</core:CityModel>", '<core:cityObjectMember xlink:href="b.gml#b"/></core:CityModel>')
    rows, report = imported(tmp_path, text)
    assert (set(rows), report.skipped) == ({"a"}, {"references to other files": 1})


@pytest.mark.parametrize(
    ("members", "reach"),
    [([FIRST, *OTHERS, SECOND], 4_000), ([SECOND, *OTHERS, FIRST], 1_000)],
    ids=["what is gone by", "what waits"],
)
def test_references_reach_only_so_far(
    members: list[str], reach: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, reach=reach)
    rows, report = imported(tmp_path, model(*members), quarantine=tmp_path / "bad")
    assert set(rows) == {"a", *(f"other{number}" for number in range(20))}
    assert report.bad == 1
    assert "the reference #p3 leads to nothing" in (tmp_path / "bad").read_text()


def test_an_object_has_only_so_many_references_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, references=5)
    split = [building(surfaces(multi(face)), id=f"f{number}") for number, face in enumerate(OWN)]
    whole = building(f"<bldg:lod1Solid>{solid(*(f'#p{number}' for number in range(6)))}</bldg:lod1Solid>")
    error = refused(tmp_path, model(*split, whole))
    assert "a: more than 5 references to other objects" in error.message


def test_parts_can_be_elsewhere(tmp_path: Path) -> None:
    part = building(f"<bldg:lod1Solid>{solid(*OWN)}</bldg:lod1Solid>", id="p", kind="bldg:BuildingPart")
    whole = building('<bldg:consistsOfBuildingPart xlink:href="#p"/>')
    for name, members in {"before": [part, whole], "after": [whole, part]}.items():
        rows, _ = imported(tmp_path / name, model(*members))
        assert rows["a"]["volume"] == 2400
    error = refused(tmp_path / "gone", model(whole))
    assert "a: the reference #p leads to nothing" in error.message


def test_boundary_surfaces_can_be_elsewhere_in_the_object(tmp_path: Path) -> None:
    surface = f"<bldg:lod2MultiSurface>{multi(OWN[0])}</bldg:lod2MultiSurface>"
    ground = f"<bldg:boundedBy><bldg:GroundSurface gml:id='g'>{surface}</bldg:GroundSurface></bldg:boundedBy>"
    part = building(ground, id="q", kind="bldg:BuildingPart")
    whole = building(
        f"<bldg:lod2Solid>{solid(*OWN)}</bldg:lod2Solid><bldg:boundedBy xlink:href='#g'/>",
        f"<bldg:consistsOfBuildingPart>{part}</bldg:consistsOfBuildingPart>",
    )
    rows, _ = imported(tmp_path, model(whole))
    assert rows["a"]["footprint_method"] == "ground_surface"


def test_parts_that_refer_to_parts_without_end_make_a_bad_object(tmp_path: Path) -> None:
    chain = [
        building(f"<bldg:consistsOfBuildingPart xlink:href='#p{n + 1}'/>", id=f"p{n}", kind="bldg:BuildingPart")
        for n in range(350)
    ]
    chain.append(building(id="p350", kind="bldg:BuildingPart"))
    whole = building("<bldg:consistsOfBuildingPart xlink:href='#p0'/>", id="bad")
    rows, report = imported(tmp_path, model(*chain[::-1], whole, building(id="good")), quarantine=tmp_path / "bad")
    assert "good" in rows
    assert '"object": "bad"' in (tmp_path / "bad").read_text()
    assert "nested too deeply" in (tmp_path / "bad").read_text()
    assert report.rows == 1


def test_a_namespace_that_is_no_uri_is_one_error(tmp_path: Path) -> None:
    bad = building('<bldg:lod1Solid xlink:href="#gone"/>', id="bad")
    text = model(FIRST, SECOND, bad).replace("xmlns:app=", "xmlns:other='http://[' xmlns:app=", 1)
    error = refused(tmp_path, text, quarantine=tmp_path / "bad")
    assert "not well-formed XML: xmlns:other" in error.message
