"""`cimfed access request | list`: a partner asks cities for what their policies do not give it, in its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console, passphrase
from cimfed.cli import office
from cimfed.client.ask import not_listed
from cimfed.client.profile import only_profile, read_profile
from cimfed.command import DRY_RUN, JSON, Command
from cimfed.errors import BadConfig, BadQuery, BadSignature, TooLarge
from cimfed.model.instants import instant_text
from cimfed.model.names import city_name
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.cursor import suggestion
from cimfed.rpc import clock
from cimfed.rpc.joining import looked_up
from cimfed.rpc.service import ServiceClient
from cimfed.trust.admin import AccessRequest, Occasion, read_access, seal_access
from cimfed.trust.directory import layout
from cimfed.trust.directory.listing import Directory
from cimfed.wire.admissions import AccessEntry

app = typer.Typer(no_args_is_help=True, help="What partners ask cities to be given.")
CITY = Annotated[
    list[str],
    typer.Option("--city", help="A city that is asked, such as kz.almaty; again for more.", show_default=False),
]


@app.command()
def request(
    city: CITY,
    collection: Annotated[str, typer.Option(help="Such as building.")],
    purpose: Annotated[str, typer.Option(help="What for, as policies name it, such as energy-planning.")],
    text: Annotated[str, typer.Option(help="In your own words, for the city's steward.")],
    profile: Annotated[str, typer.Option(help="The profile that asks; not needed where there is one.")] = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Asks cities for access: a request that the access key signs. Nothing is given by it."""
    with Command("access-request", as_json, dry_run=dry_run, yes=True) as command:
        own = read_profile(profile or only_profile())
        directory = looked_up(own.root, own.federation, own.service)
        cities = tuple(sorted({str(city_name(name)) for name in city}))
        missing = [name for name in cities if name not in directory.members]
        if missing:
            raise not_listed(missing[0], directory.members)
        if collection not in VOCABULARY.collections:
            raise BadQuery(
                f"there is no collection {collection[:64]!r}",
                place="--collection",
                remedy=suggestion(collection, VOCABULARY.collections),
            )
        command.put(partner=own.name, cities=list(cities), collection=collection, purpose=purpose, text=text)
        command.say(f"{own.name} asks {', '.join(cities)} for {collection}, for {purpose}")
        occasion = Occasion.now(own.federation, directory.service.name, clock.now())
        asked = AccessRequest(occasion, own.name, cities, collection, purpose, text)
        signer = passphrase.open_key(own.access_key, passphrase_file)
        try:
            envelope = seal_access(asked, signer)
        finally:
            signer.close()
        if not command.goes_on(""):
            return
        with ServiceClient(own.service, directory) as service:
            service.request_access(envelope)
        command.say("it is kept for 30 days, for the stewards of these cities and the administrator")


@app.command("list")
def list_(
    home: office.HomeOption,
    city: Annotated[str, typer.Option(help="Those to this city alone; for its steward.", show_default=False)] = "",
    key: Annotated[
        str, typer.Option("--key", help="A registrar's key, or with --city its steward's. Else the office's own.")
    ] = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Shows what partners ask for, the newest first, each verified by the partner's key."""
    with Command("access-requests", as_json) as command:
        at = office.read_office(home)
        directory = at.current()
        if city and not key and not (Path(home) / f"{layout.REGISTRAR}.key").exists():
            raise BadConfig("with which key is this to be asked?", remedy="Give --key, the steward's")
        with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
            found = at.administer(directory, signer, "access_requests", city=city).access_requests
        shown, strange = [], 0
        for entry in found:
            try:
                shown.append((entry, _verified(entry, directory)))
            except (BadSignature, BadQuery, TooLarge):
                strange += 1
        command.put(requests=[_facts(entry, asked) for entry, asked in shown])
        if not shown:
            command.say("nobody asks for access")
        for entry, asked in shown:
            command.say(
                f"{instant_text(entry.received)[:16]} {asked.partner} asks {', '.join(asked.cities)} for "
                f"{asked.collection}, for {asked.purpose}:"
            )
            for line in asked.text.splitlines():
                command.say(f"    {line}")
        if strange:
            command.note(
                f"{strange} requests are left out: no key that the directory lists for their partner signed them"
            )
        if not as_json and shown:
            console.err.print("What is given is for each city's policy to say", markup=False)


def _verified(entry: AccessEntry, directory: Directory) -> AccessRequest:
    """By any key of the partner that it names, also one that has ended since."""
    keys = {
        access.key: access.organisation for partner in directory.published.partners.values() for access in partner.keys
    }
    asked = read_access(entry.request, keys)
    own = [key for key, owner in keys.items() if owner == asked.partner]
    return read_access(entry.request, own)


def _facts(entry: AccessEntry, asked: AccessRequest) -> dict[str, Any]:
    return {
        "partner": asked.partner,
        "cities": list(asked.cities),
        "collection": asked.collection,
        "purpose": asked.purpose,
        "text": asked.text,
        "received": instant_text(entry.received),
    }
