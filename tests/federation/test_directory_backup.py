"""The directory service's backup, typed as its operator types it, and the service that comes back from it.

Readers have gone on since the backup was taken: the service must go on from what they saw.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pytest

from alliance import GATEWAY, SERVICE, running
from cimfed.archive.manifest import Manifest
from cimfed.archive.write import Part, write
from cimfed.errors import BadBackup, BadDirectory, ClockBehind, ExpiredQuery
from cimfed.rpc import clock
from cimfed.tlog import log
from cimfed.trust.admin import Occasion
from cimfed.trust.directory import layout
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.mirrors import Always, Folder
from cimfed.trust.directory.publication import parsed, restamp
from cimfed.trust.hashing import sha256
from cimfed.trust.identity_files import load_signing_key
from cimfed.trust.tlog.entries import Publication, Restored
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.backup import restore
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.tables import Records
from tests.federation.commands import Commands, eventually
from tests.service import NAME, SCO, Running, run, serving

HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A backup was taken; then a city was invited, a gateway was listed, and a reader saw it."""
    with serving(tmp_path_factory.mktemp("alliance")) as running:
        running.token("member", "gw.early")
        (running.folder / "pass").write_text("a passphrase\n")
        running.ok("cimfed-gateway", "directory", "backup", "taken", "--home", "service", "--with-keys",
                   "--passphrase-file", "pass")  # fmt: skip
        running.join_gateway()
        reader(running.folder / "reader", running.folder / "service").refresh()
        yield running


def reader(home: Path, service: Path) -> Follower:
    pin(home, (service / "repository" / "root.json").read_bytes())
    return Follower(home, SCO, Always(Folder(service / "repository" / "files")), clock.now)


def mirror(service: Running) -> str:
    return str(service.folder / "reader" / "files")


def back(service: Running, name: str, *more: str) -> Path:
    service.ok("cimfed-gateway", "directory", "restore", "taken", "--home", name, "--passphrase-file", "pass", *more)
    return service.folder / name


def stamped(home: Path) -> int:
    files = Folder(home / "repository" / "files")
    return int(parsed(files[layout.TIMESTAMP_FILE]).signed.version)


def renewed(home: Path) -> None:
    """What the service does by itself after a while."""
    files = Folder(home / "repository" / "files")
    with closing(load_signing_key(home / "keys" / "online.key")) as online:
        files.put(layout.TIMESTAMP_FILE, restamp(files, online, clock.now())[layout.TIMESTAMP_FILE])


def test_it_goes_on_from_what_a_reader_saw(service: Running, tmp_path: Path) -> None:
    home = back(service, "new", "--mirror", mirror(service))
    assert stamped(home) == stamped(service.folder / "service") > 1
    renewed(home)
    directory = reader(copytree(service.folder / "reader", tmp_path / "reader"), home).refresh()
    assert "gw.alliance" in directory.gateways
    timestamp = directory.files[layout.TIMESTAMP_FILE]
    assert timestamp == Folder(home / "repository" / "files")[layout.TIMESTAMP_FILE]
    assert (home / "keys" / "online.key").stat().st_mode & 0o777 == 0o600
    assert not list(service.folder.glob(".*")) + list((service.folder / "service").glob(".*"))


def test_one_that_did_not_catch_up_would_be_refused_by_readers(service: Running, tmp_path: Path) -> None:
    home = back(service, "stale", "--no-mirror")
    for _ in range(2):  # above the timestamp that it saw
        renewed(home)
    with pytest.raises(BadDirectory):
        reader(copytree(service.folder / "reader", tmp_path / "reader"), home).refresh()


def test_what_was_published_since_is_in_the_new_generation_of_the_log(service: Running) -> None:
    home = back(service, "logged", "--mirror", mirror(service))
    with closing(Records.open(home / "records.sqlite")) as records, records.reading() as connection:
        assert log.head(connection).generation == 2
        entries = [entry for at, entry in log.history(connection) if at.generation == 2]
    first, *others = entries
    assert isinstance(first, Restored)
    assert first.origin == f"sco/{NAME}"
    found = {(entry.role, entry.version): entry.sha256 for entry in others if isinstance(entry, Publication)}
    assert found == {("registrar", 2): sha256(Folder(home / "repository" / "files")["metadata/2.registrar.json"])}
    service.ok("cimfed-gateway", "directory", "log", "verify", "--home", str(home))


def test_what_it_may_have_forgotten_is_taken_to_have_happened(service: Running) -> None:
    home = back(service, "forgetful", "--mirror", mirror(service))
    now = clock.now()
    occasion = Occasion.now(SCO, Home.load(home).name, now - HOUR // 60)
    later = Occasion.now(SCO, Home.load(home).name, now + HOUR)
    with closing(Records.open(home / "records.sqlite")) as records, records.writing() as transaction:
        assert not tables.open_invitations(transaction, 0)
        with pytest.raises(ExpiredQuery):
            tables.spend(transaction, b"n" * 32, occasion, now)
        tables.spend(transaction, b"n" * 32, later, later.issued)
    other = service.folder / "service" / "records.sqlite"
    with closing(Records.open(other)) as records, records.writing() as transaction:  # that of the old life
        assert [row.name for row in tables.open_invitations(transaction, 0)] == ["gw.early"]
        tables.spend(transaction, b"n" * 32, occasion, now)


def test_it_says_where_it_catches_up_or_does_not_come_back(service: Running) -> None:
    words = ("cimfed-gateway", "directory", "restore", "taken", "--home", "never", "--passphrase-file", "pass")
    assert service.refused(*words) == "bad_config"
    assert service.refused(*words, "--no-mirror", "--mirror", mirror(service)) == "bad_config"
    assert service.refused(*words, "--mirror", "localhost:1") == "bad_config"  # nobody is listed there
    assert service.refused(*words, "--mirror", "localhost:9") == "bad_config"  # gw.alliance came after the backup
    assert service.refused(*words, "--mirror", str(service.folder)) == "bad_config"
    assert service.refused(*words, "--mirror", mirror(service), "--mirror", "http://127.0.0.1:9") == "node_unreachable"
    assert not list(service.folder.glob("*never*"))


def test_a_mirror_that_lies_ends_it(service: Running) -> None:
    lying = Folder(service.folder / "lying")
    Folder(Path(mirror(service))).copy_to(lying.path)
    lying.put("metadata/2.registrar.json", lying["metadata/2.registrar.json"].replace(b"gw", b"gx") + b" ")
    with pytest.raises(BadDirectory):
        restore(
            service.folder / "taken", service.folder / "never", [str(lying.path)], passphrase=lambda: b"a passphrase"
        )
    assert not list(service.folder.glob("*never*"))


def test_a_mirror_that_is_behind_takes_nothing_away(service: Running) -> None:
    ahead, behind = str(service.folder / "ahead"), service.folder / "taken-later"
    Folder(Path(mirror(service))).copy_to(Path(ahead))
    service.ok("cimfed-gateway", "directory", "backup", str(behind), "--home", "service")
    stale = back(service, "behind", "--no-mirror")
    home = service.folder / "kept"
    done = restore(behind, home, [str(stale / "repository" / "files"), ahead], passphrase=bytes)
    assert (done.version, done.has_keys) == (done.then, False)
    assert stamped(home) == stamped(service.folder / "service")


def test_a_host_whose_clock_is_behind_restores_nothing(service: Running) -> None:
    with pytest.raises(ClockBehind):
        restore(
            service.folder / "taken",
            service.folder / "never",
            [mirror(service)],
            passphrase=lambda: b"a passphrase",
            now=lambda: clock.now() - HOUR,
        )
    assert not list(service.folder.glob("*never*"))


def test_a_backup_in_which_anything_is_another_services_is_refused(service: Running, tmp_path: Path) -> None:
    service.ok("cimfed-gateway", "directory", "backup", str(tmp_path / "good"), "--home", "service")
    raw = pa.CompressedInputStream(pa.PythonFile(io.BytesIO((tmp_path / "good").read_bytes()), "r"), "zstd").read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        good = {item.name: archive.extractfile(item).read() for item in archive}  # type: ignore[union-attr]
    del good["manifest.json"]
    settings = good["directory.toml"].replace(NAME.encode(), b"dir.another")
    broken = good["repository/files/metadata/1.targets.json"] + b" "
    cases = [
        (good, {"program": "cimfed-gateway"}),
        (good, {"party": "dir.another"}),
        ({**good, "directory.toml": settings}, {"party": "dir.another"}),
        ({**good, "records.sqlite": b"x" * 4096}, {}),
        ({**good, "repository/files/metadata/1.targets.json": broken}, {}),
        ({**good, "repository/files/other.json": b"{}"}, {}),
        ({**good, "keys/online.key": b"x"}, {}),
        ({name: content for name, content in good.items() if name != "repository/root.json"}, {}),
        ({name: content for name, content in good.items() if not name.endswith("timestamp.json")}, {}),
    ]
    for files, changes in cases:
        made(tmp_path / "bad", files, **changes)
        with pytest.raises(BadBackup):
            restore(tmp_path / "bad", tmp_path / "new", [], passphrase=bytes)
        assert not list(tmp_path.glob("*new*"))
    made(tmp_path / "same", good)
    restore(tmp_path / "same", tmp_path / "new", [], passphrase=bytes)


def made(path: Path, files: dict[str, bytes], **changes: str) -> None:
    parts = [Part.of_bytes(name, content) for name, content in files.items()]
    facts = {"program": "cimfed-gateway directory", "release": "0", "party": NAME, "federation": "sco", **changes}
    members = tuple(part.member for part in parts)
    with path.open("wb") as out:
        write(out, Manifest(**facts, schema=tables.SCHEMA_VERSION, taken=0, members=members), parts)


def test_before_the_first_publication_there_is_nothing_to_keep(tmp_path: Path) -> None:
    said = run(tmp_path, "cimfed-gateway", "directory", "init", NAME, "--home", "service", "--federation", "sco",
               "--address", "localhost:9")  # fmt: skip
    assert said.code == 0
    said = run(tmp_path, "cimfed-gateway", "directory", "backup", "a", "--home", "service")
    assert "bad_config" in said.err
    assert not (tmp_path / "a").exists()


def test_a_service_that_was_lost_comes_back_by_what_a_gateway_saw(tmp_path: Path) -> None:
    alliance = Commands(tmp_path)
    with running(alliance, []):
        alliance.found()
        alliance.start(GATEWAY)
        home, kept, seen = (
            alliance.home(SERVICE),
            tmp_path / "taken",
            Folder(alliance.home(GATEWAY) / "directory/files"),
        )
        (tmp_path / "pass").write_text("a passphrase\n")
        by = ("--passphrase-file", str(tmp_path / "pass"))
        alliance.run("cimfed-gateway", "directory", "backup", str(kept), "--home", str(home), "--with-keys", *by)
        alliance.run("cimfed", "revoke", "renew", "--home", str(alliance.office))
        eventually(lambda: layout.metadata_file(layout.REVOKER, 2) in seen, bool)
        alliance.kill(SERVICE)
        home.rename(tmp_path / "lost")
        alliance.run("cimfed-gateway", "directory", "restore", str(kept), "--home", str(home), *by,
                     "--mirror", (alliance.home(GATEWAY) / "ready").read_text().strip())  # fmt: skip
        assert stamped(home) == stamped(tmp_path / "lost")
        alliance.start(SERVICE)
        alliance.run("cimfed", "revoke", "renew", "--home", str(alliance.office))
        eventually(lambda: layout.metadata_file(layout.REVOKER, 3) in seen, bool)
