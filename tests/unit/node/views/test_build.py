"""A view holds what its shape gives of the snapshot, and nothing else: against plain Python and shapely."""

from __future__ import annotations

import hashlib
import json
import random
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.errors import BadFile, CimfedError, ViewGone
from cimfed.model.limits import MIB
from cimfed.model.schema import MASK
from cimfed.policy.meet import shape_hash
from cimfed.policy.shape import EXACT, NULL, Mask, Shape, band
from cimfed.query.expression import Comparator, Comparison, Expression, In, IsNull, Literal, Not, Or, Property
from cimfed.trust.hashing import digest
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.stores.base import View
from cimfed_node.views import FileBuilder, open_view, view_id
from cimfed_node.views.files import shown_snapshot
from cimfed_node.views.layout import MAX_ROW_GROUP
from tests.unit.cimfed.query.naive import select
from tests.unit.node import rows as made

KEY = b"k" * 32
CENTRE = shapely.Polygon([(76.0, 43.0), (76.3, 43.0), (76.5, 43.2), (76.3, 43.5), (76.0, 43.4)])
HOLED = shapely.Point(76.25, 43.25).buffer(0.2).difference(shapely.Point(76.25, 43.25).buffer(0.05))
COLUMNS = (*made.COLUMNS, "name", "geometry_lod1", "geometry_lod2", "zmin", "zmax", "district")


def shape(
    columns: Mapping[str, Mask],
    max_lod: int | None = 0,
    *,
    rows: tuple[Expression, ...] = (),
    areas: tuple[shapely.Geometry, ...] = (),
) -> Shape:
    wkb = frozenset(shapely.to_wkb(area, flavor="iso") for area in areas)
    return Shape("building", frozenset(rows), wkb, columns, max_lod, (0, 2**62))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def builder(home: Path) -> Iterator[FileBuilder]:
    (home / "snapshots").mkdir()
    found = FileBuilder(home / "snapshots", home / "views", home / "scratch", KEY, threads=2)
    yield found
    found.close()


def _city(number: int) -> list[dict[str, Any]]:
    """Buildings of all kinds in and around the areas, some on their edges, some without geometry or values."""
    dice = random.Random(7)
    found = []
    for at in range(number):
        x, y = 76 + dice.random() * 0.6, 43 + dice.random() * 0.6
        geometry: Any = shapely.box(x, y, x + dice.random() * 0.05, y + dice.random() * 0.05)
        match at % 20:
            case 0:
                geometry = None
            case 1:
                geometry = shapely.Point(x, y)
            case 2:
                geometry = shapely.Point(76.3, 43.5)  # a corner of CENTRE
            case 3:
                geometry = shapely.LineString([(76.0, 43.0), (76.3, 43.0)])  # an edge of it
            case 4:
                geometry = shapely.MultiPolygon([geometry, shapely.box(x + 0.06, y, x + 0.07, y + 0.01)])
        height = None if at % 7 == 0 else Decimal(dice.randint(-3000, 12000)).scaleb(-2)
        solid = None if geometry is None else shapely.to_wkb(shapely.force_3d(geometry, 5.0), flavor="iso")
        found.append(
            made.building(
                at,
                geometry,
                height=height,
                year_built=None if at % 11 == 0 else dice.randint(-50, 2025),
                function=dice.choice(["residential", "office", None]),
                usage_state=None,
                floor_area=Decimal(dice.randint(0, 10**6)).scaleb(-1),
                name=[("kk", f"Үй {at}")] if at % 3 else None,
                geometry_lod1=solid,
                geometry_lod2=solid if at % 2 else None,
                zmin=Decimal("5.00"),
                zmax=height,
                district=f"district-{at % 5}",
            )
        )
    return found


@pytest.fixture(scope="module")
def city() -> list[dict[str, Any]]:
    return _city(3000)


@pytest.fixture(scope="module")
def snapshot(home: Path, builder: FileBuilder, city: list[dict[str, Any]]) -> Snapshot:
    return made.write_snapshot(home / "snapshots", made.table(city, COLUMNS))


def rows_of(view: View) -> list[dict[str, Any]]:
    return pq.ParquetFile(view.source).read().to_pylist()


def expected(city: list[dict[str, Any]], of: Shape, columns: Mapping[str, Mask]) -> list[dict[str, Any]]:
    """Rows, areas and masks by the naive oracle, shapely and Decimal."""
    found = city
    for predicate in of.rows:
        found = [dict(row) for row in select(predicate, found)]
    for area in of.areas:
        polygon = shapely.from_wkb(area)
        found = [
            row
            for row in found
            if row["geometry_lod0"] is not None and polygon.covers(shapely.from_wkb(row["geometry_lod0"]))
        ]
    return [{name: _masked(row[name], mask) for name, mask in columns.items()} for row in found]


def _masked(value: Any, mask: Mask) -> Any:
    if value is None or mask == EXACT:
        return value
    if mask.width is None:
        return None
    steps = (Decimal(value) / mask.width).to_integral_value(ROUND_FLOOR)  # quotients here are short of 28 digits
    return type(value)(steps * mask.width)


TALL_OR_OLD = Or(
    (
        Comparison(Comparator.GT, Property("height"), Literal(Decimal("50.005"))),
        Comparison(Comparator.LT, Property("year_built"), Literal(Decimal(1900))),
    )
)
SHAPES = [
    shape({"id": EXACT, "height": band(Decimal(5)), "year_built": band(Decimal(10)), "name": EXACT}),
    shape({"id": EXACT, "height": band(Decimal("0.05")), "year_built": band(Decimal(7)), "function": NULL}),
    shape({"id": EXACT, "floor_area": band(Decimal("2.5"))}, None),
    shape({"id": EXACT, "zmin": EXACT, "zmax": band(Decimal(1))}, 1),
    shape({"id": EXACT, "zmin": EXACT}, 0),
    shape({"id": EXACT, "height": EXACT}, 2, rows=(TALL_OR_OLD,)),
    shape({"id": EXACT}, 0, rows=(TALL_OR_OLD, Not(IsNull(Property("function"))))),
    shape({"id": EXACT}, None, rows=(In(Property("function"), (Literal("office"),)),), areas=(CENTRE,)),
    shape({"id": EXACT}, 0, areas=(CENTRE,)),
    shape({"id": EXACT}, 0, areas=(HOLED,)),
    shape({"id": EXACT}, 0, areas=(CENTRE, HOLED)),
    shape({"id": EXACT}, 0, areas=(shapely.box(76.1, 43.1, 76.4, 43.4), CENTRE)),
    shape({"id": EXACT}, 0, areas=(shapely.box(76.0, 43.0, 76.3, 43.5),)),
    shape({"id": EXACT}, 0, areas=(shapely.MultiPolygon([CENTRE, shapely.box(76.5, 43.5, 77, 44)]),)),
    shape({}, None),
]


@pytest.mark.parametrize("of", SHAPES)
def test_a_view_is_the_rows_columns_masks_and_geometry_of_its_shape(
    builder: FileBuilder, snapshot: Snapshot, city: list[dict[str, Any]], of: Shape
) -> None:
    view = builder.build(snapshot, of)
    masks = dict(of.columns) | {"city": EXACT}
    if of.max_lod is not None:
        masks |= {"bbox": EXACT} | {f"geometry_lod{level}": EXACT for level in range(of.max_lod + 1)}
    if not of.max_lod:
        masks = {name: mask for name, mask in masks.items() if name not in ("zmin", "zmax")}
    columns = {name: masks[name] for name in made.BUILDING.properties if name in masks}
    found, should = rows_of(view), expected(city, of, columns)
    assert view.rows == len(found) == len(should)
    assert view.schema.names == list(columns)
    assert sorted(found, key=str) == sorted(should, key=str)
    if of.max_lod is not None:
        alone = rows_alone_at_their_place(should)
        assert found[: len(alone)] == alone  # in the snapshot's order too
    for name, mask in columns.items():
        assert (view.schema.field(name).metadata or {}).get(MASK) == (None if mask == EXACT else str(mask).encode())


def rows_alone_at_their_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def place(row: dict[str, Any]) -> tuple[float, float]:
        box = row["bbox"]
        return box["xmin"] + box["xmax"], box["ymin"] + box["ymax"]

    number = Counter(place(row) for row in rows if row["bbox"])
    return [row for row in rows if row["bbox"] and number[place(row)] == 1]


def test_areas_of_the_tests_keep_some_and_drop_some(builder: FileBuilder, snapshot: Snapshot) -> None:
    for of in SHAPES:
        if of.areas or of.rows:
            assert 20 < builder.build(snapshot, of).rows < 2980


@pytest.mark.parametrize(
    ("value", "width", "floor"),
    [
        ("7.31", "5", "5.00"),
        ("-7.31", "5", "-10.00"),
        ("-0.01", "5", "-5.00"),
        ("-5.00", "5", "-5.00"),
        ("0.00", "5", "0.00"),
        ("0.30", "0.1", "0.30"),
        ("0.29", "0.1", "0.20"),
        ("9999999999999999.99", "1000000000", "9999999000000000.00"),
        ("-9999999999999999.99", "1000000000", None),  # its floor has more digits than the property
    ],
)
def test_bands_floor_from_zero_and_never_divide(
    home: Path, builder: FileBuilder, value: str, width: str, floor: str | None
) -> None:
    rows = made.table([made.building(1, height=Decimal(value)), made.building(2, height=None)])
    view = builder.build(
        made.write_snapshot(home / "snapshots", rows), shape({"id": EXACT, "height": band(Decimal(width))}, 0)
    )
    heights = {row["id"]: row["height"] for row in rows_of(view)}
    assert heights == {"b1": None if floor is None else Decimal(floor), "b2": None}


@pytest.mark.parametrize(("value", "floor"), [(-1, -10), (0, 0), (2**63 - 1, 9223372036854775800), (-(2**63), None)])
def test_bands_of_integers_reach_to_the_ends(home: Path, builder: FileBuilder, value: int, floor: int | None) -> None:
    snapshot = made.write_snapshot(home / "snapshots", made.table([made.building(1, year_built=value)]))
    view = builder.build(snapshot, shape({"year_built": band(Decimal(10))}, 0))
    assert [row["year_built"] for row in rows_of(view)] == [floor]


def test_what_the_shape_does_not_give_is_nowhere_in_the_file(home: Path, builder: FileBuilder) -> None:
    """Not in a dictionary, statistic, bloom filter or footer: every value has a mark to search the bytes for."""
    rows = [
        made.building(
            at,
            shapely.box(76, 43, 76.1, 43.1),
            function="given",
            district=f"hidden-district-{at % 3}",
            parcel_id="dropped-parcel" if at % 2 else "shown-parcel",
            height=Decimal(at % 2),
        )
        for at in range(5000)
    ]
    table = made.table(rows, (*made.COLUMNS, "district", "parcel_id"))
    of = shape(
        {"function": EXACT, "parcel_id": EXACT, "height": NULL},
        None,
        rows=(Comparison(Comparator.EQ, Property("height"), Literal(Decimal(0))),),
    )
    view = builder.build(made.write_snapshot(home / "snapshots", table), of)
    _plain_copy(Path(view.source), home / "plain.arrow")
    for path in (Path(view.source), home / "plain.arrow", Path(view.source).with_suffix(".json")):
        raw = path.read_bytes()
        assert b"hidden-district" not in raw
        assert b"dropped-parcel" not in raw
        assert b"b4999" not in raw
    assert b"shown-parcel" in (home / "plain.arrow").read_bytes()
    footer = pq.read_metadata(view.source)
    assert footer.num_rows == 2500
    assert not {"district", "bbox", "geometry_lod0", "id"} & set(footer.schema.to_arrow_schema().names)


def _plain_copy(path: Path, to: Path) -> None:
    """Each dictionary page and data page as it is stored, uncompressed: by pyarrow, keeping dictionaries."""
    file = pq.ParquetFile(path, read_dictionary=["function", "parcel_id"])
    with pa.OSFile(str(to), "wb") as sink, pa.ipc.new_file(sink, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            for batch in file.read_row_group(group).to_batches():
                writer.write_batch(batch)


def test_without_geometry_the_order_says_nothing_without_the_key(home: Path, builder: FileBuilder) -> None:
    table = made.table([made.building(at) for at in range(1000)])
    snapshot = made.write_snapshot(home / "snapshots", table)
    of = shape({"id": EXACT}, None)
    view = builder.build(snapshot, of)
    found = [row["id"] for row in rows_of(view)]
    assert sorted(found) == sorted(f"b{at}" for at in range(1000))
    assert found != [f"b{at}" for at in range(1000)]
    key = digest("cimfed view order v1", [KEY, view.id])
    assert found == sorted(found, key=lambda id: hashlib.sha256(key + id.encode()).digest())
    other = FileBuilder(home / "snapshots", home / "other-views", home / "scratch", b"o" * 32, threads=1)
    assert [row["id"] for row in rows_of(other.build(snapshot, of))] != found
    hidden = other.build(snapshot, shape({"function": EXACT}, None))
    assert hidden.schema.names == ["city", "function"]
    other.close()


def test_an_empty_view_is_a_view(builder: FileBuilder, snapshot: Snapshot) -> None:
    none = Comparison(Comparator.EQ, Property("function"), Literal("no such function"))
    for level in (None, 2):
        view = builder.build(snapshot, shape({"id": EXACT, "name": EXACT}, level, rows=(none,)))
        assert (view.rows, rows_of(view)) == (0, [])
        assert open_view(Path(view.source)) == view


def test_row_groups_are_bounded_whatever_the_filter(home: Path, builder: FileBuilder) -> None:
    rows = [made.building(at, height=Decimal(at % 5)) for at in range(150_000)]
    table = made.table(rows, ("city", "id", "height"))
    some = Not(Comparison(Comparator.EQ, Property("height"), Literal(Decimal(3))))
    view = builder.build(made.write_snapshot(home / "snapshots", table), shape({"height": EXACT}, 0, rows=(some,)))
    footer = pq.read_metadata(view.source)
    sizes = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
    assert sum(sizes) == 120_000
    assert max(sizes) <= MAX_ROW_GROUP
    assert min(sizes[:-1]) > MAX_ROW_GROUP // 2


def test_geoparquet_readers_understand_it(builder: FileBuilder, snapshot: Snapshot, city: list[dict[str, Any]]) -> None:
    view = builder.build(snapshot, shape({"id": EXACT, "height": band(Decimal(5))}, 1))
    geo = json.loads(pq.read_metadata(view.source).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry_lod0"
    assert list(geo["columns"]) == ["geometry_lod0", "geometry_lod1"]
    assert geo["columns"]["geometry_lod0"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert geo["columns"]["geometry_lod0"]["crs"]["id"] == {"authority": "OGC", "code": "CRS84"}
    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.read_parquet(view.source)
    assert len(frame) == len(city)
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    near = geopandas.read_parquet(view.source, bbox=(76, 43, 76.1, 43.1))
    boxes = [row["bbox"] for row in city if row["bbox"] is not None]
    assert len(near) == sum(box["xmin"] <= 76.1 and box["ymin"] <= 43.1 for box in boxes)
    plain = builder.build(snapshot, shape({"id": EXACT}, None))
    assert b"geo" not in (pq.read_metadata(plain.source).metadata or {})


def test_the_id_is_of_what_the_view_is_made_from(builder: FileBuilder, home: Path, snapshot: Snapshot) -> None:
    of = shape({"id": EXACT}, None)
    view = builder.build(snapshot, of)
    assert view.id == view_id(KEY, snapshot.id, shape_hash(of)) == Path(view.source).stem
    others = {
        builder.build(snapshot, replace(of, columns={"id": NULL})).id,
        builder.build(made.write_snapshot(home / "snapshots", made.table([made.building(1)])), of).id,
    }
    assert view.id not in others
    assert (view.snapshot, view.shape_hash, view.city) == (shown_snapshot(KEY, snapshot.id), shape_hash(of), made.CITY)


def test_files_are_whole_private_and_named_once(builder: FileBuilder, home: Path, snapshot: Snapshot) -> None:
    of = shape({"id": EXACT, "function": EXACT}, 0)
    view = builder.build(snapshot, of)
    path = Path(view.source)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.with_suffix(".json").stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert not [left for left in path.parent.iterdir() if left.name.startswith((".", "tmp"))]
    made_at = path.stat().st_mtime_ns
    assert builder.build(snapshot, of) == view
    assert path.stat().st_mtime_ns == made_at


def test_a_file_that_was_changed_is_built_again(builder: FileBuilder, home: Path, snapshot: Snapshot) -> None:
    of = shape({"id": EXACT, "year_built": EXACT}, 0)
    view = builder.build(snapshot, of)
    path = Path(view.source)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadFile):
        open_view(path)
    again = builder.build(snapshot, of)
    assert open_view(path) == again
    assert (again.id, again.rows, again.schema) == (view.id, view.rows, view.schema)


def test_opening_a_view_needs_no_database(builder: FileBuilder, snapshot: Snapshot) -> None:
    view = builder.build(snapshot, shape({"id": EXACT, "height": band(Decimal("2.5"))}, 0))
    found = open_view(Path(view.source))
    assert found == view
    assert found.schema.equals(view.schema, check_metadata=True)
    assert found.schema.field("height").metadata == {b"cimfed:unit": b"m", b"cimfed:mask": b"band(2.5)"}
    with pytest.raises(ViewGone):
        open_view(Path(view.source).with_name("gone.parquet"))


def test_a_view_of_a_later_release_is_not_opened(builder: FileBuilder, snapshot: Snapshot) -> None:
    view = builder.build(snapshot, shape({"id": EXACT, "district": EXACT}, None))
    facts = Path(view.source).with_suffix(".json")
    known = json.loads(facts.read_text())
    for changed in (
        known | {"format": "cimfed/view/v2"},
        known | {"columns": known["columns"] | {"warp": "exact"}},
        known | {"columns": {"id": "exact"}},
        known | {"collection": "starship"},
    ):
        facts.write_text(json.dumps(changed))
        with pytest.raises(BadFile):
            open_view(Path(view.source))
    facts.write_text("{")
    with pytest.raises(BadFile):
        open_view(Path(view.source))


def test_a_failed_build_leaves_nothing_behind(builder: FileBuilder, home: Path, snapshot: Snapshot) -> None:
    broken = made.write_snapshot(home / "snapshots", made.table([made.building(1)]))
    before = sorted(path.name for path in (home / "views").iterdir())
    broken.path.write_bytes(b"PAR1 this is no Parquet PAR1")
    with pytest.raises(BadFile):
        builder.build(broken, shape({"id": EXACT}, 0))
    invalid = made.table([{**made.building(1, shapely.box(76, 43, 77, 44)), "geometry_lod0": b"no WKB"}])
    with pytest.raises(CimfedError) as failed:
        builder.build(
            made.write_snapshot(home / "snapshots", invalid), shape({"id": EXACT}, 0, areas=(HOLED.buffer(9),))
        )
    assert "WKB" not in str(failed.value)
    with pytest.raises(CimfedError):
        builder.build(snapshot, replace(shape({"id": EXACT}), collection="facility"))
    assert sorted(path.name for path in (home / "views").iterdir()) == before


def test_building_stays_within_its_memory(home: Path, builder: FileBuilder) -> None:
    """A sort of more than fits goes to the scratch folder, which is left empty."""
    number = 600_000
    table = pa.table(
        [
            pa.array([made.CITY]).take(pa.array([0] * number)),
            pa.array([f"building-with-a-long-identifier-{at:064d}" for at in range(number)]),
        ],
        schema=made.schema(("city", "id")),
    )
    small = FileBuilder(home / "snapshots", home / "small", home / "small-scratch", KEY, memory=64 * MIB, threads=1)
    view = small.build(made.write_snapshot(home / "snapshots", table), shape({"id": EXACT}, None))
    small.close()
    assert view.rows == number
    assert list((home / "small-scratch").iterdir()) == []
