"""Looks into a home, and gives facts. Nothing in it is changed; what cannot be looked at is a fact as well."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cimfed.doctor.homes import DatabaseFact, DiskFact, KeyFact, TlsFact
from cimfed.errors import BadConfig, CimfedError
from cimfed.model.instants import instant_of
from cimfed.model.names import Federation, Kind
from cimfed.passphrase import secret_of
from cimfed.trust.card import Card, parse_card
from cimfed.trust.identity_files import asks_for, load_signing_key, read, token_in
from cimfed.trust.keys import PublicKey, works
from cimfed.trust.next_keys import load_issuing_key_in_use, load_next_issuing_key, next_key_path, next_signing
from cimfed.trust.tls import Issuer, IssuingKey, LeafSource, Use, check_leaf

CHECKED = 3.0  # seconds in which a database is read
_STEPS = 10_000  # of SQLite's machine between two looks at the time


def key_fact(path: Path, secret_file: Path | None, of_person: bool) -> KeyFact:
    """A key of a person that asks for a secret is not opened unless a file of it is named; a server's always is,
    since nobody will be there to ask."""
    place = str(path)
    try:
        token = token_in(path) is not None
        asks = asks_for(path) is not None
        if asks and of_person and secret_file is None:
            return KeyFact(place, _beside(path), encrypted=True, token=token)
        secret = secret_of(path, secret_file) if asks and secret_file is not None else None
        signer = load_signing_key(path, secret)
        try:
            return KeyFact(place, signer.public, asks, token, works(signer))
        finally:
            signer.close()
    except CimfedError as error:
        return KeyFact(place, error=error)


def _beside(path: Path) -> PublicKey | None:
    """The public half that lies beside a key; its card has it otherwise."""
    with suppress(CimfedError, OSError, UnicodeDecodeError):
        return PublicKey.parse(path.with_suffix(".pub").read_text("ascii"))
    return None


def next_key_fact(home: Path, kind: Kind, secret_file: Path | None, of_person: bool) -> KeyFact | None:
    """Of the next signing key; None where there is none."""
    public = next_signing(home, kind)
    if public is None:
        return None
    fact = key_fact(next_key_path(home, kind), secret_file, of_person)
    return fact if fact.public or fact.error else replace(fact, public=public)


def card_in(home: Path) -> Card:
    return parse_card(read(home / "card.json"))


def mode_of(path: Path) -> int:
    return os.stat(path).st_mode


def tls_facts(home: Path, of: Federation, name: str, now: int) -> list[tuple[TlsFact, IssuingKey | None]]:
    """Of the issuing key in use, and of the next one where there is one."""
    found = [_tls_fact(home / "keys" / "tls.key", lambda: load_issuing_key_in_use(home), of, name, now)]
    if (home / "keys" / "tls.next.pem").exists():
        found.append(_tls_fact(home / "keys" / "tls.next.key", lambda: load_next_issuing_key(home), of, name, now))
    return found


def _tls_fact(
    path: Path, load: Callable[[], IssuingKey], of: Federation, name: str, now: int
) -> tuple[TlsFact, IssuingKey | None]:
    """Issues a leaf for each use and judges it as others will."""
    place = str(path)
    try:
        issuing = load()
        certificate = issuing.issuer.certificate
        valid = instant_of(certificate.not_valid_before_utc), instant_of(certificate.not_valid_after_utc)
        if valid[0] <= now < valid[1]:

            def issuers_of(_kind: Kind, _name: str) -> Sequence[Issuer]:
                return (issuing.issuer,)

            for use in Use:
                leaf = LeafSource(issuing, of, name, use).current(now)
                check_leaf(leaf.chain_pem, of, issuers_of, now, use)
        return TlsFact(place, valid), issuing
    except CimfedError as error:
        return TlsFact(place, error=error), None


def disk_fact(path: Path, keep_free: int | None = None, used: int = 0, budget: int | None = None) -> DiskFact:
    free = shutil.disk_usage(path).free
    return DiskFact(
        str(path), free, used=used, budget=budget, **({} if keep_free is None else {"keep_free": keep_free})
    )


def database_fact(path: Path, schema: int | None = None, seconds: float = CHECKED) -> DatabaseFact:
    """Reads it as far as there is time. ``schema``: this release's."""
    if not path.exists():
        return DatabaseFact(str(path), error=BadConfig("there is no such file"))
    size = path.stat().st_size
    until = time.monotonic() + seconds
    sound: bool | None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=seconds)) as database:
            database.execute("PRAGMA trusted_schema=OFF")
            database.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            sound = database.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            sound = None
        else:
            return DatabaseFact(str(path), size, error=BadConfig(f"it cannot be read: {error.sqlite_errorname}"))
    except sqlite3.DatabaseError:
        sound = False
    return DatabaseFact(str(path), size, sound, schema)


def version_facts(*programs: str) -> dict[str, str]:
    """Of programs and libraries that are installed."""
    found = {}
    for name in (*programs, "grpcio", "protobuf", "tuf", "cryptography"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {**found, "Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
