"""What a newcomer does wrong in Python: told before anything is asked, with the place and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cimfed
from cimfed.client.federation import Federation
from cimfed.client.profile import Profile, read_profile, write_profile
from cimfed.errors import BadConfig, BadQuery, NodeUnreachable, NotFound
from cimfed.model.names import gateway_name
from cimfed.trust.directory.follow import pin
from cimfed.trust.identity_files import make_identity
from tests.unit.cimfed.client.test_answer import went_down
from tests.unit.cimfed.client.world import (
    ALMATY,
    GATEWAY,
    NOW,
    PARTNER,
    QINGDAO,
    SCO,
    TASHKENT,
    Line,
    World,
    asker,
    connect,
    connect_async,
    line_of,
)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"where": 5}, "where"),
        ({"where": ["height > 5"]}, "where"),
        ({"where": {}}, "where"),
        ({"where": False}, "where"),
        ({"grants": ["massing"]}, "grants"),
        ({"grants": f"{ALMATY}=massing"}, "grants"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"cities": [5]}, "cities"),
        ({"cities": []}, "cities"),
        ({"require": 0}, "require"),
        ({"require": -1}, "require"),
        ({"require": True}, "require"),
        ({"require": 2.5}, "require"),
        ({"require": 4}, "require"),
        ({"require": 2, "cities": [ALMATY]}, "require"),
        ({"cities": [ALMATY], "grants": {QINGDAO: "massing"}}, "grants"),
    ],
)
def test_a_wrong_argument_is_a_bad_query_with_its_place(wrong: dict[str, Any], place: str) -> None:
    world = World()
    line = line_of(world)
    with Federation(asker(world, line)) as fed, pytest.raises(BadQuery) as caught:
        fed.read("building", **{"purpose": "research", **wrong}).to_table()
    assert caught.value.place == place
    assert line.asked == []


@pytest.mark.parametrize("wrong", [{"cities": ["kz.almati"]}, {"grants": {"kz.almati": "massing"}}])
def test_a_city_that_is_not_listed_is_not_found_and_a_close_one_is_named(wrong: dict[str, Any]) -> None:
    world = World()
    line = line_of(world)
    with Federation(asker(world, line)) as fed:
        with pytest.raises(NotFound, match=r"Did you mean kz\.almaty\?") as caught:
            fed.read("building", purpose="research", **wrong).to_table()
        assert "kz.almati" in caught.value.message
        assert line.asked == []
        with pytest.raises(NotFound) as caught:
            fed.catalog(cities=["fr.paris"]).to_table()
        assert caught.value.remedy is None


def test_a_city_that_was_admitted_after_the_first_question_is_found() -> None:
    world = World()
    old = world.publish(without=ALMATY)
    line = line_of(world)
    line.mirrored = old
    with Federation(asker(world, line, known=old)) as fed:
        fed.read("building", purpose="research", cities=[QINGDAO]).to_table()
        line.mirrored = world.publish()
        assert fed.read("building", purpose="research", cities=[ALMATY]).to_table().num_rows == 40


def test_a_city_asked_directly_is_the_only_one_to_require_or_name() -> None:
    world = World()
    for wrong in ({"require": 2}, {"grants": {QINGDAO: "massing"}}):
        line = line_of(world)
        with Federation(asker(world, line, source=ALMATY)) as fed, pytest.raises(BadQuery):
            fed.read("building", purpose="research", **wrong).to_table()  # type: ignore[arg-type]
        assert line.asked == []
    with Federation(asker(world, line_of(world), source="kz.astana")) as fed, pytest.raises(NotFound):
        fed.read("building", purpose="research").to_table()


def test_a_gateway_that_cannot_be_reached_may_not_know_who_asks_yet() -> None:
    world = World()
    line = Line(lambda request: [], world.directory, error=NodeUnreachable("gw.alliance cannot be reached"))
    with Federation(asker(world, line)) as fed, pytest.raises(NodeUnreachable, match=r"does not list yet.*clock"):
        fed.read("building", purpose="research").to_table()


def test_a_catalogue_can_be_had_of_one_purpose() -> None:
    from tests.unit.cimfed.cli.test_asking import _catalogue

    world = World()
    for city in world.cities.values():
        city.batches = [_catalogue(city.name)]
    with connect(world) as fed:
        of = {
            purpose: fed.catalog(purpose=purpose).to_table()["property"].to_pylist()
            for purpose in (None, "teaching", "heat-planning")
        }
        batches = [batch.num_rows for batch in fed.catalog(purpose="heat-planning")]
    assert of[None] == of["teaching"] == ["id", "height", "volume"] * 3
    assert of["heat-planning"] == ["volume"] * 3  # listed for everyone
    assert batches == [1, 1, 1]


def test_answers_tell_what_they_are() -> None:
    with connect(World(), went_down(ALMATY)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research")
        assert repr(answer) == "<Answer of read building: nothing is asked yet>"
        answer.to_table()
        assert repr(answer) == "<Answer of read building: 2 cities answered, 1 missing; see .coverage>"
        assert repr(fed.catalog()) == "<Answer of catalog: nothing is asked yet>"
        stopped = fed.read("building", purpose="research", cities=[TASHKENT])
        stopped.close()
        assert "read in part" in repr(stopped)
    assert repr(connect_async(World()).aggregate("building", purpose="research")).startswith(
        "<AsyncAnswer of aggregate"
    )


def test_public_names_are_shown_and_there() -> None:
    assert set(cimfed.__all__) <= set(dir(cimfed))
    for name in cimfed.__all__:
        assert getattr(cimfed, name) is not None


def test_a_receipt_is_checked_from_the_root_that_a_profile_pins(tmp_path: Path) -> None:
    world = World()
    with connect(world) as fed:
        answer = fed.read("building", purpose="research")
        answer.to_table()
    profile = Profile(tmp_path, PARTNER, SCO, "dir.example:5000", GATEWAY)
    pin(profile.directory, world.root)
    assert cimfed.verify_receipt(answer.receipt, profile.root).coverage.rows == 62


def test_the_only_profile_needs_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMFED_HOME", str(tmp_path))
    with pytest.raises(NotFound, match="cimfed profile new"):
        cimfed.connect()
    for name in ("one", "two"):
        make_identity(tmp_path / name, PARTNER, SCO, NOW)
        profile = Profile(tmp_path / name, PARTNER, SCO, "dir.example:5000", gateway_name(f"gw.{name}"))
        write_profile(profile)
        pin(profile.directory, World().root)
        if name == "one":
            with cimfed.connect() as fed:
                assert fed.source == "gw.one"
    with pytest.raises(BadConfig, match="one, two"):
        cimfed.connect()
    assert read_profile("two").gateway == "gw.two"
    with pytest.raises(NotFound, match="Those that are here: one, two"):
        cimfed.connect("three")
    monkeypatch.setenv("CIMFED_PROFILE", "two")
    with cimfed.connect() as fed:
        assert fed.source == "gw.two"
