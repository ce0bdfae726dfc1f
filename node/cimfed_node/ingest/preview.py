"""A dry run: what an import would give, and the mapping that gives it, ready to be edited."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapely

from cimfed.model.vocabulary import Type
from cimfed_node.ingest import duplicates
from cimfed_node.ingest.importer import Progress, Run, passes
from cimfed_node.ingest.mapping import Mapping, Rule
from cimfed_node.ingest.report import Preview
from cimfed_node.ingest.request import ImportRequest

SAMPLES = 5
_WKT = 80  # characters of a geometry that are shown


def preview(request: ImportRequest, progress: Progress | None = None) -> Preview:
    """Read everything and write nothing. Bad objects and shared ids are told, not refused; what concerns a whole file
    raises as in ``import_files``."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cimfed-preview-") as folder:
        run = passes(request, Path(folder), progress, tolerant=True)
        report = replace(run.report(duplicates.find(run.spill)), seconds=time.monotonic() - begun)
        return Preview(
            formats=tuple(run.formats),
            report=report,
            bad=tuple(run.bad.first),
            rows=tuple(_samples(run)),
            mapping=used_mapping(run).document(),
        )


def _samples(run: Run) -> list[dict[str, Any]]:
    """The first rows as they were read, geometries as text."""
    first = run.spill.chunk(0)
    order = run.spill.reading(0).argsort()[:SAMPLES]
    rows: list[dict[str, Any]] = first.take(order).to_pylist()
    for row in rows:
        for name, prop in run.builder.collection.properties.items():
            if prop.type is Type.GEOMETRY and row[name] is not None:
                text = shapely.to_wkt(shapely.from_wkb(row[name]), rounding_precision=7)
                row[name] = text if len(text) <= _WKT else text[:_WKT] + "..."
            elif prop.type is Type.NAMES and row[name] is not None:
                row[name] = dict(row[name])
    return rows


def used_mapping(run: Run) -> Mapping:
    """The mapping in force without what the files have no use for: the columns and codes that were met, and unmapped
    codes as null, waiting for the operator. Importing with it gives the same rows."""
    mapping, reader = run.mapping, run.context.attributes
    rules: dict[str, Rule] = {}
    for name, rule in mapping.rules.items():
        met = {
            column for prop, column in (*reader.matched, *(k for k, c in reader.unmapped.items() if c)) if prop == name
        }
        sources = []
        for source in rule.sources:
            if source.column not in met:
                continue
            codes = source.codes
            if codes is not None:
                seen = reader.codes[name, source.column]
                codes = {key: code for key, code in codes.items() if key in seen}
                codes |= dict.fromkeys(reader.unmapped.get((name, source.column), ()))
            sources.append(replace(source, codes=codes))
        languages = tuple(
            (language, column)
            for language, column in rule.languages
            if column in met or (language == "*" and any(c.startswith(column[:-1]) for c in met))
        )
        if sources or languages or rule.constant is not None:
            rules[name] = Rule(rule.prop, tuple(sources), languages, rule.constant)
    ids = (run.request.id_column,) if run.request.id_column else mapping.id
    return Mapping(
        name=mapping.name,
        rules=rules,
        types=mapping.types,
        id=tuple(c for c in ids if c in reader.skip),
        x=tuple(c for c in mapping.x if c in reader.skip),
        y=tuple(c for c in mapping.y if c in reader.skip),
        geometry=tuple(c for c in mapping.geometry if c in reader.skip),
        commas=mapping.commas,
    )
