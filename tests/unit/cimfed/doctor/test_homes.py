"""A home: keys, certificates, disk, database, log, versions, backups; by facts, and by files that are looked at."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.doctor import homes, look
from cimfed.doctor.finding import Code, Finding, Severity
from cimfed.doctor.homes import DatabaseFact, DiskFact, KeyFact, LogFact, TlsFact
from cimfed.errors import BadConfig, LogInconsistent
from cimfed.model.names import Federation
from cimfed.trust.identity_files import make_identity
from cimfed.trust.keys import KeySigner

SCO = Federation("sco")
NOW = 1_767_225_600_000_000
DAY = 86_400_000_000
MINUTE = 60_000_000
GIB = 1 << 30
SECRET = b"correct horse"


def codes(found: Iterable[Finding]) -> list[Code]:
    return [each.code for each in found]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_identity(tmp_path / "home", "kz.almaty", SCO, NOW, "almaty.example:1", [KeySigner.generate().public])
    return tmp_path / "home"


# Keys


def of_key(path: Path, of_person: bool = False, secret_file: Path | None = None) -> list[Finding]:
    return list(homes.key(look.key_fact(path, secret_file, of_person), of_person))


def test_a_key_that_signs_is_well(home: Path) -> None:
    (found,) = of_key(home / "keys" / "node.key")
    assert found.code is Code.OK
    assert found.what.endswith("node.key signs")


def test_a_key_that_others_may_read_is_unusable_with_what_to_do(home: Path) -> None:
    key = home / "keys" / "node.key"
    key.chmod(0o644)
    (found,) = of_key(key)
    assert found.code is Code.KEY_UNUSABLE
    assert found.remedy == f"chmod 600 {key}"


@pytest.mark.parametrize(
    "content", [None, b"", b"no key", b"pkcs11:object=x?module-path=/nowhere.so&pin-source=file:/x"]
)
def test_a_key_that_is_gone_or_none_is_unusable(home: Path, content: bytes | None) -> None:
    key = home / "keys" / "node.key"
    if content is None:
        key.unlink()
    else:
        key.write_bytes(content)
    assert codes(of_key(key)) == [Code.KEY_UNUSABLE]


def test_a_server_cannot_use_an_encrypted_key(home: Path) -> None:
    key = home / "keys" / "node.key"
    key.write_bytes(KeySigner.generate().to_pem(SECRET))
    assert codes(of_key(key)) == [Code.KEY_UNUSABLE]


def test_a_persons_key_is_to_be_encrypted_and_is_tried_where_its_secret_is_given(home: Path, tmp_path: Path) -> None:
    key, secret = home / "keys" / "access.key", tmp_path / "secret"
    key.touch(0o600)
    secret.write_bytes(SECRET + b"\n")
    key.write_bytes(KeySigner.generate().to_pem(None))
    assert codes(of_key(key, of_person=True)) == [Code.KEY_UNENCRYPTED]
    key.write_bytes(KeySigner.generate().to_pem(SECRET))
    (untried,) = of_key(key, of_person=True)
    assert (untried.code, "was not tried" in untried.what) == (Code.OK, True)
    (tried,) = of_key(key, of_person=True, secret_file=secret)
    assert (tried.code, tried.what.endswith("signs")) == (Code.OK, True)
    secret.write_bytes(b"wrong\n")
    assert codes(of_key(key, of_person=True, secret_file=secret)) == [Code.KEY_UNUSABLE]


def test_a_key_that_does_not_sign_is_an_error() -> None:
    (found,) = homes.key(KeyFact("node.key", KeySigner.generate().public, signs=False), False)
    assert found.code is Code.KEY_DOES_NOT_SIGN


def test_a_card_of_other_keys_is_told(home: Path) -> None:
    fact, other = look.key_fact(home / "keys" / "node.key", None, False), KeySigner.generate().public
    assert codes(homes.key(fact, False, look.card_in(home).keys)) == [Code.OK]
    assert codes(homes.key(fact, False, [other])) == [Code.CARD_OTHER]


def test_a_folder_of_keys_that_others_may_look_into_is_told(home: Path) -> None:
    keys = home / "keys"
    assert codes(homes.keys_folder(look.mode_of(keys), str(keys))) == []
    keys.chmod(0o750)
    (found,) = homes.keys_folder(look.mode_of(keys), str(keys))
    assert (found.code, "(mode 750)" in found.what) == (Code.KEYS_OPEN, True)


# TLS


def of_tls(home: Path, name: str = "kz.almaty", now: int = NOW) -> list[Finding]:
    return list(homes.tls(look.tls_facts(home, SCO, name, now)[0][0], now))


def test_an_issuing_key_whose_leaves_keep_the_rules_is_well(home: Path) -> None:
    (found,) = of_tls(home)
    assert found.code is Code.OK
    assert found.until is not None
    for now, code in (
        (found.until - 122 * DAY - 1, Code.OK),
        (found.until - 122 * DAY, Code.TLS_ENDING),
        (found.until, Code.TLS_ENDED),
        (NOW - DAY, Code.TLS_ENDED),
    ):
        assert codes(of_tls(home, now=now)) == [code]


def test_an_issuing_key_of_another_party_or_none_is_unusable(home: Path) -> None:
    assert codes(of_tls(home, "cn.qingdao")) == [Code.TLS_UNUSABLE]
    (home / "keys" / "tls.key").write_bytes(b"none")
    assert codes(of_tls(home)) == [Code.TLS_UNUSABLE]
    assert codes(homes.tls(TlsFact("tls.key"), NOW)) == [Code.TLS_UNUSABLE]


@pytest.mark.parametrize("name", ["tls.key", "tls.pem"])
def test_of_an_issuing_key_and_its_certificate_the_file_that_is_wrong_is_named(home: Path, name: str) -> None:
    file = home / "keys" / name
    file.write_bytes(b"none")
    (damaged,) = of_tls(home)
    assert damaged.about == str(file)
    file.unlink()
    (gone,) = of_tls(home)
    assert gone.what == f"{file}: there is no such file"


# Disk and database


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (DiskFact("/srv", 50 * GIB), Code.OK),
        (DiskFact("/srv", GIB), Code.OK),
        (DiskFact("/srv", GIB - 1), Code.DISK_LOW),
        (DiskFact("/srv", (64 << 20) + 1), Code.DISK_LOW),
        (DiskFact("/srv", 64 << 20), Code.DISK_FULL),
        (DiskFact("/srv", 5 * GIB, keep_free=5 * GIB), Code.DISK_FULL),
        (DiskFact("/srv", 9 * GIB, keep_free=5 * GIB), Code.DISK_LOW),
        (DiskFact("/srv", 50 * GIB, used=90, budget=100), Code.OK),
        (DiskFact("/srv", 50 * GIB, used=91, budget=100), Code.DISK_LOW),
    ],
)
def test_a_disk_is_told_of_before_it_is_full(fact: DiskFact, code: Code) -> None:
    assert codes(homes.disk(fact)) == [code]


def test_the_disk_is_that_of_the_folder(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    assert abs(look.disk_fact(tmp_path).free - found.f_bavail * found.f_frsize) < GIB


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "control.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE act (sequence INTEGER PRIMARY KEY, what TEXT)")
        made.executemany("INSERT INTO act (what) VALUES (?)", [("x" * 500,)] * 2000)
        made.commit()
    return path


def of_database(path: Path, seconds: float = 3.0) -> list[Code]:
    return codes(homes.database(look.database_fact(path, 4, seconds)))


def test_a_sound_database_is_well_and_stays_as_it_is(database: Path) -> None:
    before = database.read_bytes()
    assert of_database(database) == [Code.OK]
    assert database.read_bytes() == before


def test_a_damaged_database_is_an_error(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[8192:12288] = bytes(4096)
    database.write_bytes(content)
    assert of_database(database) == [Code.DATABASE_DAMAGED]
    database.write_bytes(b"not a database" * 1000)
    assert of_database(database) == [Code.DATABASE_DAMAGED]


def test_a_database_that_there_is_no_time_for_is_told(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_STEPS", 1)
    assert of_database(database, seconds=0) == [Code.DATABASE_NOT_CHECKED]


def test_a_database_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert of_database(tmp_path / "none.sqlite") == [Code.DATABASE_UNUSABLE]
    assert codes(homes.database(DatabaseFact("x", error=BadConfig("no")))) == [Code.DATABASE_UNUSABLE]


# Log, versions, backups

SIGNED = LogFact(size=10, signed=10, made=NOW - 20 * MINUTE, cosigned=2)


@pytest.mark.parametrize(
    ("fact", "cities", "serving", "said"),
    [
        (SIGNED, 5, True, [Code.OK]),
        (LogFact(), 5, True, [Code.OK]),
        (replace(SIGNED, size=11), 5, True, [Code.LOG_UNSIGNED]),
        (replace(SIGNED, size=11), 5, False, [Code.OK]),
        (replace(SIGNED, size=11, made=NOW - MINUTE), 5, True, [Code.OK]),
        (LogFact(size=3), 5, True, [Code.LOG_UNSIGNED]),
        (replace(SIGNED, cosigned=1), 5, True, [Code.LOG_NOT_COSIGNED]),
        (replace(SIGNED, cosigned=1), 1, True, [Code.OK]),
        (replace(SIGNED, cosigned=0), 0, True, [Code.OK]),
        (replace(SIGNED, cosigned=0, made=NOW - 10 * MINUTE), 5, True, [Code.OK]),
        (replace(SIGNED, cosigned=0), 5, False, [Code.OK]),
        (replace(SIGNED, forks=("sco/cn.qingdao",)), 5, True, [Code.LOG_FORKED, Code.OK]),
        (replace(SIGNED, error=LogInconsistent("no")), 5, True, [Code.LOG_UNREADABLE]),
    ],
)
def test_a_log_is_to_be_signed_and_cosigned(fact: LogFact, cities: int, serving: bool, said: list[Code]) -> None:
    assert codes(homes.log(fact, NOW, cities, serving)) == said


def test_parts_of_several_releases_are_told() -> None:
    assert codes(homes.versions({"cimfed": "0.1.0", "cimfed-node": "0.1.0", "grpcio": "1.85"})) == [Code.OK]
    assert codes(homes.versions({"cimfed": "0.2.0", "cimfed-node": "0.1.0"})) == [Code.VERSIONS_MIXED]
    assert {"cimfed", "cimfed-node", "Python", "grpcio"} <= look.version_facts("cimfed", "cimfed-node", "none").keys()


@pytest.mark.parametrize(("age", "code"), [(0, Code.OK), (7 * DAY, Code.OK), (7 * DAY + 1, Code.BACKUP_OLD)])
def test_a_backup_is_to_be_of_this_week(age: int, code: Code) -> None:
    (found,) = homes.backups(NOW, NOW - age)
    assert (found.code, found.since) == (code, NOW - age)


def test_a_node_without_a_backup_is_told() -> None:
    (found,) = homes.backups(NOW, None)
    assert (found.code, found.severity) == (Code.BACKUP_NONE, Severity.WARNING)
