"""The part of a receipt that says: the decisions on this query are in the cities' logs.

What ``check`` looks at, for one city, with the receipt's own directory and without network:

1. the entry is the decision that the manifest names, on this query, of this key, organisation and presenter; its grant,
   policy, view, time and reason are the manifest's;
2. the checkpoint is of the city's log and signed by a key of the city;
3. the tree with the checkpoint's root has the entry;
4. every other signature of the checkpoint is a cosignature of a member that holds, and none was made before the entry.

``revoked_since`` looks at a directory of now: a signature by a key that was revoked later counts where a city, whose
own key stands, had cosigned the decision before. A thief who got the key then cannot have made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cimfed.errors import ExpiredQuery, Forged, LogInconsistent, NotAddressed, Replayed
from cimfed.model.answer import Manifest, Outcome
from cimfed.model.instants import instant_text
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Kind, kind_of
from cimfed.query.check import MAX_NAME
from cimfed.query.query import Catalog, Query
from cimfed.trust.directory.listing import Directory
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.checkpoint import Origin, cosigned_at, parse_checkpoint, parse_origin, verify_checkpoint
from cimfed.trust.tlog.entries import Decision, decode
from cimfed.trust.tlog.merkle import leaf_hash, verify_inclusion
from cimfed.trust.tlog.note import Note, NoteSignature, SignatureType, key_hash, parse_note
from cimfed.wire.logs import Proven

SECOND = 1_000_000
TOLERANCE = int((LIMITS.clock_tolerance + 1) * SECOND)  # cosignatures have whole seconds
_REPEATED = (ExpiredQuery.reason, NotAddressed.reason, Replayed.reason)
"""Refusals of which the log has the first alone."""


@dataclass(frozen=True)
class Asking:
    """What the entry of a decision must say of a query; ``presenter``: the gateway, or the organisation itself."""

    query: Query
    request_hash: bytes
    key_id: bytes
    organisation: str
    presenter: str


@dataclass(frozen=True)
class Cosigned:
    """``at`` in microseconds."""

    at: int
    key: PublicKey


@dataclass(frozen=True)
class Logged:
    """``origin``: the log's name. ``cosigned``: by which cities its checkpoint was."""

    origin: str
    index: int
    size: int
    cosigned: Mapping[CityName, Cosigned]

    def __str__(self) -> str:
        by = f"cosigned by {', '.join(sorted(self.cosigned))}" if self.cosigned else "cosigned by nobody yet"
        return f"logged as entry {self.index}, {by}"


@dataclass(frozen=True)
class Signed:
    """Whose key signed a part of a receipt."""

    party: str
    key: PublicKey


@dataclass(frozen=True)
class RevokedLater:
    """``by``: the cities that had cosigned before. ``counts``: whether what the key signed still does."""

    signed: Signed
    reason: str
    at: int  # microseconds
    by: tuple[CityName, ...]

    @property
    def counts(self) -> bool:
        """Of a gateway's coverage, too: whoever did not sign a manifest has only its word, now as before."""
        return bool(self.by) or kind_of(self.signed.party) is Kind.GATEWAY

    def __str__(self) -> str:
        when = f"a key of {self.signed.party} was revoked on {instant_text(self.at)} ({self.reason})"
        if self.by:
            return f"{when}; {', '.join(self.by)} had cosigned the decision before, so it counts"
        if self.counts:
            return f"{when}; what it says of cities that did not answer counts for nothing"
        return f"{when}, and no city had cosigned the decision before: it does not count"


def check(city: CityName, proven: Proven, manifest: Manifest, asking: Asking, directory: Directory) -> Logged:
    """Rules 1 to 4. LogInconsistent, Forged."""
    try:
        return _checked(city, proven, manifest, asking, directory)
    except (LogInconsistent, Forged) as error:
        raise type(error)(f"{city}: {error.message}", place="the receipt's log part") from None


def _checked(city: CityName, proven: Proven, manifest: Manifest, asking: Asking, directory: Directory) -> Logged:
    # 1
    entry = decode(proven.entry)
    if not isinstance(entry, Decision):
        raise LogInconsistent("the entry is no decision")
    _check_entry(entry, manifest, asking)
    # 2
    note, origin = _note(proven)
    if origin.first != Origin(directory.federation, city):
        raise LogInconsistent("the checkpoint is of another log")
    checkpoint = verify_checkpoint(note, origin, directory.member(city).keys)
    # 3
    verify_inclusion(proven.index, checkpoint.size, leaf_hash(proven.entry), proven.proof, checkpoint.root)
    # 4
    if len(_known(note, origin, directory)) != len(note.signatures):
        raise Forged("the checkpoint bears a signature of nobody whom the directory lists")
    cosigned = _cosigned(note, city, directory)
    if any(item.at + TOLERANCE < entry.time for item in cosigned.values()):
        raise LogInconsistent("the checkpoint was cosigned before the decision was made")
    return Logged(str(origin), proven.index, checkpoint.size, cosigned)


def trimmed(proven: Proven, directory: Directory) -> Proven:
    """Without signatures of those whom the directory, which may be older than the checkpoint, does not list."""
    note, origin = _note(proven)
    kept = tuple(_known(note, origin, directory))
    return replace(proven, checkpoint=Note(note.text, kept).to_bytes()) if kept else proven


def revoked_since(
    signers: Iterable[Signed], logged: Mapping[CityName, Logged], current: Directory
) -> list[RevokedLater]:
    """Of keys that signed a part of a receipt, those that are revoked by now, the first that was first.

    A city's manifest needs a cosignature of its own log; a partner's query one of any city that decided on it.
    """
    revoked = {item.subject: item for item in current.revoked}
    found = []
    for signed in signers:
        items = [revoked[subject] for subject in (signed.party, signed.key.id.hex()) if subject in revoked]
        if not items:
            continue
        first = min(items, key=lambda item: item.at)
        kind, by = kind_of(signed.party), set[CityName]()
        for city, item in logged.items() if kind is not Kind.GATEWAY else ():
            if kind is Kind.PARTNER or city == signed.party:
                by |= {
                    witness
                    for witness, cosigned in item.cosigned.items()
                    if cosigned.at < first.at and not {witness, cosigned.key.id.hex()} & revoked.keys()
                }
        found.append(RevokedLater(signed, first.reason, first.at, tuple(sorted(by))))
    return sorted(found, key=lambda item: item.at)


def _check_entry(entry: Decision, manifest: Manifest, asking: Asking) -> None:
    request = asking.query.request
    asked = {
        "position": (entry.position, manifest.decision),
        "query": (entry.request_hash, asking.request_hash),
        "key": (entry.key_id, asking.key_id),
        "organisation": (entry.organisation, asking.organisation),
        "presenter": (entry.presenter, asking.presenter),
        "kind": (entry.kind, type(request).__name__.lower()),
        "purpose": (entry.purpose, asking.query.purpose[:MAX_NAME]),
        "collection": (entry.collection, (request.collection or "")[:MAX_NAME]),
    }
    if entry.reason:
        asked["reason"] = (entry.reason, manifest.reason if manifest.outcome is Outcome.REFUSED else "")
    else:
        asked["view"] = (entry.view, manifest.view)
    again = entry.reason in _REPEATED
    if not again:
        asked["grant"] = (entry.grant, manifest.grant)
        asked["time"] = (entry.time, manifest.now)
    elif entry.time > manifest.now:
        asked["time"] = (entry.time, manifest.now)
    # A refusal need not name the policy, nor need a catalogue that is empty for the lack of one.
    if not again and (manifest.policy_version or not (entry.reason or isinstance(request, Catalog))):
        asked["policy"] = (entry.policy, manifest.policy_version)
    for name, (logged, said) in asked.items():
        if logged != said:
            raise LogInconsistent(f"the decision in the log has another {name} than the answer")


def _note(proven: Proven) -> tuple[Note, Origin]:
    note = parse_note(proven.checkpoint)
    return note, parse_origin(parse_checkpoint(note.text).origin)


def _known(note: Note, origin: Origin, directory: Directory) -> list[NoteSignature]:
    """Signatures that bear the name and the hash of a key of the log's city, or of another city as a witness."""
    own = [(str(origin), SignatureType.ED25519, key) for key in directory.member(origin.party).keys]
    others = [
        (str(Origin(directory.federation, city)), SignatureType.COSIGNATURE, key)
        for city, member in directory.members.items()
        if city != origin.party
        for key in member.keys
    ]
    names = {(name, key_hash(name, kind, key)) for name, kind, key in (*own, *others)}
    return [one for one in note.signatures if (one.name, one.key_hash) in names]


def _cosigned(note: Note, city: CityName, directory: Directory) -> dict[CityName, Cosigned]:
    """By cities other than the log's own, each with the first of its cosignatures. Forged for a false one."""
    found: dict[CityName, Cosigned] = {}
    for witness, member in directory.members.items():
        for key in member.keys if witness != city else ():
            at = cosigned_at(note, Origin(directory.federation, witness), [key])
            if at is not None and (witness not in found or at * SECOND < found[witness].at):
                found[witness] = Cosigned(at * SECOND, key)
    return found
