"""`scripts/demo.py` from end to end: what it shows, how it ends, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.federation.commands import PATIENCE, eventually
from tests.federation.tours import Block, assert_shown, blocks
from tests.lacking import real

ROOT = Path(__file__).resolve().parents[2]


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo puts its own folder; in the end neither that nor a process that knows of it is left."""
    yield tmp_path
    for demo in STARTED:
        end(demo)
    STARTED.clear()
    assert list(tmp_path.glob("cimfed-demo-*")) == []
    assert processes_of(tmp_path) == []


def processes_of(folder: Path) -> list[str]:
    """Command lines that name the folder (proc(5))."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    demo = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    )
    STARTED.append(demo)
    return demo


def end(demo: subprocess.Popen[str]) -> None:
    """However a test ended: the demo cleans up after itself, and if it does not, its whole session goes."""
    if demo.poll() is None:
        demo.terminate()
        try:
            demo.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process printed up to the line with these words."""
    assert process.stdout is not None
    watchdog = threading.Timer(4 * PATIENCE, process.terminate)
    watchdog.start()
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if words in line:
                return printed
    finally:
        watchdog.cancel()
    raise AssertionError(f"it ended before it said {words!r}:\n{printed}")


def shown_in_readme() -> list[Block]:
    page = (ROOT / "README.md").read_text("utf-8")
    end = page.count("\n", 0, page.index("## Tours"))
    return [block for block in blocks(page) if block.line < end and block.word == "text"]


def test_the_demo_shows_what_the_readme_says_and_keeps_running_when_asked(folder: Path) -> None:
    demo = start(folder, "--keep")
    printed = read_until(demo, "Ctrl-C here ends it")
    assert shown_in_readme()
    for block in shown_in_readme():
        assert_shown(block, printed)

    pasted = [
        line for line in printed[printed.index("It runs.") :].splitlines() if line.startswith(("export", "cimfed"))
    ]
    tried = subprocess.run(
        ["bash", "-ec", "\n".join(pasted)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"},
    )
    assert tried.returncode == 0, tried.stderr
    assert '"uz.tashkent",1200,' in tried.stdout
    assert (folder / "schools.gpkg").stat().st_size > 0

    demo.send_signal(signal.SIGINT)
    last, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0
    assert "The demo succeeded." in last


def test_ctrl_c_in_the_middle_leaves_nothing(folder: Path) -> None:
    demo = start(folder)
    eventually(lambda: list(folder.glob("cimfed-demo-*/*/snapshots/*")), bool)  # an import is under way or done
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert "Interrupted" in printed


def test_the_demo_federates_real_files(folder: Path) -> None:
    """The counts were taken from the files by other means; see their sources beside them."""
    demo = start(folder, "--data", str(real()))
    printed = read_until(demo, "The demo succeeded.")
    demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0
    counts = {
        "ru.moscow": (125, 209),
        "in.delhi": (290, 455),
        "uz.tashkent": (12, 28),
        "cn.shanghai": (582,),
        "nl.delft": (160,),
        "ch.zurich": (49,),
    }
    for city, numbers in counts.items():
        for number in numbers:
            assert f"│ {city:11} │ {number:5} │" in printed
    assert "│ ch.zurich   │ derived       │" in printed
    assert "│ cn.shanghai │ measured      │" in printed
    assert "exit code 6" in printed
