"""The embedded store: views are Parquet files in one folder, queried in place by DuckDB."""

from cimfed_node.stores.duckdb.store import DuckDBStore

__all__ = ["DuckDBStore"]
