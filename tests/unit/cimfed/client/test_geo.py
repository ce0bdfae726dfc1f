"""Answers as GeoDataFrames."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest
import shapely

from cimfed.errors import BadConfig, BadQuery
from tests.unit.cimfed.client.world import ALMATY, EXTENTS, TASHKENT, World, connect, connect_async


def frame_of(lod: int | None = None, **options: Any) -> Any:
    with connect(World()) as fed:
        return fed.read("building", purpose="research", **options).to_geopandas(lod).set_index("id")


def test_each_row_has_its_finest_geometry() -> None:
    frame = frame_of()
    assert len(frame) == 62
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert frame.geometry["uz.tashkent/1"].has_z
    assert not frame.geometry["uz.tashkent/2"].has_z  # this one has no block model
    xmin, ymin, *_ = EXTENTS[ALMATY]
    assert frame.geometry["kz.almaty/3"].equals(shapely.box(xmin + 0.003, ymin, xmin + 0.0035, ymin + 0.0005))


def test_a_level_can_be_chosen() -> None:
    assert not frame_of(0).geometry.has_z.any()
    blocks = frame_of(1)
    assert set(blocks[blocks.geometry.notna()]["city"]) == {TASHKENT}


def test_columns_are_ready_to_calculate_with() -> None:
    frame = frame_of()
    heights = [Decimal(i) + Decimal("0.25") for i in range(40) if i % 5]
    assert frame[frame["city"] == ALMATY]["height"].sum() == float(sum(heights))
    assert frame.loc["cn.qingdao/3", "name"] == {"en": "House 3", "zh": "楼3"}
    assert "bbox" not in frame.columns


async def test_the_async_client_has_them_too() -> None:
    async with connect_async(World()) as fed:
        frame = await fed.read("building", purpose="research").to_geopandas()
    assert len(frame) == 62


def test_without_geometry_there_is_an_error_that_says_what_to_ask() -> None:
    with pytest.raises(BadQuery, match="no geometry"):
        frame_of(properties=["id", "height"])
    with pytest.raises(BadQuery, match="of level 3, only geometry_lod0, geometry_lod1"):
        frame_of(3)


def test_without_geopandas_there_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(BadConfig, match="geopandas") as caught:
        frame_of()
    assert caught.value.remedy == "pip install 'cimfed[geo]'"
