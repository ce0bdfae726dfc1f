"""Signatures a second, by a key in memory and by one on a token: ``python -m benchmarks.signatures pkcs11:...``.

Messages are as long as a signed head. Each figure is the median of five rounds of a second.
"""

from __future__ import annotations

import statistics
import sys
import time

from cimfed.passphrase import open_key
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.token.uri import parse_key_place

MESSAGE = bytes(200)
ROUNDS, SECONDS = 5, 1.0


def a_second(signer: Signer) -> float:
    figures = []
    for _ in range(ROUNDS):
        count, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < SECONDS:
            signer.sign(MESSAGE)
            count += 1
        figures.append(count / taken)
    return statistics.median(figures)


def main() -> None:
    print(f"key file: {a_second(KeySigner.generate()):,.0f} signatures a second")
    for place in sys.argv[1:]:
        signer = open_key(parse_key_place(place), None)
        print(f"{place.partition('?')[0]}: {a_second(signer):,.0f} signatures a second")
        signer.close()


if __name__ == "__main__":
    main()
