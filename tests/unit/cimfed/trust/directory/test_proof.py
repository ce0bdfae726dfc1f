"""Each numbered step of ``proof`` with files that break it and keep all others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cimfed.errors import BadDirectory
from cimfed.model.instants import instant_text
from cimfed.model.names import Federation, PartnerName
from cimfed.model.routing import RoutingEntry, routing_payload
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.layout import MEMBERS, REGISTRAR, REVOKER, SNAPSHOT, TARGETS, TIMESTAMP
from cimfed.trust.directory.listing import Directory
from cimfed.trust.envelope import Envelope, PayloadType, seal, to_json
from cimfed.trust.keys import KeySigner
from tests.board import Board
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, World
from tests.unit.cimfed.trust.directory.forge import Said, forged, rotated, said_by, signed, target

NOW = 1_800_000_000_000_000
SECOND, DAY = 1_000_000, 86_400_000_000
STRANGER = KeySigner.generate()


def entry(city: str = CITY, version: int = 1) -> RoutingEntry:
    return RoutingEntry(city, version, bytes(32), {"building": None}, (NOW, NOW + DAY))  # type: ignore[arg-type]


def routing(steward: KeySigner, city: str = CITY) -> Envelope:
    return seal(PayloadType.ROUTING, routing_payload(entry(city)), steward)


@pytest.fixture(scope="module")
def world() -> World:
    """Never changed by a test."""
    made = World(NOW)
    made.board.route(CITY, routing(made.parties[CITY].steward), made.parties[CITY].steward)
    return made


@pytest.fixture
def board(world: World) -> Board:
    return world.board


def read(board: Board, files: dict[str, bytes], root: bytes | None = None) -> Directory:
    return proof.read(files, board.root if root is None else root, NOW, SCO)


def refused(board: Board, files: dict[str, bytes], match: str, root: bytes | None = None) -> None:
    with pytest.raises(BadDirectory, match=match):
        read(board, files, root)


def test_what_is_signed_anew_without_a_change_is_taken(board: Board) -> None:
    """Else the others would prove nothing."""
    same: dict[str, Callable[[Said], object]] = {role: lambda said: None for role in (TARGETS, REGISTRAR, REVOKER)}
    found = read(board, forged(board, same))
    assert (found.published, found.versions, found.ends) == (
        board.directory.published, board.directory.versions, board.directory.ends,
    )  # fmt: skip


def test_it_says_what_was_signed_and_what_proves_it(board: Board) -> None:
    found = board.directory
    assert (found.federation, found.version, found.issued) == (SCO, 2, NOW)
    assert found.ends[TIMESTAMP] == found.expires == NOW + 900 * SECOND
    assert found.ends[REVOKER] == NOW + DAY
    assert found.versions == {"root": 1, TARGETS: 1, REGISTRAR: 1, REVOKER: 1, CITY: 1}
    again = proof.read(found.files, board.root, NOW)
    assert (again.published, again.hash, again.files) == (found.published, found.hash, found.files)


def test_it_keeps_no_file_that_proves_nothing(board: Board) -> None:
    more = {**board.files, "metadata/9.registrar.json": b"{}", "targets/" + "ab" * 32 + ".members.json": b"{}"}
    assert read(board, more).files == board.directory.files


def test_another_federations_directory_is_refused(board: Board) -> None:
    with pytest.raises(BadDirectory, match="of sco, not of silkroad"):
        proof.read(board.files, board.root, NOW, Federation("silkroad"))


# Step 1


def more_keys(said: Said) -> None:
    """The board has a fourth key in place of the third."""
    new = KeySigner.from_seed(bytes(32)).public
    old = said["roles"]["root"]["keyids"][2]
    said["keys"][new.id.hex()] = {**said["keys"].pop(old), "keyval": {"public": new.raw.hex()}}
    for role in ("root", TARGETS):
        said["roles"][role]["keyids"][2] = new.id.hex()


FOURTH = KeySigner.from_seed(bytes(32))


def test_step_1_a_root_that_its_own_keys_do_not_sign_is_no_beginning(board: Board) -> None:
    said = said_by(board, "root")
    for signers in ((), board.keys[:1], [STRANGER, board.keys[0]], [board.keys[0], board.keys[0]]):
        root = signed(said, *signers)
        refused(board, board.files, "signed|deserialize", root)
        with pytest.raises(BadDirectory, match=r"no root of a directory"):
            proof.check_root(root)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"7", b'{"signed": 1, "signatures": []}', b"\xff", b"[" * 100_000])
def test_step_1_what_is_no_root_is_no_beginning(board: Board, data: bytes) -> None:
    with pytest.raises(BadDirectory):
        proof.check_root(data)
    with pytest.raises(BadDirectory):
        read(board, board.files, data)


def test_step_1_a_file_of_another_role_is_no_root(board: Board) -> None:
    for path in (layout.metadata_file(TARGETS, 1), layout.TIMESTAMP_FILE):
        with pytest.raises(BadDirectory):
            proof.check_root(board.files[path])


def test_step_1_a_later_root_is_signed_by_the_old_keys_and_by_the_new(board: Board) -> None:
    one, two, three = board.keys
    assert read(board, rotated(board, more_keys, one, two)).versions["root"] == 2
    refused(board, rotated(board, more_keys, one, FOURTH), "root")
    refused(board, rotated(board, more_keys, two, three), "root")
    assert read(board, rotated(board, more_keys, two, three, FOURTH)).versions["root"] == 2


def test_step_1_a_root_has_the_version_of_its_name(board: Board) -> None:
    refused(board, rotated(board, lambda said: said.update(version=3), *board.keys), "another version than its name")


def test_step_1_a_gap_ends_the_chain(board: Board) -> None:
    path = layout.metadata_file("root", 2)
    files = rotated(board, lambda said: said.update(version=3), *board.keys)
    files[layout.metadata_file("root", 3)] = files.pop(path)
    assert read(board, files).versions["root"] == 1


def test_step_1_it_wants_consistent_snapshots(board: Board) -> None:
    files = rotated(board, lambda said: said.update(consistent_snapshot=False), *board.keys)
    refused(board, files, "consistent snapshots")


def test_step_1_the_pinned_root_may_be_a_later_one(board: Board) -> None:
    files = rotated(board, more_keys, *board.keys)
    later = files[layout.metadata_file("root", 2)]
    assert layout.metadata_file("root", 1) not in read(board, files, later).files


# Steps 2 and 3


def test_step_2_the_timestamp_is_its_keys_alone(board: Board) -> None:
    for signers in ([], [STRANGER], [board.registrar], board.keys):
        refused(board, forged(board, signers={TIMESTAMP: signers}), "timestamp was signed by 0/1")


def test_step_2_the_timestamp_vouches_for_length_hash_and_version(board: Board) -> None:
    def of(change: Callable[[Any], object]) -> dict[str, bytes]:
        return forged(board, {TIMESTAMP: lambda said: change(said["meta"]["snapshot.json"])})

    refused(board, of(lambda meta: meta.update(length=meta["length"] + 1)), "length")
    refused(board, of(lambda meta: meta["hashes"].update(sha256="ab" * 32)), "hash")
    refused(board, of(lambda meta: meta.update(version=9)), "9.snapshot.json is not there")
    refused(board, of(lambda meta: meta.pop("hashes")), "without its hash and length")
    refused(board, of(lambda meta: meta.pop("length")), "without its hash and length")


def test_step_2_the_timestamp_says_when_it_was_made(board: Board) -> None:
    for wrong in (None, 7, "today", "2027-01-15T08:00Z", "2027-01-15T08:00:00.000000Z"):
        refused(board, forged(board, {TIMESTAMP: lambda said: said.update({proof.ISSUED: wrong})}), "when it was made")  # noqa: B023


def test_step_2_without_a_timestamp_there_is_nothing(board: Board) -> None:
    files = {path: data for path, data in board.files.items() if path != layout.TIMESTAMP_FILE}
    refused(board, files, r"timestamp\.json is not there")


def test_step_3_the_snapshot_is_its_keys_alone(board: Board) -> None:
    for signers in ([], [STRANGER], board.keys):
        refused(board, forged(board, signers={SNAPSHOT: signers}), "snapshot was signed by 0/1")


def test_step_3_the_snapshot_has_the_version_of_its_name(board: Board) -> None:
    refused(board, forged(board, {SNAPSHOT: lambda said: said.update(version=9)}), "another than the timestamp's")


@pytest.mark.parametrize("role", [TARGETS, REGISTRAR, REVOKER])
def test_step_3_the_snapshot_vouches_for_every_role(board: Board, role: str) -> None:
    def of(change: Callable[[Any], object]) -> dict[str, bytes]:
        return forged(board, {SNAPSHOT: lambda said: change(said["meta"][f"{role}.json"])})

    refused(board, of(lambda meta: meta.update(length=meta["length"] + 1)), "length")
    refused(board, of(lambda meta: meta["hashes"].update(sha256="ab" * 32)), "hash")
    refused(board, of(lambda meta: meta.update(version=9)), f"the role {role} is not there")
    refused(board, of(lambda meta: meta.pop("hashes")), "without its hash and length")
    refused(board, forged(board, {SNAPSHOT: lambda said: said["meta"].pop(f"{role}.json")}), "is not there")
    refused(board, forged(board, {role: lambda said: said.update(version=9)}), "another version than its snapshot")


# Steps 4 to 6


def test_step_4_targets_are_the_boards_by_their_threshold(board: Board) -> None:
    one, two, _ = board.keys
    for signers in ([], [one], [one, one], [one, STRANGER], [board.registrar, board.revoker]):
        refused(board, forged(board, signers={TARGETS: signers}), "targets was signed by [01]/2|deserialize")
    assert read(board, forged(board, signers={TARGETS: [two, one]}))


def delegate(change: Callable[[list[Said]], object]) -> Callable[[Said], object]:
    return lambda said: change(said["delegations"]["roles"])


@pytest.mark.parametrize(
    "change",
    {
        "a third role": delegate(lambda roles: roles.append({**roles[1], "name": "helper"})),
        "no revoker": delegate(lambda roles: roles.pop()),
        "the revoker lists members": delegate(lambda roles: roles[1].update(paths=["revoked.json", MEMBERS])),
        "the registrar revokes": delegate(lambda roles: roles[0]["paths"].append("revoked.json")),
        "everything to the registrar": delegate(lambda roles: roles[0].update(paths=["*"])),
        "the search goes on": delegate(lambda roles: roles[0].update(terminating=False)),
        "nobody": lambda said: said.pop("delegations"),
    }.items(),
    ids=lambda item: item[0],
)
def test_step_4_the_board_delegates_just_what_is_theirs(board: Board, change: Any) -> None:
    refused(board, forged(board, {TARGETS: change[1]}), "delegat")


def test_step_4_hashed_bins_are_no_way_around_the_paths(board: Board) -> None:
    def bins(said: Said) -> None:
        said["delegations"].pop("roles")
        said["delegations"]["succinct_roles"] = {
            "keyids": list(said["delegations"]["keys"])[:1], "threshold": 1, "bit_length": 1, "name_prefix": "bin",
        }  # fmt: skip

    refused(board, forged(board, {TARGETS: bins}), "delegates")
    refused(board, forged(board, {REGISTRAR: bins}), "bad_directory")


def test_step_5_the_registrars_role_is_the_registrars(board: Board) -> None:
    for signers in ([], [STRANGER], [board.revoker], board.keys):
        refused(board, forged(board, signers={REGISTRAR: signers}), "registrar was signed by 0/1")


@pytest.mark.parametrize(
    "change",
    {
        "another's routing": delegate(lambda roles: roles[0].update(paths=["routing/uz.tashkent.json"])),
        "any routing": delegate(lambda roles: roles[0].update(paths=["routing/*"])),
        "the members too": delegate(lambda roles: roles[0]["paths"].append(MEMBERS)),
        "the search goes on": delegate(lambda roles: roles[0].update(terminating=False)),
        "a city that is not listed": delegate(
            lambda roles: roles.append({**roles[0], "name": "uz.tashkent", "paths": ["routing/uz.tashkent.json"]})
        ),
        "a gateway": delegate(lambda roles: roles.append({**roles[0], "name": GATEWAY})),
        "no city": delegate(lambda roles: roles.clear()),
    }.items(),
    ids=lambda item: item[0],
)
def test_step_5_each_city_listed_is_given_its_own_routing_entry_and_no_more(board: Board, change: Any) -> None:
    refused(board, forged(board, {REGISTRAR: change[1]}), "bad_directory")


def test_step_6_revocations_are_the_revokers(board: Board) -> None:
    for signers in ([], [STRANGER], [board.registrar], board.keys):
        refused(board, forged(board, signers={REVOKER: signers}), "revoker was signed by 0/1")


def test_step_6_revocations_hold_for_a_day_and_half_a_minute_at_most(board: Board) -> None:
    def until(end: int) -> dict[str, bytes]:
        return forged(board, {REVOKER: lambda said: said.update(expires=instant_text(end))})

    assert read(board, until(NOW + DAY + 30 * SECOND))
    refused(board, until(NOW + DAY + 31 * SECOND), "more than a day")


# Steps 7 and 8


def test_step_7_a_target_has_the_length_and_hash_of_its_role(board: Board) -> None:
    for role, path in ((TARGETS, "service.json"), (REGISTRAR, MEMBERS), (REVOKER, "revoked.json")):

        def of(change: Callable[[Any], object], role: str = role, path: str = path) -> dict[str, bytes]:
            return forged(board, {role: lambda said: change(said["targets"][path])})

        refused(board, of(lambda about: about.update(length=about["length"] - 1)), "length")
        refused(board, of(lambda about: about["hashes"].update(sha256="ab" * 32)), "not at hand")
        refused(board, of(lambda about: about["hashes"].update(sha512="ab" * 64)), "hash")
        refused(board, of(lambda about: about.update(hashes={"sha512": "ab" * 64})), "bad_directory")
        refused(board, forged(board, {role: lambda said, path=path: said["targets"].pop(path)}), f"{path} is not there")


def test_step_7_another_file_under_the_right_name_is_refused(board: Board) -> None:
    for path, content in board.directory.files.items():
        if path.startswith("targets/") and "routing" not in path:
            refused(board, {**board.files, path: content.replace(b"sco", b"scp")}, "length or hash|hash|verify")


def test_step_7_bins_of_partners_may_be_missing_and_nothing_else(board: Board) -> None:
    bins = [path for path in board.files if path.startswith("targets/partners/")]
    without = {path: data for path, data in board.files.items() if path not in bins}
    assert len(bins) == 16  # empty ones too
    assert read(board, without).partners == {}


def test_step_8_documents_keep_their_rules(board: Board) -> None:
    members = target(board, REGISTRAR, MEMBERS)
    members["members"][CITY]["address"] = "nowhere"
    refused(board, forged(board, contents={MEMBERS: json.dumps(members).encode()}), "not an address|canonical")


# Keys, cities, what is left out


def test_a_key_under_another_id_than_its_own_counts_for_nothing(board: Board) -> None:
    def alias(said: Said) -> None:
        keys, role = said["delegations"]["keys"], said["delegations"]["roles"][0]
        keys["ab" * 32] = keys[role["keyids"][0]]
        role["keyids"].append("ab" * 32)

    refused(board, forged(board, {TARGETS: alias}), "another id than its own")


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": "rsassa-pss-sha256"},
        {"keytype": "rsa"},
        {"keyval": {"public": "00" * 32}},
        {"keyval": {"public": "ab"}},
        {"keyval": {}},
    ],
    ids=str,
)
def test_keys_are_ed25519_and_somebodys(board: Board, change: Said) -> None:
    def other(said: Said) -> None:
        said["delegations"]["keys"][board.registrar.public.id.hex()].update(change)

    refused(board, forged(board, {TARGETS: other}), "bad_directory")


def test_a_city_without_a_good_role_has_no_entry_and_the_rest_counts(world: World, board: Board) -> None:
    assert board.directory.member(CITY).entry == entry()
    own = {path: data for path, data in board.files.items() if CITY not in path}
    steward, other = world.parties[CITY].steward, KeySigner.generate()
    stray = routing(steward, "uz.tashkent")
    for files in (
        own,
        forged(board, signers={CITY: [STRANGER]}),
        forged(board, signers={CITY: [board.registrar]}),
        forged(board, {CITY: lambda said: said.update(version=9)}, {CITY: [steward]}),
        forged(board, {CITY: lambda said: said["targets"].clear()}, {CITY: [steward]}),
        forged(board, signers={CITY: [steward]}, contents={f"routing/{CITY}.json": b"{}"}),
        forged(board, signers={CITY: [steward]}, contents={f"routing/{CITY}.json": to_json(stray)}),
        forged(board, signers={CITY: [steward]}, contents={f"routing/{CITY}.json": to_json(routing(other))}),
    ):
        found = read(board, files)
        assert found.member(CITY).entry is None
        assert found.routing(CITY) is None
        assert not [path for path in found.files if CITY in path]
        assert replace(found.member(CITY), routing=None) == replace(board.directory.member(CITY), routing=None)


def test_a_file_that_is_too_large_is_not_parsed(board: Board) -> None:
    with pytest.raises(BadDirectory, match="too large"):
        read(board, {**board.files, layout.TIMESTAMP_FILE: b" " * (layout.METADATA_LIMIT + 1)})


def test_a_receipt_gets_the_bin_of_the_partner_and_all_else(board: Board) -> None:
    files = proof.for_receipt(board.directory, [PartnerName(PARTNER)])
    left = board.directory.files.keys() - files.keys()
    assert len(left) == 15
    assert all(path.startswith("targets/partners/") for path in left)
    found = proof.read(files, board.root, NOW)
    assert found.partners == board.directory.partners
    assert (found.members, found.gateways, found.version) == (
        board.directory.members, board.directory.gateways, board.directory.version,
    )  # fmt: skip


# A newer timestamp of the same


def test_a_newer_timestamp_makes_the_same_directory_live_longer() -> None:
    board = World(NOW).board
    before = board.directory
    later = NOW + 60 * SECOND
    board.restamp(later)
    found = proof.restamped(before, board.files, board.root, later)
    assert found is not None
    assert (found.issued, found.expires, found.published, found.version) == (
        later, later + 900 * SECOND, before.published, before.version,
    )  # fmt: skip
    assert proof.read(found.files, board.root, later).expires == found.expires


def test_a_newer_timestamp_of_something_else_is_not_the_same() -> None:
    world = World(NOW)
    board = world.board
    before = board.directory
    assert proof.restamped(before, rotated(board, more_keys, *board.keys), board.root, NOW) is None
    world.publish()
    assert proof.restamped(before, board.files, board.root, NOW) is None


def test_a_newer_timestamp_is_believed_by_its_signature_and_hash_alone() -> None:
    board = World(NOW).board
    before = board.directory
    other = {"version": 1, "length": 1, "hashes": {"sha256": "ab" * 32}}
    for files in (
        {**board.files, layout.TIMESTAMP_FILE: b"{}"},
        {**board.files, layout.TIMESTAMP_FILE: signed(said_by(board, TIMESTAMP), STRANGER)},
        {
            **board.files,
            layout.TIMESTAMP_FILE: signed(
                said_by(board, TIMESTAMP) | {"meta": {"snapshot.json": other}},
                board.online,
            ),
        },
    ):
        with pytest.raises(BadDirectory):
            proof.restamped(before, files, board.root, NOW)
