"""A node that serves: everything put together over one home.

``Node`` is made inside the event loop, after keys were read and privileges dropped; it opens the control database
and the views, never the snapshots. ``drop_to`` is how a process that root started becomes the service's own user.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import rfc8785

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import Mirrors, mirror
from cimfed.rpc.server import Server
from cimfed.tlog.keeper import Keeper
from cimfed.trust.directory.follow import Follower, last_known
from cimfed.trust.directory.layout import Files
from cimfed.trust.directory.listing import DirectorySource
from cimfed.trust.keys import Signer
from cimfed.trust.own_keys import OwnKeys
from cimfed.trust.tls import LeafSource, Use
from cimfed_node import database
from cimfed_node.admit import Admitter
from cimfed_node.config import Audit, Home
from cimfed_node.policies import Policies
from cimfed_node.service import NodeService
from cimfed_node.service_user import find_user
from cimfed_node.stores.base import Engine
from cimfed_node.stores.by_engine import StoreByEngine
from cimfed_node.stores.duckdb import DuckDBStore
from cimfed_node.tables import Control


@dataclass(frozen=True)
class Keys:
    """The private keys of a serving node; ``leaves`` for what it serves, ``own_leaves`` for what it asks others."""

    own: OwnKeys
    signer: Signer
    leaves: LeafSource
    own_leaves: LeafSource

    @classmethod
    def load(cls, home: Home, now: Callable[[], int] = clock.now) -> Keys:
        """BadConfig where a key file is missing, or others may read it."""
        own = OwnKeys(home.path, Kind.CITY, home.federation, home.city, now)
        return cls(own, own.signer, own.leaves(Use.SERVER), own.leaves(Use.CLIENT))


class Node:
    """``files`` are those of the directory, for whoever follows it from here. ``bind`` is ``host:port``;
    ``server.port`` is the port that was bound.
    """

    def __init__(
        self,
        home: Home,
        keys: Keys,
        directories: DirectorySource,
        files: Files,
        bind: str,
        now: Callable[[], int] = clock.now,
    ) -> None:
        keys.own.follow(directories)
        self.control = Control.open(home.database)
        self.store = store_of(home)
        admitter = Admitter(
            home.city,
            home.federation,
            directories,
            self.control,
            Policies(home),
            home.place,
            now,
            home.limits,
        )
        self.service = NodeService(
            home.city,
            home.federation,
            keys.signer,
            admitter,
            self.store,
            self.control,
            now,
            home.limits,
            home.settings.engine.workers,
        )
        self.channels = ChannelPool(directories, keys.own_leaves, now)
        self.log = Keeper(
            self.control,
            home.log_origin,
            keys.signer,
            directories,
            self.channels.unary,
            now,
            audit=home.settings.audit is Audit.REGISTRAR,
        )
        unary = {**mirror(files), **self.log.handlers()}
        self.server = Server(Kind.CITY, bind, directories, keys.leaves, self.service.streams(), unary, now=now)
        self.log.start()

    async def close(self) -> None:
        """After the server has drained. The log's last checkpoint is of all that was answered."""
        await self.service.close()
        await self.log.close()
        await self.channels.close()
        self.store.close()
        self.control.close()


def follower(home: Home, keys: Keys, now: Callable[[], int] = clock.now) -> Follower:
    """What keeps this node's directory up to date."""
    settings = home.settings
    mirrors = Mirrors(home.federation, settings.directory, home.city, keys.own_leaves, settings.mirrors, now=now)
    return Follower(home.directory, home.federation, mirrors, now)


def store_of(home: Home) -> StoreByEngine:
    """Whatever engines a home's views lie in."""
    engine = home.settings.engine
    return StoreByEngine(
        {
            Engine.DUCKDB: lambda: DuckDBStore(
                home.views, memory=engine.memory, threads=engine.threads, limits=home.limits
            ),
            Engine.POSTGIS: lambda: database.open_store(home),
        },
        needed=(Engine.DUCKDB,),
        wanted=(Engine.POSTGIS,) if database.is_connected(home) else (),
    )


def drop_to(home: Home) -> str:
    """Makes this process the service's user for good; gives a warning where the kernel will not help.

    BadConfig where the process is neither root nor that user, or where that user could read the snapshots.
    """
    wanted, uid = home.settings.service_user, os.geteuid()
    if not wanted:
        return "" if uid else "served as root: the kernel does not keep the service from the snapshots (service_user)"
    user = find_user(wanted)
    if uid == 0 and user.pw_uid != 0:
        _rehearse(home)
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        os.umask(0o007)
    elif uid != user.pw_uid:
        raise BadConfig(
            f"this node is to be served as {wanted}, not as user {uid}", remedy="Start it as root or as that user"
        )
    if not all(os.access(folder, os.R_OK | os.X_OK) for folder in (home.control, home.views, home.policies)):
        raise BadConfig(
            f"{wanted} cannot reach the node's folders",
            place=str(home.path),
            remedy="Every folder above must let it in",
        )
    if user.pw_uid != 0 and os.access(home.snapshots, os.R_OK | os.X_OK):
        raise BadConfig(f"{wanted} can open the snapshots", place=str(home.snapshots), remedy="chmod 700 it")
    return ""


def _rehearse(home: Home) -> None:
    """Opens once, still as root, what a node opens: the service's user may be kept from what Python loads late."""
    Control.open(home.database).close()
    with contextlib.suppress(CimfedError):
        last_known(home.directory, home.federation, clock.now())
    rfc8785.dumps({"": 0})  # sorts by a codec
    store = store_of(home)
    try:
        store.self_test()
    finally:
        store.close()
