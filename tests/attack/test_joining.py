"""Whoever stands between a newcomer and the directory service, or has read the invitation, lists no key of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cimfed.model.admission import RequestState, Status
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.authorisation import JOIN
from cimfed.rpc.mirror import mirror
from cimfed.rpc.server import Server
from cimfed.rpc.throttle import Throttle
from cimfed.trust.card import parse_card
from cimfed.trust.tls import IssuingKey, LeafSource, Use
from cimfed.wire import admissions as wire
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.service import ALLOWANCES
from tests.service import NAME, OPTIONS, PLENTY, SCO, Running, found, in_thread, serve

GATEWAY = "gw.alliance"


@dataclass
class Relay:
    """At the service's own address, with the directory's own files, and in its name; but not with its TLS key.

    ``handed_in`` is what it has got out of newcomers.
    """

    handed_in: list[bytes] = field(default_factory=list)

    async def serve(self, home: Home, running: Running, ready: threading.Event, ending: asyncio.Event) -> None:
        async def join(request: bytes, _context: Any) -> bytes:
            self.handed_in.append(request)
            return wire.encode_status(Status(RequestState.LISTED))

        assert running.repository is not None
        issuing = IssuingKey.make(SCO, NAME, clock.now())
        server = Server(
            Kind.DIRECTORY,
            running.address,
            None,
            LeafSource(issuing, SCO, NAME, Use.SERVER),
            {},
            {JOIN: join, **mirror(running.repository.files)},
            options=OPTIONS,
            throttle=Throttle(dict.fromkeys(ALLOWANCES, PLENTY)),
        )
        await server.start()
        await server.serve()
        ready.set()
        await ending.wait()
        await server.drain(1.0)


@dataclass
class Place:
    home: Home
    running: Running
    shown: dict[str, str] = field(default_factory=dict)  # fingerprints as whoever joined saw them, by the place

    def join(self, token: str, where: str) -> str:
        """``ok``, or the reason that a gateway's joining ends for."""
        words = ("cimfed-gateway", "join", token, "--home", where, "--address", "localhost:9")
        said = self.running.run(*words)
        for line in said.out.splitlines():
            if line.startswith("fingerprint "):
                self.shown[where] = line.removeprefix("fingerprint ")
        return "ok" if said.code == 0 else said.err.rsplit("error ", 1)[-1].split(":")[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A federation that is founded, at a port that its service does not hold yet."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        running = Running(tmp_path, f"127.0.0.1:{kept.getsockname()[1]}")
        yield Place(found(running), running)


def test_a_relay_in_the_services_name_is_handed_nothing_and_believed_nothing(place: Place) -> None:
    home, running, relay = place.home, place.running, Relay()
    with in_thread(home, running, serve):
        token = running.token("member", GATEWAY)
    with in_thread(home, running, relay.serve):
        assert place.join(token, "gateway") == "node_unreachable"
    assert (running.folder / "gateway" / "card.json").exists()  # so it was met, and its files verified
    assert relay.handed_in == []
    with in_thread(home, running, serve):
        assert place.join(token, "gateway") == "ok"
        running.approve(GATEWAY)
        assert running.directory.gateways


def test_who_read_the_invitation_and_came_first_is_told_from_the_newcomer_by_the_fingerprint(place: Place) -> None:
    running = place.running
    with in_thread(place.home, running, serve):
        token = running.token("member", GATEWAY)
        assert place.join(token, "thief") == "ok"
        assert place.join(token, "gateway") == "conflict"  # so the newcomer learns of it
        approve = ("cimfed", "requests", "approve", GATEWAY, "--fingerprint")
        assert not (running.folder / "gateway").exists()
        assert running.refused(*approve, place.shown["gateway"]) == "bad_directory"
        assert not running.directory.gateways
        assert place.shown["thief"] in running.ok("cimfed", "requests").out
        running.ok("cimfed", "requests", "deny", GATEWAY, "--reason", "another fingerprint", "--yes")
        assert place.join(token, "thief") == "not_admitted"
        again = running.token("member", GATEWAY)
        assert place.join(again, "gateway") == "ok"
        running.ok(*approve, place.shown["gateway"])
        (listed,) = running.directory.gateways.values()
        card = parse_card((running.folder / "gateway" / "card.json").read_bytes())
        assert listed.keys == card.keys
