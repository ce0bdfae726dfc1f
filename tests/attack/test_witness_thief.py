"""What the thief of a log's key signs to its witnesses, so that they never cosign that log again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.errors import CimfedError, LogInconsistent, Overloaded
from cimfed.tlog.database import Database
from cimfed.tlog.witness import PAUSE, STEP, Witness
from cimfed.trust.hashing import sha256
from cimfed.trust.tlog.checkpoint import GENERATIONS, Checkpoint, Origin, sign_checkpoint
from cimfed.wire.logs import AskCosignature
from tests.unit.cimfed.parties import CITY, SCO, World
from tests.unit.cimfed.tlog.conftest import make

NOW = 1_790_000_000_000_000
OTHER = "uz.tashkent"


class Bench:
    """A witness with a clock of its own."""

    def __init__(self, database: Database) -> None:
        self.now, self.world = NOW, World(NOW, CITY, OTHER)
        signer = self.world.parties[OTHER].signer
        self.witness = Witness(database, Origin(SCO, OTHER), signer, self.world, lambda: self.now)

    def shows(self, generation: int, size: int = 1) -> str | int:
        """Whoever holds the city's key, a checkpoint of that generation of its log."""
        checkpoint = Checkpoint(str(Origin(SCO, CITY, generation)), size, sha256(b"entry"))
        note = sign_checkpoint(checkpoint, self.world.parties[CITY].signer)
        return self.witness.cosign(AskCosignature(note.to_bytes(), 0, ()), CITY)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    database = make(tmp_path / "log.sqlite")
    yield Bench(database)
    database.close()


@pytest.mark.parametrize("generation", [10**18, GENERATIONS, GENERATIONS - 1, STEP + 2])
def test_a_generation_that_leaves_the_log_no_later_one_is_not_taken(bench: Bench, generation: int) -> None:
    """Else the city's next one, under its new key, has ended before it begins."""
    bench.shows(1)
    with pytest.raises(CimfedError):
        bench.shows(generation)
    assert isinstance(bench.shows(2), str)


def test_generations_do_not_run_away_step_by_step(bench: Bench) -> None:
    bench.shows(1)
    assert isinstance(bench.shows(1 + STEP), str)
    bench.now += int(PAUSE * 1_000_000) - 1
    with pytest.raises(Overloaded):
        bench.shows(1 + 2 * STEP)
    with pytest.raises(Overloaded):
        bench.shows(2 + STEP)


def test_the_city_begins_the_generation_after_what_its_thief_began(bench: Bench) -> None:
    bench.shows(1)
    bench.shows(1 + STEP)
    with pytest.raises(LogInconsistent, match=f"its generation {1 + STEP} was seen"):
        bench.shows(2)
    bench.now += int(PAUSE * 1_000_000)
    assert isinstance(bench.shows(2 + STEP), str)
