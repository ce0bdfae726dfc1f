"""`cimfed-node activate`: a signed policy into force. Thin: what it does is in ``activate`` and ``foresee``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed.command import DRY_RUN, JSON, Command
from cimfed.rpc import clock
from cimfed.trust.identity_files import read
from cimfed_node.affected import lately, say_affected
from cimfed_node.announce import announced
from cimfed_node.foresee import Foreseen, foresee
from cimfed_node.opening import opened
from cimfed_node.operate import publisher
from cimfed_node.printing import building_progress, tell
from cimfed_node.tables import Control


def activate(
    policy: Annotated[Path, typer.Argument(help="A signed policy, *.policy.json.")],
    home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")],
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Puts a signed policy in force, and publishes the *.routing.json beside it. It does not ask: the steward's
    signature is the word that counts."""
    with Command("activate", as_json, dry_run=dry_run, yes=True) as command, opened(home) as (at, control):
        publishing, content = publisher(at, control), read(policy)
        if dry_run:
            _foresee(command, foresee(publishing, content, str(policy)), control)
        if not command.goes_on(""):
            return
        with building_progress() as building:
            report = publishing.activate(content, str(policy), building)
        command.put(changed=report.changed)
        verb = "is in force now" if report.changed else "was in force already"
        command.say(f"policy version {report.version} {verb}")
        tell(command, report)
        if said := announced(at, policy):
            command.put(published=said)
            command.say(said)


def _foresee(command: Command, found: Foreseen, control: Control) -> None:
    now = clock.now()
    with control.reading() as connection:
        hit = [line for line in lately(connection, now) if line.grant in (*found.removed, *found.altered)]
    command.put(policy=found.version, before=found.before or None)
    command.put(added=list(found.added), removed=list(found.removed), altered=list(found.altered))
    if found.same:
        command.say(f"policy version {found.version} is in force already")
    else:
        command.say(f"to be in force: policy version {found.version}, in the place of {found.before or 'none'}")
    for what, grants in (("new", found.added), ("gone", found.removed), ("other than before", found.altered)):
        if grants:
            command.say(f"{what}: {', '.join(grants)}")
    say_affected(command, hit, "end, where they are given something else")
    for note in found.notes:
        command.note(note)
