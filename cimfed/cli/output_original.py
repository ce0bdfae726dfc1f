"""Untouched objects as files: for each city and each of its own files one, of that file's format.

====================  ============  =====================================================================
the city's file was   it becomes
====================  ============  =====================================================================
CityJSON, or its Seq  .city.jsonl   CityJSONSeq: its header (transform, metadata ...), then a feature a line
CityGML               .gml          a CityModel with what stood before its first object, and the objects
GeoJSON document      .geojson      its own members, and the features
GeoJSON lines         .geojsonl     a feature on each line
anything else         .jsonl        a JSON object on each line: of a table, a row's attributes
====================  ============  =====================================================================

Nothing is converted, and two files of cities never become one: their coordinates are in systems of their own. Beside
each stands FILE.metadata.json with the provenance of the answer, the name of the city's file and its header.

The texts are other parties'. Each is written as it came once it parses as JSON, is the kind of object that its file
holds, and stands on one line (of CityGML: is one element of XML); else the answer is a BadAnswer. Names are made of
cities' names and numbers alone. The folder gets its name when the answer was verified to its end; until then everything
is in a hidden one beside it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cimfed.cli import original_gml
from cimfed.cli.output import About, beside
from cimfed.client.originals import Header, parsed
from cimfed.errors import BadAnswer
from cimfed.model.originals import ORIGINAL, ORIGINAL_HEADER

_BREAK = re.compile("[\r\n]")
CITYJSON, CITYGML, COLLECTION, LINES, PLAIN = ".city.jsonl", ".gml", ".geojson", ".geojsonl", ".jsonl"
_TYPES = {CITYJSON: "CityJSONFeature", COLLECTION: "Feature", LINES: "Feature"}

Headers = Callable[[str], Sequence[Header]]
"""Those of a city, by the time that a batch of it has come."""


@dataclass(frozen=True)
class Written:
    """``rows`` of the answer, of which ``objects`` had their original; ``files`` that were made."""

    rows: int
    objects: int
    files: int


@dataclass
class _File:
    """One of a city's files, and how many of its objects there are so far."""

    city: str
    header: Header
    path: Path
    ending: str
    objects: int = 0

    @classmethod
    def of(cls, folder: Path, city: str, at: int, header: Header, first: Any) -> _File:
        """Nobody's name has an underscore: only the plain form may be another city's too (``a.b.city`` and a table)."""
        said = header["header"].get("type")
        kind = first.get("type") if isinstance(first, dict) else None
        if said == "CityJSON":
            ending = CITYJSON
        elif original_gml.version_of(header["header"]):
            ending = CITYGML
        elif kind == "Feature":
            ending = COLLECTION if said == "FeatureCollection" else LINES
        else:
            ending = PLAIN
        path = folder / f"{city}{ending}"
        if at or path.exists():
            path = folder / f"{city}_{at + 1}{ending}"
        return cls(city, header, path, ending)

    def begin(self) -> str:
        """What stands before the first object."""
        members = self.header["header"]
        match self.ending:
            case ".city.jsonl":
                return _json({**members, "CityObjects": {}, "vertices": []}) + "\n"
            case ".gml":
                return self._xml(original_gml.begin, members)
            case ".geojson":
                own = _json({name: value for name, value in members.items() if name != "features"})
                return own[:-1] + ',"features":[\n'
            case _:
                return ""

    def add(self, texts: Sequence[str]) -> None:
        """Objects that were checked."""
        between = ",\n" if self.ending == COLLECTION else "\n"
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            if not self.objects:
                file.write(self.begin())
            elif self.ending == COLLECTION:
                file.write(between)
            file.write(between.join(texts))
            if self.ending != COLLECTION:
                file.write("\n")
        self.objects += len(texts)

    def end(self, about: Mapping[str, Any]) -> None:
        last = {COLLECTION: "\n]}\n", CITYGML: original_gml.END}.get(self.ending, "")
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(last)
        of = {"city": self.city, "objects": self.objects, **{name: self.header[name] for name in ("file", "header")}}
        said = {**about, "original": of}
        beside(self.path).write_text(_json(said, indent=1) + "\n", "utf-8", newline="\n")

    def checked(self, value: Any, text: str) -> str:
        """What is written of an object. BadAnswer for one that is not of its file's kind."""
        if self.ending == CITYGML:
            return self._xml(original_gml.member, value)
        wanted = _TYPES.get(self.ending)
        if not isinstance(value, dict) or (wanted is not None and value.get("type") != wanted):
            raise BadAnswer(f"{self.city}: an untouched object is no {wanted or 'JSON object'}")
        return text

    def _xml(self, made: Callable[[Any], str], of: Any) -> str:
        try:
            return made(of)
        except original_gml.NoXml:
            raise BadAnswer(f"{self.city}: an untouched object or its header is no element of CityGML") from None


def write_originals(batches: Iterable[pa.RecordBatch], headers: Headers, folder: Path, about: About) -> Written:
    """``about``: known when the last batch has come. No folder is made where there is no object."""
    files: dict[tuple[str, int], _File] = {}
    rows = 0
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as hidden:
        made = Path(hidden) / folder.name
        made.mkdir()
        for batch in batches:
            rows += batch.num_rows
            _add(batch, headers, made, files)
        for file in files.values():
            file.end(about())
        if files:
            os.replace(made, folder)
    return Written(rows, sum(file.objects for file in files.values()), len(files))


def _add(batch: pa.RecordBatch, headers: Headers, folder: Path, files: dict[tuple[str, int], _File]) -> None:
    due: dict[tuple[str, int], list[str]] = {}
    columns = (batch[name].to_pylist() for name in ("city", ORIGINAL, ORIGINAL_HEADER))
    for city, text, number in zip(*columns, strict=True):
        if text is None:
            continue
        value = None if _BREAK.search(text) else parsed(text)
        if not isinstance(value, dict | str):
            raise BadAnswer(f"{city}: an untouched object is no JSON object on one line, or is nested too deeply")
        key = (city, number)
        if key not in files:
            files[key] = _File.of(folder, city, number, headers(city)[number], value)
        due.setdefault(key, []).append(files[key].checked(value, text))
    for key, texts in due.items():
        files[key].add(texts)


def _json(value: Any, indent: int | None = None) -> str:
    """Another party's text may hold half of a character, which a file cannot: then all beyond ASCII is escaped."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, separators=separators)
    return text
