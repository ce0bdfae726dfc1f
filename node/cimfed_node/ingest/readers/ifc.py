"""IFC 2X3, 4 and 4X3, through ``cimfed_node.ingest.ifc`` in a process of its own.

Rows are IfcBuilding, IfcBuildingStorey and IfcSpace, with their GlobalIds. What comes from there are CityJSON features:
the rest is as ``readers.cityjson`` has it, and they are what the snapshot's original holds. Where the process dies of a
body, or is silent for too long, that object is bad and the process is started anew without it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import SourceCrs, parse_crs
from cimfed_node.ingest.footprint import GIVEN, PROJECTION
from cimfed_node.ingest.georef import Georeference
from cimfed_node.ingest.limits import LIMITS, MIB
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.cityjson import CityReader
from cimfed_node.ingest.readers.family import Feature
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import CityShapes, Shapes

HINT = (
    "Name the place of the project's origin with --place LON,LAT or LON,LAT,ROTATION; or its system with --crs where "
    "its coordinates are already in one"
)
_SCHEMA = re.compile(rb"FILE_SCHEMA\s*\(\s*\(\s*'([^']{0,64})'", re.IGNORECASE)
_TAIL = 4096  # bytes in which a whole file says that it ends
Line = dict[str, Any]


class Died(Exception):
    """The process ended too soon or said nothing for too long. ``at``: number of the product that it made a body of."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def refuse_other_schemas(head: bytes, name: str) -> None:
    found = _SCHEMA.search(head)
    schema = found[1].decode("ascii", "replace").upper() if found else ""
    if not schema.startswith(("IFC2X3", "IFC4")):
        what = f"a STEP file of schema {schema[:32]}" if schema else "a STEP file that names no schema"
        raise BadFile(f"this is {what}, which is not read", place=name, remedy="IFC2X3, IFC4 and IFC4X3 are")


class _IfcShapes(CityShapes):
    """Footprints are projections of rooms and floors, however they are handed over."""

    def finish(self, rows: int, reference: Georeference) -> Shapes:
        shapes = super().finish(rows, reference)
        shapes.method[shapes.method == GIVEN] = PROJECTION
        return shapes


class IfcReader(CityReader):
    def __init__(self, file: str, stream: io.BufferedReader, context: Context) -> None:
        if importlib.util.find_spec("ifcopenshell") is None:
            raise BadFile(
                "reading IFC needs ifcopenshell, which is not installed",
                place=file,
                remedy="Install it: pip install 'cimfed-node[ifc]'",
            )
        self._folder = tempfile.TemporaryDirectory(prefix="cimfed-ifc-")
        self._path = _copied(stream, Path(self._folder.name) / "model.ifc", file)
        self._ifc_context = context
        self._name = file
        self._skip: list[int] = []
        self._lines_read = self._run()
        try:
            said = self._next_said()
            super().__init__(file, said["header"], (), context)
        except BaseException:
            self.close()
            raise
        self.format = said["format"]
        self._said = said
        context.notes += [f"{file}: {note}" for note in said["notes"]]

    def _next_said(self) -> Line:
        """The first line; the process has made no body yet, so its death is the file's fault."""
        try:
            said = next(self._lines_read)
        except Died:
            raise BadFile("the IFC file cannot be read within the time and memory allowed", place=self._name) from None
        if "error" in said:
            raise BadFile(said["error"], place=self._name, remedy=said["remedy"])
        return said

    @property
    def crs(self) -> SourceCrs | None:
        named = self._said["crs"]
        if named is None:
            raise BadFile("the file does not say where its building stands", place=self.file, remedy=HINT)
        source = parse_crs(named, f"{self.file}: IfcProjectedCRS")
        return replace(source, vertical=self._said["vertical"] or source.vertical)

    def close(self) -> None:
        """Ends the process that reads, wherever it is."""
        self._lines_read.close()
        self._folder.cleanup()

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, _IfcShapes(self._scale, self._translate))

    def features(self) -> Iterator[Feature | BadObject]:
        done = 0
        while True:
            try:
                for number, line in enumerate(self._lines_read):
                    if number < done:
                        continue
                    done += 1
                    if "error" in line:
                        raise BadFile(line["error"], place=self.file, remedy=line["remedy"])
                    if "bad" in line:
                        yield BadObject(self.file, line["bad"], line["reason"])
                    else:
                        node = line["feature"]
                        yield Feature(node["id"], node["CityObjects"], node["vertices"], orjson.dumps(node), 0)
                return
            except Died as died:
                self._skip.append(died.at)
                if not died.at or len(self._skip) > LIMITS.ifc_deaths:
                    raise BadFile("the geometry kernel dies of this file again and again", place=self.file) from None
                self._lines_read = self._run()
                self._next_said()

    def _run(self) -> Generator[Line, None, None]:
        context, request = self._ifc_context, self._ifc_context.request
        task = {
            "path": str(self._path),
            "types": list(context.mapping.types),
            "place": None if request.place is None else parse_place(request.place),
            "crs_named": request.crs is not None,
            "skip": self._skip,
            "memory": LIMITS.ifc_memory,
        }
        return _written(task, self._folder.name)


def _written(task: dict[str, Any], folder: str) -> Generator[Line, None, None]:
    """What one process writes, but for what only this function needs. Raises Died. The process ends with it."""
    command = [sys.executable, "-I", "-m", "cimfed_node.ingest.ifc.work", json.dumps(task)]
    at, patience = 0, _Patience(LIMITS.ifc_open)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
    ) as process:
        try:
            assert process.stdout is not None
            for raw in _lines_of(process.stdout.fileno(), patience):
                line: Line = orjson.loads(raw)
                if "at" in line:
                    at, patience.seconds = line["at"], LIMITS.ifc_body
                elif "end" in line:
                    return
                else:
                    yield line
                    if "error" in line:
                        return
            raise Died(at)
        finally:
            process.kill()


@dataclass
class _Patience:
    seconds: float


def _lines_of(handle: int, patience: _Patience) -> Iterator[bytes]:
    """Lines as they come; no more of them where nothing comes for so long, or where one has no end."""
    held = bytearray()
    while True:
        ready, _, _ = select.select([handle], [], [], patience.seconds)
        data = os.read(handle, MIB) if ready else b""
        if not data or len(held) > LIMITS.line:
            return
        *whole, rest = (held + data).split(b"\n")
        held = bytearray(rest)
        for line in whole:
            yield bytes(line)


def _copied(stream: io.BufferedReader, path: Path, name: str) -> Path:
    """The file as one that another process can open."""
    left = LIMITS.ifc
    with path.open("wb") as file:
        while data := stream.read(MIB):
            left -= len(data)
            if left < 0:
                raise BadFile(f"an IFC file of more than {LIMITS.ifc // MIB:,} MiB", place=name)
            file.write(data)
    with path.open("rb") as written:
        written.seek(max(0, path.stat().st_size - _TAIL))
        if b"END-ISO-10303-21" not in written.read():
            raise BadFile("the IFC file ends in its middle", place=name, remedy="Copy it again, whole")
    return path


def parse_place(text: str) -> tuple[float, ...]:
    """``LON,LAT`` or ``LON,LAT,ROTATION`` in degrees. Raises BadFile."""
    numbers: list[float] = []
    with contextlib.suppress(ValueError):
        numbers = [float(part) for part in text.split(",")]
    if not (
        len(numbers) in (2, 3)
        and abs(numbers[0]) <= 180
        and -80 <= numbers[1] <= 84
        and all(abs(n) <= 360 for n in numbers)
    ):
        raise BadFile(
            f"{text[:64]!r} is no place", place="--place", remedy="Write LON,LAT or LON,LAT,ROTATION in degrees"
        )
    return tuple(numbers)
