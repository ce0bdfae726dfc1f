from __future__ import annotations

import json
from decimal import Decimal

import pytest
import shapely

from cimfed.errors import BadPolicy
from cimfed.policy.document import compose
from cimfed.policy.grant import Agreement
from cimfed.policy.payload import from_payload, to_payload
from cimfed.policy.shape import EXACT, NULL, band
from cimfed.query.expression import Comparator, Comparison, In, Literal, Property
from tests.unit.cimfed.policy.documents import CENTRE, EXAMPLE, GRANT, HEAD, SALT, grant, policy, whole

OCTOBER = 1_790_812_800_000_000  # 2026-10-01T00:00Z by date(1)
JANUARY = 1_798_761_600_000_000
APRIL = 1_806_537_600_000_000


def test_the_worked_example_of_the_page_says_what_it_says() -> None:
    found = policy(EXAMPLE)
    assert (found.city, found.version, found.valid, found.salt) == ("kz.almaty", 42, (OCTOBER, APRIL), SALT)
    assert found.declared == {"building": (76.7, 43.1, 77.1, 43.4), "admin_unit": None}
    assert found.listed == {"building": {"function", "height", "energy_class"}}
    massing, districts = found.grants
    assert massing.id == "massing"
    assert massing.subjects.org == {"inst.tsinghua", "inst.iitd"}
    assert massing.subjects.country == {"CN", "IN"}
    assert massing.subjects.role == frozenset()
    assert massing.purposes == {"heat-planning", "research"}
    assert massing.columns == {"id": EXACT, "function": EXACT, "height": band(Decimal(5)), "floor_area": NULL}
    assert massing.max_lod == 0
    assert massing.valid == (OCTOBER, JANUARY)
    assert massing.via == frozenset({"gw.alliance", "direct"})
    assert massing.obligations == {"attribution", "no-onward-sharing"}
    assert massing.agreement is not None
    assert massing.agreement.id == "MoU-2026-17"
    assert massing.area is not None
    assert shapely.equals(shapely.from_wkb(massing.area), shapely.Polygon(CENTRE["coordinates"][0]))
    assert districts.subjects.role == {"researcher"}
    assert (districts.rows, districts.area, districts.valid, districts.via) == (None, None, None, None)


def test_rows_may_use_a_property_that_the_grant_does_not_give() -> None:
    (found,) = grant("rows: \"usage_state IN ('in_use')\"").grants
    assert found.rows == In(Property("usage_state"), (Literal("in_use"),))
    assert "usage_state" not in found.columns


def test_a_grant_gives_untouched_objects_where_it_hides_nothing_else() -> None:
    (found,) = grant(*whole(), "rows: height > 12", "via: [direct]").grants
    assert found.original
    assert not grant(*whole(), "original: false").grants[0].original
    assert not grant().grants[0].original
    shown = dict(line.split(": ", 1) for line in whole())["columns"].strip("{}").split(", ")
    for item in shown:
        name = item.removesuffix(": exact")
        for other in ([], [f"{name}: 'null'"]):
            columns = ", ".join([*(column for column in shown if column != item), *other])
            with pytest.raises(BadPolicy, match=f"original shows what the grant hides: {name} "):
                grant(*whole(), f"columns: {{{columns}}}")


def test_the_signed_form_says_original_only_where_it_is_so() -> None:
    untouched, plain = to_payload(grant(*whole())), to_payload(grant(*whole(), "original: false"))
    assert json.loads(untouched)["grants"][0].pop("original") is True
    assert untouched.replace(b',"original":true', b"") == plain
    assert from_payload(untouched) == grant(*whole())
    for other in (b"false", b'"true"', b"1"):
        with pytest.raises(BadPolicy):
            from_payload(untouched.replace(b'"original":true', b'"original":' + other))


def test_rows_are_parsed_as_cql2() -> None:
    (found,) = grant("rows: height > 12.50").grants
    assert found.rows == Comparison(Comparator.GT, Property("height"), Literal(Decimal("12.5")))


def test_a_policy_may_grant_nothing() -> None:
    found = policy(HEAD)
    assert (found.grants, found.declared, found.listed) == ((), {}, {})


def test_a_grant_may_give_no_columns() -> None:
    (found,) = grant("columns: {}").grants
    assert found.columns == {}
    assert found.max_lod is None


def test_norway_is_a_country_and_null_a_mask_with_or_without_quotes() -> None:
    (found,) = grant("subject: {country: [NO]}", "columns: {height: null, function: 'null'}").grants
    assert found.subjects.country == {"NO"}
    assert found.columns == {"height": NULL, "function": NULL}


def test_an_agreement_may_come_without_its_hash() -> None:
    (found,) = grant("agreement: {id: 'Соглашение 17'}").grants
    assert found.agreement == Agreement("Соглашение 17")


def test_equal_areas_are_equal_bytes_however_they_are_drawn() -> None:
    west, east, south, north = 76.9, 77.0, 43.2, 43.3
    drawings = [
        f"[[{west}, {south}], [{east}, {south}], [{east}, {north}], [{west}, {north}], [{west}, {south}]]",
        f"[[{east}, {north}], [{east}, {south}], [{west}, {south}], [{west}, {north}], [{east}, {north}]]",
        f"[[{west}, {south}, 5], [{west}, {north}, 6], [{east}, {north}, 7.5], [{east}, {south}, 8], "
        f"[{west}, {south}, 5]]",
    ]
    areas = {grant(f"area: {{within: {{type: Polygon, coordinates: [{ring}]}}}}").grants[0].area for ring in drawings}
    areas |= {
        grant(f"area: {{within: {{type: MultiPolygon, coordinates: [[{drawings[0]}]]}}}}").grants[0].area,
        grant("area: {within: areas/centre.geojson}").grants[0].area,
    }
    assert len(areas) == 1
    (wkb,) = areas
    assert wkb is not None
    assert wkb[:5] == bytes([1, 3, 0, 0, 0])  # little endian, Polygon, two dimensions
    assert len(wkb) == 1 + 4 + 4 + 4 + 5 * 16


def test_an_area_across_the_antimeridian_is_two_parts_and_the_world_is_one() -> None:
    east, west = "[[[176, 60], [180, 60], [180, 70], [176, 60]]]", "[[[-180, 60], [-172, 60], [-180, 70], [-180, 60]]]"
    found = grant(f"area: {{within: {{type: MultiPolygon, coordinates: [{east}, {west}]}}}}").grants[0].area
    assert shapely.from_wkb(found).area == pytest.approx(20 + 40)
    world = "[[[-180, 60], [180, 60], [180, 90], [-180, 90], [-180, 60]]]"
    found = grant(f"area: {{within: {{type: Polygon, coordinates: {world}}}}}").grants[0].area
    assert shapely.equals(shapely.from_wkb(found), shapely.box(-180, 60, 180, 90))


def test_bands_of_one_width_are_one_mask() -> None:
    one, other = (grant(f"columns: {{height: {{band: {width}}}}}").grants[0].columns for width in ("5", "5.00"))
    assert one == other
    assert str(one["height"]) == str(other["height"]) == "band(5)"


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_salt_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(BadPolicy):
        compose(HEAD + GRANT, "p.yaml", lambda path: b"", bytes(size))
