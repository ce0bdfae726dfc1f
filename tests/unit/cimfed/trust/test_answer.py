"""One city's stream: each of the nine rules, by what breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cimfed.errors import ChainBroken, Forged, Truncated
from cimfed.model.answer import Head, Manifest, Outcome
from cimfed.model.names import CityName, Federation
from cimfed.trust.answer import LEAST, UNSIGNED, Asked, CityAnswer
from cimfed.trust.chain import Chain
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner
from cimfed.wire.answers import decode_head, decode_manifest, encode_head, encode_manifest

CITY = CityName("kz.almaty")
ASKED = Asked(b"q" * 32, Federation("sco"), "building")
KEY = KeySigner.from_seed(bytes(32))


def started() -> CityAnswer:
    answer = CityAnswer(ASKED, CITY, (KEY.public,))
    answer.start(b"schema", "view")
    return answer


def chain_of(*payloads: bytes) -> Chain:
    chain = Chain.start(ASKED.request_hash, CITY, b"schema", "view")
    for payload in payloads:
        chain.add(payload)
    return chain


def head(*payloads: bytes, key: KeySigner = KEY, **changes: object) -> Envelope:
    chain = chain_of(*payloads)
    made = replace(Head(ASKED.request_hash, CITY, chain.index, chain.value), **changes)  # type: ignore[arg-type]
    return seal(PayloadType.HEAD, encode_head(made), key)


def manifest(*payloads: bytes, key: KeySigner = KEY, **changes: object) -> Envelope:
    chain = chain_of(*payloads)
    made = Manifest(
        request_hash=ASKED.request_hash,
        narrowing_hash=b"",
        federation=ASKED.federation,
        city=CITY,
        collection="building",
        outcome=Outcome.ANSWERED if payloads else Outcome.NO_DATA,
        view="view",
        rows=2 * len(payloads),
        batches=chain.index,
        chain=chain.value,
    )
    return seal(PayloadType.MANIFEST, encode_manifest(replace(made, **changes)), key)  # type: ignore[arg-type]


def test_batches_come_out_under_a_head_and_no_sooner() -> None:
    answer = started()
    answer.payload(1, 2, b"one")
    assert answer.released == 0
    assert [batch.payload for batch in answer.head(head(b"one"), decode_head)] == [b"one"]
    answer.payload(2, 2, b"two")
    answer.payload(3, 2, b"three")
    assert [batch.index for batch in answer.manifest(manifest(b"one", b"two", b"three"), decode_manifest)] == [2, 3]
    assert answer.released == 6
    answer.end()


def test_an_empty_answer_is_a_manifest_over_the_empty_chain() -> None:
    answer = started()
    assert answer.manifest(manifest(), decode_manifest) == []
    answer.end()


def test_a_refusal_is_a_manifest_alone_or_a_signed_prefix() -> None:
    alone = CityAnswer(ASKED, CITY, (KEY.public,))
    refused = {"outcome": Outcome.REFUSED, "reason": "not_granted"}
    alone.manifest(manifest(chain=b"", view="", **refused), decode_manifest)
    alone.end()
    prefix = started()
    prefix.payload(1, 2, b"one")
    ended = {"outcome": Outcome.REFUSED, "reason": "policy_changed"}
    assert len(prefix.manifest(manifest(b"one", **ended), decode_manifest)) == 1


def test_rule_1_start() -> None:
    answer = CityAnswer(ASKED, CITY, (KEY.public,))
    with pytest.raises(ChainBroken, match="rule 1"):
        answer.payload(1, 2, b"one")
    with pytest.raises(ChainBroken, match="rule 1"):
        answer.head(head(), decode_head)
    with pytest.raises(ChainBroken, match="rule 1"):
        started().start(b"schema", "view")


@pytest.mark.parametrize("index", [0, 2])
def test_rule_2_counting(index: int) -> None:
    with pytest.raises(ChainBroken, match="rule 2"):
        started().payload(index, 2, b"one")


@pytest.mark.parametrize(
    "changes",
    [{"request_hash": bytes(32)}, {"city": "cn.qingdao"}, {"index": 0}, {"index": 2}, {"chain": bytes(32)}],
    ids=str,
)
def test_rule_3_heads(changes: dict[str, object]) -> None:
    answer = started()
    answer.payload(1, 2, b"one")
    with pytest.raises(ChainBroken, match="rule 3"):
        answer.head(head(b"one", **changes), decode_head)


def test_rule_3_signatures() -> None:
    answer = started()
    answer.payload(1, 2, b"one")
    with pytest.raises(Forged, match="rule 3"):
        answer.head(head(b"one", key=KeySigner.generate()), decode_head)
    with pytest.raises(Forged, match="rule 3"):  # a manifest's signature is none for a head
        answer.head(manifest(b"one"), decode_head)
    assert answer.head(head(b"one"), decode_head)  # an error left the state as it was


def test_rule_3_another_batch_than_the_one_that_was_signed() -> None:
    answer = started()
    answer.payload(1, 2, b"0ne")
    with pytest.raises(ChainBroken, match="rule 3"):
        answer.head(head(b"one"), decode_head)


def test_rule_4_no_endless_wait_for_a_head() -> None:
    answer = started()
    megabyte = bytes(1 << 20)
    full = UNSIGNED // len(megabyte)
    for index in range(1, full + 1):
        answer.payload(index, 2, megabyte)
    with pytest.raises(ChainBroken, match="rule 4"):
        answer.payload(full + 1, 2, megabyte)


@pytest.mark.parametrize(
    "changes",
    [{"request_hash": bytes(32)}, {"federation": "eu"}, {"city": "cn.qingdao"}, {"collection": "facility"}],
    ids=str,
)
def test_rule_5_manifests(changes: dict[str, object]) -> None:
    with pytest.raises(ChainBroken, match="rule 5"):
        started().manifest(manifest(**changes), decode_manifest)


def test_rule_5_signatures() -> None:
    with pytest.raises(Forged, match="rule 5"):
        started().manifest(manifest(key=KeySigner.generate()), decode_manifest)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": Outcome.ANSWERED},  # without batches
        {"outcome": Outcome.REFUSED},  # without a reason
        {"outcome": Outcome.NO_DATA, "reason": "not_granted"},
        {"outcome": Outcome.UNREACHABLE},
        {"outcome": Outcome.RULED_OUT},
        {"outcome": Outcome.NO_DATA, "rows": 1},
    ],
    ids=str,
)
def test_rule_6_outcomes(changes: dict[str, object]) -> None:
    with pytest.raises(ChainBroken, match="rule 6"):
        started().manifest(manifest(**changes), decode_manifest)


@pytest.mark.parametrize("changes", [{"rows": 3}, {"batches": 2}, {"chain": bytes(32)}, {"view": "other"}], ids=str)
def test_rule_7_counts(changes: dict[str, object]) -> None:
    answer = started()
    answer.payload(1, 2, b"one")
    with pytest.raises(ChainBroken, match="rule 7"):
        answer.manifest(manifest(b"one", **changes), decode_manifest)


def test_rule_8_nothing_after_the_manifest() -> None:
    answer = started()
    answer.manifest(manifest(), decode_manifest)
    with pytest.raises(ChainBroken, match="rule 8"):
        answer.manifest(manifest(), decode_manifest)
    with pytest.raises(ChainBroken, match="rule 8"):
        answer.payload(1, 2, b"one")
    with pytest.raises(ChainBroken, match="rule 8"):
        answer.head(head(), decode_head)


def test_rule_9_cut_off() -> None:
    answer = started()
    answer.payload(1, 2, b"one")
    answer.head(head(b"one"), decode_head)
    with pytest.raises(Truncated, match="rule 9"):
        answer.end()


def test_rule_4_batches_without_bytes_do_not_wait_in_any_number() -> None:
    answer = started()
    for index in range(1, UNSIGNED // LEAST + 1):
        answer.payload(index, 0, b"")
    with pytest.raises(ChainBroken, match="rule 4"):
        answer.payload(UNSIGNED // LEAST + 1, 0, b"")
