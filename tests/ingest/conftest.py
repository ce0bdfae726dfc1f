"""Hundreds of small imports: they share the shipped mappings, once parsed, and what PROJ finds for a system and an
area, once looked for. They do not wait for the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

import pytest

from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed_node.ingest import georef, importer
from cimfed_node.ingest.mapping import Mapping, shipped


@cache
def _shipped(name: str) -> Mapping:
    return shipped(name, VOCABULARY.collections[name])


def _of_collection(name: str, collection: Collection) -> Mapping:
    assert collection is VOCABULARY.collections[name]
    return _shipped(name)


@pytest.fixture(scope="package", autouse=True)
def _fast() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importer, "shipped", _of_collection)
        patch.setattr(georef, "_operations", cache(georef._operations))
        patch.setattr(os, "fsync", lambda _: None)
        yield
