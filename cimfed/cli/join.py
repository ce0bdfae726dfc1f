"""`cimfed join`: a partner's way in, by an invitation."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cimfed import joining, passphrase
from cimfed.cli.profile import check_free, make
from cimfed.client.ask import not_listed
from cimfed.client.profile import (
    FILE,
    Profile,
    choose_profile,
    chosen_profile,
    profile_home,
    profile_names,
    read_profile,
)
from cimfed.command import DRY_RUN, JSON, Command
from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import GatewayName, Kind, gateway_name, partner_name
from cimfed.rpc.joining import Met
from cimfed.trust.card import parse_card
from cimfed.trust.identity_files import read


def join(
    token: joining.TokenArgument,
    profile: Annotated[
        str,
        typer.Option(help="A short name of your choice, or a path; else the federation's, or the party's."),
    ] = "",
    gateway: Annotated[str, typer.Option(help="The gateway to ask; not needed where there is one.")] = "",
    wait: joining.WaitOption = False,
    key: passphrase.TokenOption = "",
    passphrase_file: passphrase.FileOption = None,
    no_passphrase: passphrase.NoneOption = False,
    former: Annotated[
        str,
        typer.Option(
            metavar="KEY|PROFILE", help="An access key that you had before: it names the new one its successor."
        ),
    ] = "",
    former_passphrase_file: joining.FormerPassphraseOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Joins a federation as a partner: makes keys and a profile, and hands in the card for the administrator."""
    with Command("join", as_json, dry_run=dry_run, yes=True) as command:
        met = joining.invited(token, Kind.PARTNER)
        invitation = met.invitation
        profile = profile or _free_name(met)
        home = profile_home(profile)
        again = (home / FILE).exists()
        if again:
            made = read_profile(profile)
            remedy = f"Name another --profile; cimfed profile remove {profile} does away with this one"
            joining.check_same(met, made.name, made.federation, home, remedy)
        else:
            check_free(profile)
            through = _gateway(met, gateway)
            service = met.directory.service.address
            made = Profile(home, partner_name(invitation.name), invitation.federation, service, through)
        if former in profile_names():
            former = str(read_profile(former).access_key)
        joining.say_met(command, met, home, again, former)
        if not command.goes_on(""):
            return
        fresh = None if again else make(made, met.root, key, passphrase_file, no_passphrase)
        command.put(profile=profile, gateway=made.gateway)
        joining.send(command, met, made.card, wait, former, former_passphrase_file, fresh)
        _choose(command, met, profile)


def _free_name(met: Met) -> str:
    """The federation's name; the party's own where a profile of another party has that."""
    of = met.invitation.federation
    try:
        return of if read_profile(of).name == met.invitation.name else met.invitation.name
    except CimfedError:  # none is there, or half of one, of which more is said later
        return of


def _choose(command: Command, met: Met, profile: str) -> None:
    """Where other profiles are there: this one is meant from now on, unless one of those is in use."""
    others = [name for name in profile_names() if name != profile]
    if os.sep in profile or not others or chosen_profile() == profile:
        return
    if any(_in_use(met, name) for name in others):
        command.note(
            f"other profiles are here, {', '.join(others)}: name this one where it is meant (--profile {profile}), or "
            f"choose it (cimfed profile default {profile})"
        )
    else:
        choose_profile(profile)
        command.say(f"{profile} is meant from now on where no profile is named: {', '.join(others)} can ask nothing")


def _in_use(met: Met, profile: str) -> bool:
    """Whether the directory lists its key; of a profile of another federation nobody knows that here."""
    try:
        other = read_profile(profile)
        if other.federation != met.invitation.federation:
            return True
        listed = met.directory.partners.get(other.name)
        return listed is not None and not {each.key for each in listed.keys}.isdisjoint(
            parse_card(read(other.card)).keys
        )
    except CimfedError:
        return False


def _gateway(met: Met, named: str) -> GatewayName:
    there = met.directory.gateways
    if named:
        found = gateway_name(named)
        if found not in there:
            raise not_listed(found, there)
        return found
    if len(there) != 1:
        raise BadConfig(
            "the federation has several gateways" if there else "the federation lists no gateway yet",
            place="--gateway",
            remedy=f"Name one: {', '.join(sorted(there))}" if there else "Join once it does",
        )
    return next(iter(there))
