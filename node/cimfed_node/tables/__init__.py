"""What a node must remember: catalogue, policy, views, nonces, slots and its log, in SQLModel tables.

``schema`` has the tables, ``database`` opens them, ``admissions`` is what a query writes, ``acts`` what an operator
does, ``publication`` what an import or an activation flips. No other module of the node knows this database.
"""

from cimfed_node.tables.database import Control, Transaction

__all__ = ["Control", "Transaction"]
