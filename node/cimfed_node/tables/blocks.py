"""Whom this city answers no more, whatever the directory and the policy say: keys, partners, gateways, or everybody.

A block is a row until it is lifted; who did either, and why, is in the log of acts. Rules:
- the row is read in the transaction that admits a query: what is blocked before that commits is not admitted;
- whom it turns away is told what is blocked, never why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.engine import Connection

from cimfed.errors import Blocked
from cimfed_node.tables.schema import BlockRow

EVERYBODY = "all"  # no name and no key's id has this form

_BLOCK = BlockRow.__table__  # type: ignore[attr-defined]

_FIND = select(_BLOCK.c.subject).where(_BLOCK.c.subject.in_(bindparam("any", expanding=True)))


@dataclass(frozen=True)
class Block:
    """``subject``: the name of a partner or gateway, the 64 hex digits of a key's id, or ``EVERYBODY``."""

    subject: str
    since: int
    operator: str
    reason: str


def put_block(connection: Connection, block: Block) -> bool:
    """Whether it is new: one that stands is left as it is."""
    if connection.execute(_FIND, {"any": [block.subject]}).first() is not None:
        return False
    connection.execute(insert(_BLOCK), vars(block))
    return True


def lift_block(connection: Connection, subject: str) -> bool:
    """Whether there was one."""
    return connection.execute(delete(_BLOCK).where(_BLOCK.c.subject == subject)).rowcount > 0


def blocks(connection: Connection) -> list[Block]:
    """The last one first."""
    rows = connection.execute(select(_BLOCK).order_by(_BLOCK.c.since.desc(), _BLOCK.c.subject)).mappings()
    return [Block(**row) for row in rows]


def check_blocks(
    connection: Connection, key: bytes, organisation: str, gateways: Iterable[str], gateway_keys: Iterable[bytes]
) -> None:
    """Blocked where who signed a query, or a gateway that it came by, is. ``key``, ``gateway_keys``: ids."""
    gateways, signed = tuple(gateways), [each.hex() for each in gateway_keys]
    found = set(connection.execute(_FIND, {"any": [EVERYBODY, key.hex(), organisation, *gateways, *signed]}).scalars())
    if not found:
        return
    if EVERYBODY in found:
        raise Blocked("this city answers nobody at present", remedy="Ask again later")
    if organisation in found or key.hex() in found:
        what = organisation if organisation in found else "the key that signed this query"
        raise Blocked(f"this city has blocked {what}", remedy="Ask the city")
    what = next((name for name in gateways if name in found), "a key of a gateway that the query came by")
    raise Blocked(f"this city has blocked {what}", remedy="Ask it directly, or by another gateway")
