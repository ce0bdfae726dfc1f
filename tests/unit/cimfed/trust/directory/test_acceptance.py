"""What the directory service takes: each rule of ``acceptance`` with a publication that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from cimfed.errors import BadDirectory, Conflict, TooLarge
from cimfed.model.names import CityName
from cimfed.trust.directory import acceptance, layout
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.layout import REGISTRAR, REVOKER, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, metadata_file
from cimfed.trust.directory.listing import Listing, Revocation
from cimfed.trust.directory.publication import Holders
from cimfed.trust.keys import KeySigner
from tests.board import Board
from tests.unit.cimfed.parties import CITY, PARTNER, SCO, World
from tests.unit.cimfed.trust.directory.test_proof import routing

NOW = 1_800_000_000_000_000
DAY = 86_400_000_000
STRANGER = KeySigner.generate()


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.fixture
def board(world: World) -> Board:
    return world.board


def accepted(board: Board, publication: Mapping[str, bytes], now: int = NOW) -> dict[str, bytes]:
    return acceptance.accept(board.directory, board.root, publication, board.online, now)


def registrars(world: World, version: int = 2, life: timedelta = layout.REGISTRAR_LIFE) -> dict[str, bytes]:
    board = world.board
    return board.sign(drafts.registrar_draft(version, SCO, world.listing, NOW, life), board.registrar)


def citys(world: World, version: int = 1, end: int = NOW + 30 * DAY, by: KeySigner | None = None) -> dict[str, bytes]:
    signer = by or world.parties[CITY].steward
    draft = drafts.city_draft(CityName(CITY), version, routing(world.parties[CITY].steward), end)
    return drafts.sign(draft, signer, {CITY: [signer.public]})


def test_what_is_accepted_is_given_with_the_timestamp_last(world: World, board: Board) -> None:
    publication = registrars(world)
    new = accepted(board, publication)
    assert list(new)[-2:] == [metadata_file(SNAPSHOT, 2), layout.TIMESTAMP_FILE]
    assert new.items() >= publication.items()
    assert len(new) == len(publication) + 2


def test_a_refused_publication_changes_nothing(world: World, board: Board) -> None:
    before = dict(board.files)
    with pytest.raises(Conflict):
        board.accept(registrars(world, 3))
    assert board.files == before


# Rule 1


def test_rule_1_a_publication_is_files_of_roles_and_their_targets(world: World, board: Board) -> None:
    good = registrars(world)
    for path in (
        "metadata/../x.json",
        "metadata/2.registrar.json.bak",
        "settings.toml",
        "targets/members.json",
        "",
        "/etc/x",
    ):
        with pytest.raises(BadDirectory, match="not a file of a directory"):
            accepted(board, {**good, path: b"{}"})
    targets = {path: data for path, data in good.items() if path.startswith("targets/")}
    with pytest.raises(BadDirectory, match="speaks for roles"):
        accepted(board, targets)


def test_rule_1_the_services_own_roles_are_not_published(world: World, board: Board) -> None:
    world.publish()
    for path in (layout.TIMESTAMP_FILE, metadata_file(SNAPSHOT, 2)):
        with pytest.raises(BadDirectory, match="other than snapshot and timestamp"):
            accepted(board, {**registrars(world, 3), path: board.files[path]})


def test_rule_1_a_role_speaks_once_under_its_own_name(world: World, board: Board) -> None:
    both = {**registrars(world, 2), **registrars(world, 3)}
    with pytest.raises(BadDirectory, match="each once"):
        accepted(board, both)
    good = registrars(world, 2)
    renamed = {path.replace("2.registrar", "3.registrar"): data for path, data in good.items()}
    with pytest.raises(BadDirectory, match="another version than its name"):
        accepted(board, renamed)


def test_rule_1_a_publication_has_64_files_of_4_mib_at_most(world: World, board: Board) -> None:
    more = {f"targets/{number:064x}.members.json": b"" for number in range(65)}
    for publication in ({}, more):
        with pytest.raises(TooLarge):
            accepted(board, publication)
    path = metadata_file(REGISTRAR, 2)
    with pytest.raises(TooLarge, match="bytes"):
        accepted(board, {path: b" " * (layout.TARGET_LIMIT + 1)})


def test_rule_1_what_is_no_metadata_is_refused(board: Board) -> None:
    for content in (b"", b"{}", b"[" * 100_000):
        with pytest.raises(BadDirectory):
            accepted(board, {metadata_file(REGISTRAR, 2): content})


# Rule 2


@pytest.mark.parametrize("version", [1, 3, 4])
def test_rule_2_each_role_is_exactly_one_version_on(world: World, board: Board, version: int) -> None:
    with pytest.raises(Conflict, match=f"is at version 1, this is {version}"):
        accepted(board, registrars(world, version))


def test_rule_2_a_city_may_leave_out_a_few_versions_and_never_goes_back(world: World, board: Board) -> None:
    board.accept(citys(world, 5))
    for version in (1, 4, 5, 6 + acceptance.STEP):
        with pytest.raises(Conflict, match="is at version 5"):
            accepted(board, citys(world, version))
    assert board.accept(citys(world, 5 + acceptance.STEP)).versions[CITY] == 1005


# Rule 3


def test_rule_3_nothing_speaks_for_longer_than_its_role_may(world: World, board: Board) -> None:
    decade = 10 * layout.BOARD_LIFE
    accepted(board, registrars(world, life=decade))
    with pytest.raises(BadDirectory, match="for too long"):
        accepted(board, registrars(world, life=decade + timedelta(seconds=1)))
    with pytest.raises(BadDirectory, match="for too long"):
        accepted(board, citys(world, end=NOW + 100 * 366 * DAY + 1_000_000))
    ahead = NOW + 31_000_000
    with pytest.raises(BadDirectory, match="for too long"):
        accepted(board, board.sign(drafts.revoker_draft(2, SCO, (), ahead), board.revoker))
    accepted(board, board.sign(drafts.revoker_draft(2, SCO, (), ahead - 1_000_000), board.revoker))


def test_rule_3_nothing_has_ended_already(world: World, board: Board) -> None:
    for publication in (registrars(world, life=timedelta()), citys(world, end=NOW)):
        with pytest.raises(BadDirectory, match="ended already"):
            accepted(board, publication)
    late = drafts.revoker_draft(2, SCO, (), NOW - DAY)
    with pytest.raises(BadDirectory, match="ended already"):
        accepted(board, board.sign(late, board.revoker))


# Rule 4


def revokers(board: Board, *revoked: Revocation, version: int = 3) -> dict[str, bytes]:
    return board.sign(drafts.revoker_draft(version, SCO, revoked, NOW), board.revoker)


def test_rule_4_what_is_revoked_stays_revoked(board: Board) -> None:
    board.revoke(PARTNER, "stolen")
    kept = Revocation(PARTNER, "stolen", NOW)
    for wrong in (
        (),
        (Revocation("inst.other", "lost", NOW),),
        (replace(kept, reason="found"),),
        (replace(kept, at=1),),
    ):
        with pytest.raises(BadDirectory, match="stays revoked"):
            accepted(board, revokers(board, *wrong))
    accepted(board, revokers(board, Revocation("inst.other", "lost", NOW), kept))


def test_rule_4_another_revoker_that_the_board_has_named_begins_anew(board: Board) -> None:
    board.revoke(PARTNER, "by a thief")
    successor = KeySigner.generate()
    holders = Holders((board.registrar.public,)), Holders((successor.public,))
    named = board.sign(drafts.targets_draft(2, SCO, board.service, *holders, NOW), *board.keys[:2])
    anew = drafts.sign(drafts.revoker_draft(3, SCO, (), NOW), successor, {REVOKER: [successor.public]})
    found = board.accept({**named, **anew})
    assert found.revoked == ()
    assert PARTNER in found.partners


# Rule 5


def test_rule_5_the_right_keys_sign_and_enough_of_them(world: World, board: Board) -> None:
    draft = drafts.registrar_draft(2, SCO, world.listing, NOW)
    for signer in (STRANGER, board.revoker, board.keys[0], board.online):
        with pytest.raises(BadDirectory, match="registrar was signed by 0/1"):
            accepted(board, drafts.sign(draft, signer, {REGISTRAR: [signer.public]}))
    holders = Holders((board.registrar.public,)), Holders((board.revoker.public,))
    targets = drafts.targets_draft(2, SCO, board.service, *holders, NOW)
    with pytest.raises(BadDirectory, match="targets was signed by 1/2"):
        accepted(board, board.sign(targets, board.keys[0]))
    accepted(board, board.sign(targets, *board.keys[1:]))


def test_rule_5_a_new_root_is_signed_by_the_old_board_and_the_new(board: Board) -> None:
    new = [*board.keys[:1], KeySigner.generate(), KeySigner.generate()]
    held = Holders(tuple(key.public for key in new), 2)
    draft = drafts.root_draft(2, held, board.online.public, NOW)
    holders = {ROOT: [key.public for key in (*board.keys, *new)]}

    def by(*signers: KeySigner) -> dict[str, bytes]:
        signed = draft
        for signer in signers:
            signed = drafts.sign(signed, signer, holders)
        service = Holders((board.registrar.public,)), Holders((board.revoker.public,))
        targets = drafts.targets_draft(2, SCO, board.service, *service, NOW)
        for signer in new[:2]:
            targets = drafts.sign(targets, signer, {TARGETS: held.keys})
        return {**signed, **targets}

    for signers in ((board.keys[0], board.keys[1]), (new[1], new[2])):
        with pytest.raises(BadDirectory):
            accepted(board, by(*signers))
    assert board.accept(by(board.keys[0], board.keys[1], new[1])).versions[ROOT] == 2


def test_rule_5_a_role_whose_keys_are_exchanged_speaks_anew_at_once(world: World, board: Board) -> None:
    successor = KeySigner.generate()
    holders = Holders((successor.public,)), Holders((board.revoker.public,))
    named = board.sign(drafts.targets_draft(2, SCO, board.service, *holders, NOW), *board.keys[:2])
    with pytest.raises(BadDirectory, match="registrar was signed by 0/1"):
        accepted(board, named)
    draft = drafts.registrar_draft(2, SCO, world.listing, NOW)
    anew = drafts.sign(draft, successor, {REGISTRAR: [successor.public]})
    assert board.accept({**named, **anew}).members.keys() == {CITY}


def test_rule_5_documents_are_held_against_their_rules(world: World, board: Board) -> None:
    gateway = next(iter(world.listing.gateways.values()))
    stolen = replace(gateway, keys=world.listing.members[CityName(CITY)].keys)
    listing = replace(world.listing, gateways={gateway.name: stolen})
    with pytest.raises(BadDirectory, match="already listed"):
        accepted(board, board.sign(drafts.registrar_draft(2, SCO, listing, NOW), board.registrar))
    with pytest.raises(BadDirectory, match="another federation"):
        accepted(board, board.sign(drafts.registrar_draft(2, "silkroad", world.listing, NOW), board.registrar))  # type: ignore[arg-type]


def test_rule_5_a_target_that_a_role_names_comes_with_it_or_was_there(world: World, board: Board) -> None:
    good = registrars(world)
    (members,) = (path for path in good if path.endswith(".members.json"))
    accepted(board, {path: data for path, data in good.items() if path != members})  # the same as before
    world.listing = Listing()
    empty = registrars(world)
    (members,) = (path for path in empty if path.endswith(".members.json"))
    with pytest.raises(BadDirectory, match="not at hand"):
        accepted(board, {path: data for path, data in empty.items() if path != members})


def test_rule_5_a_file_that_no_role_names_is_none_of_the_directorys(world: World, board: Board) -> None:
    for path in ("targets/" + "ab" * 32 + ".members.json", "metadata/1.uz.tashkent.json"):
        with pytest.raises(BadDirectory):
            accepted(board, {**registrars(world), path: b"{}"})


# Rule 6


def test_rule_6_a_citys_routing_entry_is_in_the_result(world: World, board: Board) -> None:
    for signer in (STRANGER, board.registrar, world.parties[CITY].signer):
        with pytest.raises(BadDirectory):
            accepted(board, citys(world, by=signer))
    assert board.accept(citys(world)).member(CITY).entry is not None


def test_rule_6_who_is_not_a_member_publishes_nothing(world: World, board: Board) -> None:
    world.drop(CITY)
    with pytest.raises(BadDirectory):
        accepted(board, citys(world))


def test_rule_7_a_revoked_registrar_lists_nobody_and_what_it_listed_stays(world: World, board: Board) -> None:
    board.revoke(board.registrar.public.id.hex(), "lost", NOW)
    with pytest.raises(BadDirectory, match="registrar whose key was revoked"):
        accepted(board, registrars(world))
    assert CITY in board.directory.members
    board.accept(citys(world), NOW)


def test_rule_7_the_registrars_that_are_left_must_be_enough(world: World, board: Board) -> None:
    lost, left = board.registrar, KeySigner.generate()
    for threshold, signers, taken in ((1, [lost], False), (1, [left], True), (2, [lost, left], False)):
        both = Holders((lost.public, left.public), threshold)
        draft = {
            **drafts.targets_draft(2, SCO, board.service, both, board._one(board.revoker), NOW),
            **drafts.registrar_draft(2, SCO, world.listing, NOW),
            **drafts.revoker_draft(2, SCO, (Revocation(lost.public.id.hex(), "lost", NOW),), NOW),
        }
        publication = board.sign(draft, *board.keys[:2], board.revoker)
        for signer in signers:
            publication = drafts.sign(publication, signer, {REGISTRAR: both.keys})
        if taken:
            accepted(board, publication)
            continue
        with pytest.raises(BadDirectory, match="registrar whose key was revoked"):
            accepted(board, publication)


def test_rule_7_a_registrar_whom_the_board_names_instead_lists_anew(world: World, board: Board) -> None:
    board.revoke(board.registrar.public.id.hex(), "lost", NOW)
    board.registrar = KeySigner.generate()
    draft = {
        **drafts.targets_draft(2, SCO, board.service, board._one(board.registrar), board._one(board.revoker), NOW),
        **drafts.registrar_draft(2, SCO, world.listing, NOW),
    }
    assert CITY in board.accept(board.sign(draft, *board.keys[:2], board.registrar), NOW).members


def test_a_registrar_may_take_a_city_off_and_list_it_again(world: World, board: Board) -> None:
    board.accept(citys(world, 3))
    listing = world.listing
    world.drop(CITY)
    assert board.directory.members == {}
    world.listing = listing
    assert world.publish().member(CITY).entry is not None
    assert board.accept(citys(world, 4)).versions[CITY] == 4


# The first publication


def first(board: Board, change: Callable[[dict[str, bytes]], object] = lambda files: None) -> dict[str, bytes]:
    files = {path: data for path, data in board.files.items() if "snapshot" not in path and "timestamp" not in path}
    change(files)
    return files


def test_a_federation_is_founded_by_all_roles_at_the_top() -> None:
    board = Board("sco", NOW)
    found = acceptance.found(first(board), board.online, NOW)
    assert found.keys() == board.files.keys()
    for role in (ROOT, TARGETS, REGISTRAR, REVOKER):
        lacking = first(board, lambda files, role=role: files.pop(metadata_file(role, 1)))  # type: ignore[misc]
        with pytest.raises(BadDirectory, match=f"1.{role}.json"):
            acceptance.found(lacking, board.online, NOW)


def test_a_federation_is_founded_by_its_own_online_key() -> None:
    board = Board("sco", NOW)
    with pytest.raises(BadDirectory, match=f"{TIMESTAMP} was signed by 0/1"):
        acceptance.found(first(board), STRANGER, NOW)


def test_a_first_publication_keeps_the_rules_of_the_others() -> None:
    board = Board("sco", NOW)
    with pytest.raises(BadDirectory, match="ended already"):
        acceptance.found(first(board), board.online, NOW + DAY)
    stray = "targets/" + "ab" * 32 + ".members.json"
    with pytest.raises(BadDirectory, match="named by no role"):
        acceptance.found(first(board, lambda files: files.update({stray: b"{}"})), board.online, NOW)


def test_who_holds_each_role_is_told(world: World, board: Board) -> None:
    held = acceptance.holders(board.directory)
    assert held[ROOT] == held[TARGETS] == board.board
    assert held[SNAPSHOT] == held[TIMESTAMP] == Holders((board.online.public,))
    assert held[REGISTRAR] == Holders((board.registrar.public,))
    assert held[REVOKER] == Holders((board.revoker.public,))
    assert held[CITY] == Holders((world.parties[CITY].steward.public,))
    assert held.keys() == {*layout.ROLES, CITY}
