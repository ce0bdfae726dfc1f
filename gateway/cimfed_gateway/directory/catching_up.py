"""The newest state of the directory that mirrors show: what a service goes on from after it came back from a backup.

Readers remember the versions they saw and refuse to go back. So before such a service serves, it must hold what the
world has seen. Every state is verified from the root in the backup, whoever shows it; it may have ended meanwhile, for
while the service was away nobody could stamp it anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import Federation
from cimfed.rpc.mirror import PartyMirror, extra_mirror
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Folder, Mirror, Served
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
            found = proof.read(Served(mirror), root, now, held.federation)
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
