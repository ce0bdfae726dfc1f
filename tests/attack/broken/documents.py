"""What an operator writes beside the data: mappings, lists of ids, and options, with good data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.attack.broken.kind import Kind, as_bytes, error
from tests.ingest.making import feature, features

GOOD = as_bytes(features(feature("good", height=12, function="school")))
HEAD = "format: cimfed/mapping/v1\n"
MAPPED = ("--mapping", "{}/m.yaml")


def beside(name: str, content: str | bytes) -> Callable[[Path], Path]:
    """The good file, and another one."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(as_bytes(content))
        (folder / "x").write_bytes(GOOD)
        return folder / "x"

    return make


def mapping(text: str | bytes, says: str, at: str = "m.yaml") -> Kind:
    return error(beside("m.yaml", text), says, at, *MAPPED, reason="bad_mapping")


def rule(text: str, says: str, at: str) -> Kind:
    return mapping(f"{HEAD}extends: building\nproperties: {{{text}}}\n", says, at)


def option(says: str, at: str, *options: str, reason: str = "bad_config") -> Kind:
    return error(GOOD, says, at, *options, reason=reason)


MAPPINGS: dict[str, Kind] = {
    "nothing": mapping("", "expected a mapping of keys to values"),
    "not YAML": mapping(HEAD + "x: [a", "expected ',' or ']'", "m.yaml:"),
    "a tab": mapping(HEAD + "\tx: a", "cannot start any token", "m.yaml:2:"),
    "no UTF-8": mapping(b"format: \xff\xfe", "not UTF-8"),
    "another format": mapping("format: cimfed/mapping/v9\n", "the first line of a mapping is"),
    "a list": mapping("- a\n", "expected a mapping of keys to values"),
    "a key twice": mapping(HEAD + HEAD, "'format' twice", "m.yaml:2:1"),
    "a key that is none": mapping(HEAD + "propertys: {}\n", "unknown key 'propertys'"),
    "a billion aliases": mapping(
        HEAD + "id: [&a0 [x, x], " + ", ".join(f"&a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 31)) + "]\n",
        "expected an attribute's name",
        "m.yaml: id",
    ),
    "an object of Python": mapping(
        HEAD + "properties: !!python/object/apply:os.system ['touch evil']\n", "expected rules by property", "m.yaml"
    ),
    "a depth of a thousand": mapping("[" * 1200, "not YAML", "m.yaml"),
    "five megabytes": mapping(HEAD + "#" * 5 * 2**20, "at most 4,096 KiB"),
    "a base that is none": mapping(HEAD + "extends: ../../etc/passwd\n", "no such shipped mapping", "m.yaml: extends"),
    "a property that is none": rule("heigth: h", "'heigth' is no property of building", "m.yaml: properties.heigth"),
    "a property of the import's own": rule("id: nr", "filled by the import itself", "m.yaml: properties.id"),
    "a code that is none": rule(
        "function: {from: function, codes: {school: castle}}", "castle", "m.yaml: properties.function"
    ),
    "a factor of words": rule("height: {from: h, factor: foot}", "'factor' is a number", "m.yaml: properties.height"),
    "a factor of zero": rule(
        "height: {from: h, factor: 0}", "'factor' is a number other than 0", "m.yaml: properties.height"
    ),
    "an endless factor": rule("height: {from: h, factor: .inf}", "'factor' is a number", "m.yaml: properties.height"),
    "a file that is not there": error(
        GOOD, "cannot be read", "gone.yaml", "--mapping", "{}/gone.yaml", reason="bad_mapping"
    ),
    "a folder": error(GOOD, "cannot be read", "", "--mapping", "{}", reason="bad_mapping"),
}
IDS: dict[str, Kind] = {
    "a file that is not there": error(GOOD, "cannot be read: No such file", "gone", "--update", "--remove", "{}/gone"),
    "no UTF-8": error(beside("ids", b"a\n\xff\n"), "not UTF-8", "ids", "--update", "--remove", "{}/ids"),
    "a line of megabytes": error(
        beside("ids", b"a" * (2**20 + 2)), "too long for an id", "ids", "--update", "--remove", "{}/ids"
    ),
    "an id that the files have": error(
        beside("ids", b"good\n"), "both in the files and to be taken out", "--remove", "--update", "--remove", "{}/ids"
    ),
    "a folder": error(GOOD, "cannot be read", "files", "--update", "--remove", "{}"),
    "without an update": error(
        beside("ids", b"good\n"), "nothing to take out", "", "--remove", "{}/ids", reason="bad_config"
    ),
}
OPTIONS: dict[str, Kind] = {
    "a system that is none": option(
        "names no coordinate reference system", "--crs", "--crs", "EPSG:0", reason="bad_file"
    ),
    "a system of a file": option("names no coordinate reference system", "--crs", "--crs", "{}/x", reason="bad_file"),
    "heights that are none": option("names no height system", "--vertical", "--vertical", "EPSG:0", reason="bad_file"),
    "a system for heights": option("is no height system", "--vertical", "--vertical", "EPSG:4326", reason="bad_file"),
    "an operation that is none": option(
        "'magic' is no operation", "--operation", "--operation", "magic", reason="bad_file"
    ),
    "a place that is none": option("only an IFC project", "x", "--place", "here", reason="bad_file"),
    "a time zone that is none": option("there is no time zone 'Mars/Base'", "--time-zone", "--time-zone", "Mars/Base"),
    "a time zone of a path": option("there is no time zone", "--time-zone", "--time-zone", "../../../etc/passwd"),
    "a condition that is none": option("is no condition", "--where", "--where", "height"),
    "a layer of what has none": option("no layers", "x", "--layer", "a", reason="bad_file"),
    "an encoding of JSON": option(
        "JSON and XML say their encoding themselves", "x", "--encoding", "UTF-8", reason="bad_file"
    ),
    "a quarantine in no folder": option("there is no folder", "", "--quarantine", "{}/gone/bad.jsonl"),
    "a quarantine over the data": option("one of the files to import", "", "--quarantine", "{}/x", reason="bad_file"),
    "two ways at once": option("are two ways", "", "--update", "--append"),
    "buildings to append": option("only observation is appended to", "--append", "--append"),
    "PostGIS without a database": error(GOOD, "not connected", "", "--engine", "postgis", reason="not_found", code=3),
}

KINDS = {
    **{f"mapping: {name}": kind for name, kind in MAPPINGS.items()},
    **{f"ids: {name}": kind for name, kind in IDS.items()},
    **{f"option: {name}": kind for name, kind in OPTIONS.items()},
}
