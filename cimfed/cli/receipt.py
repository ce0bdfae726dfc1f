"""`cimfed receipt verify | show | complete`: what proves an answer, without its rows."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cimfed import console
from cimfed.cli import asking
from cimfed.cli.output_table import coverage_table
from cimfed.client.complete import complete_receipt
from cimfed.client.following import follower_of
from cimfed.client.logged import RevokedLater, revoked_since
from cimfed.client.profile import only_profile, profile_names, read_profile
from cimfed.client.receipts import Report, verify_receipt
from cimfed.command import JSON, Command
from cimfed.errors import BadDirectory, Forged, Incomplete, NotFound
from cimfed.model.instants import instant_text
from cimfed.model.names import CityName
from cimfed.model.texts import plain
from cimfed.query.cql2 import to_cql2
from cimfed.query.query import Aggregate, Catalog, Read, Request
from cimfed.rpc import clock
from cimfed.rpc.logs import LogClient
from cimfed.rpc.mirror import Mirrors
from cimfed.trust.directory.documents import address
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Always, Folder, MirrorSource
from cimfed.trust.directory.proof import check_root
from cimfed.trust.files import replace_file
from cimfed.trust.identity_files import read
from cimfed.trust.tls import LeafSource, Use

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
    directory: Annotated[
        str,
        typer.Option(
            help="The directory as it is now, host:port or a folder of its files: looks for keys revoked since."
        ),
    ] = "",
    as_json: JSON = False,
) -> None:
    """Checks every signature and hash of a receipt, without network; ends with 8 when anything does not agree."""
    with Command("receipt-verify", as_json) as command:
        trusted = _root(root, profile)
        report = verify_receipt(read(file), trusted)
        current = _current(directory, report, trusted) if directory else None
        revoked = revoked_since(report.signers, report.logged, current) if current is not None else []
        for item in revoked:
            if not item.counts:
                raise Forged(
                    str(item), remedy="Where its log part is missing, add it (cimfed receipt complete), and look again"
                )
        answered = [line.city for line in report.coverage.answered]
        command.put(
            file=str(file),
            rows=report.coverage.rows,
            cities=answered,
            asked_by=report.organisation,
            asked=instant_text(report.query.issued),
            answered=instant_text(report.answered_at),
            directory_version=report.directory_version,
            logged=_logged(report),
            unlogged=sorted(report.manifests.keys() - report.logged.keys()),
            compared_with=current.version if current is not None else None,
            revoked=[_revoked(item) for item in revoked],
        )
        if not as_json:
            console.out.print(
                f"[green]verified[/green]: {report.coverage.rows:,} rows of {', '.join(answered) or 'no city'}, "
                f"asked by {report.organisation} on {instant_text(report.query.issued)}",
                soft_wrap=True,
            )
        for line in (*report.log_lines, *map(str, revoked)):
            command.say(line)
        if len(report.logged) < len(report.manifests) and not as_json:
            console.err.print("cimfed receipt complete adds the proofs of the log that are missing", markup=False)
        if directory and not revoked:
            command.say("no key that signed it was revoked since")


@app.command()
def complete(
    file: FileArgument,
    profile: asking.ProfileOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the completed receipt goes; else the file.")] = None,
    as_json: JSON = False,
) -> None:
    """Adds the proof that the decisions are in the cities' logs; ends with 6 where a city did not give it."""
    with Command("receipt-complete", as_json) as command:
        known = read_profile(profile or only_profile())
        data = read(file)
        leaves = LeafSource(known.issuing_key(), known.federation, known.name, Use.CLIENT)
        with contextlib.closing(follower_of(known, leaves)) as follower:
            current = follower.refresh()

        def prove(city: CityName, request: bytes) -> bytes:
            with LogClient(current, city, leaves.current(clock.now())) as client:
                return client.prove(request)

        done = complete_receipt(data, known.root, prove)
        if done.receipt != data:
            replace_file(out or file, done.receipt)
        command.put(
            file=str(out or file),
            logged=_logged(done.report),
            missing={city: error.reason for city, error in sorted(done.missing.items())},
        )
        for line in done.report.log_lines:
            command.say(line)
    if done.missing:
        raise Incomplete(
            f"{len(done.missing)} of {len(done.report.manifests)} cities gave no proof, or not all of it",
            remedy="Try again later",
            details=[f"{city}: {error.line}" for city, error in sorted(done.missing.items())],
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
        facts |= {"logged": _logged(report), "coverage": report.coverage.to_dict()}
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            console.out.print(f"{name.replace('_', ' ')}: {plain(str(value))}", markup=False)
    console.out.print(coverage_table(report.coverage))
    for line in report.log_lines:
        console.say(line)


def _current(place: str, report: Report, root: bytes) -> Directory:
    """The directory as it is now, of a service or of files, as it follows from the same root."""
    with TemporaryDirectory(prefix="cimfed-") as folder:
        pin(Path(folder), root)
        federation = report.query.federation
        mirrors: MirrorSource = (
            Always(Folder(Path(place))) if Path(place).is_dir() else Mirrors(federation, service=address(place))
        )
        with contextlib.closing(Follower(Path(folder), federation, mirrors, clock.now)) as follower:
            return follower.refresh()


def _logged(report: Report) -> dict[str, Any]:
    return {
        city: {"log": item.origin, "entry": item.index, "size": item.size, "cosigned": sorted(item.cosigned)}
        for city, item in sorted(report.logged.items())
    }


def _revoked(item: RevokedLater) -> dict[str, Any]:
    return {
        "party": item.signed.party,
        "key": item.signed.key.id.hex(),
        "reason": item.reason,
        "at": instant_text(item.at),
        "cosigned_by": list(item.by),
    }


def _root(file: Path | None, profile: str | None) -> bytes:
    if file is not None:
        return _checked(file)
    if not profile and not profile_names():
        raise NotFound(
            "there is no profile here whose root would be trusted",
            place="--root",
            remedy="Name the directory's root.json: its administrator, or any partner, has it",
        )
    return read_profile(profile or only_profile()).root


def _checked(file: Path) -> bytes:
    """BadDirectory for what is no root: it would look like a false receipt."""
    content = read(file)
    try:
        check_root(content)
    except BadDirectory as error:
        raise BadDirectory(error.message, place="--root", remedy=error.remedy) from None
    return content


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
