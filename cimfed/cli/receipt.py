"""`cimfed receipt verify | show`: what proves an answer, without its rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console
from cimfed.cli import asking
from cimfed.cli.output_table import coverage_table
from cimfed.client.profile import only_profile, read_profile
from cimfed.client.receipts import Report, verify_receipt
from cimfed.model.instants import instant_text
from cimfed.model.texts import plain
from cimfed.query.cql2 import to_cql2
from cimfed.query.query import Aggregate, Catalog, Read, Request
from cimfed.trust.identity_files import read

app = typer.Typer(no_args_is_help=True, help="What proves an answer, without its rows.")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A receipt, as --receipt writes it.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", exists=True, help="root.json of the directory: what you trust. Else that of the profile."),
]


@app.command()
def verify(
    file: FileArgument,
    root: RootOption = None,
    profile: asking.ProfileOption = None,
) -> None:
    """Checks every signature and hash of a receipt, without network; ends with 8 when anything does not agree."""
    report = verify_receipt(read(file), _root(root, profile))
    cities = ", ".join(line.city for line in report.coverage.answered) or "no city"
    console.out.print(
        f"[green]verified[/green]: {report.coverage.rows:,} rows of {cities}, "
        f"asked by {report.organisation} on {instant_text(report.query.issued)}"
    )


@app.command()
def show(
    file: FileArgument,
    root: RootOption = None,
    profile: asking.ProfileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Verifies a receipt and says what it proves: who asked what, who answered, under which policies."""
    report = verify_receipt(read(file), _root(root, profile))
    facts = _facts(report)
    if as_json:
        print(json.dumps({**facts, "coverage": report.coverage.to_dict()}, ensure_ascii=False, indent=2))
        return
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            console.out.print(f"{name.replace('_', ' ')}: {plain(str(value))}", markup=False)
    console.out.print(coverage_table(report.coverage))


def _root(file: Path | None, profile: str | None) -> bytes:
    return read(file) if file is not None else read_profile(profile or only_profile()).root


def _facts(report: Report) -> dict[str, Any]:
    query = report.query
    return {
        "asked_by": report.organisation,
        "federation": query.federation,
        "asked": instant_text(query.issued),
        "answered": instant_text(report.answered_at),
        "purpose": query.purpose,
        "cities": ", ".join(query.cities) or "all",
        "grants": ", ".join(f"{city}={grant}" for city, grant in sorted(query.grants.items())),
        "via": ", ".join(query.via) or "direct",
        "directory_version": report.directory_version,
        "rows": report.coverage.rows,
        **_request(query.request),
    }


def _request(request: Request) -> dict[str, Any]:
    asked = {"request": type(request).__name__.lower(), "collection": request.collection}
    if not isinstance(request, Catalog) and request.where is not None:
        asked["where"] = to_cql2(request.where)
    match request:
        case Read():
            asked["properties"] = ", ".join(request.properties) if request.properties else "all"
        case Aggregate():
            asked["measures"] = ", ".join(measure.name for measure in request.measures)
            asked["by"] = ", ".join(request.group_by)
    return asked
