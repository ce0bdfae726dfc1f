"""The ways into a service's home: its records, the repository that its online key signs, and being alone there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from cimfed.errors import CimfedError, Conflict
from cimfed.model.names import federation
from cimfed.rpc import clock
from cimfed.trust.identity_files import load_signing_key
from cimfed.trust.keys import Signer, works
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.tables import Records


@contextmanager
def opened_repository(home: Home, records: Records) -> Iterator[Repository]:
    with closing(load_signing_key(home.online_key)) as online:
        check_signs(online)
        of = federation(home.settings.federation)
        yield Repository(home.repository, of, home.name, online, records, clock.now)


def check_signs(signer: Signer) -> None:
    if not works(signer):
        raise CimfedError("a key of the directory service does not sign")


@contextmanager
def opened_records(home: Home) -> Iterator[Records]:
    records = Records.open(home.records)
    try:
        yield records
    finally:
        records.close()


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """One process writes the directory; Conflict where another does."""
    handle = os.open(home.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("the directory service is running already", place=str(home.path)) from None
        yield
    finally:
        os.close(handle)
