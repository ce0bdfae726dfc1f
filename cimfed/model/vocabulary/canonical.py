"""A vocabulary as one document, and its hash: what the registrar publishes in the directory of it.

The hash is SHA-256 of the document's RFC 8785 form, so that it says the same of the same vocabulary however its YAML is
written; ``cimfed vocabulary show --json`` prints the document. A meaning is part of it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from cimfed.model.vocabulary.terms import Collection, Property, Vocabulary

FORMAT = "cimfed/vocabulary/v1"


def document(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": vocabulary.version,
        "collections": {name: _collection(one) for name, one in vocabulary.collections.items()},
    }


def vocabulary_hash(vocabulary: Vocabulary) -> bytes:
    return hashlib.sha256(rfc8785.dumps(document(vocabulary))).digest()


def _collection(collection: Collection) -> dict[str, Any]:
    return {
        "meaning": collection.meaning,
        "properties": {name: _property(prop) for name, prop in collection.properties.items()},
    }


def _property(prop: Property) -> dict[str, Any]:
    """What a property does not have is left out."""
    entry: dict[str, Any] = {"type": str(prop.type), "meaning": prop.meaning, "masks": list(prop.masks)}
    if prop.unit:
        entry["unit"] = prop.unit
    if prop.type == "decimal":
        entry["scale"] = prop.scale
    for word, values in (("codes", prop.codes), ("levels", prop.levels)):
        if values:
            entry[word] = list(values)
    return entry
