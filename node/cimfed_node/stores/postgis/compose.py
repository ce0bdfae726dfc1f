"""A statement and its parameters -> one text.

COPY takes no parameters, and without COPY the driver would hold a whole answer in memory. So every value becomes a
literal by psycopg's quoting, which is safe whatever ``standard_conforming_strings`` says: what has a backslash is
written as an escape string. Only the compiler's own text is searched for placeholders, never a value or a relation.
"""

from __future__ import annotations

import re
from typing import Any

from psycopg import sql

from cimfed_node.sql.postgis import Relation
from cimfed_node.sql.statement import Statement

_PLACEHOLDER = re.compile(r"\$([0-9]+)")


def composed(statement: Statement) -> str:
    return _PLACEHOLDER.sub(lambda found: literal(statement.parameters[int(found[1]) - 1]), statement.text)


def literal(value: Any) -> str:
    return value.text if isinstance(value, Relation) else sql.Literal(value).as_string(None)


def quoted(*names: str) -> str:
    """A name in its schema."""
    return sql.Identifier(*names).as_string(None)
