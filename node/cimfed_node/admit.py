"""Admission of a query: the numbered checks of a node, in the order of their numbers.

1. Sizes and shape of the request, before anything is parsed beyond its envelopes.
2. The peer on the wire is a listed gateway, or the partner itself; a gateway shows its own narrowing of this very
   query, signed, and those of the gateways that it passed before. The query names all of them in ``via``.
3. The payload is a query, signed by an access key that is valid now; only then is it parsed.
4. It is for this federation and this city.
5. It is of this time: one clock reading for the whole request, never below the highest that was recorded; and of the
   time after a return from a backup, since nonces that were spent before may be forgotten.
6. A policy that came back from a backup is still the city's current one (``returned``). The request agrees with the
   vocabulary, the active policy has a grant for it, and the grant has the properties that it filters and groups by. No
   policy, no grant, anything unknown: denied.
7. In one transaction: the nonce is new, the city blocks neither key nor organisation nor a gateway on the way, a slot
   is free, the view is chosen, the decision is logged. If that cannot be committed, nothing is answered.

What fails before 4 is raised, and counted by the caller: nobody has proven to have asked. From 4 on a refusal is a
``Refusal``, which the service signs; it has its line in the log, and from 6 on it uses the nonce up. Whoever holds a
query can present it again and again: the same refusal has one line, however often it is given.

A block is looked at in 7, not before: so none that is committed earlier is missed, the query's nonce is used up, and
whoever presents it again adds no line. It comes before what 6 found: who is blocked learns nothing of the policy.

Synchronous: it is run in the service's executor, in several threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from cimfed.errors import (
    BadDirectory,
    Blocked,
    CimfedError,
    ClockBehind,
    DirectoryExpired,
    ExpiredQuery,
    KeyRevoked,
    NotAddressed,
    NotGranted,
    PolicyChanged,
    UnknownPeer,
    ViewGone,
)
from cimfed.model.instants import instant_text
from cimfed.model.limits import Limits
from cimfed.model.names import CityName, Federation
from cimfed.model.originals import ORIGINAL
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy import decide as policy_decision
from cimfed.policy.shape import Shape, gives_originals, view_columns
from cimfed.query.check import MAX_NAME, check
from cimfed.query.expression import Box, Expression, properties, walk
from cimfed.query.query import Aggregate, Catalog, Query, Read, Request
from cimfed.trust.directory.listing import DirectorySource
from cimfed.trust.tlog.entries import Decision, Position, draw_position
from cimfed.trust.tls import Peer
from cimfed_node.asked import Signed, check_signed, subject_of
from cimfed_node.policies import Policies, SignedPolicy
from cimfed_node.returned import check_issued, check_policy, check_views
from cimfed_node.sql.columns import Columns
from cimfed_node.stores.base import Place, View
from cimfed_node.tables import Control, Transaction
from cimfed_node.tables.admissions import (
    AGAIN_AND_AGAIN,
    advance_clock,
    check_slots,
    clock_mark,
    log_decision,
    logged,
    renew_slot,
    restored_at,
    slot_expires,
    spend_nonce,
    take_slot,
)
from cimfed_node.tables.blocks import check_blocks
from cimfed_node.tables.publication import (
    ActivePolicy,
    SnapshotEntry,
    active_grants,
    active_policy,
    current_snapshot,
    current_snapshots,
    granted_view,
    view_stands,
)

log = logging.getLogger(__name__)

SECOND = 1_000_000  # microseconds
SLOT_LIFE = 60 * SECOND  # of a slot that is not renewed: then its process must have died
TRIES = 5  # activations that may come between checks 6 and 7 of one query


@dataclass(frozen=True)
class Given:
    """What check 6 found: the active policy, and for all but catalogues the grant and its effective shape."""

    policy: SignedPolicy | None
    grant: str = ""
    shape: Shape | None = None

    @property
    def version(self) -> int:
        """Of the policy; 0 where there is none."""
        return self.policy.policy.version if self.policy else 0


@dataclass(frozen=True)
class Admission:
    """A query that may be answered. ``view`` is None for a catalogue, and where the collection has no snapshot.

    ``snapshot``: what the view was made of. ``decision``: the position of its line in the log.
    """

    signed: Signed
    given: Given
    shape_hash: bytes
    view: View | None
    snapshot: SnapshotEntry | None
    decision: Position


@dataclass(frozen=True)
class Refusal:
    """A refusal that the city signs. ``repeated``: it was given before, and ``decision`` is the line of then."""

    signed: Signed
    given: Given | None
    error: CimfedError
    decision: Position
    repeated: bool = False


class Admitter:
    def __init__(
        self,
        city: CityName,
        federation: Federation,
        directories: DirectorySource,
        control: Control,
        policies: Policies,
        place: Place,
        clock: Callable[[], int],
        limits: Limits,
    ) -> None:
        self._city, self._federation = city, federation
        self._directories, self._control, self._policies = directories, control, policies
        self._place, self._clock, self._limits = place, clock, limits
        self._tolerance = int(limits.clock_tolerance * SECOND)

    def admit(self, kind: type[Request], request: bytes, peer: Peer) -> Admission | Refusal:
        now = self._clock()
        # 1, 2, 3
        signed = check_signed(kind, request, peer, self._directories.current(now), now, self._limits)
        try:
            return self._decided(signed)
        except _Repeated as known:
            return known.refusal

    def _decided(self, signed: Signed) -> Admission | Refusal:
        """Checks 4 to 7. Raises _Repeated."""
        query, now = signed.query, signed.now
        try:
            # 4
            self._check_addressed(query)
            with self._control.reading() as connection:
                mark, active, restored = clock_mark(connection), active_policy(connection), restored_at(connection)
            # 5
            self._check_time(query, now, mark)
            check_issued(query.issued, restored)
        except (NotAddressed, ExpiredQuery) as error:
            return self._settle(signed, None, None, error, spend=False)
        for _ in range(TRIES):
            given: Given | None = None
            refusal: CimfedError | None = None
            try:
                # 6
                self._check_current(active, restored, now)
                given = self.decide(signed, now, active)
            except CimfedError as error:
                refusal = error
            # 7
            try:
                return self._settle(signed, active, given, refusal, spend=True)
            except _PolicyMoved:
                with self._control.reading() as connection:
                    active = active_policy(connection)
        raise PolicyChanged("the policy changes faster than this query can be decided")

    def decide(self, signed: Signed, now: int, active: ActivePolicy | None) -> Given:
        """Check 6: NotGranted, ChooseGrant, NotVia, UnknownProperty, BadQuery, TooDeep or TooLarge."""
        query = signed.query
        check(query, leave_unknown=True)
        policy = self._policies.in_force(active)
        if isinstance(query.request, Catalog):
            return Given(policy)  # refused to none but the blocked: without a policy it is empty
        if policy is None:
            raise NotGranted("nothing is granted for this", remedy="Ask the city for access")
        decision = policy_decision.decide(
            policy.policy,
            signed.subject,
            query.purpose,
            query.request.collection,
            now,
            signed.way.presenter,
            query.grants.get(self._city),
            signed.way.passed,
        )
        check_present(query.request, decision.shape)
        return Given(policy, decision.grant.id, decision.shape)

    def check_again(self, admission: Admission) -> None:
        """Of a running answer: Blocked, PolicyChanged or ViewGone once it may not go on. Keeps its slot alive."""
        now = self._clock()
        signed, view = admission.signed, admission.view
        with self._control.reading() as connection:
            _check_blocks(connection, signed)  # before the directory, which may be out of reach
            active, restored = active_policy(connection), restored_at(connection)
            stands = view is None or view_stands(connection, view.id)
            expires = slot_expires(connection, admission.decision)
        try:
            directory = self._directories.current(now)
            subject = subject_of(directory.access_key(signed.key.id, now), directory)
            for gateway in signed.way.gateways:
                directory.gateway(gateway)
            by = {key_id.hex() for key_id in signed.way.signed}
            if any(item.subject in by for item in directory.revoked):
                raise KeyRevoked("a key of whom this came by was revoked")
            if not directory.party(signed.way.presenter or subject.org).issuers:
                raise UnknownPeer("the issuer of the caller's certificate was revoked")
            self._check_current(active, restored, now)
            given = self.decide(replace(signed, subject=subject), now, active)
        except CimfedError as error:
            raise PolicyChanged(f"this answer may not go on: {error.reason}", remedy="Ask again") from error
        if (subject.org, given.grant, given.shape) != (
            signed.subject.org,
            admission.given.grant,
            admission.given.shape,
        ):
            raise PolicyChanged("the policy gives something else now", remedy="Ask again")
        if not stands:
            raise ViewGone("the view of this answer was taken away", remedy="Ask again")
        if expires < now + SLOT_LIFE // 2:
            with self._control.writing() as transaction:
                renew_slot(transaction, admission.decision, subject.org, view.id if view else "", now + SLOT_LIFE)

    def self_test(self) -> None:
        """CimfedError where this node came back from a backup and is not yet what it must be to answer."""
        now = self._clock()
        with self._control.reading() as connection:
            active, restored = active_policy(connection), restored_at(connection)
            if restored:
                check_views(active_grants(connection), current_snapshots(connection))
        try:
            self._check_current(active, restored, now)
        except (BadDirectory, DirectoryExpired):
            log.warning("there is no valid directory yet to compare the policy of the backup with")

    # The parts

    def _check_current(self, active: ActivePolicy | None, restored: int, now: int) -> None:
        if restored and active is not None:
            listed = self._directories.current(now).members.get(self._city)
            entry = listed.entry if listed else None
            check_policy(active, restored, entry, self._policies.in_force(active))

    def _check_addressed(self, query: Query) -> None:
        if query.federation != self._federation:
            raise NotAddressed("the query is for another federation")
        if query.cities and self._city not in query.cities:
            raise NotAddressed(f"the query is not for {self._city}")

    def _check_time(self, query: Query, now: int, mark: int) -> None:
        if now + self._tolerance < mark:
            raise ClockBehind(
                f"this host's clock says {instant_text(now)}, but it was {instant_text(mark)} here before",
                remedy="The operator must set the clock right",
            )
        if query.issued > now + self._tolerance:
            raise ExpiredQuery("the query is from the future", remedy="Set the clock of the computer that asks")
        if not query.issued < query.expires <= query.issued + int(self._limits.query_life * SECOND):
            raise ExpiredQuery(f"a query lives for at most {self._limits.query_life:g} s")
        self._check_expiry(query, now)

    def _check_expiry(self, query: Query, now: int) -> None:
        if query.expires + self._tolerance <= now:
            raise ExpiredQuery("the query has expired", remedy="Sign a new one")

    def _settle(
        self,
        signed: Signed,
        active: ActivePolicy | None,
        given: Given | None,
        refusal: CimfedError | None,
        *,
        spend: bool,
    ) -> Admission | Refusal:
        """Check 7. A refusal that was found before has its line in the log all the same."""
        query, view, snapshot, shape_hash = signed.query, None, None, b""
        with self._control.outcomes.writing() as transaction:
            # A clock that no partner's agrees with must not move the mark: it would stand in the way when set right.
            mark = advance_clock(transaction, signed.now) if spend else clock_mark(transaction)
            try:
                if spend:
                    # Nonces are forgotten by the mark, so by the mark their queries must have expired.
                    self._check_expiry(query, mark)
                    kept_until = query.expires + self._tolerance
                    spend_nonce(transaction, signed.key.id, query.nonce, kept_until, mark)
                    _check_blocks(transaction, signed)
                if refusal is not None:
                    raise refusal
                assert given is not None
                limits = self._limits
                check_slots(
                    transaction, signed.subject.org, mark, limits.concurrent_per_partner, limits.concurrent_per_node
                )
                if given.grant:
                    found = granted_view(transaction, given.version, given.grant, self._place)
                    if found is None:
                        raise _PolicyMoved
                    shape_hash, view = found[0].shape_hash, found[1]
                    snapshot = current_snapshot(transaction, found[0].collection)  # views and this change as one
            except Blocked as error:
                refusal, given = error, None  # nor does the manifest name a policy or a grant
            except CimfedError as error:
                refusal = error
            line = Decision(
                time=signed.now,
                position=draw_position(),
                request_hash=signed.request_hash,
                key_id=signed.key.id,
                organisation=signed.subject.org,
                presenter=signed.way.presenter or signed.subject.org,
                kind=type(query.request).__name__.lower(),
                purpose=query.purpose[:MAX_NAME],
                collection=(query.request.collection or "")[:MAX_NAME],
                policy=active.version if active else 0,
                grant=given.grant if given else "",
                view=view.id if view else "",
                reason=refusal.reason if refusal else "",
            )
            if refusal is not None and refusal.reason in AGAIN_AND_AGAIN:
                known = logged(transaction, line)
                if known is not None:
                    raise _Repeated(Refusal(signed, given, refusal, known, repeated=True))
            log_decision(transaction, line)
            if refusal is None:
                take_slot(transaction, line.position, line.organisation, line.view, mark + SLOT_LIFE)
        if refusal is not None or given is None:
            return Refusal(signed, given, refusal or NotGranted("nothing is granted for this"), line.position)
        return Admission(signed, given, shape_hash, view, snapshot, line.position)


def _check_blocks(connection: Transaction, signed: Signed) -> None:
    check_blocks(connection, signed.key.id, signed.subject.org, signed.way.gateways, signed.way.signed)


class _PolicyMoved(Exception):
    """Another version of the policy came into force after check 6 of this query."""


class _Repeated(Exception):
    """This refusal has its line: nothing of the transaction needs to reach the disk."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


def check_present(request: Read | Aggregate, shape: Shape) -> None:
    """UnknownProperty for a filter, grouping or measure of a property that the shape's view has not.

    Untouched objects that it does not give are refused in the same words.
    """
    columns = Columns(VOCABULARY.collections[shape.collection], view_columns(shape))
    if isinstance(request, Read) and request.original and not gives_originals(shape):
        raise columns.unknown(ORIGINAL, "properties")
    if request.where is not None:
        _check_filter(request.where, columns)
    if isinstance(request, Aggregate):
        for name in request.group_by:
            columns.find(name, "group_by")
        for measure in request.measures:
            if measure.of:
                columns.find(measure.of, "measures")


def _check_filter(where: Expression, columns: Columns) -> None:
    for name in sorted(properties(where)):
        columns.find(name, "where")
    if "bbox" not in columns.present and any(isinstance(node, Box) for node in walk(where)):
        raise columns.unknown("geometry", "where")
