"""What `scripts/demo` shows; see the README.

Keeps one rule: however it ends (well, with an error, by Ctrl-C), no process and no file of it is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console

from alliance import BIN, GATEWAY, Alliance, City, CommandFailed
from scenarios import BUILDINGS, generated, real

SCRIPTS = Path(__file__).resolve().parent
PARTNER = "inst.tsinghua"
STRANGER = "inst.elsewhere"
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WIDTH = 120  # where the output is no terminal
TRY = """\
cimfed catalog --purpose research
cimfed aggregate building --measure count --measure mean:height --by city --purpose research
cimfed read building --where "function = 'school'" --purpose research -o schools.gpkg
"""
TRY_REAL = """\
cimfed catalog --purpose research
cimfed aggregate facility --measure count --measure sum:capacity_mw --by city --by fuel --purpose research
cimfed read admin_unit --city ru.moscow --purpose research -o districts.gpkg
"""
on_terminal = sys.stdout.isatty()
console = Console(highlight=False, markup=False, soft_wrap=True, width=None if on_terminal else WIDTH)


def say(text: str) -> None:
    console.print()
    console.print(f"── {text}", style="bold")


def typed(argv: Sequence[str]) -> None:
    console.print(f"$ {' '.join(map(_quoted, argv))}", style="dim")


def _quoted(word: str) -> str:
    """As a person would type it: double quotes around single ones."""
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


class Demo:
    """The alliance and its cities, and how a partner's commands run in it."""

    def __init__(self, alliance: Alliance, cities: list[City]) -> None:
        self.alliance = alliance
        self.cities = cities

    def set_up(self, shown: str) -> None:
        """Directory, gateway, cities with their data and policies, two partners. Shows one city's import."""
        started = time.monotonic()
        with console.status("Founding the alliance ..."):
            self.alliance.found()
        with console.status(f"{len(self.cities)} cities join: keys, admission, import, policy ..."):
            imports = self.alliance.join_all(self.cities)
        with console.status("Admitting partners ..."):
            self.alliance.admit(PARTNER, "CN", "researcher")
            self.alliance.admit(STRANGER, "KZ", "visitor")
        took = time.monotonic() - started
        console.print(f"{len(self.cities)} cities, two partners, one gateway, set up in {took:.0f} s")
        say("A city's data comes in: its own words become the common vocabulary")
        arguments = next(city.imports[0] for city in self.cities if city.name == shown)
        typed(("cimfed-node", "import", *map(_short, arguments)))
        console.print(imports[shown][0].strip())

    def ask(self, *argv: str, expect: tuple[int, ...] = (0,), partner: str = PARTNER) -> None:
        """Runs a partner's command in the open, and insists on its exit code."""
        typed(argv)
        sys.stdout.flush()
        shown = argv if on_terminal or argv[1] == "receipt" else (*argv, "--format", "table")
        done = subprocess.run(
            [str(BIN / argv[0]), *shown[1:]],
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                **self.alliance.environment(partner),
                **({} if on_terminal else {"COLUMNS": str(WIDTH)}),
            },
            cwd=self.alliance.folder,
            check=False,
        )
        if done.returncode not in expect:
            raise CommandFailed(f"{shlex.join(argv)} ended with {done.returncode}, not {expect}")
        if done.returncode:
            console.print(f"exit code {done.returncode}", style="dim")


def _short(argument: str) -> str:
    """Without the folders, for people to read."""
    return Path(argument).name if argument.startswith("/") else argument


def make_cities(alliance: Alliance) -> None:
    with console.status("Making three cities ..."):
        alliance.side_by_side(
            [
                partial(
                    alliance.run, sys.executable, str(SCRIPTS / "make_city"), city, "--buildings", str(count),
                    "--out", str(alliance.folder / f"{city}.city.jsonl"), "--format", "cityjsonseq",
                )
                for city, count in BUILDINGS.items()
            ]
        )  # fmt: skip


def show_generated(demo: Demo) -> None:
    say("What may I ask? The catalogue of all cities")
    demo.ask("cimfed", "catalog", "--purpose", "research")

    say("One read in three countries: high buildings, each city within its own policy")
    demo.ask(
        "cimfed", "read", "building", "--where", "height > 100", "--purpose", "research",
        "-p", "id", "-p", "function", "-p", "height", "-p", "year_built", "--rows", "9",
    )  # fmt: skip
    console.print("Almaty's policy gives heights in steps of 5 m and no years: its cells stay empty.")

    say("One aggregate over all of them, added up from signed parts")
    demo.ask(
        "cimfed", "aggregate", "building", "--where", "function IN ('hospital', 'office', 'residential', 'school')",
        "--measure", "count", "--measure", "mean:height", "--measure", "max:height",
        "--by", "function", "--by", "city", "--purpose", "research", "--receipt", "answer.receipt",
    )  # fmt: skip

    say("The receipt proves it, without network and without the rows")
    demo.ask("cimfed", "receipt", "verify", "answer.receipt")

    say("A refusal: nobody granted this partner anything")
    demo.ask("cimfed", "read", "building", "--purpose", "research", expect=(4,), partner=STRANGER)

    say("One city goes down: the others answer, and the coverage says who did not")
    demo.alliance.stop("uz.tashkent")
    demo.ask(
        "cimfed", "read", "building", "--where", "height > 100", "--purpose", "research",
        "-p", "id", "-p", "height", "--rows", "4", expect=(6,),
    )  # fmt: skip

    say("Who needs all cities says so, and gets an error")
    demo.ask(
        "cimfed", "aggregate", "building", "--measure", "count", "--purpose", "research", "--require", "all",
        expect=(7,),
    )  # fmt: skip


def show_real(demo: Demo) -> None:
    for collection in ("admin_unit", "building", "facility"):
        say(f"{collection}: how many, by city")
        demo.ask("cimfed", "aggregate", collection, "--measure", "count", "--by", "city", "--purpose", "research")

    say("Buildings higher than 5 m in three cities that name and code height differently")
    demo.ask(
        "cimfed", "aggregate", "building", "--where", "height > 5", "--purpose", "research",
        "--measure", "count", "--measure", "max:height", "--by", "city", "--by", "height_method",
    )  # fmt: skip
    demo.ask(
        "cimfed", "read", "building", "--where", "height > 5", "--purpose", "research",
        "-p", "id", "-p", "height", "-p", "height_method", "--rows", "9",
    )  # fmt: skip

    say("The fuels of the power plants of three states")
    demo.ask(
        "cimfed", "aggregate", "facility", "--measure", "count", "--measure", "sum:capacity_mw", "--by", "fuel",
        "--purpose", "research",
    )  # fmt: skip

    say("A refusal: nobody granted this partner anything")
    demo.ask("cimfed", "read", "admin_unit", "--purpose", "research", expect=(4,), partner=STRANGER)

    say("One city goes down: the others answer, and the coverage says who did not")
    demo.alliance.stop("in.delhi")
    demo.ask(
        "cimfed", "aggregate", "admin_unit", "--measure", "count", "--by", "city", "--purpose", "research",
        "--require", "any", expect=(6,),
    )  # fmt: skip


def keep(demo: Demo, lines: str) -> None:
    """Prints what to try and waits for Ctrl-C."""
    demo.alliance.stop(GATEWAY)  # a new one gives the city that was down a fresh chance at once
    demo.alliance.start_all(*{*(city.name for city in demo.cities), GATEWAY}.difference(demo.alliance.servers))
    say("It runs. Paste this into another terminal:")
    console.print(demo.alliance.exports(PARTNER))
    say("Then try these, or the tours of the README:")
    console.print(lines)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    console.print("Ctrl-C here ends it and removes its folder.")
    signal.sigwait(ENDINGS)


def show(folder: Path, arguments: argparse.Namespace) -> None:
    alliance = Alliance(folder)
    if arguments.data is None:
        make_cities(alliance)
        cities = generated(folder, SCRIPTS / "mappings")
    else:
        cities = real(arguments.data.resolve(), SCRIPTS / "mappings")
    demo = Demo(alliance, cities)
    with contextlib.closing(alliance):
        demo.set_up("kz.almaty" if arguments.data is None else "cn.shanghai")
        alliance.start_all(*(city.name for city in cities), GATEWAY)
        (show_generated if arguments.data is None else show_real)(demo)
        if arguments.keep:
            keep(demo, TRY if arguments.data is None else TRY_REAL)


def interrupt(number: int, frame: FrameType | None) -> None:
    """The first time ends the demo; while it cleans up, nothing does."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="A federation of cities on this computer.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real files instead of generated cities")
    parser.add_argument("--keep", action="store_true", help="leave it running and print commands to try")
    arguments = parser.parse_args()
    if arguments.data is not None and not (arguments.data / "moscow").is_dir():
        parser.error(f"{arguments.data} holds no data sets such as moscow/moscow_districts.geojson")

    for ending in ENDINGS:
        signal.signal(ending, interrupt)
    folder = Path(tempfile.mkdtemp(prefix="cimfed-demo-"))
    try:
        show(folder, arguments)
        console.print("\nAll servers ended. The demo succeeded.")
        return 0
    except CommandFailed as error:
        console.print(f"\nThe demo failed. {error}")
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted. All servers ended.")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
