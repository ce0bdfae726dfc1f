"""A finding, its code, and how a run of checks ends.

Rules:
1. Every finding has a code, and ``docs/doctor.md`` tells what it means and what to do.
2. A check that fails itself is a finding (``check_failed``); the checks that need its facts are left out.
3. Nothing found is a finding too, ``ok``: whoever reads it sees what was looked at.
4. A run ends with 1 where a finding is an error, else with 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import typer

from cimfed.command import Command
from cimfed.console import told
from cimfed.errors import CimfedError
from cimfed.model.instants import instant_text

T = TypeVar("T")


@contextmanager
def quiet() -> Iterator[None]:
    """What is looked at says its troubles to a log as well; here the findings tell them."""
    ours = logging.getLogger("cimfed")
    before = ours.level
    ours.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        ours.setLevel(before)


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Code(StrEnum):
    """``docs/doctor.md`` has a line for each."""

    OK = "ok"
    CHECK_FAILED = "check_failed"

    CLOCK_OFF = "clock_off"
    CLOCK_DRIFTS = "clock_drifts"
    CLOCK_BEHIND_RECORD = "clock_behind_record"
    CLOCK_UNMEASURED = "clock_unmeasured"
    PEER_CLOCK_OFF = "peer_clock_off"

    DIRECTORY_UNKNOWN = "directory_unknown"
    DIRECTORY_DAMAGED = "directory_damaged"
    ROOT_DAMAGED = "root_damaged"
    DIRECTORY_BEHIND = "directory_behind"
    DIRECTORY_FORKED = "directory_forked"
    ROLE_ENDING = "role_ending"
    ROLE_ENDED = "role_ended"
    VOCABULARY_OTHER = "vocabulary_other"
    KEYS_HELD_BACK = "keys_held_back"

    NOT_LISTED = "not_listed"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    KEY_NOT_LISTED = "key_not_listed"
    KEY_REVOKED = "key_revoked"
    KEY_ELSEWHERE = "key_elsewhere"
    ACCESS_KEY_ENDING = "access_key_ending"
    ACCESS_KEY_ENDED = "access_key_ended"
    ACCESS_KEY_NOT_BEGUN = "access_key_not_begun"
    ISSUER_NOT_LISTED = "issuer_not_listed"
    ADDRESS_OTHER = "address_other"
    STEWARDS_OTHER = "stewards_other"
    PARTNERS_ENDING = "partners_ending"
    CITIES_UNROUTED = "cities_unrouted"

    KEY_UNUSABLE = "key_unusable"
    KEY_DOES_NOT_SIGN = "key_does_not_sign"
    KEY_UNENCRYPTED = "key_unencrypted"
    KEY_WITHOUT_ROLE = "key_without_role"
    KEYS_OPEN = "keys_open"
    CARD_OTHER = "card_other"
    TLS_UNUSABLE = "tls_unusable"
    TLS_ENDING = "tls_ending"
    TLS_ENDED = "tls_ended"

    POLICY_NONE = "policy_none"
    POLICY_UNREADABLE = "policy_unreadable"
    POLICY_NOT_BEGUN = "policy_not_begun"
    POLICY_ENDING = "policy_ending"
    POLICY_ENDED = "policy_ended"
    POLICY_UNPUBLISHED = "policy_unpublished"
    POLICY_OTHER = "policy_other"
    ROUTING_ENDING = "routing_ending"
    ROUTING_ENDED = "routing_ended"
    VIEWS_MISSING = "views_missing"
    BLOCKED = "blocked"
    BLOCKED_ALL = "blocked_all"

    PEER_UNREACHABLE = "peer_unreachable"
    PEER_REFUSES = "peer_refuses"
    PEER_NOT_SERVING = "peer_not_serving"
    NOT_SERVING = "not_serving"
    MIRROR_BEHIND = "mirror_behind"
    MIRROR_FALSE = "mirror_false"
    MIRRORS_AWAY = "mirrors_away"
    SERVICE_UNVERIFIED = "service_unverified"

    LOG_UNREADABLE = "log_unreadable"
    LOG_UNSIGNED = "log_unsigned"
    LOG_NOT_COSIGNED = "log_not_cosigned"
    LOG_FORKED = "log_forked"

    DISK_FULL = "disk_full"
    DISK_LOW = "disk_low"
    DATABASE_DAMAGED = "database_damaged"
    DATABASE_NOT_CHECKED = "database_not_checked"
    DATABASE_UNUSABLE = "database_unusable"
    POSTGIS_AWAY = "postgis_away"
    VERSIONS_MIXED = "versions_mixed"
    SERVICE_USER_NONE = "service_user_none"
    SERVICE_USER_WRONG = "service_user_wrong"
    BACKUP_NONE = "backup_none"
    BACKUP_OLD = "backup_old"
    REQUESTS_WAITING = "requests_waiting"


@dataclass(frozen=True)
class Finding:
    """``about``: a party, role or file. ``since``, ``until``: instants, where there are any."""

    severity: Severity
    check: str
    code: Code
    what: str
    remedy: str = ""
    about: str = ""
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Checking:
    """Makes the findings of one check."""

    name: str

    def ok(self, what: str, **more: Any) -> Finding:
        return Finding(Severity.OK, self.name, Code.OK, what, **more)

    def warning(self, code: Code, what: str, remedy: str, **more: Any) -> Finding:
        return Finding(Severity.WARNING, self.name, code, what, remedy, **more)

    def error(self, code: Code, what: str, remedy: str, **more: Any) -> Finding:
        return Finding(Severity.ERROR, self.name, code, what, remedy, **more)

    def failed(self, error: Exception) -> Finding:
        known = told(error)
        place = f" (at {known.place})" if known.place else ""
        what = f"could not be checked: {known.reason}: {known.message}{place}"
        return self.error(Code.CHECK_FAILED, what, known.remedy or "The other findings may say why")


@dataclass
class Examination:
    """A run of checks."""

    findings: list[Finding] = field(default_factory=list)

    def look(self, check: str, get: Callable[[], T], code: Code = Code.CHECK_FAILED) -> T | None:
        """A fact; None, and a finding of that code, where it cannot be had."""
        try:
            return get()
        except CimfedError as error:
            known = Checking(check).failed(error)
            if code is not Code.CHECK_FAILED:
                known = Checking(check).error(
                    code, error.message, error.remedy or known.remedy, about=error.place or ""
                )
            self.findings.append(known)
        except Exception as error:
            self.findings.append(Checking(check).failed(error))
        return None

    def judge(self, check: str, find: Callable[[], Iterable[Finding]]) -> None:
        """What the facts say."""
        found: list[Finding] = []
        try:
            found.extend(find())
        except Exception as error:
            found.append(Checking(check).failed(error))
        self.findings.extend(found)

    def count(self, severity: Severity) -> int:
        return sum(found.severity is severity for found in self.findings)

    def report(self, command: Command, party: str) -> None:
        errors, warnings = self.count(Severity.ERROR), self.count(Severity.WARNING)
        command.put(party=party, errors=errors, warnings=warnings, findings=[_facts(one) for one in self.findings])
        for found in self.findings:
            for line in _lines(found):
                command.say(line)
        command.say(f"{party}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}")

    def end(self) -> None:
        """To be called after ``Command`` has ended: rule 4."""
        if self.count(Severity.ERROR):
            raise typer.Exit(1)


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _lines(found: Finding) -> Iterator[str]:
    times = [
        f"{word} {instant_text(at // 1_000_000 * 1_000_000)}"
        for word, at in (("since", found.since), ("until", found.until))
        if at is not None
    ]
    code = "" if found.code is Code.OK else f"{found.code}: "
    when = f" ({', '.join(times)})" if times else ""
    yield f"{found.severity:<8} {found.check:<9} {code}{found.what}{when}"
    if found.remedy:
        yield f"{'':<18} {found.remedy}"


def _facts(found: Finding) -> dict[str, Any]:
    return {
        "severity": str(found.severity),
        "check": found.check,
        "code": str(found.code),
        "about": found.about,
        "what": found.what,
        "since": None if found.since is None else instant_text(found.since),
        "until": None if found.until is None else instant_text(found.until),
        "remedy": found.remedy,
    }
