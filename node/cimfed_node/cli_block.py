"""`cimfed-node block | unblock | blocks`: at this city, at once, with the node running or not, without the network.

Thin: what the words mean is in ``blocking``, the blocks are in ``tables.blocks``. No lock is waited for: an import
that runs holds up no block.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.model.instants import instant_text
from cimfed.rpc import clock
from cimfed.trust.tlog.entries import Act
from cimfed_node.acting import acceptable_reason, operator
from cimfed_node.affected import lately, say_affected
from cimfed_node.blocking import Target, listed, standing, target
from cimfed_node.opening import opened
from cimfed_node.tables.acts import put_act
from cimfed_node.tables.blocks import EVERYBODY, Block, blocks, lift_block, put_block

HOME = Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]
WHOM = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY|ORG",
        help="A partner's or gateway's name, or a key: at least 8 hex digits of its id.",
        show_default=False,
    ),
]
ALL = Annotated[bool, typer.Option("--all", help="Everybody.")]


def block(
    home: HOME,
    reason: Annotated[str, typer.Option(help="Why, for this node's list and log of acts; nobody else is told.")],
    whom: WHOM = None,
    everybody: ALL = False,
    unlisted: Annotated[bool, typer.Option("--unlisted", help="Also a name that the directory does not list.")] = False,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Answers a key, a partner, a gateway or everybody no more, whatever the policy gives: at once."""
    with Command("block", as_json, dry_run=dry_run, yes=yes) as command, opened(home) as (at, control):
        reason = acceptable_reason(reason)
        found, now = target(whom, everybody, listed(at), unlisted=unlisted), clock.now()
        with control.reading() as connection:
            stands = [item for item in blocks(connection) if item.subject == found.subject]
            hit = [line for line in lately(connection, now) if found.hits(line)]
        command.put(**_facts(found), reason=reason)
        if stands:
            command.put(**_row(stands[0]))
            command.say(f"{found.shown} is blocked already, since {_when(stands[0].since)} by {stands[0].operator}")
            return
        command.say(f"to be blocked: {found.shown}")
        say_affected(command, hit, "end")
        if found.listed is None and found.subject != EVERYBODY:
            command.note("there is no directory here that can be read: nobody looked whether it lists this")
        elif found.listed is False:
            command.note("the directory does not list this")
        if not command.goes_on(f"Block {found.shown}?"):
            return
        made = Block(found.subject, clock.now(), operator(), reason)
        with control.writing() as transaction:
            new = put_block(transaction, made)
            if new:
                put_act(transaction, Act(made.since, "block", made.operator, subject=made.subject, reason=reason))
        command.put(**_row(made), changed=new)
        command.say(f"{found.shown} is blocked: refused from now on, and running answers end within seconds")


def unblock(
    home: HOME,
    whom: WHOM = None,
    everybody: ALL = False,
    reason: Annotated[str, typer.Option(help="Why, for the log of acts.")] = "",
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Lifts a block."""
    with Command("unblock", as_json, dry_run=dry_run, yes=yes) as command, opened(home) as (_, control):
        reason = acceptable_reason(reason) if reason else ""
        with control.reading() as connection:
            stand = {item.subject: item for item in blocks(connection)}
        lifted = stand.pop(standing(whom, everybody, stand))
        shown = Target(lifted.subject, lifted.subject if "." in lifted.subject else "").shown
        command.put(**_row(lifted), stands=[_row(item) for item in stand.values()])
        command.say(f"to be lifted: the block of {shown} since {_when(lifted.since)}: {lifted.reason}")
        if stand:
            what = "everybody is blocked still" if EVERYBODY in stand else f"{len(stand)} other blocks stand"
            command.note(f"{what}: see cimfed-node blocks")
        if not command.goes_on(f"Answer {shown} again, as far as the policy gives?"):
            return
        with control.writing() as transaction:
            gone = lift_block(transaction, lifted.subject)
            if gone:
                put_act(transaction, Act(clock.now(), "unblock", operator(), subject=lifted.subject, reason=reason))
        command.put(changed=gone)
        command.say(f"{shown} is not blocked any more")


def list_blocks(home: HOME, as_json: JSON = False) -> None:
    """Shows who is blocked here, the last one first."""
    with Command("blocks", as_json) as command, opened(home) as (_, control):
        with control.reading() as connection:
            stand = blocks(connection)
        command.put(blocks=[_row(item) for item in stand])
        if not stand:
            command.say("nobody is blocked here")
            return
        rows = [
            ("everybody" if item.subject == EVERYBODY else item.subject, _when(item.since), item.operator, item.reason)
            for item in stand
        ]
        command.show(console.table(("blocked", "since (UTC)", "by", "reason"), rows))


def _facts(found: Target) -> dict[str, Any]:
    return {"subject": found.subject, "party": found.party or None, "listed": found.listed}


def _row(item: Block) -> dict[str, Any]:
    return {
        "subject": item.subject,
        "since": instant_text(item.since),
        "operator": item.operator,
        "reason": item.reason,
    }


def _when(instant: int) -> str:
    return instant_text(instant)[:19]
