"""Independent readings, none of them with cimfed's code: of real files here, of the wire in ``wire``.

Real files are read with plain json, csv and pyproj; tests compare with that what an import made. Coordinates go through
pipelines that are written out in ``places``, so that nothing is left to PROJ's choice of an operation.
"""
