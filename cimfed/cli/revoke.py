"""`cimfed revoke KEY|NAME | renew | list`: what is revoked, by the revoker.

The list is only ever added to, and says that it is good for a day: whoever has stolen the directory service's keys
cannot hide a revocation for longer. So it is renewed, by a timer or by whoever is on call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console, passphrase
from cimfed.cli import known_keys, office
from cimfed.cli.known_keys import ACCESS, ISSUER, ROLES, STEWARD, KnownKey
from cimfed.cli.office import Office
from cimfed.cli.parties import say_party
from cimfed.cli.words import Unsaid
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import BadConfig, NotFound
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind, kind_of
from cimfed.rpc import clock
from cimfed.trust.directory import documents, layout
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.listing import Directory, Revocation
from cimfed.trust.directory.publication import revoker_draft


class _Revoke(Unsaid):
    unsaid = "add"


app = typer.Typer(cls=_Revoke, no_args_is_help=True, help="Revokes a key or a party: at once, everywhere, for good.")


@app.command()
def add(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="KEY|NAME",
            help="A party, or a key: 8 or more digits of its id, or its .pub file.",
            show_default=False,
        ),
    ],
    home: office.HomeOption,
    reason: Annotated[str, typer.Option(help="Why, one line; everybody can read it.")],
    unlisted: Annotated[bool, typer.Option("--unlisted", help="Also what the directory does not list.")] = False,
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Revokes a key, or a party with all its keys. The word `add` may be left out: cimfed revoke KEY|NAME."""
    with Command("revoke", as_json, dry_run=dry_run, yes=yes) as command:
        documents.reason(reason)
        at = office.read_office(home)
        directory = at.current()
        meant, hit = _meant(directory, subject, unlisted)
        command.put(subject=meant, reason=reason)
        stands = next((item for item in directory.revoked if item.subject == meant), None)
        if stands is not None:
            command.put(**_row(stands))
            command.say(f"{meant} was revoked already, at {instant_text(stands.at)[:19]} UTC: {stands.reason}")
            return
        command.say(f"to be revoked, for good: {meant}")
        _say_affected(command, directory, meant, hit)
        if not command.goes_on(f"Revoke {meant}?"):
            return
        made = Revocation(meant, reason, clock.now() // 1_000_000 * 1_000_000)
        _publish(command, at, directory, (*directory.revoked, made), key, passphrase_file)
        command.put(**_row(made))
        command.say(f"{meant} is revoked; nodes and gateways have it within seconds, and end what runs")


@app.command()
def renew(
    home: office.HomeOption,
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    _yes: Annotated[bool, typer.Option("--yes", help="It does not ask anyway.")] = False,
) -> None:
    """Says for another day what is revoked. It does not ask, since nothing changes: for a timer."""
    with Command("revoke-renew", as_json, dry_run=dry_run, yes=True) as command:
        at = office.read_office(home)
        directory = at.current()
        command.say(
            f"{len(directory.revoked)} revoked; good until {instant_text(directory.ends[layout.REVOKER])[:19]} UTC"
        )
        if command.goes_on(""):
            _publish(command, at, directory, directory.revoked, key, passphrase_file)


@app.command("list")
def list_(home: office.HomeOption, as_json: JSON = False) -> None:
    """Shows what is revoked, the last first, and until when the list is good."""
    with Command("revocations", as_json) as command:
        directory, trouble = office.read_office(home).known()
        owners = {key.id: key.shown for key in known_keys.known_keys(directory)}
        newest = sorted(directory.revoked, key=lambda item: item.at, reverse=True)
        command.put(revoked=[_row(item) for item in newest], expires=instant_text(directory.ends[layout.REVOKER]))
        rows = [(owners.get(item.subject, item.subject), instant_text(item.at)[:19], item.reason) for item in newest]
        if rows:
            command.show(console.table(("revoked", "since (UTC)", "reason"), rows))
        else:
            command.say("nothing is revoked")
        command.say(f"good until {instant_text(directory.ends[layout.REVOKER])[:19]} UTC")
        if trouble is not None:
            command.note(f"this is what was known last: {trouble.line}")


def _publish(
    command: Command,
    at: Office,
    directory: Directory,
    revoked: tuple[Revocation, ...],
    key: str,
    passphrase_file: Path | None,
) -> None:
    draft = revoker_draft(directory.versions[layout.REVOKER] + 1, at.federation, revoked, clock.now())
    published = office.sign_and_publish(command, at, directory, draft, layout.REVOKER, key, passphrase_file, None)
    if published is not None:
        command.put(published=instant_text(published.issued), expires=instant_text(published.ends[layout.REVOKER]))


def _meant(directory: Directory, word: str, unlisted: bool) -> tuple[str, list[KnownKey]]:
    """What the list will say, and the keys that it hits."""
    hit = known_keys.find_keys(known_keys.known_keys(directory), word)
    for key in hit:
        if not known_keys.named(word) and (
            key.what == STEWARD or (not key.owner and key.what != ROLES[layout.REGISTRAR])
        ):
            raise BadConfig(
                f"{'an' if key.what == ROLES[layout.TIMESTAMP] else 'a'} {key.what} is not revoked here",
                place=word[:80],
                remedy="The city names another at its node, and hands in its card"
                if key.what == STEWARD
                else "The board replaces it: cimfed directory rotate-root",
            )
    if known_keys.named(word):
        if kind_of(word) is Kind.DIRECTORY:
            raise BadConfig(
                "the directory service is replaced by the board", place=word, remedy="cimfed directory rotate-root"
            )
        if hit or unlisted:
            return word, hit
    elif hit:
        return hit[0].id, hit
    elif len(digits := known_keys.key_digits(word)) == 64 and unlisted:
        return digits, []
    raise NotFound(
        f"the directory does not list {word[:80]}",
        place="KEY|NAME",
        remedy="See cimfed key list. To revoke it nevertheless, give all 64 digits, or the name, and --unlisted",
    )


def _say_affected(command: Command, directory: Directory, meant: str, hit: list[KnownKey]) -> None:
    affected: dict[str, Any] = {"keys": [{"key": key.id, "what": key.what, "owner": key.owner or None} for key in hit]}
    for key in hit:
        command.say(f"  {key.shown}, {key.state(clock.now())}")
    owner = next((key.owner for key in hit if key.owner), "")
    if owner and meant != owner:
        what = hit[0].what
        left = [
            key
            for key in known_keys.known_keys(directory)
            if (key.owner, key.what) == (owner, what) and key.id != meant and key.revoked is None
        ]
        affected["left"] = [key.id for key in left]
        if left:
            command.say(f"  {owner} keeps {', '.join(key.shown for key in left)}")
        else:
            command.say(f"  {owner} has no other {what}: it {_without(what)} until another is listed")
    elif any(key.what == ROLES[layout.REGISTRAR] for key in hit):
        affected["left"] = _say_registrar(command, directory, meant)
    affected |= say_party(command, directory, owner)
    if any(key.what == ACCESS for key in hit):
        command.say(f"  what it got: cimfed audit exposure {meant if meant == owner else meant[:16]} --since DATE")
    command.put(affected=affected)
    if not hit:
        command.say("  the directory does not list it")


def _say_registrar(command: Command, directory: Directory, meant: str) -> list[str]:
    """The registrar's keys that are left; says so where they are too few to list anybody."""
    left = [
        key
        for key in known_keys.known_keys(directory)
        if key.what == ROLES[layout.REGISTRAR] and key.id != meant and key.revoked is None
    ]
    needed = holders(directory)[layout.REGISTRAR].threshold
    if left:
        command.say(f"  left: {', '.join(key.shown for key in left)}")
    if len(left) < needed:
        command.say(
            f"  that is {len(left)} of the {needed} that must sign: who is listed stays so, and nobody can be let in, "
            "changed or renewed until the board names another: cimfed directory rotate-root --registrar"
        )
    return [key.id for key in left]


def _without(what: str) -> str:
    return {ACCESS: "can ask nothing", ISSUER: "is connected to nobody"}.get(what, "signs nothing that counts")


def _row(item: Revocation) -> dict[str, Any]:
    return {"subject": item.subject, "reason": item.reason, "at": instant_text(item.at)}
