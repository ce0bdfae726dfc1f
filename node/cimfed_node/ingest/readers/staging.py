"""Which files are read by OGR, and their links in a scratch folder under fixed names.

A Shapefile is three files at least, a MapInfo table four; they stand beside the one that was named, with its stem, in
any case. What is missing, cut off or would lead to other files (a MapInfo view, an SQLite database that another program
has open) is refused here, since OGR reads on in silence. A zip may hold one of these formats; see ``archives``.

Leaves out: DXF (no ids, no attributes, no CRS), spreadsheets (types and leading zeros of ids are guessed by whoever
opens them), WFS, VRT and whatever else names a place elsewhere.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from xml.parsers import expat

from cimfed.errors import BadFile
from cimfed_node.ingest.limits import LIMITS, MIB
from cimfed_node.ingest.readers.archives import ZIP, take_out
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.dbf import Texts, read_header
from cimfed_node.ingest.readers.ogr import Source
from cimfed_node.ingest.readers.shx import without_shape

SHAPEFILE = b"\x00\x00\x27\x0a"
SQLITE = b"SQLite format 3\x00"
FLATGEOBUF = b"fgb\x03"
_GDB = "a00000001.gdbtable"
_GML_OWN = frozenset({"lowerCorner", "upperCorner"})
_KML_OWN = frozenset({"altitudeMode", "drawOrder", "extrude", "icon", "tessellate", "visibility"})

_CHARSETS: Mapping[str, str] = {
    "neutral": "utf-8",
    "utf-8": "utf-8",
    "windowslatin1": "cp1252",
    "windowslatin2": "cp1250",
    "windowscyrillic": "cp1251",
    "windowsgreek": "cp1253",
    "windowsturkish": "cp1254",
    "windowshebrew": "cp1255",
    "windowsarabic": "cp1256",
    "windowsbalticrim": "cp1257",
    "windowsvietnamese": "cp1258",
    "windowssimpchinese": "gb18030",
    "windowstradchinese": "cp950",
    "windowsjapanese": "cp932",
    "windowskorean": "cp949",
}
"""MapInfo's names for encodings, in lower case; ``ISO8859_5`` and ``CodePage866`` are found by their numbers."""


def stage(path: Path, head: bytes, folder: Path, context: Context) -> Source | None:
    """The file ready for OGR, where it is of one of its formats; None where it is not. ``head``: its first bytes."""
    find = _found(path, head)
    if find is None and not head.startswith(ZIP):
        return None
    folder.mkdir()
    return find(path, folder, context) if find is not None else _zipped(path, folder, context)


def _found(path: Path, head: bytes) -> Callable[[Path, Path, Context], Source] | None:
    if path.is_dir():
        return _geodatabase
    for signature, how in ((SHAPEFILE, _shapefile), (SQLITE, _sqlite), (FLATGEOBUF, _flatgeobuf)):
        if head.startswith(signature):
            return how
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:6].lower() == b"!table":
        return _mapinfo_table
    if re.match(rb"version\s+[0-9]+\s*\r?\n\s*charset\s", text, re.IGNORECASE):
        return _mapinfo_exchange
    if text.startswith(b"<") and b"citygml" not in text and b"CityModel" not in text:
        if b"opengis.net/kml" in text or b"earth.google.com/kml" in text:
            return _kml
        if b"opengis.net/gml" in text:
            return _gml
    return None


def _zipped(path: Path, folder: Path, context: Context) -> Source:
    taken = folder / "zip"
    taken.mkdir()
    inner = take_out(path, taken)
    find = _found(inner, b"" if inner.is_dir() else _head(inner, LIMITS.head))
    if find is None:
        raise BadFile(f"what is called .{inner.suffix[1:]} in the zip is something else", place=path.name)
    try:
        source = find(inner, folder, context)
    except BadFile as error:  # which calls it as it was taken out
        told = error.message.replace(f"{inner.stem}.", "its .")
        raise BadFile(told, place=f"{path.name}: {inner.suffix}", remedy=error.remedy) from None
    context.parts.pop(inner, None)
    return replace(source, format=f"{source.format} in a zip")


def beside(path: Path, *endings: str) -> dict[str, Path]:
    """Files with a file's stem and one of these endings, in any case; endings are given in lower case."""
    stem = path.name[: -len(path.suffix)] if path.suffix else path.name
    wanted = {f"{stem}.{ending}".casefold(): ending for ending in endings}
    found: dict[str, Path] = {}
    for other in sorted(path.parent.iterdir()):
        ending = wanted.get(other.name.casefold())
        if ending is not None and other.name.startswith(stem) and other.is_file():
            found.setdefault(ending, other)
    return found


def _link(path: Path, folder: Path, name: str) -> Path:
    link = folder / name
    link.symlink_to(path.resolve())
    return link


def _needs(path: Path, found: Mapping[str, Path], *endings: str) -> None:
    for ending in endings:
        if ending not in found:
            stem = path.name[: -len(path.suffix)] if path.suffix else path.name
            raise BadFile(
                f"{stem}.{ending} is missing", place=path.name, remedy="Put it beside the file: they belong together"
            )


def _shapefile(path: Path, folder: Path, context: Context) -> Source:
    found = beside(path, "dbf", "shx", "prj", "cpg")
    _needs(path, found, "dbf", "shx")
    context.parts[path] = list(found.values())
    for name, one in ((path.name, path), (found["shx"].name, found["shx"])):
        with one.open("rb") as file:
            head = file.read(100)
        size, told = one.stat().st_size, 2 * int.from_bytes(head[24:28], "big")
        if len(head) < 100 or not head.startswith(SHAPEFILE) or told > size:
            raise BadFile(f"cut off or damaged: {told:,} bytes are told, {size:,} are there", place=name)
    rows = (2 * int.from_bytes(_head(found["shx"], 28)[24:], "big") - 100) // 8
    header = read_header(found["dbf"], found["dbf"].name)
    if header.rows != rows:
        raise BadFile(f"{rows:,} shapes and {header.rows:,} rows of attributes", place=path.name)
    texts = Texts.of(context.request.encoding, found.get("cpg"), header, path.name)
    for ending in ("dbf", "shx", "prj"):
        if ending in found:
            _link(found[ending], folder, f"data.{ending}")
    shp = _link(path, folder, "data.shp")
    nulls = without_shape(path, found["shx"], rows) if header.live == rows else None
    options = {"ENCODING": "ISO-8859-1"}
    return Source("Shapefile", "ESRI Shapefile", shp, options, texts, header.live, nulls, layered=False)


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _fixed(what: str, context: Context, path: Path) -> None:
    if context.request.encoding is not None:
        raise BadFile(f"{what} says its encoding itself", place=path.name, remedy="Leave out --encoding")


def _sqlite(path: Path, folder: Path, context: Context) -> Source:
    head = _head(path, LIMITS.head)
    package = head[68:72] in (b"GPKG", b"GP10", b"GP11") or b"gpkg_contents" in head
    what = "GeoPackage" if package else "SpatiaLite"
    _fixed(what, context, path)
    for ending in ("-wal", "-journal"):
        other = path.with_name(path.name + ending)
        if other.exists() and other.stat().st_size:
            raise BadFile(
                f"another program has it open: there is {other.name}",
                place=path.name,
                remedy="Close it there (QGIS among others), so that what was changed is in the file itself",
            )
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    size = path.stat().st_size
    if head[24:28] == head[92:96] and pages * (65536 if page == 1 else page) > size:
        raise BadFile(f"cut off: {pages:,} pages are told, of which {size:,} bytes are there", place=path.name)
    if package:
        options = {"IMMUTABLE": "YES", "LIST_ALL_TABLES": "YES" if context.readings else "NO"}
        return Source(what, "GPKG", _link(path, folder, "data.gpkg"), options, key=True)
    return Source(what, "SQLite", _link(path, folder, "data.sqlite"), key=True)


def _flatgeobuf(path: Path, folder: Path, context: Context) -> Source:
    _fixed("FlatGeobuf", context, path)
    return Source("FlatGeobuf", "FlatGeobuf", _link(path, folder, "data.fgb"), layered=False)


def _geodatabase(path: Path, folder: Path, context: Context) -> Source:
    if not (path / _GDB).is_file():
        raise BadFile("a folder, and no File Geodatabase", place=path.name, remedy="Name the files in it")
    _fixed("a File Geodatabase", context, path)
    context.parts[path] = sorted(one for one in path.iterdir() if one.is_file() and one.suffix != ".lock")
    return Source("File Geodatabase", "OpenFileGDB", _link(path, folder, "data.gdb"), key=True)


def _kml(path: Path, folder: Path, context: Context) -> Source:
    _fixed("KML", context, path)
    check_xml(path)
    return Source("KML", "LIBKML", _link(path, folder, "data.kml"), without=_KML_OWN)


def _gml(path: Path, folder: Path, context: Context) -> Source:
    _fixed("GML", context, path)
    check_xml(path)
    return Source("GML", "GML", _link(path, folder, "data.gml"), without=_GML_OWN)


def check_xml(path: Path) -> None:
    """Well-formed to its end, and without a DTD: entities are never needed, and OGR stops in silence where XML does."""
    parser = expat.ParserCreate()

    def doctype(*_: object) -> None:
        raise BadFile("XML with a DTD", place=f"{path.name}:{parser.CurrentLineNumber}", remedy="Take it out")

    parser.StartDoctypeDeclHandler = doctype
    with path.open("rb") as file:
        try:
            while block := file.read(MIB):
                parser.Parse(block, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code)
            raise BadFile(f"not XML: {why}", place=f"{path.name}:{error.lineno}:{error.offset + 1}") from None


_CHARSET = re.compile(rb'^(\s*!?charset\s+"?)([A-Za-z0-9_-]+)', re.IGNORECASE | re.MULTILINE)


def _charset(head: bytes, path: Path, context: Context) -> Texts:
    if context.request.encoding is not None:
        return Texts.of(context.request.encoding, None, None, path.name)
    said = _CHARSET.search(head)
    name = said[2].decode() if said else "Neutral"
    number = re.fullmatch(r"(?:codepage|iso8859_)([0-9]+)", name.casefold())
    page = "" if number is None else f"{'cp' if name[0] in 'cC' else 'iso8859-'}{number[1]}"
    codec = page or _CHARSETS.get(name.casefold())
    if codec is None:
        raise BadFile(f"the charset {name[:40]!r} is not known", place=path.name, remedy="Name it: --encoding")
    return Texts(codec, "" if name.casefold() == "neutral" else f"the file says {name}", asked=False)


def _recoded(path: Path, target: Path) -> Path:
    """A copy that says ISO-8859-1, in which every byte is a character: ``Texts`` has the word on what they mean."""
    with path.open("rb") as source, target.open("wb") as copy:
        head = source.read(4096)
        copy.write(_CHARSET.sub(rb"\g<1>ISO8859_1", head, count=1))
        shutil.copyfileobj(source, copy, MIB)
    return target


def _mapinfo_table(path: Path, folder: Path, context: Context) -> Source:
    text = _head(path, LIMITS.head)
    if not re.search(rb"^\s*type\s+native\b", text, re.IGNORECASE | re.MULTILINE):
        raise BadFile("a MapInfo table that leads to other files", place=path.name, remedy="Save it as a native table")
    if re.search(rb"isseamless|create\s+view|open\s+table", text, re.IGNORECASE):
        raise BadFile("a MapInfo table made of other tables", place=path.name, remedy="Name these instead")
    found = beside(path, "dat", "map", "id")
    _needs(path, found, "dat", "map", "id")
    context.parts[path] = list(found.values())
    header = read_header(found["dat"], found["dat"].name)
    if found["id"].stat().st_size != 4 * header.rows or found["map"].stat().st_size % 512:
        raise BadFile("the .dat, .map and .id files do not belong together, or are cut off", place=path.name)
    for ending, one in found.items():
        _link(one, folder, f"data.{ending}")
    tab = _recoded(path, folder / "data.tab")
    texts = _charset(text, path, context)
    return Source("MapInfo", "MapInfo File", tab, texts=texts, rows=header.live, layered=False)


def _mapinfo_exchange(path: Path, folder: Path, context: Context) -> Source:
    found = beside(path, "mid")
    _needs(path, found, "mid")
    context.parts[path] = list(found.values())
    _link(found["mid"], folder, "data.mid")
    with found["mid"].open("rb") as file:
        rows = sum(1 for line in file if line.strip())
    texts = _charset(_head(path, 4096), path, context)
    mif = _recoded(path, folder / "data.mif")
    return Source("MapInfo", "MapInfo File", mif, texts=texts, rows=rows, layered=False)
