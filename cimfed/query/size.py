"""How large a filter may be: its depth in boolean nodes, and its nodes, properties and literals counted too."""

from __future__ import annotations

from cimfed.errors import TooDeep, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.query.expression import Expression, children, operands


def size(tree: Expression) -> tuple[int, int]:
    """(depth, nodes): a comparison is 1 deep and 3 nodes. Iterative, so that any depth is counted."""
    depth = nodes = 0
    stack = [(tree, 1)]
    while stack:
        node, level = stack.pop()
        depth = max(depth, level)
        nodes += 1 + len(operands(node))
        stack.extend((child, level + 1) for child in children(node))
    return depth, nodes


def check_size(tree: Expression) -> None:
    depth, nodes = size(tree)
    if depth > LIMITS.filter_depth:
        raise TooDeep(f"the filter is {depth} deep; the limit is {LIMITS.filter_depth}", place="where")
    if nodes > LIMITS.filter_nodes:
        raise TooLarge(
            f"the filter has {nodes} nodes; the limit is {LIMITS.filter_nodes}",
            place="where",
            remedy="Shorten its lists of values, or ask several queries",
        )
