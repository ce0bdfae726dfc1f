"""The directory on disk: re-read when changed, never back, loud and steady when the new file is bad."""

from __future__ import annotations

import base64
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.errors import BadDirectory, DirectoryExpired
from cimfed.model.names import Federation
from cimfed.trust.directory.edit import DAY
from cimfed.trust.directory.follow import FileDirectory
from cimfed.trust.directory.listing import Directory, PublishedVocabulary, own_vocabulary
from cimfed.trust.keys import KeySigner

from ..parties import SCO, World

NOW = 1_800_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def world() -> World:
    return World(NOW)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.json"


def put(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def source(path: Path, world: World, clock: Clock) -> FileDirectory:
    return FileDirectory(path, world.registrar.public, path.with_name("state"), SCO, clock)


def test_a_changed_file_is_read_again_within_two_seconds(path: Path, world: World, clock: Clock) -> None:
    put(path, world.current(NOW).content)
    directories = source(path, world, clock)
    assert directories.current(NOW).version == 1
    put(path, world.publish().content)
    clock.seconds += 1.9
    assert directories.current(NOW).version == 1
    clock.seconds += 0.2
    assert directories.current(NOW).version == 2


def older_and_newer(world: World) -> tuple[Directory, Directory]:
    return world.current(NOW), world.publish()


def test_an_older_version_is_refused_after_a_restart_too(path: Path, world: World, clock: Clock) -> None:
    older, newer = older_and_newer(world)
    put(path, newer.content)
    directories = source(path, world, clock)
    assert directories.current(NOW).version == 2
    put(path, older.content)
    clock.seconds += 3
    assert directories.current(NOW).version == 2
    with pytest.raises(BadDirectory, match="older"):
        source(path, world, clock).current(NOW)


def test_two_files_of_one_version_are_refused(path: Path, world: World, clock: Clock) -> None:
    fork = World(NOW)
    fork.registrar = world.registrar
    fork.directory = None
    put(path, world.current(NOW).content)
    directories = source(path, world, clock)
    first = directories.current(NOW)
    put(path, fork.publish().content)
    clock.seconds += 3
    assert directories.current(NOW) is first
    with pytest.raises(BadDirectory, match="two different"):
        source(path, world, clock).current(NOW)


@pytest.mark.parametrize("content", [b"", b"{}", b"garbage"])
def test_a_broken_file_leaves_the_old_directory_in_force_loudly_until_it_expires(
    path: Path, world: World, clock: Clock, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    put(path, world.current(NOW).content)
    directories = source(path, world, clock)
    expires = directories.current(NOW).expires
    put(path, content)
    clock.seconds += 3
    with caplog.at_level(logging.ERROR):
        assert directories.current(NOW).version == 1
    assert "version 1 stays in force" in caplog.text
    with pytest.raises(DirectoryExpired):
        directories.current(expires)
    put(path, world.publish(expires).content)
    clock.seconds += 3
    assert directories.current(expires).version == 2


def test_a_file_signed_by_another_registrar_is_refused(path: Path, world: World, clock: Clock) -> None:
    put(path, world.current(NOW).content)
    stranger = FileDirectory(path, KeySigner.generate().public, path.with_name("state"), SCO, clock)
    with pytest.raises(BadDirectory):
        stranger.current(NOW)


def test_no_file_is_an_error_until_there_is_one(path: Path, world: World, clock: Clock) -> None:
    directories = source(path, world, clock)
    with pytest.raises(BadDirectory):
        directories.current(NOW)
    put(path, world.current(NOW).content)
    clock.seconds += 3
    assert directories.current(NOW).version == 1


def test_an_expired_file_is_refused_at_the_start(path: Path, world: World, clock: Clock) -> None:
    put(path, world.publish(life=DAY).content)
    with pytest.raises(DirectoryExpired):
        source(path, world, clock).current(NOW + DAY)


def test_an_expired_directory_still_says_where_a_newer_one_may_be_had(path: Path, world: World, clock: Clock) -> None:
    old = world.publish(life=DAY)
    put(path, old.content)
    directories = source(path, world, clock)
    assert directories.latest(NOW + DAY).address("gw.alliance") == "127.0.0.1:1"
    directories.update(world.publish(NOW + DAY).content, NOW + DAY)
    assert directories.current(NOW + DAY).version == old.version + 1


def test_a_fetched_directory_is_put_in_force_and_in_the_file(path: Path, world: World, clock: Clock) -> None:
    older, newer = older_and_newer(world)
    put(path, older.content)
    directories = source(path, world, clock)
    directories.current(NOW)
    directories.update(newer.content, NOW)
    assert directories.current(NOW).version == 2
    assert path.read_bytes() == newer.content
    with pytest.raises(BadDirectory):
        directories.update(older.content, NOW)
    assert path.read_bytes() == newer.content


def test_a_fetched_directory_that_cannot_be_kept_changes_nothing(tmp_path: Path, world: World, clock: Clock) -> None:
    older, newer = older_and_newer(world)
    folder = tmp_path / "files"
    folder.mkdir()
    put(folder / "directory.json", older.content)
    directories = FileDirectory(folder / "directory.json", world.registrar.public, tmp_path / "state", SCO, clock)
    directories.current(NOW)
    (folder / "directory.json").unlink()
    folder.rmdir()
    with pytest.raises(BadDirectory, match="kept"):
        directories.update(newer.content, NOW)
    folder.mkdir()
    put(folder / "directory.json", older.content)
    assert FileDirectory(folder / "directory.json", world.registrar.public, tmp_path / "state", SCO, clock).current(NOW)


def test_a_damaged_record_of_versions_is_not_passed_over(path: Path, world: World, clock: Clock) -> None:
    put(path, world.current(NOW).content)
    path.with_name("state").write_text("garbage")
    with pytest.raises(BadDirectory, match="damaged"):
        source(path, world, clock).current(NOW)


def test_a_version_that_cannot_be_recorded_is_not_used(tmp_path: Path, world: World, clock: Clock) -> None:
    path = tmp_path / "directory.json"
    put(path, world.current(NOW).content)
    directories = FileDirectory(path, world.registrar.public, tmp_path / "missing" / "state", SCO, clock)
    with pytest.raises(BadDirectory, match="recorded"):
        directories.current(NOW)


def test_a_directory_that_could_not_be_recorded_is_tried_again(
    path: Path, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, world.current(NOW).content)
    directories = source(path, world, clock)
    assert directories.current(NOW).version == 1
    put(path, world.publish().content)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for broken in ("cimfed.trust.directory.follow.replace_file", "pathlib.Path.read_bytes"):
        clock.seconds += 3
        with monkeypatch.context() as patch:
            patch.setattr(broken, full)
            assert directories.current(NOW).version == 1
    clock.seconds += 3
    assert directories.current(NOW).version == 2


def test_a_broken_directory_is_read_once(
    path: Path, world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, world.current(NOW).content)
    directories = source(path, world, clock)
    assert directories.current(NOW).version == 1
    put(path, b"junk")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            clock.seconds += 3
            assert directories.current(NOW).version == 1
    assert len(caplog.records) == 1


def test_another_federations_directory_is_refused_though_the_same_registrar_signed_it(
    path: Path, world: World, clock: Clock
) -> None:
    put(path, world.current(NOW).content)
    other = FileDirectory(path, world.registrar.public, path.with_name("state"), Federation("silkroad"), clock)
    with pytest.raises(BadDirectory, match="of sco, not of silkroad"):
        other.current(NOW)
    assert not path.with_name("state").exists()
    assert source(path, world, clock).current(NOW).version == 1


def test_another_vocabulary_than_this_releases_is_warned_of_once_and_the_directory_is_in_force(
    path: Path, world: World, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, world.current(NOW).content)
    directories = source(path, world, clock)
    for published, warned in ((own_vocabulary(), False), (PublishedVocabulary("77", bytes(32)), True)):
        caplog.clear()
        world.listing = replace(world.listing, vocabulary=published)
        put(path, world.publish().content)
        clock.seconds += 3
        assert directories.current(NOW).listing.vocabulary == published
        clock.seconds += 3
        directories.current(NOW)
        assert caplog.text.count("the federation's vocabulary is version 77") == warned


def test_a_directory_without_a_vocabulary_is_the_very_bytes_that_it_was(world: World) -> None:
    """As every release before this one wrote it and reads it."""
    payload = json.loads(base64.b64decode(json.loads(world.current(NOW).content)["payload"]))
    assert "vocabulary" not in payload
    assert world.current(NOW).listing.vocabulary is None
