"""Every error of a mapping that docs/mapping.md lists, with its place; and the document's other promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cimfed.errors import BadFile, BadMapping
from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.ingest import ImportRequest, import_files, preview, write_mapping
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.mapping import read_mapping
from tests.ingest.making import feature, features, imported, refused, request_for

DOCS = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"
BUILDING = VOCABULARY.collections["building"]
HEAD = "format: cimfed/mapping/v1\n"


def rules(text: str) -> str:
    """A mapping with such properties, one a line."""
    return HEAD + "properties:\n" + "".join(f"  {line}\n" for line in text.splitlines())


# mapping, what it says, the place after the file's name, what the remedy names
ERRORS: dict[str, tuple[str, str, str, str]] = {
    "unknown key": (HEAD + "propertys: {}", "unknown key 'propertys'", "", "properties"),
    "unknown key of a rule": (rules("height: {form: h}"), "unknown key 'form'", "properties.height", "from"),
    "unknown key of a later rule": (
        rules("height: [h, {from: i, unit: m}]"),
        "unknown key 'unit'",
        "properties.height",
        "factor",
    ),
    "no property": (rules("heigth: h"), "'heigth' is no property of building", "properties.heigth", "height"),
    "filled: id": (rules("id: nr"), "'id' is filled by the import itself", "properties.id", "height"),
    "filled: ext": (rules("ext: rest"), "'ext' is filled by the import itself", "properties.ext", "height"),
    "filled: geometry": (rules("geometry_lod0: g"), "is filled by the import itself", "properties.geometry_lod0", ""),
    "filled: footprint_method": (
        rules("footprint_method: g"),
        "is filled by the import itself",
        "properties.footprint_method",
        "",
    ),
    "no code": (
        rules("function: {from: f, codes: {shop: store}}"),
        "'store' is no code of function",
        "properties.function.codes.shop",
        "retail",
    ),
    "no code otherwise": (
        rules("function: {from: f, otherwise: misc}"),
        "'misc' is no code of function",
        "properties.function.otherwise",
        "other",
    ),
    "no code constant": (
        rules("function: {constant: castle}"),
        "'castle' is no code of function",
        "properties.function",
        "hotel",
    ),
    "no code but case": (
        rules("function: {constant: Hotel}"),
        "'Hotel' is no code of function",
        "properties.function",
        "hotel",
    ),
    "no table": (
        rules("function: {from: f, codes: funktion}"),
        "there is no shipped table 'funktion'",
        "properties.function.codes",
        "roof_type",
    ),
    "no mapping": (HEAD + "extends: castle", "there is no such shipped mapping", "extends", "building_part"),
    "codes for a number": (
        rules("height: {from: h, codes: function}"),
        "'codes' does not go with decimal",
        "properties.height",
        "",
    ),
    "otherwise for text": (
        rules("district: {from: d, otherwise: x}"),
        "'otherwise' does not go with text",
        "properties.district",
        "",
    ),
    "factor for a code": (
        rules("function: {from: f, factor: 2}"),
        "'factor' does not go with code",
        "properties.function",
        "",
    ),
    "decimal for text": (
        rules("district: {from: f, decimal: ','}"),
        "'decimal' does not go with text",
        "properties.district",
        "",
    ),
    "minus for a time": (
        rules("valid_from: {from: f, minus: g}"),
        "'minus' does not go with time",
        "properties.valid_from",
        "",
    ),
    "part for a decimal": (
        rules("height: {from: f, part: year}"),
        "'part' does not go with decimal",
        "properties.height",
        "",
    ),
    "attribute twice": (
        rules("height: [h, i, {from: h, factor: 2}]"),
        "an attribute stands twice",
        "properties.height",
        "",
    ),
    "attribute twice in a list": (
        rules("height: {from: [h, h]}"),
        "an attribute stands twice",
        "properties.height.from",
        "",
    ),
    "id twice": (HEAD + "id: [a, b, a]", "an attribute stands twice", "id", ""),
    "key twice": (rules("height: h\nheight: i"), "'height' twice", ":4:3", ""),
    "key twice at the top": (HEAD + HEAD, "'format' twice", ":2:1", ""),
    "key twice in codes": (rules("function: {from: f, codes: {a: other, a: hotel}}"), "'a' twice", ":3:", ""),
    "no format": ("properties: {}", "the first line of a mapping is 'format: cimfed/mapping/v1'", "format", ""),
    "another format": ("format: cimfed/mapping/v9", "the first line of a mapping is", "format", ""),
    "a list": ("- a", "expected a mapping of keys to values", "", ""),
    "empty": ("", "expected a mapping of keys to values", "", ""),
    "properties of a list": (HEAD + "properties: [a]", "expected rules by property", "properties", ""),
    "no from": (rules("height: {factor: 2}"), "a rule has 'from' or 'constant'", "properties.height", ""),
    "from of a mapping": (
        rules("height: {from: {a: b}}"),
        "expected an attribute's name or a list",
        "properties.height.from",
        "",
    ),
    "from of nothing": (
        rules("height: {from: ['']}"),
        "expected an attribute's name or a list",
        "properties.height.from",
        "",
    ),
    "ids of a mapping": (HEAD + "id: {a: b}", "expected an attribute's name or a list", "id", ""),
    "part month": (rules("year_built: {from: y, part: month}"), "'part' can only be year", "properties.year_built", ""),
    "decimal apostrophe": (
        rules('height: {from: h, decimal: "\'"}'),
        "'decimal' is '.' or ','",
        "properties.height",
        "",
    ),
    "minus of a list": (
        rules("height: {from: h, minus: [a]}"),
        "'minus' is an attribute's name",
        "properties.height",
        "",
    ),
    "factor text": (rules("height: {from: h, factor: foot}"), "'factor' is a number", "properties.height", ""),
    "factor zero": (
        rules("height: {from: h, factor: 0}"),
        "'factor' is a number other than 0",
        "properties.height",
        "",
    ),
    "factor infinite": (
        rules("height: {from: h, factor: inf}"),
        "'factor' is a number other than 0",
        "properties.height",
        "",
    ),
    "factor list": (rules("height: {from: h, factor: [1]}"), "'factor' is a number", "properties.height", ""),
    "constant and more": (
        rules("source: {constant: a, from: b}"),
        "a constant is one value and stands alone",
        "properties.source",
        "",
    ),
    "constant list": (
        rules("source: {constant: [a]}"),
        "a constant is one value and stands alone",
        "properties.source",
        "",
    ),
    "constant no number": (rules("height: {constant: high}"), "'high' is no decimal", "properties.height", ""),
    "constant too large": (
        rules("height: {constant: 1e17}"),
        "is too large for DECIMAL(18, 2)",
        "properties.height",
        "",
    ),
    "codes of a number": (
        rules("function: {from: f, codes: [[a]]}"),
        "expected a shipped table's name or a mapping",
        "properties.function.codes",
        "",
    ),
    "code of a list": (
        rules("function: {from: f, codes: {a: [other]}}"),
        "expected a code",
        "properties.function.codes.a",
        "",
    ),
    "name of a number": (
        rules("name: {en: {a: b}}"),
        "expected an attribute's name or a list",
        "properties.name.en",
        "",
    ),
    "pattern elsewhere": (rules("name: {en: 'name:*'}"), "a pattern ends with its one star", "properties.name.en", ""),
    "no pattern": (rules("name: {'*': name}"), "a pattern ends with its one star", "properties.name.*", ""),
    "two stars": (rules("name: {'*': 'n*e:*'}"), "a pattern ends with its one star", "properties.name.*", ""),
    "not YAML": (HEAD + "x: [a", "", ":", ""),
    "a tab": (HEAD + "\tx: a", "", ":2:", ""),
    "a list as key": (HEAD + "? [a]\n: b", "a key is plain text", ":2:3", ""),
    "two documents": (HEAD + "---\n" + HEAD, "", ":", ""),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_wrong_mapping_says_what_and_where(name: str, tmp_path: Path) -> None:
    text, told, place, remedy = ERRORS[name]
    error = refused(tmp_path, features(feature(height=1)), mapping=text)
    assert error.reason == "bad_mapping"
    assert told in error.message
    wanted = f"mapping.yaml{place}" if place.startswith(":") else f"mapping.yaml: {place}" if place else "mapping.yaml"
    assert error.place is not None
    assert error.place.startswith(wanted) if place.startswith(":") else error.place == wanted
    assert remedy in (error.remedy or "")


def test_every_error_that_the_documentation_lists_occurs_above() -> None:
    section = DOCS.read_text("utf-8").split("## Errors")[1]
    listed = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    assert len(listed) >= 8
    told = [message for _, message, _, _ in ERRORS.values()]
    for entry in listed:
        for phrase in re.findall(r"`([^`]+)`", entry):
            words = [word.strip() for word in phrase.split("…") if word.strip()]
            assert any(all(word in message for word in words) for message in told), phrase


def test_a_mapping_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadMapping, match="cannot be read"):
        read_mapping(tmp_path / "gone.yaml", BUILDING)
    path = tmp_path / "m.yaml"
    path.write_bytes(HEAD.encode() + b"# \xff")
    with pytest.raises(BadMapping, match="not UTF-8"):
        read_mapping(path, BUILDING)
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert read_mapping(path, BUILDING).rules == {}
    monkeypatch.setitem(LIMITS.__dict__, "mapping", 10)
    with pytest.raises(BadMapping, match="a mapping has at most"):
        read_mapping(path, BUILDING)


@pytest.mark.parametrize("text", ["[" * 1200, "a: " + "[" * 1200 + "]" * 1200], ids=["open", "closed"])
def test_a_deep_mapping_is_refused(text: str, tmp_path: Path) -> None:
    assert refused(tmp_path, features(feature()), mapping=text).reason == "bad_mapping"


def test_every_scalar_is_text(tmp_path: Path) -> None:
    """YAML 1.1 would read these as false, 8, 1.5 and a date."""
    text = rules("district: {constant: no}\nparcel_id: {constant: 010}\nsource: {constant: 2024-01-01}")
    (row,) = imported(tmp_path, features(feature()), mapping=text)[0].values()
    assert (row["district"], row["parcel_id"], row["source"]) == ("no", "010", "2024-01-01")


def test_an_extended_mapping_keeps_what_it_does_not_replace(tmp_path: Path) -> None:
    text = HEAD + "extends: building\nid: [nr]\nproperties: {height: [h]}\n"
    rows, _ = imported(tmp_path, features(feature(..., nr="n", height=1, h=2, levels=3, osm_id=4)), mapping=text)
    assert set(rows) == {"n"}
    assert (rows["n"]["height"], rows["n"]["storeys_above"]) == (2, 3)
    assert rows["n"]["ext"] == {"height": 1, "osm_id": 4}


def test_the_worked_example_of_the_documentation_does_what_is_said_there(tmp_path: Path) -> None:
    text = re.findall(r"```yaml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[0]
    assert yaml.safe_load(text)["extends"] == "building"
    made = [
        feature(
            ..., высота_м="12,5", height_ft=10, h_dak_max=9, **{"кадастровый_номер": "77:01", "наименование": "Дом"}
        ),
        feature(..., высота_м="", height_ft="100", год_постройки="1998-05-03", назначение="ТОРГОВОЕ", атауы="Үй"),
        feature(
            ..., h_dak_max=20.5, h_maaiveld="-0.5", start_date="2001", назначение="неизвестно", **{"name:tg": "Хона"}
        ),
        feature(..., потребление_МВтч_год="1.2345", назначение="замок", класс="жилое"),
    ]
    rows, report = imported(tmp_path, features(*made), mapping=text)
    assert set(rows) == {"77:01", "#2", "#3", "#4"}
    one, two, three, four = (rows[id] for id in ("77:01", "#2", "#3", "#4"))
    assert [str(row["height"]) for row in (one, two, three, four)] == ["12.50", "30.48", "21.00", "None"]
    assert one["ext"] == {"height_ft": 10, "h_dak_max": 9}
    assert (two["year_built"], three["year_built"]) == (1998, 2001)
    assert [row["function"] for row in (one, two, three, four)] == [None, "retail", None, "other"]
    assert three["ext"]["назначение"] == "неизвестно"
    assert str(four["energy_kwh"]) == "1234.5"
    assert (one["name"], two["name"], three["name"]) == ({"ru": "Дом"}, {"kk": "Үй"}, {"tg": "Хона"})
    assert {row["source"] for row in rows.values()} == {"cadastre of 2024"}
    assert report.unmapped == {}


def test_a_written_mapping_imports_the_same_and_lists_unknown_codes(tmp_path: Path) -> None:
    data = features(
        feature("a", function="Office", height="3", **{"name:en": "A"}), feature("b", function="castle", class_=1)
    )
    found = preview(request_for(tmp_path, [data], "building", "xx.city", {}))
    text = write_mapping(found.mapping)
    assert yaml.safe_load(text)["properties"]["function"]["codes"]["castle"] is None
    before, _ = imported(tmp_path / "before", data)
    after, _ = imported(tmp_path / "after", data, mapping=text)
    assert before == after
    filled, _ = imported(tmp_path / "filled", data, mapping=text.replace("castle: null", "castle: other"))
    assert filled["b"]["function"] == "other"


def test_a_request_for_no_file_is_refused(tmp_path: Path) -> None:
    request = ImportRequest((), CityName("xx.city"), "building")
    with pytest.raises(BadFile, match="no file was named"):
        import_files(request, tmp_path / "snapshots")


def value(folder: Path, mapping: str, **properties: Any) -> dict[str, Any]:
    return imported(folder, features(feature("a", **properties)), mapping=mapping)[0]["a"]


def test_null_in_codes_is_known_and_says_nothing(tmp_path: Path) -> None:
    for number, null in enumerate(("null", "~", "''")):
        text = rules(f"function: {{from: f, codes: [function, {{shop: {null}}}], otherwise: other}}")
        row = value(tmp_path / str(number), text, f="shop")
        assert row["function"] is None
        assert row["ext"] == {"f": "shop"}


def test_a_rule_that_nothing_answers_to_is_told(tmp_path: Path) -> None:
    """Rules of the shipped mapping are for many sources; the operator's own should find something."""
    _, report = imported(
        tmp_path,
        features(feature("a", hoehe=5)),
        mapping="format: cimfed/mapping/v1\nextends: building\n"
        "properties: {height: [hohe, hoehe_m], year_built: hoehe}\n",
    )
    assert [note for note in report.notes if "mapping" in note] == [
        "no object has what the mapping names for height: hohe, hoehe_m"
    ]
