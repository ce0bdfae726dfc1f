"""Attributes that come as columns are mapped as the same attributes are object by object."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.ingest.attributes import AttributeReader, Values
from cimfed_node.ingest.mapping import Mapping, read_mapping, shipped
from cimfed_node.ingest.values import OutOfRange

OWN: dict[str, Any] = {
    "format": "cimfed/mapping/v1",
    "properties": {
        "name": {"ru": ["a", "b"], "kk": ["b", "c"], "*": "name:*"},
        "height": [{"from": ["h", "a"], "decimal": ","}, {"from": "top", "minus": "ground"}],
        "function": {"from": ["f", "g"], "codes": ["function", {"x": "null"}]},
        "roof_type": {"from": ["g"], "otherwise": "other"},
        "year_built": {"from": ["y", "f"], "part": "year"},
        "storeys_above": ["y", "h"],
        "source": {"constant": "cadastre"},
        "parcel_id": ["id"],
    },
}
VALUES: list[Any] = [
    None, "", " ", "x", "12,5", "12.5", "7", 7, 12.5, 1, 1.0, True, False, "1998-05-03", 1998, "1998", "office", "flat",
    "жилое", "Й", "nonsense", 1e30, "1e30", 10**25, [7], ["a", "b"], {"k": [1]}, -0.0, 0.0, 0,
]  # fmt: skip
COLUMNS = ["a", "b", "c", "h", "top", "ground", "f", "g", "y", "id", "name:tg", "name:", "name:en", "free", "свободно"]


def mapping_of(name: str, folder: Any) -> Mapping:
    collection = VOCABULARY.collections["building"]
    if name == "shipped":
        return shipped("building", collection)
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(OWN, allow_unicode=True))
    return read_mapping(path, collection)


def mapped(reader: AttributeReader, attributes: dict[str, Any]) -> Values | OutOfRange:
    try:
        return reader.read(attributes)
    except OutOfRange as error:
        return error


def exact(values: dict[str, Any]) -> list[str]:
    """Values with their types, names of languages in order."""
    return sorted(repr((key, sorted(value.items()) if type(value) is dict else value)) for key, value in values.items())


@pytest.mark.parametrize("name", ["own", "shipped"])
@pytest.mark.parametrize("seed", range(60))
def test_columns_are_mapped_as_objects_are(name: str, seed: int, tmp_path: Any) -> None:
    draw = random.Random(seed)
    mapping = mapping_of(name, tmp_path)
    columns = list(COLUMNS)
    if name == "shipped":
        known = [source.column for rule in mapping.rules.values() for source in rule.sources]
        columns = [*draw.sample(sorted(set(known)), 12), "name", "name:ru", "free"]
    draw.shuffle(columns)
    rows = 30
    values = [value for value in VALUES if seed % 2 or value not in (1e30, "1e30", 10**25)]
    narrow = [draw.choice(values) for _ in range(3)]
    cells = {
        column: [draw.choice(narrow if draw.random() < 0.5 else values) for _ in range(rows)]
        if draw.random() < 0.7
        else draw.choices(["7", "office", None, "12,5", "1998"], k=rows)
        for column in columns
    }
    single, whole = AttributeReader(mapping), AttributeReader(mapping)
    single.skip.add("id")
    whole.skip.add("id")
    found: list[Any] = whole.read_columns(columns, [cells[column] for column in columns], rows)
    good = 0
    for row in range(rows):
        attributes = {column: cells[column][row] for column in columns if cells[column][row] is not None}
        expected = mapped(single, attributes)
        if isinstance(expected, OutOfRange):
            assert repr(found[row]) == repr(expected)
            continue
        good += 1
        assert found[row].ext == expected.ext
        assert exact(found[row].values) == exact(expected.values)
    assert good > 0
    if good == rows:
        assert whole.codes == single.codes
        assert whole.matched == single.matched
        assert +whole.unclaimed == +single.unclaimed
        assert {key: value for key, value in whole.unmapped.items() if value} == {
            key: value for key, value in single.unmapped.items() if value
        }
    else:
        assert seed % 2
