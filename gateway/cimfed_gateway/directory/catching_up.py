"""The newest state of the directory that mirrors show: what a service goes on from after it came back from a backup.

Readers remember the versions they saw and refuse to go back. So before such a service serves, it must hold what the
world has seen. Every state is verified from the root in the backup, whoever shows it; it may have ended meanwhile, for
while the service was away nobody could stamp it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import Federation
from cimfed.rpc.mirror import PartyMirror, extra_mirror
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Folder, Mirror
from cimfed.trust.directory.publication import parsed
from cimfed.trust.tls import Leaf


def version_of(directory: Directory) -> tuple[int, int]:
    """By which readers tell new from old: of the root, whose change begins the others anew, and of the timestamp."""
    return directory.versions[layout.ROOT], int(parsed(directory.files[layout.TIMESTAMP_FILE]).signed.version)


def newest(mirrors: Iterable[Mirror], held: Directory, root: bytes, now: int) -> Directory:
    """What is newest of all that they show and of what is ``held``.

    BadDirectory where what one shows does not verify, CimfedError where one cannot be asked, each with its name: one
    that was left out might be the one that has the newest.
    """
    for mirror in mirrors:
        try:
            found = proof.read(Shown(mirror), root, now, held.federation)
        except CimfedError as error:
            error.place = error.place or mirror.name
            raise
        finally:
            if isinstance(mirror, PartyMirror):
                mirror.close()
        held = max(held, found, key=version_of)
    return held


def mirror_of(text: str, held: Directory, leaf: Leaf | None) -> Mirror:
    """Of a URL, a folder, or the ``host:port`` of a city or a gateway that is listed. ``leaf``: the service's own, by
    which those know it. BadConfig for what is none of these."""
    if "://" in text:
        return extra_mirror(text)
    if Path(text).is_dir():
        folder = Folder(Path(text).absolute())
        if layout.TIMESTAMP_FILE not in folder:
            raise BadConfig("there is no directory here", place=text, remedy="Name the folder that has metadata/ in it")
        return folder
    for name in (*held.published.gateways, *held.published.members):
        party = held.published.gateways.get(name) or held.published.members.get(name)  # type: ignore[call-overload]
        if party is not None and party.address == text:
            if leaf is None:
                raise BadConfig(
                    f"{name} answers only to a party's key", place=text, remedy="Give the keys too, or a folder or URL"
                )
            return PartyMirror(Federation(held.federation), name, text, party.issuers, leaf)
    raise BadConfig(
        f"{text[:100]!r} is no mirror",
        remedy="Give a URL, a folder, or host:port of a city or gateway as the backup lists it",
    )


class Shown(Mapping[str, bytes]):
    """The files of a mirror, each asked for once."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._known: dict[str, bytes | None] = {}

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        if path not in self._known:
            self._known[path] = self._mirror.get(path)
        found = self._known[path]
        return default if found is None else found

    def __getitem__(self, path: str) -> bytes:
        content = self.get(path)
        if content is None:
            raise KeyError(path)
        return content

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self.get(path) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([path for path, content in self._known.items() if content is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)
