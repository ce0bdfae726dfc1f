"""`cimfed directory init | sign | status | publish | rotate-root | office | show | renew | export`.

A ceremony is a file, a draft, that goes from one key to the next: ``init`` or ``rotate-root`` makes it, everybody whose
key must sign it runs ``sign`` where the key is, ``status`` says who is missing, and the directory service takes it:
``cimfed-gateway directory begin`` the first one, ``publish`` every later one. No key leaves its machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase, paths
from cimfed.cli import office
from cimfed.cli.ceremony import Change, describe, draft_holders, first_draft, next_draft, still_missing
from cimfed.cli.draft_changes import changes
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import BadConfig, CimfedError, Conflict
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind, federation, kind_of
from cimfed.rpc import clock
from cimfed.trust.card import card_of, parse_card
from cimfed.trust.directory import layout, publication
from cimfed.trust.directory.acceptance import metadata_of
from cimfed.trust.directory.documents import address
from cimfed.trust.directory.follow import fingerprint
from cimfed.trust.directory.listing import Directory, Gateway, Member, Partner, Party, Service
from cimfed.trust.files import replace_file
from cimfed.trust.identity_files import load_public_key, make_signing_key, read
from cimfed.trust.keys import PublicKey
from cimfed.trust.token.uri import parse_key_place

app = typer.Typer(no_args_is_help=True, help="The signed list of members, gateways and partners.")

PublicKeys = Annotated[list[Path] | None, typer.Option(exists=True, help="A public key, a .pub file; again for more.")]
DraftArgument = Annotated[Path, typer.Argument(metavar="DRAFT", help="A draft's file.")]
ServiceOption = Annotated[
    Path, typer.Option(exists=True, help="The card.json that `cimfed-gateway directory init` made.")
]
OnlineOption = Annotated[
    Path, typer.Option(exists=True, help="The service's online key, the online.pub beside its card.")
]


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="FEDERATION", help="One lower-case label, such as sco.")],
    service: ServiceOption,
    online: OnlineOption,
    out: Annotated[Path, typer.Option(help="Where the draft goes.")],
    board: PublicKeys = None,
    threshold: Annotated[
        int | None,
        typer.Option(help="How many of the board must sign; else more than half of its keys.", min=1, max=16),
    ] = None,
    registrar: PublicKeys = None,
    registrar_threshold: Annotated[int, typer.Option(help="How many registrar's keys must sign.", min=1, max=8)] = 1,
    revoker: PublicKeys = None,
    alone: Annotated[
        Path | None,
        typer.Option(help="Make all keys here, in this office, and sign at once: for trying it out."),
    ] = None,
    passphrase_file: passphrase.FileOption = None,
    no_passphrase: passphrase.NoneOption = False,
) -> None:
    """Drafts the first version of a federation's directory, which lists nobody yet."""
    of, card = federation(name), parse_card(read(service))
    if card.kind is not Kind.DIRECTORY or card.federation != of:
        raise BadConfig(f"this is no card of a directory service of {of}", place=str(service))
    online_key = load_public_key(online)
    paths.new_file(out)
    roles = ("board", layout.REGISTRAR, layout.REVOKER)
    if alone is not None:
        if board or registrar or revoker:
            raise BadConfig("--alone makes all keys: name none", place="--alone")
        secret = passphrase.new_passphrase(passphrase_file, no_passphrase)
        alone.mkdir(parents=True, exist_ok=True)
        for file in (office.FILE, *(f"{role}.{half}" for role in roles for half in ("key", "pub"))):
            paths.new_file(alone / file)
        for role in roles:
            make_signing_key(alone / f"{role}.key", secret)
        board, registrar, revoker = ([alone / f"{role}.pub"] for role in roles)
    if not (board and registrar and revoker):
        raise BadConfig("a directory has a board, a registrar and a revoker", remedy="Name their keys, or use --alone")
    draft = first_draft(
        of,
        card,
        online_key,
        publication.Holders(_keys(board), threshold or len(board) // 2 + 1),
        publication.Holders(_keys(registrar), registrar_threshold),
        publication.Holders(_keys(revoker)),
        clock.now(),
    )
    if alone is not None:
        for role in roles:
            key = passphrase.open_key(alone / f"{role}.key", passphrase_file)
            draft = publication.sign(draft, key, draft_holders(draft, None))
            key.close()
    replace_file(out, publication.to_file(draft))
    if alone is not None:
        root = draft[layout.metadata_file(layout.ROOT, 1)]
        office.make_office(alone, of, card.address, root)
        console.say(f"made the office {alone}, with the keys of board, registrar and revoker")
    _say_state(out, draft, None)


@app.command()
def sign(
    draft: DraftArgument,
    key: Annotated[str, typer.Option(help="Your private key: a file, or a pkcs11: URI.")],
    home: Annotated[
        Path | None,
        typer.Option(help="The office's folder, for a draft that is not the first.", envvar="CIMFED_OFFICE"),
    ] = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Shows what a draft says, and signs it."""
    with Command("directory-sign", as_json, dry_run=dry_run, yes=yes) as command:
        files = publication.from_file(read(draft), str(draft))
        before = _before(files, home)
        _describe(command, files, before)
        _check_new(files, before, draft)
        if not command.goes_on("Sign this?"):
            return
        signer = passphrase.open_key(parse_key_place(key), passphrase_file)
        try:
            files = publication.sign(files, signer, draft_holders(files, before))
        finally:
            signer.close()
        replace_file(draft, publication.to_file(files))
        missing = still_missing(files, before)
        command.put(missing=missing)
        command.say(_state_line(missing))


@app.command()
def status(
    draft: Annotated[
        Path | None, typer.Argument(metavar="DRAFT", help="A draft's file; without one: the directory.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The office's folder.", envvar="CIMFED_OFFICE")] = None,
    as_json: JSON = False,
) -> None:
    """Says who must still sign a draft; or, of the directory: its versions, who holds each role, and when each ends."""
    with Command("directory-status", as_json) as command:
        if draft is not None:
            files = publication.from_file(read(draft), str(draft))
            before = _before(files, home)
            _describe(command, files, before)
            missing = still_missing(files, before)
            command.put(draft=str(draft), missing=missing)
            command.say(_state_line(missing))
            return
        if home is None:
            raise BadConfig("name a draft, or an office (--home)")
        directory, trouble = office.read_office(home).known()
        _show_roles(command, directory)
        if trouble is not None:
            command.note(f"this is what was known last: {trouble.line}")


@app.command()
def publish(
    draft: DraftArgument,
    home: office.HomeOption,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Hands a draft that everybody has signed to the directory service."""
    with Command("directory-publish", as_json, dry_run=dry_run, yes=yes) as command:
        files = publication.from_file(read(draft), str(draft))
        at = office.read_office(home)
        directory = at.current()
        _describe(command, files, directory)
        _check_new(files, directory, draft)
        missing = still_missing(files, directory)
        if missing:
            raise BadConfig(_state_line(missing), place=str(draft), remedy="cimfed directory sign")
        if command.goes_on("Publish this?"):
            office.publish(command, at, directory, files)


@app.command("rotate-root")
def rotate_root(
    home: office.HomeOption,
    out: Annotated[Path, typer.Option(help="Where the draft goes.")],
    add: Annotated[
        list[Path] | None, typer.Option(exists=True, help="A key that joins the board, a .pub file; again for more.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="A key that leaves the board: a .pub file or the first digits of its id.")
    ] = None,
    threshold: Annotated[int | None, typer.Option(help="How many of the board must sign.", min=1, max=16)] = None,
    registrar: PublicKeys = None,
    registrar_threshold: Annotated[int | None, typer.Option(min=1, max=8)] = None,
    revoker: PublicKeys = None,
    online: Annotated[Path | None, typer.Option(exists=True, help="The service's new online key.")] = None,
    service: Annotated[Path | None, typer.Option(exists=True, help="The service's new card.json.")] = None,
) -> None:
    """Drafts the next root: who holds the roles. What is not named stays as it is."""
    paths.new_file(out)
    at = office.read_office(home)
    directory = at.current()
    change = Change(
        add=_keys(add or []),
        remove=tuple(load_public_key(Path(word)).text if Path(word).is_file() else word for word in remove or ()),
        threshold=threshold,
        registrar=_keys(registrar or []),
        registrar_threshold=registrar_threshold,
        revoker=_keys(revoker or []),
        online=load_public_key(online) if online else None,
        service=parse_card(read(service)) if service else None,
    )
    draft = next_draft(directory, change, clock.now())
    replace_file(out, publication.to_file(draft))
    _say_state(out, draft, directory)


@app.command("office")
def office_(
    home: office.HomeOption,
    name: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    root: Annotated[Path, typer.Option(exists=True, help="root.json of the directory: pinned from now on.")],
    directory: Annotated[str, typer.Option(help="host:port of the directory service.")],
) -> None:
    """Makes the folder from which a board, a registrar or a revoker works. Their keys may lie in it, or elsewhere."""
    made = office.make_office(home, federation(name), address(directory), read(root))
    console.say(f"made the office {made.home}, root {fingerprint(read(root))[:16]}")
    try:
        with made.follower() as follower:
            console.say(f"version {follower.refresh().version} of the directory of {made.federation} verifies from it")
    except CimfedError as error:  # the service may not serve yet
        console.err.print(f"note: nothing verifies from it yet: {error.line}", markup=False)


@app.command()
def show(home: office.HomeOption, as_json: JSON = False) -> None:
    """Lists everybody, with keys and routing entries, and each one's fingerprint as its own program showed it."""
    with Command("directory-show", as_json) as command:
        directory, trouble = office.read_office(home).known()
        late = " (expired)" if clock.now() >= directory.expires else ""
        command.put(federation=directory.federation, version=directory.version, expires=instant_text(directory.expires))
        until = instant_text(directory.ends[layout.REGISTRAR])[:10]
        command.say(f"{directory.federation}, version {directory.version}{late}, listed until {until}")
        if vocabulary := directory.listing.vocabulary:
            command.say(f"vocabulary: version {vocabulary.version}, SHA-256 {vocabulary.sha256.hex()}")
        parties = [directory.service, *directory.published.parties()]
        command.put(parties=[_facts(directory, party) for party in parties])
        command.show(console.table(("name", "kind", "address", "keys", "about"), _rows(directory, parties)))
        for party in parties:
            command.say(f"{party.name}, fingerprint {card_of(directory.federation, party).fingerprint}")
        for item in directory.revoked:
            command.say(f"revoked: {item.subject}, {item.reason}, {instant_text(item.at)[:19]}")
        if trouble is not None:
            command.note(f"this is what was known last: {trouble.line}")


@app.command()
def renew(
    home: office.HomeOption,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Publishes what the registrar says again, good for longer."""
    with Command("directory-renew", as_json, dry_run=dry_run, yes=yes) as command:
        office.change(
            command, office.read_office(home), lambda listing: listing, f"Renew for {days} days?",
            key=key, passphrase_file=passphrase_file, out=out, days=days, always=True,
        )  # fmt: skip


@app.command()
def export(
    home: office.HomeOption,
    folder: Annotated[Path, typer.Argument(help="Where the files go: what any web server may serve.")],
) -> None:
    """Writes every file of the directory that is known here, to be served by any web server or carried by hand."""
    with office.read_office(home).follower() as follower:
        directory = follower.refresh()
        count = follower.files.copy_to(folder)
    console.say(f"{count} files of version {directory.version} in {folder}; metadata/timestamp.json alone changes")


def _before(files: dict[str, bytes], home: Path | None) -> Directory | None:
    """The directory that a draft follows on; None for a first one."""
    if layout.metadata_file(layout.ROOT, 1) in files:
        return None
    if home is None:
        raise BadConfig("this draft follows on a directory: name the office that knows it", place="--home")
    return office.read_office(home).known()[0]


def _check_new(files: dict[str, bytes], before: Directory | None, draft: Path) -> None:
    """Conflict where another word of a role was published since this one was drafted: nobody would take it."""
    for path in metadata_of(files):
        role, version = publication.role_of(path), publication.parsed(files[path]).signed.version
        if before and before.versions.get(role, 0) >= version and before.files.get(path) != files[path]:
            raise Conflict(
                f"version {before.versions[role]} of {role} is published already, and this is another {version}",
                place=str(draft),
                remedy="Draft the change anew, on what is published",
            )


def _describe(command: Command, draft: dict[str, bytes], before: Directory | None) -> None:
    """What is signed or published, and what that changes."""
    said = changes(draft, before)
    command.put(changes=said)
    for line in (*describe(draft, before), *_changed(said, before)):
        command.say(line)


def _changed(said: list[str], before: Directory | None) -> list[str]:
    if before is None:
        return [f"  {line}" for line in said]
    against = f"in the place of version {before.version} of the directory of {before.federation}:"
    return [against, *(f"  {line}" for line in said or ["nothing changes but until when it holds"])]


def _say_state(out: Path, draft: dict[str, bytes], before: Directory | None) -> None:
    for line in (*describe(draft, before), *_changed(changes(draft, before), before)):
        console.say(line)
    missing = still_missing(draft, before)
    console.say(f"{out}: {_state_line(missing)}")


def _state_line(missing: dict[str, int]) -> str:
    if not missing:
        return "everybody has signed"
    return "still to sign: " + ", ".join(f"{count} for {role}" for role, count in missing.items())


def _keys(files: list[Path]) -> tuple[PublicKey, ...]:
    return tuple(load_public_key(path) for path in files)


def _show_roles(command: Command, directory: Directory) -> None:
    from cimfed.trust.directory.acceptance import holders

    held = holders(directory)
    rows, facts = [], []
    for role in layout.ROLES:
        ids = [key.id.hex()[:8] for key in held[role].keys]
        version = directory.versions.get(role)
        end = instant_text(directory.ends[role])
        rows.append((role, version or "", f"{held[role].threshold} of {len(ids)}: {', '.join(ids)}", end))
        facts.append({"role": role, "version": version, "threshold": held[role].threshold, "keys": ids, "expires": end})
    command.put(federation=directory.federation, version=directory.version, roles=facts)
    command.say(f"{directory.federation}, version {directory.version}")
    command.show(console.table(("role", "version", "held by", "until"), rows))


def _rows(directory: Directory, parties: list[Party]) -> Iterator[tuple[object, ...]]:
    for party in parties:
        served = "" if isinstance(party, Partner) else party.address
        yield (party.name, kind_of(party.name), served, ", ".join(_key_ids(party)), _about(directory, party))


def _key_ids(party: Party) -> Iterator[str]:
    """The first digits of each key's id; a partner's with its last day."""
    if isinstance(party, Partner):
        for access in party.keys:
            yield f"{access.key.id.hex()[:8]} until {instant_text(access.valid[1])[:10]}"
    else:
        for key in party.keys:
            yield key.id.hex()[:8]


def _about(directory: Directory, party: Party) -> str:
    said = ""
    match party:
        case Member(entry=None):
            said = "no policy published"
        case Member(entry=entry):
            assert entry is not None
            until = instant_text(entry.valid[1])[:10]
            said = f"policy {entry.version} until {until}: {', '.join(entry.collections) or 'nothing'}"
        case Partner():
            said = f"{party.country}; {', '.join(party.roles) or 'no role'}"
        case Gateway() | Service():
            pass
    suspended = None if isinstance(party, Service) else party.suspended
    if suspended is not None and suspended[0] <= clock.now() < suspended[1]:
        said = f"suspended until {instant_text(suspended[1])[:16]}; {said}"
    return said.rstrip("; ")


def _facts(directory: Directory, party: Party) -> dict[str, object]:
    return {
        "name": party.name,
        "kind": str(kind_of(party.name)),
        "address": None if isinstance(party, Partner) else party.address,
        "keys": list(_key_ids(party)),
        "about": _about(directory, party),
        "fingerprint": card_of(directory.federation, party).fingerprint,
    }
