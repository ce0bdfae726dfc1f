"""What a reader of the directory pays: `python -m benchmarks.directory [PARTNERS]`, milliseconds of processor time.

No disk and no network: the files of a directory are read as a follower reads them, for the first time, after one
partner has changed, and with nothing changed.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

from cimfed.model.names import Federation, PartnerName
from cimfed.rpc import clock
from cimfed.trust.directory import documents, proof
from cimfed.trust.directory.listing import AccessKey, Listing, Partner
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import IssuingKey
from tests.board import Board

SCO = Federation("sco")
DAY = 86_400 * 1_000_000
ROUNDS = 5


def partner(name: PartnerName, now: int) -> Partner:
    key = AccessKey(KeySigner.generate().public, name, (now - DAY, now + DAY))
    return Partner(name, "CN", (), (IssuingKey.make(SCO, name, now).issuer,), (key,))


def read(board: Board, now: int) -> float:
    start = time.process_time()
    proof.read(board.files, board.root, now, SCO)
    return 1000 * (time.process_time() - start)


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    now = clock.now()
    partners = {name: partner(name, now) for name in (PartnerName(f"inst.p{n}") for n in range(number))}
    board = Board(SCO, now, Listing(partners=partners))
    first, changed = [], []
    for turn in range(ROUNDS):
        documents.parse_partners.cache_clear()
        documents._check_issuer.cache_clear()
        first.append(read(board, now))
        kept = dict(board.files)
        name = PartnerName("inst.p0")
        board.publish(Listing(partners={**partners, name: replace(partners[name], roles=(f"turn-{turn}",))}))
        published, board.files = board.files, kept
        read(board, now)  # the version before is what the reader knows
        board.files = published
        changed.append(read(board, now))
    for what, times in (("for the first time", first), ("one changed", changed)):
        print(
            f"{number} partners, {what}: {min(times):.1f} to {max(times):.1f}, median {statistics.median(times):.1f} ms"
        )
    print(f"{number} partners, nothing changed: {statistics.median(read(board, now) for _ in range(ROUNDS)):.1f} ms")


if __name__ == "__main__":
    main()
