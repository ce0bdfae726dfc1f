"""`cimfed-gateway directory init | begin | backup | restore | serve | doctor | log`."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.errors import CimfedError, Conflict
from cimfed.model.names import Kind, directory_name, federation
from cimfed.rpc import clock
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import mirror
from cimfed.rpc.options import DIRECTORY_SERVER
from cimfed.rpc.run import run
from cimfed.rpc.server import Server
from cimfed.rpc.settings import bind_of, check_bind, settings_of, toml
from cimfed.rpc.throttle import Throttle
from cimfed.tlog import commands
from cimfed.tlog.keeper import Keeper
from cimfed.trust.directory import publication
from cimfed.trust.directory.follow import fingerprint
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import (
    load_issuing_key,
    load_signer,
    load_signing_key,
    make_identity,
    make_signing_key,
    name_signing_key,
    read,
)
from cimfed.trust.keys import Signer, works
from cimfed.trust.tls import LeafSource, Use
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_gateway.directory.cli_backup import backup, restore_
from cimfed_gateway.directory.config import FILE, Home, Settings
from cimfed_gateway.directory.doctor import doctor
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.service import ALLOWANCES, Service
from cimfed_gateway.directory.tables import Records

RENEW_EVERY = 10.0  # seconds between two looks whether a timestamp is due

app = typer.Typer(no_args_is_help=True, help="The directory service: publishes the directory, and lets parties join.")
log = logging.getLogger(__name__)
app.command("doctor")(doctor)
log_app = typer.Typer(no_args_is_help=True, help="The log: what was published, who was admitted by whom.")
app.add_typer(log_app, name="log")
app.command("backup")(backup)
app.command("restore")(restore_)
HOME = Annotated[Path, typer.Option(help="The service's folder.", envvar="CIMFED_DIRECTORY_HOME")]


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Such as dir.alliance.")],
    home: HOME,
    federation_name: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    address: Annotated[str, typer.Option(help="host:port that everybody dials.")],
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
    online_key: Annotated[str, typer.Option(help="Likewise for the key of snapshot and timestamp.")] = "",
) -> None:
    """Makes the service's keys, settings and card."""
    directory_name(name)
    alliance, bound = federation(federation_name), bind_of(address)
    values = {"name": name, "federation": federation_name, "listen": listen or bound}
    place = Home(home, settings_of(Settings, values, "--"))
    token, online = (parse_token_key(text) if text else None for text in (key, online_key))
    home.mkdir(mode=0o750, parents=True, exist_ok=True)
    card = make_identity(home, name, alliance, clock.now(), address, token=token)
    if online is None:
        make_signing_key(place.online_key, None)
    else:
        name_signing_key(place.online_key, online, None)
    Records.create(place.records).close()
    create_file(home / FILE, toml(values))
    console.say(f"{name} has its keys in {home / 'keys'}, fingerprint {card.fingerprint}")
    console.say("Next:")
    console.say(f"  give {home / 'card.json'} and {place.online_key.with_suffix('.pub')} to the board")
    console.say(f"  cimfed-gateway directory begin DRAFT --home {home}, with the draft that everybody signed")
    console.say(f"  cimfed-gateway directory serve --home {home}")


@app.command()
def begin(
    draft: Annotated[Path, typer.Argument(exists=True, help="The first draft, signed by everybody.")],
    home: HOME,
) -> None:
    """Publishes the first version of the directory. Later ones are sent to the running service."""
    place = Home.load(home)
    with _alone(place), _records(place) as records, _repository(place, records) as repository:
        directory = repository.begin(publication.from_file(read(draft), str(draft)))
    root = (place.repository / "root.json").read_bytes()
    console.say(f"version {directory.version} of the directory of {directory.federation} is published")
    console.say(f"  its root is {place.repository / 'root.json'}, SHA-256 {fingerprint(root)}")


@app.command()
def serve(
    home: HOME,
    ready_file: Annotated[Path | None, typer.Option(help="Written with host:port once it serves.")] = None,
) -> None:
    """Serves until it is told to end (SIGTERM, Ctrl-C)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    place = Home.load(home)
    with _alone(place), _records(place) as records, _repository(place, records) as repository:
        asyncio.run(_serve(place, records, repository, ready_file))


@log_app.command()
def verify(home: HOME, key: commands.KEYS = None) -> None:
    """Recomputes the log from its entries, and compares every hash and signed checkpoint."""
    place = Home.load(home)
    with _records(place) as records:
        commands.verify(records, place.log_origin, commands.keys_of(place.path, key))


@log_app.command()
def export(file: commands.FILE, home: HOME) -> None:
    """Writes the log and its checkpoints to a file, one JSON line each."""
    place = Home.load(home)
    with _records(place) as records:
        commands.write(records, place.log_origin, file)


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
        _check_signs(signer)
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


@contextmanager
def _repository(home: Home, records: Records) -> Iterator[Repository]:
    with closing(load_signing_key(home.online_key)) as online:
        _check_signs(online)
        of = federation(home.settings.federation)
        yield Repository(home.repository, of, home.name, online, records, clock.now)


def _check_signs(signer: Signer) -> None:
    if not works(signer):
        raise CimfedError("a key of the directory service does not sign")


@contextmanager
def _records(home: Home) -> Iterator[Records]:
    records = Records.open(home.records)
    try:
        yield records
    finally:
        records.close()


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """One process writes the directory; Conflict where another does."""
    handle = os.open(home.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("the directory service is running already", place=str(home.path)) from None
        yield
    finally:
        os.close(handle)
