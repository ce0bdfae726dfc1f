"""Checkpoints: at most one a second when the log grew, never of a second history; those of others never back."""

from __future__ import annotations

import pytest

from cimfed.errors import LogInconsistent
from cimfed.tlog import checkpoints, log
from cimfed.tlog.checkpoints import Made
from cimfed.tlog.database import Database
from cimfed.tlog.publisher import Publisher
from cimfed.tlog.schema import EntryId
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.checkpoint import (
    Checkpoint,
    Origin,
    cosign,
    cosigned_at,
    parse_origin,
    sign_checkpoint,
    verify_checkpoint,
)
from cimfed.trust.tlog.entries import Act, Restored, decode, encode
from tests.unit.cimfed.tlog.test_log import KEY, ORIGIN, act, write
from tests.unit.cimfed.trust.tlog.test_merkle import head, subproof

WITNESS: Origin = parse_origin("sco/uz.tashkent")
OTHER = KeySigner.from_seed(b"\2" * 32)
SECOND = 1_000_000


def publish(database: Database, now: int, every: int = SECOND) -> Made | None:
    with database.writing() as connection:
        return checkpoints.publish(connection, ORIGIN, KEY, now, every)


def test_an_empty_log_has_its_first_checkpoint(database: Database) -> None:
    made = publish(database, 5)
    assert made is not None
    assert verify_checkpoint(made.note, ORIGIN, [KEY.public]) == Checkpoint(str(ORIGIN), 0, head([]))
    assert publish(database, 9 * SECOND) is None


def test_one_is_signed_a_second_at_most_and_only_when_the_log_grew(database: Database) -> None:
    write(database, act(1))
    assert publish(database, 10 * SECOND) is not None
    write(database, act(2))
    assert publish(database, 11 * SECOND - 1) is None
    made = publish(database, 11 * SECOND)
    assert made is not None
    assert (made.size, made.generation, made.made) == (2, 1, 11 * SECOND)
    expected = Checkpoint(str(ORIGIN), 2, head([encode(act(1)), encode(act(2))]))
    assert verify_checkpoint(made.note, ORIGIN, [KEY.public]) == expected
    write(database, act(3))
    assert publish(database, 11 * SECOND, every=0) is not None
    assert publish(database, 99 * SECOND) is None
    write(database, act(4))
    assert publish(database, SECOND) is not None  # a clock that was set back does not stop it
    with database.reading() as connection:
        assert [one.size for one in checkpoints.of_generation(connection, 1)] == [1, 2, 3, 4]
        assert checkpoints.at_size(connection, 1, 2) == made


def test_a_log_that_lost_entries_is_not_signed_again(database: Database) -> None:
    write(database, *(act(number) for number in range(4)))
    publish(database, 1)
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM log_entry WHERE id & 3 = 3")
        peaks = log.root(connection, 1, 2) + log.hashes(connection, 1)([log.merkle.Subtree(0, 2)])[0]
        connection.exec_driver_sql("UPDATE log_head SET size = 3, peaks = ?", (peaks,))
    with pytest.raises(LogInconsistent, match="has 3 entries"):
        publish(database, 9 * SECOND)


def test_a_log_that_was_written_anew_is_not_signed(database: Database) -> None:
    write(database, *(act(number) for number in range(4)))
    publish(database, 1)
    with database.writing() as connection:
        for table in ("entry", "node", "key"):
            connection.exec_driver_sql(f"DELETE FROM log_{table}")
        connection.exec_driver_sql("UPDATE log_head SET size = 0, peaks = x''")
    write(database, *(act(number) for number in range(10, 16)))
    with pytest.raises(LogInconsistent, match="does not continue"):
        publish(database, 9 * SECOND)


def test_a_new_generation_has_a_name_of_its_own(database: Database) -> None:
    write(database, act(1), act(2))
    publish(database, 1)
    with database.writing() as connection:
        log.begin_generation(connection, Restored(9, str(ORIGIN), 7, b"r" * 32))
    made = publish(database, 9 * SECOND)
    assert made is not None
    second = parse_origin("sco/kz.almaty/2")
    assert verify_checkpoint(made.note, second, [KEY.public]).size == 1
    with database.reading() as connection:
        latest = checkpoints.latest(connection)
        assert latest == made


def test_cosignatures_are_kept_with_the_checkpoint(database: Database) -> None:
    write(database, act(1))
    made = publish(database, 1)
    assert made is not None
    with database.writing() as connection:
        checkpoints.add_signatures(connection, made, [cosign(made.note, WITNESS, OTHER, 77)])
    with database.reading() as connection:
        latest = checkpoints.latest(connection)
    assert latest is not None
    assert cosigned_at(latest.note, WITNESS, [OTHER.public]) == 77
    assert verify_checkpoint(latest.note, ORIGIN, [KEY.public]).size == 1
    with pytest.raises(LogInconsistent), database.writing() as connection:
        checkpoints.add_signatures(connection, Made(1, 5, 1, made.note), [])


def test_what_was_seen_of_another_log_only_grows(database: Database) -> None:
    entries = [bytes([number]) for number in range(6)]
    other = [bytes([number]) for number in range(1, 7)]
    origin = WITNESS

    def remember(size: int, history: list[bytes], proof: list[bytes]) -> None:
        note = sign_checkpoint(Checkpoint(str(origin), size, head(history[:size])), OTHER)
        with database.writing() as connection:
            checkpoints.remember(connection, origin, note, proof)

    def seen() -> int | None:
        with database.reading() as connection:
            note = checkpoints.seen(connection, origin)
        return None if note is None else verify_checkpoint(note, origin, [OTHER.public]).size

    assert seen() is None
    remember(3, entries, [])
    remember(3, entries, [])
    for size, history, proof in (
        (2, entries, []),
        (3, other, []),
        (5, other, subproof(3, other[:5], True)),
        (5, entries, []),
    ):
        with pytest.raises(LogInconsistent):
            remember(size, history, proof)
        assert seen() == 3
    remember(5, entries, subproof(3, entries[:5], True))
    assert seen() == 5
    with pytest.raises(LogInconsistent, match="another log"), database.writing() as connection:
        checkpoints.remember(connection, ORIGIN, sign_checkpoint(Checkpoint(str(WITNESS), 1, b"r" * 32), OTHER), [])


async def test_a_server_that_ends_publishes_what_has_grown(database: Database) -> None:
    told: list[Made] = []
    publisher = Publisher(database, ORIGIN, KEY, lambda: 5, told.append)
    publisher.start()
    write(database, act(1))
    await publisher.close()
    with database.reading() as connection:
        latest = checkpoints.latest(connection)
    assert latest is not None
    assert latest.size == 1
    assert told[-1] == latest


async def test_a_publisher_lives_on_when_it_cannot_write(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(database, ORIGIN, KEY, lambda: 5)
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE log_checkpoint RENAME TO away")
    assert await publisher.publish() is None
    assert "no checkpoint" in caplog.text
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO log_checkpoint")
    assert await publisher.publish() is not None


async def test_a_new_key_signs_at_once_and_the_log_says_which(database: Database) -> None:
    """Also where nothing else was logged since: who knows the new key alone could verify nothing."""
    first = await Publisher(database, ORIGIN, KEY, lambda: 5).publish()
    assert first is not None
    second = await Publisher(database, ORIGIN, OTHER, lambda: 6).publish()
    assert second is not None
    assert verify_checkpoint(second.note, ORIGIN, [OTHER.public]).size == first.size + 1
    with database.reading() as connection:
        ((_, content),) = log.contents(connection, EntryId(1, first.size), 1)
    entry = decode(content)
    assert isinstance(entry, Act)
    assert (entry.act, entry.operator, entry.subject) == ("key", ORIGIN.party, OTHER.public.id.hex())
    assert await Publisher(database, ORIGIN, OTHER, lambda: 9 * SECOND).publish() is None


async def test_old_checkpoints_are_thinned_out_to_one_an_hour(database: Database) -> None:
    hour, day = 3600 * SECOND, 86_400 * SECOND
    times = [5 * hour + 10 * SECOND, 5 * hour + 20 * SECOND, 6 * hour - SECOND, 6 * hour, 9 * hour, 9 * hour + SECOND]
    for now in times:
        write(database, act(now))
        assert publish(database, now) is not None
    write(database, act(1))
    later = 9 * hour + SECOND + day  # the last of these is a day old by then
    assert await Publisher(database, ORIGIN, KEY, lambda: later).publish() is not None
    with database.reading() as connection:
        kept = checkpoints.of_generation(connection, 1)
    assert [one.made for one in kept] == [times[2], times[3], times[4], times[5], later]
    write(database, act(2))
    with database.writing() as connection:
        log.begin_generation(connection, Restored(1, str(ORIGIN), 8, b"r" * 32))
    assert publish(database, later + SECOND) is not None
    with database.writing() as connection:
        assert checkpoints.thin(connection, later + 2 * day) == 1
    with database.reading() as connection:
        assert [one.made for one in checkpoints.of_generation(connection, 1)] == [times[2], times[3], times[5], later]
        assert [one.made for one in checkpoints.of_generation(connection, 2)] == [later + SECOND]
