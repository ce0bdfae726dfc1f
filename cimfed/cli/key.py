"""`cimfed key …`: keys of all kinds, a partner's access keys, and whose keys count.

What is shown of keys is what the directory says, as an office knows it (``--home``) or a partner's profile
(``--profile``). Which key is whose, and until when, only the registrar changes; what is revoked, only the revoker.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import accepting, console, passphrase, rotating
from cimfed.cli import cards, office
from cimfed.cli.known_keys import KnownKey, find_keys, key_digits, known_keys, named
from cimfed.cli.new_key import new_key, public_key
from cimfed.cli.partner import KeyDaysOption, validity
from cimfed.client.profile import only_profile, read_profile
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import BadConfig, BadDirectory, CimfedError, NotFound
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.trust.card import Card, card_of, endorsed, parse_card
from cimfed.trust.directory.edit import renewed, with_more_keys
from cimfed.trust.directory.follow import last_known
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.files import replace_file
from cimfed.trust.identity_files import read
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Issuer
from cimfed.trust.token.uri import parse_key_place

app = typer.Typer(no_args_is_help=True, help="Keys: made, shown, given to partners.")
app.command("new")(new_key)
app.command("public")(public_key)

OfficeOption = Annotated[
    Path | None, typer.Option("--home", help="The office whose directory is meant.", envvar="CIMFED_OFFICE")
]
ProfileOption = Annotated[str, typer.Option("--profile", help="The profile whose directory is looked at instead.")]
PARTNER = Annotated[str, typer.Argument(metavar="PARTNER", help="Such as inst.iitd.")]


@app.command("list")
def list_(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Of this party alone.", show_default=False)] = "",
    home: OfficeOption = None,
    profile: ProfileOption = "",
    as_json: JSON = False,
) -> None:
    """Shows the keys that the directory names: ids, whose they are, until when, what is revoked."""
    with Command("keys", as_json) as command:
        directory = _directory(command, home, profile)
        if directory is None:
            raise BadConfig("whose directory is to be looked at?", remedy="Give --home or --profile")
        keys = known_keys(directory)
        found = [key for key in keys if not name or key.owner == name]
        if not found:
            raise NotFound(f"the directory has no keys of {name[:100]}")
        _show(command, found)


@app.command()
def inspect(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|ID|NAME", help="A .pub file, a card, a certificate, 8 digits of an id, or a party."
        ),
    ],
    home: OfficeOption = None,
    profile: ProfileOption = "",
    as_json: JSON = False,
) -> None:
    """Shows a key, or the keys of a card or a party: whole ids, and whether the directory lists them."""
    with Command("key", as_json) as command:
        directory = _directory(command, home, profile)
        keys = known_keys(directory) if directory else []
        card, made = _of_file(Path(what)) if Path(what).is_file() else (None, ())
        if card is not None:
            command.put(name=card.name, kind=str(card.kind), federation=card.federation, fingerprint=card.fingerprint)
            command.say(f"card of the {card.kind} {card.name} in {card.federation}, fingerprint {card.fingerprint}")
            if directory is not None:
                _compare(command, card, directory)
        if made:
            found = [_known(keys, id_, kind) for id_, kind in made]
        elif directory is None:
            raise BadConfig("ids and names are looked up in a directory", remedy="Give --home or --profile")
        else:
            found = find_keys(keys, what)
            if not found and named(what):
                raise NotFound(f"the directory does not list {what[:100]}")
            found = found or [_known(keys, key_digits(what), "key")]
        _show(command, found, whole=True)


@app.command()
def issue(
    partner: PARTNER,
    home: office.HomeOption,
    card: Annotated[Path, typer.Option(exists=True, help="The card.json of whoever is to have a key of its own.")],
    key_days: KeyDaysOption = 365,
    fingerprint: cards.FingerprintOption = None,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Lists a further access key of a partner, by its card. Those that it has stay as they are."""
    with Command("key-issue", as_json, dry_run=dry_run, yes=yes) as command:
        at = office.read_office(home)
        facts = cards.read_card(card, at, Kind.PARTNER)
        if facts.name != partner:
            raise BadDirectory(f"this is the card of {facts.name}", place=str(card))
        cards.list_card(
            command, facts, at, lambda listing: with_more_keys(listing, facts, validity(key_days)), fingerprint, True,
            key=key, passphrase_file=passphrase_file, out=out, days=days, more=True,
        )  # fmt: skip


@app.command()
def renew(
    partner: PARTNER,
    home: office.HomeOption,
    key_days: KeyDaysOption = 365,
    only: Annotated[
        str, typer.Option("--only", help="This key alone: 8 or more digits of its id.", show_default=False)
    ] = "",
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Lets a partner's access keys be valid for longer: so many days from today."""
    with Command("key-renew", as_json, dry_run=dry_run, yes=yes) as command:
        until = validity(key_days)[1]
        command.put(partner=partner, until=instant_text(until))
        command.say(f"access keys of {partner} to be valid until {instant_text(until)[:10]}")

        def edit(listing: Listing) -> Listing:
            return renewed(listing, partner, until, clock.now(), only.lower())

        def about(directory: Directory) -> None:
            keys = [
                key for key in known_keys(directory) if key.owner == partner and key.valid and key.id.startswith(only)
            ]
            for item in keys:
                command.say(f"  {item.shown}, {item.state(clock.now())}")

        office.change(
            command, office.read_office(home), edit, f"Renew the keys of {partner}?",
            key=key, passphrase_file=passphrase_file, out=out, days=days, about=about,
        )  # fmt: skip


@app.command()
def rotate(
    profile: Annotated[str, typer.Option(help="The profile whose key changes; not needed where there is one.")] = "",
    tls: rotating.TlsOption = False,
    finish: rotating.FinishOption = False,
    wait: rotating.WaitOption = False,
    key: passphrase.TokenOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """A partner changes its access key: makes one beside the old, and hands in a card that names both.

    The new one has the old one's passphrase. It is used from the first question after the directory lists it.
    """
    with Command("key-rotate", as_json, dry_run=dry_run, yes=yes or not finish) as command:
        own = read_profile(profile or only_profile())
        party = rotating.Party(own.home, Kind.PARTNER, own.name, own.federation, own.service, own.root)
        rotating.rotate(
            command, party, tls=tls, finish=finish, wait=wait, key=key, passphrase_file=passphrase_file
        )  # fmt: skip


@app.command()
def endorse(
    card: Annotated[Path, typer.Argument(exists=True, help="A card.json with new keys of the same party.")],
    key: Annotated[str, typer.Option(help="The key that names them its successors: a file, or a pkcs11: URI.")],
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Signs a card by a key that its party had before, or by its steward's: others then take the new keys for its own.

    Look at the fingerprint first: whoever has those keys is the party from then on.
    """
    with Command("key-endorse", as_json, dry_run=dry_run, yes=True) as command:
        facts = parse_card(read(card))
        command.put(name=facts.name, fingerprint=facts.fingerprint)
        command.say(f"card of the {facts.kind} {facts.name}, fingerprint {facts.fingerprint}")
        if not command.goes_on(""):
            return
        signer = passphrase.open_key(parse_key_place(key), passphrase_file)
        try:
            replace_file(card, endorsed(read(card), signer))
        finally:
            signer.close()
        command.say(f"signed by key {signer.public.id.hex()[:16]}: hand it in again, or send it to the administrator")


@app.command()
def accept(
    name: accepting.NameArgument,
    home: OfficeOption = None,
    profile: Annotated[str, typer.Option(help="The profile that is to know them; not needed where there is one.")] = "",
    fingerprint: accepting.FingerprintOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Takes new keys for a party's own that none of its former keys has named: all of those were lost.

    For a profile, or for an office (--home). Compare the fingerprint with that party first, not with the registrar.
    """
    with Command("key-accept", as_json, dry_run=dry_run, yes=yes) as command:
        if home is not None and not profile:
            at = office.read_office(home)
            accepting.accept(command, at.home / "directory", at.federation, name, fingerprint)
        else:
            own = read_profile(profile or only_profile())
            accepting.accept(command, own.directory, own.federation, name, fingerprint)


def _directory(command: Command, home: Path | None, profile: str) -> Directory | None:
    """The directory as the office or the profile knows it; None where neither is named."""
    if profile:
        known = read_profile(profile)
        found = last_known(known.directory, known.federation, clock.now())
        if found is None:
            raise NotFound("the profile has not fetched the directory yet", remedy="Ask something first")
        return found
    if home is None:
        return None
    directory, trouble = office.read_office(home).known()
    if trouble is not None:
        command.note(f"this is what was known last: {trouble.line}")
    return directory


def _of_file(path: Path) -> tuple[Card | None, tuple[tuple[str, str], ...]]:
    """The card in a file, if it is one, and the ids of the keys in it."""
    content = read(path)
    if content.startswith(b"ed25519:"):
        return None, ((PublicKey.parse(content.decode("ascii", "replace")).id.hex(), "signing key"),)
    if content.startswith(b"-----BEGIN CERTIFICATE"):
        return None, ((Issuer(content).id.hex(), "TLS issuing key"),)
    if b"PRIVATE KEY" in content:
        raise BadConfig(
            "this is a private key: it is not looked into here",
            place=str(path),
            remedy="cimfed key public prints its public half",
        )
    try:
        card = parse_card(content)
    except CimfedError:
        raise BadConfig("neither a public key, a card, nor a certificate", place=str(path)) from None
    return card, tuple(_ids(card))


def _ids(card: Card) -> Iterator[tuple[str, str]]:
    yield from ((key.id.hex(), "signing key") for key in card.keys)
    yield from ((key.id.hex(), "steward's key") for key in card.stewards)
    yield from ((issuer.id.hex(), "TLS issuing key") for issuer in card.issuers)


def _compare(command: Command, card: Card, directory: Directory) -> None:
    party = next((party for party in directory.published.parties() if party.name == card.name), None)
    if party is None:
        same, said = None, f"the directory does not list {card.name}"
    else:
        listed = card_of(card.federation, party)
        same = listed.fingerprint == card.fingerprint
        said = "listed as it is" if same else f"{card.name} is listed with another fingerprint: {listed.fingerprint}"
    command.put(listed=same)
    command.say(said)


def _known(keys: list[KnownKey], id_: str, kind: str) -> KnownKey:
    return next((key for key in keys if key.id == id_), KnownKey(id_, kind, "", listed=False))


def _show(command: Command, keys: list[KnownKey], whole: bool = False) -> None:
    now = clock.now()
    command.put(keys=[_facts(key, now) for key in keys])
    rows = [(key.id if whole else key.id[:16], key.what, key.owner, key.state(now)) for key in keys]
    command.show(console.table(("id", "what", "whose", "state"), rows))


def _facts(key: KnownKey, now: int) -> dict[str, Any]:
    revoked = key.revoked
    return {
        "key": key.id,
        "what": key.what,
        "owner": key.owner or None,
        "valid": [instant_text(time) for time in key.valid] if key.valid else None,
        "listed": key.listed,
        "valid_now": key.listed and revoked is None and (key.valid is None or key.valid[0] <= now < key.valid[1]),
        "revoked": {"at": instant_text(revoked.at), "reason": revoked.reason} if revoked else None,
    }
