"""What travels between newcomers, administrators and the directory service: values, checked by nobody yet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RequestState(StrEnum):
    """What became of a newcomer's request."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    LISTED = "listed"


@dataclass(frozen=True)
class Join:
    """A newcomer hands in its card. ``invitation`` is the token's id, ``card`` the file, ``code`` proves both."""

    invitation: bytes
    card: bytes
    code: bytes


@dataclass(frozen=True)
class AskStatus:
    invitation: bytes
    name: str
    code: bytes


@dataclass(frozen=True)
class Status:
    """``message`` is the registrar's, where it denied."""

    state: RequestState
    message: str = ""


@dataclass(frozen=True)
class JoinEntry:
    """A request as the registrar sees it; times in microseconds. ``new_keys``: the name is to change its keys.
    ``replaced``: how many cards of the party waited before it and made room for a newer one."""

    id: bytes
    card: bytes
    state: RequestState
    received: int
    new_keys: bool
    replaced: int = 0


@dataclass(frozen=True)
class InvitationEntry:
    """An invitation that nobody has used yet."""

    id: bytes
    name: str
    expires: int
    new_keys: bool
