"""Aggregates: the cities' signed partial states, added up here and compared with what the gateway added up.

Only whole answers count: the parts of a city that did not end as answered are left out, as the gateway leaves them
out. The gateway's total is needed for nothing; that it agrees shows that it saw what we saw.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from cimfed.client.columns import CITY
from cimfed.client.verify import Total
from cimfed.errors import BadAnswer, CimfedError, CoverageMismatch
from cimfed.model.names import CityName
from cimfed.query import aggregate
from cimfed.query.query import Aggregate
from cimfed.wire.batches import read_batch, read_schema_message


class Parts:
    """The partial states so far, by city."""

    def __init__(self, request: Aggregate) -> None:
        self._request = request
        self._expected = aggregate.state_schema(request)
        self._batches: dict[CityName, list[pa.RecordBatch]] = {}

    def add(self, city: CityName, schema: pa.Schema, payload: bytes | memoryview, rows: int) -> None:
        """A batch under the city's signature. Its groups must be the city's own."""
        if city not in self._batches and not schema.equals(self._expected):
            raise BadAnswer(f"{city}: its partial state has other columns than its aggregate", place="state")
        batch = read_batch(city, payload, schema, rows)
        if CITY in self._request.group_by and batch.column(CITY).unique().to_pylist() not in ([], [city]):
            raise BadAnswer(f"{city}: it sent a group of another city", place=CITY)
        self._batches.setdefault(city, []).append(batch)

    def finish(self, answered: Collection[CityName]) -> tuple[pa.Table, pa.Table]:
        """The merged state of the cities that answered, and the result."""
        tables = {city: self._table(city) for city in self._batches if city in answered}
        try:
            state = aggregate.merge(self._request, tables.values())
        except BadAnswer:
            self._blame(tables)
            raise
        return state, aggregate.finish(self._request, state)

    def _blame(self, tables: Mapping[CityName, pa.Table]) -> None:
        for city, table in tables.items():
            try:
                aggregate.merge(self._request, [table])
            except BadAnswer as error:
                raise BadAnswer(f"{city}: {error.message}", place=error.place) from None

    def _table(self, city: CityName) -> pa.Table:
        return pa.Table.from_batches(self._batches[city])


def compare(
    request: Aggregate, state: pa.Table, gateway: str, total: Total | None, answered: Collection[CityName]
) -> None:
    """CoverageMismatch unless the gateway's total is ``state``. Without a city that answered there is none."""
    if not answered:
        if total is not None:
            raise CoverageMismatch(f"{gateway} sent a total, but no city answered")
        return
    if total is None:
        raise CoverageMismatch(f"{gateway} sent no total")
    try:
        schema = read_schema_message(gateway, total.schema)
        batches = [read_batch(gateway, payload, schema, rows) for rows, payload in total.payloads]
        theirs = pa.Table.from_batches(batches, schema)
        if theirs.equals(state):
            return
        theirs = aggregate.merge(request, [theirs])  # the same groups in another order are the same total
    except CimfedError:
        raise CoverageMismatch(f"{gateway} sent a total that is none of this aggregate") from None
    if not theirs.equals(state):
        raise CoverageMismatch(f"{gateway} sent another total than the cities' signed parts make")
