"""The vocabulary: what it has, what a document may say, and what a change does to old data and policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from cimfed.errors import BadVocabulary
from cimfed.model import vocabulary
from cimfed.model.vocabulary import COMPARABLE, VOCABULARY, Vocabulary
from cimfed.model.vocabulary.compare import compare
from cimfed.model.vocabulary.document import read
from cimfed.query.check import check_request
from cimfed.query.cql2 import parse
from cimfed.query.query import Read

FOLDER = Path(vocabulary.__file__).parent

COMMON = """\
version: "7"
collections: [pipe]
properties:
  id: {type: text, meaning: identifier}
  zmin: {type: decimal, scale: 2, unit: m, levels: [1, 2], meaning: lowest point}
"""
PIPE = """\
meaning: a pipe
properties:
  use: {type: code, codes: [water, gas], meaning: what it carries}
  width: {type: decimal, scale: 2, unit: m, masks: [exact, band, "null"], meaning: inner width}
  owner: {type: text, meaning: owner}
"""


def made(common: str = COMMON, **collections: str) -> Vocabulary:
    return read({"common.yaml": common, **{f"{name}.yaml": text for name, text in collections.items()}})


def refusal(texts: Mapping[str, str], beside: Vocabulary | None = None) -> list[str]:
    """Every fault with its place."""
    with pytest.raises(BadVocabulary) as caught:
        read(texts, beside)
    error = caught.value
    return list(error.details) or [f"{error.place}: {error.message}"]


def test_there_are_the_collections_of_cities() -> None:
    assert list(VOCABULARY.collections) == [
        "building", "building_part", "storey", "room", "transportation", "land_use", "water_body", "vegetation",
        "city_furniture", "bridge", "tunnel", "relief", "admin_unit", "facility", "sensor", "observation",
    ]  # fmt: skip


def test_the_vocabulary_is_what_its_files_say() -> None:
    common = yaml.safe_load((FOLDER / "common.yaml").read_text("utf-8"))
    assert VOCABULARY.version == common["version"]
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {"common", *VOCABULARY.collections}
    for name, collection in VOCABULARY.collections.items():
        document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
        told = common["properties"] | document["properties"]
        assert collection.meaning == document["meaning"]
        assert list(collection.properties) == list(told)
        for prop in collection.properties.values():
            entry = dict(told[prop.name])
            assert (prop.type, prop.meaning) == (entry.pop("type"), entry.pop("meaning"))
            assert (prop.unit, prop.scale) == (entry.pop("unit", ""), entry.pop("scale", 0))
            assert prop.codes == tuple(entry.pop("codes", ()))
            assert prop.masks == tuple(entry.pop("masks", ("exact", "null")))
            assert prop.levels == tuple(entry.pop("levels", ()))
            assert entry == {}


def test_every_property_can_be_asked_for_by_its_name() -> None:
    for name, collection in VOCABULARY.collections.items():
        for prop in collection.properties.values():
            if prop.type in COMPARABLE:
                check_request(Read(name, where=parse(f"{prop.name} IS NOT NULL")))


def test_readings_and_sensors_can_belong_to_whatever_else_there_is() -> None:
    others = tuple(name for name in VOCABULARY.collections if name not in ("sensor", "observation"))
    for name in ("sensor", "observation"):
        assert VOCABULARY.collections[name].properties["feature_collection"].codes == others
    observed = [VOCABULARY.collections[name].properties["property"].codes for name in ("sensor", "observation")]
    assert observed[0] == observed[1]


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("Width: {type: text, meaning: x}", "3:3", "'Width' is no name of a property"),
        ("sum_x: {type: text, meaning: x}", "3:3", "could be a column of an aggregate"),
        ("count: {type: text, meaning: x}", "3:3", "could be a column of an aggregate"),
        ("id: {type: text, meaning: x}", "3:3", "id is a property of all collections already"),
        ("a: {type: float, meaning: x}", "3:13", "there is no such type"),
        ("a: {meaning: x}", "3:6", "a property must say type"),
        ("a: {type: text}", "3:6", "a property must say meaning"),
        ("a: {type: text, meaning: x, size: 3}", "3:31", "unknown word 'size' in a property"),
        ("a: {type: text, meaning: no}", "3:28", 'write it in quotes: "no"'),
        ("a: {type: text, meaning: ' '}", "3:28", "a meaning is one line"),
        ("a: {type: text, type: text, meaning: x}", "3:19", "'type' stands twice"),
        ("a: text", "3:6", "a mapping belongs here"),
        ("a: {type: text, unit: m, meaning: x}", "3:25", "unit does not go with text"),
        ("a: {type: integer, scale: 2, meaning: x}", "3:29", "scale does not go with integer"),
        ("a: {type: decimal, meaning: x}", "3:6", "decimal needs scale"),
        ("a: {type: decimal, scale: 19, meaning: x}", "3:29", "a whole number from 0 to 18"),
        ("a: {type: decimal, scale: two, meaning: x}", "3:29", "a whole number from 0 to 18"),
        ("a: {type: integer, unit: 'a b', meaning: x}", "3:28", "is not a unit"),
        ("a: {type: text, codes: [b], meaning: x}", "3:26", "codes does not go with text"),
        ("a: {type: code, meaning: x}", "3:6", "code needs codes"),
        ("a: {type: code, codes: [], meaning: x}", "3:26", "an empty list says nothing"),
        ("a: {type: code, codes: b, meaning: x}", "3:26", "a list belongs here"),
        ("a: {type: code, codes: [b, c, b], meaning: x}", "3:33", "b stands twice"),
        ("a: {type: code, codes: [b, yes], meaning: x}", "3:30", 'write it in quotes: "yes"'),
        ('a: {type: text, masks: [exact, band, "null"], meaning: x}', "3:26", "band does not go with text"),
        ('a: {type: integer, masks: ["null", exact], meaning: x}', "3:29", "from the finest to the coarsest"),
        ("a: {type: integer, masks: [exact, band], meaning: x}", "3:29", "from the finest to the coarsest"),
        ('a: {type: integer, masks: [exact, year, "null"], meaning: x}', "3:29", "from the finest to the coarsest"),
        ("a: {type: text, levels: [2, 1], meaning: x}", "3:27", "levels rise"),
        ("a: {type: text, levels: [4], meaning: x}", "3:28", "a whole number from 0 to 3"),
        ("a: &x {type: text, meaning: x}", "3:6", "no anchors and aliases"),
        ("a: [", "4:1", "not well-formed YAML"),
        (f"a: {'[' * 9}{']' * 9}", "3:12", "more than 8 levels deep"),
    ],
)
def test_a_fault_is_told_with_its_line_and_column(line: str, place: str, message: str) -> None:
    whole = made(pipe=PIPE)
    (fault,) = refusal({"sewer.yaml": f"meaning: a sewer\nproperties:\n  {line}\n"}, whole)
    assert fault.startswith(f"sewer.yaml:{place}: ")
    assert message in fault


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"pipe.yaml": PIPE}, "common.yaml: it is missing"),
        ({"common.yaml": COMMON}, "common.yaml: pipe is listed, but there is no pipe.yaml"),
        ({"common.yaml": COMMON, "pipe.yaml": PIPE, "x.yaml": PIPE}, "x.yaml: the collection is not listed"),
        ({"common.yaml": COMMON, "pipe.yaml": ""}, "pipe.yaml: the file is empty"),
        ({"common.yaml": COMMON.replace('"7"', "7"), "pipe.yaml": PIPE}, 'common.yaml:1:10: a version such as "2"'),
    ],
)
def test_a_whole_vocabulary_is_whole(texts: dict[str, str], message: str) -> None:
    assert any(fault.startswith(message) for fault in refusal(texts))


def test_all_faults_of_all_files_are_told_at_once() -> None:
    faults = refusal({"a.yaml": PIPE.replace("code,", "text,"), "B.yaml": PIPE}, made(pipe=PIPE))
    assert [fault.split(": ")[0] for fault in faults] == ["a.yaml:3:28", "B.yaml"]


def test_one_name_means_one_thing_in_all_collections() -> None:
    whole = made(pipe=PIPE)
    (fault,) = refusal({"sewer.yaml": PIPE.replace("unit: m", "unit: mm")}, whole)
    assert fault == "sewer.yaml: width: its unit is mm, but m in pipe"
    assert read({"pipe.yaml": PIPE.replace("unit: m", "unit: mm")}, whole)  # it takes the place of the old one
    both = {"common.yaml": COMMON.replace("[pipe]", "[pipe, sewer]"), "pipe.yaml": PIPE}
    (fault,) = refusal({**both, "sewer.yaml": PIPE.replace("scale: 2", "scale: 3")})
    assert fault == "sewer.yaml: width: its scale is 3, but 2 in pipe"


@pytest.mark.parametrize(
    ("old", "new", "place", "kind", "data", "policies"),
    [
        ("  owner:", "  depth: {type: text, meaning: x}\n  owner:", "pipe.depth", "added", True, True),
        ("  owner: {type: text, meaning: owner}\n", "", "pipe.owner", "removed", False, False),
        ("{type: text, meaning: owner}", "{type: integer, meaning: owner}", "pipe.owner", "changed", False, False),
        ("unit: m", "unit: mm", "pipe.width", "changed", False, False),
        ("scale: 2", "scale: 3", "pipe.width", "changed", False, True),
        ("scale: 2", "scale: 1", "pipe.width", "changed", False, False),
        ("[water, gas]", "[water, gas, heat]", "pipe.use", "changed", True, True),
        ("[water, gas]", "[water]", "pipe.use", "changed", False, False),
        ("[water, gas]", "[gas, water]", "pipe.use", "changed", True, True),
        (', band, "null"', ', "null"', "pipe.width", "changed", True, False),
        ("meaning: owner", "meaning: who owns it", "pipe.owner", "changed", True, True),
        ("meaning: a pipe", "meaning: a tube", "pipe", "changed", True, True),
    ],
)
def test_a_change_says_whether_old_data_and_policies_survive_it(
    old: str, new: str, place: str, kind: str, data: bool, policies: bool
) -> None:
    assert old in PIPE
    before = made(pipe=PIPE)
    (change,) = compare(before, read({"pipe.yaml": PIPE.replace(old, new)}, before), whole=False)
    assert (change.place, change.kind, change.data, change.policies) == (place, kind, data, policies)
    whole = compare(before, made(COMMON.replace("7", "8"), pipe=PIPE.replace(old, new)), whole=True)
    assert [found.place for found in whole] == [place, "version"]


def test_what_all_collections_have_is_told_once_and_a_whole_vocabulary_lacks_what_is_gone() -> None:
    before = made(COMMON.replace("[pipe]", "[pipe, sewer]"), pipe=PIPE, sewer=PIPE)
    after = made(COMMON.replace("[1, 2]", "[2]"), pipe=PIPE)
    found = [(change.place, change.kind, change.data, change.policies) for change in compare(before, after, whole=True)]
    assert found == [
        ("*.zmin", "changed", True, False),
        ("sewer", "removed", False, False),
        ("version", "changed", True, True),  # which is not raised, and says so
    ]
    assert compare(before, after, whole=False) == []


@pytest.mark.parametrize(
    ("levels", "policies"), [("[1]", True), ("[0, 1, 2]", True), ("[2]", False), ("[2, 3]", False)]
)
def test_policies_survive_levels_that_ask_for_no_finer_geometry(levels: str, policies: bool) -> None:
    after = made(COMMON.replace("[1, 2]", levels), pipe=PIPE)
    change, _ = compare(made(pipe=PIPE), after, whole=True)
    assert (change.place, change.data, change.policies) == ("*.zmin", True, policies)


def test_a_new_collection_harms_nothing() -> None:
    before = made(pipe=PIPE)
    (change,) = compare(before, read({"sewer.yaml": PIPE}, before), whole=False)
    assert (change.place, change.kind, change.data, change.policies) == ("sewer", "added", True, True)
