"""`cimfed profile new | list`: a partner's keys and connection profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.client.ask import not_listed
from cimfed.client.profile import Profile, profile_home, profile_names, profiles_folder, read_profile, write_profile
from cimfed.errors import CimfedError, Conflict
from cimfed.model.names import federation, gateway_name, partner_name
from cimfed.rpc import clock
from cimfed.rpc.joining import looked_up
from cimfed.trust.card import Card
from cimfed.trust.directory.documents import address
from cimfed.trust.directory.follow import pin
from cimfed.trust.identity_files import make_identity, read

app = typer.Typer(no_args_is_help=True, help="Connection profiles of a partner.")


@app.command()
def new(
    profile: Annotated[str, typer.Argument(help="A short name of your choice, or a path.")],
    name: Annotated[str, typer.Argument(help="The institution, such as inst.tsinghua.")],
    of: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    root: Annotated[
        Path, typer.Option(exists=True, help="root.json of the federation's directory: what you will trust.")
    ],
    directory: Annotated[str, typer.Option(help="host:port of the directory service.")],
    gateway: Annotated[str, typer.Option(help="The gateway to ask, such as gw.alliance.")],
    key: passphrase.TokenOption = "",
    passphrase_file: passphrase.FileOption = None,
    no_passphrase: passphrase.NoneOption = False,
) -> None:
    """Makes an institution's keys and profile, and the card that its administrator lists it by."""
    home = profile_home(profile)
    made = Profile(home, partner_name(name), federation(of), address(directory), gateway_name(gateway))
    pinned = read(root)
    current = looked_up(pinned, made.federation, made.service)
    if made.gateway not in current.gateways:
        raise not_listed(made.gateway, current.gateways)
    check_free(home)
    card = make(made, pinned, key, passphrase_file, no_passphrase)
    console.say(f"made the profile {profile} in {home}, fingerprint {card.fingerprint}")
    console.say(f"Send {made.card} to the administrator and tell them the fingerprint by another way")


@app.command("list")
def list_() -> None:
    """Shows the profiles that there are."""
    rows: list[tuple[str, ...]] = []
    for name in profile_names():
        try:
            made = read_profile(name)
            rows.append((name, made.name, made.federation, made.gateway))
        except CimfedError as error:
            rows.append((name, error.line, "", ""))
    if rows:
        console.out.print(console.table(("profile", "name", "federation", "gateway"), rows))
    else:
        console.err.print(f"there is no profile in {profiles_folder()}", markup=False)


def check_free(home: Path) -> None:
    if home.exists() and any(home.iterdir()):
        raise Conflict(f"there is a profile in {home} already", remedy="Choose another name, or remove it yourself")


def make(made: Profile, root: bytes, key: str, passphrase_file: Path | None, no_passphrase: bool) -> Card:
    """Makes keys, card and profile; ``root`` is pinned, ``key`` a token's or empty."""
    token = passphrase.token_option(key)
    secret = passphrase.secret_for(token, passphrase_file, no_passphrase)
    card = make_identity(made.home, made.name, made.federation, clock.now(), passphrase=secret, token=token)
    pin(made.directory, root)
    write_profile(made)
    return card
