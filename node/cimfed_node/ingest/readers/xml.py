"""XML as a stream of the root's children, whatever the size of the file.

The parser (libxml2 through lxml) never sees a byte that could do more than open and close elements: the file is decoded
here, by the encoding that it declares, what stands before the root is read here too, and a document type, which is
where entities and their bombs come from, is refused before the parser begins. It is also told to resolve no entity,
load no DTD and fetch nothing; XInclude is not done. Its own limits stand (256 levels, 10 MB for one text or attribute);
ours bound what one child of the root may come to. A child is taken off the tree when the caller is done with it.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lxml import etree

from cimfed.errors import BadFile
from cimfed_node.ingest.limits import KIB, LIMITS, MIB

Element: TypeAlias = Any
"""An element of lxml, whose stubs know neither comments among children nor names of bytes."""

_STEP = 64 * KIB
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BARE: tuple[tuple[bytes, str], ...] = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
_DECLARATION = re.compile(r"<\?xml\s[^>]*?\?>")
_ENCODING = re.compile(r"\sencoding\s*=\s*(?:\"([A-Za-z][A-Za-z0-9._:-]{0,40})\"|'([A-Za-z][A-Za-z0-9._:-]{0,40})')")
_KNOWN = re.compile(
    r"utf-8|ascii|iso8859-[0-9]{1,2}|cp125[0-8]|cp866|koi8-[rtu]|kz1048|gb18030|big5|euc_(jp|kr)|shift_jis"
)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "cp949": "euc_kr"}
"""What is read in the encoding that holds it: files say GB2312 and have letters of GBK."""


@dataclass(frozen=True)
class Prolog:
    """What stands before the root: ``encoding`` as Python names it, ``skip`` bytes of a byte order mark, ``root``:
    where its tag begins in the text, ``tag``: its name as ``{namespace}name``."""

    encoding: str
    skip: int
    root: int
    tag: str


def is_xml(head: bytes) -> bool:
    """Whether a file that begins so is XML, in whatever encoding."""
    encoding, skip = _marked(head)
    text = head[skip : skip + 4096].decode(encoding or "latin-1", "replace")
    return text.lstrip(" \t\r\n").startswith("<")


def _marked(head: bytes) -> tuple[str | None, int]:
    """The encoding that the first bytes tell, and the length of a byte order mark."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, len(mark)
    for begin, encoding in _BARE:
        if head.startswith(begin):
            return encoding, 0
    return None, 0


def _declared(head: bytes, name: str) -> str:
    found = _DECLARATION.match(head[:1024].decode("latin-1"))
    encoding = _ENCODING.search(found[0]) if found else None
    if encoding is None:
        return "utf-8"
    text = encoding[1] or encoding[2]
    try:
        known = codecs.lookup(text).name
    except LookupError:
        known = ""
    known = _WIDER.get(known, known)
    if not _KNOWN.fullmatch(known):
        raise BadFile(
            f"XML that declares the encoding {text!r}",
            place=name,
            remedy="Convert it to UTF-8 with iconv, and let its first line say so",
        )
    return known


def read_prolog(head: bytes, name: str) -> Prolog:
    """``head``: the file's first bytes, ``LIMITS.head`` of them where it has so many."""
    marked, skip = _marked(head)
    encoding = marked or _declared(head, name)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head[skip:])
    at = _root(text, name)
    parser = etree.XMLPullParser(events=("start",), **_SAFE)
    text = "\n" * text.count("\n", 0, at) + text[at:]
    for start in range(0, len(text), 4096):
        wrong = None
        try:
            parser.feed(text[start : start + 4096].encode("utf-8", "replace"))
        except etree.XMLSyntaxError as error:  # behind the root's tag it is found again when the file is read
            wrong = error
        found: list[Any] = [element for _, element in parser.read_events()]
        if found:
            return Prolog(encoding, skip, at, found[0].tag)
        if wrong is not None:
            raise _not_xml(wrong, parser.feed_error_log, name) from None
    if len(head) < LIMITS.head:  # all of it: of a root that nothing follows the parser tells only at the end
        with contextlib.suppress(etree.XMLSyntaxError):
            parser.close()
        ended: list[Any] = [element for _, element in parser.read_events()]
        if ended:
            return Prolog(encoding, skip, at, ended[0].tag)
    raise BadFile("XML without a root element at its beginning", place=name)


def _root(text: str, name: str) -> int:
    """Where the root's tag begins. A document type is refused."""
    at = 0
    while True:
        while text[at : at + 1] in (" ", "\t", "\r", "\n"):
            at += 1
        for begin, end in (("<?", "?>"), ("<!--", "-->")):
            if text.startswith(begin, at):
                found = text.find(end, at + len(begin))
                at = found + len(end) if found >= 0 else len(text)
                break
        else:
            break
    if text[at : at + 14].lower() == "<!doctype html":
        raise BadFile("this is HTML, which is not read", place=name, remedy="Look at it: it may say what went wrong")
    if text.startswith("<!", at):
        raise BadFile(
            "XML with a document type, which can hold entities",
            place=name,
            remedy="Take the <!DOCTYPE ...> out; CityGML needs none",
        )
    if not text.startswith("<", at):
        raise BadFile(f"not XML, or {LIMITS.head // KIB} KiB of it without a root element", place=name)
    return at


_SAFE: dict[str, Any] = {
    "encoding": "utf-8",
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "dtd_validation": False,
    "huge_tree": False,
    "recover": False,
}


def parsed(raw: bytes) -> Element:
    """An element out of the bytes that ``written`` gave. A namespace that is no URI was let pass once: it is again."""
    return etree.fromstring(raw, etree.XMLParser(**_SAFE | {"recover": True}))


def written(element: Element) -> bytes:
    """An element in canonical form (C14N, comments included), with the namespaces that it stands in."""
    try:
        return etree.tostring(element, method="c14n", with_tail=False)
    except etree.C14NError:  # a relative namespace, which C14N has no form for
        return etree.tostring(element, encoding="utf-8", with_tail=False)


def _not_xml(error: etree.XMLSyntaxError, log: Any, name: str) -> BadFile:
    """``log``: what the parser noted, which alone says where some faults are."""
    message = str(error.msg or "")
    line = error.position[0] if error.position else 0
    if not line and len(log):
        message, line = log[0].message, log[0].line
    place = f"{name}:{line}" if line else name
    if "depth" in message:
        return BadFile("XML nested more than 256 levels deep", place=place)
    if re.search("too long|too big|limit|XML_PARSE_HUGE", message):
        return BadFile("XML with a text, tag or attribute of more than 10 MB", place=place)
    told = re.sub(r"^xml\w+: |, line [0-9]+, column [0-9]+$", "", message.strip())
    told = told.split("\n")[0][:120].replace("xmlChar", "character")
    return BadFile(f"not well-formed XML: {told or 'it ends early'}", place=place)


class Children:
    """Children of the root, one after another, each whole. ``root``: the element while there are no others in it."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._stream, self._name = stream, name
        head = stream.read(LIMITS.head)
        self.prolog = read_prolog(head, name)
        self._head = head[self.prolog.skip :]
        self.root: Element = None
        self._parser = etree.XMLPullParser(events=("start",), tag=self.prolog.tag, **_SAFE)

    def _bytes(self) -> Iterator[bytes]:
        """UTF-8, without what comes before the root but for its line ends."""
        encoding = self.prolog.encoding
        plain = encoding == "utf-8"
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        try:
            text = decoder.decode(self._head)
            before, rest = text[: self.prolog.root], text[self.prolog.root :]
            yield ("\n" * before.count("\n") + rest).encode()
            if plain:
                yield decoder.getstate()[0]  # a letter that the head ends within
            while data := self._stream.read(_STEP):
                yield data if plain else decoder.decode(data).encode()
            if not plain:
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise BadFile(
                f"not {encoding.upper()}, which it is by its own word",
                place=self._name,
                remedy="Convert it to UTF-8 with iconv, and let its first line say so",
            ) from None

    def __iter__(self) -> Iterator[Element]:
        read = marks = 0
        try:
            for piece in self._bytes():
                for start in range(0, len(piece), _STEP):
                    step = piece[start : start + _STEP]
                    read += len(step)
                    marks += step.count(b"<") + step.count(b"=")
                    self._parser.feed(step)
                    for _, element in self._parser.read_events():
                        if self.root is None:
                            self.root = element
                    if self.root is not None and len(self.root) > 1:
                        yield from self._done(1)
                        read = marks = 0
                    self._check(read, marks)
            self._parser.close()
        except etree.XMLSyntaxError as error:
            raise _not_xml(error, self._parser.feed_error_log, self._name) from None
        yield from self._done(0)

    def _done(self, left: int) -> Iterator[Element]:
        """All children but the last ``left``, which may be open still."""
        while len(self.root) > left:
            child = self.root[0]
            if type(child.tag) is str:  # neither a comment nor a processing instruction
                yield child
            del self.root[0]

    def _check(self, read: int, marks: int) -> None:
        if read > LIMITS.line:
            raise BadFile(f"an object of more than {LIMITS.line // MIB} MiB", place=self._name)
        if marks > LIMITS.marks:
            raise BadFile(f"more than {LIMITS.marks:,} tags and attributes in one object", place=self._name)
