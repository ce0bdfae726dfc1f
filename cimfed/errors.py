"""The whole error tree.

Every refusal has one class and one reason code; the same reason crosses gRPC (``google.rpc.ErrorInfo``, domain
``cimfed``), stands in a signed manifest, and comes back at the client as the same class. A message says what is
wrong, where (``place``) and what the reader can do (``remedy``). Messages never hold secrets, data values of a
city, or another library's error text. ``docs/errors.md`` explains each reason.

``status`` is the gRPC status code's name; ``exit_code`` is what the command line ends with:
0 all, 1 failure, 2 usage, 3 not found, 4 denied, 5 conflict, 6 partial, 7 unavailable, 8 verification failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class CimfedError(Exception):
    """Base of every error that cimfed raises on purpose."""

    reason: ClassVar[str] = "internal"
    status: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        place: str | None = None,
        remedy: str | None = None,
        retry_after: float | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy
        self.retry_after = retry_after  # seconds
        self.details = tuple(details)  # a line for each of several causes

    def __str__(self) -> str:
        return "\n  ".join((self.line, *self.details))

    @property
    def line(self) -> str:
        """All but the details."""
        text = f"{self.reason}: {self.message}"
        if self.place:
            text += f" (at {self.place})"
        if self.remedy:
            text += f". {self.remedy}"
        return text


# Who is asking


class Unauthenticated(CimfedError):
    status = "UNAUTHENTICATED"
    exit_code = 4


class UnknownPeer(Unauthenticated):
    """The TLS peer is not in the directory, or its leaf breaks a naming rule."""

    reason = "unknown_peer"


class UnknownKey(Unauthenticated):
    reason = "unknown_key"


class KeyRevoked(Unauthenticated):
    """The key, or its organisation, was revoked."""

    reason = "key_revoked"


class BadSignature(Unauthenticated):
    reason = "bad_signature"


class ExpiredQuery(Unauthenticated):
    reason = "expired_query"


class Replayed(Unauthenticated):
    reason = "replayed"


class BadInvitation(Unauthenticated):
    """An invitation that the directory service does not know or no longer takes, or a code that it does not give."""

    reason = "bad_invitation"


# What they may


class Denied(CimfedError):
    status = "PERMISSION_DENIED"
    exit_code = 4


class NotGranted(Denied):
    """No grant, or none of that name: the same whether or not there is data."""

    reason = "not_granted"


class NotVia(Denied):
    """The query names no such gateway among those that may present it."""

    reason = "not_via"


class Blocked(Denied):
    """The city has blocked the key, its organisation, a gateway on the way, or everybody."""

    reason = "blocked"


class NotAdmitted(Denied):
    """The administrator has denied a newcomer's card, or a party's new one."""

    reason = "not_admitted"


class NotAllowed(Denied):
    """The authorisation table gives this caller no such RPC."""

    reason = "not_allowed"


# What they asked


class Invalid(CimfedError):
    status = "INVALID_ARGUMENT"
    exit_code = 2


class BadQuery(Invalid):
    reason = "bad_query"


class NotAddressed(Invalid):
    """The query names another federation, or not this city."""

    reason = "not_addressed"


class UnknownProperty(Invalid):
    reason = "unknown_property"


class TooDeep(Invalid):
    reason = "too_deep"


class TooLarge(Invalid):
    reason = "too_large"


class ChooseGrant(CimfedError):
    """Several grants match; the message lists their ids."""

    reason = "choose_grant"
    status = "FAILED_PRECONDITION"
    exit_code = 2


class ViewGone(CimfedError):
    reason = "view_gone"
    status = "FAILED_PRECONDITION"
    exit_code = 5


class PolicyChanged(CimfedError):
    """The key, organisation, presenter or grant of a running stream ceased to be valid."""

    reason = "policy_changed"
    status = "FAILED_PRECONDITION"
    exit_code = 5


# What there is room for


class Exhausted(CimfedError):
    status = "RESOURCE_EXHAUSTED"
    exit_code = 7


class Quota(Exhausted):
    reason = "quota"


class Overloaded(Exhausted):
    reason = "overloaded"


class NoRoom(Exhausted):
    """A disk, or what a node may use of it, is full."""

    reason = "no_room"


# What is away


class Unavailable(CimfedError):
    status = "UNAVAILABLE"
    exit_code = 7


class DirectoryExpired(Unavailable):
    reason = "directory_expired"


class NodeUnreachable(Unavailable):
    reason = "node_unreachable"


class ClockBehind(Unavailable):
    """This host's clock stands below the highest time it has recorded."""

    reason = "clock_behind"


class PolicyBehind(Unavailable):
    """This node came back from a backup with an older policy than the city's current one, and gives nothing by it."""

    reason = "policy_behind"


class LogUnavailable(Unavailable):
    """The decision could not be logged, so nothing is answered."""

    reason = "log_unavailable"


class ProofPending(Unavailable):
    """No signed checkpoint of the log has the entry yet: there is one within seconds."""

    reason = "proof_pending"


class KeyUnavailable(Unavailable):
    """The token that holds a signing key is away or fails, so nothing is signed."""

    reason = "key_unavailable"


class TimedOut(CimfedError):
    reason = "timed_out"
    status = "DEADLINE_EXCEEDED"
    exit_code = 7


class Incomplete(CimfedError):
    """A part is done, or known; the details name whom the rest is missing of."""

    reason = "incomplete"
    status = "UNAVAILABLE"
    exit_code = 6


class NotEnough(CimfedError):
    """Fewer cities answered than the caller requires (client side)."""

    reason = "not_enough"
    status = "UNAVAILABLE"
    exit_code = 7


# What does not verify (client side)


class DataLoss(CimfedError):
    status = "DATA_LOSS"
    exit_code = 8


class Forged(DataLoss):
    """A part of an answer that the city or gateway in whose name it comes did not sign."""

    reason = "forged"


class BadAnswer(DataLoss):
    """A signed part of an answer that has not the agreed form: its maker's fault, not the way's."""

    reason = "bad_answer"


class ChainBroken(DataLoss):
    """A batch was changed, dropped, doubled, moved or spliced."""

    reason = "chain_broken"


class Truncated(DataLoss):
    """A stream ended without its signed ending."""

    reason = "truncated"


class LogInconsistent(DataLoss):
    """A log, a checkpoint or a proof does not agree with itself, with what was seen before, or with its form."""

    reason = "log_inconsistent"


class CoverageMismatch(DataLoss):
    """The gateway's coverage, its total or its routing does not agree with what the cities signed."""

    reason = "coverage_mismatch"


# What an operator, steward or administrator gave


class BadInput(CimfedError):
    status = "INVALID_ARGUMENT"
    exit_code = 2


class BadFile(BadInput):
    """A data file that cannot be imported; ``place`` is file, object and property."""

    reason = "bad_file"


class BadMapping(BadInput):
    reason = "bad_mapping"


class BadVocabulary(BadInput):
    """A vocabulary document that is malformed; ``place`` is ``file:line:column``, or each detail has its own."""

    reason = "bad_vocabulary"


class BadPolicy(BadInput):
    """``place`` is ``file:line:column`` where the text is at hand."""

    reason = "bad_policy"


class BadDirectory(BadInput):
    """A directory file that is malformed, unsigned, signed by another key, or older than one seen."""

    reason = "bad_directory"


class BadConfig(BadInput):
    reason = "bad_config"


class NotConfirmed(BadInput):
    """A command that asks before it changes something can ask nobody."""

    reason = "not_confirmed"


class Declined(CimfedError):
    """Whoever was asked said no: nothing was changed."""

    reason = "declined"
    status = "ABORTED"
    exit_code = 1


class BadBackup(BadInput):
    """A backup that is cut short, altered, of another program or release, or holds what no backup holds."""

    reason = "bad_backup"


class NotFound(CimfedError):
    reason = "not_found"
    status = "NOT_FOUND"
    exit_code = 3


class Conflict(CimfedError):
    reason = "conflict"
    status = "ALREADY_EXISTS"
    exit_code = 5


def _walk(cls: type[CimfedError]) -> list[type[CimfedError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _walk(sub))]


BY_REASON: dict[str, type[CimfedError]] = {cls.reason: cls for cls in _walk(CimfedError) if "reason" in vars(cls)}
"""Every documented reason and its class."""


def from_reason(reason: str, message: str, **details: str | float | None) -> CimfedError:
    """The error of that reason; an unknown reason (a newer peer's) becomes a plain ``CimfedError``."""
    cls = BY_REASON.get(reason, CimfedError)
    return cls(message, **details)  # type: ignore[arg-type]
