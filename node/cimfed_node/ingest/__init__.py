"""Files of a city to a snapshot in the common vocabulary.

``import_files`` is the whole of it; ``preview`` says what it would do. Neither knows of the node's control tables:
which snapshot is current is decided by the caller. See ``docs/mapping.md`` for mapping documents.
"""

from cimfed_node.ingest.imports import import_files
from cimfed_node.ingest.mapping import write_mapping
from cimfed_node.ingest.preview import preview
from cimfed_node.ingest.report import BadObject, ImportReport, Preview
from cimfed_node.ingest.request import ImportRequest, OnDuplicate
from cimfed_node.ingest.snapshot import Snapshot, read_snapshot

__all__ = [
    "BadObject",
    "ImportReport",
    "ImportRequest",
    "OnDuplicate",
    "Preview",
    "Snapshot",
    "import_files",
    "preview",
    "read_snapshot",
    "write_mapping",
]
