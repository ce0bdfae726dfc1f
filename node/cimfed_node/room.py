"""Room on the disk: what may still be written, and one error for all the ways in which a disk is full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cimfed.errors import LogUnavailable, NoRoom

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEAST = 64 * 1024  # bytes that a transaction of the control database needs at most
REMEDY = "Make room: cimfed-node snapshots prune removes earlier snapshots; or raise disk.budget in node.toml"


class Room:
    """Bytes below a folder: ``used`` so far, at most ``budget`` (None: all); and how many are left free on its disk."""

    def __init__(self, place: Path | None = None, used: int = 0, budget: int | None = None, keep_free: int = 0) -> None:
        self.place, self.used, self.budget, self.keep_free = place, used, budget, keep_free

    def need(self, more: int) -> None:
        """NoRoom where so many bytes more have none."""
        if self.budget is not None and self.used + more > self.budget:
            raise NoRoom(
                f"{_shown(self.used)} are used and about {_shown(more)} more are needed, the budget is "
                f"{_shown(self.budget)}",
                remedy=REMEDY,
            )
        if self.place is None:
            return
        free = self.free
        if more + self.keep_free > free:
            raise NoRoom(
                f"about {_shown(more)} are needed and {_shown(self.keep_free)} must stay free, the disk has "
                f"{_shown(free)}",
                place=str(self.place),
                remedy=REMEDY,
            )

    def took(self, more: int) -> None:
        """So many bytes were written. NoRoom where that leaves none."""
        self.used += more
        self.need(0)

    @property
    def free(self) -> int:
        assert self.place is not None
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize


def _shown(size: int) -> str:
    """As ``disk.budget`` would be written."""
    for unit, bytes_of in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} bytes"


def no_room(place: str) -> NoRoom:
    return NoRoom("the disk is full; nothing of this is in force", place=place, remedy=REMEDY)


@contextmanager
def full_told(place: Path) -> Iterator[None]:
    """NoRoom for whatever says that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or "No space left" in str(error):
            raise no_room(str(place)) from None
        raise
    except LogUnavailable:
        if Room(place).free < LEAST:
            raise no_room(str(place)) from None
        raise


def written_below(folders: list[Path]) -> int:
    """Bytes of all files, those with several links once."""
    found: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                about = path.lstat()
            except FileNotFoundError:  # a view that went meanwhile
                continue
            if path.is_file():
                found[about.st_dev, about.st_ino] = about.st_size
    return sum(found.values())
