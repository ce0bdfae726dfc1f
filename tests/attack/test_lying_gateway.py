"""A listed gateway that lies about the answers that it passes on is caught, or what it says is marked as its word."""

from __future__ import annotations

import pytest

from cimfed.client.answer import AsyncAnswer
from cimfed.client.coverage import Word
from cimfed.errors import CimfedError, CoverageMismatch, NotEnough
from cimfed.model.answer import Outcome
from tests.attack import tricks
from tests.attack.conftest import CITIES, ROWS, Scene
from tests.attack.liar import Trick

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAIN, FORGED, TRUNCATED, COVERAGE = "chain_broken", "forged", "truncated", "coverage_mismatch"
CAUGHT: dict[Trick, tuple[str, str]] = {
    tricks.change_one_byte: (CHAIN, r"kz\.almaty: the batches are not those that its manifest signs"),
    tricks.drop_a_batch: (CHAIN, r"kz\.almaty: batch 3 came where batch 2 was due"),
    tricks.drop_a_batch_and_close_the_gap: (CHAIN, r"kz\.almaty: its manifest counts \d batches, \d came"),
    tricks.drop_the_last_batch: (CHAIN, r"kz\.almaty: its manifest counts \d batches"),
    tricks.double_a_batch: (CHAIN, r"kz\.almaty: batch 2 came where batch 3 was due"),
    tricks.double_a_batch_and_count_on: (CHAIN, r"kz\.almaty: a head is of 1 batches, 2 came"),
    tricks.swap_two_batches: (CHAIN, r"kz\.almaty: batch 2 came where batch 1 was due"),
    tricks.swap_two_batches_and_their_numbers: (CHAIN, r"kz\.almaty: "),
    tricks.count_a_row_more: (CHAIN, r"kz\.almaty: "),
    tricks.forge_a_head: (FORGED, r"kz\.almaty: a head is not signed by a key of that city"),
    tricks.splice_a_batch: (CHAIN, r"kz\.almaty: the batches are not those that its manifest signs"),
    tricks.splice_a_citys_stream: (CHAIN, r"kz\.almaty: a head is of another request"),
    tricks.splice_a_city_and_its_line: (CHAIN, r"kz\.almaty: a head is of another request"),
    tricks.resend_an_old_answer: (CHAIN, r": a head is of another request"),
    tricks.pass_one_city_for_another: (FORGED, r"uz\.tashkent: a head is not signed by a key of that city"),
    tricks.add_rows_of_its_own: (CHAIN, r"gw\.alliance: it sent a part that is not a gateway's to send"),
    tricks.cut_off: (TRUNCATED, r"gw\.alliance: the stream ended without its coverage"),
    tricks.send_no_coverage: (TRUNCATED, r"gw\.alliance: the stream ended without its coverage"),
    tricks.send_the_manifest_twice: (CHAIN, r"kz\.almaty: more came after its manifest"),
    tricks.withhold_the_manifest: (COVERAGE, r"calls kz\.almaty answered, but passed on no manifest"),
    tricks.drop_a_city: (COVERAGE, r"says nothing of kz\.almaty"),
    tricks.drop_a_city_from_the_stream: (COVERAGE, r"calls kz\.almaty answered, but passed on no manifest"),
    tricks.drop_a_city_from_the_coverage: (COVERAGE, r"says nothing of kz\.almaty"),
    tricks.list_a_city_twice: (COVERAGE, r"lists in\.delhi twice"),
    tricks.list_a_stranger: (COVERAGE, r"lists xx\.nowhere, which is no member"),
    tricks.call_it_unreachable_and_pass_its_frames_on: (COVERAGE, r"calls kz\.almaty unreachable, its signed manifest"),
    tricks.call_it_late_and_pass_its_frames_on: (COVERAGE, r"calls kz\.almaty timed_out, its signed manifest"),
    tricks.call_it_unreachable_after_its_rows: (COVERAGE, r"calls kz\.almaty unreachable, but it sent a part"),
    tricks.call_it_empty: (COVERAGE, r"calls kz\.almaty no_data, but passed on no manifest"),
    tricks.call_it_empty_beside_its_rows: (COVERAGE, r"calls kz\.almaty no_data, its signed manifest says answered"),
    tricks.call_it_empty_by_a_forged_manifest: (
        FORGED,
        r"kz\.almaty: its manifest is not signed by a key of that city",
    ),
    tricks.call_it_empty_by_another_citys_manifest: (FORGED, r"kz\.almaty: its manifest is not signed by a key of"),
    tricks.say_that_it_refused: (COVERAGE, r"calls kz\.almaty refused, its signed manifest says answered"),
    tricks.rule_it_out: (COVERAGE, r"rules out kz\.almaty, but its routing entry does not"),
    tricks.sign_the_coverage_of_another_request: (COVERAGE, r"gw\.alliance: its coverage is of another request"),
    tricks.sign_as_another_gateway: (FORGED, r"gw\.alliance: its coverage is not signed by a key of that gateway"),
    tricks.use_an_older_directory: (COVERAGE, r"used version \d+ of the directory, older than"),
    tricks.name_another_narrowing: (COVERAGE, r"gw\.alliance: its narrowing is of another request or gateway"),
    tricks.leave_the_narrowing_out: (COVERAGE, r"gw\.alliance: its narrowing"),
}
TOTALS: dict[Trick, tuple[str, str]] = {
    tricks.change_the_total: (COVERAGE, r"gw\.alliance sent another total than the cities' signed parts make"),
    tricks.change_the_total_alone: (COVERAGE, r"gw\.alliance signs another total than it sent"),
    tricks.keep_the_total_back: (COVERAGE, r"gw\.alliance signs another total than it sent"),
    tricks.keep_the_total_back_and_say_so: (COVERAGE, r"gw\.alliance sent no total"),
}


def sentences(table: dict[Trick, tuple[str, str]]) -> pytest.MarkDecorator:
    found = [(trick, reason, message) for trick, (reason, message) in table.items()]
    return pytest.mark.parametrize(("trick", "reason", "message"), found, ids=[trick.__name__ for trick in table])


async def an_earlier_answer(scene: Scene) -> None:
    """So that there is something to splice in: other rows, several batches."""
    if scene.gateway.past:
        return
    async with scene.ask() as fed:
        table = await fed.read("building", where="height > 3", purpose="research").to_table()
        assert table.num_rows == len(CITIES) * (ROWS - 3)


async def test_an_honest_gateway_is_believed(scene: Scene) -> None:
    async with scene.ask() as fed:
        answer = fed.read("building", purpose="research", require="all")
        assert (await answer.to_table()).num_rows == len(CITIES) * ROWS
        assert all(line.outcome is Outcome.ANSWERED and line.word is Word.CITY for line in answer.coverage)
    assert len(scene.gateway.past[-1].places("kz.almaty", None)) > 3


@sentences(CAUGHT)
async def test_a_gateway_is_caught_that_tries_to(scene: Scene, trick: Trick, reason: str, message: str) -> None:
    await an_earlier_answer(scene)
    scene.gateway.trick = trick
    async with scene.ask() as fed:
        answer = fed.read("building", where="function = 'office' OR height < 30", purpose="research")
        with pytest.raises(CimfedError, match=message) as caught:
            await answer.to_table()
        assert caught.value.reason == reason
        assert not answer.ended


async def all_of(answer: AsyncAnswer, given: list[tuple[str, str]]) -> None:
    async for batch in answer:
        given += [(row["city"], row["id"]) for row in batch.to_pylist()]


@sentences(CAUGHT)
async def test_no_row_goes_out_that_its_city_did_not_sign_for_this_question_when_a_gateway_tries_to(
    scene: Scene, trick: Trick, reason: str, message: str
) -> None:
    await an_earlier_answer(scene)
    scene.gateway.trick = trick
    given: list[tuple[str, str]] = []
    async with scene.ask() as fed:
        answer = fed.read("building", where="height > 20", purpose="research")
        with pytest.raises(CimfedError) as caught:
            await all_of(answer, given)
        assert caught.value.reason == reason, message
    assert len(set(given)) == len(given)
    assert set(given) <= {(city, f"b{number}") for city in CITIES for number in range(20, ROWS)}


@sentences(TOTALS)
async def test_a_gateway_is_caught_that_adds_up_otherwise(
    scene: Scene, trick: Trick, reason: str, message: str
) -> None:
    scene.gateway.trick = trick
    async with scene.ask() as fed:
        schools = "height <= 7 AND function = 'school'"  # 3 of each of two cities, 7 of in.delhi
        answer = fed.aggregate("building", "count", by="function", where=schools, purpose="research")
        with pytest.raises(CimfedError, match=message) as caught:
            await answer.to_table()
        assert caught.value.reason == reason
        assert scene.gateway.past[-1].total


@pytest.mark.parametrize(
    ("trick", "outcome"),
    [(tricks.call_it_unreachable, Outcome.UNREACHABLE), (tricks.call_it_broken_off, Outcome.BROKEN)],
    ids=lambda item: getattr(item, "__name__", str(item)),
)
async def test_a_living_city_that_is_called_away_is_the_gateways_word_and_never_enough_for_all(
    scene: Scene, trick: Trick, outcome: Outcome
) -> None:
    scene.gateway.trick = trick
    async with scene.ask() as fed:
        answer = fed.read("building", purpose="research")
        table = await answer.to_table()
        assert set(table["city"].to_pylist()) == {"uz.tashkent", "in.delhi"}
        line = answer.coverage["kz.almaty"]
        assert (line.outcome, line.word, line.rows) == (outcome, Word.GATEWAY, 0)
        assert not answer.coverage.complete
        with pytest.raises(NotEnough, match=r"kz\.almaty"):
            await fed.read("building", purpose="research", require="all").to_table()


async def test_an_aggregate_without_a_city_that_is_called_away_is_not_enough_unless_that_is_allowed(
    scene: Scene,
) -> None:
    scene.gateway.trick = tricks.call_it_unreachable_and_leave_it_out_of_the_total
    async with scene.ask() as fed:
        with pytest.raises(NotEnough, match=r"kz\.almaty \(node_unreachable\)"):
            await fed.aggregate("building", "count", purpose="research").to_table()
        answer = fed.aggregate("building", "count", purpose="research", require="any")
        assert (await answer.to_table()).to_pylist() == [{"count": 2 * ROWS}]
        assert answer.coverage["kz.almaty"].word is Word.GATEWAY


async def test_a_city_that_is_called_away_cannot_be_in_the_total(scene: Scene) -> None:
    scene.gateway.trick = tricks.call_it_unreachable
    async with scene.ask() as fed:
        with pytest.raises(CoverageMismatch, match="another total than the cities' signed parts make"):
            await fed.aggregate("building", "count", purpose="research", require="any").to_table()
