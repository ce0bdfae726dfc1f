"""`cimfed doctor`: what is wrong with a partner's profile or an office, or will be soon. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli.office import Office, read_office
from cimfed.client.profile import Profile, only_profile, read_profile
from cimfed.command import JSON, Command
from cimfed.doctor import homes, listed, look
from cimfed.doctor.finding import Checking, Code, Examination, Finding, quiet
from cimfed.doctor.party import Place, ask_around, examine_clock, examine_party
from cimfed.errors import BadConfig
from cimfed.model.names import Kind
from cimfed.passphrase import FileOption
from cimfed.rpc import clock
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.directory.listing import Directory
from cimfed.trust.next_keys import signing_key_path


def doctor(
    profile: Annotated[str, typer.Option(help="The connection profile; not needed where there is only one.")] = "",
    home: Annotated[Path | None, typer.Option(help="An office's folder, in the place of a profile.")] = None,
    passphrase_file: FileOption = None,
    as_json: JSON = False,
) -> None:
    """Says what is wrong with a profile or an office, or will be soon, and what to do. Ends with 1 where anything is
    an error."""
    with Command("doctor", as_json) as command, quiet():
        if home is not None and profile:
            raise BadConfig("--profile and --home exclude each other")
        if home is not None:
            exam = examine_office(read_office(home), passphrase_file)
            exam.report(command, str(home))
        else:
            known = read_profile(profile or only_profile())
            exam = examine_profile(known, passphrase_file)
            exam.report(command, known.name)
    exam.end()


def examine_profile(profile: Profile, secret_file: Path | None, now: Callable[[], int] = clock.now) -> Examination:
    exam = Examination()
    place = Place(
        profile.home,
        profile.name,
        profile.federation,
        profile.directory,
        profile.service,
        signing_key_path(profile.home, Kind.PARTNER),
        of_person=True,
        secret_file=secret_file,
        follows=False,
    )
    seen = examine_party(exam, place, lambda _: [profile.gateway], now, [profile.gateway])
    examine_clock(exam, seen, now)
    exam.judge("disk", lambda: homes.disk(look.disk_fact(profile.home)))
    exam.judge("versions", lambda: homes.versions(look.version_facts("cimfed")))
    return exam


def examine_office(office: Office, secret_file: Path | None, now: Callable[[], int] = clock.now) -> Examination:
    exam = Examination()
    place = Place(
        office.home,
        "",
        office.federation,
        office.home / "directory",
        office.service,
        office.home / "registrar.key",
        follows=False,
    )
    seen, _ = ask_around(exam, place, lambda _: None, lambda _: [], now)
    found = seen.newest
    for key in sorted(office.home.glob("*.key")):
        exam.judge("keys", lambda key=key: _key(key, secret_file, found))  # type: ignore[misc]
    if found is not None:
        exam.judge("listing", lambda: listed.office(found, now()))
    examine_clock(exam, seen, now)
    exam.judge("disk", lambda: homes.disk(look.disk_fact(office.home)))
    exam.judge("versions", lambda: homes.versions(look.version_facts("cimfed")))
    return exam


def _key(path: Path, secret_file: Path | None, found: Directory | None) -> Iterator[Finding]:
    """A key of the office, and which roles it signs for."""
    fact = look.key_fact(path, secret_file, of_person=True)
    yield from homes.key(fact, of_person=True)
    if fact.public is None or found is None:
        return
    gone = next((each for each in found.revoked if each.subject == fact.public.id.hex()), None)
    if gone is not None:
        yield Checking("keys").error(
            Code.KEY_REVOKED,
            f"{path} was revoked, and signs nothing that counts: {gone.reason}",
            "The board names another key: cimfed directory rotate-root",
            about=str(path),
            since=gone.at,
        )
        return
    roles = [role for role, held in holders(found).items() if fact.public in held.keys]
    if roles:
        yield Checking("keys").ok(f"{path} signs for {', '.join(roles)}", about=str(path))
    else:
        yield Checking("keys").warning(
            Code.KEY_WITHOUT_ROLE,
            f"{path} signs for nothing in version {found.version} of the directory",
            "Expected of a key that was exchanged, or is to be named by the next ceremony; else look for the right one",
            about=str(path),
        )
