"""Append-only logs that an auditor can check: trees of hashes, signed checkpoints, entries.

Pure: bytes and times in, verified values or ``LogInconsistent`` out. Where a log lies is ``cimfed.tlog``'s business.
"""
