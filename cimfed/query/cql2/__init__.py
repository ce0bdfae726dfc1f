"""CQL2 text (OGC 21-065r2), as much of it as the expression tree answers today: ``parse`` and ``to_cql2``.

Text is read at the client, and when a policy is signed; never by a server from the wire.
"""

from cimfed.query.cql2.parser import parse
from cimfed.query.cql2.writer import to_cql2

__all__ = ["parse", "to_cql2"]
