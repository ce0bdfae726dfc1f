"""What a node's facts mean: policy, views, blocks, the service's user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from cimfed.doctor.finding import Code, Finding, Severity
from cimfed.model.routing import RoutingEntry, parse_routing
from cimfed.policy.document import compose
from cimfed.policy.payload import policy_hash, routing_entry, to_payload
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.keys import KeySigner
from cimfed_node import diagnosis
from cimfed_node.diagnosis import PolicyFact
from cimfed_node.policies import SignedPolicy
from cimfed_node.tables.blocks import EVERYBODY, Block
from cimfed_node.tables.publication import ActiveGrant, ActivePolicy

DAY = 86_400_000_000
START = 1_767_225_600_000_000  # 2026-01-01
END = START + 90 * DAY
NOW = START + DAY
POLICY = """
format: cimfed/policy/v1
city: kz.almaty
version: {version}
valid: [2026-01-01T00:00Z, 2026-04-01T00:00Z]
grants:
  - id: all
    subject: {{role: [researcher]}}
    purpose: [research]
    collection: building
    columns: {{id: exact}}
"""


def codes(found: Iterable[Finding]) -> list[Code]:
    return [each.code for each in found]


def made(version: int, salt: bytes = bytes(16)) -> tuple[ActivePolicy, SignedPolicy, RoutingEntry]:
    policy = compose(POLICY.format(version=version), "policy.yaml", lambda _: b"", salt)
    payload = to_payload(policy)
    envelope = seal(PayloadType.POLICY, payload, KeySigner.generate())
    signed = SignedPolicy(policy, policy_hash(payload), b"", envelope)
    return (
        ActivePolicy(version, signed.hash, START, (START, END)),
        signed,
        parse_routing(routing_entry(policy, payload)),
    )


ACTIVE, SIGNED, ENTRY = made(3)
WELL = PolicyFact(ACTIVE, SIGNED, "", ENTRY)


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (WELL, [Code.OK, Code.OK]),
        (replace(WELL, active=None), [Code.POLICY_NONE]),
        (replace(WELL, signed=None, error="gone"), [Code.POLICY_UNREADABLE, Code.OK, Code.OK]),
        (replace(WELL, listed=None), [Code.OK, Code.POLICY_UNPUBLISHED]),
        (replace(WELL, listed=made(2)[2]), [Code.OK, Code.POLICY_UNPUBLISHED]),
        (replace(WELL, listed=made(4)[2]), [Code.OK, Code.POLICY_OTHER]),
        (replace(WELL, listed=made(3, b"another salt 123")[2]), [Code.OK, Code.POLICY_OTHER, Code.OK]),
        (replace(WELL, listed=None, known=False), [Code.OK]),
    ],
)
def test_the_policy_in_force_is_that_of_its_file_and_of_the_directory(fact: PolicyFact, said: list[Code]) -> None:
    assert codes(diagnosis.policy(fact, NOW)) == said


@pytest.mark.parametrize(
    ("now", "policy", "routing"),
    [
        (START - 1, Code.POLICY_NOT_BEGUN, Code.OK),
        (START, Code.OK, Code.OK),
        (END - 30 * DAY - 1, Code.OK, Code.OK),
        (END - 30 * DAY, Code.POLICY_ENDING, Code.ROUTING_ENDING),
        (END - 1, Code.POLICY_ENDING, Code.ROUTING_ENDING),
        (END, Code.POLICY_ENDED, Code.ROUTING_ENDED),
    ],
)
def test_policy_and_routing_entry_are_told_of_before_they_end(now: int, policy: Code, routing: Code) -> None:
    assert codes(diagnosis.policy(WELL, now)) == [policy, routing]


def test_a_policy_that_somebody_may_have_drawn_back_is_an_error() -> None:
    newer = list(diagnosis.policy(replace(WELL, listed=made(4)[2]), NOW))[-1]
    older = list(diagnosis.policy(replace(WELL, listed=made(2)[2]), NOW))[-1]
    assert (newer.severity, older.severity) == (Severity.ERROR, Severity.WARNING)


def test_grants_without_a_view_of_data_that_is_here_are_told() -> None:
    def grant(name: str, collection: str, view: str) -> ActiveGrant:
        return ActiveGrant(name, collection, bytes(32), view)

    grants = [grant("a", "building", "v1"), grant("b", "building", ""), grant("c", "bridge", "")]
    (found,) = diagnosis.views(grants, frozenset({"building"}))
    assert found.code is Code.VIEWS_MISSING
    assert found.what.endswith(": b")
    assert list(diagnosis.views(grants[:1], frozenset({"building"}))) == []


def test_blocks_that_stand_are_told_with_how_to_lift_them() -> None:
    assert codes(diagnosis.blocked([])) == [Code.OK]
    blocks = [Block(EVERYBODY, NOW, "root", "we look into it"), Block("ab" * 32, START, "root", "stolen")]
    everybody, key = diagnosis.blocked(blocks)
    assert (everybody.code, everybody.since) == (Code.BLOCKED_ALL, NOW)
    assert "cimfed-node unblock --all" in everybody.remedy
    assert (key.code, key.since) == (Code.BLOCKED, START)
    assert f"cimfed-node unblock {'ab' * 8}" in key.remedy


@pytest.mark.parametrize(
    ("wanted", "exists", "code"),
    [("", True, Code.SERVICE_USER_NONE), ("cimfed", False, Code.SERVICE_USER_WRONG), ("cimfed", True, Code.OK)],
)
def test_a_node_is_to_have_a_user_of_its_own(wanted: str, exists: bool, code: Code) -> None:
    assert codes(diagnosis.service_user(wanted, exists, 0)) == [code]
