"""`cimfed-node init | join | import | activate | snapshots | log | postgis | backup | restore | doctor | ... | serve`.

Thin: what it does is in the modules that it calls.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

from cimfed import program  # noqa: F401  # before what takes long

# isort: split
import typer

from cimfed import console
from cimfed.command import DRY_RUN, JSON, Command
from cimfed.model.names import city_name, federation
from cimfed.rpc import clock
from cimfed.rpc.run import following, run
from cimfed.rpc.settings import check_bind
from cimfed.trust.identity_files import load_public_key, read
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_node.affected import lately, say_affected
from cimfed_node.announce import announced
from cimfed_node.cli_backup import backup, restore_
from cimfed_node.cli_block import block, list_blocks, unblock
from cimfed_node.cli_import import import_
from cimfed_node.cli_in_place import app as postgis
from cimfed_node.cli_join import join
from cimfed_node.cli_key import app as key_app
from cimfed_node.cli_log import app as log
from cimfed_node.cli_snapshots import app as snapshots
from cimfed_node.config import Home
from cimfed_node.doctor import doctor
from cimfed_node.foresee import Foreseen, foresee
from cimfed_node.operate import clear_away, opened, publisher
from cimfed_node.printing import building_progress, tell
from cimfed_node.serve import Keys, Node, drop_to, follower
from cimfed_node.setup import Plan, make_home
from cimfed_node.tables import Control
from cimfed_node.tables.publication import active_grants, active_policy, current_snapshots

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console.versioned(app, "cimfed-node", "A member city's node: its data, served under its signed access policy.")
HOME = Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]


@app.command()
def init(
    city: Annotated[str, typer.Argument(help="The member city, such as kz.almaty.")],
    home: HOME,
    federation_name: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    address: Annotated[str, typer.Option(help="host:port that gateways dial.")],
    root: Annotated[
        Path, typer.Option(exists=True, help="The root.json of the federation's directory: pinned from now on.")
    ],
    steward_key: Annotated[
        list[Path], typer.Option(exists=True, help="A steward's public key, a .pub file: pinned from now on.")
    ],
    directory: Annotated[str, typer.Option(help="host:port of the directory service.")],
    service_user: Annotated[str, typer.Option(help="The Unix user that serves, of its own: name or number.")] = "",
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
) -> None:
    """Makes the node's keys, settings and card."""
    plan = Plan(
        city_name(city),
        federation(federation_name),
        address,
        read(root),
        tuple(load_public_key(path) for path in steward_key),
        directory,
        service_user,
        listen,
        parse_token_key(key) if key else None,
    )
    made, card = make_home(home, plan, clock.now())
    console.say(f"{city} has its keys in {made.keys}, fingerprint {card.fingerprint}")
    console.say("Next:")
    console.say(f"  give {made.path / 'card.json'} to the administrator (cimfed member add)")
    console.say(f"  cimfed-node import FILE... --collection building --home {home}")
    console.say(f"  cimfed-node activate POLICY.policy.json --home {home}    (cimfed policy sign makes it)")
    console.say(f"  cimfed-node serve --home {home}")


app.command("join")(join)
app.command("import")(import_)
app.command("backup")(backup)
app.command("restore")(restore_)
app.add_typer(key_app, name="key")
app.add_typer(snapshots, name="snapshots")
app.add_typer(postgis, name="postgis")
app.command("doctor")(doctor)
app.command("block")(block)
app.command("unblock")(unblock)
app.command("blocks")(list_blocks)
app.add_typer(log, name="log")


@app.command()
def activate(
    policy: Annotated[Path, typer.Argument(help="A signed policy, *.policy.json.")],
    home: HOME,
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


@app.command()
def collections(home: HOME) -> None:
    """Shows what this node holds and what its policy gives."""
    with opened(home) as (_, control), control.reading() as connection:
        snapshots, policy, grants = (
            current_snapshots(connection),
            active_policy(connection),
            active_grants(connection),
        )
    rows = [
        (
            entry.collection,
            entry.id[:12],
            f"{entry.rows:,}",
            ", ".join(f"{corner:.4f}" for corner in entry.extent) if entry.extent else "",
            entry.operation,
            "unknown" if entry.accuracy is None else f"{entry.accuracy:g} m",
            ", ".join(f"{item.grant} {item.view[:12]}" for item in grants if item.collection == entry.collection),
        )
        for entry in snapshots.values()
    ]
    heads = ("collection", "snapshot", "rows", "extent (CRS84)", "operation", "accuracy", "grant and view")
    console.out.print(console.table(heads, rows))
    console.say(f"policy version {policy.version} is in force" if policy else "no policy is active: nothing is given")


@app.command()
def serve(
    home: HOME,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Not that of the settings; 0: any.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written with host:port once it serves.")] = None,
) -> None:
    """Serves until it is told to end (SIGTERM, Ctrl-C)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    at = Home.load(home)
    keys = Keys.load(at)
    clear_away(at)
    warning = drop_to(at)
    if warning:
        logging.getLogger(__name__).warning(warning)
    asyncio.run(_serve(at, keys, port, ready_file))


async def _serve(home: Home, keys: Keys, port: int | None, ready_file: Path | None) -> None:
    host, _, own = home.settings.listen.rpartition(":")
    bind = f"{host}:{own if port is None else port}"
    check_bind(bind)
    directories = follower(home, keys)
    with following(directories):
        node = Node(home, keys, directories, directories.files, bind)
        try:
            await run(node.server, host, node.service.self_test, ready_file)
        finally:
            await node.close()


def main() -> None:
    console.run(app)
