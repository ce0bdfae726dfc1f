"""A node whose key is on a token: it answers, refuses everything while the token is away, and recovers alone."""

from __future__ import annotations

from decimal import Decimal

import pytest

import cimfed
from cimfed.errors import KeyUnavailable
from cimfed.trust.token import signer
from cimfed.trust.token.make import make_token_key
from cimfed_node.serve import Keys
from tests.federation.world import World, buildings
from tests.tokens import PIN, Soft

GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
"""


async def test_a_node_answers_with_its_token_and_nothing_without(
    world: World, token: Soft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer, "PAUSE", 0.0)
    pin = world.folder / "pin"
    pin.touch(0o600)
    pin.write_bytes(PIN)
    key = token.key("node", pin_source=pin)
    made = make_token_key(key, PIN)
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty", key)
    city.adopt(buildings("kz.almaty", [{"height": Decimal(3)}]))
    city.activate(GRANTS)
    keys: list[Keys] = []
    load = Keys.load.__func__  # type: ignore[attr-defined]

    def kept(cls: type[Keys], home: object) -> Keys:
        keys.append(load(cls, home))
        return keys[-1]

    monkeypatch.setattr(Keys, "load", classmethod(kept))
    try:
        async with (
            world.node("kz.almaty") as node,
            world.gateway(),
            cimfed.connect_async(str(world.profile())) as fed,
        ):
            assert keys[0].signer.public == made

            async def rows() -> int:
                return (await fed.read("building", purpose="research").to_table()).num_rows

            assert await rows() == 1
            token.take_away()
            for _ in range(2):
                with pytest.raises(KeyUnavailable) as caught:
                    await rows()
                assert "pkcs11" not in str(caught.value)
            assert not node.service.running
            token.bring_back()
            assert await rows() == 1
    finally:
        for made_keys in keys:
            made_keys.signer.close()
