"""OGC SensorThings API 1.1 as servers answer it: pages (``{"value": [...]}``), lists, single entities; one a line or a
whole document.

Rules:
1. A Datastream is a row of ``sensor``: it is what has one property and one unit. Its place is the first GeoJSON
   Location of its Thing. Several Observations with the same Datastream give it once a file.
2. An Observation is a row of ``observation``, wherever it stands: on a page, in a Datastream, in a Thing's Datastream,
   in a data array. Its ``sensor`` is the Datastream's id. It has no place of its own: its sensor has.
3. ``time`` is an instant, or the begin of an interval, so that the mean of a day's last hour is that day's; of an
   interval begin and end are ``valid_from`` and ``valid_to`` too.
4. Attributes go by the names of the standard (``phenomenonTime``, ``result``), entities by their names or ids
   (``ObservedProperty``, ``Datastream``); of ``properties`` of a Datastream, its Thing and the feature of interest a
   reading takes those that the mapping names, a sensor all.

What a page lacks (``$expand``) cannot be had from the network here: the object is bad, and says so. MultiDatastreams
are not read. Numbers are exact to the 15 digits that JSON readers agree on; a result written as text is exact to all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import CRS84, SourceCrs, parse_crs
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import OBSERVATION, SENSOR, Context
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import PlainShapes
from cimfed_node.ingest.values import OutOfRange

Entity = dict[str, Any]
MARKS = (b'"@iot.', b'"phenomenonTime"', b'"unitOfMeasurement"', b'"dataArray"')
"""What the beginning of a list of entities holds."""
_OBSERVATION, _DATASTREAM, _THING, _ARRAY = "Observation", "Datastream", "Thing", "dataArray"
_TELLING = {
    _OBSERVATION: {"phenomenonTime", "result"},
    _ARRAY: {"dataArray", "components"},
    _DATASTREAM: {"unitOfMeasurement"},
    _THING: {"Locations", "Datastreams"},
}
"""Members that say what an entity is; all of an array's, any of the others'."""
_IN_LINK = re.compile(r"/([A-Za-z]+)\(([^()]{1,256})\)$")
_IN_SHORT_LINK = re.compile(r"/Datastreams\(([^()]{1,256})\)$")
_OWN = ("phenomenonTime", "resultTime", "validTime", "result", "resultQuality", "parameters")


def kind_of(node: Any) -> str | None:
    """What an entity is; None where it is nothing of SensorThings."""
    if type(node) is not dict or node.keys() >= {"type", "coordinates"}:
        return None
    if node.keys() >= _TELLING[_ARRAY]:
        return _ARRAY
    return next((kind for kind in (_OBSERVATION, _DATASTREAM, _THING) if node.keys() & _TELLING[kind]), None)


def entities(document: Any) -> list[Any] | None:
    """The entities of a page, a list or one that stands alone; None where this is nothing of SensorThings."""
    found: list[Any]
    if type(document) is list:
        found = document
    elif type(document) is dict and type(document.get("value")) is list and "type" not in document:
        found = document["value"]
        if not found:
            return found
    elif kind_of(document) is not None:
        return [document]
    else:
        return None
    return found if any(kind_of(node) is not None for node in found[:100]) else None


class SensorThingsReader:
    """``documents``: numbered pages, lists or entities; the first is known to be of SensorThings."""

    def __init__(self, file: str, first: Any, further: Iterable[tuple[int, bytes]], context: Context) -> None:
        self.file = file
        self.format = "SensorThings 1.1"
        self._context = context
        self._first, self._further = first, further
        self.header: Mapping[str, Any] = (
            {key: value for key, value in first.items() if key.startswith("@iot.") and key != "@iot.id"}
            if type(first) is dict and "value" in first
            else {}
        )
        rules = context.mapping.rules.values()
        self._named = {source.column for rule in rules for source in rule.sources}
        self._seen: set[str] = set()
        self.total: int | None = None
        self.chunk = self.new_chunk()

    @property
    def crs(self) -> SourceCrs | None:
        return parse_crs(CRS84, self.file)

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, PlainShapes())

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        yield from self._page(0, self._first)
        for number, line in self._further:
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError:
                yield self._bad("", "not JSON", number)
                continue
            yield from self._page(number, document)

    def _page(self, line: int, document: Any) -> Iterator[BadObject | None]:
        found = entities(document)
        if found is None:
            yield self._bad("", "nothing of SensorThings", line)
            return
        if type(document) is dict and "@iot.nextLink" in document:
            self._context.notes.append(
                f"{self.file} has pages that are not the last: fetch what @iot.nextLink names too"
            )
        for node in found:
            match kind_of(node):
                case str(kind) if self._context.request.collection not in (OBSERVATION, SENSOR):
                    self._context.skipped[kind] += 1
                case "Observation":
                    yield from self._observed(line, node, node.get("Datastream"), None)
                case "dataArray":
                    yield from self._array(line, node)
                case "Datastream":
                    yield from self._datastream(line, node, node.get("Thing"))
                case "Thing":
                    yield from self._thing(line, node)
                case _:
                    yield self._bad(_id(node) or "", "no Observation, Datastream or Thing", line)

    def _thing(self, line: int, thing: Entity) -> Iterator[BadObject | None]:
        streams = thing.get("Datastreams")
        if type(streams) is not list:
            yield self._bad(_id(thing) or "", "a Thing without its Datastreams: ask with $expand=Datastreams", line)
            return
        for stream in streams:
            if type(stream) is dict:
                yield from self._datastream(line, stream, thing)
            else:
                yield self._bad(_id(thing) or "", "a Datastream that is no JSON object", line)

    def _datastream(self, line: int, stream: Entity, thing: Any) -> Iterator[BadObject | None]:
        if "unitOfMeasurements" in stream:
            yield self._bad(_id(stream) or "", "a MultiDatastream, which is not read", line)
            return
        if self._context.readings:
            observations = stream.get("Observations")
            if type(observations) is not list:
                self._context.skipped[_DATASTREAM] += 1
                return
            for node in observations:
                yield from self._observed(line, node, stream, thing)
            if "Observations@iot.nextLink" in stream:
                self._context.notes.append(f"{self.file} has not all Observations of its Datastreams")
        else:
            yield self._sensor(line, stream, thing)

    def _array(self, line: int, node: Entity) -> Iterator[BadObject | None]:
        """The data array extension: rows under the names of components."""
        names, rows = node["components"], node["dataArray"]
        stream = node.get("Datastream")
        if type(stream) is not dict:
            link = _IN_SHORT_LINK.search(str(node.get("Datastream@iot.navigationLink", "")))
            stream = {"@iot.id": _unquoted(link[1])} if link else None
        if type(names) is not list or type(rows) is not list or not all(type(name) is str for name in names):
            yield self._bad("", "a data array that is not as SensorThings has it", line)
            return
        own = ["@iot.id" if name == "id" else name for name in names]
        for row in rows:
            if type(row) is not list or len(row) != len(own):
                yield self._bad("", f"a row of a data array that has not {len(own)} values", line)
            else:
                yield from self._observed(line, dict(zip(own, row, strict=True)), stream, None)

    def _observed(self, line: int, node: Any, stream: Any, thing: Any) -> Iterator[BadObject | None]:
        """An Observation: a reading, or, where sensors are imported, its Datastream."""
        if type(node) is not dict:
            yield self._bad("", "an Observation that is no JSON object", line)
        elif self._context.readings:
            yield self._reading(line, node, stream if type(stream) is dict else {}, thing)
        elif type(stream) is dict and kind_of(stream) == _DATASTREAM:
            if _id(stream) not in self._seen:
                yield self._sensor(line, stream, stream.get("Thing"))
        else:
            self._context.skipped[_OBSERVATION] += 1

    def _reading(self, line: int, node: Entity, stream: Entity, thing: Any) -> BadObject | None:
        sensor = _id(stream) or _stream_of(node)
        if sensor is None:
            self._context.objects += 1
            return BadObject(self.file, _id(node) or "", "no Datastream: ask with $expand=Datastream", line)
        found: dict[str, Any] = {}
        for other in (thing if type(thing) is dict else stream.get("Thing"), stream, node.get("FeatureOfInterest")):
            properties = other.get("properties") if type(other) is dict else None
            if type(properties) is dict:
                found |= {key: value for key, value in properties.items() if key in self._named}
        found |= {key: node[key] for key in _OWN if node.get(key) is not None}
        found |= _times(node.get("phenomenonTime"))
        found |= {"Datastream": sensor, **_observed(stream)}
        kept = node if "Datastream" in node else node | {"Datastream": {"@iot.id": stream.get("@iot.id", sensor)}}
        return self._row(line, _id(node), found, kept, None)

    def _sensor(self, line: int, stream: Entity, thing: Any) -> BadObject | None:
        id = _id(stream)
        if id is not None:
            if len(self._seen) >= LIMITS.stream_entities:
                raise BadFile(f"more than {LIMITS.stream_entities:,} Datastreams", place=self.file)
            self._seen.add(id)
        thing = thing if type(thing) is dict else {}
        found: dict[str, Any] = {}
        for other in (thing, stream):
            properties = other.get("properties")
            if type(properties) is dict:
                found |= properties
        for key in ("name", "description", "observationType"):
            if stream.get(key) is not None:
                found[key] = stream[key]
        for name, entity in ((_THING, thing), ("Sensor", stream.get("Sensor"))):
            if type(entity) is dict and entity.get("name") is not None:
                found[name] = entity["name"]
        found |= _observed(stream)
        kept = {key: value for key, value in stream.items() if key != "Observations"}
        if thing and "Thing" not in kept:
            kept["Thing"] = {key: value for key, value in thing.items() if key != "Datastreams"}
        return self._row(line, id, found, kept, _place(thing))

    def _row(self, line: int, own: str | None, found: Entity, kept: Entity, place: Any) -> BadObject | None:
        context = self._context
        if not context.wanted(found):
            return None
        context.objects += 1
        id = context.id_of(own, found, context.objects)
        if context.lacks_id(id):
            return context.no_id(self.file, found, line, first=context.objects == 1)
        try:
            raw = orjson.dumps(kept)
            row = self.chunk.row(id, found, line, context.attributes)
        except orjson.JSONEncodeError:
            return BadObject(self.file, id or "", "nested too deeply", line)
        except OutOfRange as error:
            return BadObject(self.file, id or "", str(error), line)
        self.chunk.originals.append((raw, [row]))
        if place is not None:
            assert isinstance(self.chunk.shapes, PlainShapes)
            try:
                self.chunk.shapes.add_geometry(row, place)
            except BadGeometry as error:
                self.chunk.fail(row, error)
        return None

    def _bad(self, id: str, why: str, line: int) -> BadObject:
        self._context.objects += 1
        return BadObject(self.file, id, why, line)


def _id(node: Any) -> str | None:
    """An entity's id, else that of its own link."""
    if type(node) is not dict:
        return None
    text = Context.text(node.get("@iot.id"))
    if text is not None:
        return text
    link = _IN_LINK.search(str(node.get("@iot.selfLink", "")))
    return _unquoted(link[2]) if link else None


def _stream_of(node: Entity) -> str | None:
    """The Datastream that an Observation's link names, where it names one and not only the way to it."""
    link = _IN_SHORT_LINK.search(str(node.get("Datastream@iot.navigationLink", "")))
    return _unquoted(link[1]) if link else None


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text


def _times(phenomenon: Any) -> Entity:
    """Of an instant: when it was. Of an interval: its begin, and both ends."""
    if type(phenomenon) is not str or "/" not in phenomenon:
        return {}
    begin, _, end = phenomenon.partition("/")
    return {"phenomenonTime": begin, "valid_from": begin, "valid_to": end}


def _observed(stream: Entity) -> Entity:
    """What a Datastream observes, and in which unit."""
    found: Entity = {}
    observed, unit = stream.get("ObservedProperty"), stream.get("unitOfMeasurement")
    if type(observed) is dict:
        if observed.get("name") is not None:
            found["ObservedProperty"] = observed["name"]
        if type(observed.get("definition")) is str:
            found["ObservedPropertyDefinition"] = re.split("[/#]", observed["definition"].rstrip("/#"))[-1]
    if type(unit) is dict and unit.get("symbol") is not None:
        found["unit"] = unit["symbol"]
    return found


def _place(thing: Entity) -> Any:
    """The geometry of a Thing's first Location that is GeoJSON; None where there is none."""
    locations = thing.get("Locations")
    for location in locations if type(locations) is list else ():
        shape = location.get("location") if type(location) is dict else None
        if type(shape) is dict and shape.get("type") == "Feature":
            shape = shape.get("geometry")
        if type(shape) is dict and type(shape.get("type")) is str:
            return shape
    return None
