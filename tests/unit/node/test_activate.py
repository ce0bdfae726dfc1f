"""What may come into force, and that everything else leaves what is in force alone."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cimfed.errors import BadPolicy, BadSignature, CimfedError, Conflict, NotFound
from cimfed.trust.directory.listing import Listing
from cimfed.trust.envelope import PayloadType, from_json, seal, to_json
from cimfed.trust.keys import KeySigner
from cimfed_node import activate
from cimfed_node.activate import GrantReport, Report
from cimfed_node.tables.admissions import take_slot
from cimfed_node.tables.publication import (
    ActivePolicy,
    active_grants,
    active_policy,
    current_snapshots,
    granted_view,
    views,
)
from tests.federation.world import City, World, buildings, write_snapshot

CITY = "kz.almaty"
GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
    geometry: {max_lod: 0}
  - id: plants
    subject: {country: [CN]}
    purpose: [research]
    collection: facility
    columns: {id: exact}
"""
ROWS = [{"height": Decimal(number), "at": (76.9, 43.2)} for number in range(4)]


@pytest.fixture
def city(tmp_path: Path) -> City:
    return World(tmp_path).add_city(CITY)


def in_force(city: City) -> tuple[ActivePolicy | None, dict[str, str]]:
    """The policy, and each grant's view."""
    with city.control() as control, control.reading() as connection:
        return active_policy(connection), {item.grant: item.view for item in active_grants(connection)}


def files(city: City) -> set[str]:
    return {path.name for path in city.home.views.iterdir()}


def refused(city: City, content: bytes) -> CimfedError:
    """Refused, and everything as it was."""
    before = in_force(city), files(city)
    with pytest.raises(CimfedError) as error:
        city.put_in_force(content)
    assert (in_force(city), files(city)) == before
    return error.value


def test_a_policy_comes_into_force_with_its_views(city: City) -> None:
    city.adopt(buildings(CITY, ROWS))
    report = city.put_in_force(city.sign(GRANTS))
    assert report == Report(
        1, True, (GrantReport("massing", "building", 4, 4), GrantReport("plants", "facility", None, None))
    )
    policy, grants = in_force(city)
    assert policy is not None
    assert policy.version == 1
    assert grants["plants"] == ""
    with city.control() as control, control.reading() as connection:
        found = granted_view(connection, 1, "massing", city.home.place)
        assert found is not None
        assert found[1] is not None
        assert found[1].rows == 4
        assert Path(found[1].source).parent == city.home.views
    assert city.home.policy_file(1).exists()


def test_the_same_again_changes_nothing(city: City) -> None:
    content = city.sign(GRANTS)
    assert city.put_in_force(content).changed
    before = in_force(city)
    assert not city.put_in_force(content).changed
    assert in_force(city) == before


def test_the_same_again_builds_what_is_missing(city: City) -> None:
    city.adopt(buildings(CITY, ROWS))
    content = city.sign(GRANTS)
    city.put_in_force(content)
    before = files(city)
    for path in city.home.views.iterdir():
        path.unlink()
    assert not city.put_in_force(content).changed
    assert files(city) == before


def test_only_a_pinned_steward_signs(city: City) -> None:
    city.adopt(buildings(CITY, ROWS))
    city.put_in_force(city.sign(GRANTS))
    envelope = from_json(city.sign(GRANTS), 1 << 20)
    other = KeySigner.generate()
    unsigned = json.loads(to_json(envelope))
    unsigned["signatures"] = []
    for content in (
        to_json(seal(PayloadType.POLICY, envelope.payload, other)),
        to_json(seal(PayloadType.ROUTING, envelope.payload, city.steward)),
        to_json(envelope).replace(b"+json", b"+jsom"),
        json.dumps(unsigned).encode(),
        b"not a policy",
    ):
        assert isinstance(refused(city, content), BadSignature)
    # A steward that only the directory lists is none: the node's own pin counts.
    world = city.world
    listed = world.listing.members[city.name]
    world.publish(Listing({city.name: replace(listed, stewards=(other.public,))}))
    assert isinstance(refused(city, to_json(seal(PayloadType.POLICY, envelope.payload, other))), BadSignature)


def test_versions_only_rise(city: City) -> None:
    city.put_in_force(city.sign(GRANTS, version=5))
    for version in (4, 5):
        error = refused(city, city.sign(GRANTS.replace("research", "teaching"), version=version))
        assert isinstance(error, Conflict)
        assert "5" in error.message
    city.put_in_force(city.sign(GRANTS, version=7))
    assert isinstance(refused(city, city.sign(GRANTS, version=6)), Conflict)


def test_a_policy_that_is_over_is_refused_and_one_to_come_is_noted(city: City) -> None:
    over = city.sign(GRANTS, valid="[2020-01-01T00:00Z, 2021-01-01T00:00Z]")
    assert isinstance(refused(city, over), BadPolicy)
    report = city.put_in_force(city.sign(GRANTS, valid="[2080-01-01T00:00Z, 2090-01-01T00:00Z]"))
    assert "2080-01-01" in report.notes[0]


def test_the_policy_of_another_city_is_refused(city: City) -> None:
    other = city.world.add_city("uz.tashkent")
    other.steward = city.steward  # even if one steward signs for both
    assert isinstance(refused(city, other.sign(GRANTS)), BadPolicy)


def test_a_build_that_fails_leaves_the_old_policy_in_force(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    city.adopt(buildings(CITY, ROWS))
    city.put_in_force(city.sign(GRANTS))
    snapshot = next(city.home.snapshots.iterdir())
    damaged = snapshot / "building.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(b"no parquet")
    refused(city, city.sign(GRANTS.replace("height: exact", "height: {band: 5}")))
    damaged.write_bytes(content)


@pytest.mark.parametrize("step", ["put_policy", "put_grants", "drop_views"])
def test_a_crash_before_the_end_leaves_before(city: City, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    city.adopt(buildings(CITY, ROWS))
    city.put_in_force(city.sign(GRANTS))
    before, old = in_force(city), files(city)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    content = city.sign(GRANTS.replace("height: exact", "height: {band: 5}"))
    with monkeypatch.context() as patch:
        patch.setattr(activate, step, crash)
        with pytest.raises(KeyboardInterrupt):
            city.put_in_force(content)
    assert in_force(city) == before
    assert old < files(city)  # the views that were built are there, and nobody's
    city.put_in_force(city.sign(GRANTS, version=9))
    assert files(city) == old


def test_one_operator_at_a_time(city: City) -> None:
    handle = os.open(city.home.path / "operator.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        error = refused(city, city.sign(GRANTS))
        assert isinstance(error, Conflict)
    finally:
        os.close(handle)
    city.put_in_force(city.sign(GRANTS))


# Snapshots


def test_a_snapshot_comes_with_the_active_policys_views(city: City) -> None:
    city.adopt(buildings(CITY, ROWS))
    city.put_in_force(city.sign(GRANTS))
    _, before = in_force(city)
    snapshot = write_snapshot(city.home, buildings(CITY, ROWS[:2]))
    with city.control() as control:
        report = city.publisher(control).adopt(snapshot)
    assert report.grants[0] == GrantReport("massing", "building", 2, 2)
    policy, after = in_force(city)
    assert policy is not None
    assert policy.version == 1
    assert after["massing"] != before["massing"]
    with city.control() as control, control.reading() as connection:
        entry = current_snapshots(connection)["building"]
        assert (entry.id, entry.rows, entry.operation, entry.vertical) == (
            snapshot.id,
            2,
            "a null transform",
            "Baltic 1977 height",
        )
        assert entry.extent == pytest.approx((76.9, 43.2, 76.901, 43.201))


def test_a_snapshot_without_a_policy_is_given_to_nobody(city: City) -> None:
    with city.control() as control:
        report = city.publisher(control).adopt(write_snapshot(city.home, buildings(CITY, ROWS)))
    assert report.version == 0
    assert "no policy" in report.notes[0]


def test_a_snapshot_is_not_taken_while_the_active_policy_is_missing(city: City) -> None:
    city.put_in_force(city.sign(GRANTS))
    city.home.policy_file(1).unlink()
    with pytest.raises(NotFound):
        city.adopt(buildings(CITY, ROWS))
    with city.control() as control, control.reading() as connection:
        assert current_snapshots(connection) == {}


def test_old_views_go_unless_an_answer_reads_them(city: City) -> None:
    city.adopt(buildings(CITY, ROWS))
    city.put_in_force(city.sign(GRANTS))
    first = in_force(city)[1]["massing"]
    with city.control() as control, control.writing() as connection:
        take_slot(connection, 1, "inst.x", first, city.world.clock() + 60_000_000)
    city.adopt(buildings(CITY, ROWS[:2]))
    second = in_force(city)[1]["massing"]
    assert {name.partition(".")[0] for name in files(city)} == {first, second}
    with city.control() as control, control.writing() as connection:
        connection.exec_driver_sql("DELETE FROM slot")
    city.adopt(buildings(CITY, ROWS[:1]))
    third = in_force(city)[1]["massing"]
    assert {name.partition(".")[0] for name in files(city)} == {third}
    with city.control() as control, control.reading() as connection:
        assert set(views(connection, city.home.place)) == {third}


@pytest.fixture(autouse=True)
def _no_leftovers(city: City) -> Iterator[None]:
    yield
    assert list(city.home.scratch.iterdir()) == []
    assert not [name for name in files(city) if name.startswith(".")]
