from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cimfed.policy.grant import Policy
from cimfed.policy.lint import Finding, Severity, lint
from tests.unit.cimfed.policy.documents import EXAMPLE, HEAD, PAGE, grant, policy, whole

DECLARED = policy(HEAD + "declared: {building: {extent: [76.7, 43.1, 77.1, 43.4]}}\n").declared
PAGE_RULES = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", PAGE, re.MULTILINE))


def within(small: Policy) -> Policy:
    """The small policy with an extent declared, so that nothing is to be found but what the test is about."""
    return replace(small, declared=DECLARED)


def found(small: Policy) -> list[tuple[str, str, str]]:
    return [(finding.severity.value, finding.rule, finding.grant) for finding in lint(small)]


def area(west: float, east: float) -> str:
    ring = f"[[{west}, 43.2], [{east}, 43.2], [{east}, 43.3], [{west}, 43.3], [{west}, 43.2]]"
    return f"area: {{within: {{type: Polygon, coordinates: [{ring}]}}}}"


def two(first: dict[str, str], second: dict[str, str]) -> Policy:
    one, other = (within(grant(*(f"{key}: {value}" for key, value in words.items()))) for words in (first, second))
    return replace(one, grants=(replace(one.grants[0], id="one"), replace(other.grants[0], id="two")))


WHOLE = dict(line.split(": ", 1) for line in whole())
WEST = area(76.8, 76.9).removeprefix("area: ")
CASES = [
    ("fine-geometry", "error", "one", within(grant("columns: {height: {band: 5}}", "geometry: {max_lod: 1}"))),
    ("fine-geometry", "error", "one", within(grant("columns: {footprint_area: 'null'}", "geometry: {max_lod: 0}"))),
    ("never-valid", "error", "one", within(grant("valid: [2027-01-01T00:00Z, 2028-01-01T00:00Z]"))),
    ("beyond-policy", "warning", "one", within(grant("valid: [2026-02-01T00:00Z, 2028-01-01T00:00Z]"))),
    ("broad-subject", "warning", "one", within(grant("subject: {role: [researcher]}"))),
    ("broad-subject", "warning", "one", within(grant("subject: {country: [CN]}"))),
    ("area-outside", "error", "one", within(grant(area(10, 11)))),
    ("area-cut", "warning", "one", within(grant(area(76.6, 76.8)))),
    ("undeclared-extent", "warning", "", grant()),
    (
        "empty-declaration",
        "warning",
        "",
        replace(grant(), declared={**DECLARED, "facility": None}),
    ),
    ("listed-not-granted", "warning", "", replace(within(grant()), listed={"building": frozenset({"function"})})),
    ("listed-not-granted", "warning", "", replace(within(grant()), listed={"facility": frozenset({"fuel"})})),
    (
        "join",
        "warning",
        "one",
        two({"columns": "{height: exact}"}, {"columns": "{height: {band: 5}, function: exact}"}),
    ),
    ("beside-originals", "warning", "one", two(WHOLE, {"columns": "{height: {band: 5}}"})),
    ("beside-originals", "warning", "two", two({"columns": "{height: {band: 5}}", "area": WEST}, WHOLE)),
]


@pytest.mark.parametrize(("rule", "severity", "of", "small"), CASES, ids=[case[0] for case in CASES])
def test_a_finding_alone(rule: str, severity: str, of: str, small: Policy) -> None:
    assert found(small) == [(severity, rule, of)]
    assert rule in str(lint(small)[0])


def test_the_page_explains_every_finding() -> None:
    assert {rule: severity for rule, severity, _, _ in CASES} == PAGE_RULES


@pytest.mark.parametrize(
    "small",
    [
        within(grant()),
        within(grant("columns: {height: exact}", "geometry: {max_lod: 3}")),
        within(grant("columns: {height: {band: 5}}", "geometry: {max_lod: 0}")),
        within(grant("columns: {height: {band: 5}}")),
        within(grant(area(76.8, 76.9))),
        two({"columns": "{height: exact, id: exact}"}, {"columns": "{height: {band: 5}}"}),
        two(WHOLE, WHOLE),
        two(WHOLE, {"subject": "{org: [inst.b]}", "columns": "{height: {band: 5}}"}),
        two({"subject": "{org: [inst.a]}"}, {"subject": "{org: [inst.b]}", "columns": "{function: exact}"}),
        two(
            {"valid": "[2026-01-01T00:00Z, 2026-02-01T00:00Z]"},
            {"valid": "[2026-02-01T00:00Z, 2026-03-01T00:00Z]", "columns": "{function: exact}"},
        ),
    ],
    ids=range(10),
)
def test_nothing_to_find(small: Policy) -> None:
    assert lint(small) == []


def test_errors_come_first() -> None:
    small = grant("columns: {height: {band: 5}}", "geometry: {max_lod: 1}", "subject: {country: [CN]}")
    assert [finding.severity for finding in lint(small)] == [Severity.ERROR, Severity.WARNING, Severity.WARNING]


def test_the_worked_example_of_the_page_has_only_findings_it_may_have() -> None:
    assert found(policy(EXAMPLE)) == [
        ("warning", "broad-subject", "districts"),
        ("warning", "undeclared-extent", ""),
        ("warning", "listed-not-granted", ""),
    ]


def test_a_finding_reads_as_a_line() -> None:
    assert str(Finding(Severity.ERROR, "never-valid", "it is not valid", "one")) == (
        "error: never-valid: grant one: it is not valid"
    )
