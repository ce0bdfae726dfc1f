"""What a new snapshot has otherwise than the one that it replaces, by ids and content hashes of rows.

Read a row group at a time; of all rows only id and hash stay in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cimfed_node.ingest.rowhash import Hashes, row_hashes


@dataclass(frozen=True)
class Changes:
    """Numbers of objects. ``changed``: of the same id, with another value in any property."""

    added: int
    changed: int
    removed: int
    same: int


def changes(before: Sequence[Path], after: Sequence[Path]) -> Changes:
    """Between a collection's rows in two sets of files, each with no id twice."""
    old_ids, old = _hashed(before)
    new_ids, new = _hashed(after)
    place: Any = pc.index_in(new_ids, value_set=old_ids)
    known = place.is_valid().to_numpy(zero_copy_only=False)
    differs = int((old[place.drop_null().to_numpy()] != new[known]).sum())
    both = int(known.sum())
    return Changes(added=len(new) - both, changed=differs, removed=len(old) - both, same=both - differs)


def _hashed(paths: Sequence[Path]) -> tuple[Any, Hashes]:
    ids: list[Any] = [pa.array([], pa.string())]
    hashes: list[Hashes] = [np.zeros(0, np.uint64)]
    for path in paths:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number)
                ids.append(group["id"].cast(pa.string()).combine_chunks())
                hashes.append(row_hashes(group))
    return pa.concat_arrays(ids), np.concatenate(hashes)
