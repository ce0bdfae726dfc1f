"""`cimfed-gateway doctor`: what is wrong with a gateway, or will be soon. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cimfed.command import JSON, Command
from cimfed.doctor import homes, look
from cimfed.doctor.finding import Code, Examination, quiet
from cimfed.doctor.party import Place, examine_clock, examine_party
from cimfed.model.names import federation
from cimfed.rpc import clock
from cimfed.tlog.health import log_fact
from cimfed.trust.directory.listing import Directory
from cimfed_gateway.config import Home

HOME = Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")]


def doctor(home: HOME, as_json: JSON = False) -> None:
    """Says what is wrong with this gateway, or will be soon, and what to do. Ends with 1 where anything is an error."""
    with Command("doctor", as_json) as command, quiet():
        at = Home.load(home)
        exam = examine(at)
        exam.report(command, at.name)
    exam.end()


def examine(home: Home, now: Callable[[], int] = clock.now) -> Examination:
    exam = Examination()
    settings = home.settings
    place = Place(
        home.path,
        home.name,
        federation(settings.federation),
        home.directory,
        settings.directory,
        home.path / "keys" / "gateway.key",
        settings.mirrors,
    )

    def everybody(found: Directory) -> list[str]:
        return [*found.members, *found.gateways]

    seen = examine_party(exam, place, everybody, now)
    examine_clock(exam, seen, now)
    if home.journal.exists():  # the first start makes it
        sound = look.database_fact(home.journal)
        exam.judge("database", lambda: homes.database(sound))
        log = exam.look("log", lambda: log_fact(home.journal), Code.LOG_UNREADABLE) if sound.error is None else None
        if log is not None:
            cities = len(seen.newest.members) if seen.newest else 0
            exam.judge("log", lambda: homes.log(log, now(), cities, seen.serving))
    exam.judge("disk", lambda: homes.disk(look.disk_fact(home.path)))
    exam.judge("versions", lambda: homes.versions(look.version_facts("cimfed", "cimfed-gateway")))
    return exam
