"""What `scripts/demo` shows; see the README."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.rule import Rule

from alliance import BIN, GATEWAY, Alliance, City, CommandFailed, running
from scenarios import BUILDINGS, generated, real

SCRIPTS = Path(__file__).resolve().parent
PARTNER = "inst.tsinghua"
STRANGER = "inst.elsewhere"
console = Console(highlight=False)


def say(text: str) -> None:
    console.print()
    console.print(Rule(text, align="left", style="bold"))


def typed(line: str) -> None:
    console.print(f"[dim]$ {line}[/dim]", soft_wrap=True)


class Demo:
    """The alliance and its cities, and how a partner's commands run in it."""

    def __init__(self, alliance: Alliance, cities: list[City]) -> None:
        self.alliance = alliance
        self.cities = cities

    def set_up(self) -> None:
        """Directory, gateway, cities with their data and policies, two partners."""
        started = time.monotonic()
        with console.status("Founding the alliance ...") as status:
            self.alliance.found()
            for city in self.cities:
                status.update(f"{city.name}: keys, admission, import, policy ...")
                self.alliance.join(city)
            status.update("Admitting partners ...")
            self.alliance.admit(PARTNER, "CN", "researcher")
            self.alliance.admit(STRANGER, "KZ", "visitor")
        console.print(
            f"{len(self.cities)} cities, two partners, one gateway, set up in {time.monotonic() - started:.0f} s"
        )

    def ask(self, *argv: str, expect: tuple[int, ...] = (0,), partner: str = PARTNER) -> None:
        """Runs a partner's command in the open, and insists on its exit code."""
        typed(shlex.join(argv))
        sys.stdout.flush()
        done = subprocess.run(
            [str(BIN / argv[0]), *argv[1:]],
            env={**os.environ, **self.alliance.environment(partner)},
            cwd=self.alliance.folder,
            check=False,
        )
        if done.returncode not in expect:
            raise CommandFailed(f"{shlex.join(argv)} ended with {done.returncode}, not {expect}")
        if done.returncode:
            console.print(f"[dim]exit code {done.returncode}[/dim]")


def make_cities(folder: Path) -> None:
    with console.status("Making three cities ..."):
        for city, count in BUILDINGS.items():
            subprocess.run(
                [
                    sys.executable, str(SCRIPTS / "make_city"), city, "--buildings", str(count),
                    "--out", str(folder / f"{city}.city.jsonl"), "--format", "cityjsonseq",
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip


def show_generated(demo: Demo) -> None:
    say("What may I ask? The catalogue, from all cities")
    demo.ask("cimfed", "catalog", "--purpose", "research")

    say("One read across three countries: high buildings, each city within its own policy")
    demo.ask(
        "cimfed", "read", "building", "--where", "height > 60", "--purpose", "research",
        "-p", "id", "-p", "function", "-p", "height", "-p", "year_built",
    )  # fmt: skip
    console.print("Almaty's policy gives heights in steps of 5 m and no years: its cells stay empty.")

    say("One aggregate over all of them, added up from signed parts")
    demo.ask(
        "cimfed", "aggregate", "building", "--measure", "count", "--measure", "mean:height", "--measure", "max:height",
        "--by", "city", "--by", "function", "--purpose", "research", "--receipt", "answer.receipt",
    )  # fmt: skip
    demo.ask("cimfed", "receipt", "verify", "answer.receipt")

    say("A refusal: nobody granted this partner anything")
    demo.ask("cimfed", "read", "building", "--purpose", "research", expect=(4,), partner=STRANGER)

    say("One city goes down: the others answer, and the coverage says who did not")
    demo.alliance.stop("uz.tashkent")
    demo.ask(
        "cimfed", "read", "building", "--where", "height > 60", "--purpose", "research",
        "-p", "id", "-p", "height", expect=(6,),
    )  # fmt: skip
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
        "cimfed", "read", "building", "--where", "height > 5", "--purpose", "research",
        "-p", "id", "-p", "height", "-p", "height_method",
    )  # fmt: skip

    say("The largest fuels among the power plants of three states")
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


def keep(demo: Demo) -> None:
    """Prints what to try and waits for Ctrl-C."""
    say("It runs. Try, in another terminal:")
    console.print(f"export CIMFED_HOME={demo.alliance.profiles / PARTNER} PATH={BIN}:$PATH", soft_wrap=True)
    for line in (
        "cimfed catalog",
        "cimfed aggregate building --measure count --measure mean:height --by city --purpose research",
        "cimfed read building --where \"function = 'school'\" --purpose research -o schools.gpkg",
    ):
        console.print(line, soft_wrap=True)
    console.print("Ctrl-C here ends it and removes its folder.")
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="A federation of cities on this computer.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="real files instead of generated cities")
    parser.add_argument("--keep", action="store_true", help="leave it running and print commands to try")
    arguments = parser.parse_args()
    if arguments.data is not None and not (arguments.data / "moscow").is_dir():
        parser.error(f"{arguments.data} holds no data sets such as moscow/moscow_districts.geojson")

    folder = Path(tempfile.mkdtemp(prefix="cimfed-demo-"))
    try:
        if arguments.data is None:
            make_cities(folder)
            cities = generated(folder, SCRIPTS / "mappings")
        else:
            cities = real(arguments.data.resolve(), SCRIPTS / "mappings")
        demo = Demo(Alliance(folder), cities)
        demo.set_up()
        with running(demo.alliance, [*(city.name for city in cities), GATEWAY]):
            (show_generated if arguments.data is None else show_real)(demo)
            if arguments.keep:
                for city in cities:
                    if city.name not in demo.alliance.servers:
                        demo.alliance.start(city.name)
                keep(demo)
        console.print("\nAll servers ended. [green]The demo succeeded.[/green]")
        return 0
    except CommandFailed as error:
        console.print(f"\n[red]The demo failed.[/red] {error}", markup=True, soft_wrap=True)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
