"""Every limit of an import, in one place, with its reason.

A file from elsewhere is not trusted: a few kilobytes of gzip may hold gigabytes, a line may never end, an index
may point anywhere. What breaks a limit of the file is refused whole (``BadFile``); what breaks a limit of one object
is a bad object. Nesting needs no limit here: orjson reads 1,024 levels and writes 254; what is deeper is bad.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True)
class IngestLimits:
    """Sizes in bytes, the rest in counts."""

    document: int = 512 * MIB  # a document is parsed whole and takes about eight times its size as Python values
    stream: int = 256 * GIB  # what a streamed file may come to after decompression: a bomb, not a city
    line: int = 64 * MIB  # one object of a streamed file; the largest real ones (terrain, airports) have under 20
    marks: int = 8_000_000  # "<" and "=" in one object of an XML file: each may become a node of 150 bytes in memory
    reach: int = 4 * MIB  # XML of the objects around one that its references to other objects can lead to
    references: int = 1_000  # such references of one object: each is looked for in all of that
    head: int = 256 * KIB  # what detection looks at
    mapping: int = 4 * MIB  # a mapping document
    ogr_memory: int = 4 * GIB  # address space of the process that GDAL reads in
    ogr_seconds: int = 3_600  # of processor time of that process: ten million features take some ten
    ogr_batch: int = 64 * MIB  # what GDAL gathers at once where its driver can tell
    archive: int = 64 * GIB  # what the files taken out of a zip may come to
    members: int = 100_000  # entries of a zip
    parquet_parts: int = 20_000  # columns, row groups and levels of nesting that a Parquet footer may list
    parquet_footer: int = 64 * MIB  # its texts
    vertices: int = 1_000_000  # of one object, counted with repetition in its boundaries
    family: int = 10_000  # an object with its parts, installations, rooms
    columns: int = 10_000  # attribute names in one file: more is data in the place of names
    stream_entities: int = 1_000_000  # Datastreams that one file names
    codes: int = 1_000  # distinct unmapped codes kept for the report, per property
    text: int = MIB  # one text value
    chunk_objects: int = 20_000  # objects gathered before they become one Arrow table
    chunk_points: int = 400_000  # ring vertices that end a chunk earlier: about 200 MiB of arrays at work
    group_rows: int = 61_440  # rows of a row group: a multiple of DuckDB's vector of 2,048
    group_bytes: int = 8 * MIB  # bytes of a row group, uncompressed
    segments: int = 1_000  # of one snapshot: each is opened whenever its rows are read
    ifc: int = GIB  # an IFC file: read whole, by another process
    ifc_memory: int = 8 * GIB  # addresses of that process: about ten times a file, and its libraries
    ifc_open: float = 900.0  # seconds until it has read the file
    ifc_body: float = 120.0  # seconds that the kernel may think about one body
    ifc_deaths: int = 20  # bodies that the kernel may die of before the file is refused
    merge_bytes: int = 64 * MIB  # rows held while the sorted chunks are merged


LIMITS = IngestLimits()
