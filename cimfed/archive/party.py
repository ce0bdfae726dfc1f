"""What the homes of all parties have in common, in a backup and out of one: a card and keys."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cimfed.archive.manifest import SEALED, Manifest
from cimfed.archive.write import Part
from cimfed.errors import BadBackup, BadConfig, BadDirectory
from cimfed.model.names import Federation
from cimfed.trust.card import Card, parse_card
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import PRIVATE, load_issuing_key, load_signer, make_identity, read
from cimfed.trust.sealed import open_keys, seal_keys

CARD = "card.json"


def with_keys(
    manifest: Manifest, parts: Sequence[Part], keys: Path, passphrase: bytes, without: Collection[str] = ()
) -> tuple[Manifest, list[Part]]:
    """The same backup with the files of the folder of keys, sealed and bound to all the rest. BadConfig for none."""
    files = {path.name: read(path) for path in sorted(keys.iterdir()) if path.name not in without}
    if not files:
        raise BadConfig("there are no keys here", place=str(keys))
    sealed = Part.of_bytes(SEALED, seal_keys(files, passphrase, manifest.bound()))
    return replace(manifest, members=(*manifest.members, sealed.member)), [*parts, sealed]


def directory_parts(home: Path, folder: Path) -> Iterator[Part]:
    """What a follower holds of the directory: the pinned root, the versions seen, and what was fetched.

    It goes on while it is read: each file is whole, and what came later is fetched again.
    """
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(home))
        if path.name == "lock" or "/." in name or not path.is_file():
            continue
        try:
            yield Part.of_bytes(name, path.read_bytes())
        except FileNotFoundError:  # replaced meanwhile
            continue


def open_sealed(home: Path, manifest: Manifest, passphrase: bytes) -> list[str]:
    """Puts the sealed keys of an unpacked home where they belong; gives what an operator should know of them."""
    for name, content in open_keys(read(home / SEALED), passphrase, manifest.bound()).items():
        create_file(home / "keys" / name, content, PRIVATE)
    card = parse_card(read(home / CARD))
    try:
        signing, issuing = load_signer(home, card.kind).public, load_issuing_key(home).issuer
    except BadConfig as error:
        return [f"not all keys came along: {error.line}"]
    if signing not in card.keys or issuing not in card.issuers:
        return ["the keys are others than those of card.json: they were changed after it was made"]
    return []


def new_identity(home: Path, federation: Federation, now: int) -> Card:
    """New keys and a new card in an unpacked home, for the same name, address and stewards."""
    old = parse_card(read(home / CARD))
    (home / CARD).unlink()
    return make_identity(home, old.name, federation, now, old.address, old.stewards)


def check_card(home: Path, manifest: Manifest) -> None:
    """BadBackup for a card of another party."""
    try:
        card = parse_card(read(home / CARD))
    except BadDirectory as error:
        raise BadBackup(error.message, place=CARD) from None
    if (card.name, card.federation) != (manifest.party, manifest.federation):
        raise BadBackup("the card is of another party than the manifest", place=CARD)


def answers(address: str, patience: float = 1.0) -> bool:
    """Whether somebody listens at ``host:port``: perhaps the server of the old life."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience).close()
    except OSError:
        return False
    return True
