"""Encodings of text files that do not say theirs, or say it in one of many ways.

``codec_of`` takes a name as people and files write it (``Windows-1251``, ``CP936``, ``1251``, ``ISO 8859-5``). Text is
decoded strictly: one wrong byte is an error, never a question mark. ``likely`` is a guess for the hint of a refusal and
for nothing else: no text is ever decoded by it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from cimfed.errors import BadConfig

_UTF8 = "utf-8"
_OTHERS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7", "undefined", "mbcs", "oem"})
"""Codecs of Python that are no encodings of files."""

_NUMBER = re.compile(r"(?:CP|ANSI|OEM|MS|WINDOWS|WIN)?[ _-]*([0-9]{3,5})")
_ISO = re.compile(r"(?:ISO)?[ _-]*8859[ _-]*([0-9]{1,2})")
_PAGES = {65001: _UTF8, 936: "gb18030", 54936: "gb18030", 20866: "koi8-r", 21866: "koi8-u", 1200: "utf-16-le"}
_WIDER = {"gbk": "gb18030", "gb2312": "gb18030", "cp936": "gb18030"}  # what is written as one is often the wider one

DBF_DRIVERS: dict[int, str] = {
    0x01: "cp437",
    0x02: "cp850",
    0x03: "cp1252",
    0x13: "cp932",
    0x26: "cp866",
    0x4D: "gb18030",
    0x4E: "cp949",
    0x4F: "cp950",
    0x64: "cp852",
    0x65: "cp866",
    0x6B: "cp857",
    0x78: "cp950",
    0x79: "cp949",
    0x7A: "gb18030",
    0x7B: "cp932",
    0x7E: "cp1256",
    0xC8: "cp1250",
    0xC9: "cp1251",
    0xCA: "cp1254",
    0xCB: "cp1253",
}
"""Language driver of a dBASE header (byte 29) -> codec. 0x57, "the current ANSI code page", says nothing."""


def codec_of(name: str) -> str | None:
    """The codec of Python that a name means; None where it means none."""
    text = name.strip().upper()
    if found := _ISO.fullmatch(text):
        text = f"ISO8859-{found[1]}"
    elif found := _NUMBER.fullmatch(text):
        text = _PAGES.get(int(found[1]), f"CP{found[1]}")
    try:
        codec = codecs.lookup(text)
        "".encode(codec.name)  # a codec from bytes to bytes is none of text
    except (LookupError, ValueError):
        return None
    if codec.name.replace("_", "-") in _OTHERS:
        return None
    return _WIDER.get(codec.name, codec.name)


def asked_codec(name: str) -> str:
    """The codec that ``--encoding`` names. Raises BadConfig."""
    codec = codec_of(name)
    if codec is None:
        raise BadConfig(
            f"{name[:40]!r} is no encoding", place="--encoding", remedy="Such as UTF-8, GB18030, Windows-1251, UTF-16"
        )
    return codec


def _share(text: str, wanted: Iterable[tuple[int, int]]) -> float:
    """The part of what is not ASCII that stands in ranges of code points."""
    foreign = [ord(char) for char in text if char > "\x7f"]
    if not foreign:
        return 0.0
    ranges = list(wanted)
    return sum(any(low <= code <= high for low, high in ranges) for code in foreign) / len(foreign)


def _decoded(raw: bytes, codec: str) -> str:
    """Without the last character where the bytes end inside of it; nothing where they are not of the encoding."""
    try:
        return codecs.getincrementaldecoder(codec)().decode(raw)
    except UnicodeDecodeError:
        return ""


_SMALL_CYRILLIC = ((0x430, 0x45F), (0x491, 0x4FF))
_ARABIC = ((0x621, 0x6D5),)
_LATIN = ((0xC0, 0x24F),)


def likely(raw: bytes) -> str:
    """The name of the encoding that bytes are most likely in; empty where none stands out."""
    raw = raw[:65536]
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw.count(0) > len(raw) // 4:
        return "UTF-16"
    if not _decoded(raw, _UTF8).isascii():
        return "UTF-8"
    scores = {
        "Windows-1251": _share(_decoded(raw, "cp1251"), _SMALL_CYRILLIC),
        "KOI8-R": _share(_decoded(raw, "koi8-r"), _SMALL_CYRILLIC),
        "CP866": _share(_decoded(raw, "cp866"), _SMALL_CYRILLIC),
        "Windows-1256": _share(_decoded(raw, "cp1256"), _ARABIC) * 0.8,  # small letters of KOI8-R stand there
        "Windows-1252": _share(_decoded(raw, "cp1252"), _LATIN) * 0.7,
    }
    text = _decoded(raw, "gb18030")
    pairs = [char.encode("gb18030") for char in text if char > "\x7f"]
    if pairs:  # the 3,755 common characters of GB 2312 stand in rows B0 to D7, its marks in A1 to A3
        common = sum(len(pair) == 2 and (0xB0 <= pair[0] <= 0xD7 or 0xA1 <= pair[0] <= 0xA3) for pair in pairs)
        scores["GB18030"] = common / len(pairs)
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= 0.6 else ""


def hint(raw: bytes) -> str:
    """The remedy for text that is not in its encoding."""
    guess = likely(raw)
    if guess:
        return f"Say which it is: --encoding {guess} by the look of it; compare with --dry-run"
    return "Say which it is: --encoding GB18030, Windows-1251, UTF-16 or another"
