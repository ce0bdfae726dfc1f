"""A CityGML file is never held: what is alive while it is read does not grow with it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.ingest.attributes import AttributeReader
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.mapping import shipped
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.citygml import CityGMLReader
from cimfed_node.ingest.readers.xml import Children
from cimfed_node.ingest.request import ImportRequest
from tests.ingest.citygml import building, model
from tests.ingest.test_citygml_geometry import SOLID

SHOWN = 16 * 1024  # elements: what one step of reading and one object may have


class Endless(io.RawIOBase):
    """A CityModel of so many buildings, made while it is read; ``noise`` stands between them."""

    def __init__(self, members: int, noise: str = "") -> None:
        start, end = model("@@").split("<core:cityObjectMember>@@</core:cityObjectMember>")
        self._pieces = self._text(start, end, members, noise)
        self._rest = b""
        self.given = 0

    @staticmethod
    def _text(start: str, end: str, members: int, noise: str) -> Iterator[bytes]:
        yield start.encode()
        for number in range(members):
            made = building(f"<bldg:lod1Solid>{SOLID}</bldg:lod1Solid>", id=f"b{number}")
            yield f"{noise}<core:cityObjectMember>{made}</core:cityObjectMember>\n".encode()
        yield end.encode()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while len(self._rest) < len(buffer) and (piece := next(self._pieces, b"")):
            self._rest += piece
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        self.given += count
        return count


def test_members_are_taken_off_the_tree_as_they_come() -> None:
    source = Endless(4_000, noise="<gml:name>x</gml:name><!-- y --><?z?>")
    children = Children(io.BufferedReader(source), "data")
    alive = []
    for number, _ in enumerate(children):
        if number % 100 == 0:
            alive.append(sum(1 for _ in children.root.iter()))
    assert source.given > 5_000_000
    assert max(alive) < SHOWN
    assert len(alive) > 50


def test_the_first_member_is_given_when_a_little_was_read() -> None:
    source = Endless(4_000)
    next(iter(Children(io.BufferedReader(source), "data")))
    assert source.given <= LIMITS.head + 3 * 64 * 1024


def test_what_the_reader_keeps_of_members_around_is_bounded() -> None:
    collection = VOCABULARY.collections["building"]
    mapping = shipped("building", collection)
    request = ImportRequest((Path("data"),), CityName("xx.city"), "building")
    context = Context(request, mapping, AttributeReader(mapping))
    reader = CityGMLReader("data", Children(io.BufferedReader(Endless(4_000)), "data"), context)
    kept = 0
    for _ in reader.read():
        kept = max(kept, reader.kept)
        if len(reader.chunk.ids) >= 500:
            reader.chunk = reader.new_chunk()
    assert context.objects == 4_000
    assert LIMITS.reach / 2 < kept <= LIMITS.reach
