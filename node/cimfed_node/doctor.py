"""`cimfed-node doctor`: what is wrong with a node, or will be soon.

It changes nothing, and may be run beside the serving node, by whoever may read the keys (the operator). Others are
asked at once, for a few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cimfed.command import JSON, Command
from cimfed.doctor import homes, look
from cimfed.doctor.ask import at_once
from cimfed.doctor.finding import Checking, Code, Examination, Finding, quiet
from cimfed.doctor.party import Place, examine_clock, examine_party
from cimfed.errors import CimfedError
from cimfed.rpc import clock
from cimfed.tlog.health import log_fact
from cimfed.trust.directory.listing import Directory
from cimfed_node import database, diagnosis
from cimfed_node.config import Home
from cimfed_node.diagnosis import PolicyFact
from cimfed_node.policies import read_policy
from cimfed_node.service_user import find_user
from cimfed_node.tables import Control
from cimfed_node.tables.acts import acts
from cimfed_node.tables.admissions import clock_mark
from cimfed_node.tables.blocks import Block, blocks
from cimfed_node.tables.publication import ActiveGrant, ActivePolicy, active_grants, active_policy, current_snapshots
from cimfed_node.tables.schema import SCHEMA_VERSION

POSTGIS = Checking("postgis")
HOME = Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]


def doctor(home: HOME, as_json: JSON = False) -> None:
    """Says what is wrong with this node, or will be soon, and what to do. Ends with 1 where anything is an error."""
    with Command("doctor", as_json) as command, quiet():
        at = Home.load(home)
        exam = examine(at)
        exam.report(command, at.city)
    exam.end()


@dataclass(frozen=True)
class Tables:
    """What the control database says. ``collections``: with a current snapshot. ``backup``: when the last was taken."""

    mark: int
    policy: ActivePolicy | None
    grants: Sequence[ActiveGrant]
    collections: frozenset[str]
    blocks: Sequence[Block]
    backup: int | None

    @classmethod
    def read(cls, path: Path) -> Tables:
        with closing(Control.open(path)) as control, control.reading() as connection:
            return cls(
                clock_mark(connection),
                active_policy(connection),
                active_grants(connection),
                frozenset(current_snapshots(connection)),
                blocks(connection),
                next((act.time for act in acts(connection) if act.act == "backup"), None),
            )


def examine(home: Home, now: Callable[[], int] = clock.now) -> Examination:
    exam = Examination()
    here, settings = now(), home.settings
    place = Place(
        home.path,
        home.city,
        home.federation,
        home.directory,
        settings.directory,
        home.keys / "node.key",
        settings.mirrors,
        settings.address,
        home.steward_keys,
    )
    seen = examine_party(exam, place, lambda found: list(found.gateways), now)
    sound = look.database_fact(home.database, SCHEMA_VERSION)
    exam.judge("database", lambda: homes.database(sound))
    tables = None
    if sound.error is None and sound.sound is not False:
        tables = exam.look("database", lambda: Tables.read(home.database), Code.DATABASE_UNUSABLE)
        log = exam.look("log", lambda: log_fact(home.database), Code.LOG_UNREADABLE)
        if log is not None:
            others = max(0, len(seen.newest.members) - 1) if seen.newest else 0
            exam.judge("log", lambda: homes.log(log, here, others, seen.serving))
    examine_clock(exam, seen, now, tables.mark if tables else 0)
    if tables is not None:
        _examine_tables(exam, home, tables, seen.newest, here)
    exam.judge("disk", lambda: _disk(home))
    if database.is_connected(home):
        exam.judge("postgis", lambda: _postgis(home))
    exam.judge("user", lambda: _user(home))
    programs = ("cimfed", "cimfed-node", "duckdb", "pyarrow", "adbc-driver-postgresql")
    exam.judge("versions", lambda: homes.versions(look.version_facts(*programs)))
    return exam


def _examine_tables(exam: Examination, home: Home, tables: Tables, found: Directory | None, now: int) -> None:
    exam.judge("policy", lambda: diagnosis.policy(policy_fact(home, tables.policy, found), now))
    exam.judge("policy", lambda: diagnosis.views(tables.grants, tables.collections))
    exam.judge("blocks", lambda: diagnosis.blocked(tables.blocks))
    exam.judge("backups", lambda: homes.backups(now, tables.backup))


def policy_fact(home: Home, active: ActivePolicy | None, found: Directory | None) -> PolicyFact:
    entry = found.published.members[home.city].entry if found and home.city in found.published.members else None
    known = found is not None
    if active is None:
        return PolicyFact(None, listed=entry, known=known)
    path = home.policy_file(active.version)
    try:
        signed = read_policy(path.read_bytes(), home.city, home.steward_keys, str(path))
    except CimfedError as error:
        return PolicyFact(active, None, f"{error.reason}: {error.message}", entry, known)
    except OSError as error:
        return PolicyFact(active, None, f"{path} cannot be read: {error.strerror}", entry, known)
    if (signed.policy.version, signed.hash) != (active.version, active.hash):
        return PolicyFact(active, None, f"{path} is another policy than the one that was activated", entry, known)
    return PolicyFact(active, signed, "", entry, known)


def _disk(home: Home) -> Iterator[Finding]:
    room = home.room()
    settings = home.settings.disk
    for path in dict.fromkeys((home.path, home.views, home.control)):
        if path == home.path or path.stat().st_dev != home.path.stat().st_dev:
            yield from homes.disk(look.disk_fact(path, settings.keep_free, room.used, settings.budget))


def _postgis(home: Home) -> Iterator[Finding]:
    """As the service logs in; in a few seconds, or not."""
    found = at_once({"postgis": lambda: database.open_store(home).close()})["postgis"]
    if found is None:
        yield POSTGIS.ok("the city's PostgreSQL is reached, and the serving role reads views alone")
    else:
        yield POSTGIS.error(
            Code.POSTGIS_AWAY,
            f"the city's PostgreSQL: {found.message}",
            found.remedy or "Is the database running, and reached from here? cimfed-node postgis connect, again",
        )


def _user(home: Home) -> Iterator[Finding]:
    wanted = home.settings.service_user
    exists = True
    if wanted:
        try:
            find_user(wanted)
        except CimfedError:
            exists = False
    yield from diagnosis.service_user(wanted, exists, os.stat(home.path).st_uid)
