"""Requests for access as they are typed, against a real directory service behind real TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Running, serving

ASK = ("cimfed", "access", "request", "--collection", "building", "--purpose", "energy-planning")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        running.join_gateway()
        running.join_city("kz.almaty")
        running.join_city("uz.tashkent")
        running.join_partner("inst.iitd")
        yield running


def seen(service: Running, *more: object) -> list[tuple[str, list[str], str]]:
    found = service.ok("cimfed", "access", "list", "--json", *more).json["requests"]
    return [(item["partner"], item["cities"], item["text"]) for item in found]


def test_a_registrar_sees_every_request_and_a_steward_those_of_its_city(service: Running) -> None:
    both = ("--city", "uz.tashkent", "--city", "kz.almaty")
    service.ok(*ASK, *both, "--text", "Roof areas\nof both")
    service.ok(*ASK, "--city", "kz.almaty", "--text", "Heights", "--json")
    one = ("inst.iitd", ["kz.almaty"], "Heights")
    two = ("inst.iitd", ["kz.almaty", "uz.tashkent"], "Roof areas\nof both")
    assert seen(service) == [one, two]
    assert seen(service, "--city", "uz.tashkent") == [two]
    tashkent = service.folder / "uz.tashkent.steward.key"
    assert seen(service, "--city", "uz.tashkent", "--key", tashkent) == [two]
    assert service.refused("cimfed", "access", "list", "--city", "kz.almaty", "--key", tashkent) == "bad_signature"
    assert service.refused("cimfed", "access", "list", "--key", tashkent) == "bad_signature"
    assert "Roof areas" in service.ok("cimfed", "access", "list").out


def test_nothing_is_sent_in_a_dry_run_or_to_a_city_that_is_not_listed(service: Running) -> None:
    assert service.ok(*ASK, "--city", "kz.almaty", "--text", "x", "--dry-run", "--json").json["changed"] is False
    assert service.refused(*ASK, "--city", "kz.astana", "--text", "x") == "not_found"
    assert service.refused(*ASK, "--city", "kz.almaty", "--text", "x" * 3000) == "too_large"
    said = service.run(*ASK[:3], "--collection", "bilding", *ASK[5:], "--city", "kz.almaty", "--text", "x")
    assert (said.code, "Did you mean building?" in said.err) == (2, True)
    assert seen(service) == []


def test_a_request_of_a_partner_that_is_listed_no_more_is_left_out_and_told(service: Running) -> None:
    service.ok(*ASK, "--city", "kz.almaty", "--text", "x")
    service.ok("cimfed", "partner", "remove", "inst.iitd", "--reason", "x", "--yes")
    said = service.ok("cimfed", "access", "list", "--json").json
    assert said["requests"] == []
    assert "1 requests are left out" in said["notes"][0]
