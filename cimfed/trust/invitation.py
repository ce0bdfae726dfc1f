"""An invitation: what the registrar gives to a newcomer, and what the newcomer proves with it.

The token is one line, ``cimfed1:`` and base64url without padding, over

    version 1 | n federation | n name | n address | SHA-256 of a root.json (32) | secret (16) | check (4)

where ``n`` is one byte, the length of the text after it, and ``check`` the first bytes of SHA-256 of all before it.
The check finds typing errors, so that a wrong letter is told from a token that the service does not know.

1. A text has one meaning and an invitation one text: nothing else is taken, no other padding, length or case.
2. The secret never reaches the service. The service keeps what ``InvitationKey`` holds, derived by HKDF-SHA-256 from
   the secret and bound to federation, name and root: the token's id, and a key that checks codes.
3. A code is HMAC-SHA-256 over H (``cimfed.trust.hashing``) of its purpose, the name and, for a joining party, the very
   bytes of its card; so nobody on the way can swap a key or a name. It is compared in constant time.

A code proves that the card is of whoever holds the token. That this is the party that was invited is for the registrar
to see, by the card's fingerprint.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import Federation, federation, kind_of
from cimfed.trust.directory.documents import address
from cimfed.trust.hashing import digest

PREFIX = "cimfed1:"
VERSION = 1
HASH, SECRET, CHECK = 32, 16, 4
MAX_TEXT = 640
LONGEST = 30 * 86_400_000_000  # that an invitation may be open, in microseconds
_DERIVE = "cimfed/invitation/v1"
_JOIN = "cimfed/join/v1"
_STATUS = "cimfed/join-status/v1"


@dataclass(frozen=True)
class InvitationKey:
    """What the service keeps of a token: 32 bytes each. ``id`` finds it, ``key`` checks codes made with its secret."""

    id: bytes
    key: bytes = field(repr=False)

    def join_code(self, name: str, card: bytes) -> bytes:
        """Of a newcomer that hands in the bytes of its card."""
        return self._code(_JOIN, name, card)

    def status_code(self, name: str) -> bytes:
        """Of a newcomer that asks what has become of its request."""
        return self._code(_STATUS, name)

    def checks_join(self, code: bytes, name: str, card: bytes) -> bool:
        return hmac.compare_digest(code, self.join_code(name, card))

    def checks_status(self, code: bytes, name: str) -> bool:
        return hmac.compare_digest(code, self.status_code(name))

    def _code(self, domain: str, *parts: str | bytes) -> bytes:
        return hmac.digest(self.key, digest(domain, parts), sha256)


@dataclass(frozen=True)
class Invitation:
    """``service`` is where the directory service is dialled; ``root`` the SHA-256 of one of its root.json files."""

    federation: Federation
    name: str
    service: str
    root: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def make(cls, of: Federation, name: str, service: str, root: bytes) -> Invitation:
        """With a fresh secret. BadConfig for what no token can say."""
        made = cls(of, name, service, root, secrets.token_bytes(SECRET))
        return parse_invitation(made.text)

    @property
    def text(self) -> str:
        """The token. It is a secret until it is used or expires."""
        parts = [text.encode("ascii") for text in (self.federation, self.name, self.service)]
        if len(self.service) > 255:
            raise BadConfig("the service's address is too long for an invitation")
        content = bytes([VERSION]) + b"".join(bytes([len(part)]) + part for part in parts) + self.root + self.secret
        return PREFIX + base64.urlsafe_b64encode(content + _check(content)).decode("ascii").rstrip("=")

    @property
    def key(self) -> InvitationKey:
        bound = digest(_DERIVE, (self.federation, self.name, self.root))
        derived = HKDF(algorithm=hashes.SHA256(), length=64, salt=None, info=bound).derive(self.secret)
        return InvitationKey(derived[:32], derived[32:])


def parse_invitation(text: str) -> Invitation:
    """The invitation of a token; blanks around it are passed over. BadConfig for any other text."""
    text = text.strip()
    if not text.startswith(PREFIX) or len(text) > MAX_TEXT:
        raise BadConfig("this is no invitation", remedy=f"An invitation is one line that begins with {PREFIX}")
    content = _decoded(text)
    body, check = content[:-CHECK], content[-CHECK:]
    if len(content) <= CHECK or check != _check(body):
        raise BadConfig("the invitation was not copied whole, or has a typing error", remedy="Copy all of it anew")
    if body[0] != VERSION:
        raise BadConfig(f"the invitation is of version {body[0]}, not {VERSION}", remedy="Upgrade cimfed")
    try:
        invitation = _read(body[1:])
    except (CimfedError, ValueError, IndexError):
        raise BadConfig("the invitation is not of its form", remedy="Ask the administrator for another") from None
    if invitation.text != text:
        raise BadConfig("the invitation is not in its one form", remedy="Copy all of it anew")
    return invitation


def _decoded(text: str) -> bytes:
    digits = text[len(PREFIX) :]
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadConfig("the invitation has a typing error", remedy="Copy all of it anew") from None


def _read(body: bytes) -> Invitation:
    texts = []
    for _ in range(3):
        length, body = body[0], body[1:]
        texts.append(body[:length].decode("ascii"))
        body = body[length:]
    of, name, service = texts
    if len(body) != HASH + SECRET:
        raise ValueError("what follows the texts has another length")
    kind_of(name)
    return Invitation(federation(of), name, address(service), body[:HASH], body[HASH:])


def _check(content: bytes) -> bytes:
    return sha256(content).digest()[:CHECK]
