"""The policy in force, as the serving process holds it.

The control tables say which version is active; its signed file is read, verified by the pinned steward keys and kept
until the tables name another. So an activation in another process counts from the next query on. A file that does not
verify is no policy, and nothing is granted: loudly.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from cimfed.errors import BadPolicy, BadSignature, CimfedError
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName
from cimfed.policy.grant import Policy
from cimfed.policy.payload import from_payload, policy_hash
from cimfed.trust.envelope import Envelope, PayloadType, from_json, verify
from cimfed.trust.keys import PublicKey
from cimfed_node.config import Home
from cimfed_node.tables.publication import ActivePolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignedPolicy:
    """A policy that a pinned steward key signed. ``content`` is its file, byte for byte."""

    policy: Policy
    hash: bytes
    content: bytes
    envelope: Envelope


def read_policy(content: bytes, city: CityName, stewards: tuple[PublicKey, ...], source: str) -> SignedPolicy:
    """BadSignature for one that no pinned key signed; BadPolicy for one that is malformed or of another city."""
    try:
        envelope = from_json(content, 2 * LIMITS.policy)
    except BadSignature as error:
        raise BadSignature(error.message, place=source, remedy="Sign it first: cimfed policy sign") from None
    if envelope.payload_type != PayloadType.POLICY:
        raise BadSignature("this is signed, but no policy", place=source, remedy="Give the *.policy.json")
    try:
        verify(envelope, PayloadType.POLICY, stewards)
    except BadSignature as error:
        raise BadSignature(
            error.message,
            place=source,
            remedy="Compare steward_keys in node.toml with steward.pub of the steward who signed it",
        ) from None
    policy = from_payload(envelope.payload, source)
    if policy.city != city:
        raise BadPolicy(f"this is the policy of {policy.city}, not of {city}", place=source)
    return SignedPolicy(policy, policy_hash(envelope.payload), content, envelope)


class Policies:
    """Safe for several threads."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._held: SignedPolicy | None = None

    def in_force(self, active: ActivePolicy | None) -> SignedPolicy | None:
        """The policy that the tables name; None where they name none, or it cannot be read: nothing is granted."""
        if active is None:
            return None
        held = self._held
        if held is not None and (held.policy.version, held.hash) == (active.version, active.hash):
            return held
        with self._lock:
            try:
                self._held = self._read(active, self._home.policy_file(active.version))
            except (CimfedError, OSError) as error:
                log.error(
                    "the active policy, version %d, cannot be read; nothing is granted: %s", active.version, error
                )
                return None
            return self._held

    def _read(self, active: ActivePolicy, path: Path) -> SignedPolicy:
        signed = read_policy(path.read_bytes(), self._home.city, self._home.steward_keys, str(path))
        if (signed.policy.version, signed.hash) != (active.version, active.hash):
            raise BadPolicy("the file is not the policy that was activated", place=str(path))
        return signed
