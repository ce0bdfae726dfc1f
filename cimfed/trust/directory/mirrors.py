"""Where files of the directory come from: mirrors, folders, the framework's way to them. Nothing here is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from cimfed.errors import BadDirectory, CimfedError, NodeUnreachable
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.publication import role_of
from cimfed.trust.files import replace_file

PATIENCE = 60_000_000  # microseconds for all files of one mirror; the timestamp lives for 15 minutes


class Mirror(Protocol):
    """Where files of the directory can be had."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def get(self, path: str) -> bytes | None:
        """A file; None where it has none of that path. CimfedError where it cannot be asked."""
        ...


class MirrorSource(Protocol):
    """Which mirrors to ask, and in what order."""

    def __call__(self, directory: Directory | None) -> Sequence[Mirror]: ...

    def close(self) -> None: ...


class Always:
    """The same mirrors every time."""

    def __init__(self, *mirrors: Mirror) -> None:
        self.mirrors = list(mirrors)

    def __call__(self, directory: Directory | None) -> Sequence[Mirror]:
        return self.mirrors

    def close(self) -> None:
        """They are not this one's to close."""


class Folder(Mapping[str, bytes]):
    """The files of a repository that lie in a folder; a ``Mirror`` as well."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return str(self.path)

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        if not layout.is_file(path):
            return default
        try:
            return (self.path / path).read_bytes()
        except FileNotFoundError:
            return default
        except OSError as error:
            raise BadDirectory(f"the directory cannot be read: {error.strerror}", place=str(self.path / path)) from None

    def __getitem__(self, path: str) -> bytes:
        content = self.get(path)
        if content is None:
            raise KeyError(path)
        return content

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and layout.is_file(path) and (self.path / path).is_file()

    def __iter__(self) -> Iterator[str]:
        for file in sorted(self.path.rglob("*.json")):
            path = file.relative_to(self.path).as_posix()
            if layout.is_file(path):
                yield path

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def copy_to(self, folder: Path) -> int:
        """Copies every file, the timestamp last, and says how many: whoever follows from there sees one state."""
        target = Folder(folder)
        paths = sorted(self, key=lambda path: path == layout.TIMESTAMP_FILE)
        for path in paths:
            if path == layout.TIMESTAMP_FILE or path not in target:
                target.put(path, self[path])
        return len(paths)

    def put(self, path: str, content: bytes) -> None:
        """Writes a file, whole or not at all."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, content)


class Overlaid(dict[str, bytes]):
    """Files, some of them newer than those in the folder."""

    def __init__(self, files: Folder, newer: Mapping[str, bytes]) -> None:
        super().__init__(newer)
        self._files = files

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or path in self._files

    def __missing__(self, path: str) -> bytes:
        return self._files[path]

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        try:
            return self[path]
        except KeyError:
            return default


class Served(Mapping[str, bytes]):
    """The files of a mirror, each asked for once."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._had: dict[str, bytes | None] = {}

    def __getitem__(self, path: str) -> bytes:
        if path not in self._had:
            self._had[path] = self._mirror.get(path) if layout.is_file(path) else None
        content = self._had[path]
        if content is None:
            raise KeyError(path)
        return content

    def __iter__(self) -> Iterator[str]:
        return iter([path for path, content in self._had.items() if content is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Unreachable(Exception):
    def __init__(self, cause: CimfedError) -> None:
        self.cause = cause


class Fetcher(FetcherInterface):
    """The framework's way to a mirror, whose timestamp is at hand. What is in ``kept`` already is not asked for."""

    def __init__(self, mirror: Mirror, timestamp: bytes | None, kept: Folder | None, now: Callable[[], int]) -> None:
        self.kept, self._timestamp = kept, timestamp
        self._mirror, self._now, self._until = mirror, now, now() + PATIENCE

    def _fetch(self, url: str) -> Iterator[bytes]:
        if url == layout.TIMESTAMP_FILE:
            content = self._timestamp
        elif self.kept is None or (content := self.kept.get(url)) is None:
            if self._now() > self._until:
                raise NodeUnreachable("the mirror is too slow", remedy="What it gave is kept")
            content = self._mirror.get(url)
        if content is None:
            raise DownloadHTTPError(f"{url} is not there", 404)
        if url.startswith("metadata/") and role_of(url) == layout.ROOT:
            proof.check_root(content)  # the framework would keep one that no reader here takes, and never drop it
        return iter((content,))

    def fetch(self, url: str) -> Iterator[bytes]:
        """As the base class, but keeps why a mirror cannot be asked."""
        try:
            return self._fetch(url)
        except CimfedError as error:
            raise Unreachable(error) from None
