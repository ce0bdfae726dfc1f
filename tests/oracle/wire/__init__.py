"""The wire read by docs/wire.md and docs/log.md alone: hashes, envelopes, frames, chains, answers, coverages, receipts,
logs, the directory.

Plain Python with ``hashlib``, ``json`` and one Ed25519 check; nothing of cimfed, no protobuf, no Arrow. It is what a
client in another language has to do, and so the second opinion that the vectors and the thin client are held against.
What it leaves out: the meaning of queries, routing, certificates, and what stands in the rows.
"""
