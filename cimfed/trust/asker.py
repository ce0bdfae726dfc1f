"""Who signed a query: the one check that gateway and node share."""

from __future__ import annotations

from cimfed.errors import BadSignature
from cimfed.trust.directory.listing import AccessKey, Directory
from cimfed.trust.envelope import Envelope, PayloadType, verify


def verify_query(envelope: Envelope, directory: Directory, now: int) -> AccessKey:
    """The access key, valid now, that signed. UnknownKey for an id that is not listed, BadSignature otherwise.

    The id is looked up rather than all keys tried: an unknown id must not cost a check for every listed key.
    """
    if len(envelope.signatures) != 1:
        raise BadSignature("a query has exactly one signature")
    access = directory.access_key(envelope.signatures[0].key_id, now)
    verify(envelope, PayloadType.QUERY, [access.key])
    return access
