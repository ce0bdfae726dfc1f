"""Who calls: the TLS peer of an RPC, checked against the directory on every call.

The TLS stack has checked a chain to any of the listed issuers when the connection was made. Here the leaf itself is
checked (``cimfed.trust.tls.check_leaf``) against the directory in force now, so a party that is no longer listed, or
whose issuer has changed, is refused on connections that it still holds. A check is remembered for one certificate and
one directory; the leaf's validity is looked at every time.

A handler, and every task that it starts, learns its peer from ``current_peer()``. A directory service asks for no
certificate; whoever calls it is nobody, and code there that wants a peer is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from cimfed.errors import UnknownPeer
from cimfed.trust.directory.listing import Directory, DirectorySource
from cimfed.trust.tls import CheckedLeaf, Peer, Use, check_leaf

REMEMBERED = 4096  # certificates; above that all are checked anew
_PEER: ContextVar[Peer | None] = ContextVar("cimfed.rpc.peer")


def current_caller() -> Peer | None:
    """The peer of the RPC that this code runs for, None where the server asks for no certificate.

    UnknownPeer outside of one.
    """
    try:
        return _PEER.get()
    except LookupError:
        raise UnknownPeer("no peer: this code runs outside of an RPC") from None


def current_peer() -> Peer:
    """The peer of the RPC that this code runs for; UnknownPeer outside of one, and where the caller is nobody."""
    peer = current_caller()
    if peer is None:
        raise UnknownPeer("the caller showed no certificate")
    return peer


@contextmanager
def as_peer(peer: Peer | None) -> Iterator[None]:
    """Runs the block as if ``peer`` had called."""
    token = _PEER.set(peer)
    try:
        yield
    finally:
        _PEER.reset(token)


class Identifier:
    """Names the party behind a TLS connection. ``clock`` gives microseconds."""

    def __init__(self, directory: DirectorySource, clock: Callable[[], int]) -> None:
        self._directory, self._clock = directory, clock
        self._of: Directory | None = None
        self._checked: dict[bytes, CheckedLeaf] = {}

    def identify(self, auth: Mapping[str, Sequence[bytes]]) -> Peer:
        """Of a gRPC auth context. UnknownPeer for whom the directory does not list; DirectoryExpired without one."""
        now = self._clock()
        directory = self._directory.current(now)
        certificates = auth.get("x509_pem_cert", ())
        if list(auth.get("transport_security_type", ())) != [b"ssl"] or len(certificates) != 1:
            raise UnknownPeer("the connection shows no certificate")
        if directory is not self._of or len(self._checked) > REMEMBERED:
            self._of, self._checked = directory, {}
        pem = certificates[0]
        checked = self._checked.get(pem)
        if checked is None or not checked.holds(now):
            checked = check_leaf(pem, directory.federation, directory.issuers_of, now, Use.CLIENT)
            self._checked[pem] = checked
        return checked.peer
