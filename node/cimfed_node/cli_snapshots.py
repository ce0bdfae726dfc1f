"""`cimfed-node snapshots list | show | rollback | prune | erase | log`. Thin: what they do is in ``snapshots``.

A dry run takes no lock and clears nothing away. ``format`` in the JSON of ``list``, ``show`` and ``log``: their schema.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from cimfed import console
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.model.instants import instant_text
from cimfed.rpc import clock
from cimfed.trust.tlog.entries import Act
from cimfed_node.acting import acceptable_reason, operator
from cimfed_node.erase import erase, find
from cimfed_node.opening import opened
from cimfed_node.operate import publisher
from cimfed_node.printing import building_progress, tell
from cimfed_node.snapshots import (
    Details,
    Held,
    details,
    earlier,
    held_snapshots,
    may_come_back,
    named,
    prunable,
    prune,
    roll_back,
    tables_in_place,
)
from cimfed_node.tables.acts import acts

app = typer.Typer(no_args_is_help=True, help="The snapshots on this node's disk: see them, go back, clear away.")
HOME = Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]


@app.command("list")
def list_(home: HOME, as_json: JSON = False) -> None:
    """Shows every snapshot, and which views stand on it."""
    with Command("snapshots", as_json) as command:
        with opened(home) as (at, control):
            held = held_snapshots(at, control, clock.now())
            room = at.room()
        disk = {"used": room.used, "budget": room.budget, "free": room.free, "keep_free": room.keep_free}
        command.put(format=command.schema, snapshots=[_facts(item) for item in held], disk=disk)
        rows = [
            (
                item.collection or "unknown",
                item.id[:12],
                "" if item.rows is None else f"{item.rows:,}",
                f"{item.size:,}",
                instant_text(item.imported)[:19] if item.imported is not None else "never in force",
                "damaged" if not item.readable else "current" if item.current else "",
                f"{item.engine}, in place" if item.in_place else item.engine,
                ", ".join(_view(view.id, view.grants, view.in_use) for view in item.views),
            )
            for item in held
        ]
        heads = ("collection", "snapshot", "rows", "bytes", "imported (UTC)", "", "engine", "views that stand on it")
        command.show(console.table(heads, rows))
        budget = "no budget" if room.budget is None else f"of a budget of {room.budget:,}"
        command.say(f"all of this node: {room.used:,} bytes, {budget}; {room.free:,} are free on the disk")


@app.command("show")
def show_(
    snapshot: Annotated[str, typer.Argument(metavar="ID", help="The id, or what it begins with.")],
    home: HOME,
    with_mapping: Annotated[bool, typer.Option("--mapping", help="Also the mapping that it was made by.")] = False,
    as_json: JSON = False,
) -> None:
    """Shows a snapshot's inventory, and whether its files are what they were: reads them whole."""
    with Command("snapshot-details", as_json) as command:
        with opened(home) as (at, control):
            found = details(named(held_snapshots(at, control, clock.now()), snapshot))
        command.put(format=command.schema, **_all(found))
        if not as_json:
            _show(command, found, with_mapping)


@app.command("rollback")
def rollback(
    collection: Annotated[str, typer.Argument(help="Such as building.")],
    home: HOME,
    snapshot: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The id, or what it begins with; else the one before.")
    ] = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Makes an earlier snapshot current again, and rebuilds the active policy's views on it."""
    _log()
    with Command("snapshots-rollback", as_json, dry_run=dry_run, yes=yes) as command, opened(home) as (at, control):
        publishing = publisher(at, control)
        with nullcontext() if dry_run else publishing.alone():
            held = held_snapshots(at, control, clock.now())
            chosen = earlier(held, collection, snapshot)
            gone = [item for item in held if item.collection == collection and item.current]
            grants = sorted(grant for item in gone for view in item.views for grant in view.grants)
            command.put(
                collection=collection,
                snapshot=chosen.id,
                rows=chosen.rows,
                replaces=[item.id for item in gone],
                affected={"grants": grants},
            )
            command.say(f"to be current: {_named(chosen)}")
            for item in gone:
                command.say(f"in the place of: {_named(item)}")
            if grants:
                command.say(f"views to be built again: of {', '.join(grants)}")
            if dry_run:
                may_come_back(control, chosen)
            if not command.goes_on(f"Make snapshot {_named(chosen)} current?"):
                return
            with building_progress() as building:
                report = roll_back(control, publishing, chosen, building)
        command.say(f"snapshot {chosen.id[:12]} of {collection} is current: {chosen.rows:,} rows")
        tell(command, report)


@app.command("prune")
def prune_(
    home: HOME,
    keep: Annotated[int, typer.Option(min=0, help="How many that are not current to keep of each collection.")] = 1,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Removes snapshots that are not current, that no answer needs, and that are not among the newest."""
    _log()
    with Command("snapshots-prune", as_json, dry_run=dry_run, yes=yes) as command, opened(home) as (at, control):
        publishing = publisher(at, control)
        with nullcontext() if dry_run else publishing.alone():
            chosen = prunable(held_snapshots(at, control, clock.now()), keep)
            size = sum(item.size for item in chosen)
            command.put(snapshots=[_facts(item) for item in chosen], size=size, affected={"snapshots": len(chosen)})
            for item in chosen:
                command.say(f"{'would be' if dry_run else 'to be'} removed: {_named(item)}")
            if dry_run:
                command.say(f"{len(chosen)} snapshots would be removed, {size:,} bytes")
            if (dry_run or chosen) and not command.goes_on("Remove them for good?"):
                return
            prune(control, publishing, chosen)
        for item in chosen:
            command.say(f"removed: {_named(item)}")
        command.say(f"{len(chosen)} snapshots removed, {size:,} bytes")


@app.command("erase")
def erase_(
    home: HOME,
    collection: Annotated[str, typer.Option(help="Such as building.")],
    ids: Annotated[list[str], typer.Option("--id", help="An object's id; again for several.")],
    reason: Annotated[str, typer.Option(help="Why, for the log of acts: no names of persons or objects.")],
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Erases objects, and what belongs to them, from every snapshot and view, for good."""
    _log()
    with Command("snapshots-erase", as_json, dry_run=dry_run, yes=yes) as command, opened(home) as (at, control):
        reason = acceptable_reason(reason)
        publishing = publisher(at, control)
        with nullcontext() if dry_run else publishing.alone():
            wanted = find(at, collection, ids)
            command.say(
                f"to be erased: {len(wanted.ids):,} objects of {collection} and {wanted.belonging:,} rows that belong "
                f"to them, from {len(wanted.snapshots)} snapshots ({wanted.rows:,} rows in all)"
            )
            touched = {snapshot.id for snapshot in wanted.snapshots}
            standing = [
                view for item in held_snapshots(at, control, clock.now()) if item.id in touched for view in item.views
            ]
            ending = sum(view.in_use for view in standing)
            command.put(
                collection=collection,
                objects=len(wanted.ids),
                belonging=wanted.belonging,
                rows=wanted.rows,
                snapshots=sorted(touched),
                affected={
                    "grants": sorted({grant for view in standing for grant in view.grants}),
                    "views_in_use": ending,
                },
            )
            if ending:
                command.say(f"answers that read {ending} of their views now end")
            for name in wanted.in_place:
                command.note(
                    f"{name} stands in place, too, and is not searched: delete them in the database, "
                    "import it again and remove the snapshots before that (snapshots prune)"
                )
            if not command.goes_on("Erase them for good? There is no way back."):
                return
            act = Act(clock.now(), "erase", operator(), collection, objects=len(wanted.ids), reason=reason)
            with building_progress() as building:
                report = erase(at, publishing, wanted, act, building)
            places = tables_in_place(at, control)
        command.say(f"erased: {len(wanted.ids):,} objects, from {len(wanted.snapshots)} snapshots")
        for place in places:
            command.note(f"{place} was not searched: delete such rows from it, and import it in place again")
        command.say(
            "the files that were imported, quarantine files, backups and given answers are not this node's to change"
        )
        tell(command, report)


@app.command("log")
def log_(home: HOME, as_json: JSON = False) -> None:
    """Shows what operators did here, the last first: names and digests only."""
    with Command("acts", as_json) as command:
        with opened(home) as (_, control), control.reading() as connection:
            done = acts(connection)
        lines = [
            {
                "time": instant_text(act.time),
                "act": act.act,
                "operator": act.operator,
                "collection": act.collection,
                "subject": act.subject,
                "objects": act.objects,
                "reason": act.reason,
            }
            for act in done
        ]
        command.put(format=command.schema, acts=lines)
        rows = [
            (
                instant_text(act.time)[:19],
                act.act,
                act.operator,
                act.collection,
                act.subject if len(act.subject) < 64 else act.subject[:16],
                act.objects,
                act.reason,
            )
            for act in done
        ]
        heads = ("time (UTC)", "act", "operator", "collection", "of", "objects", "reason")
        command.show(console.table(heads, rows))


def _show(command: Command, found: Details, with_mapping: bool) -> None:
    inventory = found.snapshot.inventory
    operation = inventory.get("operation", {})
    accuracy = operation.get("accuracy_m")
    rows = [
        ("snapshot", found.held.id),
        ("collection", found.snapshot.collection),
        ("rows", f"{found.snapshot.rows:,}"),
        ("current", "yes" if found.held.current else "no"),
        ("extent (CRS84)", ", ".join(f"{corner:.6f}" for corner in found.snapshot.extent or ())),
        ("times", " to ".join(text or "unknown" for text in inventory["times"])),
        ("operation", operation.get("name")),
        ("accuracy", "unknown" if accuracy is None else f"{accuracy:g} m"),
        ("heights in", inventory.get("vertical") or "unknown"),
        ("licence", found.snapshot.licence),
        ("attribution", found.snapshot.attribution),
        ("vocabulary", found.snapshot.vocabulary),
        ("engine", str(found.snapshot.engine)),
        ("rows lie", "in the table: imported in place" if "in_place" in inventory else "in the files below"),
        *(("source", f"{item['name']} ({item['format']})") for item in inventory.get("sources", ())),
    ]
    command.show(console.table(("of the snapshot", ""), rows))
    files = [(name, f"{size:,}", sha256, str(state)) for name, size, sha256, state in found.files]
    if files:
        command.show(console.table(("file", "bytes", "sha256", "now"), files))
    if (mapping := inventory.get("mapping")) and with_mapping:
        command.say("mapping:")
        for line in yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False).splitlines():
            command.say(f"  {line}")


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _named(item: Held) -> str:
    rows = "damaged" if item.rows is None else f"{item.rows:,} rows"
    imported = "never in force" if item.imported is None else f"imported {instant_text(item.imported)[:19]}Z"
    return f"{item.id[:12]} of {item.collection or 'an unknown collection'} ({rows}, {imported})"


def _view(id: str, grants: tuple[str, ...], in_use: bool) -> str:
    return " ".join((*grants, id[:12], *(("(an answer reads it)",) if in_use else ())))


def _facts(item: Held) -> dict[str, Any]:
    return {
        "id": item.id,
        "collection": item.collection or None,
        "rows": item.rows,
        "size": item.size,
        "imported": None if item.imported is None else instant_text(item.imported),
        "current": item.current,
        "readable": item.readable,
        "engine": item.engine or None,
        "in_place": item.in_place,
        "views": [
            {"id": view.id, "rows": view.rows, "grants": list(view.grants), "in_use": view.in_use}
            for view in item.views
        ],
    }


def _all(found: Details) -> dict[str, Any]:
    files = [
        {"name": name, "size": size, "sha256": sha256, "state": str(state)} for name, size, sha256, state in found.files
    ]
    return {
        **_facts(found.held),
        "verified": found.verified,
        "files": files,
        "inventory": dict(found.snapshot.inventory),
    }
