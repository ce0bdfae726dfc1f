"""Backups as files: what is written is read by any tar, and what anybody may have made is refused, with nothing left.

Hostile archives are made by the standard library's tarfile, not by cimfed's writer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cimfed.archive.manifest import Manifest, Member
from cimfed.archive.place import arriving_folder
from cimfed.archive.read import opened
from cimfed.archive.write import Part, header, write
from cimfed.errors import BadBackup, BadFile, NoRoom

FILES = {"node.toml": b"city = 1\n", "control/control.sqlite": bytes(range(256)) * 1000, "empty": b""}
TAKEN = 1_800_000_000_000_000


def manifest(files: dict[str, bytes] = FILES, **changes: Any) -> Manifest:
    parts = [Part.of_bytes(name, content) for name, content in files.items()]
    made = Manifest("cimfed-node", "0.1.0", "kz.almaty", "sco", 4, TAKEN, tuple(part.member for part in parts))
    return dataclasses.replace(made, **changes)


def written(path: Path) -> Path:
    parts = [Part.of_bytes(name, content) for name, content in FILES.items()]
    with path.open("wb") as out:
        write(out, manifest(), parts)
    return path


def plain(path: Path, content: bytes | None, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    """An archive of the standard library: a manifest, then members as they are given."""
    first = [] if content is None else [("manifest.json", content)]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for named, data in (*first, *members):
            about = tarfile.TarInfo(named) if isinstance(named, str) else named
            if about.type == tarfile.REGTYPE:
                about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


def unpack(path: Path, into: Path, allowed: Callable[[str], bool] = lambda _: True) -> dict[str, bytes]:
    with opened(path, "cimfed-node", 4) as archive, arriving_folder(into) as folder:
        archive.unpack(folder, allowed)
    return {str(at.relative_to(into)): at.read_bytes() for at in into.rglob("*") if at.is_file()}


def checked(path: Path) -> None:
    with opened(path, "cimfed-node", 4) as archive:
        archive.check()


def refused(path: Path, **how: Any) -> str:
    """What the refusal says, after nothing was left of the attempt."""
    into = path.parent / "into"
    before = sorted(path.parent.iterdir())
    with pytest.raises(BadBackup) as caught:
        unpack(path, into, **how)
    assert sorted(path.parent.iterdir()) == before
    if not how:  # what only unpacking can know
        with pytest.raises(BadBackup):
            checked(path)
    return str(caught.value)


def test_what_is_written_comes_back_byte_for_byte(tmp_path: Path) -> None:
    path = written(tmp_path / "a.backup")
    with opened(path, "cimfed-node", 4) as archive:
        archive.check()
        assert archive.manifest == manifest()
    assert unpack(path, tmp_path / "into") == FILES


def test_any_tar_reads_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.backup")
    raw = pa.CompressedInputStream(pa.PythonFile(path.open("rb"), "r"), "zstd").read()
    (tmp_path / "a.tar").write_bytes(raw)
    listed = subprocess.run(["tar", "-tf", tmp_path / "a.tar"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["manifest.json", *FILES]
    with tarfile.open(tmp_path / "a.tar") as archive:
        said = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        sums = {item["name"]: item["sha256"] for item in said["members"]}
        for name, content in FILES.items():
            assert archive.extractfile(name).read() == content  # type: ignore[union-attr]
            assert sums[name] == hashlib.sha256(content).hexdigest()
    assert unpack(tmp_path / "a.tar", tmp_path / "into") == FILES  # unpacked by hand, it is a backup still


def test_its_digest_is_that_of_the_manifest_in_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.backup")
    raw = pa.CompressedInputStream(pa.PythonFile(path.open("rb"), "r"), "zstd").read()
    first = tarfile.TarInfo.frombuf(raw[:512], "ascii", "strict")
    assert manifest().digest == hashlib.sha256(raw[512 : 512 + first.size]).hexdigest()


def test_one_that_is_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.backup").read_bytes()
    raw = pa.CompressedInputStream(pa.py_buffer(whole), "zstd").read()
    for content in (whole, raw):
        for end in sorted({0, 1, 3, 4, 100, 511, 512, 600, *range(700, len(content), len(content) // 40)}):
            (tmp_path / "b").write_bytes(content[:end])
            assert "bad_backup" in refused(tmp_path / "b")
        (tmp_path / "b").write_bytes(content[:-1])
        assert "bad_backup" in refused(tmp_path / "b")


def test_one_with_any_changed_byte_is_refused_or_the_same(tmp_path: Path) -> None:
    raw = pa.CompressedInputStream(pa.py_buffer(written(tmp_path / "a.backup").read_bytes()), "zstd").read()
    changed = 0
    for at in range(0, len(raw), 211):
        (tmp_path / "b").write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        try:
            assert unpack(tmp_path / "b", tmp_path / f"into{at}") == FILES  # padding, or a header's checksum is off
        except BadBackup:
            changed += 1
    assert changed > 1000


def typed(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, target
    return about


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
     tarfile.CONTTYPE, tarfile.AREGTYPE, tarfile.GNUTYPE_SPARSE],
)  # fmt: skip
def test_a_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    files = {"a": b""}
    path = plain(tmp_path / "b", manifest(files).to_bytes(), (typed("a", kind, "/etc/passwd"), b""))
    assert "bad_backup" in refused(path)


@pytest.mark.parametrize(
    "name",
    ["../a", "/etc/a", "a/../../b", "a/./b", "a//b", ".", "..", "", "a/", ".ssh/a", "a\\b", "a\0b", "a\nb", "é", "-rf",
     "a/b/c/d/e/f/g", "x" * 201, "manifest.json"],
)  # fmt: skip
def test_a_name_that_leads_out_of_the_home_is_refused(tmp_path: Path, name: str) -> None:
    document = json.loads(manifest({"a": b"x"}).to_bytes())
    document["members"][0]["name"] = name
    path = plain(tmp_path / "b", json.dumps(document).encode(), (name.replace("\0", "") or "a", b"x"))
    assert "bad_backup" in refused(path)


def test_a_name_that_the_home_does_not_have_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert "no part of such a home" in refused(written(tmp_path / "b"), allowed=lambda name: name != "empty")


@pytest.mark.parametrize(
    "members",
    [
        [],  # one lacks
        [("a", b"x")],
        [("b", b"y"), ("a", b"x")],  # moved
        [("a", b"x"), ("b", b"y"), ("c", b"")],  # one more
        [("a", b"x"), ("b", b"y"), ("a", b"x")],
        [("a", b"x"), ("b", b"z")],  # altered
        [("a", b"x"), ("b", b"yy")],
    ],
)
def test_members_are_those_of_the_manifest_and_no_others(tmp_path: Path, members: Any) -> None:
    assert "bad_backup" in refused(plain(tmp_path / "b", manifest({"a": b"x", "b": b"y"}).to_bytes(), *members))


def test_a_member_named_twice_is_refused(tmp_path: Path) -> None:
    document = json.loads(manifest({"a": b"x"}).to_bytes())
    document["members"] *= 2
    assert "twice" in refused(plain(tmp_path / "b", json.dumps(document).encode(), ("a", b"x"), ("a", b"x")))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="cimfed/backup/v2"),
        lambda d: d.update(more=1),
        lambda d: d.pop("taken"),
        lambda d: d.update(taken="yesterday"),
        lambda d: d.update(schema="4"),
        lambda d: d.update(schema=True),
        lambda d: d.update(party=7),
        lambda d: d.update(contents={"a": 1}),
        lambda d: d.update(members={}),
        lambda d: d["members"][0].update(size=-1),
        lambda d: d["members"][0].update(size=1.0),
        lambda d: d["members"][0].update(sha256="00"),
        lambda d: d["members"][0].pop("sha256"),
    ],
)
def test_a_malformed_manifest_is_refused(tmp_path: Path, change: Any) -> None:
    document = json.loads(manifest({"a": b"x"}).to_bytes())
    change(document)
    assert "bad_backup" in refused(plain(tmp_path / "b", json.dumps(document).encode(), ("a", b"x")))


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "bad_backup" in refused(plain(tmp_path / "b", content))


def test_another_programs_or_releases_backup_is_refused(tmp_path: Path) -> None:
    gateway = plain(tmp_path / "g", manifest({}, program="cimfed-gateway").to_bytes())
    assert "a backup of cimfed-gateway, not of cimfed-node" in refused(gateway)
    assert "Upgrade cimfed-node" in refused(plain(tmp_path / "n", manifest({}, schema=5).to_bytes()))
    assert "Restore it with cimfed-node 0.1.0" in refused(plain(tmp_path / "o", manifest({}, schema=3).to_bytes()))


def test_a_bomb_is_refused_by_what_it_says_or_by_what_there_is_room_for(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("manifest.json")
    huge.size = 2**40
    (tmp_path / "a").write_bytes(huge.tobuf(tarfile.GNU_FORMAT))
    assert "does not begin with a manifest" in refused(tmp_path / "a")
    document = json.loads(manifest({"a": b"x"}).to_bytes())
    document["members"][0]["size"] = 2**52
    with pytest.raises(NoRoom):
        unpack(plain(tmp_path / "b", json.dumps(document).encode(), ("a", b"x")), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_what_follows_the_end_is_read_no_further_than_padding(tmp_path: Path) -> None:
    whole = pa.CompressedInputStream(pa.py_buffer(written(tmp_path / "a.backup").read_bytes()), "zstd").read()
    packed = pa.Codec("zstd").compress(whole + bytes(64 * 2**20), asbytes=True)
    assert len(packed) < 2**18
    (tmp_path / "b").write_bytes(packed)
    assert "more in the backup" in refused(tmp_path / "b")
    (tmp_path / "c").write_bytes(whole + bytes(512) + b"x")
    assert "more in the backup" in refused(tmp_path / "c")


def test_extended_headers_are_refused_unread(tmp_path: Path) -> None:
    about = tarfile.TarInfo("a" * 120)
    about.size = 1
    path = tmp_path / "b"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 5000}) as archive:
        archive.addfile(about, io.BytesIO(b"x"))
    assert "more than plain files" in refused(path)


def test_a_file_that_is_not_what_was_recorded_makes_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"12345")
    part = Part.of_file("rows", path, hashlib.sha256(b"12345").hexdigest())
    for content in (b"12346", b"1234", b"123456"):
        path.write_bytes(content)
        whole = dataclasses.replace(manifest(), members=(part.member,))
        with pytest.raises(BadFile, match="makes no backup"):
            write(io.BytesIO(), whole, [part])


def test_long_names_and_large_files_have_headers_that_tar_reads(tmp_path: Path) -> None:
    name = f"snapshots/{'0' * 64}/observation_and_more_words.0002.parquet"
    assert len(name) > 100
    files = {name: b"x"}
    with (tmp_path / "a").open("wb") as out:
        write(out, manifest(files), [Part.of_bytes(name, b"x")])
    assert unpack(tmp_path / "a", tmp_path / "into") == files
    large = header(Member("large", 2**40, "0" * 64), TAKEN)
    assert tarfile.TarInfo.frombuf(large, "ascii", "strict").size == 2**40
