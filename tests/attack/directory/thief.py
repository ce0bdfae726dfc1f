"""What a thief of the directory's keys works with: files signed by hand, and mirrors that serve what they like.

Nothing here goes through the code that honest writers use: metadata are dictionaries, signed over canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.formats import encode_canonical

from cimfed.model.instants import instant_text
from cimfed.model.names import CityName, Federation, GatewayName, PartnerName
from cimfed.model.routing import RoutingEntry, routing_payload
from cimfed.rpc import clock
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import AccessKey, Directory, Gateway, Listing, Member, Partner
from cimfed.trust.directory.mirrors import Always, Mirror
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner, PublicKey, Signer
from cimfed.trust.tls import IssuingKey
from tests.board import Board

SCO = Federation("sco")
MINUTE = 60_000_000  # microseconds
DAY = 24 * 60 * MINUTE
CITY, OTHER, PARTNER = CityName("kz.almaty"), CityName("uz.tashkent"), PartnerName("inst.tsinghua")

Change = Callable[[dict[str, Any]], Any]


@dataclass
class Clock:
    """Microseconds; ``offset`` moves it."""

    offset: int = 0

    def __call__(self) -> int:
        return clock.now() + self.offset


@dataclass
class Town:
    """A federation's signers, and those of whom it lists."""

    board: Board
    clock: Clock
    steward: KeySigner
    node: KeySigner
    access: KeySigner
    listing: Listing

    @property
    def files(self) -> dict[str, bytes]:
        """As they are now: a copy."""
        return dict(self.board.files)


def member(name: CityName, steward: Signer, node: Signer, now: int) -> Member:
    issuer = IssuingKey.make(SCO, name, now).issuer
    return Member(name, "localhost:1", (issuer,), (node.public,), (steward.public,))


def partner(name: PartnerName, access: Signer, now: int) -> Partner:
    issuer = IssuingKey.make(SCO, name, now).issuer
    key = AccessKey(access.public, name, (now - DAY, now + 365 * DAY))
    return Partner(name, "CN", ("researcher",), (issuer,), (key,))


def routing(city: CityName, steward: Signer, now: int, version: int = 1) -> Envelope:
    entry = RoutingEntry(city, version, bytes(32), {"building": None}, (now - DAY, now + 365 * DAY))
    return seal(PayloadType.ROUTING, routing_payload(entry), steward)


def town() -> Town:
    """A city with a routing entry, another without one, a partner, a gateway."""
    at = Clock()
    now = at()
    steward, node, access = (KeySigner.generate() for _ in range(3))
    gateway = GatewayName("gw.alliance")
    listing = Listing(
        {
            CITY: member(CITY, steward, node, now),
            OTHER: member(OTHER, KeySigner.generate(), KeySigner.generate(), now),
        },
        {
            gateway: Gateway(
                gateway, "localhost:1", (IssuingKey.make(SCO, gateway, now).issuer,), (KeySigner.generate().public,)
            )
        },
        {PARTNER: partner(PARTNER, access, now)},
    )
    board = Board(SCO, now, listing)
    board.route(CITY, routing(CITY, steward, now), steward)
    return Town(board, at, steward, node, access, listing)


class Shelf:
    """A mirror that serves ``files``. ``lies`` by path come first: bytes, None, or a function that gives it."""

    def __init__(self, files: Mapping[str, bytes], name: str = "mirror") -> None:
        self.name = name
        self.files = files
        self.lies: dict[str, Any] = {}
        self.asked: list[str] = []

    def get(self, path: str) -> bytes | None:
        self.asked.append(path)
        if path in self.lies:
            lie = self.lies[path]
            return lie() if callable(lie) else lie  # type: ignore[no-any-return]
        return self.files.get(path)


def follower(home: Path, root: bytes, now: Callable[[], int], *mirrors: Mirror) -> Follower:
    """In a folder; a second one in the same folder is the first one restarted."""
    pin(home, root)
    return Follower(home, SCO, Always(*mirrors), now)


def content(directory: Directory) -> Mapping[str, Any]:
    """All that a directory says, without the bytes that prove it."""
    return {name: value for name, value in vars(directory).items() if name in _SAID}


_SAID = {"federation", "version", "issued", "ends", "service", "published", "revoked", "versions", "hash"}


# Signing by hand


def text_of(at: int) -> str:
    return instant_text(at - at % 1_000_000)


def signatures(signed: Any, signers: Iterable[Signer]) -> list[dict[str, str]]:
    message = encode_canonical(signed).encode()
    return [{"keyid": signer.public.id.hex(), "sig": signer.sign(message).hex()} for signer in signers]


def put_together(signed: Any, *signers: Signer) -> bytes:
    return json.dumps({"signatures": signatures(signed, signers), "signed": signed}, separators=(",", ":")).encode()


def signed_in(content: bytes) -> dict[str, Any]:
    return json.loads(content)["signed"]  # type: ignore[no-any-return]


def edited(content: bytes, change: Change, *signers: Signer, next: bool = True) -> tuple[str, bytes]:
    """Metadata after a change, one version on, signed anew; and the path of it."""
    signed = signed_in(content)
    signed["version"] += next
    change(signed)
    return f"{signed['version']}", put_together(signed, *signers)


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def key_item(key: PublicKey) -> dict[str, Any]:
    return {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": key.raw.hex()}}


def newest(files: Mapping[str, bytes], role: str) -> str:
    """The path of the newest metadata of a role."""
    found = [path for path in files if path.startswith("metadata/") and path.endswith(f".{role}.json")]
    return max(found, key=lambda path: int(path.removeprefix("metadata/").split(".", 1)[0]))


def changed(files: Mapping[str, bytes], role: str, change: Change, *signers: Signer) -> dict[str, bytes]:
    """One file: the next version of a role after a change."""
    version, found = edited(files[newest(files, role)], change, *signers)
    return {f"metadata/{version}.{role}.json": found}


def stamped(
    files: Mapping[str, bytes],
    more: Mapping[str, bytes],
    online: Signer,
    now: int,
    *,
    on: int = 1,
    snapshot: Change = lambda signed: None,
    timestamp: Change = lambda signed: None,
) -> dict[str, bytes]:
    """All files with ``more``, under the next snapshot and timestamp, each ``on`` versions on."""
    after = {**files, **more}
    old = signed_in(files["metadata/timestamp.json"])
    path = f"metadata/{old['meta']['snapshot.json']['version']}.snapshot.json"
    new = signed_in(files[path])
    new["version"] += on
    new["expires"] = text_of(now + 7 * DAY)
    for file, data in more.items():
        if file.startswith("metadata/") and not file.endswith(".root.json"):
            version, role = file.removeprefix("metadata/").removesuffix(".json").split(".", 1)
            new["meta"][f"{role}.json"] = {
                "version": int(version),
                "length": len(data),
                "hashes": {"sha256": hash_of(data)},
            }
    snapshot(new)
    data = put_together(new, online)
    after[f"metadata/{new['version']}.snapshot.json"] = data
    old["version"] += on
    old["expires"] = text_of(now + 15 * MINUTE)
    old["x-cimfed-issued"] = text_of(now)
    old["meta"]["snapshot.json"] = {
        "version": new["version"],
        "length": len(data),
        "hashes": {"sha256": hash_of(data)},
    }
    timestamp(old)
    after["metadata/timestamp.json"] = put_together(old, online)
    return after


def with_target(signed: dict[str, Any], path: str, data: bytes) -> dict[str, bytes]:
    """Names a target in metadata, and gives the file of it."""
    signed["targets"][path] = {"length": len(data), "hashes": {"sha256": hash_of(data)}}
    folder, slash, name = path.rpartition("/")
    return {f"targets/{folder}{slash}{hash_of(data)}.{name}": data}
