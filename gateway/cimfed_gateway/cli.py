"""`cimfed-gateway init | join | backup | restore | doctor | serve | directory | log`."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

from cimfed import program  # noqa: F401  # before what takes long

# isort: split
import typer

from cimfed import console
from cimfed.errors import NotFound
from cimfed.model.names import Kind, federation, gateway_name
from cimfed.rpc import clock
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import Mirrors, mirror
from cimfed.rpc.run import following, run
from cimfed.rpc.server import Server
from cimfed.rpc.settings import check_bind
from cimfed.tlog import commands
from cimfed.tlog.keeper import Keeper
from cimfed.trust.directory.follow import Follower
from cimfed.trust.identity_files import read
from cimfed.trust.own_keys import OwnKeys
from cimfed.trust.tls import LeafSource, Use
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_gateway.cli_backup import backup, restore_
from cimfed_gateway.cli_join import join
from cimfed_gateway.cli_key import app as key_app
from cimfed_gateway.config import Home
from cimfed_gateway.directory.cli import app as directory_app
from cimfed_gateway.doctor import doctor
from cimfed_gateway.fanout import Patience
from cimfed_gateway.registry import Registry
from cimfed_gateway.service import Gateway
from cimfed_gateway.setup import Plan, make_home
from cimfed_gateway.tables import Journal

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console.versioned(app, "cimfed-gateway", "A gateway: asks the cities that can answer, and brings their answers back.")
app.add_typer(directory_app, name="directory")
log_app = typer.Typer(no_args_is_help=True, help="The log: every query that was passed on, signed and checkable.")
app.add_typer(log_app, name="log")
app.command("backup")(backup)
app.command("restore")(restore_)
app.command("doctor")(doctor)
HOME = Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")]


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Such as gw.alliance.")],
    home: HOME,
    federation_name: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    address: Annotated[str, typer.Option(help="host:port that partners dial.")],
    root: Annotated[
        Path, typer.Option(exists=True, help="The root.json of the federation's directory: pinned from now on.")
    ],
    directory: Annotated[str, typer.Option(help="host:port of the directory service.")],
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
) -> None:
    """Makes the gateway's keys, settings and card."""
    plan = Plan(
        gateway_name(name),
        federation(federation_name),
        address,
        read(root),
        directory,
        listen,
        parse_token_key(key) if key else None,
    )
    card = make_home(home, plan)
    console.say(f"{name} has its keys in {home / 'keys'}, fingerprint {card.fingerprint}")
    console.say("Next:")
    console.say(f"  give {home / 'card.json'} to the administrator (cimfed member add)")
    console.say(f"  cimfed-gateway serve --home {home}")


app.command("join")(join)
app.add_typer(key_app, name="key")


@app.command()
def serve(
    home: HOME,
    ready_file: Annotated[Path | None, typer.Option(help="Written with host:port once it serves.")] = None,
) -> None:
    """Serves until it is told to end (SIGTERM, Ctrl-C)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(Home.load(home), ready_file))


async def _serve(home: Home, ready_file: Path | None) -> None:
    check_bind(home.settings.listen)
    alliance = federation(home.settings.federation)
    own = OwnKeys(home.path, Kind.GATEWAY, alliance, home.name, clock.now)
    leaves = own.leaves(Use.CLIENT)
    mirrors = Mirrors(alliance, home.settings.directory, home.name, leaves, home.settings.mirrors)
    directories = Follower(home.directory, alliance, mirrors, clock.now)
    with following(directories):
        own.follow(directories)
        await _serve_with(home, directories, own, leaves, ready_file)


async def _serve_with(
    home: Home, directories: Follower, own: OwnKeys, leaves: LeafSource, ready_file: Path | None
) -> None:
    channels = ChannelPool(directories, leaves)
    journal = Journal.open(home.journal)
    log = Keeper(journal, home.log_origin, own.signer, directories, channels.unary, clock.now)
    gateway = Gateway(
        name=home.name,
        signer=own.signer,
        directories=directories,
        channels=channels,
        journal=journal,
        registry=Registry(time.monotonic),
        patience=Patience(home.settings.city_time, home.settings.city_silence),
        now=clock.now,
    )
    server = Server(
        Kind.GATEWAY,
        home.settings.listen,
        directories,
        own.leaves(Use.SERVER),
        gateway.handlers(),
        {**mirror(directories.files), **log.handlers()},
    )
    log.start()
    try:
        await run(server, home.settings.listen.rpartition(":")[0], gateway.self_test, ready_file)
    finally:
        await gateway.close()
        await log.close()
        await channels.close()
        journal.close()


@log_app.command()
def verify(home: HOME, key: commands.KEYS = None) -> None:
    """Recomputes the log from its entries, and compares every hash and signed checkpoint."""
    at = Home.load(home)
    with closing(_journal(at)) as journal:
        commands.verify(journal, at.log_origin, commands.keys_of(at.path, key))


@log_app.command()
def export(file: commands.FILE, home: HOME) -> None:
    """Writes the log and its checkpoints to a file, one JSON line each."""
    at = Home.load(home)
    with closing(_journal(at)) as journal:
        commands.write(journal, at.log_origin, file)


def _journal(home: Home) -> Journal:
    """NotFound where the gateway never served."""
    if not home.journal.exists():
        raise NotFound("this gateway has no log yet", place=str(home.journal), remedy="It is made when it serves")
    return Journal.open(home.journal)


def main() -> None:
    console.run(app)
