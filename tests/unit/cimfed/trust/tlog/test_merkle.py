"""Trees of hashes: as others have published them, and as RFC 6962 defines them, recursively."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import LogInconsistent
from cimfed.trust.tlog import merkle
from cimfed.trust.tlog.merkle import HashReader, Subtree
from tests.unit.cimfed.trust.tlog.published import ANY_HASH, CONSISTENCIES, INCLUSIONS, LEAVES, ROOTS

LEAF_HASHES = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]
Proof = list[bytes]


def proof_of(texts: Sequence[str]) -> Proof:
    return [bytes.fromhex(text) for text in texts]


# RFC 6962 section 2.1 as it is written, over lists of entries


def head(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = below(len(entries))
    return hashlib.sha256(b"\1" + head(entries[:k]) + head(entries[k:])).digest()


def below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, entries: Sequence[bytes]) -> Proof:
    if len(entries) == 1:
        return []
    k = below(len(entries))
    if m < k:
        return [*path(m, entries[:k]), head(entries[k:])]
    return [*path(m - k, entries[k:]), head(entries[:k])]


def subproof(m: int, entries: Sequence[bytes], whole: bool) -> Proof:
    if m == len(entries):
        return [] if whole else [head(entries)]
    k = below(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole), head(entries[k:])]
    return [*subproof(m - k, entries[k:], False), head(entries[:k])]


def reader(entries: Sequence[bytes]) -> HashReader:
    """Subtrees by their definition."""

    def read(wanted: Sequence[Subtree]) -> list[bytes]:
        parts = [entries[number << level : number + 1 << level] for level, number in wanted]
        assert all(len(part) == 1 << level for part, (level, _) in zip(parts, wanted, strict=True))
        return [head(part) for part in parts]

    return read


some_entries = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def test_roots_are_the_published_ones() -> None:
    entries = [bytes.fromhex(leaf) for leaf in LEAVES]
    assert [merkle.root(size, reader(entries)).hex() for size in range(9)] == ROOTS


@pytest.mark.parametrize(("leaf", "size", "proof"), INCLUSIONS)
def test_published_inclusions_are_made_and_verify(leaf: int, size: int, proof: list[str]) -> None:
    entries = [bytes.fromhex(text) for text in LEAVES]
    assert merkle.inclusion_proof(leaf, size, reader(entries)) == proof_of(proof)
    merkle.verify_inclusion(leaf, size, LEAF_HASHES[leaf], proof_of(proof), bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCIES)
def test_published_consistencies_are_made_and_verify(old: int, new: int, proof: list[str]) -> None:
    entries = [bytes.fromhex(text) for text in LEAVES]
    assert merkle.consistency_proof(old, new, reader(entries)) == proof_of(proof)
    merkle.verify_consistency(old, new, proof_of(proof), bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]))


def spoilt(proof: Proof, *further: bytes) -> Iterator[tuple[str, Proof]]:
    """What the published tests do to a proof."""
    for one in (b"", *further):
        yield f"trailing {one.hex()[:8]}", [*proof, one]
        yield f"preceding {one.hex()[:8]}", [one, *proof]
    for i, one in enumerate(proof):
        for bit in (8, 16):
            yield f"bit {bit} of hash {i}", [*proof[:i], bytes([one[0] ^ bit]) + one[1:], *proof[i + 1 :]]
    if proof:
        yield "removed", proof[:-1]
        yield "doubled", [proof[0], *proof]
    if len(proof) > 1:
        yield "inserted", [proof[0], bytes.fromhex(ANY_HASH), *proof[1:]]


def spoilt_inclusions() -> Iterator[tuple[str, Callable[[], None]]]:
    for leaf, size, text in INCLUSIONS:
        proof, root, hashed = proof_of(text), bytes.fromhex(ROOTS[size]), LEAF_HASHES[leaf]
        cases = {
            "leaf - 1": (leaf - 1, size, hashed, proof, root),
            "leaf + 1": (leaf + 1, size, hashed, proof, root),
            "leaf ^ 2": (leaf ^ 2, size, hashed, proof, root),
            "size * 2": (leaf, size * 2, hashed, proof, root),
            "size / 2": (leaf, size // 2, hashed, proof, root),
            "wrong leaf": (leaf, size, b"WrongLeaf", proof, root),
            "empty root": (leaf, size, hashed, proof, bytes.fromhex(ROOTS[0])),
            "another root": (leaf, size, hashed, proof, bytes.fromhex(ANY_HASH)),
            "no root": (leaf, size, hashed, proof, b""),
        } | {name: (leaf, size, hashed, each, root) for name, each in spoilt(proof, root)}
        for name, case in cases.items():
            yield f"{leaf} of {size}: {name}", lambda case=case: merkle.verify_inclusion(*case)  # type: ignore[misc]


def spoilt_consistencies() -> Iterator[tuple[str, Callable[[], None]]]:
    for old, new, text in CONSISTENCIES:
        if not text:
            continue
        proof, first, second = proof_of(text), bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
        cases = {
            "old - 1": (old - 1, new, proof, first, second),
            "old + 1": (old + 1, new, proof, first, second),
            "old ^ 2": (old ^ 2, new, proof, first, second),
            "new * 2": (old, new * 2, proof, first, second),
            "new / 2": (old, new // 2, proof, first, second),
            "wrong first root": (old, new, proof, b"WrongRoot", second),
            "wrong second root": (old, new, proof, first, b"WrongRoot"),
            "swapped roots": (old, new, proof, second, first),
            "empty proof": (old, new, [], first, second),
        } | {name: (old, new, each, first, second) for name, each in spoilt(proof, first, second)}
        for name, case in cases.items():
            yield f"{old} to {new}: {name}", lambda case=case: merkle.verify_consistency(*case)  # type: ignore[misc]


SPOILT = dict([*spoilt_inclusions(), *spoilt_consistencies()])


@pytest.mark.parametrize("name", SPOILT)
def test_published_mistakes_are_found(name: str) -> None:
    with pytest.raises(LogInconsistent):
        SPOILT[name]()


@pytest.mark.parametrize(
    ("old", "new", "roots", "proof", "good"),
    [
        (0, 0, (ROOTS[0], ROOTS[0]), [], True),
        (0, 1, (ROOTS[0], ROOTS[1]), [], True),
        (1, 1, (ROOTS[1], ROOTS[1]), [], True),
        (0, 0, (ROOTS[1], ROOTS[1]), [], False),  # the empty tree has one root; others take any
        (0, 1, (ROOTS[1], ROOTS[1]), [], False),
        (1, 1, (ROOTS[1], ANY_HASH), [], False),
        (1, 0, (ROOTS[1], ROOTS[0]), [], False),
        (2, 1, (ROOTS[2], ROOTS[1]), [], False),
        (1, 2, (ROOTS[1], ROOTS[2]), [], False),
        (0, 1, (ROOTS[0], ROOTS[1]), [ROOTS[0]], False),
        (1, 1, (ROOTS[1], ROOTS[1]), [ROOTS[0]], False),
    ],
)
def test_edges(old: int, new: int, roots: tuple[str, str], proof: list[str], good: bool) -> None:
    def check() -> None:
        merkle.verify_consistency(old, new, proof_of(proof), bytes.fromhex(roots[0]), bytes.fromhex(roots[1]))

    if good:
        check()
    else:
        with pytest.raises(LogInconsistent):
            check()


def test_a_tree_has_no_leaf_beyond_it_and_holds_no_larger_one() -> None:
    for index, size in ((0, 0), (1, 1), (-1, 4)):
        with pytest.raises(ValueError, match="no leaf"):
            merkle.inclusion_proof(index, size, reader([b""] * 4))
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="does not hold"):
            merkle.consistency_proof(old, new, reader([b""] * 4))


@given(some_entries)
def test_roots_and_proofs_are_those_of_the_definition(entries: list[bytes]) -> None:
    read, size = reader(entries), len(entries)
    whole = head(entries)
    assert merkle.root(size, read) == whole
    for i, entry in enumerate(entries):
        proof = merkle.inclusion_proof(i, size, read)
        assert proof == path(i, entries)
        merkle.verify_inclusion(i, size, merkle.leaf_hash(entry), proof, whole)
        proof = merkle.consistency_proof(i + 1, size, read)
        assert proof == subproof(i + 1, entries, True)
        merkle.verify_consistency(i + 1, size, proof, head(entries[: i + 1]), whole)


@given(some_entries, st.data())
def test_appending_makes_the_subtrees_of_the_definition(entries: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(entries)))
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    early, peaks = merkle.append(0, [], leaves[:cut])
    late, peaks = merkle.append(cut, peaks, leaves[cut:])
    made = early + late
    assert [value for _, value in made] == reader(entries)([subtree for subtree, _ in made])
    assert len({subtree for subtree, _ in made}) == sum(len(entries) >> level for level in range(8))
    assert merkle.folded(peaks) == head(entries)
    assert reader(entries)(merkle.peaks(len(entries))) == peaks


@given(some_entries, st.data())
def test_nothing_else_verifies(entries: list[bytes], data: st.DataObject) -> None:
    """Any other leaf, place, size or proof is refused."""
    size, whole = len(entries), head(entries)
    i = data.draw(st.integers(0, size - 1))
    proof, leaf = path(i, entries), merkle.leaf_hash(entries[i])
    other = data.draw(st.integers(-2, size + 2))
    if not 0 <= other < size or entries[other] != entries[i]:
        with pytest.raises(LogInconsistent):
            merkle.verify_inclusion(other, size, leaf, proof, whole)
    for spoilt_proof in ([*proof, leaf], proof[:-1]):
        if spoilt_proof != proof:
            with pytest.raises(LogInconsistent):
                merkle.verify_inclusion(i, size, leaf, spoilt_proof, whole)
    with pytest.raises(LogInconsistent):
        merkle.verify_inclusion(i, size, merkle.leaf_hash(b"another, longer than any"), proof, whole)


@given(st.integers(), st.integers(), st.lists(st.binary(max_size=40), max_size=70), st.binary(max_size=40))
def test_whatever_comes_is_an_inconsistency_at_worst(one: int, two: int, proof: list[bytes], root: bytes) -> None:
    for check in (
        lambda: merkle.verify_inclusion(one, two, root, proof, root),
        lambda: merkle.verify_consistency(one, two, proof, root, root),
    ):
        try:
            check()
        except LogInconsistent:
            continue
        assert proof == []
