"""The peer of the relayed read: bare Arrow Flight over plain TCP, no policy, no signatures, one process.

It answers any ticket with the SQL in it, by DuckDB over the same view files that the nodes serve.
"""

from __future__ import annotations

import sys

import duckdb
import pyarrow.flight as flight

ROWS_PER_BATCH = 20_000


def plain_engine() -> duckdb.DuckDBPyConnection:
    """DuckDB as it comes, but for geometry: WKB columns stay bytes, as they do on a node."""
    engine = duckdb.connect()
    engine.execute("SET GLOBAL enable_geoparquet_conversion = false")
    return engine


class Server(flight.FlightServerBase):
    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._engine = plain_engine()

    def do_get(self, context: object, ticket: flight.Ticket) -> flight.RecordBatchStream:
        reader = self._engine.cursor().execute(ticket.ticket.decode()).to_arrow_reader(ROWS_PER_BATCH)
        return flight.RecordBatchStream(reader)


if __name__ == "__main__":
    server = Server()
    print(server.port, flush=True)
    sys.stdin.read()  # until the bench closes our input
    server.shutdown()
