"""What a node's facts mean: policy, views, blocks, the service's user. For ``cimfed-node doctor``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cimfed.doctor.finding import Checking, Code, Finding
from cimfed.doctor.listed import notice
from cimfed.model.routing import RoutingEntry
from cimfed.policy.payload import salted_hash
from cimfed_node.policies import SignedPolicy
from cimfed_node.tables.blocks import EVERYBODY, Block
from cimfed_node.tables.publication import ActiveGrant, ActivePolicy

POLICY, BLOCKS, USER = Checking("policy"), Checking("blocks"), Checking("user")


@dataclass(frozen=True)
class PolicyFact:
    """``active``: as the tables name it. ``signed``: its file; ``error``: why that is not it. ``listed``: the routing
    entry in the directory; ``known``: whether there is a directory that could have one."""

    active: ActivePolicy | None
    signed: SignedPolicy | None = None
    error: str = ""
    listed: RoutingEntry | None = None
    known: bool = True


def policy(fact: PolicyFact, now: int) -> Iterator[Finding]:
    active = fact.active
    if active is None:
        yield POLICY.warning(
            Code.POLICY_NONE,
            "no policy is active: nothing is given to anybody",
            "cimfed-node activate POLICY.policy.json, which the steward signed",
        )
        return
    if fact.signed is None:
        yield POLICY.error(
            Code.POLICY_UNREADABLE,
            f"version {active.version} is active, and its file is not that policy: nothing is given. {fact.error}",
            "cimfed-node activate with the steward's file again",
        )
    ask = "Ask the steward for the next version, and activate it"
    start, end = active.valid
    if now >= end:
        yield POLICY.error(
            Code.POLICY_ENDED, f"version {active.version} holds no more: nothing is given", ask, since=end
        )
    elif now < start:
        yield POLICY.warning(
            Code.POLICY_NOT_BEGUN,
            f"version {active.version} does not hold yet: nothing is given",
            "Wait, or ask the steward",
            until=start,
        )
    elif now >= notice(active.valid):
        yield POLICY.warning(Code.POLICY_ENDING, f"version {active.version} ends soon", ask, until=end)
    else:
        yield POLICY.ok(f"version {active.version} is in force", until=end)
    if fact.known:
        yield from _routing(fact, active, now)


def _routing(fact: PolicyFact, active: ActivePolicy, now: int) -> Iterator[Finding]:
    """What the directory says of it."""
    entry = fact.listed
    publish = "cimfed policy publish FILE.routing.json, which the steward signed with the policy"
    if entry is None or entry.version < active.version:
        there = "no routing entry of this city" if entry is None else f"that of version {entry.version}"
        yield POLICY.warning(
            Code.POLICY_UNPUBLISHED,
            f"version {active.version} is in force, the directory has {there}: others ask by what it says",
            publish,
        )
        return
    if entry.version > active.version:
        yield POLICY.error(
            Code.POLICY_OTHER,
            f"the steward has published version {entry.version}, here version {active.version} is in force",
            f"cimfed-node activate version {entry.version}; it may draw back what is given here",
        )
        return
    signed = fact.signed
    if signed is not None and entry.policy_hash != salted_hash(signed.policy, signed.envelope.payload):
        yield POLICY.error(
            Code.POLICY_OTHER,
            f"the directory names another policy as version {entry.version} than the one in force here",
            "Ask the steward which it is: one key has signed two policies under one number",
        )
    if now >= entry.valid[1]:
        yield POLICY.error(
            Code.ROUTING_ENDED, "the routing entry holds no more: nobody asks this city", publish, since=entry.valid[1]
        )
    elif now >= notice(entry.valid):
        yield POLICY.warning(Code.ROUTING_ENDING, "the routing entry ends soon", publish, until=entry.valid[1])
    else:
        yield POLICY.ok(f"the directory names version {entry.version}, too", until=entry.valid[1])


def views(grants: Sequence[ActiveGrant], collections: frozenset[str]) -> Iterator[Finding]:
    missing = [grant.grant for grant in grants if not grant.view and grant.collection in collections]
    if missing:
        yield POLICY.error(
            Code.VIEWS_MISSING,
            f"grants without a view of data that is here: {', '.join(missing)}",
            "cimfed-node activate with the policy in force, which builds them",
        )


def blocked(found: Sequence[Block]) -> Iterator[Finding]:
    for block in found:
        lift = f"cimfed-node unblock {'--all' if block.subject == EVERYBODY else block.subject[:16]}, once it is over"
        if block.subject == EVERYBODY:
            yield BLOCKS.warning(
                Code.BLOCKED_ALL,
                f"everybody is blocked by {block.operator}: {block.reason}",
                lift,
                about=block.subject,
                since=block.since,
            )
        else:
            yield BLOCKS.warning(
                Code.BLOCKED,
                f"{block.subject[:16] if len(block.subject) == 64 else block.subject} is blocked "
                f"by {block.operator}: {block.reason}",
                lift,
                about=block.subject,
                since=block.since,
            )
    if not found:
        yield BLOCKS.ok("nobody is blocked")


def service_user(wanted: str, exists: bool, owner: int) -> Iterator[Finding]:
    """``owner``: the user whom the home belongs to."""
    if not wanted:
        yield USER.warning(
            Code.SERVICE_USER_NONE,
            f"no service_user: the node serves as {'root' if owner == 0 else 'the operator'}, who can open the "
            "snapshots; nothing but cimfed keeps it from them",
            "useradd --system cimfed; chgrp what it reads (docs/operator.md); service_user in node.toml",
        )
    elif not exists:
        yield USER.error(
            Code.SERVICE_USER_WRONG,
            f"this host has no user {wanted}: the node does not start",
            "useradd --system cimfed",
        )
    else:
        yield USER.ok(f"the node serves as {wanted}")
