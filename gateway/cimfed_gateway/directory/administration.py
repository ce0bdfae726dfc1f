"""What a signed request of an administrator does. Each action has exactly the arguments of its function here.

    invite           id, key (64 hex digits: of an ``InvitationKey``), name, expires (an instant), new_keys
    withdraw         id: of an invitation that nobody has used
    requests         the requests that wait, and the open invitations
    approve          id, fingerprint: of the card that waits
    deny             id, message: one line for the newcomer, or empty
    access_requests  city: a city, or empty for all
    explain          step (suspended, lifted, removed), name, reason: why the registrar publishes that now, for the log

1. the envelope is signed by a registrar; for ``access_requests`` of a city also by one of its stewards;
2. federation, service, time and form are those of ``cimfed.trust.admin``;
3. it is taken once.

Nothing here lists, suspends or revokes anybody: that is said by the signed files of a publication alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cimfed.errors import BadQuery, BadSignature, CimfedError, Conflict, NotFound, Overloaded
from cimfed.model.admission import InvitationEntry, JoinEntry, RequestState
from cimfed.model.instants import parse_instant
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Kind, kind_of
from cimfed.model.texts import plain
from cimfed.tlog.database import Transaction
from cimfed.trust.admin import AdminRequest, Argument, open_admin
from cimfed.trust.card import parse_card
from cimfed.trust.envelope import Envelope, from_json
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import LONGEST
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.entries import Admission
from cimfed.wire.admissions import AccessEntry, Administered
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.admission import KEPT, Roster, spent
from cimfed_gateway.directory.tables import InvitationRow, RequestRow

INVITATIONS = 500  # that may be open at once
SHOWN = 200  # requests for access in one reply, which must fit a message
MESSAGE = 200  # characters
EXPLAINED = ("suspended", "lifted", "removed")
_DIGITS = re.compile(r"[0-9a-f]{64}")

READ_ACCESS = "access_requests"


def administer(transaction: Transaction, roster: Roster, envelope: Envelope, now: int) -> Administered:
    """BadSignature, ExpiredQuery, Replayed, BadQuery, NotAddressed, TooLarge, NotFound, Conflict, Overloaded,
    DirectoryExpired, ClockBehind."""
    tables.check_clock(transaction, now)
    roster.check_board(now)
    # 1, 2
    directory = roster.directory
    stewards = [key for member in directory.members.values() for key in member.stewards]
    candidates = (*roster.registrars, *stewards)
    request, key = open_admin(envelope, candidates, directory.federation, directory.service.name, now)
    if key not in roster.registrars and not _is_steward(roster, request, key, now):
        raise BadSignature("only a registrar may do this")
    # 3
    tables.spend(transaction, spent(key, request.occasion.nonce), request.occasion, now)
    action = ACTIONS.get(request.action)
    if action is None:
        raise BadQuery(f"there is no action {request.action}", remedy=f"There are {', '.join(ACTIONS)}")
    return action(transaction, roster, _Arguments(request.arguments), key, now)


def _is_steward(roster: Roster, request: AdminRequest, key: PublicKey, now: int) -> bool:
    """Of the one city whose requests for access are asked for."""
    city = request.arguments.get("city")
    if request.action != READ_ACCESS or not isinstance(city, str):
        return False
    roster.check_current(now)
    member = roster.directory.members.get(CityName(city))
    return member is not None and key in member.stewards


class _Arguments:
    """Taken one by one; what is left over is refused by ``end``."""

    def __init__(self, arguments: Mapping[str, Argument]) -> None:
        self._left = dict(arguments)

    def text(self, name: str) -> str:
        value = self._left.pop(name, None)
        if not isinstance(value, str):
            raise BadQuery(f"the action takes a text {name}", place=name)
        return value

    def flag(self, name: str) -> bool:
        value = self._left.pop(name, None)
        if not isinstance(value, bool):
            raise BadQuery(f"the action takes {name}, true or false", place=name)
        return value

    def digest(self, name: str) -> bytes:
        text = self.text(name)
        if not _DIGITS.fullmatch(text):
            raise BadQuery("not 64 hex digits", place=name)
        return bytes.fromhex(text)

    def end(self) -> None:
        if self._left:
            raise BadQuery("the action takes no such argument", place=min(self._left))


def _invite(transaction: Transaction, roster: Roster, arguments: _Arguments, by: PublicKey, now: int) -> Administered:
    id_, key, name = arguments.digest("id"), arguments.digest("key"), arguments.text("name")
    expires, new_keys = parse_instant(arguments.text("expires")), arguments.flag("new_keys")
    arguments.end()
    if expires is None or not now < expires <= now + LONGEST:
        raise BadQuery("an invitation ends within 30 days from now", place="expires")
    _check_invited(roster, name, new_keys)
    still_open = tables.open_invitations(transaction, now)
    if len(still_open) >= INVITATIONS:
        raise Overloaded(f"{INVITATIONS} invitations are open", retry_after=3600.0)
    taken = {row.name for row in still_open} | {row.name for row in tables.undecided_requests(transaction)}
    if name in taken:
        raise Conflict(
            f"{name} is invited already, or its request waits", remedy=f"cimfed requests withdraw {name}, or deny"
        )
    if tables.find_invitation(transaction, id_) is not None:
        raise Conflict("there is an invitation of that id", remedy="Make another")
    tables.add_invitation(transaction, InvitationRow(id=id_, key=key, name=name, expires=expires, new_keys=new_keys))
    tables.note(transaction, Admission(now, "invited", name, by.id, reason="new keys" if new_keys else ""))
    return Administered(invitations=(InvitationEntry(id_, name, expires, new_keys),))


def _check_invited(roster: Roster, name: str, new_keys: bool) -> None:
    try:
        kind = kind_of(name)
    except CimfedError as error:
        raise BadQuery(error.message, place="name") from None
    if kind is Kind.DIRECTORY:
        raise BadQuery("the directory service is named by the board, not invited", place="name")
    if roster.lists(name) and not new_keys:
        raise Conflict(f"{name} is listed already", remedy="Invite it to come with new keys, if that is meant")
    if new_keys and not roster.lists(name):
        raise NotFound(f"{name} is not listed, so it has no keys to replace")


def _withdraw(
    transaction: Transaction, _roster: Roster, arguments: _Arguments, by: PublicKey, now: int
) -> Administered:
    id_ = arguments.digest("id")
    arguments.end()
    row = tables.find_invitation(transaction, id_)
    if row is None:
        raise NotFound("there is no such invitation")
    if row.state == "used":
        raise Conflict("the invitation was used", remedy="Deny the request instead")
    if row.state != "withdrawn":
        tables.mark_invitation(transaction, id_, "withdrawn")
        tables.note(transaction, Admission(now, "withdrawn", row.name, by.id))
    return Administered()


def _requests(
    transaction: Transaction, _roster: Roster, arguments: _Arguments, _by: PublicKey, now: int
) -> Administered:
    arguments.end()
    return Administered(
        requests=tuple(_entry(transaction, row) for row in tables.undecided_requests(transaction)),
        invitations=tuple(
            InvitationEntry(row.id, row.name, row.expires, row.new_keys)
            for row in tables.open_invitations(transaction, now)
        ),
    )


def _approve(transaction: Transaction, _roster: Roster, arguments: _Arguments, by: PublicKey, now: int) -> Administered:
    id_, fingerprint = arguments.digest("id"), arguments.text("fingerprint")
    arguments.end()
    row = _waiting(transaction, id_)
    if parse_card(row.card).fingerprint != fingerprint:
        raise Conflict("the card that waits has another fingerprint", remedy="Compare it with the newcomer again")
    if row.state == RequestState.WAITING:
        tables.approve_request(transaction, id_)
        tables.note(transaction, Admission(now, "approved", row.name, by.id, sha256(row.card)))
    return Administered(requests=(_entry(transaction, _waiting(transaction, id_)),))


def _deny(transaction: Transaction, _roster: Roster, arguments: _Arguments, by: PublicKey, now: int) -> Administered:
    id_, message = arguments.digest("id"), arguments.text("message")
    arguments.end()
    if len(message) > MESSAGE or plain(message) != message:
        raise BadQuery(f"a message is one line of at most {MESSAGE} characters", place="message")
    row = _waiting(transaction, id_)
    tables.decide_request(transaction, id_, RequestState.DENIED, now, message)
    tables.note(transaction, Admission(now, "denied", row.name, by.id, sha256(row.card), message))
    return Administered()


def _access(transaction: Transaction, _roster: Roster, arguments: _Arguments, _by: PublicKey, now: int) -> Administered:
    city = arguments.text("city")
    arguments.end()
    rows = tables.access_requests(transaction, now - KEPT, city or None)[:SHOWN]
    return Administered(
        access_requests=tuple(AccessEntry(from_json(row.envelope, LIMITS.envelope), row.received) for row in rows)
    )


def _explain(transaction: Transaction, roster: Roster, arguments: _Arguments, by: PublicKey, now: int) -> Administered:
    step, name, message = arguments.text("step"), arguments.text("name"), arguments.text("reason")
    arguments.end()
    if step not in EXPLAINED:
        raise BadQuery(f"a step is one of {', '.join(EXPLAINED)}", place="step")
    if not message or len(message) > MESSAGE or plain(message) != message:
        raise BadQuery(f"a reason is one line of 1 to {MESSAGE} characters", place="reason")
    if not roster.lists(name):
        raise NotFound("the directory does not list that name")
    tables.note(transaction, Admission(now, step, name, by.id, reason=message))
    return Administered()


Action = Callable[[Transaction, Roster, _Arguments, PublicKey, int], Administered]
ACTIONS: Mapping[str, Action] = {
    "invite": _invite,
    "withdraw": _withdraw,
    "requests": _requests,
    "approve": _approve,
    "deny": _deny,
    READ_ACCESS: _access,
    "explain": _explain,
}


def _waiting(transaction: Transaction, id_: bytes) -> RequestRow:
    row = tables.find_request(transaction, id_)
    if row is None:
        raise NotFound("there is no such request")
    if row.state not in tables.UNDECIDED:
        raise Conflict(f"the request of {row.name} was decided: {row.state}")
    return row


def _entry(transaction: Transaction, row: RequestRow) -> JoinEntry:
    replaced = tables.count_superseded(transaction, row.name)
    return JoinEntry(row.id, row.card, RequestState(row.state), row.received, row.new_keys, replaced)
