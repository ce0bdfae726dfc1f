"""The clock: facts to findings. Queries of a host whose clock is off by more than the tolerance are refused everywhere.

What own time is compared with, the strongest first: the highest time that this host decided at (below it, it refuses
everything); the directory's timestamp, which is signed and never of the future; what others say that their time is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from cimfed.doctor.finding import Checking, Code, Finding
from cimfed.model.limits import LIMITS

CHECK = Checking("clock")
SECOND = 1_000_000
TOLERANCE = int(LIMITS.clock_tolerance) * SECOND
NEAR = TOLERANCE // 2
SET = "Set the clock, and keep it set (NTP: chrony, systemd-timesyncd)"


@dataclass(frozen=True)
class Offset:
    """Another's clock less the own one, in microseconds, and by how much that may be wrong."""

    offset: int
    doubt: int

    @property
    def surely(self) -> int:
        """How far the clocks are apart at least, with its sign."""
        least = max(0, abs(self.offset) - self.doubt)
        return least if self.offset > 0 else -least


def clock(now: int, issued: int | None, offsets: Mapping[str, Offset], mark: int = 0) -> Iterator[Finding]:
    """``issued``: of the newest directory known. ``mark``: the highest time recorded here; 0 where none is."""
    found = [*_recorded(now, mark), *_compared(offsets)]
    if all(each.code is not Code.CLOCK_OFF for each in found):
        found += _signed(now, issued)
    if not offsets:
        found.append(
            CHECK.warning(
                Code.CLOCK_UNMEASURED,
                f"nobody could be asked for the time; the tolerance is {_text(TOLERANCE)}",
                "See why others cannot be reached; compare with any clock you trust meanwhile",
            )
        )
    if not found:
        apart = max((abs(each.offset) for each in offsets.values()), default=0)
        found.append(CHECK.ok(f"within {_text(apart)} of {', '.join(offsets)}; the tolerance is {_text(TOLERANCE)}"))
    yield from found


def _recorded(now: int, mark: int) -> Iterator[Finding]:
    if now < mark - TOLERANCE:
        yield CHECK.error(
            Code.CLOCK_BEHIND_RECORD,
            f"it stands {_text(mark - now)} below the highest time that was recorded here: everything is refused",
            f"{SET}; look for what set it back. If it once stood far ahead, it is that time that must come",
            until=mark - TOLERANCE,
        )


def _signed(now: int, issued: int | None) -> Iterator[Finding]:
    if issued is not None and now < issued - TOLERANCE:
        yield CHECK.error(
            Code.CLOCK_OFF,
            f"it is at least {_text(issued - now)} behind: the directory was stamped in what is the future here",
            SET,
        )


def _compared(offsets: Mapping[str, Offset]) -> Iterator[Finding]:
    """What most others say is taken for the time."""
    off = {name: each for name, each in offsets.items() if abs(each.surely) > TOLERANCE}
    ahead = [name for name, each in off.items() if each.surely < 0]
    behind = [name for name, each in off.items() if each.surely > 0]
    own: Sequence[str] = ()
    for names, word in ((ahead, "ahead of"), (behind, "behind")):
        if 2 * len(names) > len(offsets):
            own = names
            apart = int(median(abs(offsets[name].offset) for name in names))
            yield CHECK.error(
                Code.CLOCK_OFF,
                f"it is {_text(apart)} {word} {', '.join(names)}; the tolerance is {_text(TOLERANCE)}",
                SET,
            )
    for name, each in off.items():
        if name not in own:
            yield CHECK.warning(
                Code.PEER_CLOCK_OFF,
                f"the clock of {name} is {_text(abs(each.offset))} {'ahead' if each.offset > 0 else 'behind'}",
                f"Tell {name}; until then what one side signs may be refused by the other",
                about=name,
            )
    near = [each.offset for name, each in offsets.items() if name not in off]
    if near and not own:
        apart = int(median(near))
        if abs(apart) > NEAR:
            yield CHECK.warning(
                Code.CLOCK_DRIFTS,
                f"it is {_text(abs(apart))} {'ahead' if apart < 0 else 'behind'}; "
                f"from {_text(TOLERANCE)} on it is refused",
                SET,
            )


def _text(micros: int) -> str:
    seconds = micros / SECOND
    if seconds < 10:
        return f"{seconds:.3f} s"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min" if seconds < 36_000 else _hours(seconds)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds < 360_000 else f"{seconds / 86_400:.0f} days"
