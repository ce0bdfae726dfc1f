"""Values become literals that mean them, whatever they hold; only the compiler's own text has placeholders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimfed_node.sql.postgis import Relation
from cimfed_node.sql.statement import Statement
from cimfed_node.stores.postgis.compose import composed, quoted
from tests.postgres import Cluster
from tests.unit.cimfed.query.trees import instants, numbers, texts

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module", params=["on", "off"])
def connection(postgres: Cluster, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """With backslashes in plain strings meaning themselves, and escapes."""
    with postgres.database().connect(options=f"-c standard_conforming_strings={request.param}") as found:
        yield found


def said(connection: Connection, value: Any, type: str) -> Any:
    row = connection.execute(composed(Statement(f"SELECT CAST($1 AS {type})", (value,))).encode()).fetchone()
    assert row is not None
    return row[0]


HOSTILE = ["'", "\\", "\\'", "''; DROP TABLE t; --", "$1", "$2", "$$", "$a$", "E'", "%s %(a)s {}", "\n", "", "𐀀｡"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.sampled_from(HOSTILE), texts, st.text(st.sampled_from("\\'$1\"%E;"), max_size=8)))
def test_text_is_itself(connection: Connection, text: str) -> None:
    assert said(connection, text, "text") == text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=numbers(), at=instants, bits=st.binary(max_size=20), double=st.floats(allow_nan=False))
def test_numbers_times_and_bytes_are_themselves(
    connection: Connection, number: Decimal, at: datetime, bits: bytes, double: float
) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    assert said(connection, number, "numeric") == number
    assert said(connection, at, "timestamp with time zone") == at
    assert said(connection, bits, "bytea") == bits
    assert said(connection, double, "double precision") == double


def test_the_ends_of_64_bits_fit(connection: Connection) -> None:
    for end in (-(2**63), 2**63 - 1):
        assert said(connection, end, "bigint") == end


def test_placeholders_in_values_and_relations_stay_as_they_are() -> None:
    statement = Statement("SELECT $2, $10 FROM $1", (Relation("(SELECT '$2') AS t"), "$1", *range(3, 10), "ten"))
    assert composed(statement) == "SELECT '$1', 'ten' FROM (SELECT '$2') AS t"
    assert composed(Statement("SELECT $1", (datetime(1, 1, 1, tzinfo=UTC),))).startswith(
        "SELECT '0001-01-01 00:00:00+00"
    )
    assert quoted('a"b', "c") == '"a""b"."c"'
