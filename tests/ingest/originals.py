"""The originals that a snapshot keeps, read with nothing of cimfed's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa


def read(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Headers of files, and objects with the ids that came of them, of the one snapshot that ``imported`` made."""
    (path,) = (folder / "snapshots").glob("*/original.jsonl.zst")
    with pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd") as stream:
        lines = [json.loads(line) for line in stream.read().splitlines()]
    return [line for line in lines if "header" in line], [line for line in lines if "header" not in line]
