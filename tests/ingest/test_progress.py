"""What an import says of how far it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cimfed.model.names import CityName
from cimfed_node.ingest import ImportRequest, import_files


def features(count: int) -> list[dict[str, object]]:
    return [
        {
            "type": "Feature",
            "id": f"f{number}",
            "properties": {"kind": "power_plant"},
            "geometry": {"type": "Point", "coordinates": [70 + number / 10_000, 40]},
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lines", [False, True])
def test_progress_rises_to_the_whole_of_each_stage(tmp_path: Path, lines: bool, packed: bool) -> None:
    made = features(2500)
    text = "\n".join(map(json.dumps, made)) if lines else json.dumps({"type": "FeatureCollection", "features": made})
    file = tmp_path / "plants.geojson"
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    said: list[tuple[str, int, int]] = []
    request = ImportRequest((file,), CityName("kz.almaty"), "facility")
    import_files(request, tmp_path / "snapshots", lambda what, done, total: said.append((what, done, total)))
    assert said[-1] == ("writing", 2500, 2500)
    reading = [(done, total) for what, done, total in said if what == "reading plants.geojson"]
    assert [total for _, total in reading] == [file.stat().st_size if lines else 2500] * 2
    assert 0 < reading[0][0] <= reading[1][0] <= reading[1][1]
