"""`cimfed-gateway directory serve`: what the directory service is made of."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from cimfed.errors import CimfedError
from cimfed.model.names import Kind, federation
from cimfed.rpc import clock
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import mirror
from cimfed.rpc.options import DIRECTORY_SERVER
from cimfed.rpc.run import run
from cimfed.rpc.server import Server
from cimfed.rpc.settings import check_bind
from cimfed.rpc.throttle import Throttle
from cimfed.tlog.keeper import Keeper
from cimfed.trust.identity_files import load_issuing_key, load_signer
from cimfed.trust.tls import LeafSource, Use
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.opening import alone, check_signs, opened_records, opened_repository
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.service import ALLOWANCES, Service
from cimfed_gateway.directory.tables import Records

RENEW_EVERY = 10.0  # seconds between two looks whether a timestamp is due

log = logging.getLogger(__name__)


def serve(
    home: Annotated[Path, typer.Option(help="The service's folder.", envvar="CIMFED_DIRECTORY_HOME")],
    ready_file: Annotated[Path | None, typer.Option(help="Written with host:port once it serves.")] = None,
) -> None:
    """Serves until it is told to end (SIGTERM, Ctrl-C)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    place = Home.load(home)
    with alone(place), opened_records(place) as records, opened_repository(place, records) as repository:
        asyncio.run(_serve(place, records, repository, ready_file))


async def _serve(home: Home, records: Records, repository: Repository, ready_file: Path | None) -> None:
    check_bind(home.settings.listen)
    alliance, signer = federation(home.settings.federation), load_signer(home.path, Kind.DIRECTORY)
    repository.roster()
    repository.renew()
    repository.settle()
    service = Service(records, repository, clock.now)
    issuing = load_issuing_key(home.path)
    channels = ChannelPool(repository, LeafSource(issuing, alliance, home.name, Use.CLIENT))
    keeper = Keeper(records, home.log_origin, signer, repository, channels.unary, clock.now)
    server = Server(
        Kind.DIRECTORY,
        home.settings.listen,
        None,
        LeafSource(issuing, alliance, home.name, Use.SERVER),
        {},
        {**service.handlers(), **mirror(repository.files), **keeper.handlers()},
        options=DIRECTORY_SERVER,
        throttle=Throttle(ALLOWANCES),
    )

    async def self_test() -> None:
        check_signs(signer)
        await asyncio.to_thread(records.self_test)

    keeper.start()
    renewing = asyncio.create_task(renew_for_ever(repository))
    try:
        await run(server, home.settings.listen.rpartition(":")[0], self_test, ready_file)
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        await keeper.close()
        await channels.close()
        signer.close()


async def renew_for_ever(repository: Repository, every: float = RENEW_EVERY) -> None:
    """Keeps timestamp and snapshot from ending. What goes wrong is logged: there are minutes to mend it."""
    while True:
        try:
            await asyncio.to_thread(repository.renew)
        except CimfedError as error:
            log.error("the timestamp could not be renewed: %s", error)
        except Exception:
            log.exception("the timestamp could not be renewed")
        await asyncio.sleep(every)
