"""The untouched objects of a view: which are given, in which order, and what they cost. Against plain Python."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.errors import BadFile, CimfedError, UnknownProperty
from cimfed.model.limits import LIMITS, MIB
from cimfed.model.schema import ORIGINALS
from cimfed.policy.meet import widest
from cimfed.policy.shape import NULL, Shape
from cimfed.query.cql2 import parse
from cimfed.query.query import Read
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.stores.base import Reader, View
from cimfed_node.stores.duckdb import DuckDBStore
from cimfed_node.views import FileBuilder, FileShelf, open_view, originals
from cimfed_node.views.originals import MOST, told
from tests.unit.node import rows as made

KEY = b"k" * 32
Line = tuple[list[str], Any]
EVERY = replace(widest("building"), valid=(0, 2**62))


class Desk:
    """A builder and the folders that it works in."""

    def __init__(self, home: Path) -> None:
        self.snapshots, self.views, self.scratch = home / "snapshots", home / "views", home / "scratch"
        self.snapshots.mkdir()
        self.number = 0
        self.builder = FileBuilder(self.snapshots, self.views, self.scratch, KEY, threads=2)

    def snapshot(self, rows: Sequence[dict[str, Any]], *segments: Sequence[Line | dict[str, Any]]) -> Snapshot:
        """``segments``: the lines of each original file: objects with their ids, and headers."""
        self.number += 1  # so that no two are the same
        found = made.write_snapshot(self.snapshots, made.table([{**row, "year_built": self.number} for row in rows]))
        names = []
        for number, lines in enumerate(segments, 1):
            names.append("original.jsonl.zst" if number == 1 else f"original.{number:04}.jsonl.zst")
            texts = [
                json.dumps(line, separators=(",", ":"))
                if isinstance(line, dict)
                else f'{{"ids":{json.dumps(line[0])},"object":{json.dumps(line[1], separators=(",", ":"))}}}'
                for line in lines
            ]
            with pa.CompressedOutputStream(str(found.folder / names[-1]), "zstd") as sink:
                sink.write("".join(f"{text}\n" for text in texts).encode())
        return replace(found, inventory={"files": {name: {} for name in ("building.parquet", *names)}})

    def view(self, snapshot: Snapshot, **other: Any) -> View:
        return self.builder.build(snapshot, replace(EVERY, **other))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.builder.close()


def header(name: str, **more: Any) -> dict[str, Any]:
    return {"file": name, "header": {"type": "CityJSON", **more}}


def building(number: int, **properties: Any) -> dict[str, Any]:
    """Along a line, but for each fifth, which has no place."""
    place = shapely.box(70 + number * 0.01, 40, 70.005 + number * 0.01, 40.005) if number % 5 else None
    return made.building(number, place, height=number, **properties)


def given(view: View) -> dict[str, tuple[Any, Any] | None]:
    """By id: the object and its header; None where it is not given."""
    assert view.originals is not None
    beside = pq.read_table(view.originals)
    headers = json.loads(beside.schema.metadata[ORIGINALS])
    ids = pq.read_table(view.source, columns=["id"])["id"].to_pylist()
    assert len(ids) == beside.num_rows
    return {
        id: None if text is None else (json.loads(text), headers[number])
        for id, text, number in zip(
            ids, *(beside[at].to_pylist() for at in ("original", "original_header")), strict=True
        )
    }


def test_each_row_has_its_own_object_and_header_whatever_the_order(desk: Desk) -> None:
    dice = random.Random(3)
    rows = [building(number) for number in range(300)]
    lines: list[Any] = [([f"b{number}"], {"n": number, "text": 'a","object":"Ünï'}) for number in range(300)]
    dice.shuffle(lines)
    first, second = [header("one"), *lines[:150]], [header("two", title="2"), *lines[150:]]
    found = given(desk.view(desk.snapshot(rows, first, second)))
    where = {line[0][0]: head for part in (first, second) for head in part[:1] for line in part[1:]}
    assert found == {f"b{n}": ({"n": n, "text": 'a","object":"Ünï'}, where[f"b{n}"]) for n in range(300)}


def test_an_object_is_given_whole_or_not_at_all(desk: Desk) -> None:
    """Against a plain second implementation, over random families, conditions and doubled ids."""
    dice = random.Random(11)
    for round in range(12):
        rows = [building(number) for number in range(60)]
        ids = [f"b{number}" for number in range(60)]
        dice.shuffle(ids)
        lines: list[Any] = [header("f")]
        while ids:
            family = [ids.pop() for _ in range(min(len(ids), dice.choice([1, 1, 1, 2, 3])))]
            if dice.random() < 0.1:
                family.append(f"b{dice.randrange(60)}")  # which stands elsewhere, too
            if dice.random() < 0.05:
                family.append("gone")  # of which there is no row
            lines.append((family, {"round": round, "family": family}))
        low = dice.randrange(0, 20)
        view = desk.view(desk.snapshot(rows, lines), rows=frozenset({parse(f"height >= {low}")}))
        shown = pq.read_table(view.source, columns=["id"])["id"].to_pylist()
        assert sorted(shown) == sorted(f"b{number}" for number in range(low, 60))
        named = Counter(id for family, _ in lines[1:] for id in family)
        expected: dict[str, Any] = dict.fromkeys(shown)
        for family, object in lines[1:]:
            if all(id in shown and named[id] == 1 for id in family):
                expected[min(family, key=shown.index)] = (object, lines[0])
        assert given(view) == expected


def test_a_file_of_which_nothing_is_given_is_not_named(desk: Desk) -> None:
    rows = [building(number) for number in range(4)]
    lines = [header("one"), (["b0"], 0), header("hidden"), (["b1"], 1), header("three"), (["b2"], 2), (["b3"], 3)]
    view = desk.view(desk.snapshot(rows, lines), rows=frozenset({parse("height <> 1")}))
    assert given(view) == {"b0": (0, header("one")), "b2": (2, header("three")), "b3": (3, header("three"))}
    assert view.originals is not None
    assert "hidden" not in str(pq.read_schema(view.originals).metadata)
    assert b"hidden" not in view.originals.read_bytes()


def test_what_is_of_no_row_is_not_given(desk: Desk) -> None:
    lines = [header("f"), ([], "of the whole file"), (["b0"], 0), ([], "again")]
    view = desk.view(desk.snapshot([building(0)], lines))
    assert given(view) == {"b0": (0, header("f"))}
    assert told(view) == "1 untouched objects"


def test_a_header_that_comes_again_is_one(desk: Desk) -> None:
    rows = [building(number) for number in range(3)]
    lines = [header("one"), (["b0"], 0), header("two"), (["b1"], 1), header("one"), (["b2"], 2)]
    view = desk.view(desk.snapshot(rows, lines))
    assert view.originals is not None
    assert json.loads(pq.read_schema(view.originals).metadata[ORIGINALS]) == [header("one"), header("two")]


def test_an_object_too_large_for_a_frame_is_left_out_and_told(desk: Desk) -> None:
    rows = [building(number) for number in range(3)]
    fits, large = "x" * (MOST - 2), "x" * (MOST - 1)  # and quotes
    view = desk.view(desk.snapshot(rows, [header("f"), (["b0"], fits), (["b1"], large), (["b2"], 2)]))
    assert given(view) == {"b0": (fits, header("f")), "b1": None, "b2": (2, header("f"))}
    assert told(view) == "2 untouched objects; 1 are of more than 3.5 MiB"


def test_headers_of_more_than_the_limit_leave_out_all_and_it_is_told(desk: Desk) -> None:
    rows = [building(number) for number in range(2)]
    about = len(json.dumps(header("a", t=""), separators=(",", ":")))
    for size, stands in ((LIMITS.headers - about - 2, True), (LIMITS.headers - about - 1, False)):
        view = desk.view(desk.snapshot(rows, [header("a", t="x" * size), (["b0"], 0), (["b1"], size)]))
        assert (view.originals is not None) == stands
        assert told(view) == (
            "2 untouched objects"
            if stands
            else "no untouched objects: what their files say of all objects has more than 1 MiB"
        )
        if stands:
            assert view.originals is not None
            assert len(pq.read_schema(view.originals).metadata[ORIGINALS]) == LIMITS.headers
    hidden = [header("a", t="x" * 2 * MIB), (["b0"], 0), header("b"), (["b1"], 1)]
    narrow = desk.view(desk.snapshot(rows, hidden), rows=frozenset({parse("height > 0")}))
    assert given(narrow) == {"b1": (1, header("b"))}


def test_a_snapshot_without_originals_gives_none(desk: Desk) -> None:
    view = desk.view(desk.snapshot([building(0)]))
    assert view.originals is None
    assert told(view) == "no untouched objects: the snapshot keeps none"


@pytest.mark.parametrize(
    "narrower",
    [{"original": False}, {"max_lod": 2}, {"columns": {**EVERY.columns, "height": NULL}}],
    ids=["not granted", "less detail", "a hidden column"],
)
def test_a_shape_that_hides_something_has_none_however_it_came_about(desk: Desk, narrower: dict[str, Any]) -> None:
    view = desk.view(desk.snapshot([building(0)], [header("f"), (["b0"], "secret of b0")]), **narrower)
    assert view.originals is None
    assert [path.suffixes for path in desk.views.iterdir() if "original" in path.name] == []
    assert not any(b"original" in path.read_bytes() for path in desk.views.iterdir())


def test_rows_and_their_file_are_as_without(desk: Desk) -> None:
    rows = [building(number) for number in range(50)]
    snapshot = desk.snapshot(rows, [header("f"), *((([f"b{number}"], number)) for number in range(50))])
    one, other = desk.view(snapshot), desk.view(snapshot, original=False)
    assert one.id != other.id
    assert one.schema == other.schema
    assert {k: v for k, v in one.widths.items() if k != "original"} == other.widths
    assert sorted(map(str, pq.read_table(one.source).to_pylist())) == sorted(
        map(str, pq.read_table(other.source).to_pylist())
    )


def test_a_view_is_not_used_again_when_its_objects_were_changed(desk: Desk) -> None:
    snapshot = desk.snapshot([building(0)], [header("f"), (["b0"], "as it was")])
    view = desk.view(snapshot)
    assert view.originals is not None
    good = view.originals.read_bytes()
    stamp = view.originals.stat().st_ino
    assert desk.view(snapshot).originals == view.originals
    assert view.originals.stat().st_ino == stamp
    for damage in (good.replace(b"PAR1", b"PAR2"), good[:-1]):
        view.originals.write_bytes(damage)
        assert given(desk.view(snapshot)) == {"b0": ("as it was", header("f"))}
    view.originals.unlink()
    with pytest.raises(CimfedError):
        open_view(Path(view.source))
    assert given(desk.view(snapshot)) == {"b0": ("as it was", header("f"))}


def test_originals_that_cannot_be_read_are_a_bad_file_and_nothing_is_left(desk: Desk) -> None:
    snapshot = desk.snapshot([building(0)], [header("f"), (["b0"], "x")])
    (snapshot.folder / "original.jsonl.zst").write_bytes(b"no zstd")
    with pytest.raises(BadFile):
        desk.view(snapshot)
    assert list(desk.views.iterdir()) == list(desk.scratch.iterdir()) == []


def test_objects_go_with_their_view_and_stay_with_it(desk: Desk) -> None:
    view = desk.view(desk.snapshot([building(0)], [header("f"), (["b0"], "x")]))
    assert view.originals is not None
    left = desk.views / f".{view.id}-0123.original.parquet"
    left.write_bytes(b"half")
    shelf = FileShelf(desk.snapshots, desk.views, desk.scratch, lambda: KEY, memory=MIB, threads=1)
    shelf.sweep({view.id})
    assert {path.name for path in desk.views.iterdir()} == {
        f"{view.id}{end}" for end in (".parquet", ".json", ".original.parquet")
    }
    shelf.sweep(set())
    assert list(desk.views.iterdir()) == []


def test_building_holds_a_group_of_objects_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """160 MiB of objects, in the opposite order of the rows."""
    monkeypatch.setattr(originals, "GROUP_BYTES", MIB)
    count, text = 320, "x" * (MIB // 2)
    snapshot = desk.snapshot(
        [building(number) for number in range(count)],
        [header("f"), *((([f"b{number}"], f"{number}{text}")) for number in reversed(range(count)))],
    )
    arrow = pa.default_memory_pool()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    view = desk.view(snapshot)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 24 * MIB
    assert arrow.bytes_allocated() < 32 * MIB
    assert given(view)["b7"] == (f"7{text}", header("f"))
    assert view.originals is not None
    assert pq.ParquetFile(view.originals).num_row_groups == count


# Asking


@pytest.fixture
def store(desk: Desk) -> Iterator[DuckDBStore]:
    found = DuckDBStore(desk.views)
    yield found
    found.close()


def read_all(reader: Reader) -> pa.Table:
    batches = []
    while (batch := reader.read_next()) is not None:
        batches.append(batch)
    reader.close()
    return pa.Table.from_batches(batches, reader.schema)


@pytest.mark.parametrize("properties", [None, ("id",), ("height", "id", "energy_kwh", "colour"), ("energy_kwh",)])
@pytest.mark.parametrize("where", [None, "height >= 0", "height > 30 AND height < 55", "id LIKE_NOT"], ids=str)
def test_reads_give_each_row_its_object(
    desk: Desk,
    store: DuckDBStore,
    properties: tuple[str, ...] | None,
    where: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(originals, "GROUP_BYTES", 2000)
    if where == "id LIKE_NOT":
        where = "id IN ('b3', 'b99', 'b41')"
    rows = [building(number) for number in range(100)]
    lines = [header("f"), *(([f"b{n}"], {"n": n, "pad": "x" * (n * 7 % 300)}) for n in range(0, 100) if n % 3)]
    view = desk.view(desk.snapshot(rows, lines))
    asked = Read("building", None if where is None else parse(where), properties)
    plain, beside = read_all(store.read(view, asked)), read_all(store.read(view, replace(asked, original=True)))
    assert beside.schema.names == [*plain.schema.names, "original", "original_header"]
    assert beside.select(plain.schema.names).equals(plain.replace_schema_metadata(None))
    assert json.loads(beside.schema.metadata[ORIGINALS]) == [header("f")]
    assert ORIGINALS not in (plain.schema.metadata or {})
    expected = given(view)
    ids = read_all(store.read(view, replace(asked, properties=("id",))))["id"].to_pylist()
    assert [None if text is None else json.loads(text) for text in beside["original"].to_pylist()] == [
        None if (found := expected[id]) is None else found[0] for id in ids
    ]
    assert beside["original_header"].to_pylist() == [None if expected[id] is None else 0 for id in ids]


def test_batches_stay_small_where_a_few_objects_are_large(desk: Desk, store: DuckDBStore) -> None:
    rows = [building(number) for number in range(4000)]
    sizes = {number: 3 * MIB if 2000 <= number < 2020 else 10 for number in range(4000)}
    lines = [header("f"), *((([f"b{n}"], "x" * size)) for n, size in sizes.items())]
    view = desk.view(desk.snapshot(rows, lines))
    reader = store.read(view, Read("building", None, ("id",), original=True))
    seen = 0
    while (batch := reader.read_next()) is not None:
        assert batch.nbytes <= MOST or batch.num_rows == 1
        for id, text in zip(batch["id"].to_pylist(), batch["original"].to_pylist(), strict=True):
            assert len(text) == sizes[int(id[1:])] + 2
        seen += batch.num_rows
    assert seen == 4000


def test_a_view_without_originals_refuses_as_of_a_property_that_it_lacks(desk: Desk, store: DuckDBStore) -> None:
    view = desk.view(desk.snapshot([building(0)]))
    with pytest.raises(UnknownProperty) as refused:
        store.read(view, Read("building", original=True))
    with pytest.raises(UnknownProperty) as other:
        store.read(view, Read("building", parse("colour = 'red'")))
    assert refused.value.message == other.value.message.replace("colour", "original")


def test_an_interrupted_read_does_not_end_as_a_whole_one(desk: Desk, store: DuckDBStore) -> None:
    view = desk.view(desk.snapshot([building(0)], [header("f"), (["b0"], "x")]))
    reader = store.read(view, Read("building", original=True))
    reader.interrupt()
    with pytest.raises(CimfedError):
        reader.read_next()
    reader.close()


def test_a_shape_of_the_whole_is_what_is_meant_here() -> None:
    assert isinstance(EVERY, Shape)
    assert EVERY.original
