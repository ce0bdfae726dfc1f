"""The keys of a party that serves, and when it takes the next ones into use.

A next key is taken once the directory lists it, but not at once: others may have a directory that is some minutes
older, and would refuse it. A directory that is in force is never older than a timestamp lives, so a key that has been
seen to be listed for that long is known to everybody whose directory counts. It is taken earlier where the key in use
is listed no more.

Signing key and TLS issuing key change each by itself. What is asked for keys is asked for each answer, each handshake
and each channel, so nothing is cut and nothing is started again. Next keys that come while the process runs are looked
for when the directory lists a key that is not known here; where the process may not read them (a node that has become
its service's user), they are taken at the next start, and the log says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from cimfed.errors import CimfedError
from cimfed.model.names import Federation, Kind
from cimfed.trust.directory.layout import TIMESTAMP_LIFE
from cimfed.trust.directory.listing import Directory, DirectorySource, Party, signing_keys
from cimfed.trust.identity_files import load_signer
from cimfed.trust.keys import PublicKey, Signer
from cimfed.trust.next_keys import (
    load_issuing_key_in_use,
    load_next_issuing_key,
    load_next_signer,
    next_issuer,
    next_signing,
)
from cimfed.trust.tls import Issuer, IssuingKey, Leaf, LeafSource, Use

log = logging.getLogger(__name__)

SEEN = TIMESTAMP_LIFE // timedelta(microseconds=1)
"""For how long a next key must have been seen to be listed."""


class OwnKeys:
    """``now`` in microseconds."""

    def __init__(self, home: Path, kind: Kind, federation: Federation, name: str, now: Callable[[], int]) -> None:
        """BadConfig where a key file is missing, or others may read it."""
        self._home, self._kind, self._federation, self._name = home, kind, federation, name
        self._now = now
        self._signers: list[Signer] = [load_signer(home, kind)]
        self._issuing: list[IssuingKey] = [load_issuing_key_in_use(home)]
        self._since: dict[object, int] = {}
        self._signs, self._issues = 0, 0
        self._told = False
        self._directories: DirectorySource | None = None
        self._looked: Directory | None = None
        self._turn = threading.Lock()
        self._load_next()
        self.signer: Signer = _OwnSigner(self)

    def leaves(self, use: Use) -> LeafSource:
        return _OwnLeaves(self, self._federation, self._name, use)

    def follow(self, directories: DirectorySource) -> None:
        """From now on the directory says which keys are in use."""
        self._directories = directories

    def signing(self) -> Signer:
        """The one to sign with now."""
        self._look()
        return self._signers[self._signs]

    def issuing(self) -> IssuingKey:
        """The one to issue leaves with now."""
        self._look()
        return self._issuing[self._issues]

    def close(self) -> None:
        for signer in self._signers:
            signer.close()

    def _look(self) -> None:
        """Cheap where nothing has changed: it is asked all the time, by several threads."""
        if self._directories is None:
            return
        now = self._now()
        try:
            directory = self._directories.latest(now)
        except CimfedError:
            return
        if directory is self._looked and not self._since:
            return
        with self._turn:
            self._take(directory, now)

    def _take(self, directory: Directory, now: int) -> None:
        try:
            party = directory.party(self._name)
        except CimfedError:
            return  # as it is, until it is listed
        if directory is not self._looked:
            self._looked = directory
            if self._names_unknown(party):
                self._load_next()
            if self._names_unknown(party):
                self._load_moved()
        keys, issuers = [signer.public for signer in self._signers], [issuing.issuer for issuing in self._issuing]
        waits = set[object]()
        signs = self._chosen(keys, signing_keys(party), self._signs, now, waits)
        issues = self._chosen(issuers, party.issuers, self._issues, now, waits)
        self._since = {key: since for key, since in self._since.items() if key in waits}
        if signs != self._signs:
            log.info("answers are signed with key %s from now on", keys[signs].id.hex()[:16])
        if issues != self._issues:
            log.info("TLS leaves are issued with key %s from now on", issuers[issues].id.hex()[:16])
        self._signs, self._issues = signs, issues

    def _chosen(
        self,
        own: list[PublicKey] | list[Issuer],
        listed: tuple[PublicKey, ...] | tuple[Issuer, ...],
        before: int,
        now: int,
        waits: set[object],
    ) -> int:
        """Which of the own ones, oldest first, is to be used."""
        known = [number for number, key in enumerate(own) if key in listed]
        if not known:
            return before
        newest = known[-1]
        if newest == before or before not in known:
            return newest
        waits.add(own[newest])
        since = self._since.setdefault(own[newest], now)
        return newest if now - since >= SEEN else before

    def _names_unknown(self, party: Party) -> bool:
        keys = {signer.public for signer in self._signers}
        issuers = {issuing.issuer for issuing in self._issuing}
        return not (keys >= set(signing_keys(party)) and issuers >= set(party.issuers))

    def _load_next(self) -> None:
        try:
            key = next_signing(self._home, self._kind)
            if key is not None and key not in [signer.public for signer in self._signers]:
                self._signers.append(load_next_signer(self._home, self._kind))
            issuer = next_issuer(self._home)
            if issuer is not None and issuer not in [issuing.issuer for issuing in self._issuing]:
                self._issuing.append(load_next_issuing_key(self._home))
        except (CimfedError, OSError):
            if not self._told:
                log.warning("a next key cannot be read by this process: start it again to take that key into use")
            self._told = True

    def _load_moved(self) -> None:
        """Next keys that were put in the old ones' place before they were looked for."""
        with suppress(CimfedError, OSError):
            signer = load_signer(self._home, self._kind)
            if signer.public in [known.public for known in self._signers]:
                signer.close()
            else:
                self._signers.append(signer)
            issuing = load_issuing_key_in_use(self._home)
            if issuing.issuer not in [known.issuer for known in self._issuing]:
                self._issuing.append(issuing)


class _OwnSigner:
    """The signer in use, asked for anew each time. Whoever needs several signatures of one key asks ``settled``."""

    def __init__(self, own: OwnKeys) -> None:
        self._own = own

    def settled(self) -> Signer:
        return self._own.signing()

    @property
    def public(self) -> PublicKey:
        return self._own.signing().public

    def sign(self, message: bytes) -> bytes:
        return self._own.signing().sign(message)

    def close(self) -> None:
        self._own.close()


class _OwnLeaves(LeafSource):
    """Leaves of the issuing key in use; of each key they come from a source of its own."""

    def __init__(self, own: OwnKeys, federation: Federation, name: str, use: Use) -> None:
        self._own, self._of = own, (federation, name, use)
        self._sources: dict[Issuer, LeafSource] = {}
        self._source()

    @property
    def issuer(self) -> Issuer:  # type: ignore[override]
        return self._own.issuing().issuer

    def current(self, now: int) -> Leaf:
        return self._source().current(now)

    def _source(self) -> LeafSource:
        issuing = self._own.issuing()
        found = self._sources.get(issuing.issuer)
        if found is None:
            found = self._sources.setdefault(issuing.issuer, LeafSource(issuing, *self._of))
        return found
