"""`cimfed-node snapshots list | show | rollback | prune | erase | log`. Thin: what they do is in ``snapshots``.

The JSON of ``list`` and ``show`` names its format; fields are added to it, never changed.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from cimfed import console
from cimfed.model.instants import instant_text
from cimfed.rpc import clock
from cimfed_node.acting import acceptable_reason, operator
from cimfed_node.erase import erase, find
from cimfed_node.operate import opened, publisher
from cimfed_node.printing import building_progress, show
from cimfed_node.snapshots import (
    Details,
    Held,
    details,
    earlier,
    held_snapshots,
    named,
    prunable,
    prune,
    roll_back,
    tables_in_place,
)
from cimfed_node.tables.acts import Act, acts

LIST_FORMAT = "cimfed/snapshots/v1"
SHOW_FORMAT = "cimfed/snapshot-details/v1"
LOG_FORMAT = "cimfed/acts/v1"

app = typer.Typer(no_args_is_help=True, help="The snapshots on this node's disk: see them, go back, clear away.")
HOME = Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]
JSON = Annotated[bool, typer.Option("--json", help="As JSON, not as a table.")]
YES = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(home: HOME, as_json: JSON = False) -> None:
    """Shows every snapshot, and which views stand on it."""
    with opened(home) as (at, control):
        held = held_snapshots(at, control, clock.now())
        room = at.room()
    if as_json:
        disk = {"used": room.used, "budget": room.budget, "free": room.free, "keep_free": room.keep_free}
        listed = {"format": LIST_FORMAT, "snapshots": [_facts(item) for item in held], "disk": disk}
        print(json.dumps(listed, ensure_ascii=False))
        return
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
    console.out.print(console.table(heads, rows))
    budget = "no budget" if room.budget is None else f"of a budget of {room.budget:,}"
    console.say(f"all of this node: {room.used:,} bytes, {budget}; {room.free:,} are free on the disk")


@app.command("show")
def show_(
    snapshot: Annotated[str, typer.Argument(metavar="ID", help="The id, or what it begins with.")],
    home: HOME,
    with_mapping: Annotated[bool, typer.Option("--mapping", help="Also the mapping that it was made by.")] = False,
    as_json: JSON = False,
) -> None:
    """Shows a snapshot's inventory, and whether its files are what they were: reads them whole."""
    with opened(home) as (at, control):
        found = details(named(held_snapshots(at, control, clock.now()), snapshot))
    if as_json:
        print(json.dumps(_all(found), ensure_ascii=False))
        return
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
    console.out.print(console.table(("of the snapshot", ""), rows))
    files = [(name, f"{size:,}", sha256, str(state)) for name, size, sha256, state in found.files]
    if files:
        console.out.print(console.table(("file", "bytes", "sha256", "now"), files))
    if (mapping := inventory.get("mapping")) and with_mapping:
        console.say("mapping:")
        for line in yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False).splitlines():
            console.say(f"  {line}")


@app.command("rollback")
def rollback(
    collection: Annotated[str, typer.Argument(help="Such as building.")],
    home: HOME,
    snapshot: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The id, or what it begins with; else the one before.")
    ] = None,
    yes: YES = False,
) -> None:
    """Makes an earlier snapshot current again, and rebuilds the active policy's views on it."""
    _log()
    with opened(home) as (at, control), (publishing := publisher(at, control)).alone():
        chosen = earlier(held_snapshots(at, control, clock.now()), collection, snapshot)
        _ask(yes, f"Make snapshot {_named(chosen)} current?")
        with building_progress() as building:
            report = roll_back(control, publishing, chosen, building)
    console.say(f"snapshot {chosen.id[:12]} of {collection} is current: {chosen.rows:,} rows")
    show(report)


@app.command("prune")
def prune_(
    home: HOME,
    keep: Annotated[int, typer.Option(min=0, help="How many that are not current to keep of each collection.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only shows what would be removed.")] = False,
    yes: YES = False,
) -> None:
    """Removes snapshots that are not current, that no answer needs, and that are not among the newest."""
    _log()
    with opened(home) as (at, control):
        if dry_run:
            _list(prunable(held_snapshots(at, control, clock.now()), keep), "would be removed")
            return
        with (publishing := publisher(at, control)).alone():
            chosen = prunable(held_snapshots(at, control, clock.now()), keep)
            if chosen:
                for item in chosen:
                    console.say(f"to be removed: {_named(item)}")
                _ask(yes, "Remove them for good?")
            prune(control, publishing, chosen)
    _list(chosen, "removed")


@app.command("erase")
def erase_(
    home: HOME,
    collection: Annotated[str, typer.Option(help="Such as building.")],
    ids: Annotated[list[str], typer.Option("--id", help="An object's id; again for several.")],
    reason: Annotated[str, typer.Option(help="Why, for the log of acts: no names of persons or objects.")],
    yes: YES = False,
) -> None:
    """Erases objects, and what belongs to them, from every snapshot and view, for good."""
    _log()
    reason = acceptable_reason(reason)
    with opened(home) as (at, control), (publishing := publisher(at, control)).alone():
        wanted = find(at, collection, ids)
        console.say(
            f"to be erased: {len(wanted.ids):,} objects of {collection} and {wanted.belonging:,} rows that belong to "
            f"them, from {len(wanted.snapshots)} snapshots ({wanted.rows:,} rows in all)"
        )
        for name in wanted.in_place:
            console.say(
                f"note: {name} stands in place, too, and is not searched: delete them in the database, "
                "import it again and remove the snapshots before that (snapshots prune)"
            )
        _ask(yes, "Erase them for good? There is no way back.")
        act = Act(clock.now(), "erase", operator(), collection, objects=len(wanted.ids), reason=reason)
        with building_progress() as building:
            report = erase(at, publishing, wanted, act, building)
        places = tables_in_place(at, control)
    console.say(f"erased: {len(wanted.ids):,} objects, from {len(wanted.snapshots)} snapshots")
    for place in places:
        console.say(f"note: {place} was not searched: delete such rows from it, and import it in place again")
    console.say(
        "the files that were imported, quarantine files, backups and given answers are not this node's to change"
    )
    show(report)


@app.command("log")
def log_(home: HOME, as_json: JSON = False) -> None:
    """Shows what operators did here, the last first: names and digests only."""
    with opened(home) as (_, control), control.reading() as connection:
        done = acts(connection)
    if as_json:
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
        print(json.dumps({"format": LOG_FORMAT, "acts": lines}, ensure_ascii=False))
        return
    rows = [
        (instant_text(act.time)[:19], act.act, act.operator, act.collection, act.subject[:16], act.objects, act.reason)
        for act in done
    ]
    heads = ("time (UTC)", "act", "operator", "collection", "of", "objects", "reason")
    console.out.print(console.table(heads, rows))


def _ask(yes: bool, question: str) -> None:
    """At a terminal only: scripts and timers know what they do."""
    if not yes and sys.stdin.isatty():
        typer.confirm(question, abort=True)


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _list(chosen: list[Held], verb: str) -> None:
    for item in chosen:
        console.say(f"{verb}: {_named(item)}")
    console.say(f"{len(chosen)} snapshots {verb}, {sum(item.size for item in chosen):,} bytes")


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
        "format": SHOW_FORMAT,
        **_facts(found.held),
        "verified": found.verified,
        "files": files,
        "inventory": dict(found.snapshot.inventory),
    }
