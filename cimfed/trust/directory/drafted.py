"""What a draft says, for those who are about to sign it: read from the very files that the signature will be over.

A target is taken only with the length and hash that the metadata names, since nothing else of it is signed; and only as
every reader will take it (``cimfed.trust.directory.documents``). Signatures are not looked at: they are yet to come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuf.api.metadata import Targets

from cimfed.errors import BadDirectory
from cimfed.model.names import Federation, PartnerName
from cimfed.trust.directory import documents, layout, proof
from cimfed.trust.directory.acceptance import metadata_of
from cimfed.trust.directory.layout import Files
from cimfed.trust.directory.listing import Directory, Listing, Partner, Revocation, Service
from cimfed.trust.directory.publication import parsed, role_of

Content = Callable[[Targets, str], bytes]


@dataclass(frozen=True)
class Drafted:
    """None: the draft has no word of that role. ``listing`` is without routing entries, which cities sign."""

    federation: Federation
    service: Service | None = None
    listing: Listing | None = None
    revoked: tuple[Revocation, ...] | None = None


def read_draft(draft: Files, before: Directory | None) -> Drafted:
    """``before``: the directory that it follows on. BadDirectory where its files are not what would be signed."""
    roles = {role_of(path): parsed(draft[path]).signed for path in metadata_of(draft)}
    known = before.files if before is not None else {}

    def content(role: Targets, path: str) -> bytes:
        target = role.targets.get(path)
        if target is None:
            raise BadDirectory(f"it lacks {path}")
        file = proof.file_of(target)
        found = draft.get(file) or known.get(file)
        if found is None:
            raise BadDirectory(
                f"it names a {path} that it does not have", remedy="Ask whoever drafted it for all of it"
            )
        target.verify_length_and_hashes(found)
        return found

    try:
        targets, registrar, revoker = map(roles.get, (layout.TARGETS, layout.REGISTRAR, layout.REVOKER))
        of, service = before.federation if before is not None else None, None
        if targets is not None:
            own, service = documents.parse_service(content(targets, layout.SERVICE))
            if of not in (None, own):
                raise BadDirectory(f"it is of {own}, the directory before it of {of}")
            of = own
        if of is None:
            raise BadDirectory("a first draft says of which federation it is")
        listing = revoked = None
        if registrar is not None:
            listing = _listing(of, registrar, content)
        if revoker is not None:
            revoked = documents.parse_revoked(content(revoker, layout.REVOKED), of)
    except proof.BROKEN as error:
        raise BadDirectory(f"what would be signed cannot be read: {proof.said(error)}") from None
    return Drafted(of, service, listing, revoked)


def _listing(of: Federation, registrar: Targets, content: Content) -> Listing:
    stewards = proof.city_stewards(registrar)
    members, gateways = documents.parse_members(content(registrar, layout.MEMBERS), of, stewards)
    partners: dict[PartnerName, Partner] = {}
    for path in layout.PARTNERS:
        partners |= documents.parse_partners(content(registrar, path), of, path)
    vocabulary = None
    if layout.VOCABULARY in registrar.targets:
        vocabulary = documents.parse_vocabulary(content(registrar, layout.VOCABULARY))
    return Listing(members, gateways, partners, vocabulary)
