"""Completing a receipt: asking the cities that answered for the proof that their logs have the decision.

A log has it at once, a checkpoint that says so within a second, cosignatures of other cities a little later: so this is
done afterwards, as often as one likes, by whoever asked the query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cimfed.client import logged
from cimfed.client.receipts import Report, opened
from cimfed.errors import CimfedError, ProofPending
from cimfed.model.names import CityName
from cimfed.wire.logs import AskProof, decode_proven, encode_ask_proof
from cimfed.wire.receipts import LogProof, decode_receipt, encode_receipt

WITNESSES = 2
"""Cosignatures of a checkpoint beyond which nothing is gained by asking again."""

AskCity = Callable[[CityName, bytes], bytes]
"""Prove, at that city: a request to its reply."""


@dataclass(frozen=True)
class Completed:
    """A receipt with what cities gave of their logs; ``missing``: why others did not."""

    receipt: bytes
    report: Report
    missing: Mapping[CityName, CimfedError]


def complete_receipt(data: bytes, root: bytes, ask: AskCity) -> Completed:
    """Verifies it, and adds the log's part of each city that has none yet, or one that too few have cosigned.

    What a city gives is verified first; what does not verify is not taken, and stands in ``missing``.
    """
    receipt = decode_receipt(data)
    report = opened(receipt, root)
    parts = {item.city: item for item in receipt.log}
    missing: dict[CityName, CimfedError] = {}
    for city, manifest in report.manifests.items():
        known = report.logged.get(city)
        if known is not None and len(known.cosigned) >= WITNESSES:
            continue
        request = encode_ask_proof(AskProof(manifest.decision, report.asking.request_hash))
        try:
            proven = logged.trimmed(decode_proven(ask(city, request)), report.directory)
            found = logged.check(city, proven, manifest, report.asking, report.directory)
            if known is None or len(found.cosigned) > len(known.cosigned):
                parts[city] = LogProof(city, proven)
            elif not known.cosigned:
                raise ProofPending(f"{city}: nobody has cosigned it yet")
        except CimfedError as error:
            missing[city] = error
    completed = replace(receipt, log=tuple(parts[city] for city in sorted(parts)))
    return Completed(encode_receipt(completed), opened(completed, root), missing)
