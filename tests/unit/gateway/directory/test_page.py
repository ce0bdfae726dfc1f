"""``docs/directory-service.md`` says what the code has."""

from __future__ import annotations

from pathlib import Path

from cimfed.rpc.options import DIRECTORY_SERVER
from cimfed.rpc.throttle import Allowance
from cimfed_gateway.directory import administration, admission
from cimfed_gateway.directory.service import ALLOWANCES

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "directory-service.md").read_text("utf-8")


def test_the_allowances_are_those_of_the_code() -> None:
    _, _, after = PAGE.partition("| | Calls a second |")
    found = {}
    for line in after.splitlines()[2:]:
        if not line.startswith("|"):
            break
        names, *numbers = (cell.strip() for cell in line.strip("|").split("|"))
        allowance = Allowance(float(numbers[0]), *map(int, numbers[1:]))
        found |= {name.strip(" `"): allowance for name in names.split(",")}
    assert found == {
        name.removeprefix("/grpc.health.v1.") if "Health" in name else name.rpartition("/")[2]: allowance
        for name, allowance in ALLOWANCES.items()
    }


def test_its_numbers_are_those_of_the_code() -> None:
    options = dict(DIRECTORY_SERVER)
    text = " ".join(PAGE.split())
    connections, calls = options["grpc.max_allowed_incoming_connections"], options["grpc.max_concurrent_streams"]
    assert f"At most {connections} connections are open, with {calls} calls on each" in text
    assert options["grpc.max_connection_idle_ms"] == 60_000
    assert f"At most {admission.WAITING} requests wait and {administration.INVITATIONS} invitations are open" in text
    decided = admission.KEPT_DECIDED // 86_400_000_000
    assert f"What was decided goes {decided} days later" in text
    assert f"an invitation {decided} days after its end" in text
    assert admission.REPLACED == 10
    assert "ten cards of a party take each other's place" in text
    assert f"Requests for access go after {admission.KEPT // 86_400_000_000} days" in text
    assert admission.FAILURES == 10
