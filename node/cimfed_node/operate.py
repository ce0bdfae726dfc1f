"""What imports and activations of an operator go through: the engines that build views of a home."""

from __future__ import annotations

import logging
from collections.abc import Callable

from cimfed.errors import BadConfig, CimfedError
from cimfed.rpc import clock
from cimfed_node import database
from cimfed_node.activate import LOCK, Publisher
from cimfed_node.config import Home
from cimfed_node.erase import complete
from cimfed_node.stores.base import Engine
from cimfed_node.tables import Control
from cimfed_node.views import FileShelf, Shelf

log = logging.getLogger(__name__)


def publisher(home: Home, control: Control, now: Callable[[], int] = clock.now) -> Publisher:
    """What imports and activations go through."""

    def key() -> bytes:
        try:
            return home.secret.read_bytes()
        except OSError as error:
            raise BadConfig(
                f"the city's secret cannot be read: {error.strerror}",
                place=str(home.secret),
                remedy="Imports and activations are the operator's, not the service's",
            ) from None

    engine = home.settings.engine
    files = FileShelf(home.snapshots, home.views, home.scratch, key, memory=2 * engine.memory, threads=engine.threads)
    shelves: dict[Engine, Shelf] = {Engine.DUCKDB: files}
    if home.database_of_operator.exists():
        shelves[Engine.POSTGIS] = database.shelf(home, key)
    return Publisher(home, control, shelves, now, lambda publishing: complete(home, publishing))


def clear_away(home: Home) -> None:
    """Before a node serves: removes what a killed command left, where this process may and no command runs."""
    if not (home.path / LOCK).exists():  # no command ever ran; the lock's file is the operator's to make
        return
    control = Control.open(home.database)
    try:
        with publisher(home, control).alone():
            pass
    except (CimfedError, OSError) as error:
        log.info("what a command may have left half done stays for the next command (%s)", type(error).__name__)
    finally:
        control.close()
