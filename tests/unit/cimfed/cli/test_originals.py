"""Untouched objects of hostile cities: no file gets its name, no name is of their words, no text gets in unread."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from cimfed import paths
from cimfed.cli.output_original import Written, write_originals
from cimfed.errors import BadAnswer, BadConfig, Conflict, Truncated
from cimfed.model.schema import ORIGINAL_FIELDS

CITY = "kz.almaty"
FEATURE = '{"type":"Feature","properties":{"a":1},"geometry":null}'
CITYJSON = {"file": "a.city.json", "header": {"type": "CityJSON", "version": "2.0", "metadata": {"title": "Алматы"}}}
COLLECTION = {"file": "a.geojson", "header": {"type": "FeatureCollection", "name": "x", "features": "no"}}
CORE = "http://www.opengis.net/citygml/2.0"
CITYGML = {
    "file": "a.gml",
    "header": {
        "format": "CityGML 2.0",
        "namespaces": {"": CORE},
        "attributes": {
            "{urn:x}schemaLocation": 'a "b" <c>',
            "plain": "&",
            "{http://www.w3.org/XML/1998/namespace}lang": "ru",
        },
        "before": ['<g:name xmlns:g="urn:g">n</g:name>'],
    },
}
LINES = {"file": "a.geojsonl", "header": {}}
TABLE = {"file": "../../a.csv", "header": {"columns": ["a"]}}
LYING = {**TABLE, "city": "uz.tashkent", "objects": -1}


def batch(*rows: tuple[str | None, int | None], city: str = CITY) -> pa.RecordBatch:
    texts, numbers = zip(*rows, strict=True)
    columns: list[Any] = [pa.array([city] * len(rows)), pa.array(texts, pa.string()), pa.array(numbers, pa.int64())]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([pa.field("city", pa.string()), *ORIGINAL_FIELDS]))


def write(folder: Path, headers: Sequence[Any], *batches: pa.RecordBatch) -> Written:
    return write_originals(batches, lambda _: headers, folder / "got", lambda: {"format": "cimfed/provenance/v1"})


def test_each_file_of_a_city_becomes_one_of_its_own_format(tmp_path: Path) -> None:
    feature = '{"type":"CityJSONFeature","id":"x","CityObjects":{},"vertices":[]}'
    rows = batch((feature, 0), (FEATURE, 1), (None, None), ('{"a": "\\ud800"}', 3), (FEATURE, 1), (FEATURE, 2))
    other = batch((FEATURE, 2), (feature, 0), city="uz.tashkent")
    written = write(tmp_path, [CITYJSON, COLLECTION, LINES, LYING], rows, rows, other)
    assert written == Written(14, 12, 6)
    got = tmp_path / "got"
    assert list(tmp_path.iterdir()) == [got]
    assert {path.name for path in got.iterdir() if not path.name.endswith(".metadata.json")} == {
        "kz.almaty.city.jsonl",
        "kz.almaty_2.geojson",
        "kz.almaty_3.geojsonl",
        "kz.almaty_4.jsonl",
        "uz.tashkent.city.jsonl",
        "uz.tashkent_3.geojsonl",
    }
    lines = (got / "kz.almaty.city.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0]) == {**CITYJSON["header"], "CityObjects": {}, "vertices": []}  # type: ignore[dict-item]
    assert lines[1:] == [feature, feature]
    assert json.loads((got / "kz.almaty_2.geojson").read_bytes()) == {
        "type": "FeatureCollection",
        "name": "x",
        "features": [json.loads(FEATURE)] * 4,
    }
    assert (got / "kz.almaty_3.geojsonl").read_text("utf-8").splitlines() == [FEATURE, FEATURE]
    assert (got / "kz.almaty_4.jsonl").read_text("utf-8").splitlines() == ['{"a": "\\ud800"}'] * 2
    about = json.loads((got / "kz.almaty_4.jsonl.metadata.json").read_bytes())
    assert about == {"format": "cimfed/provenance/v1", "original": {"city": CITY, "objects": 2, **TABLE}}


def test_two_cities_never_share_a_file(tmp_path: Path) -> None:
    feature = '{"type":"CityJSONFeature"}'
    one, other = batch((feature, 0), city="a.b"), batch(('{"a":1}', 0), city="a.b.city")
    headers = {"a.b": [CITYJSON], "a.b.city": [TABLE]}
    for batches in ([one, other], [other, one]):
        folder = tmp_path / f"got{len(list(tmp_path.iterdir()))}"
        write_originals(batches, headers.__getitem__, folder, lambda: {})
        told = {json.loads(path.read_bytes())["original"]["city"] for path in folder.glob("*.metadata.json")}
        assert told == {"a.b", "a.b.city"}
        assert len(list(folder.iterdir())) == 4


def xml(text: str) -> str:
    return json.dumps(text)


MEMBER = (
    f'<c:cityObjectMember xmlns:c="{CORE}"><b:Building xmlns:b="urn:b" a="&lt;">\n</b:Building></c:cityObjectMember>'
)
BARE = '<b:Building xmlns:b="urn:b"/>'


def test_members_of_citygml_become_a_citymodel_again(tmp_path: Path) -> None:
    assert write(tmp_path, [CITYGML], batch((xml(MEMBER), 0), (xml(BARE), 0)), batch((xml(MEMBER), 0))).objects == 3
    root = ElementTree.parse(tmp_path / "got" / f"{CITY}.gml").getroot()
    assert root.tag == f"{{{CORE}}}CityModel"
    assert root.attrib == CITYGML["header"]["attributes"]  # type: ignore[index]
    assert [child.tag for child in root] == ["{urn:g}name", *[f"{{{CORE}}}cityObjectMember"] * 3]
    assert [[inner.tag for inner in child] for child in root][1:] == [["{urn:b}Building"]] * 3
    assert MEMBER in (tmp_path / "got" / f"{CITY}.gml").read_text("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        BARE + BARE,
        BARE + "text",
        "</core:CityModel>",
        "<b:Building/>",
        '<?xml version="1.0"?>' + BARE,
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        "<a>&e;</a>",
        "<a>\ud800</a>",
        "<a>\x00</a>",
        " " + BARE,
        "<a>" * 257 + "</a>" * 257,
        {"type": "Feature"},
    ],
    ids=range(14),
)
def test_what_is_no_element_is_no_member_of_a_citymodel(text: Any, tmp_path: Path) -> None:
    with pytest.raises(BadAnswer, match=f"{CITY}: an untouched object or its header is no element of CityGML"):
        write(tmp_path, [CITYGML], batch((xml(MEMBER), 0), (json.dumps(text), 0)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "other",
    [
        {"before": ["<a>"]},
        {"before": [1]},
        {"before": "<a/>"},
        {"attributes": []},
        {"attributes": {"a": 1}},
        {"attributes": {'a="b" c': "d"}},
        {"attributes": {"{urn:x}": "d"}},
        {"attributes": {"xmlns:core": "urn:other"}},
        {"attributes": {"xmlns": "urn:other"}},
        {"attributes": {"{http://www.w3.org/2000/xmlns/}core": "urn:other"}},
        {"attributes": {"a": "\x00"}},
    ],
    ids=range(11),
)
def test_a_header_that_is_no_citymodels_is_a_bad_answer(other: dict[str, Any], tmp_path: Path) -> None:
    header = {**CITYGML, "header": {**CITYGML["header"], **other}}  # type: ignore[dict-item]
    with pytest.raises(BadAnswer, match="no element of CityGML"):
        write(tmp_path, [header], batch((xml(MEMBER), 0)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (LINES, "no JSON"),
        (LINES, '{"type":"Feature"'),
        (LINES, '{"type":"Feature"}{"type":"Feature"}'),
        (LINES, '{"type":"Feature",\n"properties":{}}'),
        (LINES, '{"type":"Feature"}\r{"type":"Feature"}'),
        (LINES, '{"type":"Feature","properties":{"a":NaN}}'),
        (LINES, '{"type":"Feature","properties":{"a":-Infinity}}'),
        (LINES, '{"type":"Feature","properties":' + "[" * 100_000 + "]" * 100_000 + "}"),
        (LINES, '{"type":"Feature","properties":{"a":' + "9" * 100_000 + "}}"),
        (LINES, "[1]"),
        (LINES, '"text"'),
        (LINES, "null"),
        (LINES, ""),
        (CITYJSON, FEATURE),
        (CITYJSON, '{"type":"CityJSON"}'),
        (CITYJSON, '{"type":["CityJSONFeature"]}'),
    ],
    ids=range(16),
)
def test_what_is_no_object_of_its_file_is_a_bad_answer_and_nothing_is_left(
    header: Any, text: str, tmp_path: Path
) -> None:
    good = FEATURE if header is LINES else '{"type":"CityJSONFeature"}'
    with pytest.raises(BadAnswer, match=f"{CITY}: an untouched object is no "):
        write(tmp_path, [header], batch((good, 0)), batch((good, 0), (text, 0)))
    assert list(tmp_path.iterdir()) == []


def test_objects_of_two_kinds_in_one_file_are_a_bad_answer(tmp_path: Path) -> None:
    with pytest.raises(BadAnswer, match="no Feature"):
        write(tmp_path, [LINES], batch((FEATURE, 0), ('{"a":1}', 0)))
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield batch((FEATURE, 0))
        assert not (tmp_path / "got").exists()
        raise Truncated("it broke off")

    with pytest.raises(Truncated):
        write_originals(broken(), lambda _: [LINES], tmp_path / "got", lambda: {})
    assert list(tmp_path.iterdir()) == []


def test_no_objects_make_no_folder(tmp_path: Path) -> None:
    assert write(tmp_path, [LINES], batch((None, None))) == Written(1, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_halves_of_characters_in_a_header_are_written_as_escapes(tmp_path: Path) -> None:
    header = {"file": "\ud800", "header": {"type": "CityJSON", "title": "\udfff"}}
    write(tmp_path, [header], batch(('{"type":"CityJSONFeature"}', 0)))
    assert json.loads((tmp_path / "got" / f"{CITY}.city.jsonl").read_text("utf-8").splitlines()[0])["title"] == "\udfff"
    about = json.loads((tmp_path / "got" / f"{CITY}.city.jsonl.metadata.json").read_bytes())
    assert about["original"]["file"] == "\ud800"


def test_a_new_folder_is_one_that_is_not_there_or_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert paths.new_folder(tmp_path / "new") == tmp_path / "new"
    assert paths.new_folder(tmp_path / "empty") == tmp_path / "empty"
    for name in ("full", "full/x", "link", "nowhere"):
        with pytest.raises(Conflict):
            paths.new_folder(tmp_path / name)
    with pytest.raises(BadConfig):
        paths.new_folder(tmp_path / "no" / "such")
    write_originals([batch((FEATURE, 0))], lambda _: [LINES], tmp_path / "empty", lambda: {})
    assert (tmp_path / "empty" / f"{CITY}.geojsonl").exists()
