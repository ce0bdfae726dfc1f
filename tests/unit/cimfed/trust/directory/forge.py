"""A directory that is signed and wrong: what a role says is changed, then everything above it is signed anew.

Signing is done here by the plain reader's canonical form, not by the framework. What a test does not change holds.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cimfed.trust.directory.layout import (
    REGISTRAR,
    REVOKER,
    ROLES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    metadata_file,
    target_file,
)
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import KeySigner
from tests.board import Board
from tests.oracle.wire.directory import canonical

Said = dict[str, Any]
Change = Callable[[Said], object]


def signed(said: Said, *signers: KeySigner) -> bytes:
    message = canonical(said)
    signatures = [{"keyid": by.public.id.hex(), "sig": by.sign(message).hex()} for by in signers]
    return json.dumps({"signatures": signatures, "signed": said}).encode()


def said_by(board: Board, role: str) -> Said:
    """What a role says now."""
    path = metadata_file(role, 0 if role == TIMESTAMP else board.directory.versions.get(role, board.directory.version))
    return dict(json.loads(board.files[path])["signed"])


def target(board: Board, role: str, path: str) -> Any:
    """A document as it is now."""
    about = said_by(board, role)["targets"][path]
    return json.loads(board.files[target_file(path, about["hashes"]["sha256"])])


def forged(
    board: Board,
    change: Mapping[str, Change] | None = None,
    signers: Mapping[str, Sequence[KeySigner]] | None = None,
    contents: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The files of the board's directory with what these roles say, who signs it, and these targets."""
    by: dict[str, Sequence[KeySigner]] = {
        TARGETS: board.keys, REGISTRAR: [board.registrar], REVOKER: [board.revoker],
        SNAPSHOT: [board.online], TIMESTAMP: [board.online],
    } | dict(signers or {})  # fmt: skip
    changes, put = change or {}, contents or {}
    files = dict(board.files)
    snapshot = said_by(board, SNAPSHOT)
    for role in [name.removesuffix(".json") for name in snapshot["meta"]]:
        said = copy.deepcopy(said_by(board, role))
        mine = {path: content for path, content in put.items() if path in said["targets"] or _speaks_of(role, path)}
        if role not in changes and role not in (signers or {}) and not mine:
            continue
        for path, content in mine.items():
            digest = sha256(content).hex()
            said["targets"][path] = {"length": len(content), "hashes": {"sha256": digest}}
            files[target_file(path, digest)] = content
        snapshot["meta"][f"{role}.json"] = _put(files, role, said, changes.get(role), by.get(role, ()))
    meta = _put(files, SNAPSHOT, snapshot, changes.get(SNAPSHOT), by[SNAPSHOT])
    timestamp = said_by(board, TIMESTAMP) | {"meta": {"snapshot.json": meta}}
    _put(files, TIMESTAMP, timestamp, changes.get(TIMESTAMP), by[TIMESTAMP])
    return files


def _speaks_of(role: str, path: str) -> bool:
    """Targets that a role does not name yet."""
    return (role == REGISTRAR and path == "vocabulary.json") or path == f"routing/{role}.json"


def _put(
    files: dict[str, bytes], role: str, said: Said, change: Change | None, signers: Sequence[KeySigner]
) -> dict[str, Any]:
    version = said["version"]
    if change is not None:
        change(said)
    data = files[metadata_file(role, version)] = signed(said, *signers)
    return {"version": version, "length": len(data), "hashes": {"sha256": sha256(data).hex()}}


def rotated(board: Board, change: Change, *signers: KeySigner) -> dict[str, bytes]:
    """The files with a second root: the first one's words, changed."""
    said = said_by(board, ROOT)
    said["version"] = 2
    change(said)
    return {**board.files, metadata_file(ROOT, 2): signed(said, *signers)}


__all__ = ["ROLES", "forged", "rotated", "said_by", "signed", "target"]
