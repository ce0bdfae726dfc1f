"""`cimfed profile new | list | show | default | remove`: a partner's keys and connection profiles."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console, joining, passphrase
from cimfed.client.ask import not_listed
from cimfed.client.profile import (
    PARTS,
    Profile,
    choose_profile,
    chosen_profile,
    only_profile,
    profile_home,
    profile_names,
    profiles_folder,
    read_profile,
    remove_profile,
    write_profile,
)
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import BadConfig, CimfedError, Conflict, NotFound
from cimfed.fresh import Fresh
from cimfed.model.names import federation, gateway_name, partner_name
from cimfed.rpc import clock
from cimfed.rpc.joining import looked_up
from cimfed.trust.card import Card, parse_card
from cimfed.trust.directory.documents import address
from cimfed.trust.directory.follow import last_known, pin
from cimfed.trust.directory.listing import Directory
from cimfed.trust.identity_files import make_identity, read, token_in

app = typer.Typer(no_args_is_help=True, help="Connection profiles of a partner.")

ProfileArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="Its name, or its folder's path.")]


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
    check_free(profile)
    make(made, pinned, key, passphrase_file, no_passphrase)
    card = parse_card(read(made.card))
    console.say(f"made the profile {profile} in {home}, fingerprint {card.fingerprint}")
    console.say(f"Send {made.card} to the administrator and tell them the fingerprint by another way")


@app.command("list")
def list_(as_json: JSON = False) -> None:
    """Shows the profiles that there are, and which is meant where none is named."""
    with Command("profiles", as_json) as command:
        found = [_listed(name, _meant()) for name in profile_names()]
        command.put(folder=str(profiles_folder()), profiles=found)
        if found:
            rows = [[each[column] for column in ("profile", "name", "federation", "gateway")] for each in found]
            marks = ["meant" if each["meant"] else each["trouble"] for each in found]
            columns = ("profile", "name", "federation", "gateway", "")
            command.show(console.table(columns, [(*row, mark) for row, mark in zip(rows, marks, strict=True)]))
        elif not as_json:
            console.err.print(f"there is no profile in {profiles_folder()}", markup=False)


@app.command()
def show(
    profile: Annotated[str, typer.Argument(metavar="[PROFILE]", help="Else the one that is meant.")] = "",
    as_json: JSON = False,
) -> None:
    """Shows whose a profile is, its keys, and how the directory lists them now."""
    with Command("profile-show", as_json) as command:
        profile = profile or only_profile()
        made = read_profile(profile)
        card = parse_card(read(made.card))
        command.put(profile=profile, meant=profile == _meant(), home=str(made.home))
        command.put(name=made.name, federation=made.federation, gateway=made.gateway, directory=made.service)
        command.say(f"profile {profile} in {made.home}: {made.name} of {made.federation}")
        command.say(f"it asks {made.gateway}, and the directory service at {made.service}")
        command.say(f"fingerprint {card.fingerprint}")
        _say_keys(command, card)
        state, said = _standing(made, card)
        command.put(fingerprint=card.fingerprint, state=state)
        command.say(said)


@app.command()
def default(
    profile: Annotated[str, typer.Argument(metavar="[PROFILE]", help="Its name; without one: says which it is.")] = "",
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Chooses the profile that is meant where none is named."""
    with Command("profile-default", as_json, dry_run=dry_run, yes=True) as command:
        if not profile:
            meant = only_profile()
            command.put(profile=meant)
            command.say(meant)
            return
        if os.sep in profile:
            raise BadConfig("a profile is chosen by its name", place=profile[:80], remedy="See cimfed profile list")
        read_profile(profile)
        command.put(profile=profile)
        if profile == chosen_profile():
            command.say(f"{profile} is meant already where none is named")
        elif command.goes_on(""):
            choose_profile(profile)
            command.say(f"{profile} is meant from now on where none is named")
        if (named := os.environ.get("CIMFED_PROFILE")) and named != profile:
            command.note(f"CIMFED_PROFILE names {named}, which comes before it")


@app.command()
def remove(
    profile: ProfileArgument,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Does away with a profile and its keys. Its party stays listed until the registrar takes it off."""
    with Command("profile-remove", as_json, dry_run=dry_run, yes=yes) as command:
        home = profile_home(profile)
        made = _whole(command, profile)
        command.put(profile=profile, home=str(home))
        command.say(f"profile {profile} in {home}{f': {made.name} of {made.federation}' if made else ''}")
        _say_lost(command, home, made)
        if not command.goes_on(f"Remove {profile} and its keys?"):
            return
        left = remove_profile(home)
        command.put(left=left)
        command.say(f"{profile} is removed")
        if left:
            command.note(f"{home} stays, since more is in it: {', '.join(left)}")


def check_free(profile: str) -> None:
    home = profile_home(profile)
    if home.exists() and any(home.iterdir()):
        raise Conflict(
            f"there is something in {home} already",
            remedy=f"Choose another --profile; or cimfed profile remove {profile}, which says what is lost by it",
        )


def make(made: Profile, root: bytes, key: str, passphrase_file: Path | None, no_passphrase: bool) -> Fresh:
    """Makes keys, card and profile; ``root`` is pinned, ``key`` a token's or empty."""
    token = passphrase.token_option(key)
    secret = passphrase.secret_for(token, passphrase_file, no_passphrase)

    def whole() -> None:
        make_identity(made.home, made.name, made.federation, clock.now(), passphrase=secret, token=token)
        pin(made.directory, root)
        write_profile(made)

    return Fresh.made(made.home, PARTS, whole)


def _meant() -> str:
    """The profile that is meant where none is named; empty where that would be an error."""
    try:
        return only_profile()
    except CimfedError:
        return ""


def _listed(name: str, meant: str) -> dict[str, Any]:
    found = {"profile": name, "meant": name == meant, "home": str(profile_home(name))}
    try:
        made = read_profile(name)
    except CimfedError as error:
        return {**found, "name": None, "federation": None, "gateway": None, "trouble": error.line}
    return {**found, "name": made.name, "federation": made.federation, "gateway": made.gateway, "trouble": None}


def _whole(command: Command, profile: str) -> Profile | None:
    """The profile; None for half of one, in the folder of profiles alone: elsewhere it may be something else."""
    home = profile_home(profile)
    try:
        return read_profile(profile)
    except CimfedError as error:
        there = [part for part in PARTS if (home / part).exists()]
        if os.sep in profile or not there or not isinstance(error, BadConfig | NotFound):
            raise
        command.note(f"it is no whole profile, of {', '.join(there)}: {error.message}")
        return None


def _say_lost(command: Command, home: Path, made: Profile | None) -> None:
    """Which keys go for good, and what others still have of them."""
    try:
        card = parse_card(read(home / "card.json"))
    except CimfedError:
        command.put(affected={"keys": [], "state": "unknown"})
        command.say("its card cannot be read: whatever keys are in it are lost, unless you keep a copy")
        return
    _say_keys(command, card)
    on_token = None
    if made is not None:
        with contextlib.suppress(CimfedError):
            on_token = token_in(made.access_key)
    if on_token is not None:
        command.say(
            f"The access key stays on the token {on_token.name}; the TLS issuing key is lost, unless you keep a copy"
        )
    else:
        command.say("These keys are lost, unless you keep a copy: nobody can ask with them any more")
    state, said = _standing(made, card) if made is not None else ("unknown", "")
    if said:
        command.say(said)
    if state in ("listed", "suspended"):
        command.say(
            f"It stays listed with them until the registrar takes it off (cimfed partner remove {card.name}) or "
            "invites it with --new-keys"
        )
    elif state in ("not_listed", "unknown"):
        command.say(f"Where its card still waits, the registrar denies it (cimfed requests deny {card.name})")
    command.put(affected={"keys": [key.id.hex() for key in card.keys], "state": state})


def _say_keys(command: Command, card: Card) -> None:
    keys, issuers = [key.id.hex() for key in card.keys], [issuer.id.hex() for issuer in card.issuers]
    command.put(keys=keys, issuers=issuers)
    for what, ids in (("access key", keys), ("TLS issuing key", issuers)):
        for id_ in ids:
            command.say(f"  {what} {id_[:16]}")


def _standing(made: Profile, card: Card) -> tuple[str, str]:
    """How the directory lists the profile's keys: a state, and a line that says it."""
    directory = _newest(made)
    if directory is None:
        return "unknown", f"Whether the directory lists {made.name} is not known: it could not be fetched"
    said = f"in version {directory.version} of the directory"
    party = directory.published.partners.get(made.name)
    if made.name in {item.subject for item in directory.revoked}:
        return "revoked", f"{made.name} was revoked {said}"
    if joining.revoked(directory, card):
        return "revoked", f"The key of {made.name} that is here was revoked {said}"
    if party is None:
        return "not_listed", f"{made.name} is not listed {said}"
    if {access.key for access in party.keys}.isdisjoint(card.keys):
        return "other_keys", f"{made.name} is listed with other keys {said}"
    if made.name not in directory.as_of(clock.now()).partners:
        return "suspended", f"{made.name} is suspended {said}"
    return "listed", f"{made.name} is listed with this key {said}"


def _newest(made: Profile) -> Directory | None:
    """As the service has it now, else as it was fetched last."""
    try:
        return looked_up(made.root, made.federation, made.service)
    except CimfedError:
        try:
            return last_known(made.directory, made.federation, clock.now())
        except CimfedError:
            return None
