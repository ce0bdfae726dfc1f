"""`cimfed-gateway directory init | begin`: a new service, and the first version of what it publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.model.names import directory_name, federation
from cimfed.rpc import clock
from cimfed.rpc.settings import bind_of, settings_of, toml
from cimfed.trust.directory import publication
from cimfed.trust.directory.follow import fingerprint
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import make_identity, make_signing_key, name_signing_key, read
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_gateway.directory.config import FILE, Home, Settings
from cimfed_gateway.directory.opening import alone, opened_records, opened_repository
from cimfed_gateway.directory.tables import Records

HOME = Annotated[Path, typer.Option(help="The service's folder.", envvar="CIMFED_DIRECTORY_HOME")]


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


def begin(
    draft: Annotated[Path, typer.Argument(exists=True, help="The first draft, signed by everybody.")],
    home: HOME,
) -> None:
    """Publishes the first version of the directory. Later ones are sent to the running service."""
    place = Home.load(home)
    with alone(place), opened_records(place) as records, opened_repository(place, records) as repository:
        directory = repository.begin(publication.from_file(read(draft), str(draft)))
    root = (place.repository / "root.json").read_bytes()
    console.say(f"version {directory.version} of the directory of {directory.federation} is published")
    console.say(f"  its root is {place.repository / 'root.json'}, SHA-256 {fingerprint(root)}")
