"""cimfed: ask the cities of an alliance one question, get one verified answer.

import cimfed

with cimfed.connect("sco") as fed:
    answer = fed.read("building", where="height > 50", purpose="research")
    table = answer.to_table()
    print(answer.coverage)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["connect", "connect_async", "errors", "verify_receipt"]

if TYPE_CHECKING:
    from cimfed import errors
    from cimfed.client.connect import connect, connect_async
    from cimfed.client.receipts import verify_receipt

_HOMES = {
    "connect": "cimfed.client.connect",
    "connect_async": "cimfed.client.connect",
    "verify_receipt": "cimfed.client.receipts",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Loads what is used: servers import parts of this package without the client's weight."""
    from importlib import import_module

    if name == "errors":
        return import_module("cimfed.errors")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cimfed' has no attribute {name!r}")
