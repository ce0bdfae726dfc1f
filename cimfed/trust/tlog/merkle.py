"""The tree over a log's entries (RFC 6962 section 2.1, verification as in RFC 9162 section 2.1), with SHA-256.

A tree of ``size`` leaves is made of complete subtrees: ``Subtree(level, number)`` covers the ``2**level`` leaves from
``number * 2**level`` on and never changes once it is full. Who has their hashes has every root and every proof, in
O(log size): a ``HashReader`` gives them, all that a proof needs in one call.

Proofs come from others: whatever they hold, verifying raises ``LogInconsistent`` or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

from cimfed.errors import LogInconsistent
from cimfed.trust.hashing import sha256

HASH = 32  # bytes
EMPTY_ROOT = sha256(b"")
MOST = 2**63  # leaves; a proof has at most 64 hashes then


class Subtree(NamedTuple):
    """A complete subtree; level 0 is a leaf."""

    level: int
    number: int


HashReader = Callable[[Sequence[Subtree]], Sequence[bytes]]
"""The hashes of complete subtrees, in the order asked."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def root(size: int, read: HashReader) -> bytes:
    """Of the first ``size`` leaves."""
    return _hashes([(0, size)], read)[0] if size else EMPTY_ROOT


def peaks(size: int) -> list[Subtree]:
    """The complete subtrees that a tree of that size is made of, the largest first."""
    return list(_complete(0, size))


def folded(hashes: Sequence[bytes]) -> bytes:
    """The root of a tree whose peaks have these hashes, the largest first."""
    return reduce(lambda right, left: node_hash(left, right), reversed(hashes)) if hashes else EMPTY_ROOT


def append(
    size: int, hashes: Sequence[bytes], leaves: Iterable[bytes]
) -> tuple[list[tuple[Subtree, bytes]], list[bytes]]:
    """Adds leaves (their hashes) to a tree of ``size`` whose peaks have these hashes.

    The subtrees that became complete, leaves included, and the hashes of the new peaks.
    """
    stack = list(hashes)
    made: list[tuple[Subtree, bytes]] = []
    for number, leaf in enumerate(leaves, size):
        value, level = leaf, 0
        made.append((Subtree(0, number), value))
        while number >> level & 1:
            value, level = node_hash(stack.pop(), value), level + 1
            made.append((Subtree(level, number >> level), value))
        stack.append(value)
    return made, stack


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """PATH(index, D[size]); ValueError where the tree has no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    low, high, ranges = 0, size, list[tuple[int, int]]()
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return _hashes(ranges[::-1], read)


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """PROOF(old, D[new]), empty where there is nothing to prove; ValueError where ``old`` is the larger."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} does not hold one of {old}")
    if old in (0, new):
        return []
    low, high, whole, ranges = 0, new, True, list[tuple[int, int]]()
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low, whole = middle, False
    if not whole:
        ranges.append((low, high))
    return _hashes(ranges[::-1], read)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """LogInconsistent unless the tree of this size and root has this leaf (its hash) there (RFC 9162, 2.1.3.2)."""
    _check_hashes([leaf, root, *proof])
    if not 0 <= index < size < MOST:
        raise LogInconsistent("the tree has no such entry")
    here, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise LogInconsistent("the proof is too long")
        if here & 1 or here == last:
            found = node_hash(sibling, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        here, last = here >> 1, last >> 1
    if last or found != root:
        raise LogInconsistent("the entry is not in the log that has this checkpoint")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """LogInconsistent unless the one tree begins with the other (RFC 9162, 2.1.4.2).

    An empty tree has the empty root, and begins every other.
    """
    _check_hashes([old_root, new_root, *proof])
    if not 0 <= old <= new < MOST:
        raise LogInconsistent("the log has become shorter")
    if old in (0, new):
        if proof:
            raise LogInconsistent("the proof is too long")
        if old_root != (new_root if old == new else EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
            raise LogInconsistent("the log has two roots of one size")
        return
    steps = [*([old_root] if not old & (old - 1) else []), *proof]
    if not steps:
        raise LogInconsistent("the proof is too short")
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise LogInconsistent("the proof is too long")
        if here & 1 or here == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            after = node_hash(after, step)
        here, last = here >> 1, last >> 1
    if last or before != old_root or after != new_root:
        raise LogInconsistent("the log does not continue the one that was seen before")


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(one) != HASH for one in hashes):
        raise LogInconsistent("a hash of a log has 32 bytes")


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _complete(low: int, high: int) -> Iterator[Subtree]:
    """The complete subtrees of a range that begins where one as large as the range may."""
    while low < high:
        level = (high - low).bit_length() - 1
        yield Subtree(level, low >> level)
        low += 1 << level


def _hashes(ranges: Sequence[tuple[int, int]], read: HashReader) -> list[bytes]:
    """Of ranges of leaves, by one call of ``read``."""
    parts = [list(_complete(*one)) for one in ranges]
    found = iter(read([part for each in parts for part in each]))
    return [folded([next(found) for _ in each]) for each in parts]
