"""The roles of the directory, the files in which they speak, and how long what they say holds.

    root        the board, t of n: who holds the roles at the top
    targets     the board, t of n: the directory service's entry; who the registrar and the revoker are
    registrar   the alliance office: members, partners, the vocabulary; each city's stewards
    revoker     on call: what is revoked, only ever added to
    <city>      its stewards: its routing entry
    snapshot    the directory service: which version of each role is current
    timestamp   the directory service: which snapshot is current

The board's keys sign ``targets``, not the registrar's: a thief with the registrar's key cannot do away with the
revoker, and the board replaces either without a new root.

Partners lie in sixteen bins by a hash of their names, so that one admission changes little and a receipt holds one bin.
A file's path here is its path below the folder of a repository; every file but ``timestamp`` has its version or its
hash in its name and never changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeAlias

from cimfed.trust.hashing import sha256

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
REGISTRAR, REVOKER = "registrar", "revoker"
TOP = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
ROLES = (*TOP, REGISTRAR, REVOKER)
"""All but the cities', whose names have a dot."""

SERVICE, MEMBERS, VOCABULARY, REVOKED = "service.json", "members.json", "vocabulary.json", "revoked.json"
BINS = tuple("0123456789abcdef")
PARTNERS = tuple(f"partners/{digit}.json" for digit in BINS)
SUCCESSIONS = (
    "partners/successions.json"  # of every kind of party: a path that boards have delegated before there was one
)
REGISTRAR_PATHS = (MEMBERS, VOCABULARY, "partners/*", "routing/*")

DAY = timedelta(days=1)
BOARD_LIFE = 366 * DAY
REGISTRAR_LIFE = 90 * DAY
REVOKED_LIFE = DAY  # the longest that a thief of the service's keys can hide a revocation
SNAPSHOT_LIFE = 7 * DAY
TIMESTAMP_LIFE = timedelta(minutes=15)

METADATA_LIMIT = 4 * 1024 * 1024  # bytes of a file of metadata: less than a message
CITY_LIMIT = 16 * 1024  # of a city's metadata, which name one target; receipts carry those of all cities
TARGET_LIMIT = 4 * 1024 * 1024  # and of a target
ROOTS = 256  # versions of the root that are followed from the pinned one
FUTURE = timedelta(seconds=30)  # by which a revoker's clock may be ahead

Files: TypeAlias = Mapping[str, bytes]
"""Files of a repository by their paths, such as ``metadata/3.registrar.json``."""

TIMESTAMP_FILE = "metadata/timestamp.json"
_NAME = r"[a-z][a-z0-9-]{0,31}(?:\.[a-z][a-z0-9-]{0,31}){0,3}"
_FILE = re.compile(
    rf"metadata/(?:timestamp|[1-9][0-9]{{0,15}}\.{_NAME})\.json"
    rf"|targets/(?:routing/|partners/)?[0-9a-f]{{64}}\.(?:[0-9a-f]|{_NAME})\.json"
)


def metadata_file(role: str, version: int) -> str:
    return TIMESTAMP_FILE if role == TIMESTAMP else f"metadata/{version}.{role}.json"


def target_file(path: str, sha256_hex: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"targets/{folder}{slash}{sha256_hex}.{name}"


def is_file(path: str) -> bool:
    """Whether a repository may have a file of that path. Anything else is never looked for on a disk."""
    return _FILE.fullmatch(path) is not None


def partners_bin(name: str) -> str:
    """The path of the target that lists a partner."""
    return f"partners/{sha256(name.encode()).hex()[0]}.json"


def routing_target(city: str) -> str:
    return f"routing/{city}.json"
