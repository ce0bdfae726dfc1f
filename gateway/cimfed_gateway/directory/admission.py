"""How newcomers and partners are heard: functions of a transaction, what is published, a request and a time.

A newcomer joins by these rules, numbered in ``join`` as here:

1. the code is of the invitation and of these very bytes of the card. It is computed and compared for an invitation that
   nobody made, too; ten wrong ones spoil an invitation that is still open. Until the code is right, nothing that is
   said tells whether there is such an invitation;
2. the invitation is open and has not expired. Whoever has used it may hand in the same card again, for a lost reply;
   while it waits, also with further signatures: of a former key, which names those on the card its successors;
3. the card is one, of this federation and of the invited name, so of the invited kind;
4. the name is listed if, and only if, new keys were invited;
5. not too many requests wait.

A party that is listed hands in a new card without an invitation, by these, numbered in ``renew``:

1. the card is one, of this federation; so every key on it has signed it;
2. one of those keys counts now for that very party: whoever made the card holds it;
3. stewards are as listed: a city's other keys do not decide about them;
4. a card that was handed in before is the same request, whatever became of it and however its file is written; so is
   one that the directory ever showed as a succession, since whoever hands it in may be nobody. One that is listed as it
   is, is none;
5. a newer card takes the place of one that waits, where every new key on that one has signed it: who has stolen a key
   of the party puts no card in the place of its own. None takes the place of one that came by an invitation, and none
   that of the last of so many which did so since the registrar decided;
6. not too many requests wait.

An error that must leave its trace is given back rather than raised, so that its transaction is kept.

A request waits until the registrar denies it, or lists the card: ``settle`` looks at what was published. A registrar's
approval in between is a note to the newcomer and to other registrars; it lists nobody.

What was decided is kept for ``KEPT_DECIDED``, so that who handed it in can learn of it. A card without an invitation is
kept for longer where a key on it counts for its party still, since it could be handed in anew (4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cimfed.errors import (
    BadDirectory,
    BadInvitation,
    BadQuery,
    BadSignature,
    CimfedError,
    Conflict,
    DirectoryExpired,
    Overloaded,
    TooLarge,
)
from cimfed.model.admission import AskStatus, Join, RequestState, Status
from cimfed.tlog.database import Transaction
from cimfed.trust.admin import open_access
from cimfed.trust.card import Card, card_of, open_card, parse_card
from cimfed.trust.directory import layout
from cimfed.trust.directory.acceptance import registrars
from cimfed.trust.directory.listing import Directory, Member, Partner, Service, expired, signing_keys
from cimfed.trust.envelope import Envelope, to_json
from cimfed.trust.hashing import digest, sha256
from cimfed.trust.invitation import InvitationKey
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.entries import Act, Admission
from cimfed.wire.admissions import CARD
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.tables import AccessRow, InvitationRow, RequestRow

FAILURES = 10  # wrong codes that an open invitation survives, less one
WAITING = 200  # requests that may wait at once
KEPT_OF_PARTNER = 20  # requests for access
DAY = 86_400_000_000  # microseconds
KEPT = 30 * DAY  # how long a request for access is kept
KEPT_DECIDED = 90 * DAY  # and one that was decided, from then on; an invitation from its end on
REPLACED = 10  # cards of a party that take the place of one that waits, until the registrar decides
DAY_LATER = "Ask the administrator for another"
NOT_YOURS = "If that was not you, somebody else has read it: tell the administrator, who denies it and invites you anew"
NOBODY = InvitationKey(bytes(32), bytes(32))


@dataclass(frozen=True)
class Roster:
    """What is published now, and who may administer by it."""

    directory: Directory

    @cached_property
    def registrars(self) -> frozenset[PublicKey]:
        return frozenset(registrars(self.directory))

    def check_board(self, now: int) -> None:
        """DirectoryExpired where the board's word has ended: nobody is a registrar then."""
        if now >= min(self.directory.ends[role] for role in (layout.ROOT, layout.TARGETS)):
            raise expired(self.directory)

    def check_current(self, now: int) -> None:
        if now >= self.directory.expires:
            raise expired(self.directory)

    def lists(self, name: str) -> bool:
        """Whether the name is taken, be its party suspended or revoked."""
        return name == self.directory.service.name or any(
            party.name == name for party in self.directory.published.parties()
        )

    def has(self, card: Card) -> bool:
        """Whether the card's party is listed with what the card says."""
        for party in self.directory.published.parties():
            if party.name == card.name:
                stewards = party.stewards if isinstance(party, Member) else ()
                return (
                    set(card.issuers) <= set(party.issuers)
                    and set(card.keys) <= set(signing_keys(party))
                    and set(card.stewards) <= set(stewards)
                )
        return False

    def lists_key(self, card: Card) -> bool:
        """Whether a key on the card is listed for its party."""
        parties = self.directory.published.parties()
        return any(not set(card.keys).isdisjoint(signing_keys(party)) for party in parties if party.name == card.name)

    def is_as(self, card: Card) -> bool:
        """Whether the card's party is listed with what the card says, and nothing else."""
        party = next((party for party in self.directory.published.parties() if party.name == card.name), None)
        return party is not None and _facts(card_of(card.federation, party)) == _facts(card)


def nothing_published() -> DirectoryExpired:
    return DirectoryExpired(
        "no directory has been published here yet", remedy="Its operator runs cimfed-gateway directory begin"
    )


def join(transaction: Transaction, roster: Roster, request: Join, now: int) -> Status | BadInvitation:
    """What becomes of a newcomer's card.

    BadInvitation (given back), BadDirectory, TooLarge, Conflict, Overloaded, ClockBehind.
    """
    tables.check_clock(transaction, now)
    # 1
    invitation = tables.find_invitation(transaction, request.invitation)
    key, name = _key(invitation)
    if not key.checks_join(request.code, name, request.card) or invitation is None:
        return _refused(transaction, invitation, now)
    # 2
    known = tables.find_request(transaction, invitation.id)
    if known is not None and known.card == request.card:
        return _status(known)
    if known is not None and known.state in tables.UNDECIDED and _signs_more(request.card, known.card):
        tables.replace_card(transaction, known.id, request.card)
        tables.note(transaction, Admission(now, "requested", known.name, card=sha256(request.card)))
        return _status(known)
    if known is not None:
        raise Conflict("another card was handed in with this invitation", remedy=NOT_YOURS)
    if (trouble := _trouble(invitation, now)) is not None:
        return trouble
    # 3
    card = _card(request.card, invitation, roster)
    # 4
    if roster.lists(card.name) != invitation.new_keys:
        taken = "is listed already, and was not invited to come with new keys"
        raise Conflict(f"{card.name} {'is not listed any more' if invitation.new_keys else taken}", remedy=DAY_LATER)
    # 5
    if tables.count_undecided(transaction) >= WAITING:
        raise Overloaded("too many requests wait for the registrar", retry_after=3600.0)
    row = RequestRow(id=invitation.id, name=card.name, card=request.card, received=now, new_keys=invitation.new_keys)
    tables.add_request(transaction, row)
    tables.mark_invitation(transaction, invitation.id, "used")
    tables.note(transaction, Admission(now, "requested", card.name, card=sha256(request.card)))
    return _status(row)


def renew(transaction: Transaction, roster: Roster, content: bytes, now: int) -> Status:
    """What becomes of a listed party's new card, such as one that lists a new key beside the old.

    BadDirectory, TooLarge, UnknownPeer, BadSignature, Conflict, Overloaded, DirectoryExpired, ClockBehind.
    """
    tables.check_clock(transaction, now)
    roster.check_current(now)
    # 1
    card = _read_card(content)
    if card.federation != roster.directory.federation:
        raise BadDirectory(f"the card is for {card.federation}")
    # 2
    party = roster.directory.party(card.name)
    if isinstance(party, Service):
        raise Conflict("the directory service is listed by the board", remedy="cimfed directory rotate-root --service")
    counting = (
        {access.key for access in party.keys if access.valid[0] <= now < access.valid[1]}
        if isinstance(party, Partner)
        else set(party.keys)
    )
    if not counting & set(card.keys):
        raise BadSignature(f"no key on the card counts for {card.name}", remedy="Ask to be invited with --new-keys")
    # 3
    if isinstance(party, Member) and set(card.stewards) != set(party.stewards):
        raise Conflict("the stewards are others than those listed", remedy="Hand the card to the administrator")
    # 4
    id_ = _renewal(card.envelope.payload)
    known = tables.find_request(transaction, id_)
    if known is not None:
        return _status(known)
    if roster.is_as(card):
        return Status(RequestState.LISTED)
    # 5
    for row in tables.undecided_requests(transaction):
        if row.name == card.name:
            _check_replaces(transaction, roster, row, card)
            tables.decide_request(transaction, row.id, RequestState.DENIED, now, tables.SUPERSEDED)
    # 6
    if tables.count_undecided(transaction) >= WAITING:
        raise Overloaded("too many requests wait for the registrar", retry_after=3600.0)
    row = RequestRow(id=id_, name=card.name, card=content, received=now, new_keys=True)
    tables.add_request(transaction, row)
    tables.note(transaction, Admission(now, "requested", card.name, card=sha256(content)))
    return _status(row)


def _check_replaces(transaction: Transaction, roster: Roster, row: RequestRow, card: Card) -> None:
    """Conflict where the card may not take the place of the one that waits, Overloaded after too many that did."""
    if tables.find_invitation(transaction, row.id) is not None:
        raise Conflict(f"a card of {card.name} waits that came by an invitation", remedy="Wait for its end")
    try:
        waiting = parse_card(row.card)
    except CimfedError:  # of another release
        waiting = card
    listed = signing_keys(roster.directory.party(card.name))
    gone = {item.subject for item in roster.directory.revoked}
    for key in waiting.keys:
        if key not in (*listed, *card.keys) and key.id.hex() not in gone:
            raise Conflict(
                f"a card of {card.name} waits with a new key, {key.id.hex()[:16]}, which has not signed this one",
                remedy="Have it denied (cimfed requests deny), then hand this one in again. If that card is not yours, "
                "somebody else has your key: have it revoked",
            )
    if tables.count_superseded(transaction, card.name) >= REPLACED:
        raise Overloaded(
            f"{REPLACED} cards of {card.name} have taken each other's place",
            retry_after=3600.0,
            remedy="The registrar decides on the one that waits first",
        )


def status(transaction: Transaction, request: AskStatus, now: int) -> Status | BadInvitation:
    """What became of the request that came with an invitation; rule 1 of ``join`` holds here too."""
    tables.check_clock(transaction, now)
    invitation = tables.find_invitation(transaction, request.invitation)
    key, name = _key(invitation)
    if not key.checks_status(request.code, name) or invitation is None or request.name != name:
        return _refused(transaction, invitation, now)
    known = tables.find_request(transaction, invitation.id)
    if known is None:
        return _trouble(invitation, now) or BadInvitation("no card was handed in with this invitation")
    return _status(known)


def request_access(transaction: Transaction, roster: Roster, envelope: Envelope, now: int) -> None:
    """Keeps a partner's request.

    UnknownKey, BadSignature, BadQuery, TooLarge, NotAddressed, ExpiredQuery, Replayed, Overloaded, DirectoryExpired.
    """
    tables.check_clock(transaction, now)
    roster.check_current(now)
    directory = roster.directory
    if len(envelope.signatures) != 1:
        raise BadSignature("a request has one signature")
    access = directory.access_key(envelope.signatures[0].key_id, now)
    request, key = open_access(envelope, [access.key], directory.federation, directory.service.name, now)
    if request.partner != access.organisation:
        raise BadSignature(f"the key is not one of {request.partner}")
    for city in request.cities:
        if city not in directory.members:
            raise BadQuery(f"the directory does not list {city}", place="cities")
    tables.spend(transaction, spent(key, request.occasion.nonce), request.occasion, now)
    tables.forget_access(transaction, now - KEPT)
    if tables.count_access(transaction, request.partner) >= KEPT_OF_PARTNER:
        raise Overloaded(f"{KEPT_OF_PARTNER} requests of {request.partner} are kept here", retry_after=86400.0)
    row = AccessRow(
        id=envelope.payload_hash,
        partner=request.partner,
        cities=f" {' '.join(request.cities)} ",
        envelope=to_json(envelope),
        received=now,
    )
    tables.add_access(transaction, row)
    tables.note(
        transaction,
        Act(now, "access-requested", request.partner, request.collection, envelope.payload_hash.hex()),
    )


def settle(transaction: Transaction, roster: Roster, now: int) -> None:
    """Ends the requests whose card is listed now; remembers the cards that everybody can read, and may keep; forgets
    what was decided long ago."""
    _forget(transaction, roster, now)
    for shown in roster.directory.published.successions:
        if tables.find_request(transaction, _renewal(shown.payload)) is None:
            _remember(transaction, shown, now)
    for row in tables.undecided_requests(transaction):
        try:
            card = parse_card(row.card)
        except CimfedError:  # of another release
            continue
        if roster.is_as(card) if row.new_keys else roster.has(card):
            tables.decide_request(transaction, row.id, RequestState.LISTED, now)
            tables.note(transaction, Admission(now, "listed", row.name, card=sha256(row.card)))


def _forget(transaction: Transaction, roster: Roster, now: int) -> None:
    for row in tables.decided_requests(transaction, now - KEPT_DECIDED):
        if tables.find_invitation(transaction, row.id) is None and _may_come_again(row, roster):
            continue
        tables.forget_request(transaction, row.id)
    tables.forget_invitations(transaction, now - KEPT_DECIDED)


def _may_come_again(row: RequestRow, roster: Roster) -> bool:
    try:
        return roster.lists_key(parse_card(row.card))
    except CimfedError:  # of another release, which may come back
        return True


def _remember(transaction: Transaction, shown: Envelope, now: int) -> None:
    try:
        name = open_card(shown).name
    except CimfedError:  # the registrar's fault; nobody can hand it in
        return
    row = RequestRow(
        id=_renewal(shown.payload),
        name=name,
        card=to_json(shown),
        received=now,
        new_keys=True,
        state=RequestState.LISTED.value,
    )
    tables.add_request(transaction, row)


def _renewal(payload: bytes) -> bytes:
    """The id of a request that comes without an invitation."""
    return digest("cimfed/renewal/v1", (payload,))


def spent(key: PublicKey, nonce: bytes) -> bytes:
    """What a signed request's nonce is kept as: two keys may draw the same."""
    return digest("cimfed/spent-nonce/v1", (key.raw, nonce))


def _key(invitation: InvitationRow | None) -> tuple[InvitationKey, str]:
    if invitation is None:
        return NOBODY, "nobody"
    return InvitationKey(invitation.id, invitation.key), invitation.name


def _refused(transaction: Transaction, invitation: InvitationRow | None, now: int) -> BadInvitation:
    counts = invitation is not None and invitation.state == "open"
    if invitation is not None and counts and tables.count_failure(transaction, invitation.id) >= FAILURES:
        tables.mark_invitation(transaction, invitation.id, "spoiled")
        tables.note(transaction, Admission(now, "spoiled", invitation.name))
    return BadInvitation("there is no such invitation, or what came with it is not from its holder", remedy=DAY_LATER)


def _trouble(invitation: InvitationRow, now: int) -> BadInvitation | None:
    """Why nobody can join by it; only its holder is told."""
    match invitation.state:
        case "open" if now < invitation.expires:
            return None
        case "open":
            why = "has expired"
        case "spoiled":
            why = "was tried too often by somebody who does not hold it"
        case "used":
            why = "was used, and what came of it is kept no more"
        case _:
            why = "was withdrawn"
    return BadInvitation(f"the invitation {why}", remedy=DAY_LATER)


def _card(content: bytes, invitation: InvitationRow, roster: Roster) -> Card:
    card = _read_card(content)
    if (card.federation, card.name) != (roster.directory.federation, invitation.name):
        raise BadDirectory(f"the card is of {card.name} in {card.federation}, the invitation of {invitation.name}")
    return card


def _signs_more(content: bytes, before: bytes) -> bool:
    """Whether it is the same card, with all signatures that it had, and more."""
    new, old = _read_card(content), parse_card(before)
    return new == old and set(new.signatures) > set(old.signatures)


def _read_card(content: bytes) -> Card:
    if len(content) > CARD:
        raise TooLarge(f"the card has more than {CARD} bytes")
    return parse_card(content)


def _facts(card: Card) -> tuple[object, ...]:
    """What a card says, in whatever order."""
    return card.address, frozenset(card.keys), frozenset(card.stewards), frozenset(card.issuers)


def _status(row: RequestRow) -> Status:
    return Status(RequestState(row.state), row.message)
