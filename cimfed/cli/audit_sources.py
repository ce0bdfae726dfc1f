"""The logs that an audit looks at: exported files, or servers that are asked; and the options that say which."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli.audit_logs import Gathered, Keys, Servers, read_files
from cimfed.cli.audit_sums import ReadLog
from cimfed.cli.office import Office, read_office
from cimfed.client.following import follower_of
from cimfed.client.profile import Profile, only_profile, profile_names, read_profile
from cimfed.command import Command
from cimfed.errors import BadConfig, CimfedError, Incomplete, LogInconsistent, NotFound
from cimfed.rpc import clock
from cimfed.trust.directory.listing import Directory
from cimfed.trust.identity_files import load_public_key
from cimfed.trust.tls import LeafSource, Use

FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--file", exists=True, help="An exported log, in the place of the servers; again for more."),
]
AtOption = Annotated[
    list[str] | None, typer.Option("--at", help="A city, gateway or directory service; again for more. Else all.")
]
HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The office whose registrar's key signs.", envvar="CIMFED_OFFICE")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", envvar="CIMFED_PROFILE", help="The partner over whose connection is asked.")
]
LogKeyOption = Annotated[
    list[Path] | None,
    typer.Option("--log-key", exists=True, help="A key that signed checkpoints before, a .pub file; again for more."),
]


class Sources:
    """The logs that a command was told to look at, and what came of it."""

    def __init__(
        self,
        command: Command,
        files: list[Path] | None,
        at: list[str] | None,
        home: Path | None,
        profile: str | None,
        key: str,
        log_keys: list[Path] | None,
        passphrase_file: Path | None,
    ) -> None:
        if files and at:
            raise BadConfig("--file and --at exclude each other")
        self._command, self.files, self._at = command, files or [], at or []
        self.office: Office | None = read_office(home) if home else None
        self._profile, self._key, self._passphrase_file = profile, key, passphrase_file
        self._more = tuple(load_public_key(path) for path in log_keys or ())
        self.gathered = Gathered()
        self.directory = self._directory()
        self.keys = Keys(self.directory, self._more)

    def read(self, first_of: Callable[[int], int] = lambda size: 0) -> list[ReadLog]:
        if self.files:
            return read_files(self.files, self.keys)
        with self.servers(entries=True) as servers:
            return self.gathered.each(self.names(servers), lambda name: servers.read(name, first_of))

    def read_once(self) -> list[ReadLog]:
        """As ``read``, for what is counted. BadConfig where two files are of one log: it would count twice."""
        logs = self.read()
        for number, one in enumerate(logs):
            if one.origin in [other.origin for other in logs[:number]]:
                raise BadConfig(
                    f"two of these files are of the log {one.origin}, which would count twice",
                    place="--file",
                    remedy="Name the later one alone; cimfed audit consistency compares both",
                )
        return logs

    @contextlib.contextmanager
    def servers(self, *, entries: bool) -> Iterator[Servers]:
        """``entries``: they will be read, so a registrar's key is needed."""
        assert self.directory is not None
        if entries and self.office is None:
            raise BadConfig(
                "entries are read under a registrar's key", remedy="Name an office (--home), or exported files (--file)"
            )
        leaves = None
        if self._profile or profile_names():
            partner = self._partner()
            leaves = LeafSource(partner.issuing_key(), partner.federation, partner.name, Use.CLIENT)
        else:
            self._command.note("there is no profile (--profile): nodes and gateways take calls of listed parties alone")
        with contextlib.ExitStack() as opened:
            signer = None
            if entries and self.office is not None:
                signer = opened.enter_context(self.office.signer("registrar", self._key, self._passphrase_file))
            servers = Servers(self.directory, signer, leaves)
            servers.keys.more = self._more
            yield servers

    def names(self, servers: Servers) -> list[str]:
        for name in self._at:
            if name not in servers.names:
                raise NotFound(f"the directory lists no {name} that has a log", place="--at")
        return self._at or servers.names

    def end(self) -> None:
        """Puts what is missing; to be called last in the command."""
        missing = {name: error.reason for name, error in sorted(self.gathered.missing.items())}
        broken = {name: error.reason for name, error in sorted(self.gathered.broken.items())}
        self._command.put(missing=missing, broken=broken)

    def check(self) -> None:
        """After the command's object was written: LogInconsistent where a log does not verify, else Incomplete."""
        if self.gathered.broken:
            raise LogInconsistent("a log does not verify", details=_details(self.gathered.broken))
        if self.gathered.missing:
            raise Incomplete("not every log could be read", details=_details(self.gathered.missing))

    def _partner(self) -> Profile:
        return read_profile(self._profile or only_profile())

    def _directory(self) -> Directory | None:
        """As the office knows it, or the partner; for exported files none is needed."""
        trouble: CimfedError | None = None
        if self.office is not None:
            directory, trouble = self.office.known()
        elif self._profile or not self.files:
            partner = self._partner()
            leaves = LeafSource(partner.issuing_key(), partner.federation, partner.name, Use.CLIENT)
            with contextlib.closing(follower_of(partner, leaves)) as follower:
                try:
                    directory = follower.refresh()
                except CimfedError as error:
                    trouble, directory = error, follower.latest(clock.now())
        else:
            return None
        if trouble is not None:
            self._command.note(f"the directory is what was known last: {trouble.line}")
        return directory


def _details(errors: dict[str, CimfedError]) -> list[str]:
    return [f"{name}: {error.line}" for name, error in sorted(errors.items())]
