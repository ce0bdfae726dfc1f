"""The store of a node that has several engines: each view is answered by the one that holds it.

An engine's store is opened with the first view that needs it: a node may be connected to a database while it serves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from cimfed.query.query import Aggregate, Read
from cimfed_node.stores.base import Engine, Reader, Store, View


class StoreByEngine:
    """``engines``: how the store of each is opened; what that raises is the request's error, and is tried again.

    ``at_once``: those that ``self_test`` opens.
    """

    def __init__(self, engines: Mapping[Engine, Callable[[], Store]], at_once: tuple[Engine, ...]) -> None:
        self._engines, self._at_once = engines, at_once
        self._stores: dict[Engine, Store] = {}
        self._opening = threading.Lock()

    def read(self, view: View, request: Read) -> Reader:
        return self._of(view.engine).read(view, request)

    def aggregate(self, view: View, request: Aggregate) -> Reader:
        return self._of(view.engine).aggregate(view, request)

    def self_test(self) -> None:
        for engine in self._at_once:
            self._of(engine).self_test()

    def close(self) -> None:
        for store in self._stores.values():
            store.close()

    def _of(self, engine: Engine) -> Store:
        found = self._stores.get(engine)
        if found is not None:
            return found
        with self._opening:
            if engine not in self._stores:
                self._stores[engine] = self._engines[engine]()
            return self._stores[engine]
