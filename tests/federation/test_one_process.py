"""Two cities, a gateway and a client in one process: the shortest way through everything."""

from __future__ import annotations

from decimal import Decimal

import cimfed
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
