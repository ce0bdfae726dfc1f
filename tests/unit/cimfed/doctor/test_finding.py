"""How a run of checks is told, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from cimfed.command import Command
from cimfed.doctor.finding import Checking, Code, Examination, Severity
from cimfed.errors import BadConfig

CHECK = Checking("disk")
NOON = 1_767_268_800_000_000


def examination() -> Examination:
    exam = Examination()
    exam.judge("disk", lambda: [CHECK.ok("50 GiB free")])
    exam.judge("disk", lambda: [CHECK.warning(Code.DISK_LOW, "1 GiB free", "Make room", since=NOON)])
    return exam


def test_without_an_error_a_run_ends_with_0_and_else_with_1() -> None:
    exam = examination()
    exam.end()
    exam.judge("disk", lambda: [CHECK.error(Code.DISK_FULL, "none free", "Make room")])
    with pytest.raises(typer.Exit) as ended:
        exam.end()
    assert ended.value.exit_code == 1


def test_a_check_that_fails_is_a_finding_without_what_it_stumbled_on() -> None:
    exam = Examination()
    assert exam.look("keys", lambda: int("secret-4711")) is None
    assert exam.look("keys", lambda: Path("/nowhere/4711").read_bytes(), Code.CARD_OTHER) is None
    exam.judge("policy", lambda: (CHECK.ok(str(1 // int(number))) for number in "10"))
    assert [each.code for each in exam.findings] == [
        Code.CHECK_FAILED,
        Code.CHECK_FAILED,
        Code.OK,
        Code.CHECK_FAILED,
    ]
    assert all(each.severity is Severity.ERROR for each in exam.findings if each.code is Code.CHECK_FAILED)
    assert "secret" not in str(exam.findings)


def test_a_fact_that_cannot_be_had_has_the_finding_of_its_own() -> None:
    def fail() -> None:
        raise BadConfig("not readable", place="/srv/card.json", remedy="Make it anew")

    exam = Examination()
    assert exam.look("keys", fail, Code.CARD_OTHER) is None
    (found,) = exam.findings
    assert (found.code, found.about, found.remedy) == (Code.CARD_OTHER, "/srv/card.json", "Make it anew")


def test_as_text_each_finding_is_a_line_and_what_to_do_another(capsys: pytest.CaptureFixture[str]) -> None:
    with Command("doctor") as command:
        examination().report(command, "kz.almaty")
    assert capsys.readouterr().out.splitlines() == [
        "ok       disk      50 GiB free",
        "warning  disk      disk_low: 1 GiB free (since 2026-01-01T12:00:00Z)",
        "                   Make room",
        "kz.almaty: no errors, 1 warning",
    ]


def test_as_json_it_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    with Command("doctor", True) as command:
        examination().report(command, "kz.almaty")
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["party"]) == ("cimfed/doctor/v1", "kz.almaty")
    assert (said["errors"], said["warnings"]) == (0, 1)
    assert said["findings"][1] == {
        "severity": "warning",
        "check": "disk",
        "code": "disk_low",
        "about": "",
        "what": "1 GiB free",
        "since": "2026-01-01T12:00:00Z",
        "until": None,
        "remedy": "Make room",
    }
