"""A city's own PostGIS relation, harmonised where it stands: a mapping document becomes one SELECT of the vocabulary's
columns, and nothing is copied.

The rules are those of an import from files (``cimfed_node.ingest``), and so are the mappings. Views are made of the
SELECT in ``views.postgis``. What SQL cannot do as the import does is left empty and told in the
report's notes: volumes, footprints by semantics, rules for ids that stand for several rows.
"""

from cimfed_node.inplace.fingerprint import fingerprint
from cimfed_node.inplace.importer import harmonise_in_place, preview_in_place
from cimfed_node.inplace.recorded import seal_in_place
from cimfed_node.inplace.request import InPlace, InPlaceRequest
from cimfed_node.inplace.session import connecting, pin, reading

__all__ = [
    "InPlace",
    "InPlaceRequest",
    "connecting",
    "fingerprint",
    "harmonise_in_place",
    "pin",
    "preview_in_place",
    "reading",
    "seal_in_place",
]
