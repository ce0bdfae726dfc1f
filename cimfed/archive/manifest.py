"""What a backup says of itself: whose it is, when it was taken, and every member with its size and SHA-256.

RFC 8785 JSON, the first member of the archive. Its SHA-256 (``digest``) names everything in the file; ``bound`` is the
same without the sealed keys, which are sealed over it: keys that open vouch for all the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from cimfed.errors import BadBackup
from cimfed.model.instants import instant_text, parse_instant
from cimfed.trust.hashing import sha256

FORMAT = "cimfed/backup/v1"
NAME = "manifest.json"
SEALED = "keys.sealed"
LARGEST = 16 * 2**20  # bytes of a manifest
_KEYS = {"format", "program", "release", "party", "federation", "schema", "taken", "contents", "members"}
_HASH = re.compile(r"[0-9a-f]{64}")
# Relative, no empty or dotted part, nothing that a shell or another system takes for more than a name.
_MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,5}")


@dataclass(frozen=True)
class Member:
    name: str
    size: int
    sha256: str  # hex


@dataclass(frozen=True)
class Manifest:
    """``program``: whose home it is, such as ``cimfed-node``. ``schema``: of its database. ``taken``: microseconds.

    ``contents``: what a reader may want to know before, texts by name; nothing is decided by it.
    """

    program: str
    release: str
    party: str
    federation: str
    schema: int
    taken: int
    members: tuple[Member, ...]
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)

    @property
    def sealed(self) -> bool:
        """Whether keys are in it."""
        return any(member.name == SEALED for member in self.members)

    @property
    def digest(self) -> str:
        return sha256(self.to_bytes()).hex()

    def bound(self) -> bytes:
        """What sealed keys are bound to."""
        return sha256(self._bytes(tuple(member for member in self.members if member.name != SEALED)))

    def to_bytes(self) -> bytes:
        return self._bytes(self.members)

    def _bytes(self, members: Sequence[Member]) -> bytes:
        return rfc8785.dumps(
            {
                "format": FORMAT,
                "program": self.program,
                "release": self.release,
                "party": self.party,
                "federation": self.federation,
                "schema": self.schema,
                "taken": instant_text(self.taken),
                "contents": dict(self.contents),
                "members": [vars(member) for member in members],
            }
        )


def parse(content: bytes) -> Manifest:
    """BadBackup for what is no manifest of this format, or names what is no plain file's name, or one twice."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BadBackup("the manifest cannot be read") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadBackup("the backup has another format", remedy="Restore it with the release that made it")
    if set(document) != _KEYS:
        raise BadBackup("the manifest has other words than the format's")
    taken = parse_instant(document["taken"]) if isinstance(document["taken"], str) else None
    program, release, party, federation = texts = [
        document[name] for name in ("program", "release", "party", "federation")
    ]
    contents, listed, schema = document["contents"], document["members"], document["schema"]
    if (
        taken is None
        or not all(isinstance(text, str) for text in texts)
        or not _is_whole(schema)
        or not (isinstance(contents, dict) and all(isinstance(text, str) for text in contents.values()))
        or not isinstance(listed, list)
    ):
        raise BadBackup("the manifest is malformed")
    members = tuple(_member(item) for item in listed)
    if len({member.name for member in members}) != len(members):
        raise BadBackup("the manifest names a member twice")
    return Manifest(program, release, party, federation, schema, taken, members, contents)


def _member(item: Any) -> Member:
    if not (isinstance(item, dict) and set(item) == {"name", "size", "sha256"}):
        raise BadBackup("the manifest is malformed", place="members")
    name, size, digest = item["name"], item["size"], item["sha256"]
    if not (isinstance(name, str) and len(name) <= 200 and _MEMBER.fullmatch(name)) or name == NAME:
        raise BadBackup("a member's name is no plain file's below the home", place="members")
    if not _is_whole(size) or not (isinstance(digest, str) and _HASH.fullmatch(digest)):
        raise BadBackup("a member has no size or no hash", place=name)
    return Member(name, size, digest)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
