"""The registrar's folder: ``registrar.key``, ``registrar.pub`` and ``directory.json``, and changes to the last.

What ``cimfed member``, ``partner`` and ``policy publish`` share: read the directory, change its listing, sign and
replace the file. A change that changes nothing publishes nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.cli.passphrase import open_key
from cimfed.errors import BadConfig, BadDirectory, Conflict
from cimfed.model.instants import instant_text
from cimfed.model.names import Federation, Kind
from cimfed.rpc import clock
from cimfed.trust.card import Card, parse_card
from cimfed.trust.directory.documents import parse_however_old
from cimfed.trust.directory.edit import DAY, check_keys, publish
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.files import replace_file
from cimfed.trust.identity_files import load_public_key, load_signing_key, make_signing_key, read
from cimfed.trust.keys import Signer

HomeOption = Annotated[Path, typer.Option("--home", help="The registrar's folder.", envvar="CIMFED_REGISTRAR_HOME")]
MAX_DAYS = 3_660
DaysOption = Annotated[
    int, typer.Option("--days", help="Readers refuse the directory after so many days.", min=1, max=MAX_DAYS)
]
FingerprintOption = Annotated[
    str | None, typer.Option(help="As the card's owner sees it: anything else is refused, and you are not asked.")
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="List it with new keys in place of those it had.")]
LIFE_DAYS = 90


def found(of: Federation, home: Path, passphrase: bytes | None, days: int) -> Directory:
    """A new federation: its registrar's key and a directory that lists nobody."""
    home.mkdir(parents=True, exist_ok=True)
    if _path(home).exists():
        raise Conflict(f"there is a directory in {home} already")
    make_signing_key(_key(home), passphrase)
    directory = publish(of, Listing(), None, clock.now(), open_signer(home, passphrase), days * DAY)
    replace_file(_path(home), directory.content)
    return directory


def open_signer(home: Path, passphrase: bytes | None) -> Signer:
    return load_signing_key(_key(home), passphrase)


def current(home: Path) -> Directory:
    """The directory as it was last published, also when it has expired."""
    return parse_however_old(read(_path(home)), load_public_key(home / "registrar.pub"))


def change(
    home: Path,
    passphrase_file: Path | None,
    edit: Callable[[Listing], Listing],
    days: int = LIFE_DAYS,
    always: bool = False,
    confirm: Callable[[], None] = lambda: None,
) -> Directory:
    """Publishes what ``edit`` makes of the listing, and says so. ``always``: even where that is the same.

    ``confirm`` is called before the key is opened; it raises where this is not to be published.
    """
    previous = current(home)
    listing = edit(previous.listing)
    if listing == previous.listing and not always:
        console.say(f"nothing to change: version {previous.version} says so already")
        return previous
    confirm()
    signer = open_key(_key(home), passphrase_file)
    try:
        directory = publish(previous.federation, listing, previous, clock.now(), signer, days * DAY)
    finally:
        signer.close()
    with _alone(home):
        if read(_path(home)) != previous.content:
            raise Conflict("somebody else has published meanwhile", remedy="Do it again")
        replace_file(_path(home), directory.content)
    console.say(f"published version {directory.version}, valid until {instant_text(directory.expires)}")
    return directory


def read_card(path: Path, home: Path, *kinds: Kind) -> Card:
    """A card that may be listed in this federation."""
    try:
        card = parse_card(read(path))
    except BadDirectory as error:
        raise BadDirectory(error.message, place=str(path), remedy=error.remedy) from None
    of = current(home).federation
    if card.federation != of:
        raise BadDirectory(f"this card is for {card.federation}, the directory is of {of}", place=str(path))
    if card.kind not in kinds:
        raise BadConfig(f"this is the card of a {card.kind}", place=str(path))
    return card


def list_card(
    card: Card,
    home: Path,
    passphrase_file: Path | None,
    edit: Callable[[Listing], Listing],
    days: int,
    fingerprint: str | None,
    replace: bool,
) -> None:
    """Publishes a card, after its fingerprint was compared: with ``fingerprint``, or by the one at the terminal."""
    console.say(f"{card.kind} {card.name}, fingerprint {card.fingerprint}")
    if fingerprint is not None and _digits(fingerprint) != _digits(card.fingerprint):
        raise BadDirectory("the card has another fingerprint than the one given", place=card.name)

    def confirm() -> None:
        if fingerprint is None and sys.stdin.isatty():
            typer.confirm(f"Does {card.name} see the same fingerprint?", abort=True)

    def checked(listing: Listing) -> Listing:
        if not replace:
            check_keys(listing, card)
        return edit(listing)

    change(home, passphrase_file, checked, days, confirm=confirm)


def _digits(fingerprint: str) -> str:
    return "".join(fingerprint.split()).lower()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One publication at a time: two files of one version would part those who follow them for good."""
    if os.name != "posix":
        yield
        return
    import fcntl

    handle = os.open(home / "publish.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _path(home: Path) -> Path:
    return home / "directory.json"


def _key(home: Path) -> Path:
    return home / "registrar.key"
