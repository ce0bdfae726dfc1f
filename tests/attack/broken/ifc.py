"""IFC: each kind starts a process of the geometry kernel, or is refused before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.attack.broken.kind import Kind, error
from tests.ingest.ifc_making import House

PLACE = (356_000.0, 3_455_000.0, 0.0)


def house(change: Callable[[bytes], bytes] = lambda raw: raw, *, placed: bool = True) -> Callable[[Path], Path]:
    """A house of one room, its file changed."""

    def make(folder: Path) -> Path:
        made = House()
        made.room(made.storey("1", 0.0), "room", (0, 0), (4, 5, 3))
        if placed:
            made.conversion(*PLACE)
        (folder / "x").write_bytes(change(made.bytes()))
        return folder / "x"

    return make


def room(change: Callable[[bytes], bytes], says: str, *, placed: bool = True) -> Kind:
    return error(house(change, placed=placed), says, "x", collection="room")


KINDS: dict[str, Kind] = {
    "IFC: cut off": room(lambda raw: raw[: len(raw) // 2], "ends in its middle"),
    "IFC: another schema": room(lambda raw: raw.replace(b"IFC4", b"AP214"), "which is not read"),
    "IFC: no place": room(lambda raw: raw, "does not say where its building stands", placed=False),
    "IFC: a system that is none": room(
        lambda raw: raw.replace(b"EPSG:4549", b"EPSG:0"), "names no coordinate reference"
    ),
    "IFC: numbers beyond all": room(lambda raw: raw.replace(b"356000.", b"1.E400"), "not a readable IFC file"),
    "IFC: no bridge in it": error(house(), "nothing for the collection bridge", "x", collection="bridge"),
}
