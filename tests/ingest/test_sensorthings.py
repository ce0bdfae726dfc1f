"""SensorThings pages, lists and data arrays as servers answer them, and tables of readings without a place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.ingest.making import imported, lines, refused

Entity = dict[str, Any]
THING: Entity = {
    "@iot.id": 7,
    "name": "Station 7",
    "description": "on a roof",
    "properties": {"operator": "Uzhydromet", "height": 12.5, "feature": "b-1", "feature_collection": "building"},
    "Locations": [
        {"encodingType": "text/plain", "location": "on a roof"},
        {"encodingType": "application/geo+json", "location": {"type": "Point", "coordinates": [69.24, 41.31]}},
    ],
}


def stream(id: Any = 3, name: str = "PM2.5", symbol: str | None = "ug/m3", **more: Any) -> Entity:
    return {
        "@iot.id": id,
        "name": f"{name} at 7",
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "unitOfMeasurement": {"name": "microgram", "symbol": symbol, "definition": "ucum"},
        "ObservedProperty": {"@iot.id": 1, "name": name, "definition": "http://dbpedia.org/page/Particulates"},
        **more,
    }


def observation(id: Any = 1, result: Any = 12.5, time: Any = "2026-03-01T10:00:00+05:00", **more: Any) -> Entity:
    return {"@iot.id": id, "phenomenonTime": time, "resultTime": None, "result": result, **more}


def page(*entities: Entity, **more: Any) -> Entity:
    return {"value": list(entities), **more}


def readings(folder: Path, *files: Any, **options: Any) -> dict[str, Any]:
    return imported(folder, *files, collection="observation", **options)[0]


FORMS = {
    "page": page(observation(Datastream=stream(Thing=THING))),
    "pretty page": json.dumps(page(observation(Datastream=stream(Thing=THING))), indent=2),
    "list": json.dumps([observation(Datastream=stream(Thing=THING))]),
    "pretty list": json.dumps([observation(Datastream=stream(Thing=THING))], indent=1),
    "one": observation(Datastream=stream(Thing=THING)),
    "lines of pages": lines(page(), page(observation(Datastream=stream(Thing=THING)))),
    "lines of entities": lines(observation(Datastream=stream(Thing=THING))),
    "in a Datastream": page(stream(Observations=[observation()], Thing=THING)),
    "in a Thing": page(THING | {"Datastreams": [stream(Observations=[observation()])]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_reading_wherever_it_stands(tmp_path: Path, form: str) -> None:
    (row,) = readings(tmp_path, FORMS[form]).values()
    assert row["id"] == "1"
    assert row["sensor"] == "3"
    assert (row["feature_collection"], row["feature"]) == ("building", "b-1")
    assert row["property"] == "pm2_5"
    assert row["time"] == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert (row["value"], row["unit"]) == (Decimal("12.5"), "ug/m3")
    assert row["geometry_lod0"] is None
    assert row["valid_from"] is None
    (folder,) = (tmp_path / "snapshots").iterdir()
    with pa.input_stream(str(folder / "original.jsonl.zst"), compression="zstd") as source:
        _, *objects = map(json.loads, source.read().splitlines())
    assert objects[0]["ids"] == ["1"]
    assert objects[0]["object"]["result"] == 12.5
    assert objects[0]["object"]["Datastream"]["@iot.id"] == 3


def test_a_data_array_has_rows_under_names(tmp_path: Path) -> None:
    arrays = page(
        {
            "Datastream@iot.navigationLink": "http://h/v1.1/Datastreams(4)",
            "components": ["id", "phenomenonTime", "result"],
            "dataArray@iot.count": 2,
            "dataArray": [[11, "2026-03-01T10:00:00Z", 1.25], [12, "2026-03-01T10:00:01.000001Z", "0.123456789"]],
        },
        {
            "Datastream": {"@iot.id": "five"},
            "components": ["phenomenonTime", "result"],
            "dataArray": [["2026-03-01T10:00:00Z", 2]],
        },
    )
    rows = readings(tmp_path, arrays)
    assert {id: (row["sensor"], row["value"]) for id, row in rows.items()} == {
        "11": ("4", Decimal("1.25")),
        "12": ("4", Decimal("0.123457")),
        "five//2026-03-01T10:00:00Z": ("five", Decimal(2)),
    }
    assert rows["12"]["time"] == datetime(2026, 3, 1, 10, 0, 1, 1, tzinfo=UTC)


def test_an_interval_is_read_at_its_begin(tmp_path: Path) -> None:
    (row,) = readings(
        tmp_path, page(observation(time="2026-03-01T23:00:00Z/2026-03-02T00:00:00Z", Datastream=stream()))
    ).values()
    assert row["time"] == row["valid_from"] == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert row["valid_to"] == datetime(2026, 3, 2, tzinfo=UTC)


def test_what_is_no_number_stays_beside(tmp_path: Path) -> None:
    made = [
        observation(1, "cloudy", Datastream=stream(), resultQuality="checked"),
        observation(2, {"a": 1}, Datastream=stream(), resultQuality={"DQ": 1}),
        observation(3, None, Datastream=stream("it's", "Wind chill", None), parameters={"k": 1}),
        observation("@4", True, **{"Datastream@iot.navigationLink": "x/v1.1/Datastreams('it''s')"}),
    ]
    rows = readings(tmp_path, page(*made))
    assert [row["value"] for row in rows.values()] == [None] * 4
    assert (rows["1"]["ext"], rows["1"]["quality"]) == (
        {"result": "cloudy", "ObservedPropertyDefinition": "Particulates"},
        "checked",
    )
    assert rows["2"]["ext"]["result"] == {"a": 1}
    assert rows["2"]["ext"]["resultQuality"] == {"DQ": 1}
    assert (rows["3"]["property"], rows["3"]["ext"]["ObservedProperty"]) == (None, "Wind chill")
    assert rows["3"]["ext"]["parameters"] == {"k": 1}
    assert rows["3"]["sensor"] == rows["@4"]["sensor"] == "it's"


SENSORS = {
    "a Thing with Datastreams": page(THING | {"Datastreams": [stream(3), stream(4, "Temperature", "Cel")]}),
    "Datastreams with Thing": page(stream(3, Thing=THING), stream(4, "Temperature", "Cel", Thing=THING)),
    "Observations": page(
        observation(1, Datastream=stream(3, Thing=THING)),
        observation(2, Datastream=stream(3, Thing=THING)),
        observation(3, Datastream=stream(4, "Temperature", "Cel", Thing=THING)),
    ),
}


@pytest.mark.parametrize("form", SENSORS)
def test_sensors_stand_where_their_thing_is(tmp_path: Path, form: str) -> None:
    rows, _ = imported(tmp_path, SENSORS[form], collection="sensor")
    assert {id: (row["property"], row["unit"]) for id, row in rows.items()} == {
        "3": ("pm2_5", "ug/m3"),
        "4": ("air_temperature", "Cel"),
    }
    for row in rows.values():
        assert (row["geometry_lod0"].x, row["geometry_lod0"].y) == (69.24, 41.31)
        assert (row["operator"], row["height"]) == ("Uzhydromet", Decimal("12.50"))
        assert (row["feature_collection"], row["feature"]) == ("building", "b-1")
        assert row["name"]["und"].endswith(" at 7")
        assert row["ext"]["Thing"] == "Station 7"


def test_an_id_is_that_of_the_link_where_there_is_no_other(tmp_path: Path) -> None:
    made = observation("x", Datastream=stream()) | {"@iot.selfLink": "http://h/v1.1/Observations('o 1')"}
    del made["@iot.id"]
    assert readings(tmp_path, page(made)).keys() == {"o 1"}


def test_a_page_that_is_not_the_last_says_so(tmp_path: Path) -> None:
    made = page(observation(Datastream=stream()), **{"@iot.nextLink": "http://h/v1.1/Observations?$skip=1"})
    _, report = imported(tmp_path, made, collection="observation")
    assert any("@iot.nextLink" in note for note in report.notes)


@pytest.mark.parametrize(
    ("collection", "data", "why"),
    [
        ("observation", page(observation()), "$expand=Datastream"),
        ("observation", page(observation(time="2026-03-01T10:00:00", Datastream=stream())), "--time-zone"),
        ("observation", page(observation(result=10**13, Datastream=stream())), "too large"),
        ("observation", page(stream(unitOfMeasurements=[])), "MultiDatastream"),
        ("observation", page(observation(Datastream=stream()), {"name": "?"}), "no Observation"),
        ("observation", page(stream(Observations=[1])), "no JSON object"),
        ("observation", page({"components": ["result"], "dataArray": [[1, 2]]}), "1 values"),
        ("observation", page({"components": [1], "dataArray": [[1]]}), "as SensorThings has it"),
        ("observation", page({"components": ["result"], "dataArray": [[1]]}), "$expand=Datastream"),
        ("observation", lines(page(observation(Datastream=stream()))) + "{\n", "not JSON"),
        ("observation", lines(page(observation(Datastream=stream())), [1]), "nothing of SensorThings"),
        ("observation", page(observation(None, time=None, Datastream=stream())), "without an id"),
        ("sensor", page(THING), "$expand=Datastreams"),
        ("sensor", page(THING | {"Datastreams": ["x"]}), "no JSON object"),
        ("sensor", page(stream(Thing=THING | {"Locations": [{"location": {"type": "Point"}}]})), "coordinates"),
        ("building", page(observation(Datastream=stream())), "skipped: 1 Observation"),
        ("observation", page(), "nothing for the collection"),
        ("observation", "[1, 2]", "JSON list"),
        ("observation", {"value": 3}, "JSON of type"),
        ("observation", {"value": [{"a": 1}]}, "JSON of type"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, collection: str, data: Any, why: str) -> None:
    assert why in refused(tmp_path, data, collection=collection).message


# Tables of readings


def test_a_table_of_readings_needs_no_place_and_no_ids(tmp_path: Path) -> None:
    table = "sensor,property,timestamp,value,unit,quality\ns1,PM10,2026-03-01T10:00:00+05:00,12.340001,ug/m3,checked\n"
    rows = readings(tmp_path, table)
    row = rows["s1/pm10/2026-03-01T05:00:00Z"]
    assert (row["value"], row["unit"], row["quality"]) == (Decimal("12.340001"), "ug/m3", "checked")
    assert row["geometry_lod0"] is None
    placed = "id,lon,lat,time,value\na,69,41,2026-03-01T10:00:00Z,1\n"
    assert readings(tmp_path / "placed", placed, crs="EPSG:4326")["a"]["geometry_lod0"].x == 69
    assert (
        "no column of y"
        in refused(tmp_path / "half", "id,lon,time\na,69,2026-03-01T10:00Z\n", collection="observation").message
    )
    assert "no column of x" in refused(tmp_path / "other", "id,kind\na,x\n", collection="sensor").message
    assert "no column 'nr'" in refused(tmp_path / "nr", table, collection="observation", id_column="nr").message


ZONED = [
    ("Asia/Tashkent", "2026-07-01 10:00:00", timedelta(hours=5)),
    ("Asia/Almaty", "2024-02-01T10:00", timedelta(hours=6)),
    ("Asia/Almaty", "2024-04-01T10:00", timedelta(hours=5)),  # it gave up an hour on 1 March 2024
    ("Europe/Berlin", "2026-07-01T10:00:00.5", timedelta(hours=2)),
    ("Europe/Berlin", "2026-01-01", timedelta(hours=1)),
    ("Asia/Tashkent", "2026-07-01T10:00:00+03:00", timedelta(hours=3)),
    ("Europe/Berlin", "2026-10-25T03:00", timedelta(hours=1)),
    ("Europe/Berlin", "2026-10-25T01:59:59", timedelta(hours=2)),
]


@pytest.mark.parametrize(("zone", "text", "offset"), ZONED)
def test_local_times_are_of_the_zone_that_is_named(tmp_path: Path, zone: str, text: str, offset: timedelta) -> None:
    (row,) = readings(tmp_path, f"id,time,valid_from\na,{text},2026-01-01T00:00Z\n", time_zone=zone).values()
    assert row["time"] == datetime.fromisoformat(text).replace(tzinfo=timezone(offset))


@pytest.mark.parametrize(
    ("zone", "text", "why"),
    [
        (None, "2026-07-01T10:00:00", "--time-zone"),
        (None, "2026-07-01", "--time-zone"),
        ("Europe/Berlin", "2026-03-29T02:30", "skipped"),
        ("Europe/Berlin", "2026-10-25T02:30", "twice"),
        ("Asia/Almaty", "2024-02-29T23:30", "twice"),
        ("Mars/Olympus", "2026-07-01T10:00", "no time zone"),
        ("../../etc/passwd", "2026-07-01T10:00", "no time zone"),
        ("Asia", "2026-07-01T10:00", "no time zone"),
    ],
)
def test_times_are_never_guessed_at(tmp_path: Path, zone: str | None, text: str, why: str) -> None:
    assert why in refused(tmp_path, f"id,time\na,{text}\n", collection="observation", time_zone=zone).message


def test_one_bad_time_does_not_stop_what_has_a_quarantine(tmp_path: Path) -> None:
    table = "id,time\na,2026-10-25T02:30\nb,2026-10-25T04:30\n"
    rows = readings(tmp_path, table, time_zone="Europe/Berlin", quarantine=tmp_path / "bad")
    assert rows.keys() == {"b"}
    assert "twice" in json.loads((tmp_path / "bad").read_text())["reason"]
