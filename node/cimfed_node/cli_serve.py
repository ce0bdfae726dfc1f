"""`cimfed-node serve`. Thin: what a node is made of is in ``serve``."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from cimfed.rpc.run import following, run
from cimfed.rpc.settings import check_bind
from cimfed_node.config import Home
from cimfed_node.operate import clear_away
from cimfed_node.serve import Keys, Node, drop_to, follower


def serve(
    home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")],
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Not that of the settings; 0: any.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written with host:port once it serves.")] = None,
) -> None:
    """Serves until it is told to end (SIGTERM, Ctrl-C)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    at = Home.load(home)
    keys = Keys.load(at)
    clear_away(at)
    warning = drop_to(at)
    if warning:
        logging.getLogger(__name__).warning(warning)
    asyncio.run(_serve(at, keys, port, ready_file))


async def _serve(home: Home, keys: Keys, port: int | None, ready_file: Path | None) -> None:
    host, _, own = home.settings.listen.rpartition(":")
    bind = f"{host}:{own if port is None else port}"
    check_bind(bind)
    directories = follower(home, keys)
    with following(directories):
        node = Node(home, keys, directories, directories.files, bind)
        try:
            await run(node.server, host, node.service.self_test, ready_file)
        finally:
            await node.close()
