"""Harmonising a relation in place: what it is, what the mapping makes of it, where it stands, what is wrong with it.

Everything is found in one transaction that writes nothing, so the counts, the fingerprint and the statement are of one
state. Like an import from files, any bad row refuses the relation, unless a quarantine file is named: then the bad rows
are written there and the statement leaves them out. Ids that stand for several rows are always refused, and so are
objects that were erased here, unless they may come back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from cimfed.errors import BadFile
from cimfed.model.vocabulary import Collection, Type
from cimfed_node.ingest.belonging import Erased, OnErased, columns
from cimfed_node.ingest.georef import facts
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.ingest.mapping import Rule, fold, read_mapping, shipped
from cimfed_node.ingest.report import BadObject, ImportReport, OperationReport, Preview
from cimfed_node.inplace import counts as counting
from cimfed_node.inplace.choose import geometry_columns, id_column
from cimfed_node.inplace.citydb import citydb_relation
from cimfed_node.inplace.claims import Codes, claims_of
from cimfed_node.inplace.codes import known_codes
from cimfed_node.inplace.fingerprint import Fingerprint, fingerprint
from cimfed_node.inplace.fragments import joined, name, nest, q
from cimfed_node.inplace.harmonise import Statement, cells_of, columns_of, derivable, first_layers, statement
from cimfed_node.inplace.place import Place, settle, source_crs
from cimfed_node.inplace.relation import Kind, Relation, find_relation
from cimfed_node.inplace.request import InPlace, InPlaceRequest
from cimfed_node.inplace.session import Connection, Session, reading
from cimfed_node.inplace.shapes import Shaping

SAMPLES = 5
_BATCH = 10_000  # rows that are looked at together
_WKT = 80  # characters of a geometry that are shown


@dataclass(frozen=True)
class _Found:
    """A relation read and counted."""

    relation: Relation
    mapping: MappingDocument
    id_column: str
    hashed: tuple[str, ...]
    made: Statement
    place: Place
    codes: Codes
    counts: counting.Counts
    bad: list[BadObject]
    print: Fingerprint
    report: ImportReport


def harmonise_in_place(connection: Connection, request: InPlaceRequest, erased: Erased | None = None) -> InPlace:
    """The statement for a relation, with all that a snapshot records of it. Raises BadFile, BadMapping, BadConfig."""
    with reading(connection) as session:
        found = _find(session, request)
        if found.counts.bad and (request.quarantine is None or not found.counts.rows):
            raise _refusal(found)
        if not found.counts.rows:
            raise BadFile("it has no rows", place=found.relation.name, remedy="There is nothing to harmonise yet")
        if erased is not None and erased.digests:
            _look_for_erased(session, found, request, erased)
        if request.quarantine is not None:
            _put_aside(session, found, request)
        return InPlace(
            relation=found.relation.name,
            source=found.relation.source.as_string(connection),
            hashed=found.hashed,
            select=found.made.select.as_string(connection),
            columns=tuple(columns_of(request.vocabulary)),
            rows=found.counts.rows,
            extent=found.counts.extent,
            times=found.counts.times,
            fingerprint=found.print,
            facts={
                "id_column": found.id_column,
                "mapping": found.mapping.document(),
                "bad": sum(found.counts.bad.values()),
                "postgis_difference_m": found.place.difference_m,
                **facts(found.place.reference),
            },
            report=found.report,
        )


def _look_for_erased(session: Session, found: _Found, request: InPlaceRequest, erased: Erased) -> None:
    """Raises BadFile where rows are objects that were erased here, or belong to one, unless they may come back."""
    names = columns(request.collection)
    rows = session.stream(
        q("SELECT {} FROM ({}) AS s", joined([name(each) for each in names]), found.made.select), found.relation.name
    )
    while batch := list(islice(rows, _BATCH)):
        values = [dict(zip(names, row, strict=True)) for row in batch]
        erased.rows(request.collection, [value["id"] for value in values], values)
    if erased.met and erased.rule is not OnErased.ALLOW:
        raise BadFile(
            f"{erased.met:,} objects were erased from this node, or belong to one that was; nothing was imported",
            place=found.relation.name,
            remedy="Delete them from the table too, or bring them back with --on-erased allow",
        )


def preview_in_place(connection: Connection, request: InPlaceRequest) -> Preview:
    """What ``harmonise_in_place`` would give. Bad rows are told, not refused."""
    with reading(connection) as session:
        found = _find(session, request)
        return Preview(
            formats=("3DCityDB" if request.citydb else "PostGIS",),
            report=found.report,
            bad=tuple(found.bad),
            rows=tuple(_samples(session, found, request)),
            mapping=_used(found).document(),
        )


def _find(session: Session, request: InPlaceRequest) -> _Found:
    begun = time.monotonic()
    collection = request.vocabulary
    mapping = read_mapping(request.mapping, collection) if request.mapping else shipped(collection.name, collection)
    if request.citydb:
        relation = citydb_relation(session, request.citydb, request.collection)
    else:
        relation = find_relation(session, request.table)
    main, levels = geometry_columns(request, relation)
    ids = id_column(request, mapping, relation)
    used = [*([main] if main else []), *levels.values()]
    source, srid, notes = source_crs(session, relation, used, request.crs)
    place = settle(session, relation, used, source, srid, request.city, request.operation, notes)
    shaping = Shaping(main, levels, place, derivable(collection))
    cells = cells_of(relation)
    claims = claims_of(mapping, cells)
    codes = known_codes(session, nest(relation.source, *first_layers(cells, None)), claims, relation.name)
    made = statement(request.city, collection, mapping, relation, ids, claims, codes, shaping)
    shared, first = counting.shared_ids(session, made, cells[ids].t, relation.name)
    if shared:
        raise BadFile(
            f"{shared:,} ids stand for several rows each: {', '.join(map(repr, first))}",
            place=f"{relation.name}: {ids}",
            remedy="Name another column with --id, or give a view with one row for each id",
        )
    counts = counting.count(session, made, collection, ids, relation.name)
    bad = counting.bad_rows(session, made, relation.name, each=counting.EXAMPLES) if counts.bad else []
    hashed = (*(c.column.name for c in cells.values()), *(column.name for column in used))
    print_ = fingerprint(session, relation.source, hashed, relation.name)
    unmapped = counting.unmapped(session, made, counts, relation.name)
    report = _report(request, relation, mapping, shaping, counts, unmapped, time.monotonic() - begun)
    return _Found(relation, mapping, ids, hashed, made, place, codes, counts, bad, print_, report)


def _report(
    request: InPlaceRequest,
    relation: Relation,
    mapping: MappingDocument,
    shaping: Shaping,
    counts: counting.Counts,
    unmapped: Mapping[tuple[str, str], Mapping[str, int]],
    seconds: float,
) -> ImportReport:
    reference = shaping.place.reference
    operation = reference.operation
    bad = sum(counts.bad.values())
    return ImportReport(
        objects=counts.rows + bad,
        rows=counts.rows,
        matched=counts.matched,
        unmapped=unmapped,
        unclaimed=dict(counts.unclaimed.most_common()),
        nulls=dict(counts.nulls),
        derived={prop: number for prop, number in counts.derived.items() if number},
        skipped={},
        dropped={},
        repaired=counts.repaired,
        duplicates=0,
        bad=bad,
        operation=OperationReport(
            reference.source.name,
            operation.name,
            operation.accuracy_m,
            bool(operation.declared),
            reference.source.vertical,
        ),
        notes=(*shaping.place.notes, *_notes(request, relation, mapping, shaping, counts, unmapped)),
        seconds=seconds,
    )


def _notes(
    request: InPlaceRequest,
    relation: Relation,
    mapping: MappingDocument,
    shaping: Shaping,
    counts: counting.Counts,
    unmapped: Mapping[tuple[str, str], Mapping[str, int]],
) -> Iterator[str]:
    used = {column.name for column in (shaping.main, *shaping.levels.values()) if column is not None}
    for column in relation.columns:
        if column.kind is Kind.BINARY and column.name not in used:
            yield f"{column.name} ({column.type}) is left out"
    if not shaping.place.identity:
        yield f"PostGIS and the pinned operation differ by at most {shaping.place.difference_m:g} m"
    for level, geometry in sorted(shaping.levels.items()):
        yield f"{geometry.name} is taken for LoD {level}"
    if shaping.levels and "volume_method" in request.vocabulary.properties:
        yield "volumes are not worked out in place"
    if shaping.levels:
        yield "footprints of bodies are projections of all their surfaces; semantics are not looked at"
    if request.mapping is not None:
        ours = shipped(request.collection, request.vocabulary).rules
        for prop, rule in mapping.rules.items():
            sources = [source.column for source in rule.sources]
            met = any(c in counts.matched.get(prop, {}) or (prop, c) in unmapped for c in sources)
            if sources and ours.get(prop) != rule and not met:
                yield f"no row has what the mapping names for {prop}: {', '.join(sources)}"


def _refusal(found: _Found) -> BadFile:
    total = sum(found.counts.bad.values())
    details = []
    for reason, number in found.counts.bad.most_common():
        examples = [bad.object or "(no id)" for bad in found.bad if bad.reason == reason]
        details.append(f"{reason}: {number:,} rows: {', '.join(examples)}")
    others = "let the others through with --quarantine FILE"
    way = others if found.counts.rows else "see whether --crs says what they are in"
    return BadFile(
        f"{total:,} bad rows; nothing was imported",
        place=found.relation.name,
        remedy=f"Mend them, or {way}",
        details=details,
    )


def _put_aside(session: Session, found: _Found, request: InPlaceRequest) -> None:
    assert request.quarantine is not None
    try:
        with request.quarantine.open("wb") as file:
            for bad in counting.bad_rows(session, found.made, found.relation.name, each=None):
                file.write(bad.json())
    except OSError as error:
        raise BadFile(
            f"the quarantine file cannot be written: {error.strerror}", place=str(request.quarantine)
        ) from None


def _samples(session: Session, found: _Found, request: InPlaceRequest) -> Iterator[dict[str, Any]]:
    """A few rows, geometries as text."""
    shown = []
    kinds = {prop.name: prop.type for prop in request.vocabulary.properties.values()}
    for column in columns_of(request.vocabulary):
        if kinds.get(column) is Type.GEOMETRY:
            shown.append(q("left(ST_AsText(s.{0}, 7), {1}) AS {0}", name(column), q(str(_WKT))))
        else:
            shown.append(q("s.{}", name(column)))
    query = q("SELECT {} FROM ({}) AS s LIMIT {}", joined(shown), found.made.select, q(str(SAMPLES)))
    names, rows = session.names(query, found.relation.name)
    for row in rows:
        yield _properties(request.vocabulary, dict(zip(names, row, strict=True)))


def _properties(collection: Collection, row: dict[str, Any]) -> dict[str, Any]:
    """What stands in several columns as the one property that it is."""
    made: dict[str, Any] = {}
    for prop in collection.properties.values():
        if prop.type is Type.NAMES:
            languages, texts = row[f"{prop.name}_languages"], row[f"{prop.name}_texts"]
            made[prop.name] = None if languages is None else dict(zip(languages, texts, strict=True))
        elif prop.type is Type.BOX:
            box = {side: row[f"{prop.name}_{side}"] for side in ("xmin", "ymin", "xmax", "ymax")}
            made[prop.name] = None if None in box.values() else box
        else:
            made[prop.name] = row[prop.name]
    return made


def _used(found: _Found) -> MappingDocument:
    """The mapping in force without what the relation has no use for, unmapped codes as null."""
    rules: dict[str, Rule] = {}
    met = {(prop, column) for prop, columns in found.counts.matched.items() for column in columns}
    met |= set(found.report.unmapped)
    for prop, rule in found.mapping.rules.items():
        sources = []
        for source in rule.sources:
            if (prop, source.column) not in met:
                continue
            if source.codes is not None:
                seen = {fold(text) for text in found.codes.get((prop, source.column), {})}
                codes = {key: code for key, code in source.codes.items() if key in seen}
                codes |= dict.fromkeys(found.report.unmapped.get((prop, source.column), ()))
                source = replace(source, codes=codes)
            sources.append(source)
        languages = tuple(
            (language, column)
            for language, column in rule.languages
            if (prop, column) in met
            or (language == "*" and any(p == prop and c.startswith(column[:-1]) for p, c in met))
        )
        if sources or languages or rule.constant is not None:
            rules[prop] = Rule(rule.prop, tuple(sources), languages, rule.constant)
    return MappingDocument(name=found.mapping.name, rules=rules, id=(found.id_column,))
