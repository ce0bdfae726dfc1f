"""Keeping up with the directory: what is kept, which mirrors are passed over, when it ends, and how it comes back."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cimfed.errors import (
    BadDirectory,
    CimfedError,
    Conflict,
    DirectoryExpired,
    KeyRevoked,
    NodeUnreachable,
    UnknownPeer,
)
from cimfed.model.names import CityName, Federation
from cimfed.rpc import clock
from cimfed.trust.card import endorsed, parse_card, seal_card
from cimfed.trust.directory import follow, layout, mirrors
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.continuity import held_back
from cimfed.trust.directory.edit import suspend, with_card
from cimfed.trust.directory.follow import Follower, accept_keys, pin
from cimfed.trust.directory.listing import PublishedVocabulary, own_vocabulary
from cimfed.trust.directory.mirrors import Always, Folder
from tests.board import Board, Files
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, Party, World
from tests.unit.cimfed.trust.directory.forge import rotated
from tests.unit.cimfed.trust.directory.test_proof import routing

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
LIFE = 900 * SECOND  # of a timestamp


@dataclass
class Clock:
    now: int

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Clock:
    return Clock(clock.now())


@pytest.fixture
def world(time: Clock) -> World:
    return World(time.now)


@pytest.fixture
def mirror(world: World) -> Files:
    return Files(world.board.files)


@pytest.fixture
def home(world: World, tmp_path: Path) -> Path:
    pin(tmp_path / "home", world.board.root)
    return tmp_path / "home"


def following(home: Path, time: Clock, *mirrors: Files) -> Follower:
    return Follower(home, SCO, Always(*mirrors), time)


def frozen(board: Board, name: str = "frozen") -> Files:
    """A mirror that stays as it is now."""
    return Files(dict(board.files), name)


# The pinned root


def test_the_root_is_pinned_once(world: World, home: Path) -> None:
    pin(home, world.board.root)
    with pytest.raises(Conflict, match="another root"):
        pin(home, Board("sco", clock.now()).root)
    assert (home / "root.json").read_bytes() == world.board.root


def test_what_is_no_root_is_not_pinned(tmp_path: Path, world: World) -> None:
    for wrong in (b"", b"{}", world.board.files[layout.TIMESTAMP_FILE]):
        with pytest.raises(BadDirectory):
            pin(tmp_path / "other", wrong)
    assert not (tmp_path / "other").exists()


def test_without_a_pinned_root_nothing_is_followed(tmp_path: Path, time: Clock) -> None:
    with pytest.raises(BadDirectory, match="no root of the directory is pinned"):
        Follower(tmp_path, SCO, Always(), time)


def test_another_federation_than_the_pinned_roots_is_refused(home: Path, time: Clock, mirror: Files) -> None:
    other = Follower(home, Federation("silkroad"), Always(mirror), time)
    with pytest.raises(BadDirectory, match="of sco, not of silkroad"):
        other.refresh()
    with pytest.raises(DirectoryExpired):
        other.current(time.now)


# Fetching


def test_before_anything_was_fetched_there_is_nothing(home: Path, time: Clock, mirror: Files) -> None:
    directories = following(home, time, mirror)
    for ask in (directories.current, directories.latest):
        with pytest.raises(DirectoryExpired, match="never fetched"):
            ask(time.now)
    assert directories.refresh().version == 1
    assert directories.current(time.now) == directories.latest(time.now)


def test_it_follows_what_is_published(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    assert directories.refresh().members.keys() == {CITY}
    world.drop(CITY)
    assert directories.refresh().members == {}
    assert directories.current(time.now).version == 2


def test_what_has_not_changed_is_not_fetched_again(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    held = directories.current(time.now)
    mirror.asked.clear()
    assert directories.refresh() is held
    assert mirror.asked == [layout.TIMESTAMP_FILE]
    world.board.revoke(PARTNER, "lost")
    mirror.asked.clear()
    directories.refresh()
    assert not [path for path in mirror.asked if "partners" in path or "members" in path or "registrar" in path]


def test_a_new_timestamp_prolongs_the_same_directory(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    before = directories.refresh()
    time.now += 60 * SECOND
    world.board.restamp(time.now)
    after = directories.refresh()
    assert (after.version, after.listing) == (before.version, before.listing)
    assert after.expires == before.expires + 60 * SECOND


def test_a_citys_routing_entry_comes_with_it(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    assert directories.refresh().routing(CITY) is None
    steward = world.parties[CITY].steward
    world.board.route(CITY, routing(steward), steward)
    assert directories.refresh().routing(CITY) is not None


def test_a_mirror_that_lacks_a_citys_files_is_passed_over(home: Path, time: Clock, world: World, mirror: Files) -> None:
    steward = world.parties[CITY].steward
    world.board.route(CITY, routing(steward), steward)
    lacking = Files({path: data for path, data in world.board.files.items() if CITY not in path}, "lacking")
    with pytest.raises(BadDirectory, match="lacks files"):
        following(home, time, lacking).refresh()
    assert following(home, time, lacking, mirror).refresh().routing(CITY) is not None


def test_a_city_whose_word_has_ended_is_listed_without_its_entry(tmp_path: Path) -> None:
    now = clock.now()
    world = World(now - 2 * DAY)
    steward = world.parties[CITY].steward
    draft = drafts.city_draft(CityName(CITY), 1, routing(steward), now - DAY)
    world.board.accept(drafts.sign(draft, steward, {CITY: [steward.public]}))
    world.board.keep_up(now)
    pin(tmp_path, world.board.root)
    found = following(tmp_path, Clock(now), Files(world.board.files)).refresh()
    assert (found.member(CITY).entry, found.routing(CITY)) == (None, None)


def test_a_new_root_is_followed(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    mirror.files = rotated(world.board, lambda said: None, *world.board.keys)
    world.board.files.update(mirror.files)
    world.board.restamp(time.now + SECOND)
    mirror.files = world.board.files
    assert directories.refresh().versions["root"] == 2
    assert (home / "root.json").read_bytes() == world.board.root
    assert "metadata/2.root.json" in directories.files


# What is kept


def test_after_a_restart_it_is_in_force_without_a_mirror(home: Path, time: Clock, mirror: Files) -> None:
    first = following(home, time, mirror).refresh()
    mirror.away = True
    again = following(home, time, mirror)
    assert again.current(time.now).hash == first.hash
    with pytest.raises(NodeUnreachable):
        again.refresh()
    assert again.current(time.now).members.keys() == {CITY}


def test_versions_do_not_go_back_after_a_restart(home: Path, time: Clock, world: World, mirror: Files) -> None:
    old = frozen(world.board)
    following(home, time, mirror).refresh()
    world.publish()
    following(home, time, mirror).refresh()
    again = following(home, time, old)
    with pytest.raises(BadDirectory, match="does not verify"):
        again.refresh()
    assert again.current(time.now).version == 2


def test_what_is_kept_is_a_mirror_for_others(
    home: Path, time: Clock, world: World, mirror: Files, tmp_path: Path
) -> None:
    one = following(home, time, mirror)
    one.refresh()
    world.publish()
    one.refresh()
    assert {path: one.files[path] for path in one.files} == world.board.files
    pin(tmp_path / "other", world.board.root)
    other = Follower(tmp_path / "other", SCO, Always(one.files), time)  # type: ignore[arg-type]
    assert other.refresh().hash == one.current(time.now).hash


def test_nothing_is_kept_that_did_not_verify(home: Path, time: Clock, world: World) -> None:
    broken = {path: data.replace(b"127.0.0.1:1", b"127.0.0.1:2") for path, data in world.board.files.items()}
    directories = following(home, time, Files(broken))
    with pytest.raises(BadDirectory):
        directories.refresh()
    assert layout.TIMESTAMP_FILE not in directories.files
    assert not [path for path in directories.files if b"127.0.0.1:2" in directories.files[path]]


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}"])
def test_a_damaged_cache_is_fetched_anew(home: Path, time: Clock, mirror: Files, content: bytes) -> None:
    first = following(home, time, mirror)
    first.refresh()
    for path in list(first.files):
        (first.files.path / path).write_bytes(content)
        again = following(home, time, mirror)
        assert again.refresh().version == 1, path
        assert following(home, time, mirror).current(time.now).version == 1, path


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}"])
def test_a_damaged_memory_of_the_framework_is_made_anew(
    home: Path, time: Clock, world: World, mirror: Files, content: bytes
) -> None:
    following(home, time, mirror).refresh()
    for file in sorted(path for path in (home / "trusted").rglob("*.json") if "history" not in str(path)):
        world.publish()
        file.write_bytes(content)
        again = following(home, time, mirror)
        assert again.refresh().version == world.directory.version, file


def test_a_lock_that_cannot_be_taken_is_a_folder_that_cannot_be_kept(
    home: Path, time: Clock, world: World, mirror: Files
) -> None:
    directories = following(home, time, mirror)
    before = directories.refresh()
    world.publish()
    (home / "lock").unlink()
    (home / "lock").mkdir()
    with pytest.raises(BadDirectory, match="cannot be kept"):
        directories.refresh()
    assert directories.current(time()) == before


def test_a_folder_that_cannot_be_written_keeps_the_directory_in_force(
    home: Path, time: Clock, world: World, mirror: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    world.publish()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        for module in (follow, mirrors):
            patch.setattr(module, "replace_file", full)
        with pytest.raises(BadDirectory, match="cannot be kept: No space left"):
            directories.refresh()
        assert directories.current(time.now).version == 1
    assert directories.refresh().version == 2


CHILD = """
import sys
from pathlib import Path
from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.mirrors import Always, Folder
home, mirror, times = Path(sys.argv[1]), Folder(Path(sys.argv[2])), int(sys.argv[3])
for _ in range(times):
    directories = Follower(home, Federation("sco"), Always(mirror), clock.now)
    print(directories.refresh().version, flush=True)
    sys.stdin.readline()
"""


def test_two_processes_follow_in_one_folder(home: Path, time: Clock, world: World, tmp_path: Path) -> None:
    served = Folder(tmp_path / "served")

    def publish() -> None:
        world.publish()
        for path, content in sorted(world.board.files.items(), key=lambda item: "timestamp" in item[0]):
            served.put(path, content)

    publish()
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", CHILD, str(home), str(served.path), "5"]
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as one,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as two,
    ):
        versions = []
        for _ in range(5):
            for process in (one, two):
                assert process.stdout is not None
                versions.append(int(process.stdout.readline()))
            publish()
            for process in (one, two):
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
    assert (one.returncode, two.returncode) == (0, 0)
    assert versions == [version for version in range(2, 7) for _ in range(2)]


# Known keys


def replaced(world: World, name: str, *, named: bool = False) -> Party:
    """The registrar lists other keys for a party; ``named``: by a card that its old key has signed too."""
    old, new = world.parties[name], Party.make(name, world.now)
    content = seal_card(new.card(), new.signer)
    card = parse_card(endorsed(content, old.signer) if named else content)
    world.listing = with_card(world.listing, card)
    world.publish()
    return new


def test_keys_that_the_registrar_alone_lists_for_a_known_party_do_not_count(
    home: Path, time: Clock, world: World, mirror: Files, caplog: pytest.LogCaptureFixture
) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    replaced(world, GATEWAY)
    assert directories.refresh().gateway(GATEWAY).keys == ()
    assert f"{GATEWAY} has new keys that no key of it names" in caplog.text
    time.now += LIFE // 2
    world.board.restamp(time.now)
    assert directories.refresh().gateway(GATEWAY).keys == ()
    assert caplog.text.count("has new keys") == 1


@pytest.mark.parametrize("again", [False, True])
def test_what_is_known_is_known_after_a_restart(
    home: Path, time: Clock, world: World, mirror: Files, again: bool
) -> None:
    following(home, time, mirror).refresh()
    new = replaced(world, GATEWAY, named=again)
    following(home, time, mirror).refresh()
    directories = following(home, time)
    assert directories.current(time.now).gateway(GATEWAY).keys == ((new.signer.public,) if again else ())


def test_a_folder_of_an_older_release_knows_whom_it_had_listed(
    home: Path, time: Clock, world: World, mirror: Files
) -> None:
    following(home, time, mirror).refresh()
    (home / "known.json").unlink()
    directories = following(home, time, mirror)
    replaced(world, GATEWAY)
    assert directories.refresh().gateway(GATEWAY).keys == ()


def test_accepted_keys_count_at_the_next_look(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    new = replaced(world, GATEWAY)
    held = directories.refresh()
    (party,) = held_back(held)
    accept_keys(home, party)
    assert directories.refresh().gateway(GATEWAY).keys == (new.signer.public,)  # though the mirror has nothing new
    assert following(home, time).current(time.now).gateway(GATEWAY).keys == (new.signer.public,)


def test_a_damaged_record_of_known_keys_keeps_the_directory_as_it_is(
    home: Path, time: Clock, world: World, mirror: Files
) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    (home / "known.json").write_bytes(b"{")
    replaced(world, GATEWAY)
    with pytest.raises(BadDirectory, match="record of known keys"):
        directories.refresh()
    assert directories.current(time.now).version == 1
    with pytest.raises(DirectoryExpired):
        following(home, time).current(time.now)


# Mirrors


def test_a_mirror_that_is_away_is_passed_over(home: Path, time: Clock, mirror: Files) -> None:
    away = Files({}, "gw.away", away=True)
    directories = following(home, time, away, mirror)
    assert directories.refresh().version == 1


def hostile(world: World) -> dict[str, Mapping[str, bytes]]:
    other = Board("sco", world.now)
    files = dict(world.board.files)
    timestamp = files[layout.TIMESTAMP_FILE]
    return {
        "nothing": {},
        "another board's": other.files,
        "garbage": dict.fromkeys(files, b"garbage"),
        "empty files": dict.fromkeys(files, b""),
        "a timestamp alone": {layout.TIMESTAMP_FILE: timestamp},
        "a timestamp of another": {**files, layout.TIMESTAMP_FILE: other.files[layout.TIMESTAMP_FILE]},
        "targets of another": {**files, **{path: b"{}" for path in files if path.startswith("targets/")}},
    }


@pytest.mark.parametrize("kind", ["nothing", "another board's", "garbage", "empty files", "a timestamp alone",
                                  "a timestamp of another", "targets of another"])  # fmt: skip
def test_a_mirror_that_serves_what_does_not_verify_is_passed_over(
    home: Path, time: Clock, world: World, mirror: Files, kind: str
) -> None:
    alone = following(home, time, Files(hostile(world)[kind], "hostile"))
    with pytest.raises(CimfedError):
        alone.refresh()
    with pytest.raises(DirectoryExpired):
        alone.current(time.now)
    assert following(home, time, Files(hostile(world)[kind], "hostile"), mirror).refresh().version == 1


def test_a_mirror_that_is_behind_changes_nothing(home: Path, time: Clock, world: World, mirror: Files) -> None:
    behind = frozen(world.board)
    world.publish()
    directories = following(home, time, mirror)
    directories.refresh()
    late = following(home, time, behind)
    with pytest.raises(BadDirectory):
        late.refresh()
    assert late.current(time.now).version == 2
    assert following(home, time, behind, mirror).refresh().version == 2


def test_where_no_mirror_is_known_it_says_so(home: Path, time: Clock) -> None:
    with pytest.raises(NodeUnreachable, match="no mirror of the directory is known"):
        following(home, time).refresh()


def test_trouble_with_a_mirror_is_told_once_and_its_end_too(
    home: Path, time: Clock, mirror: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    directories = following(home, time, mirror)
    directories.refresh()
    assert caplog.text == ""
    mirror.away = True
    for _ in range(3):
        with pytest.raises(NodeUnreachable):
            directories.refresh()
    mirror.away = False
    for _ in range(3):
        directories.refresh()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        (
            "WARNING",
            "mirror memory: node_unreachable: memory cannot be reached; version 1 stays in force until it expires",
        ),
        ("INFO", "mirror memory: up to date"),
    ]


def test_another_vocabulary_is_warned_of_once_and_the_directory_is_in_force(
    home: Path, time: Clock, world: World, mirror: Files, caplog: pytest.LogCaptureFixture
) -> None:
    directories = following(home, time, mirror)
    assert directories.refresh().listing.vocabulary is None
    for published, warned in ((own_vocabulary(), 0), (PublishedVocabulary("77", bytes(32)), 1)):
        caplog.clear()
        world.listing = replace(world.listing, vocabulary=published)
        world.publish()
        for _ in range(2):
            assert directories.refresh().listing.vocabulary == published
        assert caplog.text.count("the federation's vocabulary is version 77") == warned


# Its end


def test_a_frozen_mirror_cannot_keep_it_alive(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, frozen(world.board))
    expires = directories.refresh().expires
    assert expires == world.now // SECOND * SECOND + LIFE
    time.now = expires - 1
    assert directories.current(time.now).version == 1
    time.now = expires
    with pytest.raises(DirectoryExpired, match="its timestamp ended") as caught:
        directories.current(time.now)
    assert caught.value.reason == "directory_expired"
    with pytest.raises(DirectoryExpired):
        directories.refresh()
    assert directories.latest(time.now).version == 1
    # A restart does not help, a mirror that is up to date does.
    world.board.restamp(time.now)
    again = following(home, time, frozen(world.board, "other"))
    with pytest.raises(DirectoryExpired):
        again.current(time.now)
    again.refresh()
    assert again.current(time.now).version == 1


def fresh(role: str, world: World, at: int) -> None:
    """At that time everything speaks anew but for that role."""
    if role != "revoker":
        world.board.revoke("inst.other", "lost", at)
    if role not in ("revoker", "registrar"):
        world.publish(at)
    world.board.restamp(at)


@pytest.mark.parametrize(("role", "after"), [("revoker", DAY), ("registrar", 90 * DAY), ("(root|targets)", 366 * DAY)])
def test_the_first_role_that_ends_ends_it(
    home: Path, time: Clock, world: World, mirror: Files, role: str, after: int
) -> None:
    directories = following(home, time, mirror)
    end = world.now // SECOND * SECOND + after
    fresh(role, world, end - SECOND)
    assert directories.refresh().expires == end
    time.now = end - 1
    directories.current(time.now)
    time.now = end
    with pytest.raises(DirectoryExpired, match=f"its {role} ended"):
        directories.current(time.now)


def test_it_comes_back_alone(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    mirror.away = True
    time.now += HOUR
    with pytest.raises(NodeUnreachable):
        directories.refresh()
    with pytest.raises(DirectoryExpired):
        directories.current(time.now)
    world.board.restamp(time.now)
    mirror.away = False
    directories.refresh()
    assert directories.current(time.now).version == 1


# By the clock


def test_a_suspension_begins_and_ends_by_itself(home: Path, time: Clock, world: World, mirror: Files) -> None:
    begin, end = time.now + 60 * SECOND, time.now + 120 * SECOND
    world.listing = suspend(world.listing, CITY, (begin, end))
    world.publish()
    directories = following(home, time, mirror)
    directories.refresh()
    mirror.away = True
    for moment, listed in ((begin - 1, True), (begin, False), (end - 1, False), (end, True), (begin, False)):
        directory = directories.current(moment)
        assert (CityName(CITY) in directory.members) == listed
        assert CITY in directory.published.members
        if not listed:
            with pytest.raises(UnknownPeer):
                directory.member(CITY)


def test_between_the_edges_it_is_the_same_value(home: Path, time: Clock, world: World, mirror: Files) -> None:
    """Servers look whether it is the same to know whether to look again."""
    begin = time.now + 60 * SECOND
    world.listing = suspend(world.listing, GATEWAY, (begin, begin + 60 * SECOND))
    world.publish()
    directories = following(home, time, mirror)
    directories.refresh()
    before = directories.current(time.now)
    assert directories.current(begin - 1) is before
    within = directories.current(begin)
    assert within is not before
    assert directories.current(begin + 59 * SECOND) is within


def test_what_is_revoked_is_gone_at_the_next_refresh(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    key = world.parties[PARTNER].signer.public
    world.board.revoke(key.id.hex(), "stolen")
    directory = directories.refresh()
    with pytest.raises(KeyRevoked):
        directory.access_key(key.id, time.now)
    assert directory.partner(PARTNER).keys == ()
    world.board.revoke(world.parties[GATEWAY].issuing.issuer.id.hex(), "stolen")
    assert directories.refresh().gateway(GATEWAY).issuers == ()
    world.board.revoke(CITY, "its node was stolen")
    assert directories.refresh().members == {}


# In several threads


def test_several_threads_may_ask_while_it_is_refreshed(home: Path, time: Clock, world: World, mirror: Files) -> None:
    directories = following(home, time, mirror)
    directories.refresh()
    done, found, errors = threading.Event(), set[tuple[int, frozenset[str]]](), list[Exception]()

    def ask() -> None:
        try:
            while not done.is_set():
                directory = directories.current(time.now)
                found.add((directory.version, frozenset(directory.members)))
                directories.refresh()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    listing = world.listing
    versions = {1: frozenset({CITY})}
    for number in range(2, 12):
        world.listing = listing if number % 2 else replace(listing, members={})
        publish_whole(world, mirror)
        versions[number] = frozenset(world.directory.members)
        directories.refresh()
    done.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert found <= set(versions.items())
    assert directories.current(time.now).version == 11


def publish_whole(world: World, mirror: Files) -> None:
    """The mirror has the new files all at once."""
    files = dict(world.board.files)
    mirror.files = files
    world.publish()
    mirror.files = dict(world.board.files)


def test_in_its_own_thread_it_keeps_up_and_stops_when_told(
    home: Path, time: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "REFRESH_EVERY", 0.001)
    asked = threading.Semaphore(0)
    failing: list[Callable[[], bytes]] = []

    class Watched(Files):
        def get(self, path: str) -> bytes | None:
            if path == layout.TIMESTAMP_FILE:
                asked.release()
                if failing:
                    failing.pop()()
            return super().get(path)

    def fault() -> bytes:
        raise RuntimeError("a fault of its own")

    watched = Watched(dict(world.board.files))
    directories = following(home, time, watched)
    directories.refresh()
    directories.start()
    try:
        publish_whole(world, watched)
        failing.append(fault)
        while asked.acquire(blocking=False):
            pass
        for _ in range(5):  # all but the last of these are over
            assert asked.acquire(timeout=30)
    finally:
        directories.close()
    assert directories.current(time.now).version == 2
    assert "directory" not in {thread.name for thread in threading.enumerate()}


# Folders of files


def test_a_folder_gives_files_of_a_directory_and_nothing_else(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files")
    folder.put("metadata/timestamp.json", b"{}")
    (tmp_path / "secret.json").write_bytes(b"secret")
    (tmp_path / "files" / "settings.json").write_bytes(b"secret")
    for path in (
        "../secret.json",
        "settings.json",
        "metadata/../../secret.json",
        "/etc/passwd",
        "metadata/9.root.json",
    ):
        assert folder.get(path) is None
        assert path not in folder
        with pytest.raises(KeyError):
            folder[path]
    assert (list(folder), len(folder), folder["metadata/timestamp.json"]) == (["metadata/timestamp.json"], 1, b"{}")


def test_a_folder_that_cannot_be_read_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "metadata" / "timestamp.json").mkdir(parents=True)
    with pytest.raises(BadDirectory, match="cannot be read"):
        Folder(tmp_path).get("metadata/timestamp.json")
    assert os.listdir(tmp_path) == ["metadata"]
