from __future__ import annotations

from decimal import Decimal

from cimfed.model.names import partner_name
from cimfed.policy.catalogue import Entry, catalogue
from cimfed.policy.grant import Subject
from cimfed.policy.shape import EXACT, NULL, band
from tests.unit.cimfed.policy.documents import EXAMPLE, policy

FOUND = policy(EXAMPLE)
START, END = FOUND.valid
TSINGHUA = Subject(partner_name("inst.tsinghua"), "CN")
RESEARCHER = Subject(partner_name("inst.other"), "KG", frozenset({"researcher"}))
STRANGER = Subject(partner_name("inst.stranger"), "AQ")


def test_a_grantee_sees_each_column_as_the_grant_gives_it() -> None:
    entries = {entry.property: entry for entry in catalogue(FOUND, TSINGHUA, START) if entry.granted}
    assert {name: entry.mask for name, entry in entries.items()} == {
        "city": EXACT,
        "id": EXACT,
        "geometry_lod0": EXACT,
        "bbox": EXACT,
        "function": EXACT,
        "height": band(Decimal(5)),
        "floor_area": NULL,
    }
    assert entries["height"] == Entry(
        collection="building",
        property="height",
        listed=True,
        granted=True,
        mask=band(Decimal(5)),
        grant="massing",
        purposes=("heat-planning", "research"),
        max_lod=0,
        valid=FOUND.grants[0].valid,
        obligations=("attribution", "no-onward-sharing"),
        via=frozenset({"gw.alliance", "direct"}),
    )
    assert not entries["id"].listed


def test_what_is_listed_and_not_granted_is_there_by_name_alone() -> None:
    listed = [entry for entry in catalogue(FOUND, TSINGHUA, START) if not entry.granted]
    assert listed == [Entry("building", "energy_class", listed=True, granted=False)]


def test_a_stranger_sees_what_is_listed_and_nothing_of_others_grants() -> None:
    entries = catalogue(FOUND, STRANGER, START)
    assert [entry.property for entry in entries] == ["function", "height", "energy_class"]
    assert not any(entry.granted or entry.grant or entry.purposes or entry.mask for entry in entries)


def test_nobody_sees_another_ones_grant() -> None:
    assert {entry.grant for entry in catalogue(FOUND, RESEARCHER, START)} == {"districts", ""}
    assert {entry.grant for entry in catalogue(FOUND, TSINGHUA, START)} == {"massing", ""}


def test_one_collection_can_be_asked_for() -> None:
    assert {entry.collection for entry in catalogue(FOUND, RESEARCHER, START, "admin_unit")} == {"admin_unit"}
    assert catalogue(FOUND, RESEARCHER, START, "facility") == []
    assert catalogue(FOUND, RESEARCHER, START, "treasure") == []


def test_outside_of_its_validity_a_policy_tells_nothing() -> None:
    assert catalogue(FOUND, TSINGHUA, START - 1) == []
    assert catalogue(FOUND, TSINGHUA, END) == []


def test_a_grant_that_has_ended_is_not_there() -> None:
    massing = FOUND.grants[0].valid
    assert massing is not None
    assert not any(entry.granted for entry in catalogue(FOUND, TSINGHUA, massing[1]))
