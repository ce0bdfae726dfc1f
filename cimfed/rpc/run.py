"""Running a server as a process: starts it, says where it listens, and drains it when it is told to end.

SIGTERM and SIGINT drain: health says NOT_SERVING, running answers get ``grace`` seconds to end.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cimfed.errors import CimfedError
from cimfed.rpc import clock
from cimfed.rpc.server import Server
from cimfed.trust.directory.follow import Follower
from cimfed.trust.files import replace_file

log = logging.getLogger(__name__)


@contextmanager
def following(directories: Follower) -> Iterator[None]:
    """Keeps the directory up to date while the block runs. CimfedError where there is none to start with."""
    try:
        try:
            directories.refresh()
        except CimfedError as error:
            log.warning("%s", error)
            directories.current(clock.now())
        directories.start()
        yield
    finally:
        directories.close()


async def run(
    server: Server,
    host: str,
    self_test: Callable[[], Awaitable[None]] | None = None,
    ready_file: Path | None = None,
    grace: float = 10.0,
) -> None:
    """Until a signal. Health says SERVING only after the self-test; ``ready_file`` then holds ``host:port``."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    await server.start()
    try:
        if self_test is not None:
            await self_test()
        await server.serve()
        print(f"listening on {host}:{server.port}", flush=True)
        if ready_file is not None:
            replace_file(ready_file, f"{host}:{server.port}\n".encode())
        await ending.wait()
    finally:
        await server.drain(grace)
