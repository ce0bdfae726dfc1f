"""What read, aggregate and catalog share: whom to ask, how the answer is put out, and how the command ends.

The exit code, decided here and nowhere else:

- 0: every city that may have rows answered; what was written is all of it, verified;
- 6: some cities are missing (refused, unreachable, late); what was written is verified, the coverage says who is away;
- otherwise nothing was written to a file, and it is the error's own (``docs/errors.md``): 2 the question is wrong,
  3 a city is not listed, 4 nobody granted it or the partner is not known, 7 too few cities answered or the gateway is
  away, 8 the answer did not verify. Where nobody answered, each for a reason of its own, that is 7.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase, paths
from cimfed.cli import output, output_table
from cimfed.cli.output import Format, Rows, Target
from cimfed.client.answer import Answer
from cimfed.client.connect import asker_of
from cimfed.client.federation import Federation
from cimfed.client.profile import only_profile, read_profile
from cimfed.errors import BadConfig, CimfedError, NotGranted, UnknownProperty
from cimfed.model.texts import plain

PARTIAL = 6
CATALOGUE = "cimfed catalog shows what you may ask"

ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", envvar="CIMFED_PROFILE", help="Connection profile; not needed if there is one."),
]
GatewayOption = Annotated[str | None, typer.Option("--gateway", help="Ask this gateway, not the profile's.")]
DirectOption = Annotated[str | None, typer.Option("--direct", metavar="CITY", help="Ask this city itself.")]
WhereOption = Annotated[str | None, typer.Option("--where", help="A filter in CQL2, such as: height > 50")]
BboxOption = Annotated[str | None, typer.Option("--bbox", metavar="XMIN,YMIN,XMAX,YMAX", help="In degrees.")]
PurposeOption = Annotated[str | None, typer.Option("--purpose", help="What for; cities grant by purpose.")]
GrantOption = Annotated[
    list[str] | None,
    typer.Option("--grant", metavar="CITY=ID", help="The grant to use of a city, where several match."),
]
CityOption = Annotated[list[str] | None, typer.Option("--city", help="Ask only this city; again for more.")]
RequireOption = Annotated[str, typer.Option("--require", help="How many cities must answer: all, any or a number.")]
TimeoutOption = Annotated[float | None, typer.Option("--timeout", help="Seconds for the whole answer.")]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write here: .csv .geojson .geojsonl .city.jsonl .city.json .gpkg .parquet .arrow .feather .arrows,"
        " or - for standard output.",
    ),
]
FormatOption = Annotated[Format | None, typer.Option("--format", help="Instead of what the file's name says.")]
RowsOption = Annotated[int, typer.Option("--rows", min=1, help="Rows to show on a terminal.")]
ReceiptOption = Annotated[
    Path | None, typer.Option("--receipt", metavar="FILE", help="Write what proves the answer, without its rows.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Coverage as JSON, not as a table.")]


@dataclass(frozen=True)
class Ending:
    """What to do with an answer's coverage and receipt."""

    receipt: Path | None
    json: bool

    @classmethod
    def of(cls, receipt: Path | None, json: bool, target: Path | None) -> Ending:
        """``target``: where the rows go."""
        real = paths.replaceable(receipt) if receipt else None
        if real is not None and target is not None and real in (target, output.beside(target)):
            raise BadConfig("rows and receipt cannot go to one file", place="--receipt")
        return cls(real, json)


@contextmanager
def federation(
    profile: str | None, gateway: str | None, direct: str | None, passphrase_file: Path | None
) -> Iterator[Federation]:
    """What is asked; an error about what may be asked says where that is shown."""
    with opened(profile, gateway, direct, passphrase_file) as found:
        try:
            yield found
        except (NotGranted, UnknownProperty) as error:
            error.remedy = ". ".join(part for part in (error.remedy, CATALOGUE) if part)
            raise


def opened(profile: str | None, gateway: str | None, direct: str | None, passphrase_file: Path | None) -> Federation:
    known = read_profile(profile or only_profile())
    signer = passphrase.open_key(known.access_key, passphrase_file)
    return Federation(asker_of(known, signer, gateway, direct))


def put_out(
    answer: Answer,
    target: Target,
    layer: str,
    ending: Ending,
    show: Callable[[Rows], None],
    rows: Callable[[], Rows] | None = None,
) -> None:
    """Reads the answer to its end, shows or writes it, then its coverage and receipt; ends with 6 if it is partial.

    ``rows`` reads the answer in another way than ``Answer.spool``.
    """
    with accounted(answer, ending):
        found = rows() if rows else answer.spool(output.SMALL)
        if target.format is Format.TABLE:
            show(found)
        else:
            count = output.write(found, target, layer, lambda: answer.provenance)
            if target.path is not None and not ending.json:
                console.err.print(f"{count:,} rows in {plain(str(target.path))}", markup=False)


@contextmanager
def accounted(answer: Answer, ending: Ending) -> Iterator[None]:
    """The answer is read inside; then come its coverage and its receipt, and the end with 6 if it is partial."""
    try:
        yield
    except CimfedError:
        _account(answer, ending)
        raise
    _account(answer, ending)
    if not answer.coverage.complete:
        raise typer.Exit(PARTIAL)


def _account(answer: Answer, ending: Ending) -> None:
    if not answer.ended:
        return
    if ending.json:
        print(json.dumps(answer.coverage.to_dict(), ensure_ascii=False), file=sys.stderr)
    else:
        console.err.print(output_table.coverage_table(answer.coverage))
    if ending.receipt is not None:
        answer.receipt.save(ending.receipt)


def pairs(items: list[str] | None) -> dict[str, str]:
    """``city=id`` of each."""
    found = {}
    for item in items or ():
        city, equals, grant = item.partition("=")
        if not (city and equals and grant):
            raise BadConfig(f"{item!r} is not city=grant", place="--grant")
        found[city] = grant
    return found


def box(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BadConfig("a box is four numbers with commas between them", place="--bbox") from None


def required(text: str) -> str | int:
    return int(text) if text.isdecimal() else text
