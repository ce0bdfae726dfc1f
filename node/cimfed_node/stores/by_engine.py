"""The store of a node that has several engines: each view is answered by the one that holds it.

An engine's store is opened with the first view that needs it: a node may be connected to a database while it serves.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from cimfed.errors import BadConfig, CimfedError
from cimfed.query.query import Aggregate, Read
from cimfed_node.stores.base import Engine, Reader, Store, View

_log = logging.getLogger(__name__)


class StoreByEngine:
    """``engines``: how the store of each is opened; what that raises is the request's error, and is tried again.

    ``needed``, ``wanted``: those that ``self_test`` tests. One of the latter may be away, which is the trouble of its
    own views alone; but a wrong set-up of it is everybody's.
    """

    def __init__(
        self,
        engines: Mapping[Engine, Callable[[], Store]],
        *,
        needed: tuple[Engine, ...],
        wanted: tuple[Engine, ...] = (),
    ) -> None:
        self._engines, self._needed, self._wanted = engines, needed, wanted
        self._stores: dict[Engine, Store] = {}
        self._opening = threading.Lock()

    def read(self, view: View, request: Read) -> Reader:
        return self._of(view.engine).read(view, request)

    def aggregate(self, view: View, request: Aggregate) -> Reader:
        return self._of(view.engine).aggregate(view, request)

    def self_test(self) -> None:
        for engine in self._needed:
            self._of(engine).self_test()
        for engine in self._wanted:
            try:
                self._of(engine).self_test()
            except BadConfig:
                raise
            except CimfedError as error:
                _log.warning("%s is away for now, and so are the views in it (%s)", engine, error.reason)

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
