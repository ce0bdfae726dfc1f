"""The common vocabulary: collections and their properties, with types, units and codes.

One YAML file per collection stands beside this module; ``VOCABULARY`` is all of them, checked once at import.
Every row of every collection also has the common properties of ``common.yaml``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from cimfed.model.vocabulary.document import SUFFIX, read
from cimfed.model.vocabulary.terms import COMPARABLE, MASKS, NUMERIC, Collection, Property, Type, Vocabulary

__all__ = ["COMPARABLE", "MASKS", "NUMERIC", "VOCABULARY", "Collection", "Property", "Type", "Vocabulary", "load"]


@cache
def load() -> Vocabulary:
    """The vocabulary that this release carries."""
    here = [file for file in files(__package__).iterdir() if file.name.endswith(SUFFIX)]
    return read({file.name: file.read_text("utf-8") for file in here})


VOCABULARY = load()
