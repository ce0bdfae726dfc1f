"""Whatever is changed in whatever file: ``BadDirectory``, or the same directory; never another error, nor word.

Bytes are flipped, and structures changed and signed again by whoever holds the key, so that the change is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cimfed.errors import BadDirectory, CimfedError
from cimfed.trust.directory import acceptance, documents, layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.keys import Signer
from tests.attack.directory.thief import (
    CITY,
    PARTNER,
    SCO,
    Shelf,
    Town,
    content,
    follower,
    newest,
    put_together,
    signed_in,
    stamped,
    town,
    with_target,
)


@cache
def sco() -> Town:
    made = town()
    made.board.revoke(PARTNER, "lost", made.clock())
    now = made.clock()
    root = drafts.root_draft(2, made.board.board, made.board.online.public, now)
    made.board.accept(made.board.sign(root, *made.board.keys[:2]), now)
    return made


@cache
def paths() -> tuple[str, ...]:
    return tuple(sco().board.directory.files)


@st.composite
def flips(draw: st.DrawFn) -> tuple[str, int, int]:
    """A path, a place in its file, and the bits that change there."""
    path = draw(st.sampled_from(paths()))
    return path, draw(st.integers(0, len(sco().files[path]) - 1)), draw(st.integers(1, 255))


def flipped(path: str, at: int, bits: int) -> dict[str, bytes]:
    data = bytearray(sco().files[path])
    data[at] ^= bits
    return {**sco().files, path: bytes(data)}


def is_city(path: str) -> bool:
    return f".{CITY}." in path


def the_same(found: Any, path: str) -> bool:
    """A city's files may be unreadable: it then has no routing entry, and what else is said stays."""
    wanted, got = dict(content(sco().board.directory)), dict(content(found))
    if is_city(path) and found.members[CITY].entry is None:
        wanted.pop("published"), got.pop("published")
    return wanted == got


@settings(max_examples=400)
@given(flips())
def test_no_bit_of_a_repository_can_be_flipped_unnoticed(flip: tuple[str, int, int]) -> None:
    path, at, bits = flip
    files = flipped(path, at, bits)
    try:
        found = proof.read(files, sco().board.root, sco().clock())
    except BadDirectory:
        return
    assert the_same(found, path)


@settings(max_examples=60)
@given(flips())
def test_no_bit_that_a_mirror_flips_is_put_in_force(flip: tuple[str, int, int]) -> None:
    path, at, bits = flip
    with TemporaryDirectory() as home:
        followed = follower(Path(home), sco().board.root, sco().clock, Shelf(flipped(path, at, bits)))
        try:
            found = followed.refresh()
        except BadDirectory:
            return
        assert content(found) == content(sco().board.directory)


@pytest.mark.full
def test_no_byte_of_a_repository_can_be_changed_unnoticed() -> None:
    """Each byte once."""
    for path in paths():
        for at in range(len(sco().files[path])):
            try:
                found = proof.read(flipped(path, at, 0x20), sco().board.root, sco().clock())
            except BadDirectory:
                continue
            assert the_same(found, path)


# Structures

WORDS = st.sampled_from(
    ["", "root", "targets", "registrar", "revoker", "snapshot", "timestamp", CITY, "../..", "members.json", "sha256",
     "ed25519", "0" * 64, "2026-10-01T00:00:00Z", "9999-12-31T23:59:59Z", "1.0.31", "\ud800", "\0", "x" * 5000, "*",
     "?", "[", "gw.x"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=True), WORDS, st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to everything within."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, item in inner for place in places(item, (*way, key)))]


@st.composite
def changes(draw: st.DrawFn, value: Any) -> Any:
    """The value after one to three changes: something dropped, doubled, put elsewhere, renamed or replaced."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        ways = [way for way in places(value) if way]
        if not ways:
            break
        way = draw(st.sampled_from(ways))
        holder = value
        for key in way[:-1]:
            holder = holder[key]
        key = way[-1]
        match draw(st.sampled_from(["drop", "replace", "rename", "move"])):
            case "drop":
                del holder[key]
            case "rename" if isinstance(holder, dict):
                holder[draw(WORDS)] = holder.pop(key)
            case "move":
                found = value
                for step in draw(st.sampled_from(ways)):
                    if (isinstance(found, dict) and step in found) or (isinstance(found, list) and step < len(found)):
                        found = found[step]
                holder[key] = json.loads(json.dumps(found))
            case _:
                holder[key] = draw(VALUES)
    return value


ROLES = (layout.ROOT, layout.TARGETS, layout.REGISTRAR, layout.REVOKER, CITY, layout.SNAPSHOT, "timestamp")


def signers(role: str) -> list[Signer]:
    board = sco().board
    held: Mapping[str, list[Signer]] = {
        layout.ROOT: list(board.keys), layout.TARGETS: list(board.keys), layout.REGISTRAR: [board.registrar],
        layout.REVOKER: [board.revoker], CITY: [sco().steward],
    }  # fmt: skip
    return held.get(role, [board.online])


def signed_again(signed: Any, role: str) -> bytes:
    """Validly, where that can be signed at all; else as text."""
    try:
        return put_together(signed, *signers(role))
    except Exception:
        return json.dumps({"signatures": [], "signed": signed}).encode()


@st.composite
def states(draw: st.DrawFn) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A publication, and the repository with it, signed and stamped, after changes in one role's metadata."""
    role = draw(st.sampled_from(ROLES))
    old = signed_in(sco().files["metadata/timestamp.json" if role == "timestamp" else newest(sco().files, role)])
    now = sco().clock()
    board = sco().board

    def change(signed: dict[str, Any]) -> None:
        new = draw(changes(signed))
        signed.clear()
        signed.update(new if isinstance(new, dict) else {})

    if role in ("timestamp", layout.SNAPSHOT):
        try:
            return {}, stamped(sco().files, {}, board.online, now, **{role: change})
        except Exception:
            return {}, dict(sco().files)  # what nobody can sign
    old["version"] += 1
    change(old)
    path = f"metadata/{2 + (role in (layout.ROOT, layout.REVOKER))}.{role}.json"
    more = {path: signed_again(old, role)}
    return more, stamped(sco().files, more, board.online, now)


@settings(max_examples=400)
@given(states())
def test_no_metadata_that_thieves_sign_end_in_another_error(state: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    more, files = state
    with suppress(BadDirectory):
        proof.read(files, sco().board.root, sco().clock())
    if more:
        with suppress(CimfedError):
            acceptance.accept(sco().board.directory, sco().board.root, more, sco().board.online, sco().clock())
        with suppress(BadDirectory):
            proof.check_root(next(iter(more.values())))


@settings(max_examples=80)
@given(states())
def test_no_metadata_that_thieves_sign_end_a_follower_in_another_error(
    state: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    with TemporaryDirectory() as home:
        followed = follower(Path(home), sco().board.root, sco().clock, Shelf(state[1]))
        with suppress(BadDirectory):
            followed.refresh()
        follower(Path(home), sco().board.root, sco().clock, Shelf({}))  # and it starts again


DOCUMENTS = {
    layout.SERVICE: layout.TARGETS,
    layout.MEMBERS: layout.REGISTRAR,
    layout.partners_bin(PARTNER): layout.REGISTRAR,
    layout.REVOKED: layout.REVOKER,
    f"routing/{CITY}.json": CITY,
}


def document(path: str) -> Any:
    target = signed_in(sco().files[newest(sco().files, DOCUMENTS[path])])["targets"][path]
    folder, slash, name = path.rpartition("/")
    return json.loads(sco().files[f"targets/{folder}{slash}{target['hashes']['sha256']}.{name}"])


@st.composite
def changed_documents(draw: st.DrawFn) -> tuple[str, bytes]:
    path = draw(st.sampled_from(list(DOCUMENTS)))
    value = draw(changes(document(path)))
    return path, json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def parse(path: str, data: bytes) -> None:
    stewards = {name: member.stewards for name, member in sco().board.directory.published.members.items()}
    match path:
        case layout.SERVICE:
            documents.parse_service(data)
        case layout.MEMBERS:
            documents.parse_members(data, SCO, stewards)
        case layout.REVOKED:
            documents.parse_revoked(data, SCO)
        case _ if path.startswith("partners/"):
            documents.parse_partners(data, SCO, path)
        case _:
            proof.routing_envelope(data)


@settings(max_examples=400)
@given(changed_documents())
@example((layout.MEMBERS, b'{"format":"cimfed/members/v1"}'))
@example((layout.SERVICE, b"\xff"))
def test_no_document_ends_in_another_error(changed: tuple[str, bytes]) -> None:
    path, data = changed
    with suppress(BadDirectory):
        parse(path, data)
    files: dict[str, bytes] = {}
    role = DOCUMENTS[path]
    signed = signed_in(sco().files[newest(sco().files, role)])
    signed["version"] += 1
    files.update(with_target(signed, path, data))
    more = {f"metadata/{signed['version']}.{role}.json": put_together(signed, *signers(role)), **files}
    with suppress(CimfedError):
        acceptance.accept(sco().board.directory, sco().board.root, more, sco().board.online, sco().clock())
    with suppress(BadDirectory):
        proof.read(stamped(sco().files, more, sco().board.online, sco().clock()), sco().board.root, sco().clock())


@settings(max_examples=200)
@given(
    st.sampled_from(list(DOCUMENTS)),
    st.one_of(st.binary(max_size=200), VALUES.map(lambda value: json.dumps(value).encode())),
)
def test_no_bytes_at_all_end_a_parser_in_another_error(path: str, data: bytes) -> None:
    with suppress(BadDirectory):
        parse(path, data)
    with pytest.raises(BadDirectory):
        documents.parse_vocabulary(data)
    with pytest.raises(BadDirectory):
        drafts.parsed(data)
    with pytest.raises(BadDirectory):
        proof.check_root(data)
