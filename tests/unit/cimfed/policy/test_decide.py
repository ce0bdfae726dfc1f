from __future__ import annotations

from dataclasses import replace

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import ChooseGrant, CimfedError, NotGranted, NotVia
from cimfed.model.names import GatewayName, gateway_name, partner_name
from cimfed.policy.decide import Decision, check_via, decide, shape_of, shapes
from cimfed.policy.grant import Grant, Policy, Subject, Subjects
from cimfed.query.expression import And, Comparison, IsNull, Not, Property
from tests.unit.cimfed.policy.documents import CENTRE, HEAD, grant, policy

START, END = policy(HEAD).valid
GATEWAY, OTHER = gateway_name("gw.alliance"), gateway_name("gw.other")
TSINGHUA = Subject(partner_name("inst.tsinghua"), "CN", frozenset({"researcher"}))
IITD = Subject(partner_name("inst.iitd"), "IN", frozenset({"researcher", "planner"}))


def ask(
    found: Policy,
    subject: Subject = TSINGHUA,
    purpose: str = "research",
    collection: str = "building",
    now: int = START,
    presenter: GatewayName | None = GATEWAY,
    named: str | None = None,
    passed: tuple[GatewayName, ...] = (),
) -> Decision:
    return decide(found, subject, purpose, collection, now, presenter, named, passed)


def two() -> Policy:
    """Two grants, ``one`` and ``two``, that both match Tsinghua's research on buildings."""
    small = grant("via: [gw.alliance]")
    return replace(small, grants=(small.grants[0], replace(small.grants[0], id="two", via=None)))


def test_one_matching_grant_answers() -> None:
    small = grant("obligations: [attribution]")
    decision = ask(small)
    assert decision.grant == small.grants[0]
    assert decision.shape == shape_of(small, small.grants[0])
    assert decision.shape.obligations == {"attribution"}


DENIED = {
    "an empty policy": lambda: ask(policy(HEAD)),
    "before the policy": lambda: ask(grant(), now=START - 1),
    "after the policy": lambda: ask(grant(), now=END),
    "before the grant": lambda: ask(grant("valid: [2026-02-01T00:00Z, 2026-03-01T00:00Z]")),
    "after the grant": lambda: ask(grant("valid: [2025-02-01T00:00Z, 2026-01-01T00:00Z]")),
    "a grant that outlives the policy": lambda: ask(grant("valid: [2026-02-01T00:00Z, 2030-01-01T00:00Z]"), now=END),
    "another organisation": lambda: ask(grant(), IITD),
    "another purpose": lambda: ask(grant(), purpose="marketing"),
    "part of a purpose": lambda: ask(grant(), purpose="researc"),
    "another collection": lambda: ask(grant(), collection="facility"),
    "a collection that is not": lambda: ask(grant(), collection="treasure"),
    "another country": lambda: ask(grant("subject: {org: [inst.tsinghua], country: [IN]}")),
    "another role": lambda: ask(grant("subject: {country: [CN], role: [planner]}")),
    "a grant that is not": lambda: ask(grant(), named="two"),
    "a grant for others": lambda: ask(two(), IITD, named="one"),
    "a grant with an empty name": lambda: ask(grant(), named=""),
}


@pytest.mark.parametrize("case", DENIED)
def test_whatever_is_not_granted_is_denied_in_the_same_words(case: str) -> None:
    with pytest.raises(NotGranted) as caught:
        DENIED[case]()
    with pytest.raises(NotGranted) as first:
        ask(policy(HEAD))
    assert str(caught.value) == str(first.value)


@pytest.mark.parametrize("now", [START, END - 1])
def test_validity_is_half_open(now: int) -> None:
    assert ask(grant(), now=now).grant.id == "one"


@pytest.mark.parametrize(
    ("subject", "means"),
    [
        ("{org: [inst.tsinghua, inst.iitd]}", True),
        ("{country: [IN, CN]}", True),
        ("{role: [planner, researcher]}", True),
        ("{org: [inst.tsinghua], country: [CN], role: [researcher]}", True),
        ("{org: [inst.tsinghua], country: [CN], role: [planner]}", False),
        ("{org: [inst.iitd], country: [CN]}", False),
    ],
)
def test_a_subject_is_an_and_of_its_keys_and_an_or_within_one(subject: str, means: bool) -> None:
    assert (TSINGHUA in grant(f"subject: {subject}").grants[0].subjects) is means


def test_subjects_without_any_key_mean_nobody() -> None:
    assert TSINGHUA not in Subjects()


def test_of_several_one_must_be_named() -> None:
    with pytest.raises(ChooseGrant) as caught:
        ask(two())
    assert "one, two" in caught.value.message
    assert ask(two(), named="one").grant.id == "one"
    assert ask(two(), named="two").grant.id == "two"


def test_choosing_names_only_grants_that_match() -> None:
    hidden = replace(two().grants[0], id="hidden", subjects=Subjects(org=frozenset({IITD.org})))
    found = two()
    with pytest.raises(ChooseGrant) as caught:
        ask(replace(found, grants=(*found.grants, hidden)))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("via", "presenter", "passed", "may"),
    [
        (None, GATEWAY, (), True),
        (None, None, (), True),
        ("[gw.alliance]", GATEWAY, (), True),
        ("[gw.alliance]", OTHER, (), False),
        ("[gw.alliance]", None, (), False),
        ("[direct]", None, (), True),
        ("[direct]", GATEWAY, (), False),
        ("[direct, gw.alliance]", GATEWAY, (), True),
        ("[gw.alliance]", GATEWAY, (OTHER,), False),
        ("[gw.alliance, gw.other]", GATEWAY, (OTHER,), True),
    ],
)
def test_via_lets_the_answer_pass_only_where_all_are_named(
    via: str | None, presenter: GatewayName | None, passed: tuple[GatewayName, ...], may: bool
) -> None:
    small = grant(*([f"via: {via}"] if via else []))
    if may:
        assert ask(small, presenter=presenter, passed=passed).grant.id == "one"
        return
    with pytest.raises(NotVia):
        ask(small, presenter=presenter, passed=passed)
    with pytest.raises(NotVia):
        check_via(shape_of(small, small.grants[0]), presenter, passed)


def test_via_is_looked_at_only_by_those_who_are_granted_something() -> None:
    with pytest.raises(NotGranted):
        ask(grant("via: [direct]"), IITD)


def test_a_shape_stays_within_the_declared_extent_and_the_policys_validity() -> None:
    text = HEAD + "declared: {building: {extent: [76.7, 43.1, 77.1, 43.4]}}\n"
    small = replace(
        grant("area: {within: areas/centre.geojson}", "valid: [2025-01-01T00:00Z, 2026-03-01T00:00Z]"),
        declared=policy(text).declared,
    )
    ((name, shape),) = shapes(small)
    assert name == "one"
    drawn = [shapely.from_wkb(area) for area in shape.areas]
    assert any(shapely.equals(area, shapely.Polygon(CENTRE["coordinates"][0])) for area in drawn)
    assert any(shapely.equals(area, shapely.box(76.7, 43.1, 77.1, 43.4)) for area in drawn)
    assert shape.valid == (START, small.grants[0].valid[1] if small.grants[0].valid else 0)


def test_conditions_joined_by_and_are_taken_apart() -> None:
    one = grant("rows: height > 3 AND (function IS NULL AND NOT height > 9)")
    other = grant("rows: (NOT height > 9) AND height > 3 AND function IS NULL")
    first, second = (shape_of(small, small.grants[0]) for small in (one, other))
    assert first == second
    assert {type(row) for row in first.rows} == {Comparison, IsNull, Not}
    assert not any(isinstance(row, And) for row in first.rows)
    assert IsNull(Property("function")) in first.rows


# Laws


subjects = st.builds(
    Subjects,
    org=st.frozensets(st.sampled_from([TSINGHUA.org, IITD.org])),
    country=st.frozensets(st.sampled_from(["CN", "IN"])),
    role=st.frozensets(st.sampled_from(["researcher", "planner"])),
)
grants = st.builds(
    lambda subjects, purposes, valid: replace(grant().grants[0], subjects=subjects, purposes=purposes, valid=valid),
    subjects,
    st.frozensets(st.sampled_from(["research", "planning"]), min_size=1),
    st.none() | st.sampled_from([(START - 10, START + 10), (START + 5, END + 5)]),
)
policies = st.lists(grants, max_size=4).map(
    lambda found: replace(policy(HEAD), grants=tuple(replace(one, id=f"g{index}") for index, one in enumerate(found)))
)


def outcome(found: Policy, subject: Subject, named: str | None, now: int) -> tuple[str, str]:
    try:
        return "granted", ask(found, subject, named=named, now=now).grant.id
    except CimfedError as error:
        return error.reason, str(error)


@given(policies, grants, st.sampled_from([TSINGHUA, IITD]), st.integers(0, 4), st.sampled_from([START, END - 1]))
def test_adding_a_grant_never_changes_a_query_that_names_another(
    before: Policy, added: Grant, subject: Subject, index: int, now: int
) -> None:
    after = replace(before, grants=(*before.grants, replace(added, id="added")))
    assert outcome(before, subject, f"g{index}", now) == outcome(after, subject, f"g{index}", now)


@given(policies, st.sampled_from([TSINGHUA, IITD]), st.sampled_from([START - 1, START, END - 1, END]))
def test_only_a_grant_that_says_so_gives_anything(found: Policy, subject: Subject, now: int) -> None:
    matching = [
        one.id
        for one in found.grants
        if START <= now < END
        and "research" in one.purposes
        and (not one.subjects.org or subject.org in one.subjects.org)
        and (not one.subjects.country or subject.country in one.subjects.country)
        and (not one.subjects.role or one.subjects.role & subject.roles)
        and (one.subjects.org or one.subjects.country or one.subjects.role)
        and (one.valid is None or one.valid[0] <= now < one.valid[1])
    ]
    reason, text = outcome(found, subject, None, now)
    if not matching:
        assert reason == "not_granted"
    elif len(matching) == 1:
        assert (reason, text) == ("granted", matching[0])
    else:
        assert reason == "choose_grant"
        assert ", ".join(matching) in text
