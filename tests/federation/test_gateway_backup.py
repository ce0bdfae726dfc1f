"""A gateway's backup, typed as its operator types it, and the gateway that comes back."""

from __future__ import annotations

import io
import tarfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from cimfed.archive.manifest import Manifest
from cimfed.archive.write import Part, write
from cimfed.errors import BadBackup, CimfedError
from cimfed.tlog import log
from cimfed.trust.card import parse_card
from cimfed.trust.tlog.entries import Passed, Restored, draw_position
from cimfed_gateway.backup import SCHEMA, prepared, restore
from cimfed_gateway.config import Home
from cimfed_gateway.tables import Journal
from tests.federation.test_gateway_commands import run
from tests.federation.world import World


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path, root = tmp_path / "gw", str(World(tmp_path).root)
    options = ("--federation", "sco", "--address", "127.0.0.1:1", "--root", root, "--directory", "localhost:1")
    run("init", "gw.alliance", "--home", str(path), *options)
    with closing(Journal.open(path / "journal.sqlite")) as journal:
        journal.begin(passed())
    return path


def passed() -> Passed:
    hashed = bytes(32)
    return Passed(1, draw_position(), hashed, hashed, "inst.tsinghua", "kz.almaty")  # type: ignore[arg-type]


def test_it_comes_back_with_its_log_and_sealed_keys(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("a passphrase\n")
    by = ("--passphrase-file", str(tmp_path / "pass"))
    with closing(Journal.open(home / "journal.sqlite")) as journal, journal.reading():  # it serves
        told = run("backup", str(tmp_path / "a"), "--home", str(home), "--with-keys", *by)
    digest = told.split("digest ")[1].split()[0]
    assert digest in run("backup", str(tmp_path / "a"), "--check")
    told = run("restore", str(tmp_path / "a"), "--home", str(tmp_path / "new"), "--digest", digest, *by)
    assert "its log goes on as sco/gw.alliance/2" in told
    assert "put the keys" not in told
    for name in (
        "gateway.toml",
        "card.json",
        "directory/root.json",
        "keys/gateway.key",
        "keys/tls.key",
        "keys/tls.pem",
    ):
        assert (tmp_path / "new" / name).read_bytes() == (home / name).read_bytes()
    assert (tmp_path / "new" / "keys" / "gateway.key").stat().st_mode & 0o777 == 0o600
    with closing(Journal.open(tmp_path / "new" / "journal.sqlite")) as journal, journal.reading() as connection:
        (old, was), (new, said) = log.history(connection)
    assert ((old.generation, type(was)), (new.generation, type(said))) == ((1, Passed), (2, Restored))
    run("log", "verify", "--home", str(tmp_path / "new"))
    assert not [path.name for path in (*home.iterdir(), *tmp_path.iterdir()) if path.name.startswith(".")]


def test_without_keys_it_says_what_follows_and_new_ones_can_be_made(home: Path, tmp_path: Path) -> None:
    assert "keys are not in it" in run("backup", str(tmp_path / "a"), "--home", str(home))
    assert "put the keys" in run("restore", str(tmp_path / "a"), "--home", str(tmp_path / "b"))
    told = run("restore", str(tmp_path / "a"), "--home", str(tmp_path / "c"), "--new-keys")
    card = parse_card((tmp_path / "c" / "card.json").read_bytes())
    assert card.fingerprint in told
    assert f"cimfed key endorse {tmp_path / 'c' / 'card.json'}" in told
    assert card.keys != parse_card((home / "card.json").read_bytes()).keys
    assert card.address == "127.0.0.1:1"
    assert "conflict" in run("restore", str(tmp_path / "a"), "--home", str(home), expect=5)
    assert "conflict" in run("backup", str(tmp_path / "a"), "--home", str(home), expect=5)


def test_a_nodes_backup_or_anothers_parts_are_refused(home: Path, tmp_path: Path) -> None:
    with prepared(Home.load(home), 1) as (manifest, parts), (tmp_path / "good").open("wb") as out:
        write(out, manifest, parts)
    raw = pa.CompressedInputStream(pa.PythonFile(io.BytesIO((tmp_path / "good").read_bytes()), "r"), "zstd").read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        good = {item.name: archive.extractfile(item).read() for item in archive}  # type: ignore[union-attr]
    del good["manifest.json"]
    assert set(good) == {"gateway.toml", "card.json", "directory/root.json", "journal.sqlite"}
    settings = good["gateway.toml"].replace(b"gw.alliance", b"gw.another")
    cases = [
        (good, {"program": "cimfed-node"}),
        (good, {"party": "gw.another"}),
        ({**good, "gateway.toml": settings}, {}),
        ({**good, "gateway.toml": settings}, {"party": "gw.another"}),
        ({**good, "journal.sqlite": b"x" * 4096}, {}),
        ({**good, "keys/gateway.key": b"x"}, {}),
        ({**good, "snapshots/a": b"x"}, {}),
        ({name: content for name, content in good.items() if name != "card.json"}, {}),
    ]
    for files, changes in cases:
        parts = [Part.of_bytes(name, content) for name, content in files.items()]
        facts = {"program": "cimfed-gateway", "release": "0", "party": "gw.alliance", "federation": "sco", **changes}
        made = Manifest(**facts, schema=SCHEMA, taken=0, members=tuple(part.member for part in parts))
        with (tmp_path / "bad").open("wb") as out:
            write(out, made, parts)
        with pytest.raises(BadBackup):
            restore(tmp_path / "bad", tmp_path / "new", passphrase=bytes)
        assert not list(tmp_path.glob("*new*"))
    restore(tmp_path / "good", tmp_path / "new", passphrase=bytes)
    with pytest.raises(CimfedError):
        restore(tmp_path / "good", tmp_path / "new", passphrase=bytes)
