"""What runs beside an import: an IFC file in, lines of JSON out.

One line with the format, the placement and the CityJSON header; then for each object that is wanted a line with its
feature, or with why it is bad; before a body is made, a line with whose it is, so that who reads knows which one the
kernel died of. Bodies of ``skip`` are not made. Memory is bounded here, time by who reads.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any, BinaryIO

import numpy as np
import shapely

from cimfed_node.ingest.arrays import Floats, Ints

KILLED = "the geometry kernel died of its body"
SCALE = 1e-3
FAR = 1e9  # in units of the CRS


class Writer:
    """What others print, the kernel among them, goes nowhere."""

    def __init__(self) -> None:
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)

    def line(self, **entry: Any) -> None:
        text = json.dumps(entry, ensure_ascii=False, allow_nan=False)
        self._out.write(text.encode("utf-8", "replace") + b"\n")
        self._out.flush()


def main() -> None:
    task = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (task["memory"], task["memory"]))
    writer = Writer()
    try:
        Work(task, writer).run()
    except _Refused as refused:
        writer.line(error=str(refused), remedy=refused.remedy)
    except (MemoryError, ImportError, OSError):  # libraries are not loaded without memory either
        writer.line(error="the IFC file cannot be read within the time and memory allowed", remedy=None)
    except Exception as error:  # numbers that are none, references that lead nowhere, values of another type
        writer.line(error=f"the file contradicts its own schema ({type(error).__name__})", remedy=None)


class _Refused(Exception):
    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class Work:
    def __init__(self, task: dict[str, Any], writer: Writer) -> None:
        import ifcopenshell

        from cimfed_node.ingest.ifc import bodies, model, placing

        self._bodies = bodies
        self._writer = writer
        self._types: list[str] = task["types"]
        self._skip = set(task["skip"])
        self._made: dict[int, Any] = {}
        self._how = bodies.settings()
        try:
            file: Any = ifcopenshell.open(task["path"])
        except MemoryError:
            raise
        except Exception:
            raise _Refused("this is not a readable IFC file") from None
        try:
            self._placement = placing.placement(file, task["place"], task["crs_named"])
            self._model = model.Model(file)
        except placing.Unplaced as error:
            raise _Refused(str(error), error.remedy) from None
        self._schema = str(file.schema_identifier)

    def run(self) -> None:
        placement = self._placement
        first = placement.place(np.array([placement.pivot]))[0]
        self._corner = np.array([np.floor(first[0]), np.floor(first[1]), 0.0])
        transform = {"scale": [SCALE] * 3, "translate": self._corner.tolist()}
        self._writer.line(
            format=self._schema,
            crs=placement.crs,
            vertical=placement.vertical,
            notes=list(placement.notes),
            header={"type": "CityJSON", "version": "2.0", "transform": transform},
        )
        for thing in self._model.things:
            self._thing(thing)
        self._writer.line(end=True)

    def _thing(self, thing: Any) -> None:
        try:
            self._feature(thing)
        except MemoryError:
            raise
        except self._bodies.NoBody as error:
            self._writer.line(bad=thing.id, reason=str(error))
        except Exception as error:
            self._writer.line(bad=thing.id, reason=f"it contradicts its own schema ({type(error).__name__})")

    def _feature(self, thing: Any) -> None:
        geometries: list[Any] = []
        vertices: list[Any] = []
        node = {"type": thing.kind, "attributes": thing.attributes, "geometry": geometries}
        if thing.kind in self._types and not thing.id:
            self._writer.line(bad="", reason="no GlobalId")
            return
        if thing.kind in self._types:
            level = self._model.level(thing) if thing.kind == "BuildingStorey" else None
            if level is not None:
                thing.attributes["elevation"] = round(
                    float(self._placement.place(np.array([[0.0, 0.0, level]]))[0, 2]), 6
                )
            geometry, vertices = self._geometry(thing, level or 0.0)
            if geometry is not None:
                geometries.append(geometry)
        feature = {"type": "CityJSONFeature", "id": thing.id, "CityObjects": {thing.id: node}, "vertices": vertices}
        self._writer.line(feature=feature)

    def _geometry(self, thing: Any, level: float) -> tuple[Any, list[Any]]:
        """A room's body, triangles and all; of a storey or building what its rooms and floors cover."""
        if thing.kind == "BuildingRoom":
            if thing.entity.Representation is None:
                return None, []
            points, triangles = self._body(thing.entity)
            shell = [[corners] for corners in triangles.tolist()]
            return {"type": "Solid", "lod": "3", "boundaries": [shell]}, self._vertices(points)
        parts = [self._covered(product) for product in thing.bodies if product.Representation is not None]
        whole = self._bodies.united(parts)
        if whole is None:
            return None, []
        surfaces, rings = [], []
        count = 0
        for polygon in shapely.get_parts(whole):
            surface = []
            for ring in (polygon.exterior, *polygon.interiors):
                corners = shapely.get_coordinates(ring)[:-1]
                rings.append(corners)
                surface.append(list(range(count, count + len(corners))))
                count += len(corners)
            surfaces.append(surface)
        flat = np.vstack(rings)
        points = np.column_stack((flat, np.full(len(flat), level)))
        return {"type": "MultiSurface", "lod": "0", "boundaries": surfaces}, self._vertices(points)

    def _covered(self, product: Any) -> Any:
        """None where the kernel cannot make it: a storey does without that part."""
        id = product.id()
        if id not in self._made:
            try:
                self._made[id] = self._bodies.covered(*self._body(product))
            except self._bodies.NoBody:
                self._made[id] = None
        return self._made[id]

    def _body(self, product: Any) -> tuple[Floats, Ints]:
        if product.id() in self._skip:
            raise self._bodies.NoBody(KILLED)
        self._writer.line(at=product.id())
        found: tuple[Floats, Ints] = self._bodies.body(product, self._how)
        return found

    def _vertices(self, points: Floats) -> list[Any]:
        placed = self._placement.place(points)
        if not (np.abs(placed - self._corner) < FAR).all():  # infinity and NaN too
            raise self._bodies.NoBody("coordinates far from the project's origin")
        vertices: list[Any] = np.rint((placed - self._corner) / SCALE).astype(np.int64).tolist()
        return vertices


if __name__ == "__main__":
    main()
