"""Readings that are appended: a snapshot whose last segment is new, and whose others are those of the one before.

Rules:
1. Files of the segments before are linked, not copied, under the hashes that they were recorded with. They are not read
   but for their column of ids: an append costs what its own rows cost, and a look at the ids.
2. Only readings without a place of their own are appended. What orders rows by place (files, views) would give away
   which segment a row is in.
3. An id that is there already is refused, or the row that is there stays (``OnDuplicate.FIRST``): no append changes
   what is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cimfed.errors import BadConfig, BadFile
from cimfed_node.ingest.arrays import among
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import OBSERVATION
from cimfed_node.ingest.request import ImportRequest, OnDuplicate
from cimfed_node.ingest.snapshot import ORIGINAL, Snapshot, segment_name
from cimfed_node.ingest.spill import Spill

_UPDATE = "Use --update, which makes one segment of all"


def check_request(request: ImportRequest) -> None:
    """BadConfig where this is nothing that can be appended."""
    if request.collection != OBSERVATION:
        raise BadConfig(f"only {OBSERVATION} is appended to", place="--append", remedy="Use --update")
    if request.on_duplicate not in (OnDuplicate.REFUSE, OnDuplicate.FIRST):
        raise BadConfig(f"--append goes with --on-duplicate refuse or first, not {request.on_duplicate}")


def check_base(base: Snapshot, schema: pa.Schema) -> None:
    """BadFile where nothing can be appended to a snapshot."""
    if base.extent is not None:
        raise BadFile("rows of the current snapshot have a place of their own", place=base.id, remedy=_UPDATE)
    if len(base.paths) >= LIMITS.segments:
        raise BadFile(f"the current snapshot has {LIMITS.segments:,} segments", place=base.id, remedy=_UPDATE)
    if not pq.read_schema(base.path).equals(schema):
        raise BadFile(
            "the current snapshot has other columns than this release's vocabulary",
            place=base.id,
            remedy="Import all of it again, without --append",
        )


def leave_known(base: Snapshot, spill: Spill, rule: OnDuplicate) -> int:
    """Takes rows out of the spill whose ids the base has. Gives their number; BadFile where they are to be refused."""
    new = [spill.chunk(number).column("id") for number in range(spill.chunks)]
    known = np.zeros(sum(len(column) for column in new), np.bool_)
    ids: Any = pa.chunked_array([chunk for column in new for chunk in column.chunks], pa.string())
    for path in base.paths:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                known |= among(ids, file.read_row_group(number, columns=["id"])["id"].combine_chunks())
    if known.any() and rule is OnDuplicate.REFUSE:
        first = ids[int(np.flatnonzero(known)[0])].as_py()
        raise BadFile(
            f"{int(known.sum()):,} ids are in the current snapshot already, the first {first[:64]!r}",
            place="id",
            remedy="Say --on-duplicate first to leave what is there, or --update to replace it",
        )
    before, left = spill.rows, 0
    for number, column in enumerate(new):
        for row in np.flatnonzero(known[left : left + len(column)]).tolist():
            spill.skip(number, row)
        left += len(column)
    return before - spill.rows


def link_segments(base: Snapshot, folder: Path) -> Mapping[str, Any]:
    """Names what was written the next segment, and puts the base's files before it. Gives what is recorded of these."""
    number = len(base.paths) + 1
    for name in (base.path.name, ORIGINAL):
        os.rename(folder / name, folder / segment_name(name, number))
    files: dict[str, Any] = dict(base.inventory["files"])
    for name in files:
        try:
            os.link(base.folder / name, folder / name)
        except OSError:  # a file system without links
            shutil.copyfile(base.folder / name, folder / name)
    return files
