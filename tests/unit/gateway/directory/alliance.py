"""An alliance with a directory service in a folder: every key in hand, a clock that is set, nothing on the wire."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from copy import copy
from pathlib import Path

from cimfed.errors import CimfedError
from cimfed.model.instants import instant_text
from cimfed.model.names import DirectoryName, PartnerName, kind_of
from cimfed.rpc.authorisation import ADMINISTER, PUBLISH, REQUEST_ACCESS
from cimfed.tlog import log
from cimfed.tlog.schema import EntryId
from cimfed.trust.admin import AccessRequest, AdminRequest, Argument, Occasion, seal_access, seal_admin
from cimfed.trust.card import Card, seal_card
from cimfed.trust.directory import layout, publication
from cimfed.trust.directory.edit import with_card
from cimfed.trust.directory.listing import Listing, Revocation, Service
from cimfed.trust.directory.publication import Holders
from cimfed.trust.envelope import Envelope
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import Invitation
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.entries import Entry, decode
from cimfed.wire import admissions as wire
from cimfed.wire.admissions import Administered
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.service import Service as Serving
from cimfed_gateway.directory.tables import Records
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, Party

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
DAY = 24 * HOUR
SERVICE = DirectoryName("dir.alliance")


class Alliance:
    """``now`` is the time of everybody."""

    def __init__(self, folder: Path, start: int = START) -> None:
        self.start = self.now = start
        self.folder = folder
        self.board = [KeySigner.generate() for _ in range(3)]
        self.registrar, self.revoker, self.online = (KeySigner.generate() for _ in range(3))
        self.registrars = Holders((self.registrar.public,))
        self.service_party = Party.make(SERVICE, start)
        self.service = Service(
            SERVICE, "dir.org:8443", (self.service_party.issuing.issuer,), (self.service_party.signer.public,)
        )
        self.parties = {name: Party.make(name, start) for name in (CITY, GATEWAY, PARTNER)}
        self.listing, self.versions, self.revoked = Listing(), dict.fromkeys(layout.ROLES, 1), tuple[Revocation, ...]()
        for party in self.parties.values():
            self.listing = self.listed(party.card())
        self.records = Records.create(folder / "records.sqlite")
        self.repository = self.opened()
        self.serving = Serving(self.records, self.repository, lambda: self.now)

    def copied(self, folder: Path) -> Alliance:
        """One like it with a folder of its own: making all these files takes a while."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        other = copy(self)
        other.folder, other.versions = folder, dict(self.versions)
        other.records = Records.open(folder / "records.sqlite")
        other.repository = other.opened()
        other.serving = Serving(other.records, other.repository, lambda: other.now)
        return other

    def opened(self) -> Repository:
        """As after a start of the process."""
        return Repository(self.folder / "repository", SCO, SERVICE, self.online, self.records, lambda: self.now)

    def listed(self, card: Card) -> Listing:
        return with_card(self.listing, card, "CN", ("researcher",), (self.start, self.start + 365 * DAY))

    # Publications

    def first(self) -> dict[str, bytes]:
        return {
            **self.root(),
            **self.targets(),
            **self.registrar_files(),
            **self.revoker_files(),
        }

    def root(self) -> dict[str, bytes]:
        board = Holders(tuple(key.public for key in self.board), 2)
        draft = publication.root_draft(self.versions[layout.ROOT], board, self.online.public, self.now)
        return self.signed(draft, layout.ROOT, *self.board[:2])

    def targets(self, service: Service | None = None) -> dict[str, bytes]:
        draft = publication.targets_draft(
            self.versions[layout.TARGETS],
            SCO,
            service or self.service,
            self.registrars,
            Holders((self.revoker.public,)),
            self.now,
        )
        return self.signed(draft, layout.TARGETS, *self.board[:2])

    def registrar_files(self) -> dict[str, bytes]:
        draft = publication.registrar_draft(self.versions[layout.REGISTRAR], SCO, self.listing, self.now)
        return self.signed(draft, layout.REGISTRAR, self.registrar)

    def revoker_files(self) -> dict[str, bytes]:
        draft = publication.revoker_draft(self.versions[layout.REVOKER], SCO, self.revoked, self.now)
        return self.signed(draft, layout.REVOKER, self.revoker)

    def signed(self, draft: Mapping[str, bytes], role: str, *signers: KeySigner) -> dict[str, bytes]:
        files = dict(draft)
        for signer in signers:
            files = publication.sign(files, signer, {role: [signer.public]})
        return files

    def begin(self) -> Alliance:
        self.repository.begin(self.first())
        return self

    def publish(self, listing: Listing) -> int:
        """The registrar's next version, through the RPC."""
        self.listing = listing
        self.versions[layout.REGISTRAR] += 1
        return self.send(self.registrar_files())

    def send(self, files: Mapping[str, bytes]) -> int:
        return wire.decode_published(self.serving.calls()[PUBLISH](wire.encode_publish(files)))

    def revoke(self, subject: str) -> int:
        self.revoked = (*self.revoked, Revocation(subject, "lost", self.now))
        self.versions[layout.REVOKER] += 1
        return self.send(self.revoker_files())

    # Administration

    def order(self, action: str, **arguments: Argument) -> AdminRequest:
        return AdminRequest(Occasion.now(SCO, SERVICE, self.now), action, arguments)

    def administer(self, action: str, by: KeySigner | None = None, **arguments: Argument) -> Administered:
        return self.deliver(seal_admin(self.order(action, **arguments), by or self.registrar))

    def deliver(self, envelope: Envelope) -> Administered:
        return wire.decode_administered(self.serving.calls()[ADMINISTER](wire.encode_administer(envelope)))

    def invite(self, name: str, days: int = 3, new_keys: bool = False) -> Invitation:
        root = sha256((self.folder / "repository" / "root.json").read_bytes())
        invitation = Invitation.make(SCO, name, self.service.address, root)
        self.administer(
            "invite",
            id=invitation.key.id.hex(),
            key=invitation.key.key.hex(),
            name=name,
            expires=instant_text(self.now + days * DAY),
            new_keys=new_keys,
        )
        return invitation

    def wish(self, name: str = PARTNER, cities: tuple[str, ...] = (CITY,), text: str = "please") -> Envelope:
        request = AccessRequest(
            Occasion.now(SCO, SERVICE, self.now), PartnerName(name), cities, "building", "energy-planning", text
        )
        return seal_access(request, self.parties[name].signer)

    def ask_access(self, envelope: Envelope) -> None:
        self.serving.calls()[REQUEST_ACCESS](wire.encode_request_access(envelope))

    # The log

    def entries(self) -> list[Entry]:
        with self.records.reading() as connection:
            size = log.head(connection).size
            found = [decode(content) for _, content in log.contents(connection, EntryId(1, 0), size)]
        assert all(isinstance(entry, Entry) for entry in found)
        return found  # type: ignore[return-value]


def card_of(party: Party, address: str = "127.0.0.1:1") -> bytes:
    signers = [party.signer]
    return seal_card(party.card("" if kind_of(party.name) == "partner" else address), *signers)


def refusal(call: object, *arguments: object, **words: object) -> str:
    """The reason that a call is refused for."""
    try:
        call(*arguments, **words)  # type: ignore[operator]
    except CimfedError as error:
        return error.reason
    return "done"
