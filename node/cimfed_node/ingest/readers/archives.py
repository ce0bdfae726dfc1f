"""A zip that holds one thing that is read by OGR: a Shapefile, a File Geodatabase, a KML (that is a KMZ), a GeoPackage.

Names in a zip are from elsewhere: none is ever used as a path. What is taken out is written to a scratch folder under
names of ours; of a geodatabase, whose names matter, only those of the form that it gives its files. What comes out is
counted while it is written, whatever the zip says about sizes.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from cimfed.errors import BadFile
from cimfed_node.ingest.limits import GIB, LIMITS, MIB

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second: an empty one
_GDB_FILE = re.compile(r"(a[0-9a-f]{8}\.[a-z0-9_]{1,40}|gdb|timestamps)", re.IGNORECASE)
_SIDECARS = ("dbf", "shx", "prj", "cpg")
_SHEETS = ("xl/workbook.xml", "content.xml")
_KINDS = ("shp", "gpkg", "kml")
_UNPACK = "Unpack it first"


def take_out(path: Path, folder: Path) -> Path:
    """The one thing in a zip, written below ``folder``. Raises BadFile where there is none, or several."""
    name = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            return _taken(archive, name, folder)
    except NotImplementedError:
        raise BadFile("a zip that is packed in a way that is not read", place=name, remedy=_UNPACK) from None
    except OSError as error:
        raise BadFile(f"the zip cannot be read: {error.strerror or 'it is damaged'}", place=name) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError):
        raise BadFile("a damaged zip", place=name, remedy="Copy it again, or pack it again") from None
    except RuntimeError:  # what zipfile raises for want of a password
        raise BadFile("an encrypted zip", place=name, remedy=_UNPACK) from None


def _taken(archive: zipfile.ZipFile, name: str, folder: Path) -> Path:
    entries = [one for one in archive.infolist() if not one.is_dir()]
    if len(entries) > LIMITS.members:
        raise BadFile(f"a zip of more than {LIMITS.members:,} files", place=name)
    if any(one.filename in _SHEETS for one in entries):
        raise BadFile("this is a spreadsheet, which is not read", place=name, remedy="Save the sheet as 'CSV UTF-8'")
    entries = [one for one in entries if not one.filename.startswith("__MACOSX/")]
    found: list[tuple[str, str]] = []  # what it is, and its name in the zip without the ending
    for one in entries:
        stem, _, ending = one.filename.rpartition(".")
        if ending.casefold() in _KINDS:
            found.append((ending.casefold(), stem))
    found += [("gdb", one.filename[: -len("a00000001.gdbtable")]) for one in entries if _is_first(one.filename)]
    if len(found) != 1:
        told = ", ".join(sorted(f"{stem}.{kind}" if kind != "gdb" else stem for kind, stem in found)[:10])
        what = (
            f"a zip of {len(found):,} files that could be meant: {told}" if found else "a zip of nothing that is read"
        )
        raise BadFile(what, place=name, remedy="Unpack it first, and name what is meant")
    kind, stem = found[0]
    left = _Budget(name)
    if kind == "gdb":
        target = folder / "data.gdb"
        target.mkdir()
        for one in entries:
            own = one.filename.removeprefix(stem)
            if one.filename.startswith(stem) and _GDB_FILE.fullmatch(own):
                _write(archive, one, target / own.casefold(), left)
        return target
    for one in entries:
        other, _, ending = one.filename.rpartition(".")
        if other == stem and ending.casefold() in (kind, *(_SIDECARS if kind == "shp" else ())):
            _write(archive, one, folder / f"data.{ending.casefold()}", left)
    return folder / f"data.{kind}"


def _is_first(name: str) -> bool:
    return name.casefold().endswith("a00000001.gdbtable")


class _Budget:
    """Bytes that may still be written."""

    def __init__(self, name: str) -> None:
        self._left, self._name = LIMITS.archive, name

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise BadFile(f"more than {LIMITS.archive / GIB:g} GiB after decompression", place=self._name)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: _Budget) -> None:
    with archive.open(entry) as source, target.open("xb") as copy:
        while block := source.read(MIB):
            left.take(len(block))
            copy.write(block)
