"""A home: keys, certificates, disk, database, log, versions, backups. Facts to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cimfed.doctor.finding import Checking, Code, Finding
from cimfed.doctor.listed import notice
from cimfed.errors import BadConfig, CimfedError
from cimfed.trust.keys import PublicKey

KEYS, TLS, DISK, DATABASE = Checking("keys"), Checking("tls"), Checking("disk"), Checking("database")
LOG, VERSIONS, BACKUPS = Checking("log"), Checking("versions"), Checking("backups")
DAY = 86_400_000_000  # microseconds
BACKUP_AGE = 7 * DAY
UNSIGNED = 60_000_000  # microseconds that an entry may wait for a checkpoint; a server signs every second
UNWITNESSED = 600_000_000  # and a checkpoint for its witnesses
WITNESSES = 2
LOW, FULL = 1 << 30, 64 << 20  # bytes


@dataclass(frozen=True)
class KeyFact:
    """A signing key. ``public`` None: it cannot be had; ``error`` says why. ``encrypted``: it asks for a secret.
    ``signs`` None: not tried, since nobody gave that secret."""

    place: str
    public: PublicKey | None = None
    encrypted: bool = False
    token: bool = False
    signs: bool | None = None
    error: CimfedError | None = None


def key(fact: KeyFact, of_person: bool, carded: Sequence[PublicKey] | None = None) -> Iterator[Finding]:
    """``of_person``: it is to be encrypted. ``carded``: the keys of card.json, None where there is no card."""
    about = fact.place
    if fact.error is not None:
        remedy = fact.error.remedy or "Put it back from where it is kept safe, or make another and have it listed"
        yield KEYS.error(Code.KEY_UNUSABLE, f"{fact.place}: {fact.error.message}", remedy, about=about)
        return
    if fact.signs is None:
        yield KEYS.ok(f"{fact.place} can be read; it asks for a secret, so signing was not tried", about=about)
        return
    if not fact.signs:
        yield KEYS.error(
            Code.KEY_DOES_NOT_SIGN,
            f"{fact.place}: what it signs does not verify",
            "Is the token well? Else put the key back from where it is kept safe",
            about=about,
        )
        return
    if of_person and not fact.encrypted and not fact.token:
        yield KEYS.warning(
            Code.KEY_UNENCRYPTED,
            f"{fact.place} is not encrypted: whoever reads the file is its owner",
            "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW; or a token (docs/keys.md)",
            about=about,
        )
    elif carded is not None and fact.public not in carded:
        yield KEYS.warning(
            Code.CARD_OTHER,
            f"card.json is of other keys than {fact.place}",
            "Have the administrator list the card of the key that is to sign",
            about=about,
        )
    else:
        yield KEYS.ok(f"{fact.place} signs{' (on a token)' if fact.token else ''}", about=about)


def keys_folder(mode: int, place: str) -> Iterator[Finding]:
    """``mode``: of the folder with private keys."""
    if mode & 0o077:
        yield KEYS.warning(
            Code.KEYS_OPEN, f"others may look into {place} (mode {mode & 0o777:o})", f"chmod 700 {place}", about=place
        )


@dataclass(frozen=True)
class TlsFact:
    """The TLS issuing key. ``valid``: its certificate's time. ``error``: why it cannot be used, or issues no leaf."""

    place: str
    valid: tuple[int, int] | None = None
    error: CimfedError | None = None


def tls(fact: TlsFact, now: int) -> Iterator[Finding]:
    renew = "Make a new issuing key and have the administrator list its card beside the old one (docs/keys.md)"
    if fact.error is not None or fact.valid is None:
        what = fact.error.message if fact.error else "it cannot be read"
        remedy = (fact.error.remedy if fact.error else None) or renew
        place = fact.error.place if isinstance(fact.error, BadConfig) and fact.error.place else fact.place
        yield TLS.error(Code.TLS_UNUSABLE, f"{place}: {what}", remedy, about=place)
    elif not fact.valid[0] <= now < fact.valid[1]:
        yield TLS.error(
            Code.TLS_ENDED,
            f"the certificate of {fact.place} is not valid now",
            renew if now >= fact.valid[1] else "It was made later than this clock says it is: set the clock",
            about=fact.place,
            since=fact.valid[0],
            until=fact.valid[1],
        )
    elif now >= notice(fact.valid):
        yield TLS.warning(
            Code.TLS_ENDING,
            f"the certificate of {fact.place} ends soon",
            renew,
            about=fact.place,
            until=fact.valid[1],
        )
    else:
        yield TLS.ok("leaves are issued and keep the rules", about=fact.place, until=fact.valid[1])


@dataclass(frozen=True)
class DiskFact:
    """Bytes. ``keep_free``: what the settings say stays free; ``used`` of ``budget``, where there is one."""

    place: str
    free: int
    keep_free: int = FULL
    used: int = 0
    budget: int | None = None


def disk(fact: DiskFact) -> Iterator[Finding]:
    room = "Remove what is not needed (cimfed-node snapshots prune), or give it a larger disk"
    free = f"{fact.place} has {_size(fact.free)} free"
    if fact.free <= fact.keep_free:
        yield DISK.error(
            Code.DISK_FULL,
            f"{free}, and {_size(fact.keep_free)} are to stay: when the log cannot be written, nothing is answered",
            room,
            about=fact.place,
        )
    elif fact.free < max(LOW, 2 * fact.keep_free):
        yield DISK.warning(Code.DISK_LOW, free, room, about=fact.place)
    elif fact.budget is not None and fact.used > fact.budget * 9 // 10:
        yield DISK.warning(
            Code.DISK_LOW,
            f"{_size(fact.used)} of the budget of {_size(fact.budget)} are used",
            f"{room}; or raise disk.budget",
            about=fact.place,
        )
    else:
        yield DISK.ok(free, about=fact.place)


@dataclass(frozen=True)
class DatabaseFact:
    """``sound`` None: there was no time to read it all. ``error``: this release does not take it."""

    place: str
    size: int = 0
    sound: bool | None = True
    schema: int | None = None
    error: CimfedError | None = None


def database(fact: DatabaseFact) -> Iterator[Finding]:
    schema = "" if fact.schema is None else f", schema {fact.schema}"
    if fact.sound is False:
        yield DATABASE.error(
            Code.DATABASE_DAMAGED,
            f"{fact.place} is damaged",
            "Stop the service, look at the disk, restore the last backup (docs/backup.md)",
            about=fact.place,
        )
    elif fact.error is not None:
        yield DATABASE.error(
            Code.DATABASE_UNUSABLE,
            f"{fact.place}: {fact.error.message}",
            fact.error.remedy
            or "See who may read and write it, and whether the disk is full; if it is gone, restore the last backup",
            about=fact.place,
        )
    elif fact.sound is None:
        yield DATABASE.warning(
            Code.DATABASE_NOT_CHECKED,
            f"{fact.place} ({_size(fact.size)}{schema}) is too large to be read whole in a few seconds",
            f"At leisure: sqlite3 -readonly {fact.place} 'PRAGMA quick_check'",
            about=fact.place,
        )
    else:
        yield DATABASE.ok(f"{fact.place} is sound ({_size(fact.size)}{schema})", about=fact.place)


@dataclass(frozen=True)
class LogFact:
    """``size`` entries, ``signed`` of them in the last checkpoint, made at ``made`` (None: there is none), which
    ``cosigned`` others cosigned. ``grown``: since when entries wait for a checkpoint, where that is known.
    ``forks``: logs of others of which two histories were signed. ``error``: it does not agree with itself."""

    size: int = 0
    signed: int = 0
    made: int | None = None
    cosigned: int = 0
    forks: tuple[str, ...] = ()
    error: CimfedError | None = None


def log(fact: LogFact, now: int, cities: int, serving: bool) -> Iterator[Finding]:
    """``cities``: how many others could cosign. ``serving``: whether a process that signs runs, as far as is known."""
    for origin in fact.forks:
        yield LOG.error(
            Code.LOG_FORKED,
            f"{origin} has signed two histories; both checkpoints are kept here as evidence",
            "Tell the administrator and other cities: whoever runs that log, or has its key, shows two faces",
            about=origin,
        )
    if fact.error is not None:
        yield LOG.error(
            Code.LOG_UNREADABLE,
            fact.error.message,
            fact.error.remedy
            or "log verify says where; restore the last backup, which begins a new generation of the log",
        )
        return
    age = None if fact.made is None else now - fact.made
    if fact.size > fact.signed and serving and (age is None or age > UNSIGNED):
        yield LOG.warning(
            Code.LOG_UNSIGNED,
            f"{fact.size - fact.signed} entries are in no signed checkpoint",
            "The server signs one every second while the log grows: its own log says why it does not",
            since=fact.made,
        )
    elif fact.signed and serving and fact.cosigned < min(WITNESSES, cities) and age is not None and age > UNWITNESSED:
        yield LOG.warning(
            Code.LOG_NOT_COSIGNED,
            f"the checkpoint of {fact.signed} entries has {fact.cosigned} of {min(WITNESSES, cities)} cosignatures",
            "Other cities must be reachable from here; theirs is the word that makes receipts outlive a stolen key",
            since=fact.made,
        )
    else:
        signed = "no checkpoint yet" if fact.made is None else f"the last checkpoint is of {fact.signed}"
        yield LOG.ok(f"{fact.size} entries, {signed}, cosigned by {fact.cosigned}", since=fact.made)


def versions(found: Mapping[str, str]) -> Iterator[Finding]:
    """By name of the program or library."""
    told = ", ".join(f"{name} {number}" for name, number in found.items())
    ours = {number for name, number in found.items() if name.startswith("cimfed")}
    if len(ours) > 1:
        yield VERSIONS.warning(
            Code.VERSIONS_MIXED, f"parts of cimfed are of several releases: {told}", "Install all of one release"
        )
    else:
        yield VERSIONS.ok(told)


def backups(now: int, last: int | None) -> Iterator[Finding]:
    """``last``: when one was taken, as the log of acts has it."""
    take = "cimfed-node backup FILE, from a timer (docs/backup.md)"
    if last is None:
        yield BACKUPS.warning(Code.BACKUP_NONE, "no backup was ever taken with cimfed-node backup", take)
    elif now - last > BACKUP_AGE:
        days = (now - last) // DAY
        yield BACKUPS.warning(Code.BACKUP_OLD, f"the last backup is {days} days old", take, since=last)
    else:
        yield BACKUPS.ok("the last backup is of this week", since=last)


def _size(count: int) -> str:
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
