"""What `cimfed key accept`, `cimfed-node key accept` and `cimfed-gateway key accept` share.

New keys of a party count here once a key of it that is known here has named them (``trust.directory.continuity``).
Where none can, because all were lost, whoever runs this profile, node or gateway compares its fingerprint with it and
accepts them. A server that runs takes it up within seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed.command import Command
from cimfed.errors import BadDirectory, NotFound
from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.trust.card import card_of, same_fingerprint
from cimfed.trust.directory.continuity import held_back
from cimfed.trust.directory.follow import accept_keys, last_known
from cimfed.trust.directory.listing import keys_of

NameArgument = Annotated[str, typer.Argument(help="Whose keys, such as inst.iitd or kz.almaty.")]
FingerprintOption = Annotated[
    str | None, typer.Option(help="As the party sees it: anything else is refused, and you are not asked.")
]


def accept(command: Command, folder: Path, of: Federation, name: str, fingerprint: str | None) -> None:
    """``folder``: where the directory is followed."""
    directory = last_known(folder, of, clock.now())
    if directory is None:
        raise NotFound("the directory was never fetched here", remedy="Is the directory service reachable?")
    party = next((party for party in directory.published.parties() if party.name == name), None)
    if party is None:
        raise NotFound(f"the directory does not list {name[:100]}")
    listed = card_of(of, party).fingerprint
    command.put(name=name, fingerprint=listed)
    command.say(f"{name}, fingerprint {listed}")
    if party not in held_back(directory):
        command.say("all of its keys count here already")
        return
    new = [*((key.id.hex(), "key") for key in keys_of(party)), *((one.id.hex(), "TLS issuer") for one in party.issuers)]
    new = [(id_, what) for id_, what in new if id_ in directory.strangers]
    command.put(keys=[id_ for id_, _ in new])
    command.say("it has keys that no key known here has named:")
    for id_, what in new:
        command.say(f"  {what} {id_[:16]}")
    if fingerprint is not None:
        if not same_fingerprint(fingerprint, listed):
            raise BadDirectory("it is listed with another fingerprint than the one given", place=name)
        command.agreed()
    if not command.goes_on(f"Does {name} see the same fingerprint, or these keys in cimfed key inspect card.json?"):
        return
    accept_keys(folder, party)
    command.say("they count here from now on")
