"""Nothing goes back, nothing stands still for longer than it may, and no two states are mixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cimfed.errors import BadDirectory, Conflict, DirectoryExpired
from cimfed.trust.directory import acceptance, layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Always
from cimfed.trust.keys import KeySigner
from tests.attack.directory.thief import (
    CITY,
    DAY,
    MINUTE,
    PARTNER,
    Shelf,
    Town,
    changed,
    content,
    edited,
    follower,
    newest,
    put_together,
    routing,
    signed_in,
    stamped,
    text_of,
    town,
)

HIGHEST = 2**53


@pytest.fixture
def sco() -> Town:
    return town()


def served(sco: Town, home: Path) -> tuple[Shelf, Follower, Directory]:
    """A follower that is up to date, and its only mirror."""
    shelf = Shelf(sco.files)
    followed = follower(home, sco.board.root, sco.clock, shelf)
    return shelf, followed, followed.refresh()


# Rollback


def publish_twice(sco: Town) -> None:
    """Every role but the root goes on."""
    board, now = sco.board, sco.clock()
    board.publish(sco.listing, now)
    board.revoke(PARTNER, "lost", now)
    board.route(CITY, routing(CITY, sco.steward, now, 2), sco.steward, now)


def test_an_older_state_is_refused_and_the_newer_one_stays(sco: Town, tmp_path: Path) -> None:
    old = sco.files
    publish_twice(sco)
    shelf, followed, newer = served(sco, tmp_path)
    shelf.files = old
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is newer


def test_an_older_state_is_refused_after_a_restart_too(sco: Town, tmp_path: Path) -> None:
    old = sco.files
    publish_twice(sco)
    _, _, newer = served(sco, tmp_path)
    restarted = follower(tmp_path, sco.board.root, sco.clock, Shelf(old))
    assert content(restarted.current(sco.clock())) == content(newer)
    with pytest.raises(BadDirectory):
        restarted.refresh()
    assert restarted.current(sco.clock()).version == newer.version


def test_an_older_snapshot_under_a_new_timestamp_is_refused(sco: Town, tmp_path: Path) -> None:
    """The thief of the online key stamps it."""
    old = sco.files
    publish_twice(sco)
    shelf, followed, newer = served(sco, tmp_path)
    old["metadata/timestamp.json"] = put_together(
        {**signed_in(old["metadata/timestamp.json"]), "version": 1000, "expires": text_of(sco.clock() + 15 * MINUTE)},
        sco.board.online,
    )
    shelf.files = old
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is newer


@pytest.mark.parametrize("role", [layout.TARGETS, layout.REGISTRAR, layout.REVOKER, CITY])
def test_no_role_goes_back_under_a_new_snapshot(sco: Town, tmp_path: Path, role: str) -> None:
    """The thief of the online key makes the snapshot, of files that were validly signed once."""
    old = sco.files
    publish_twice(sco)
    draft = drafts.targets_draft(
        2, sco.board.of, sco.board.service, sco.board._one(sco.board.registrar), sco.board._one(sco.board.revoker),
        sco.clock(),
    )  # fmt: skip
    sco.board.accept(sco.board.sign(draft, *sco.board.keys[:2]), sco.clock())
    shelf, followed, newer = served(sco, tmp_path)
    was = newest(old, role)
    shelf.files = stamped(sco.files, {was: old[was]}, sco.board.online, sco.clock())
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is newer


def test_a_role_is_not_taken_out_of_the_snapshot(sco: Town, tmp_path: Path) -> None:
    shelf, followed, newer = served(sco, tmp_path)
    shelf.files = stamped(
        sco.files, {}, sco.board.online, sco.clock(), snapshot=lambda signed: signed["meta"].pop(f"{CITY}.json")
    )
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is newer


def test_a_home_put_back_from_an_old_copy_goes_on_and_believes_an_old_state_until_its_timestamp_ends(
    sco: Town, tmp_path: Path
) -> None:
    """It forgot what it saw: nothing but time protects it, which is why the timestamp is short."""
    old = sco.files
    _, _, before = served(sco, tmp_path / "home")
    shutil.copytree(tmp_path / "home", tmp_path / "copy", symlinks=True)
    publish_twice(sco)
    _, _, newer = served(sco, tmp_path / "home")
    shelf = Shelf(old)
    restored = follower(tmp_path / "copy", sco.board.root, sco.clock, shelf)
    assert restored.refresh().version == before.version
    sco.clock.offset += 16 * MINUTE
    with pytest.raises(DirectoryExpired):
        restored.current(sco.clock())
    with pytest.raises(DirectoryExpired):
        restored.refresh()
    sco.board.restamp(sco.clock())
    shelf.files = sco.files
    assert restored.refresh().version == newer.version


def test_another_root_is_not_pinned_over_the_first(sco: Town, tmp_path: Path) -> None:
    served(sco, tmp_path)
    with pytest.raises(Conflict):
        pin(tmp_path, town().board.root)


def test_a_root_that_is_exchanged_on_disk_puts_nothing_in_force(sco: Town, tmp_path: Path) -> None:
    """Whoever can write there owns the host; what is there must not be mixed up all the same."""
    served(sco, tmp_path)
    (tmp_path / "root.json").write_bytes(town().board.root)
    replaced = Follower(tmp_path, sco.board.of, Always(Shelf(sco.files)), sco.clock)
    with pytest.raises(DirectoryExpired):
        replaced.current(sco.clock())
    with pytest.raises(BadDirectory):
        replaced.refresh()


# Freeze


def test_a_mirror_that_stands_still_is_believed_for_a_quarter_of_an_hour_and_then_nothing_is(
    sco: Town, tmp_path: Path
) -> None:
    shelf, followed, old = served(sco, tmp_path)
    publish_twice(sco)
    assert followed.refresh() is old
    sco.clock.offset += 14 * MINUTE
    followed.current(sco.clock())
    sco.clock.offset += MINUTE
    with pytest.raises(DirectoryExpired):
        followed.current(sco.clock())
    with pytest.raises(DirectoryExpired):
        followed.refresh()
    sco.board.restamp(sco.clock())
    shelf.files = sco.files
    assert followed.refresh().version == sco.board.directory.version


def test_a_mirror_that_stands_still_is_passed_over_once_its_time_is_over(sco: Town, tmp_path: Path) -> None:
    frozen, live = Shelf(sco.files, "frozen"), Shelf(sco.files, "live")
    followed = follower(tmp_path, sco.board.root, sco.clock, frozen, live)
    followed.refresh()
    sco.clock.offset += 16 * MINUTE
    sco.board.revoke(PARTNER, "lost", sco.clock())
    live.files = sco.files
    assert PARTNER not in followed.refresh().partners


def test_a_follower_that_comes_anew_does_not_put_an_old_state_in_force(sco: Town, tmp_path: Path) -> None:
    sco.clock.offset += 16 * MINUTE
    followed = follower(tmp_path, sco.board.root, sco.clock, Shelf(sco.files))
    followed.refresh()
    with pytest.raises(DirectoryExpired):
        followed.current(sco.clock())


def test_the_thief_of_the_online_key_hides_a_revocation_for_a_day_at_most(sco: Town, tmp_path: Path) -> None:
    """It stamps as long as it likes; the revoker's word ends."""
    frozen = sco.files
    sco.board.revoke(PARTNER, "lost", sco.clock())
    shelf = Shelf({})
    followed = follower(tmp_path, sco.board.root, sco.clock, shelf)
    for hours, holds in ((0, True), (12, True), (24, False)):
        sco.clock.offset = hours * 60 * MINUTE
        shelf.files = frozen = stamped(
            frozen,
            {},
            sco.board.online,
            sco.clock(),
            timestamp=lambda signed: signed.update(expires=text_of(sco.clock() + 3650 * DAY)),
            snapshot=lambda signed: signed.update(expires=text_of(sco.clock() + 3650 * DAY)),
        )
        assert PARTNER in followed.refresh().partners
        if holds:
            followed.current(sco.clock())
        else:
            with pytest.raises(DirectoryExpired, match="revoker"):
                followed.current(sco.clock())


# Two states


def test_files_of_two_states_do_not_go_together(sco: Town, tmp_path: Path) -> None:
    """Any file that has changed, exchanged for what it was."""
    old = sco.files
    publish_twice(sco)
    exchanged = set()
    for path in sco.board.directory.files.keys() - old.keys():
        for was in [was for was in old if what(was) == what(path)]:
            exchanged.add(what(path))
            shelf = Shelf({**sco.files, path: old[was]})
            followed = follower(tmp_path / str(len(list(tmp_path.iterdir()))), sco.board.root, sco.clock, shelf)
            with pytest.raises(BadDirectory):
                followed.refresh()
    assert exchanged >= {"snapshot", "registrar", "revoker", CITY, "revoked"}


def what(path: str) -> str:
    """A file's name without its version or hash."""
    return path.rpartition("/")[2].removesuffix(".json").partition(".")[2]


def test_a_file_of_another_state_is_refused_by_whoever_reads_a_receipt_too(sco: Town) -> None:
    old = sco.files
    publish_twice(sco)
    for role in (layout.REGISTRAR, layout.REVOKER, layout.SNAPSHOT):
        mixed = {**sco.files, newest(sco.files, role): old[newest(old, role)]}
        with pytest.raises(BadDirectory):
            proof.read(mixed, sco.board.root, sco.clock())


# Fast-forward, and how the board ends it


def replace_online(sco: Town, signers: int = 2) -> KeySigner:
    """The board names another online key by a new root; the service stamps with it."""
    board, now = sco.board, sco.clock()
    online = KeySigner.generate()
    root = board.sign(drafts.root_draft(board.directory.versions[layout.ROOT] + 1, board.board, online.public, now),
                      *board.keys[:signers])  # fmt: skip
    board.online = online
    board.accept(root, now)
    return online


def test_followers_recover_alone_once_the_board_has_replaced_an_online_key_that_ran_to_the_end(
    sco: Town, tmp_path: Path
) -> None:
    shelf, followed, _ = served(sco, tmp_path)
    thief = sco.board.online
    shelf.files = stamped(sco.files, {}, thief, sco.clock(), on=HIGHEST - 10)
    assert followed.refresh().version > HIGHEST - 10
    publish_twice(sco)
    shelf.files = sco.files
    with pytest.raises(BadDirectory):  # the honest versions are lower: frozen, until it expires
        followed.refresh()
    replace_online(sco)
    shelf.files = sco.files
    assert content(followed.refresh()) == content(sco.board.directory)
    restarted = follower(tmp_path, sco.board.root, sco.clock, shelf)
    assert content(restarted.current(sco.clock())) == content(sco.board.directory)
    shelf.files = stamped(shelf.files, {}, thief, sco.clock(), on=HIGHEST - 10)
    with pytest.raises(BadDirectory):
        restarted.refresh()


def test_followers_recover_though_they_keep_files_of_the_same_versions_with_other_content(
    sco: Town, tmp_path: Path
) -> None:
    """The thief's snapshots have the numbers that the honest ones get later."""
    shelf, followed, first = served(sco, tmp_path)
    forged = sco.files
    for _ in range(6):
        forged = stamped(forged, {}, sco.board.online, sco.clock())
        shelf.files = forged
        followed.refresh()
    replace_online(sco)
    publish_twice(sco)
    assert first.version < sco.board.directory.version < followed.latest(sco.clock()).version
    number = sco.board.directory.version
    assert followed.files[f"metadata/{number}.snapshot.json"] != sco.files[f"metadata/{number}.snapshot.json"]
    shelf.files = sco.files
    assert content(followed.refresh()) == content(sco.board.directory)
    assert followed.files[f"metadata/{number}.snapshot.json"] == sco.files[f"metadata/{number}.snapshot.json"]


def test_a_city_whose_false_entry_is_kept_gets_its_own_back(sco: Town, tmp_path: Path) -> None:
    """Thieves of the steward's and the online key gave a follower what no other saw."""
    shelf, followed, _ = served(sco, tmp_path)
    now = sco.clock()
    false = drafts.city_draft(CITY, 2, routing(CITY, sco.steward, now, 7), now + DAY)
    false = drafts.sign(false, sco.steward, {CITY: [sco.steward.public]})
    shelf.files = stamped(sco.files, false, sco.board.online, now)
    entry = followed.refresh().member(CITY).entry
    assert entry is not None
    assert entry.version == 7
    replace_online(sco)
    sco.board.route(CITY, routing(CITY, sco.steward, now, 2), sco.steward, now)
    shelf.files = sco.files
    entry = followed.refresh().member(CITY).entry
    assert entry is not None
    assert entry.version == 2


def test_versions_that_no_file_can_have_are_refused_and_not_kept(sco: Town, tmp_path: Path) -> None:
    shelf, followed, newer = served(sco, tmp_path)
    kept = set(followed.files.path.rglob("*"))
    forged = stamped(sco.files, {}, sco.board.online, sco.clock(), on=10**20)
    shelf.files = forged
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert set(followed.files.path.rglob("*")) == kept
    assert followed.current(sco.clock()) is newer


def test_the_service_goes_on_by_one_whatever_a_thief_signs(sco: Town) -> None:
    for role, signer in ((layout.REGISTRAR, sco.board.registrar), (layout.REVOKER, sco.board.revoker)):
        _, forged = edited(sco.files[newest(sco.files, role)], lambda signed: signed.update(version=HIGHEST), signer)
        with pytest.raises(Conflict):
            sco.board.accept({f"metadata/{HIGHEST}.{role}.json": forged}, sco.clock())
    with pytest.raises(Conflict):
        steward_jumps(sco, 1 + acceptance.STEP + 1)
    steward_jumps(sco, 1 + acceptance.STEP)


def steward_jumps(sco: Town, version: int) -> None:
    now = sco.clock()
    draft = drafts.city_draft(CITY, version, routing(CITY, sco.steward, now, version), now + DAY)
    sco.board.accept(drafts.sign(draft, sco.steward, {CITY: [sco.steward.public]}), now)


# A fork: the online key signs two states of one version


def two_states(sco: Town) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A directory in which the partner is revoked, and another of the same version in which it is not."""
    old = sco.files
    sco.board.revoke(PARTNER, "lost", sco.clock())
    return sco.files, stamped(old, {}, sco.board.online, sco.clock())


def test_one_follower_that_is_shown_both_sides_of_a_fork_keeps_the_first_and_says_so(sco: Town, tmp_path: Path) -> None:
    one, other = two_states(sco)
    for number, (first, second) in enumerate(((one, other), (other, one))):
        shelf = Shelf(first)
        followed = follower(tmp_path / str(number), sco.board.root, sco.clock, shelf)
        directory = followed.refresh()
        shelf.files = second
        with pytest.raises(BadDirectory, match="two timestamps of version"):
            followed.refresh()
        assert followed.current(sco.clock()) is directory
        restarted = follower(tmp_path / str(number), sco.board.root, sco.clock, shelf)
        with pytest.raises(BadDirectory, match="two timestamps of version"):
            restarted.refresh()


def test_a_fork_of_the_snapshot_under_a_later_timestamp_is_refused_too(sco: Town, tmp_path: Path) -> None:
    one, other = two_states(sco)
    later = signed_in(other["metadata/timestamp.json"])
    later["version"] += 1
    other["metadata/timestamp.json"] = put_together(later, sco.board.online)
    shelf = Shelf(one)
    followed = follower(tmp_path, sco.board.root, sco.clock, shelf)
    directory = followed.refresh()
    shelf.files = other
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is directory


def test_two_followers_of_a_fork_have_directories_of_one_version_and_two_hashes(sco: Town, tmp_path: Path) -> None:
    """Neither can know alone; whoever compares the two, does. So checkpoints and receipts must hold the hash."""
    one, other = two_states(sco)
    here = follower(tmp_path / "here", sco.board.root, sco.clock, Shelf(one)).refresh()
    there = follower(tmp_path / "there", sco.board.root, sco.clock, Shelf(other)).refresh()
    assert here.version == there.version
    assert here.hash != there.hash
    assert PARTNER not in here.partners
    assert PARTNER in there.partners


def test_a_timestamp_that_is_written_down_otherwise_is_no_fork(sco: Town, tmp_path: Path) -> None:
    shelf, followed, directory = served(sco, tmp_path)
    stamp = sco.files["metadata/timestamp.json"]
    shelf.lies["metadata/timestamp.json"] = stamp.replace(b'{"signatures"', b'{ "signatures"')
    assert content(followed.refresh()) == content(directory)


def test_a_mirror_without_the_key_makes_nobody_believe_in_a_fork(sco: Town, tmp_path: Path) -> None:
    shelf, followed, directory = served(sco, tmp_path)
    stamp = sco.files["metadata/timestamp.json"]
    forged = {**signed_in(stamp), "expires": text_of(sco.clock() + DAY)}
    answers = [put_together(forged, KeySigner.generate()), stamp]
    shelf.lies["metadata/timestamp.json"] = lambda: answers.pop(0)
    with pytest.raises(BadDirectory, match="does not verify"):
        followed.refresh()
    assert followed.refresh() is directory


def test_what_was_revoked_stays_so_for_whoever_saw_it_until_the_board_speaks(sco: Town, tmp_path: Path) -> None:
    """Thieves of both the revoker's and the online key take a revocation back."""
    sco.board.revoke(PARTNER, "lost", sco.clock())
    shelf, followed, _ = served(sco, tmp_path)
    board, now = sco.board, sco.clock()
    back = board.sign(drafts.revoker_draft(3, board.of, (), now), board.revoker)
    forged = stamped(sco.files, back, board.online, now)
    shelf.files = forged
    with pytest.raises(BadDirectory, match="so no more"):
        followed.refresh()
    assert PARTNER not in followed.current(now).partners
    restarted = follower(tmp_path, board.root, sco.clock, shelf)
    with pytest.raises(BadDirectory, match="so no more"):
        restarted.refresh()
    draft = drafts.targets_draft(
        2, board.of, board.service, board._one(board.registrar), board._one(board.revoker), now
    )
    shelf.files = stamped(forged, board.sign(draft, *board.keys[:2]), board.online, now)
    assert PARTNER in restarted.refresh().partners


def test_a_change_of_one_role_is_seen(sco: Town, tmp_path: Path) -> None:
    """That the forger's tools of this file make what is taken where it is validly signed."""
    shelf, followed, _ = served(sco, tmp_path)
    more = changed(sco.files, layout.REGISTRAR, lambda signed: None, sco.board.registrar)
    shelf.files = stamped(sco.files, more, sco.board.online, sco.clock())
    assert followed.refresh().versions[layout.REGISTRAR] == 2
