"""A city's own PostGIS relation, harmonised where it stands: a mapping document becomes one SELECT of the vocabulary's
columns, and nothing is copied.

The rules are those of an import from files (``cimfed_node.ingest``), and so are the mappings. This is the only room
beside the stores that speaks to PostgreSQL. What SQL cannot do as the import does is left empty and told in the
report's notes: volumes, footprints by semantics, rules for ids that stand for several rows.
"""

from cimfed_node.inplace.citydb import citydb_relation
from cimfed_node.inplace.fingerprint import Fingerprint, fingerprint
from cimfed_node.inplace.importer import harmonise_in_place, preview_in_place
from cimfed_node.inplace.recorded import seal_in_place
from cimfed_node.inplace.request import InPlace, InPlaceRequest
from cimfed_node.inplace.session import SETTINGS, connecting, pin, reading

__all__ = [
    "SETTINGS",
    "Fingerprint",
    "InPlace",
    "InPlaceRequest",
    "citydb_relation",
    "connecting",
    "fingerprint",
    "harmonise_in_place",
    "pin",
    "preview_in_place",
    "reading",
    "seal_in_place",
]
