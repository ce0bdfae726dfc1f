"""`cimfed audit tail | show | verify | consistency | report | exposure`: what the logs of the federation say.

The logs are exported files (`cimfed-node log export`), or are read from the servers. Whatever is shown has verified:
the tree of the entries has the root that the log's owner signed. Entries are names and digests: there are no data and
no filters in them, so none can be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from cimfed import console, passphrase
from cimfed.cli import audit_sums as sums
from cimfed.cli import known_keys
from cimfed.cli.audit_forks import Compared, Kept, Shown, compare, compare_files
from cimfed.cli.audit_sources import AtOption, FilesOption, HomeOption, LogKeyOption, ProfileOption, Sources
from cimfed.cli.audit_sums import By, Line, ReadLog, facts, said, when
from cimfed.cli.office import KeyOption
from cimfed.command import JSON, Command
from cimfed.errors import LogInconsistent, NotFound
from cimfed.model.instants import instant_text
from cimfed.trust.directory.listing import Directory
from cimfed.trust.tlog.checkpoint import parse_origin
from cimfed.trust.tlog.entries import Decision, Outcome, Passed, Returned

app = typer.Typer(no_args_is_help=True, help="What the logs of the federation say, and whether they are sound.")


@app.command()
def tail(
    files: FilesOption = None,
    at: AtOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Entries of each log.", min=1, max=10_000)] = 20,
    key: KeyOption = "",
    log_key: LogKeyOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Shows the last entries of each log."""
    with Command("audit-tail", as_json) as command:
        sources = Sources(command, files, at, home, profile, key, log_key, passphrase_file)
        logs = sources.read(lambda size: size - count)
        lines = [line for read in logs for line in list(read.lines())[-count:]]
        _show(command, sorted(lines, key=lambda line: (line.time, line.log, line.index)))
        sources.end()
    sources.check()


@app.command()
def show(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="An entry's index (with one log), a decision's position, or a request's hash, in hex."
        ),
    ],
    files: FilesOption = None,
    at: AtOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    key: KeyOption = "",
    log_key: LogKeyOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Shows all that the logs have of an entry, a decision or a request."""
    with Command("audit-show", as_json) as command:
        sources = Sources(command, files, at, home, profile, key, log_key, passphrase_file)
        found = [line for read in sources.read() for line in _of(read, wanted)]
        if not found and not sources.gathered.missing and not sources.gathered.broken:
            raise NotFound(f"no log that was read has {wanted[:80]}")
        command.put(entries=[facts(line) for line in found])
        for line in found:
            for name, value in facts(line).items():
                if value not in ("", 0):
                    command.say(f"{name.replace('_', ' ')}: {value}")
            command.say("")
        sources.end()
    sources.check()


@app.command()
def verify(
    files: FilesOption = None,
    at: AtOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    key: KeyOption = "",
    log_key: LogKeyOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Recomputes each log from its first entry on, and compares it with the checkpoints that were signed."""
    with Command("audit-verify", as_json) as command:
        sources = Sources(command, files, at, home, profile, key, log_key, passphrase_file)
        logs = sources.read()
        command.put(logs=[read.facts for read in logs])
        for read in logs:
            by = f", cosigned by {', '.join(read.cosigned)}" if read.cosigned else ", cosigned by nobody"
            beyond = f", {read.beyond} entries after the last" if read.beyond else ""
            command.say(
                f"{read.origin}: {len(read.entries)} entries agree with {read.checkpoints} checkpoints{by}{beyond}"
            )
        sources.end()
    sources.check()


@app.command()
def consistency(
    files: FilesOption = None,
    at: AtOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    log_key: LogKeyOption = None,
    as_json: JSON = False,
) -> None:
    """Compares what the servers, their witnesses and this office's memory were shown of each log, and finds forks."""
    with Command("audit-consistency", as_json) as command:
        sources = Sources(command, files, at, home, profile, "", log_key, None)
        if sources.files:
            results = compare_files(sources.files, sources.keys, sources.gathered)
        else:
            with sources.servers(entries=False) as servers:
                kept = Kept(sources.office.home / "audit" if sources.office else None)
                results = sources.gathered.each(sources.names(servers), lambda name: compare(servers, name, kept))
        command.put(logs=[_compared(result) for result in results])
        for result in results:
            _say_compared(command, result)
            for name, error in result.trouble.items():
                sources.gathered.missing.setdefault(name, error)
        sources.end()
    forks = [line for result in results for line in _fork_lines(result)]
    if forks:
        raise LogInconsistent(
            "a log was shown in two versions, each signed by its owner",
            remedy="Keep the output of --json as evidence, and tell the board",
            details=forks,
        )
    sources.check()


@app.command()
def report(
    quarter: Annotated[str, typer.Option(help="Such as 2026Q4, in UTC.")],
    by: Annotated[By, typer.Option(help="What a line of the report is of.")] = By.COUNTRY,
    files: FilesOption = None,
    at: AtOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    key: KeyOption = "",
    log_key: LogKeyOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Counts the queries that the cities granted and refused, and the rows that they gave."""
    with Command("audit-report", as_json) as command:
        span = sums.quarter(quarter)
        sources = Sources(command, files, at, home, profile, key, log_key, passphrase_file)
        partners = sources.directory.published.partners if sources.directory else {}
        logs = sources.read_once()
        found = sums.sums(
            logs,
            span,
            by,
            lambda name: partners[name].country if name in partners else "",  # type: ignore[index]
        )
        command.put(
            quarter=quarter,
            begins=instant_text(span[0]),
            ends=instant_text(span[1]),
            by=str(by),
            lines=[
                {str(by): one.name, "granted": one.granted, "refused": one.refused, "rows": one.rows} for one in found
            ],
            logs=[read.facts for read in logs],
        )
        whole = (sum(one.granted for one in found), sum(one.refused for one in found), sum(one.rows for one in found))
        rows = [(one.name, one.granted, one.refused, f"{one.rows:,}") for one in found]
        rows.append(("in all", whole[0], whole[1], f"{whole[2]:,}"))
        command.say(f"{quarter}, from {len(logs)} logs")
        command.show(console.table((str(by), "granted", "refused", "rows"), rows))
        sources.end()
    sources.check()


@app.command()
def exposure(
    of: Annotated[
        str, typer.Argument(metavar="KEY", help="A key's id, or 8 of its first hex digits; or a partner's name.")
    ],
    since: Annotated[str, typer.Option(help="From when on: 2026-10-01, or 2026-10-01T08:30Z.")],
    files: FilesOption = None,
    at: AtOption = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    key: KeyOption = "",
    log_key: LogKeyOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Lists everything that a key got, everywhere; ends with 6 where a log could not be read, which it names."""
    with Command("audit-exposure", as_json) as command:
        begin, wanted = sums.since_of(since), sums.key_of(of)
        sources = Sources(command, files, at, home, profile, key, log_key, passphrase_file)
        logs = sources.read_once()
        found = sums.exposure(logs, wanted, begin)
        command.put(
            key=of,
            since=instant_text(begin),
            queries=len(found),
            rows=sum(one.rows for one in found),
            got=[_got(one) for one in found],
            logs=[read.facts for read in logs],
        )
        cities = sorted({one.city for one in found if not one.decision.reason})
        command.say(
            f"{len(found)} queries since {instant_text(begin)}: {sum(one.rows for one in found):,} rows of "
            f"{', '.join(cities) or 'no city'}"
        )
        rows = [
            (when(one.decision.time)[:19], one.city, one.decision.kind, one.decision.collection,
             one.decision.purpose, one.decision.grant, one.came, f"{one.rows:,}")
            for one in found
        ]  # fmt: skip
        if not found and sources.directory is not None and not _knows(sources.directory, of):
            command.note(f"the directory neither lists nor revokes {of[:80]}: is it written right, or was it replaced?")
        if rows:
            columns = ("time", "city", "kind", "collection", "purpose", "grant", "came of it", "rows")
            command.show(console.table(columns, rows))
        sources.end()
    sources.check()


def _knows(directory: Directory, word: str) -> bool:
    """Whether a partner or a key is listed, or was revoked."""
    ids = {key.id for key in known_keys.known_keys(directory)} | {item.subject for item in directory.revoked}
    if word.startswith("inst."):
        return word in ids or any(party.name == word for party in directory.published.parties())
    return any(each.startswith(word) for each in ids)


def _show(command: Command, lines: Sequence[Line]) -> None:
    command.put(entries=[facts(line) for line in lines])
    rows = [(when(line.time)[:19], line.log, line.index, line.entry.type, said(line.entry)) for line in lines]
    command.show(console.table(("time", "log", "entry", "type", "what"), rows))


def _of(read: ReadLog, wanted: str) -> Iterator[Line]:
    """An entry by its index; all of a decision or a request."""
    lines = list(read.lines())
    if wanted.isdigit() and len(wanted) < 16:
        yield from (line for line in lines if line.index == int(wanted))
        return
    positions = {
        entry.position
        for entry in read.entries
        if isinstance(entry, Decision | Passed) and wanted in (f"{entry.position:016x}", entry.request_hash.hex())
    }
    for line in lines:
        match line.entry:
            case Decision() | Passed() if line.entry.position in positions:
                yield line
            case Outcome() | Returned() if line.entry.decision in positions:
                yield line


def _got(one: sums.Got) -> dict[str, Any]:
    entry = one.decision
    return {
        "time": when(entry.time),
        "city": one.city,
        "index": one.index,
        "position": f"{entry.position:016x}",
        "request_hash": entry.request_hash.hex(),
        "key": entry.key_id.hex(),
        "organisation": entry.organisation,
        "presenter": entry.presenter,
        "kind": entry.kind,
        "collection": entry.collection,
        "purpose": entry.purpose,
        "grant": entry.grant,
        "policy": entry.policy,
        "view": entry.view,
        "reason": entry.reason,
        "outcome": one.outcome.outcome if one.outcome else None,
        "rows": one.rows,
    }


def _compared(result: Compared) -> dict[str, Any]:
    return {
        "log": result.origin,
        "size": result.size,
        "agreed": result.agreed,
        "forks": [[_shown(one), _shown(other)] for one, other in result.forks],
        "unreachable": {name: error.reason for name, error in sorted(result.trouble.items())},
    }


def _shown(one: Shown) -> dict[str, Any]:
    return {"by": list(one.by), "size": one.checkpoint.size, "note": one.note.to_bytes().decode()}


def _say_compared(command: Command, result: Compared) -> None:
    own = result.trouble.get(parse_origin(result.origin).party)
    if result.forks:
        command.say(f"{result.origin}: FORKED")
    elif own is not None:
        command.say(f"{result.origin}: not compared with the log as it is now ({own.reason})")
    else:
        agreed = ["this office" if name == "kept" else name for name in result.agreed]
        by = f"agrees with what {', '.join(agreed)} had" if agreed else "nobody else had any of it"
        command.say(f"{result.origin}: {result.size} entries, {by}")


def _fork_lines(result: Compared) -> list[str]:
    return [
        f"{result.origin}: {one.checkpoint.size} entries as {' and '.join(one.by)} had it do not agree with "
        f"{other.checkpoint.size} as {' and '.join(other.by)} had it"
        for one, other in result.forks
    ]
