"""A query is answered once by each city, in its time, and from nobody's hands but those that it names."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from cimfed.client.coverage import Word
from cimfed.errors import CimfedError, ExpiredQuery, Replayed
from cimfed.model.answer import Narrowing, Outcome
from cimfed.rpc.authorisation import READ
from cimfed.rpc.channel import ChannelPool
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.tls import Use
from cimfed.v1 import query_service_pb2
from cimfed.wire import answers, envelopes
from tests.attack.conftest import CITIES, ROWS, Scene
from tests.attack.liar import Liar, Told
from tests.federation.world import SECOND
from tests.oracle.wire.streams import City, read_frame

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def asked_once(scene: Scene, **how: Any) -> bytes:
    """A partner's question, answered; gives the request as the gateway sent it to the cities."""
    async with scene.ask() as fed:
        table = await fed.read("building", purpose="research", **how).to_table()
        assert table.num_rows
    return scene.gateway.requests[-1]


async def present(scene: Scene, city: str, request: bytes, channels: Any = None) -> City:
    """The city's answer to a request that is presented by hand, verified by docs/wire.md alone."""
    payload = query_service_pb2.Ask.FromString(request).query.payload
    keys = [key.raw for key in scene.world.directory.member(city).keys]
    answer = City(city, keys, hashlib.sha256(payload).digest(), "sco", "building")
    async for data in (channels or scene.gateway.channels).stream(city, READ, request, 30):
        answer.take(read_frame(data))
    answer.finish()
    return answer


def verdict(answer: City) -> tuple[str, str, int]:
    assert answer.manifest is not None
    return answer.manifest["outcome"], answer.manifest["reason"], answer.rows


@asynccontextmanager
async def the_other_gateway(scene: Scene) -> Any:
    """gw.other's channels, and what it makes of a partner's request: the same query under a narrowing of its own."""
    party = scene.world.parties["gw.other"]
    pool = ChannelPool(scene.world, party.leaves[Use.CLIENT], scene.world.clock)

    def presented(request: bytes) -> bytes:
        query, _ = envelopes.decode_ask(request)
        value = Narrowing(query.payload_hash, party.name)  # type: ignore[arg-type]
        narrowing = seal(PayloadType.NARROWING, answers.encode_narrowing(value), party.signer)
        return envelopes.encode_ask(query, (narrowing,))

    try:
        yield pool, presented
    finally:
        await pool.close()


@pytest.mark.parametrize("city", CITIES)
async def test_a_city_answers_a_query_once(scene: Scene, city: str) -> None:
    request = await asked_once(scene)
    assert verdict(await present(scene, city, request)) == ("refused", "replayed", 0)
    scene.world.clock.offset = 20 * SECOND
    assert verdict(await present(scene, city, request)) == ("refused", "replayed", 0)


async def test_a_gateway_that_asks_twice_and_passes_the_second_answer_on_shows_itself(scene: Scene) -> None:
    scene.gateway.times = 2
    async with scene.ask() as fed:
        answer = fed.read("building", purpose="research")
        with pytest.raises(Replayed):
            await answer.to_table()
        assert {(line.outcome, line.word, line.reason) for line in answer.coverage} == {
            (Outcome.REFUSED, Word.CITY, "replayed")
        }


async def test_a_query_is_not_presented_through_a_gateway_that_it_does_not_name(scene: Scene) -> None:
    request = await asked_once(scene, where="height > 1")
    async with the_other_gateway(scene) as (pool, presented):
        for city in CITIES:
            with pytest.raises(CimfedError) as caught:
                await present(scene, city, presented(request), pool)
            assert caught.value.reason == "not_via"


async def test_a_gateways_narrowing_is_of_no_use_to_another(scene: Scene) -> None:
    request = await asked_once(scene, where="height > 2")
    async with the_other_gateway(scene) as (pool, _):
        with pytest.raises(CimfedError) as caught:
            await present(scene, "kz.almaty", request, pool)
        assert caught.value.reason == "not_via"


async def test_a_query_is_not_presented_to_a_city_that_it_does_not_address(scene: Scene) -> None:
    request = await asked_once(scene, cities=["kz.almaty"])
    assert verdict(await present(scene, "uz.tashkent", request)) == ("refused", "not_addressed", 0)


async def test_a_query_that_a_gateway_holds_back_until_it_has_expired_is_refused_by_the_cities(scene: Scene) -> None:
    def hold_back(liar: Liar, asked: Any, narrowing: Any) -> Any:
        scene.world.clock.offset = 11 * 60 * SECOND
        return asked.envelope, (narrowing,)

    def pretend(told: Told, liar: Liar) -> None:
        scene.world.clock.offset = 0
        assert told.coverage is not None
        told.coverage = replace(told.coverage, now=liar.now())

    scene.gateway.deed, scene.gateway.trick = hold_back, pretend
    async with scene.ask() as fed:
        answer = fed.read("building", purpose="research")
        with pytest.raises(ExpiredQuery):
            await answer.to_table()
        assert {(line.outcome, line.word) for line in answer.coverage} == {(Outcome.REFUSED, Word.CITY)}


async def test_a_query_that_is_presented_after_its_time_is_expired_and_leaves_no_trace(scene: Scene) -> None:
    request = await asked_once(scene, cities=["kz.almaty"])
    scene.world.clock.offset = 11 * 60 * SECOND
    assert verdict(await present(scene, "kz.almaty", request))[1] == "expired_query"
    scene.world.clock.offset = 0
    assert (await asked_all(scene)) == len(CITIES) * ROWS


async def asked_all(scene: Scene) -> int:
    """That nothing of this stays: the next question is answered."""
    async with scene.ask() as fed:
        return (await fed.read("building", purpose="research", require="all").to_table()).num_rows
