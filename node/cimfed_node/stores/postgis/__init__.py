"""The server store: views are tables of a PostgreSQL with PostGIS, in a schema of their own."""

from cimfed_node.stores.postgis.store import PostGISStore

__all__ = ["PostGISStore"]
