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
from cimfed.wire.batches import read_schema_message
from cimfed.wire.states import States


class Parts:
    """The partial states so far, by city."""

    def __init__(self, request: Aggregate) -> None:
        self._request = request
        self._expected = aggregate.state_schema(request)
        self._states: dict[CityName, States] = {}

    def add(self, city: CityName, schema: pa.Schema, payload: bytes | memoryview, rows: int) -> None:
        """A batch under the city's signature. Its groups must be the city's own."""
        if city not in self._states:
            self._states[city] = States(city, schema, self._expected)
        batch = self._states[city].add(payload, rows)
        if CITY in self._request.group_by and batch.column(CITY).unique().to_pylist() not in ([], [city]):
            raise BadAnswer(f"{city}: it sent a group of another city", place=CITY)

    def finish(self, answered: Collection[CityName]) -> tuple[pa.Table, pa.Table]:
        """The merged state of the cities that answered, and the result."""
        tables = {city: states.table() for city, states in self._states.items() if city in answered}
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
        states = States(gateway, read_schema_message(gateway, total.schema), aggregate.state_schema(request))
        for rows, payload in total.payloads:
            states.add(payload, rows)
        theirs = states.table()
        if theirs.equals(state):
            return
        theirs = aggregate.merge(request, [theirs])  # the same groups in another order are the same total
    except CimfedError:
        raise CoverageMismatch(f"{gateway} sent a total that is none of this aggregate") from None
    if not theirs.equals(state):
        raise CoverageMismatch(f"{gateway} sent another total than the cities' signed parts make")
