"""What the directory service takes: the rules of a publication, and of the first one.

``accept`` gives the files that make it current, or an error and nothing:

1. its files are metadata of ``root``, ``targets``, ``registrar``, ``revoker`` or a city, and the targets they name;
2. each role is exactly one version on; a city may leave out versions, a few;
3. nothing speaks for longer than its role may, and nothing has ended already;
4. what is revoked stays revoked, unless the board has named another revoker;
5. with it, stamped, the whole directory verifies (``proof``): signatures, thresholds, documents;
6. a city that published has its routing entry in the result;
7. the registrar's role is signed by enough registrars whose key is not revoked. What they signed before stays.

When the board exchanges the keys of a role, that role speaks anew in the same publication: what the old keys signed
counts no more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cimfed.errors import BadDirectory, Conflict, TooLarge
from cimfed.model.instants import instant_of
from cimfed.model.names import CityName
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.layout import Files, metadata_file
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.publication import Holders, holders_of, missing_signatures, parsed, role_of, stamp
from cimfed.trust.keys import PublicKey, Signer

FILES = 64  # of one publication
STEP = 1000  # versions that a city may leave out
LONGEST = {
    layout.ROOT: 10 * layout.BOARD_LIFE,
    layout.TARGETS: 10 * layout.BOARD_LIFE,
    layout.REGISTRAR: 10 * layout.BOARD_LIFE,
    layout.REVOKER: layout.REVOKED_LIFE + layout.FUTURE,
}
CITY_LONGEST = 100 * layout.BOARD_LIFE


def found(publication: Files, signer: Signer, now: int) -> dict[str, bytes]:
    """The first publication of a federation: all roles at the top, version 1."""
    missing = {
        metadata_file(role, 1) for role in (layout.ROOT, layout.TARGETS, layout.REGISTRAR, layout.REVOKER)
    } - publication.keys()
    if missing:
        raise BadDirectory(f"a first publication has {', '.join(sorted(missing))}")
    _check_files(publication)
    _check_lives(publication, now)
    new = {**publication, **stamp({}, publication, signer, now)}
    _check_used(proof.read(new, publication[metadata_file(layout.ROOT, 1)], now), publication)
    return new


def accept(directory: Directory, trusted_root: bytes, publication: Files, signer: Signer, now: int) -> dict[str, bytes]:
    """The new files, stamped, in the order in which they must be written: the timestamp last.

    ``directory`` is what is current, ``trusted_root`` the first root. BadDirectory, Conflict, TooLarge.
    """
    # 1
    _check_files(publication)
    # 2
    current = directory.files
    for path in metadata_of(publication):
        _check_version(directory, path, parsed(publication[path]).signed.version)
    # 3
    _check_lives(publication, now)
    # 5
    files = {**current, **publication}
    stamped = stamp(current, publication, signer, now)
    files |= stamped
    after = proof.read(files, trusted_root, now, directory.federation)
    _check_used(after, publication)
    # 4
    if not _revoker_changed(directory, after) and not set(after.revoked) >= set(directory.revoked):
        raise BadDirectory("what is revoked stays revoked", remedy="Add to the list that is current")
    # 6
    for path in metadata_of(publication):
        city = CityName(role_of(path))
        if city not in layout.ROLES and after.published.members[city].entry is None:
            raise BadDirectory(
                f"the routing entry of {city} is not signed by its steward, or is not its own", place=city
            )
    # 7
    _check_registrars(after, publication)
    return {**publication, **stamped}


def metadata_of(files: Files) -> list[str]:
    return [path for path in files if path.startswith("metadata/")]


def _check_files(publication: Files) -> None:
    if not 1 <= len(publication) <= FILES:
        raise TooLarge(f"a publication has 1 to {FILES} files")
    for path, content in publication.items():
        if not layout.is_file(path):
            raise BadDirectory("not a file of a directory", place=path[:100])
        if len(content) > layout.TARGET_LIMIT:
            raise TooLarge(f"a file has more than {layout.TARGET_LIMIT} bytes", place=path)
    roles = [role_of(path) for path in metadata_of(publication)]
    if not roles or len(set(roles)) != len(roles) or {layout.SNAPSHOT, layout.TIMESTAMP} & set(roles):
        raise BadDirectory("a publication speaks for roles other than snapshot and timestamp, for each once")
    for path in metadata_of(publication):
        if path != metadata_file(role_of(path), parsed(publication[path]).signed.version):
            raise BadDirectory("a file has another version than its name", place=path)


def _check_version(directory: Directory, path: str, version: int) -> None:
    role = role_of(path)
    known = directory.versions.get(role, 0)
    if role in layout.ROLES:
        if version != known + 1:
            raise Conflict(
                f"the role {role} is at version {known}, this is {version}",
                remedy="Somebody has published meanwhile: do it again",
            )
    elif not known < version <= known + STEP:
        raise Conflict(
            f"{role} is at version {known}, this is {version}",
            remedy=f"Raise the policy's version, by at most {STEP}, and sign again",
        )


def _check_lives(publication: Files, now: int) -> None:
    for path in metadata_of(publication):
        role, signed = role_of(path), parsed(publication[path]).signed
        end = instant_of(signed.expires)
        if end <= now:
            raise BadDirectory(f"what {role} says has ended already", place=path)
        if end > now + LONGEST.get(role, CITY_LONGEST) // timedelta(microseconds=1):
            raise BadDirectory(f"what {role} says holds for too long", place=path)


def _check_used(after: Directory, publication: Files) -> None:
    """Everything published counts: a file that no role names is none of the directory's."""
    unused = publication.keys() - after.files.keys()
    if unused:
        raise BadDirectory("a file is named by no role, or its role may not speak", place=min(unused))


def _check_registrars(after: Directory, publication: Files) -> None:
    if layout.REGISTRAR not in map(role_of, metadata_of(publication)):
        return
    held, left = holders(after)[layout.REGISTRAR], registrars(after)
    if len(left) < held.threshold or missing_signatures(publication, layout.REGISTRAR, replace(held, keys=left)):
        raise BadDirectory(
            "signed by a registrar whose key was revoked", remedy="The board names another registrar, who lists anew"
        )


def _revoker_changed(before: Directory, after: Directory) -> bool:
    return _revokers(before) != _revokers(after)


def _revokers(directory: Directory) -> frozenset[bytes]:
    return frozenset(key.raw for key in holders(directory)[layout.REVOKER].keys)


def registrars(directory: Directory) -> tuple[PublicKey, ...]:
    """Who acts as registrar: those whom the board names, without whose key was revoked, though it be named still."""
    revoked = {item.subject for item in directory.revoked}
    return tuple(key for key in holders(directory)[layout.REGISTRAR].keys if key.id.hex() not in revoked)


def holders(directory: Directory) -> dict[str, Holders]:
    """Who holds each role now: those at the top, the registrar and the revoker, and each city's stewards."""
    root = parsed(directory.files[metadata_file(layout.ROOT, directory.versions[layout.ROOT])]).signed
    targets = parsed(directory.files[metadata_file(layout.TARGETS, directory.versions[layout.TARGETS])]).signed
    return {
        **{role: holders_of(root, role) for role in layout.TOP},
        **{role: holders_of(targets, role) for role in (layout.REGISTRAR, layout.REVOKER)},
        **{name: Holders(member.stewards) for name, member in directory.published.members.items()},
    }
