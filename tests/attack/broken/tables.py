"""CSV, and readings of SensorThings."""

from __future__ import annotations

import json
from pathlib import Path

from tests.attack.broken.kind import Kind, aside, error
from tests.ingest.making import lines
from tests.ingest.test_sensorthings import Entity, observation, page, stream

GEO = ("--crs", "OGC:CRS84")
HEAD = "id,x,y,height\n"
GOOD = HEAD + "good,69.2,41.3,12\n"
WKT = "id;wkt\ngood;POINT (69.2 41.3)\n"


def table(text: str | bytes, says: str, at: str = "x", *options: str) -> Kind:
    return error(text, says, at, *(options or GEO))


def row(text: str, says: str, bad: str = "bad") -> Kind:
    """A row after the good one."""
    return aside(GOOD + text + "\n", says, bad, "x:3", *GEO)


def wkt(text: str, says: str) -> Kind:
    def make(folder: Path) -> Path:
        (folder / "m.yaml").write_text("format: cimfed/mapping/v1\nextends: building\ngeometry: wkt\n")
        (folder / "x").write_text(WKT + f"bad;{text}\n")
        return folder / "x"

    return aside(make, says, "bad", "x:3", *GEO, "--mapping", "{}/m.yaml")


CSV: dict[str, Kind] = {
    "no system": error(GOOD, "without a coordinate reference system"),
    "a header alone": table(HEAD, "nothing for the collection building"),
    "no header": table("a,69.2,41.3,12\nb,69.3,41.3,12\n", "no column of x coordinates"),
    "no column of y": table("id,x\na,69.2\n", "no column of y coordinates"),
    "a column twice": table("id,x,y,x\na,1,2,3\n", "the column 'x' stands twice"),
    "no column of ids": table("x,y\n69.2,41.3\n", "no ids"),
    "an unknown column to choose by": table(GOOD, "there is no column 'b'", "x", *GEO, "--where", "b=1"),
    "quotes that never end": table(GOOD + '"bad,69.2,41.3,12\n', "not readable as CSV", "x:3"),
    "text after quotes": table(GOOD + '"bad"x,69.2,41.3,12\n', "not readable as CSV", "x:3"),
    "a zero in a text": table(GOOD.encode() + b"b\x00d,69.2,41.3,12\n", "binary"),
    "bytes of another encoding": table(GOOD.encode() + "дом,69.2,41.3,12\n".encode("cp1251"), "not UTF-8", "x:3"),
    "an encoding that is not its own": table(
        GOOD.encode() + b"\x98,69.2,41.3,12\n", "not CP1251", "x:3", *GEO, "--encoding", "Windows-1251"
    ),
    "an encoding that is none": error(
        GOOD, "'klingon'", "--encoding", *GEO, "--encoding", "klingon", reason="bad_config"
    ),
    "UTF-16": table(GOOD.encode("utf-16"), "UTF-16 text"),
    "a web page": table("<html><body>404, not found</body></html>\n", "XML, which is not read"),
    "prose": table("We do not give\nour data.\n", "nothing that is read"),
    "a cell too few": row("bad,69.2,41.3", "3 cells under 4 columns"),
    "a cell too many": row("bad,69.2,41.3,12,13", "5 cells under 4 columns"),
    "no id": row(",69.2,41.3,12", "no id", ""),
    "words for a place": row("bad,here,there,12", "not two numbers"),
    "half a place": row("bad,69.2,,12", "not two numbers"),
    "not a number for a place": row("bad,NaN,41.3,12", "not two numbers"),
    "infinity for a place": row("bad,inf,41.3,12", "not two numbers"),
    "a latitude of a hundred": row("bad,41.3,169.2,12", "outside"),
    "a decimal comma for a place": row('bad,"69,2",41.3,12', "not two numbers"),
    "a height without end": row("bad,69.2,41.3,1e300", "too large"),
    "a text of a megabyte": aside(
        f"id,x,y,name\ngood,69.2,41.3,a\nbad,69.2,41.3,{'x' * (2**20 + 1)}\n", "a text of more than", "bad", "x:3", *GEO
    ),
    "WKT that is none": wkt("HOUSE (1 2)", "WKT"),
    "WKT cut off": wkt("POLYGON ((69.2 41.3, 69.3", "WKT"),
    "WKT that is open": wkt("POLYGON ((69.2 41.3, 69.3 41.3, 69.3 41.4, 69.2 41.4))", "neither WKT nor WKB"),
    "WKT of no numbers": wkt("POINT (NaN 41.3)", "outside"),
    "WKT nested without end": wkt("GEOMETRYCOLLECTION (" * 3000 + "POINT (1 2)" + ")" * 3000, "nested too deeply"),
}


def readings(*entities: Entity, says: str, bad: str | None = None, line: bool = True) -> Kind:
    """A good reading, and these."""
    good = page(observation("good", Datastream=stream()))
    text = lines(good, page(*entities))
    return aside(text, says, bad or "", "x:2" if line else "x", collection="observation")


def whole(text: str | Entity, says: str, at: str = "x") -> Kind:
    return error(text, says, at, collection="observation")


READ = page(observation("good", Datastream=stream()))
SENSORTHINGS: dict[str, Kind] = {
    "cut off": whole(json.dumps(READ)[:-9], "not JSON: it ends in its middle", "x:1:"),
    "an answer that is an error": whole({"code": 404, "type": "error", "message": "no"}, "JSON of type 'error'"),
    "a page of nothing": whole(page(), "nothing for the collection observation"),
    "a page of text": aside(
        lines(READ, {"value": "none"}), "nothing of SensorThings", "", "x:2", collection="observation"
    ),
    "a line that is cut off": aside(lines(READ) + '{"value": [', "not JSON", "", "x:2", collection="observation"),
    "no Datastream": readings(observation("bad"), says="no Datastream", bad="bad"),
    "a Thing without Datastreams": readings(
        {"@iot.id": "bad", "name": "a", "Locations": []}, says="a Thing without its Datastreams", bad="bad"
    ),
    "a MultiDatastream": readings(
        stream("bad", unitOfMeasurements=[], Observations=[observation()]), says="MultiDatastream", bad="bad"
    ),
    "a value without end": readings(observation("bad", 1e300, Datastream=stream()), says="too large", bad="bad"),
    "an array of half a row": readings(
        {"Datastream": {"@iot.id": 3}, "components": ["id", "phenomenonTime", "result"], "dataArray": [["bad", 1]]},
        says="has not 3 values",
    ),
    "an array without names": readings(
        {"Datastream": {"@iot.id": 3}, "dataArray": [[1]]}, says="nothing of SensorThings"
    ),
    "a reading twice": error(lines(READ, READ), "stand for several objects", "id", collection="observation"),
}

KINDS = {
    **{f"CSV: {name}": kind for name, kind in CSV.items()},
    **{f"SensorThings: {name}": kind for name, kind in SENSORTHINGS.items()},
}
