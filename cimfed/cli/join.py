"""`cimfed join`: a partner's way in, by an invitation."""

from __future__ import annotations

from typing import Annotated

import typer

from cimfed import joining, passphrase
from cimfed.cli.profile import check_free, make
from cimfed.client.ask import not_listed
from cimfed.client.profile import FILE, Profile, profile_home, profile_names, read_profile
from cimfed.command import DRY_RUN, JSON, Command
from cimfed.errors import BadConfig
from cimfed.model.names import GatewayName, Kind, gateway_name, partner_name
from cimfed.rpc.joining import Met


def join(
    token: joining.TokenArgument,
    profile: Annotated[str, typer.Option(help="A short name of your choice, or a path; else the federation's.")] = "",
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
        profile = profile or invitation.federation
        home = profile_home(profile)
        again = (home / FILE).exists()
        if again:
            made = read_profile(profile)
            joining.check_same(met, made.name, made.federation, home)
        else:
            check_free(home)
            through = _gateway(met, gateway)
            service = met.directory.service.address
            made = Profile(home, partner_name(invitation.name), invitation.federation, service, through)
        if former in profile_names():
            former = str(read_profile(former).access_key)
        joining.say_met(command, met, home, again, former)
        if not command.goes_on(""):
            return
        if not again:
            make(made, met.root, key, passphrase_file, no_passphrase)
        command.put(profile=profile, gateway=made.gateway)
        joining.send(command, met, made.card, wait, former, former_passphrase_file)


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
