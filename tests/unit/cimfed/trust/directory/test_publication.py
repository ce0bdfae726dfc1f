"""Drafts, signatures on the machines where the keys are, and what is still missing."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cimfed.errors import BadConfig, BadDirectory
from cimfed.model.names import CityName
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.layout import REGISTRAR, REVOKER, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, metadata_file
from cimfed.trust.directory.listing import Listing, Revocation
from cimfed.trust.directory.publication import Holders
from cimfed.trust.keys import KeySigner
from tests.board import Board
from tests.unit.cimfed.parties import CITY, SCO, World
from tests.unit.cimfed.trust.directory.test_proof import routing

NOW = 1_800_000_000_000_000
KEYS = [KeySigner.generate() for _ in range(4)]


def held(count: int = 3, threshold: int = 2) -> Holders:
    return Holders(tuple(key.public for key in KEYS[:count]), threshold)


def root() -> dict[str, bytes]:
    return drafts.root_draft(1, held(), KEYS[3].public, NOW)


def sign(draft: dict[str, bytes], *signers: KeySigner, role: str = ROOT) -> dict[str, bytes]:
    for signer in signers:
        draft = drafts.sign(draft, signer, {role: held().keys})
    return draft


def test_holders_are_some_keys_each_once_and_enough_of_them() -> None:
    key = KEYS[0].public
    for keys, threshold in (((), 1), ((key,), 0), ((key,), 2), ((key, key), 1), ((key, key), 2)):
        with pytest.raises(BadConfig):
            Holders(keys, threshold)


def test_a_draft_lacks_signatures_until_enough_keys_have_signed_in_any_order() -> None:
    draft = root()
    assert drafts.missing_signatures(draft, ROOT, held()) == 2
    with pytest.raises(BadDirectory):
        proof.check_root(draft["metadata/1.root.json"])
    for first, second in ((KEYS[0], KEYS[2]), (KEYS[2], KEYS[0])):
        once = sign(draft, first)
        assert drafts.missing_signatures(once, ROOT, held()) == 1
        twice = sign(once, second)
        assert drafts.missing_signatures(twice, ROOT, held()) == 0
        assert proof.check_root(twice["metadata/1.root.json"]).version == 1
    assert drafts.missing_signatures(sign(draft, *KEYS[:3]), ROOT, held()) == 0


def test_a_key_that_signs_again_counts_once() -> None:
    again = sign(root(), KEYS[0], KEYS[0])
    assert drafts.missing_signatures(again, ROOT, held()) == 1


def test_a_key_that_may_not_sign_leaves_the_draft_as_it_is() -> None:
    draft = root()
    for holders in ({ROOT: held().keys}, {TARGETS: (KEYS[3].public,)}, {}):
        with pytest.raises(BadConfig, match="signs nothing"):
            drafts.sign(draft, KEYS[3], holders)
    assert draft == root()


def test_signatures_over_other_words_are_missing() -> None:
    signed = sign(root(), KEYS[0], KEYS[1])
    path = "metadata/1.root.json"
    later = {path: signed[path].replace(b"2028", b"2029")}
    assert later != signed
    assert drafts.missing_signatures(later, ROOT, held()) == 2
    document = json.loads(signed[path])
    document["signatures"][0]["sig"] = "xyz"
    assert drafts.missing_signatures({path: json.dumps(document).encode()}, ROOT, held()) == 1


def test_one_key_signs_every_role_that_it_holds_and_no_other() -> None:
    board = Board("sco", NOW)
    draft = {
        **root(),
        **drafts.targets_draft(1, SCO, board.service, held(1, 1), held(2, 1), NOW),
        **drafts.registrar_draft(1, SCO, Listing(), NOW),
    }
    signed = drafts.sign(draft, KEYS[0], {ROOT: held().keys, TARGETS: held().keys, REGISTRAR: (KEYS[3].public,)})
    assert {path for path in draft if signed[path] != draft[path]} == {
        metadata_file(ROOT, 1), metadata_file(TARGETS, 1),
    }  # fmt: skip


def test_roles_end_when_the_layout_says() -> None:
    board, steward = Board("sco", NOW), KeySigner.generate()
    entry = routing(steward)
    spans = {
        ROOT: (root(), layout.BOARD_LIFE),
        TARGETS: (drafts.targets_draft(1, SCO, board.service, held(), held(), NOW), layout.BOARD_LIFE),
        REGISTRAR: (drafts.registrar_draft(1, SCO, Listing(), NOW), layout.REGISTRAR_LIFE),
        REVOKER: (drafts.revoker_draft(1, SCO, (), NOW), layout.REVOKED_LIFE),
        CITY: (drafts.city_draft(CityName(CITY), 1, entry, NOW + 5_000_000), timedelta(seconds=5)),
    }
    for role, (draft, life) in spans.items():
        (found,) = (drafts.parsed(draft[path]).signed for path in draft if path.startswith("metadata/"))
        assert (drafts.role_of(metadata_file(role, 1)), found.version) == (role, 1)
        assert found.expires.timestamp() == NOW / 1e6 + life.total_seconds()


def test_a_draft_has_its_targets_by_their_hashes(world: World) -> None:
    draft = drafts.registrar_draft(3, SCO, world.listing, NOW)
    said = json.loads(draft[metadata_file(REGISTRAR, 3)])["signed"]
    files = {layout.target_file(path, about["hashes"]["sha256"]) for path, about in said["targets"].items()}
    assert draft.keys() == {metadata_file(REGISTRAR, 3), *files}
    assert said["targets"].keys() == {layout.MEMBERS, *layout.PARTNERS}
    assert [(role["name"], role["paths"]) for role in said["delegations"]["roles"]] == [
        (CITY, [f"routing/{CITY}.json"])
    ]


@pytest.fixture
def world() -> World:
    return World(NOW)


def test_a_role_is_told_by_its_files_name() -> None:
    for role, version in ((ROOT, 1), (TIMESTAMP, 7), (CITY, 12), ("inst.a.b.c", 3)):
        assert drafts.role_of(metadata_file(role, version)) == role


def test_holders_are_read_back_from_root_and_targets() -> None:
    draft = root()
    said = drafts.parsed(draft[metadata_file(ROOT, 1)]).signed
    assert drafts.holders_of(said, ROOT) == drafts.holders_of(said, TARGETS) == held()
    assert drafts.holders_of(said, SNAPSHOT) == drafts.holders_of(said, TIMESTAMP) == Holders((KEYS[3].public,))
    targets = drafts.targets_draft(1, SCO, Board("sco", NOW).service, held(2, 2), held(1, 1), NOW)
    said = drafts.parsed(targets[metadata_file(TARGETS, 1)]).signed
    assert (drafts.holders_of(said, REGISTRAR), drafts.holders_of(said, REVOKER)) == (held(2, 2), held(1, 1))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"signed": {}}', b"\xff"])
def test_what_is_no_metadata_is_not_parsed(content: bytes) -> None:
    with pytest.raises(BadDirectory):
        drafts.parsed(content)


def test_a_stamp_counts_on_and_names_what_is_newest(world: World) -> None:
    board = world.board
    for version in (2, 3):
        world.publish(NOW + version)
        snapshot = json.loads(board.files[metadata_file(SNAPSHOT, version)])["signed"]
        timestamp = json.loads(board.files[layout.TIMESTAMP_FILE])["signed"]
        assert snapshot["meta"]["registrar.json"]["version"] == version
        assert snapshot["meta"]["revoker.json"]["version"] == 1
        assert (timestamp["version"], timestamp["meta"]["snapshot.json"]["version"]) == (version, version)
        assert "root.json" not in snapshot["meta"]


def test_a_new_timestamp_leaves_the_snapshot(world: World) -> None:
    before = dict(world.board.files)
    world.board.restamp(NOW + 1_000_000)
    changed = {path for path, data in world.board.files.items() if before.get(path) != data}
    assert changed == {layout.TIMESTAMP_FILE}
    assert (world.directory.version, world.directory.issued) == (1, NOW + 1_000_000)


def test_there_is_nothing_to_stamp_before_there_is_a_directory() -> None:
    with pytest.raises(BadDirectory):
        drafts.restamp({}, KEYS[3], NOW)


def test_a_revocation_is_added_to_what_was(world: World) -> None:
    first = Revocation(CITY, "stolen", NOW)
    world.board.revoke(CITY, "stolen", NOW)
    assert world.board.revoke("inst.other", "lost", NOW).revoked == (first, Revocation("inst.other", "lost", NOW))
