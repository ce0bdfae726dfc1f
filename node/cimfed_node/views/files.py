"""Where a view lies and how it is found again.

``<id>.parquet`` holds the rows; ``<id>.json`` beside it says what they are and what the file's bytes hash to;
``<id>.original.parquet`` holds untouched objects, where the view gives them. These two are renamed into place before
the rows: a view whose rows are there is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785

from cimfed.errors import BadFile, ViewGone
from cimfed.model.names import CityName
from cimfed.model.originals import ORIGINAL
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed.trust.hashing import digest
from cimfed_node.stores.base import ORIGINALS_END, Engine, View

FORMAT = "cimfed/view/v1"
COMPILER = "3"
"""Changes whenever the same snapshot and shape would give other rows, so that no old file answers for new code."""

FILE_MODE = 0o640
FOLDER_MODE = 0o750


def view_id(secret: bytes, snapshot: str, shape_hash: bytes) -> str:
    """The keyed hash of what a view is made from (not of its bytes, which differ with the number of threads)."""
    return digest("cimfed view v2", [secret, snapshot, shape_hash, VOCABULARY.version, COMPILER]).hex()


def shown_snapshot(secret: bytes, snapshot: str) -> str:
    """What answers call a snapshot. Its id is a hash over hidden columns too: who knows the rest could guess them."""
    return digest("cimfed snapshot shown v1", [secret, snapshot]).hex()


def rows_path(views: Path, id: str) -> Path:
    return views / f"{id}.parquet"


def open_view(path: Path) -> View:
    """The view whose rows are at ``path``, from the files alone; the rows' own footer must agree.

    Raises ViewGone where there is none, BadFile where the files do not fit each other or this release.
    """
    try:
        facts = facts_of(path)
        footer = pq.read_schema(path)
        size = path.stat().st_size
        untouched = originals_path(path).stat().st_size if ORIGINAL in facts.get("widths", ()) else None
    except FileNotFoundError:
        raise ViewGone("the view is no longer there", place=path.name) from None
    except (ValueError, OSError):
        raise BadFile("the view cannot be read", place=path.name, remedy="Activate the policy again") from None
    unfit = untouched is not None and facts["originals"]["size"] != untouched
    if facts.get("format") != FORMAT or facts["size"] != size or unfit:
        raise BadFile("the view's files do not fit", place=path.name, remedy="Activate the policy again")
    collection = VOCABULARY.collections.get(facts["collection"])
    schema = None if collection is None else schema_of(facts["columns"], collection)
    if schema is None or not schema.equals(pa.schema([(at.name, at.type) for at in footer])):
        raise BadFile(
            "the view's columns are not those of this release", place=path.name, remedy="Activate the policy again"
        )
    return View(
        id=facts["id"],
        city=CityName(facts["city"]),
        collection=facts["collection"],
        snapshot=facts["snapshot"],
        shape_hash=bytes.fromhex(facts["shape_hash"]),
        compiler=facts["compiler"],
        engine=Engine.DUCKDB,
        source=str(path),
        schema=schema,
        rows=facts["rows"],
        widths={name: width for name, width in facts["widths"].items()},
        size=size,
        sha256=bytes.fromhex(facts["sha256"]),
    )


def standing(path: Path) -> View | None:
    """The view that is there already, if its bytes are still those that were recorded."""
    try:
        view = open_view(path)
    except (ViewGone, BadFile):
        return None
    if bytes.fromhex(sha256_of(path)) != view.sha256:
        return None
    if view.originals is not None and sha256_of(view.originals) != facts_of(path)["originals"]["sha256"]:
        return None
    return view


def facts_of(path: Path) -> Any:
    """What the JSON beside a view's rows says."""
    return json.loads(path.with_suffix(".json").read_bytes())


def originals_path(path: Path) -> Path:
    return path.with_suffix(ORIGINALS_END)


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_bytes(rfc8785.dumps({"format": FORMAT, **facts}))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settle(temporary: Path, path: Path) -> None:
    """Give a finished file its group, mode and name, so that it is whole on disk or not there.

    The group is that of the folder, which the service's user is in.
    """
    group = path.parent.stat().st_gid
    if temporary.stat().st_gid != group:
        os.chown(temporary, -1, group)
    os.chmod(temporary, FILE_MODE)
    flush(temporary)
    os.replace(temporary, path)


def flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def schema_of(columns: Mapping[str, str], collection: Collection) -> pa.Schema | None:
    """The columns of the sidecar, in the vocabulary's order: JSON objects have none of their own."""
    if not set(columns) <= set(collection.properties):
        return None
    return pa.schema([field(prop, columns[name]) for name, prop in collection.properties.items() if name in columns])
