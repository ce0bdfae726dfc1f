"""An office: the folder of those who administer the alliance (board, registrar, revoker), and publishing from it.

    <office>/office.toml     the federation, and where its directory service is reached
             directory/      root.json, pinned, and what was fetched of the directory
             registrar.key   and whatever other keys are held here; each may lie elsewhere, or on a token

What the groups of commands share: read the directory as it is now, change a listing, sign, publish. A change that
changes nothing publishes nothing.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli import lapsed
from cimfed.command import Command
from cimfed.errors import BadConfig, BadSignature, CimfedError, Conflict, NotFound
from cimfed.model.instants import instant_text
from cimfed.model.names import Federation, federation
from cimfed.passphrase import open_key
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors
from cimfed.rpc.service import ServiceClient
from cimfed.trust.admin import AdminRequest, Argument, Occasion, seal_admin
from cimfed.trust.directory import documents, layout
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.layout import Files
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.directory.publication import missing_signatures, registrar_draft, sign, to_file
from cimfed.trust.files import create_file, replace_file
from cimfed.trust.keys import Signer
from cimfed.trust.token.uri import parse_key_place
from cimfed.wire.admissions import Administered

FILE = "office.toml"
FORMAT = "cimfed/office/v1"
HomeOption = Annotated[Path, typer.Option("--home", help="The office's folder.", envvar="CIMFED_OFFICE")]
KeyOption = Annotated[
    str, typer.Option("--key", help="The key to sign with: a file, or a pkcs11: URI. Else the office's own.")
]
MAX_DAYS = 3_660
LIFE_DAYS = layout.REGISTRAR_LIFE.days
DaysOption = Annotated[
    int, typer.Option("--days", help="What the registrar says holds for so many days.", min=1, max=MAX_DAYS)
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Where the draft goes when further keys must sign it.", show_default=False)
]


@dataclass(frozen=True)
class Office:
    """``service``: where the directory service is dialled, ``host:port``."""

    home: Path
    federation: Federation
    service: str

    @contextmanager
    def follower(self) -> Iterator[Follower]:
        mirrors = Mirrors(self.federation, self.service)
        follower = Follower(self.home / "directory", self.federation, mirrors, clock.now)
        try:
            yield follower
        finally:
            follower.close()

    def current(self) -> Directory:
        """As the service has it now, also where something in it has ended, which is the administrators' to mend.

        NodeUnreachable, BadDirectory: nothing is changed on what may be old.
        """
        return lapsed.current(self.home / "directory", self.federation, self.service)

    def known(self) -> tuple[Directory, CimfedError | None]:
        """As the service has it now, or what was last known of it, with why it could not be asked."""
        with self.follower() as follower:
            try:
                return follower.refresh(), None
            except CimfedError as error:
                return follower.latest(clock.now()), error

    @contextmanager
    def signer(self, role: str, given: str, passphrase_file: Path | None) -> Iterator[Signer]:
        """A role's key: the one named, or ``<role>.key`` of the office."""
        place = parse_key_place(given) if given else self.home / f"{role}.key"
        signer = open_key(place, passphrase_file)
        try:
            yield signer
        finally:
            signer.close()

    def administer(self, directory: Directory, signer: Signer, action: str, **arguments: Argument) -> Administered:
        """What the service says to an act that a registrar has signed."""
        occasion = Occasion.now(self.federation, directory.service.name, clock.now())
        with ServiceClient(self.service, directory) as service:
            try:
                return service.administer(seal_admin(AdminRequest(occasion, action, arguments), signer))
            except BadSignature as error:
                raise BadSignature(
                    f"key {signer.public.id.hex()[:16]} may not ask this: {error.message}",
                    remedy="Compare it with cimfed key list: whose it is, and whether it was revoked",
                ) from None


def read_office(home: Path) -> Office:
    path = home / FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        if document.keys() != {"format", "federation", "directory"} or document["format"] != FORMAT:
            raise ValueError
        return Office(home, federation(document["federation"]), documents.address(document["directory"]))
    except FileNotFoundError:
        raise NotFound(
            "this is no office", place=str(home), remedy="Make one: cimfed directory init, or cimfed directory office"
        ) from None
    except (OSError, ValueError, TypeError, CimfedError):
        raise BadConfig(f"not an office of format {FORMAT}", place=str(path)) from None


def make_office(home: Path, of: Federation, service: str, root: bytes) -> Office:
    """Conflict where there is one already."""
    if (home / FILE).exists():
        raise Conflict("there is an office here already", place=str(home / FILE))
    home.mkdir(parents=True, exist_ok=True)
    pin(home / "directory", root)
    facts = {"format": FORMAT, "federation": of, "directory": documents.address(service)}
    create_file(home / FILE, "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items()).encode())
    return Office(home, of, service)


def change(
    command: Command,
    office: Office,
    edit: Callable[[Listing], Listing],
    question: str,
    *,
    key: str | Signer = "",
    passphrase_file: Path | None = None,
    out: Path | None = None,
    days: int = LIFE_DAYS,
    always: bool = False,
    about: Callable[[Directory], None] = lambda directory: None,
    first: Callable[[Directory], None] = lambda directory: None,
) -> Directory | None:
    """Publishes what ``edit`` makes of the listing, and says so; None where it was not published.

    ``about`` is called with the directory before it is asked for: it says who is affected; ``first`` after that, before
    anything is published. ``key``: one that is open, or where it is. ``always``: publish even where nothing changes.
    ``out``: a draft for further signatures, where the registrar's threshold is above one.
    """
    directory = office.current()
    listing = edit(directory.published)
    if listing == directory.published and not always:
        command.put(changed=False, version=directory.version)
        command.say(f"nothing to change: version {directory.version} says so already")
        return None
    documents.check(directory.federation, directory.service, listing.parties())
    about(directory)
    if not command.goes_on(question):
        return None
    first(directory)
    version = directory.versions[layout.REGISTRAR] + 1
    draft = registrar_draft(version, directory.federation, listing, clock.now(), timedelta(days=days))
    return sign_and_publish(command, office, directory, draft, layout.REGISTRAR, key, passphrase_file, out)


def sign_and_publish(
    command: Command,
    office: Office,
    directory: Directory,
    draft: Files,
    role: str,
    key: str | Signer,
    passphrase_file: Path | None,
    out: Path | None,
) -> Directory | None:
    held = holders(directory)[role]
    with office.signer(role, key, passphrase_file) if isinstance(key, str) else nullcontext(key) as signer:
        signed = sign(draft, signer, {role: held.keys})
    missing = missing_signatures(signed, role, held)
    if missing:
        place = out or office.home / f"{role}-{directory.versions[role] + 1}.draft.json"
        replace_file(place, to_file(signed))
        command.put(draft=str(place), missing_signatures=missing)
        command.say(f"{missing} more of the {role}'s keys must sign {place}: cimfed directory sign {place} --key KEY")
        return None
    return publish(command, office, directory, signed)


def publish(command: Command, office: Office, directory: Directory | None, files: Files) -> Directory:
    """Hands a publication to the directory service, and waits until this office sees it.

    What the service has already stays here: it takes a message of 4 MiB, and bins of partners change one at a time.
    """
    if directory is not None:
        files = {path: content for path, content in files.items() if directory.files.get(path) != content}
        if not files:
            command.put(changed=False, version=directory.version)
            command.say(f"nothing to publish: version {directory.version} has all of it")
            return directory
    with ServiceClient(office.service, directory) as service:
        service.publish(files)
    published = office.current()
    command.put(version=published.version, expires=instant_text(published.ends[layout.REGISTRAR]))
    command.say(f"published version {published.version} of the directory of {published.federation}")
    return published
