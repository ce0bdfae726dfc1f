"""`cimfed-gateway directory doctor`: what is wrong with a directory service, or will be soon. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cimfed.command import JSON, Command
from cimfed.doctor import clocks, homes, listed, look, peers
from cimfed.doctor.ask import Askers, Target
from cimfed.doctor.finding import Checking, Code, Examination, Finding, quiet
from cimfed.doctor.party import Seen
from cimfed.model.names import Federation, federation
from cimfed.rpc import clock
from cimfed.tlog.health import log_fact
from cimfed.trust.directory import layout
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.follow import last_known, pinned_root
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.keys import PublicKey
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.tables import SCHEMA_VERSION, Records

DIRECTORY = Checking("directory")
HOME = Annotated[Path, typer.Option(help="The service's folder.", envvar="CIMFED_DIRECTORY_HOME")]


def doctor(home: HOME, as_json: JSON = False) -> None:
    """Says what is wrong with this directory service, or will be soon, and what to do. Ends with 1 where anything is
    an error."""
    with Command("doctor", as_json) as command, quiet():
        at = Home.load(home)
        exam = examine(at)
        exam.report(command, at.name)
    exam.end()


def examine(home: Home, now: Callable[[], int] = clock.now) -> Examination:
    exam = Examination()
    here, of = now(), federation(home.settings.federation)
    key = look.key_fact(home.path / "keys" / "directory.key", None, of_person=False)
    online = look.key_fact(home.online_key, None, of_person=False)
    card = exam.look("keys", lambda: look.card_in(home.path), Code.CARD_OTHER)
    exam.judge("keys", lambda: homes.key(key, False, card.keys if card else None))
    exam.judge("keys", lambda: homes.key(online, False))
    exam.judge("keys", lambda: homes.keys_folder(look.mode_of(home.path / "keys"), str(home.path / "keys")))
    ((fact, issuing), *_) = look.tls_facts(home.path, of, home.name, here)
    exam.judge("tls", lambda: homes.tls(fact, here))

    found = root = None
    if layout.TIMESTAMP_FILE not in Folder(home.repository / "files"):
        exam.judge("directory", nothing_published)
    else:
        root = exam.look("directory", lambda: pinned_root(home.repository), Code.ROOT_DAMAGED)
    if root is not None:
        found = exam.look("directory", lambda: last_known(home.repository, of, here), Code.DIRECTORY_DAMAGED)
    seen = Seen(found, ())
    if found is not None and root is not None:
        own = listed.Own(
            home.name,
            (key.public,) if key.public else (),
            (issuing.issuer,) if issuing else (),
            card.address if card else "",
        )
        exam.judge("directory", lambda: listed.directory(found, here))
        exam.judge("directory", lambda: stamped_by(found, online.public))
        exam.judge("listing", lambda: listed.listing(found, own, here))
        seen = _itself(exam, home, of, root, found, now)
    sound = look.database_fact(home.records, SCHEMA_VERSION)
    exam.judge("database", lambda: homes.database(sound))
    mark = 0
    if sound.error is None and sound.sound is not False:
        read = exam.look("database", lambda: _read(home), Code.DATABASE_UNUSABLE)
        if read is not None:
            mark = read[0]
            exam.judge("requests", lambda: waiting(read[1]))
        log = exam.look("log", lambda: log_fact(home.records), Code.LOG_UNREADABLE)
        if log is not None:
            exam.judge("log", lambda: homes.log(log, here, 0, seen.serving))
    exam.judge("clock", lambda: _clock(here, found, mark))
    exam.judge("disk", lambda: homes.disk(look.disk_fact(home.path)))
    exam.judge("versions", lambda: homes.versions(look.version_facts("cimfed", "cimfed-gateway")))
    return exam


def nothing_published() -> Iterator[Finding]:
    yield DIRECTORY.error(
        Code.DIRECTORY_UNKNOWN,
        "nothing is published yet",
        "cimfed-gateway directory begin with the first draft, which the board signed",
    )


def stamped_by(found: Directory, online: PublicKey | None) -> Iterator[Finding]:
    """Whether the key that stamps here is the one that the board has named."""
    named = holders(found)[layout.TIMESTAMP].keys
    if online is not None and online not in named:
        yield DIRECTORY.error(
            Code.KEY_NOT_LISTED,
            f"online.key, {online.id.hex()[:16]}, is not the key that the board has named, "
            f"{', '.join(key.id.hex()[:16] for key in named)}: nothing that is stamped here counts",
            "Put that key back, or have the board name this one",
            about=online.id.hex(),
        )


def waiting(requests: int) -> Iterator[Finding]:
    checking = Checking("requests")
    if requests:
        yield checking.warning(
            Code.REQUESTS_WAITING,
            f"{requests} of those who were invited wait for a decision",
            "The administrator approves or denies them: cimfed requests",
        )
    else:
        yield checking.ok("nobody waits to be admitted")


def _read(home: Home) -> tuple[int, int]:
    """The clock's mark, and how many requests are undecided."""
    with closing(Records.open(home.records)) as records, records.reading() as connection:
        return tables.clock_mark(connection), tables.count_undecided(connection)


def _itself(
    exam: Examination, home: Home, of: Federation, root: bytes, found: Directory, now: Callable[[], int]
) -> Seen:
    """The service as others reach it."""
    service = found.service
    target = Target(service.name, service.address, service.issuers, own=True)
    asked = exam.look("peers", lambda: Askers(of, home.repository, None, now, root).ask([target], service.name)) or []
    exam.judge("peers", lambda: peers.peers(asked, found, now()))
    return Seen(found, asked)


def _clock(now: int, found: Directory | None, mark: int) -> Iterator[Finding]:
    """It is the clock that others are held to: there is nobody here to compare it with."""
    for each in clocks.clock(now, found.issued if found else None, {}, mark):
        if each.code is not Code.CLOCK_UNMEASURED:
            yield each
    if now >= mark - clocks.TOLERANCE:
        yield clocks.CHECK.ok("not below what was recorded; compare with others: cimfed doctor on another host")
