"""Whoever changes a log behind its back is found, and where; an exported log is checked the same way."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cimfed.errors import CimfedError, Forged, LogInconsistent
from cimfed.tlog import check, log
from cimfed.tlog.check import Checked
from cimfed.tlog.database import Database, Transaction
from cimfed.tlog.schema import EntryId
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog import export
from cimfed.trust.tlog.checkpoint import Checkpoint, parse_origin, sign_checkpoint
from cimfed.trust.tlog.entries import Decision, Position, Restored, decode, encode
from tests.unit.cimfed.tlog.test_checkpoints import SECOND, publish
from tests.unit.cimfed.tlog.test_log import KEY, ORIGIN, act, write
from tests.unit.cimfed.trust.tlog.test_merkle import head

OTHER = KeySigner.from_seed(b"\2" * 32)
DECISION = Decision(5, Position(77), b"r", b"k", "inst.x", "inst.x", "read")


@pytest.fixture
def written(database: Database) -> Database:
    """Twelve entries, with checkpoints of 0, 5, 10 and one entry more beyond the last of 11."""
    publish(database, 1 * SECOND)
    write(database, *(act(number) for number in range(4)), DECISION)
    publish(database, 2 * SECOND)
    write(database, *(act(number) for number in range(5, 10)))
    publish(database, 3 * SECOND)
    write(database, act(10))
    publish(database, 4 * SECOND)
    write(database, act(11))
    return database


def checked(database: Database, *keys: KeySigner) -> list[Checked]:
    with database.reading() as connection:
        return check.check(connection, ORIGIN, [key.public for key in keys or (KEY,)])


def test_a_log_that_nobody_changed_agrees(written: Database) -> None:
    entries = [encode(act(number)) for number in range(12)]
    entries[4] = encode(DECISION)
    assert checked(written) == [Checked(ORIGIN, 12, head(entries), 4, 1)]


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 2048, 2049])
def test_logs_of_any_length_agree(database: Database, count: int) -> None:
    write(database, *(act(number) for number in range(count)))
    publish(database, SECOND)
    write(database, act(9999))
    publish(database, 9 * SECOND)
    assert (checked(database)[0].size, checked(database)[0].checkpoints) == (count + 1, 2)
    lines = exported(database)
    assert len(list(export.verified(lines, lambda _: [KEY.public]))) == count + 1


def test_generations_are_checked_each(written: Database) -> None:
    with written.writing() as connection:
        log.begin_generation(connection, Restored(9, str(ORIGIN), 12, b"r" * 32))
    publish(written, 9 * SECOND)
    first, second = checked(written)
    assert (first.origin, first.size, second.origin, second.size) == (ORIGIN, 12, parse_origin("sco/kz.almaty/2"), 1)
    tamper(written, "UPDATE log_entry SET content = x'7b7d' WHERE id = ?", EntryId(1, 3).row)
    with pytest.raises(LogInconsistent):
        checked(written)


def test_a_generation_that_was_left_out_is_not_missed(written: Database) -> None:
    with written.writing() as connection:
        connection.exec_driver_sql("UPDATE log_head SET generation = 70000, size = 0, peaks = x''")
        log.append(connection, Restored(9, str(ORIGIN), 12, b"r" * 32))
    assert [str(one.origin) for one in checked(written)] == ["sco/kz.almaty", "sco/kz.almaty/70000"]
    walks = {str(walk.origin) for walk, _ in export.verified(exported(written), lambda _: [KEY.public])}
    assert walks == {"sco/kz.almaty", "sco/kz.almaty/70000"}


def test_a_generation_whose_entries_are_gone_is_told(written: Database) -> None:
    with written.writing() as connection:
        log.begin_generation(connection, Restored(9, str(ORIGIN), 12, b"r" * 32))
        connection.exec_driver_sql("DELETE FROM log_entry WHERE id < ?", (EntryId(2, 0).row,))
    with pytest.raises(LogInconsistent, match="has 0 entries, but a checkpoint of 5"):
        checked(written)


def tamper(database: Database, statement: str, *values: object) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql(statement, values)


def rewritten(connection: Transaction, index: int, content: bytes) -> None:
    """By one who knows how: the hashes above are made anew."""
    contents = [one for _, one in log.contents(connection, EntryId(1, 0), 99)]
    contents[index] = content
    for table in ("log_entry", "log_node", "log_key"):
        connection.exec_driver_sql(f"DELETE FROM {table}")
    connection.exec_driver_sql("UPDATE log_head SET size = 0, peaks = x''")
    for one in contents:
        log.append(connection, decode(one))  # type: ignore[arg-type]


CHANGED = encode(act(1000))
NOTE = "UPDATE log_checkpoint SET note = ? WHERE id = ?"
TAMPERED: dict[str, tuple[Callable[[Transaction], object], str]] = {
    "an entry": (
        lambda c: c.exec_driver_sql("UPDATE log_entry SET content = ? WHERE id = ?", (CHANGED, EntryId(1, 6).row)),
        "entries 6 to 7",
    ),
    "an entry that is none": (
        lambda c: c.exec_driver_sql("UPDATE log_entry SET content = x'00' WHERE id = ?", (EntryId(1, 6).row,)),
        "entry 6",
    ),
    "the last entry, beyond every checkpoint": (
        lambda c: c.exec_driver_sql("UPDATE log_entry SET content = ? WHERE id = ?", (CHANGED, EntryId(1, 11).row)),
        "entries 10 to 11",
    ),
    "an entry and all hashes above": (lambda c: rewritten(c, 6, CHANGED), "entries 5 to 9"),
    "the very first entry and all hashes above": (lambda c: rewritten(c, 0, CHANGED), "entries 0 to 4"),
    "two entries swapped": (
        lambda c: (
            c.exec_driver_sql("UPDATE log_entry SET id = CASE id WHEN 1099511627778 THEN -1 ELSE id END")
            and c.exec_driver_sql("UPDATE log_entry SET id = 1099511627778 WHERE id = 1099511627784")
            and c.exec_driver_sql("UPDATE log_entry SET id = 1099511627784 WHERE id = -1")
        ),
        "entries 2 to 3",
    ),
    "an entry taken out": (
        lambda c: c.exec_driver_sql("DELETE FROM log_entry WHERE id = ?", (EntryId(1, 6).row,)),
        "entry 6",
    ),
    "the last rows": (
        lambda c: c.exec_driver_sql("DELETE FROM log_entry WHERE id >= ?", (EntryId(1, 9).row,)),
        "checkpoint of 10 entries",
    ),
    "a row beyond the checkpoints": (
        lambda c: c.exec_driver_sql("DELETE FROM log_entry WHERE id >= ?", (EntryId(1, 11).row,)),
        "entry 11",
    ),
    "a row more than the head has": (
        lambda c: c.exec_driver_sql("INSERT INTO log_entry VALUES (?, ?)", (EntryId(1, 12).row, CHANGED)),
        "entry 12",
    ),
    "a hash": (lambda c: c.exec_driver_sql("UPDATE log_node SET hash = x'00' WHERE id & 63 = 2"), "entries 0 to 3"),
    "the head": (lambda c: c.exec_driver_sql("UPDATE log_head SET peaks = zeroblob(64)"), "entry 11"),
    "a key": (
        lambda c: c.exec_driver_sql("DELETE FROM log_key WHERE key = ?", (log.decision_key(Position(77)),)),
        "entry 4",
    ),
    "a checkpoint's root": (
        lambda c: c.exec_driver_sql(
            NOTE, (sign_checkpoint(Checkpoint(str(ORIGIN), 5, b"x" * 32), KEY).to_bytes(), EntryId(1, 5).row)
        ),
        "entries 0 to 4",
    ),
    "a second checkpoint of one size": (
        lambda c: c.exec_driver_sql(
            "INSERT INTO log_checkpoint VALUES (?, 1, ?)",
            (EntryId(1, 6).row, sign_checkpoint(Checkpoint(str(ORIGIN), 5, b"x" * 32), KEY).to_bytes()),
        ),
        "checkpoint of 5 entries",
    ),
    "a checkpoint of another's log": (
        lambda c: c.exec_driver_sql(
            NOTE, (sign_checkpoint(Checkpoint("sco/uz.tashkent", 5, b"x" * 32), KEY).to_bytes(), EntryId(1, 5).row)
        ),
        "checkpoint of 5 entries",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_found_and_where(written: Database, what: str) -> None:
    deed, place = TAMPERED[what]
    with written.writing() as connection:
        deed(connection)
    with pytest.raises((LogInconsistent, Forged)) as error:
        checked(written)
    assert error.value.place == place


def test_an_entry_before_the_first_cannot_be_hidden_either(written: Database) -> None:
    """All rows gone, the head with them: the checkpoints are still there."""
    with written.writing() as connection:
        for table in ("log_entry", "log_node", "log_key"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        connection.exec_driver_sql("UPDATE log_head SET size = 0, peaks = x''")
    with pytest.raises(LogInconsistent, match="has 0 entries, but a checkpoint of 5"):
        checked(written)


def test_a_checkpoint_of_an_unknown_key_is_forged_until_it_is_named(written: Database) -> None:
    with pytest.raises(Forged) as error:
        checked(written, OTHER)
    assert error.value.place == "checkpoint of 0 entries"
    assert checked(written, OTHER, KEY)[0].size == 12


def exported(database: Database) -> list[bytes]:
    with database.reading() as connection:
        return [export.line(item) for item in check.everything(connection, ORIGIN)]


def test_an_exported_log_has_every_entry_and_checkpoint_in_order(written: Database) -> None:
    lines = exported(written)
    assert lines[0] == b'{"format": "cimfed/log/v1", "origin": "sco/kz.almaty"}\n'
    kinds = [next(iter(json.loads(line))) for line in lines[1:]]
    assert "".join(kind[0] for kind in kinds) == "ceeeeeceeeeececE".lower()
    found = [entry for _, entry in export.verified(lines, lambda origin: [KEY.public] if origin == ORIGIN else [])]
    assert found[4] == DECISION
    assert len(found) == 12


def test_an_exported_log_of_two_generations_is_read_as_two(written: Database) -> None:
    with written.writing() as connection:
        log.begin_generation(connection, Restored(9, str(ORIGIN), 12, b"r" * 32))
    publish(written, 9 * SECOND)
    walks = {str(walk.origin): walk.size for walk, _ in export.verified(exported(written), lambda _: [KEY.public])}
    assert walks == {"sco/kz.almaty": 12, "sco/kz.almaty/2": 1}


def read_all(lines: list[bytes]) -> None:
    list(export.verified(lines, lambda _: [KEY.public]))


def test_an_exported_log_that_was_changed_is_found(written: Database) -> None:
    lines = exported(written)
    read_all(lines)
    swapped = [*lines[:2], lines[3], lines[2], *lines[4:]]
    for spoilt in (
        lines[:3] + lines[4:],
        swapped,
        lines[1:],
        [*lines, b"{}\n"],
        [*lines, b"x\n"],
        [*lines, b"[" * 9999],
    ):
        with pytest.raises(CimfedError):
            read_all(spoilt)
    with pytest.raises(Forged):
        list(export.verified(lines, lambda _: [OTHER.public]))


def test_two_exported_checkpoints_of_one_size_are_found(written: Database) -> None:
    lines = exported(written)
    second = sign_checkpoint(Checkpoint(str(ORIGIN), 5, b"x" * 32), KEY)
    at = next(i for i, line in enumerate(lines) if b"almaty\\n5\\n" in line)
    with pytest.raises(LogInconsistent, match="two checkpoints of one size"):
        read_all([*lines[: at + 1], export.line(second), *lines[at + 1 :]])
    with pytest.raises(LogInconsistent, match="not in their order"):
        read_all([*lines, lines[at]])
