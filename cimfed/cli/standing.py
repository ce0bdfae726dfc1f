"""`cimfed member list` and `cimfed partner list`: who is invited, waits, is listed, suspended or revoked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cimfed import console
from cimfed.cli.office import Office
from cimfed.command import Command
from cimfed.errors import BadConfig, BadDirectory
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind, kind_of
from cimfed.rpc import clock
from cimfed.trust.card import parse_card
from cimfed.trust.directory import layout
from cimfed.trust.directory.listing import Directory, Partner, Revocation
from cimfed.wire.admissions import Administered


def list_parties(command: Command, at: Office, kinds: Collection[Kind], key: str, passphrase_file: Path | None) -> None:
    """Everybody of these kinds with their states, and who is invited or waits; those only for a registrar."""
    directory, trouble = at.known()
    rows = [row for row in standing(directory, clock.now()) if kind_of(row.name) in kinds]
    if trouble is not None:
        command.note(f"this is what was known last: {trouble.line}")
    else:
        try:
            with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
                rows += _coming(at.administer(directory, signer, "requests"), kinds)
        except BadConfig as error:
            command.note(f"invitations and requests are shown to a registrar: {error.line}")
    rows.sort(key=lambda row: row.name)
    command.put(version=directory.version, parties=[row.facts for row in rows])
    command.show(console.table(("name", "kind", "state", "about"), [row.cells for row in rows]))


@dataclass(frozen=True)
class Row:
    """A party, or who may become one. ``state``: invited, waiting, approved, listed, suspended, revoked."""

    name: str
    state: str
    about: str = ""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        return self.name, str(kind_of(self.name)), self.state, self.about

    @property
    def facts(self) -> dict[str, str | None]:
        return {"name": self.name, "kind": str(kind_of(self.name)), "state": self.state, "about": self.about or None}


def standing(directory: Directory, now: int) -> list[Row]:
    """Everybody whom the registrar lists, or whom the revoker names."""
    revoked = {item.subject: item for item in directory.revoked}
    rows = []
    for party in directory.published.parties():
        span = party.suspended
        if party.name in revoked:
            rows.append(Row(party.name, "revoked", _since(revoked.pop(party.name))))
        elif span is not None and span[0] <= now < span[1]:
            rows.append(Row(party.name, "suspended", f"until {instant_text(span[1])[:19]} UTC"))
        else:
            about = f"{party.country}; {', '.join(party.roles)}" if isinstance(party, Partner) else party.address
            rows.append(Row(party.name, "listed", about.rstrip("; ")))
    rows += [Row(subject, "revoked", _since(item)) for subject, item in revoked.items() if "." in subject]
    return rows


def _since(item: Revocation) -> str:
    return f"{instant_text(item.at)[:19]} UTC: {item.reason}"


def _coming(found: Administered, kinds: Collection[Kind]) -> list[Row]:
    rows = []
    for item in found.invitations:
        rows.append(Row(item.name, "invited", f"until {instant_text(item.expires)[:19]} UTC"))
    for entry in found.requests:
        try:
            card = parse_card(entry.card)
        except BadDirectory:  # of another release
            continue
        rows.append(Row(card.name, str(entry.state), f"fingerprint {card.fingerprint}"))
    return [row for row in rows if kind_of(row.name) in kinds]
