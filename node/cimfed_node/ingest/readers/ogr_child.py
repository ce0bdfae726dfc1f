"""A process of its own that reads one file with GDAL and writes Arrow to its standard output.

It is started by ``ogr.py``, for three reasons. GDAL knows eighty formats, some of which fetch other files or call on
the network, and only a fresh process can be told to know one (``GDAL_SKIP`` in its environment; what it then knows is
checked). It may write no file and take no more memory than a limit. And where a file makes it crash, that is a refused
file, not the end of the import.

Output: one line of JSON that tells the layer, then an Arrow IPC stream; the first column is the feature's number.
Failure: exit status 3 and one line of JSON on standard error. Exit status 0 says that all was read.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
from contextlib import closing
from typing import Any
from urllib.parse import quote

FAILED = 3
PIPE = 65_536  # bytes that a pipe takes without a reader
ROWS = 2_000  # features of a batch: each may have a million vertices
UNUSED = ("geopandas", "pandas", "pyproj", "shapely")  # pyogrio takes what it finds of these: three times the start


class Refused(Exception):
    """What the parent tells its user: ``kind`` says which remedy goes with it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # a view of SQLite's may never come to a row
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _layer(found: list[list[Any]], wanted: str | None, placeless: bool) -> str:
    """The layer to read: the one that was named, or the only one with geometry."""
    names = [name for name, kind in found if kind is not None or placeless]
    listed = ", ".join(repr(name) for name in names[:30]) or "none"
    if wanted is not None:
        if wanted in names:
            return wanted
        there = any(name == wanted for name, _ in found)
        what = "has no geometry" if there else "is not in the file"
        raise Refused("layer", f"the layer {wanted[:100]!r} {what}; with geometry there are: {listed}")
    if not names:
        raise Refused("empty", "no layer has geometry" if found else "there is no layer")
    if len(names) > 1:
        raise Refused("layer", f"{len(names):,} layers: {listed}")
    return str(names[0])


def _projjson(schema: Any, name: str) -> Any:
    """The CRS that stands in the geometry column's metadata."""
    at = schema.get_field_index(name)
    metadata = (schema.field(at).metadata or {}) if at >= 0 else {}
    crs = json.loads(metadata.get(b"ARROW:extension:metadata", b"{}")).get("crs")
    return crs if isinstance(crs, dict) else None


def _nulls(path: str, layer: str, geometry: str) -> int | None:
    """Rows of a GeoPackage without a geometry by its own word; GDAL gives none for a damaged one too. None where that
    is not to be known."""
    layer, geometry = (name.replace('"', '""') for name in (layer, geometry))
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as database:
            database.execute("PRAGMA trusted_schema=OFF")
            (count,) = database.execute(f'SELECT count(*) FROM "{layer}" WHERE "{geometry}" IS NULL').fetchone()
    except sqlite3.Error:
        return None
    return int(count)


def _read(task: dict[str, Any]) -> None:
    sys.modules.update(dict.fromkeys(UNUSED))  # type: ignore[arg-type]  # None: not to be found
    import pyarrow as pa
    import pyogrio
    from pyogrio.raw import open_arrow

    if set(pyogrio.list_drivers()) != {task["driver"]}:
        raise Refused("driver", f"GDAL does not know {task['driver']}, or more than that")
    path, options = task["path"], task["options"]
    layers = pyogrio.list_layers(path).tolist()
    layer = _layer(layers, task["layer"], task["placeless"])
    info = pyogrio.read_info(path, layer=layer, force_feature_count=True, **options)
    with open_arrow(
        path, layer=layer, use_pyarrow=True, return_fids=True, datetime_as_string=True, batch_size=ROWS, **options
    ) as (meta, stream):
        schema = stream.schema
        names = schema.names
        geometry = meta["geometry_name"] or "wkb_geometry"
        told = {
            "layer": layer,
            "fields": [str(name) for name in info["fields"]],
            "json": [at for at, kind in enumerate(info["ogr_subtypes"]) if kind == "OFSTJSON"],
            "geometry": names.index(geometry) if geometry in names else None,
            "projjson": _projjson(schema, geometry),
            "crs": meta["crs"],
            "fid": info["fid_column"],
            "total": info["features"],
            "nulls": _nulls(path, layer, geometry) if task["driver"] == "GPKG" else None,
        }
        out: Any = sys.stdout.buffer
        out.write(json.dumps(told).encode() + b"\n")
        plain = pa.schema([pa.field(str(at), field.type) for at, field in enumerate(schema)])
        with pa.ipc.new_stream(out, plain) as writer:
            for batch in stream:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=plain))
        out.flush()


def main() -> int:
    task = json.loads(sys.argv[1])
    told_to = os.dup(2)  # what libraries chatter to standard error would fill the pipe that nobody reads meanwhile
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _limit(task["memory"], task["seconds"])
    try:
        _read(task)
    except Refused as error:
        told = {"kind": error.kind, "message": str(error)}
    except BrokenPipeError:
        return FAILED  # whoever started this has ended
    except MemoryError:
        told = {"kind": "memory", "message": ""}
    except Exception as error:  # whatever GDAL and pyogrio raise: it is told, not shown
        told = {"kind": "gdal", "message": str(error).replace(task["path"], task["name"])[:1000]}
    else:
        return 0
    os.write(told_to, json.dumps(told).encode()[:PIPE])
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
