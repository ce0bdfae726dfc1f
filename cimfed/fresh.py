"""A home that a join makes, and unmakes where nothing came of it.

A join makes keys before it can know whether the federation takes their card. Where the service refuses that card for
good, nobody has seen the keys and nothing can come of them: they go again, so that the next invitation finds the place
as this one did. What was there before stays. Where no answer came nothing goes: the same command goes on with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fresh:
    """``parts``: what a join makes in ``home``, files and folders. ``before``: what was there of it, and of what is
    in these folders, of the home itself and of the folders above it."""

    home: Path
    parts: Sequence[str]
    before: frozenset[Path]

    @classmethod
    def made(cls, home: Path, parts: Sequence[str], make: Callable[[], object]) -> Fresh:
        """Makes it; whatever breaks that off, nothing is left of it."""
        home = home.absolute()
        there = [path for path in (home, *home.parents) if path.exists()]
        for part in parts:
            there += [path for path in ((home / part), *_inside(home / part)) if path.exists() or path.is_symlink()]
        fresh = cls(home, tuple(parts), frozenset(there))
        try:
            make()
        except BaseException:
            fresh.unmake()
            raise
        return fresh

    def unmake(self) -> None:
        for part in self.parts:
            path = self.home / part
            if path not in self.before:
                _remove(path)
            else:
                for inner in set(_inside(path)) - self.before:
                    _remove(inner)
        for folder in (self.home, *self.home.parents):
            if folder in self.before or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


def _inside(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() and not path.is_symlink() else []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
