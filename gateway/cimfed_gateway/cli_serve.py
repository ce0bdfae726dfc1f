"""`cimfed-gateway serve`: what a gateway is made of."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Annotated

import typer

from cimfed.model.names import Kind, federation
from cimfed.rpc import clock
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import Mirrors, mirror
from cimfed.rpc.run import following, run
from cimfed.rpc.server import Server
from cimfed.rpc.settings import check_bind
from cimfed.tlog.keeper import Keeper
from cimfed.trust.directory.follow import Follower
from cimfed.trust.own_keys import OwnKeys
from cimfed.trust.tls import LeafSource, Use
from cimfed_gateway.config import Home
from cimfed_gateway.fanout import Patience
from cimfed_gateway.registry import Registry
from cimfed_gateway.service import Gateway
from cimfed_gateway.tables import Journal


def serve(
    home: Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")],
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
