"""Every limit of the contract, with its reason codes (``docs/wire.md`` repeats the table)."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. Operators may set lower values, never higher ones on the wire."""

    envelope: int = 256 * KIB  # too_large: a query's payload
    frame: int = 4 * MIB  # too_large where it is made, chain_broken where it is read
    policy: int = 16 * MIB  # bad_policy: its payload; too_large: a file of twice that
    receipt: int = 256 * MIB  # too_large
    filter_depth: int = 64  # too_deep
    filter_nodes: int = 4096  # too_large
    filter_text: int = 32 * KIB  # too_large: one text of a filter
    list_items: int = 1000  # too_large: one list of a query
    query_life: float = 600.0  # expired_query
    clock_tolerance: float = 30.0  # expired_query, clock_behind at a node, coverage_mismatch at a reader
    groups: int = 1_000_000  # too_large where they are made or added up, chain_broken where a city sends more
    concurrent_per_partner: int = 16  # overloaded
    concurrent_per_node: int = 64  # overloaded
    statement_time: float = 600.0  # timed_out
    answer_time: float = 3600.0  # timed_out: from its first frame to its last, however slowly it is read
    gateways_passed: int = 4  # too_large; not_via where a node's own limit is lower
    error_detail: int = KIB  # a message is cut; bad_query: a narrowing's payload
    head_bytes: int = 16 * MIB  # a head is signed at least so often
    head_seconds: float = 0.25
    recheck_seconds: float = 1.0  # how often a running stream's right to run is checked
    ending_seconds: float = 0.5  # policy_changed: for its signed end, which a caller may not take
    batch_bytes: int = 3 * MIB // 2  # what a batch aims at; 1 to 2 MiB
    batch_rows: int = 262_144  # bad_answer: rows of nulls take no bytes
    batch_unpacked: int = 16 * MIB  # bad_answer: a batch, unpacked
    headers: int = MIB  # bad_answer: what files say of all their objects, beside untouched ones
    message: int = 4 * MIB + 64 * KIB  # gRPC message of an answer
    request: int = 512 * KIB  # gRPC message of a question: the envelope's limit is what it is refused by


LIMITS = Limits()
