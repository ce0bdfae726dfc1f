"""Two cities, a gateway and a client in one process: the shortest way through everything."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import cimfed
from cimfed.errors import NodeUnreachable
from tests.federation.world import World, buildings

GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
"""


async def test_a_question_to_two_cities_is_answered_by_both(world: World) -> None:
    world.add_gateway()
    world.add_partner()
    heights = {"kz.almaty": [3, 12, 40], "uz.tashkent": [9, 21]}
    for name, metres in heights.items():
        city = world.add_city(name)
        city.adopt(buildings(name, [{"height": Decimal(height)} for height in metres]))
        city.activate(GRANTS)
    async with (
        world.node("kz.almaty"),
        world.node("uz.tashkent"),
        world.gateway(),
        cimfed.connect_async(str(world.profile())) as fed,
    ):
        answer = fed.read("building", where="height > 10", purpose="research")
        table = await answer.to_table()
        assert sorted(zip(table["city"].to_pylist(), table["height"].to_pylist(), strict=True)) == [
            ("kz.almaty", Decimal(12)),
            ("kz.almaty", Decimal(40)),
            ("uz.tashkent", Decimal(21)),
        ]
        assert {str(item.outcome) for item in answer.coverage.cities} == {"answered"}


async def test_who_was_revoked_is_told_so_by_its_own_directory(world: World) -> None:
    """Servers take no connection of a stranger, so they say nothing."""
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.activate(GRANTS)
    async with world.node("kz.almaty"), world.gateway():
        world.board.revoke("inst.tsinghua", "left", world.clock())
        async with cimfed.connect_async(str(world.profile())) as fed:
            with pytest.raises(NodeUnreachable) as turned:
                await fed.read("building", purpose="research").to_table()
    assert "this access key was revoked" in str(turned.value)


async def test_what_is_made_of_coarsened_values_says_so(world: World) -> None:
    """A measure, a group and a filter see what the view holds; that it is not exact stands in the coverage."""
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.adopt(buildings("kz.almaty", [{"height": Decimal(height), "year_built": 1987} for height in (3, 12, 14)]))
    city.activate(GRANTS.replace("height: exact", "height: {band: 5}, year_built: {band: 10}"))
    async with world.node("kz.almaty"), world.gateway(), cimfed.connect_async(str(world.profile())) as fed:
        mean = fed.aggregate("building", ["mean:height"], purpose="research")
        assert (await mean.to_table()).to_pylist() == [{"mean_height": 20 / 3}]
        assert mean.coverage["kz.almaty"].masks == {"height": "band(5)"}
        said = (await mean.to_table()).schema.field("mean_height").metadata[b"cimfed:masks"]
        assert json.loads(said) == {"kz.almaty": "band(5)"}
        by_year = fed.aggregate("building", ["count"], by=["year_built"], where="height > 1", purpose="research")
        assert (await by_year.to_table()).to_pylist() == [{"year_built": 1980, "count": 2}]
        assert by_year.coverage["kz.almaty"].masks == {"height": "band(5)", "year_built": "band(10)"}
        tall = fed.read("building", where="height > 9", properties=["id"], purpose="research")
        assert sorted((await tall.to_table())["id"].to_pylist()) == ["b1", "b2"]
        assert tall.coverage["kz.almaty"].masks == {"height": "band(5)"}
        exact = fed.aggregate("building", ["count"], purpose="research")
        await exact.to_table()
        assert exact.coverage["kz.almaty"].masks == {}


async def test_a_catalogue_tells_a_gateway_no_numbers_that_may_not_go_its_way(world: World) -> None:
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.adopt(buildings("kz.almaty", [{}] * 7))
    city.activate(GRANTS.rstrip() + "\n    via: [direct]\n" + GRANTS.replace("massing", "open"))
    async with world.node("kz.almaty"), world.gateway(), cimfed.connect_async(str(world.profile())) as fed:
        catalogue = await fed.catalog().to_table()
    rows = dict(zip(catalogue["grant"].to_pylist(), catalogue["rows"].to_pylist(), strict=True))
    assert rows == {"massing": None, "open": 7}
