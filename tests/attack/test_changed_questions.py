"""A gateway cannot ask for more than the partner signed, nor in its own name: the nodes refuse, the client sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cimfed.client.coverage import Word
from cimfed.errors import CimfedError
from cimfed.model.answer import Outcome
from cimfed.trust.keys import KeySigner
from cimfed.v1 import query_pb2
from cimfed_node.tables.admissions import decisions
from tests.attack import deeds
from tests.attack.conftest import Scene
from tests.attack.liar import Deed

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDENING: list[Callable[[query_pb2.Query], None]] = [
    deeds.drop_the_filter,
    deeds.ask_for_all_properties,
    deeds.choose_another_grant,
    deeds.ask_more_cities,
    deeds.name_another_purpose,
    deeds.let_it_live_longer,
    deeds.take_another_nonce,
    deeds.name_another_gateway,
]
NARROWINGS: dict[Deed, str] = {
    deeds.without_a_narrowing: "not_via",
    deeds.with_a_narrowing_that_it_did_not_sign: "bad_signature",
    deeds.with_a_narrowing_without_a_signature: "bad_signature",
    deeds.with_a_narrowing_of_another_query: "bad_signature",
    deeds.with_a_narrowing_in_another_gateways_name: "bad_signature",
    deeds.with_a_narrowing_that_passed_another_gateway: "not_via",
    deeds.with_its_narrowing_twice: "not_via",
}


def logged(scene: Scene) -> dict[str, int]:
    """Decisions in each node's log."""
    found = {}
    for name, node in scene.nodes.items():
        with node.control.reading() as connection:
            found[name] = len(decisions(connection))
    return found


async def all_refuse(scene: Scene, deed: Deed, reason: str) -> None:
    """Every node refuses before it decides anything; the client has the gateway's word for that and no rows."""
    before, counted = logged(scene), {name: node.service.unadmitted[reason] for name, node in scene.nodes.items()}
    scene.gateway.deed = deed
    async with scene.ask() as fed:
        answer = fed.read(
            "building",
            where="height > 10",
            properties=["id"],
            cities=["kz.almaty", "uz.tashkent"],
            purpose="research",
        )
        with pytest.raises(CimfedError) as caught:
            await answer.to_table()
        assert caught.value.reason == reason
        asked = [line for line in answer.coverage if line.asked]
        assert {(line.outcome, line.word, line.reason) for line in asked} == {
            (Outcome.UNREACHABLE, Word.GATEWAY, reason)
        }
    assert logged(scene) == before
    for line in asked:
        assert scene.nodes[line.city].service.unadmitted[reason] == counted[line.city] + 1


@pytest.mark.parametrize("change", WIDENING, ids=lambda change: change.__name__)
async def test_a_query_that_a_gateway_changes_is_refused_when_it_wants_to(
    scene: Scene, change: Callable[[query_pb2.Query], None]
) -> None:
    await all_refuse(scene, deeds.widening(change), "bad_signature")


async def test_a_gateway_that_asks_in_its_own_name_is_unknown(scene: Scene) -> None:
    await all_refuse(scene, deeds.as_signed_by(lambda liar: liar.signer), "unknown_key")


async def test_a_gateway_that_makes_a_key_of_its_own_is_unknown(scene: Scene) -> None:
    await all_refuse(scene, deeds.as_signed_by(lambda liar: KeySigner.generate()), "unknown_key")


async def test_a_query_without_a_signature_is_refused(scene: Scene) -> None:
    await all_refuse(scene, deeds.without_a_signature, "bad_signature")


async def test_a_query_under_another_payload_type_is_refused(scene: Scene) -> None:
    await all_refuse(scene, deeds.as_another_payload_type, "bad_signature")


@pytest.mark.parametrize(("deed", "reason"), NARROWINGS.items(), ids=[deed.__name__ for deed in NARROWINGS])
async def test_a_query_is_refused_that_a_gateway_presents(scene: Scene, deed: Deed, reason: str) -> None:
    await all_refuse(scene, deed, reason)


async def test_an_answer_to_an_accomplices_wider_question_is_not_taken_for_ones_own(scene: Scene) -> None:
    """The gateway holds another partner's key, and cities grant that partner more."""
    accomplice = scene.world.parties["inst.accomplice"].signer
    scene.gateway.deed = deeds.as_signed_by(lambda liar: accomplice)
    async with scene.ask() as fed:
        answer = fed.read("building", purpose="research")
        with pytest.raises(CimfedError, match="is of another request") as caught:
            await answer.to_table()
        assert caught.value.reason == "chain_broken"
