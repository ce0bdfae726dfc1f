"""Everybody who signs the directory, in one object, for tests: board, registrar, revoker, and the directory service.

    board = Board("sco", now)
    directory = board.publish(Listing(...))        # a verified Directory, the registrar's next version
    directory = board.route(city, entry, steward)  # a steward's routing entry
    directory = board.revoke("inst.false", "lost")
    board.files, board.root                        # what a mirror would serve, and what to pin

Everything goes the way of the real thing (``acceptance``); only the network and the disk are left out.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from cimfed.errors import NodeUnreachable
from cimfed.model.names import CityName, DirectoryName, Federation
from cimfed.trust.directory import acceptance, layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.listing import Directory, Listing, Revocation, Service
from cimfed.trust.directory.publication import Holders
from cimfed.trust.envelope import Envelope
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tls import IssuingKey

SERVICE = DirectoryName("dir.alliance")


@dataclass
class Files:
    """A mirror that serves what is in memory now. ``away``: it cannot be asked. ``asked``: for which files it was."""

    files: Mapping[str, bytes]
    name: str = "memory"
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> bytes | None:
        if self.away:
            raise NodeUnreachable(f"{self.name} cannot be reached")
        self.asked.append(path)
        return self.files.get(path)


class Board:
    """``now``: when it was founded, in microseconds; later times are given with each act, or are the last one given."""

    def __init__(
        self,
        of: str,
        now: int,
        listing: Listing | None = None,
        *,
        members: int = 3,
        threshold: int = 2,
        life: timedelta = layout.REGISTRAR_LIFE,
        address: str = "localhost:1",
    ) -> None:
        self.of, self.now = Federation(of), now
        self._turn = threading.Lock()
        self.keys = [KeySigner.generate() for _ in range(members)]
        self.online, self.registrar, self.revoker = (KeySigner.generate() for _ in range(3))
        self.log = KeySigner.generate()
        self.issuing = IssuingKey.make(self.of, SERVICE, now)
        self.service = Service(SERVICE, address, (self.issuing.issuer,), (self.log.public,))
        self.board = Holders(tuple(key.public for key in self.keys), threshold)
        first = self.sign(
            {
                **drafts.root_draft(1, self.board, self.online.public, now),
                **drafts.targets_draft(
                    1, self.of, self.service, self._one(self.registrar), self._one(self.revoker), now
                ),
                **drafts.registrar_draft(1, self.of, listing or Listing(), now, life),
                **drafts.revoker_draft(1, self.of, (), now),
            },
            *self.keys[:threshold],
            self.registrar,
            self.revoker,
        )
        self.files: dict[str, bytes] = acceptance.found(first, self.online, now)
        self.root = first[layout.metadata_file(layout.ROOT, 1)]
        self.directory = self._read(now)

    def publish(self, listing: Listing, now: int | None = None, life: timedelta = layout.REGISTRAR_LIFE) -> Directory:
        """The registrar's next version."""
        now = self._at(now)
        version = self.directory.versions[layout.REGISTRAR] + 1
        draft = drafts.registrar_draft(version, self.of, listing, now, life)
        return self.accept(self.sign(draft, self.registrar), now)

    def route(self, city: str, entry: Envelope, steward: Signer, now: int | None = None) -> Directory:
        """A city's next version, for a year."""
        now = self._at(now)
        ends = now + layout.BOARD_LIFE // timedelta(microseconds=1)
        draft = drafts.city_draft(CityName(city), self.directory.versions.get(city, 0) + 1, entry, ends)
        return self.accept(drafts.sign(draft, steward, {city: [steward.public]}), now)

    def revoke(self, subject: str, reason: str, now: int | None = None) -> Directory:
        """The revoker's next version, with one more."""
        now = self._at(now)
        revoked = (*self.directory.revoked, Revocation(subject, reason, now))
        draft = drafts.revoker_draft(self.directory.versions[layout.REVOKER] + 1, self.of, revoked, now)
        return self.accept(self.sign(draft, self.revoker), now)

    def restamp(self, now: int | None = None) -> Directory:
        now = self._at(now)
        self.files |= drafts.restamp(self.files, self.online, now)
        self.directory = self._read(now)
        return self.directory

    def keep_up(self, now: int) -> Directory:
        """What the service and the revoker do by themselves: what has ended of theirs is said anew."""
        with self._turn:
            if now >= self.directory.ends[layout.REVOKER]:
                draft = drafts.revoker_draft(
                    self.directory.versions[layout.REVOKER] + 1, self.of, self.directory.revoked, now
                )
                self.accept(self.sign(draft, self.revoker), now)
            elif now >= min(self.directory.ends[role] for role in (layout.TIMESTAMP, layout.SNAPSHOT)):
                self.restamp(now)
            return self.directory

    def accept(self, publication: Mapping[str, bytes], now: int | None = None) -> Directory:
        """As the directory service does."""
        now = self._at(now)
        self.files |= acceptance.accept(self.directory, self.root, publication, self.online, now)
        self.directory = self._read(now)
        return self.directory

    def sign(self, draft: Mapping[str, bytes], *signers: Signer) -> dict[str, bytes]:
        holders = {
            layout.ROOT: self.board.keys,
            layout.TARGETS: self.board.keys,
            layout.REGISTRAR: [self.registrar.public],
            layout.REVOKER: [self.revoker.public],
        }
        signed = dict(draft)
        for signer in signers:
            signed = drafts.sign(signed, signer, holders)
        return signed

    def _read(self, now: int) -> Directory:
        return proof.read(self.files, self.root, now, self.of)

    def _at(self, now: int | None) -> int:
        self.now = self.now if now is None else now
        return self.now

    @staticmethod
    def _one(signer: Signer) -> Holders:
        return Holders((signer.public,))
