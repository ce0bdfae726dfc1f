"""Checks 1 to 3 of a query (``cimfed_node.admit`` has the list): who asks, and that it is they who ask.

Pure: bytes, the directory and a time go in, a ``Signed`` comes out, or an error that is raised to the caller: until
the signature has held, nobody has proven to have asked, and no city signs an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from cimfed.errors import BadQuery, BadSignature, DataLoss, NotAllowed, NotVia
from cimfed.model.limits import LIMITS, Limits
from cimfed.model.names import GatewayName, Kind
from cimfed.policy.grant import Subject
from cimfed.query.query import Query, Request
from cimfed.trust.directory.listing import AccessKey, Directory
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Peer
from cimfed.wire.answers import decode_narrowing
from cimfed.wire.envelopes import decode_ask
from cimfed.wire.queries import decode_query


@dataclass(frozen=True)
class Way:
    """How a query came: ``presenter`` None is the partner itself. ``narrowing_hash`` is of the presenter's.

    ``signed``: the ids of the keys that signed narrowings, and of the one that issued the caller's leaf.
    """

    presenter: GatewayName | None
    passed: tuple[GatewayName, ...] = ()
    narrowing_hash: bytes = b""
    signed: frozenset[bytes] = frozenset()

    @property
    def gateways(self) -> tuple[GatewayName, ...]:
        """All that the query came by."""
        return self.passed if self.presenter is None else (*self.passed, self.presenter)


@dataclass(frozen=True)
class Signed:
    """A query that passed checks 1 to 3: who asks what, and when."""

    query: Query
    request_hash: bytes
    key: PublicKey
    subject: Subject
    way: Way
    now: int


def check_signed(
    kind: type[Request], request: bytes, peer: Peer, directory: Directory, now: int, limits: Limits
) -> Signed:
    """UnknownPeer, UnknownKey, BadSignature, NotAllowed, NotVia, BadQuery, TooLarge or TooDeep."""
    # 1
    envelope, narrowings = decode_ask(request)
    if len(narrowings) > limits.gateways_passed:
        raise NotVia(f"the query passed more than {limits.gateways_passed} gateways")
    # 2
    way = _way(peer, envelope, narrowings, directory, limits)
    # 3
    key = _signer(envelope, directory, now)
    query = decode_query(envelope.payload)
    if not isinstance(query.request, kind):
        raise BadQuery("the query's request is not of the kind that this method answers")
    # 2, with what the query says
    if way.presenter is None:
        if key.organisation != peer.name:
            raise NotVia(f"{peer.name} presents a query of another organisation")
    elif not {way.presenter, *way.passed} <= set(query.via):
        raise NotVia(f"the query does not name {way.presenter} and all that it passed in via")
    return Signed(query, envelope.payload_hash, key.key, subject_of(key, directory), way, now)


def subject_of(key: AccessKey, directory: Directory) -> Subject:
    """What policies may name of who signed."""
    partner = directory.partner(key.organisation)
    return Subject(partner.name, partner.country, frozenset(partner.roles))


def _way(peer: Peer, envelope: Envelope, narrowings: tuple[Envelope, ...], directory: Directory, limits: Limits) -> Way:
    """Check 2, without the query's own words."""
    if peer.kind is Kind.PARTNER:
        if narrowings:
            raise NotVia("a partner sends no narrowing")
        return Way(None, signed=frozenset((peer.issuer,)))
    if peer.kind is not Kind.GATEWAY:
        raise NotAllowed("queries come from partners and gateways")
    if not narrowings:
        raise NotVia("the presenting gateway's narrowing is missing")
    passed: list[GatewayName] = []
    signed: set[bytes] = set()
    for item in narrowings:
        if item.payload_type != PayloadType.NARROWING or len(item.payload) > LIMITS.error_detail:
            raise BadQuery("a narrowing is of another type, or too large")
        try:
            narrowing = decode_narrowing(item.payload)
        except DataLoss as error:
            raise BadQuery(error.message) from None
        if narrowing.gateway in passed or narrowing.passed != tuple(passed):
            raise NotVia("the narrowings do not tell one way")
        signers = verify(item, PayloadType.NARROWING, directory.gateway(narrowing.gateway).keys)
        signed.update(key.id for key in signers)
        if narrowing.request_hash != envelope.payload_hash:
            raise BadSignature("a narrowing is of another query")
        passed.append(narrowing.gateway)
    if passed[-1] != peer.name:
        raise NotVia(f"the last narrowing is not of {peer.name}, which presents the query")
    return Way(passed[-1], tuple(passed[:-1]), narrowings[-1].payload_hash, frozenset((*signed, peer.issuer)))


def _signer(envelope: Envelope, directory: Directory, now: int) -> AccessKey:
    """Check 3. The key id leads to the key in the directory; only the signature proves it."""
    if envelope.payload_type != PayloadType.QUERY:
        raise BadSignature("the envelope is not a query's")
    if len(envelope.signatures) != 1:
        raise BadSignature("a query has one signature")
    key = directory.access_key(envelope.signatures[0].key_id, now)
    verify(envelope, PayloadType.QUERY, [key.key])
    return key
