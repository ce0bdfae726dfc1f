"""One import from files to a snapshot: what ``importer`` read is settled, sorted, written and sealed.

Nothing is visible before the last step, and nothing stays behind when an earlier one fails.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cimfed.errors import BadFile
from cimfed_node.ingest import duplicates
from cimfed_node.ingest.append import check_base, check_request, leave_known, link_segments
from cimfed_node.ingest.bad import BAD
from cimfed_node.ingest.belonging import Erased
from cimfed_node.ingest.carry import Carried
from cimfed_node.ingest.importer import Progress, Run, passes
from cimfed_node.ingest.readers.lines import GZIP, refuse_pipe
from cimfed_node.ingest.report import ImportReport
from cimfed_node.ingest.request import ImportRequest
from cimfed_node.ingest.snapshot import IMPORTING, ORIGINAL, Snapshot, seal_snapshot
from cimfed_node.ingest.spill import geo_metadata, write_parquet
from cimfed_node.ingest.update import Base, following, take_over
from cimfed_node.room import Room

PLAIN, PACKED, CARRIED = 2, 12, 5
"""Bytes on the disk for one of a file, of a gzip file, of a snapshot's: measured on cities of 0.2 to 5 MB."""


def _put_aside(run: Run) -> None:
    """Write the quarantine file. Raises BadFile where that cannot be done."""
    if run.request.quarantine is not None:
        try:
            shutil.copyfile(run.scratch / BAD, run.request.quarantine)
        except OSError as error:
            raise BadFile(
                f"the quarantine file cannot be written: {error.strerror}", place=str(run.request.quarantine)
            ) from None


def import_files(
    request: ImportRequest,
    snapshots: Path,
    progress: Progress | None = None,
    base: Base | None = None,
    erased: Erased | None = None,
    room: Room | None = None,
) -> tuple[Snapshot, ImportReport]:
    """Import files as one snapshot below ``snapshots``, whole or not at all; ``base``: the one that it follows.

    Raises BadFile, BadMapping, BadConfig; NoRoom before it begins or as soon as there is none.
    """
    begun = time.monotonic()
    if base is not None and base.appended:
        check_request(request)
    snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
    room = room or Room()
    room.need(estimate(request.files, base))
    folder = Path(tempfile.mkdtemp(prefix=IMPORTING, dir=snapshots))
    try:
        run = passes(request, folder, progress, operations=base.operations if base else {}, erased=erased, room=room)
        assert run.reference is not None
        room.took((folder / ORIGINAL).stat().st_size)
        groups = duplicates.find(run.spill)
        duplicates.settle(run.spill, groups, request.on_duplicate, request.vocabulary, run.reference)
        report = run.report(groups)
        facts = run.facts()
        if base is not None and base.appended:
            return _appended(run, base.snapshot, folder, snapshots, begun)
        if base is not None:
            carried = Carried(reach=run.reach, kinds=run.builder.counts.kinds)
            heights = run.heights
            notes = take_over(base, run.spill, folder / ORIGINAL, carried)
            facts = following(base.snapshot.inventory, facts | run.reach_facts(), heights, carried)
            report = replace(report, notes=(*report.notes, *notes))
        _write(run, folder)
        snapshot = seal_snapshot(folder, snapshots, facts)
        return snapshot, replace(report, seconds=time.monotonic() - begun)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def estimate(files: Sequence[Path], base: Base | None) -> int:
    """About how many bytes an import has on the disk at most: chunks, rows and untouched objects at the same time."""
    total = 0
    for path in files:
        try:
            refuse_pipe(path)
            with path.open("rb") as file:
                packed = file.read(2) == GZIP
                total += os.fstat(file.fileno()).st_size * (PACKED if packed else PLAIN)
        except OSError:  # told when it is read
            continue
    if base is not None and not base.appended:
        total += CARRIED * sum(path.stat().st_size for path in (*base.snapshot.paths, *base.snapshot.originals))
    return total


def _write(run: Run, folder: Path) -> None:
    """The rows, and the quarantine file; what was spilled is gone after that."""
    schema = run.builder.schema
    geo = geo_metadata(run.reach.extent, run.builder.counts.kinds, schema.names)
    write_parquet(run.spill, folder / f"{run.request.collection}.parquet", schema, geo, run.progress)
    _put_aside(run)
    shutil.rmtree(run.scratch)


def _appended(run: Run, base: Snapshot, folder: Path, snapshots: Path, begun: float) -> tuple[Snapshot, ImportReport]:
    """The base with a further segment; the base itself where the files have nothing that it lacks."""
    if run.reach.extent is not None:
        raise BadFile("only readings without a place of their own are appended", remedy="Use --update")
    check_base(base, run.builder.schema)
    report, facts = run.report({}), run.facts()
    left = leave_known(base, run.spill, run.request.on_duplicate)
    notes = (*report.notes, *([f"{left:,} readings are there already and were left out"] if left else []))
    report = replace(report, rows=run.spill.rows, notes=notes, seconds=time.monotonic() - begun)
    if not run.spill.rows:
        _put_aside(run)
        return base, report
    _write(run, folder)
    known = link_segments(base, folder)
    run.reach.widen_times(base.times)
    facts = following(base.inventory, facts, False, Carried(rows=base.rows))
    rows = base.rows + report.rows
    return seal_snapshot(folder, snapshots, facts | run.reach.facts() | {"rows": rows}, known), report
