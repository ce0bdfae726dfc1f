"""Target files that contradict themselves, each other, or what delegates to them; and bytes that readers may differ on.

All of them are signed by whoever may sign them: the registrar's thief, or the revoker's.
"""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from cimfed.errors import BadDirectory, CimfedError
from cimfed.model.names import PartnerName
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.listing import AccessKey, Listing
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tls import Issuer, IssuingKey
from tests.attack.directory.thief import (
    CITY,
    DAY,
    OTHER,
    PARTNER,
    SCO,
    Shelf,
    Town,
    changed,
    follower,
    newest,
    partner,
    put_together,
    signatures,
    signed_in,
    stamped,
    town,
    with_target,
)


@pytest.fixture(scope="module")
def sco() -> Town:
    return town()


def document(sco: Town, role: str, path: str) -> bytes:
    target = signed_in(sco.files[newest(sco.files, role)])["targets"][path]
    folder, slash, name = path.rpartition("/")
    return sco.files[f"targets/{folder}{slash}{target['hashes']['sha256']}.{name}"]


def with_document(sco: Town, role: str, path: str, data: bytes, *signers: Signer) -> dict[str, bytes]:
    """A role's next version, with another file at one of its targets."""
    files: dict[str, bytes] = {}
    more = changed(sco.files, role, lambda signed: files.update(with_target(signed, path, data)), *signers)
    return {**more, **files}


def rewritten(sco: Town, path: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, bytes]:
    """The registrar's next version, after a change of one of its files, which is canonical again."""
    value = json.loads(document(sco, layout.REGISTRAR, path))
    change(value)
    return with_document(sco, layout.REGISTRAR, path, rfc8785.dumps(value), sco.board.registrar)


def refused(sco: Town, home: Path, more: Mapping[str, bytes]) -> None:
    """By the service, by a follower, by who reads a receipt."""
    with pytest.raises(BadDirectory):
        sco.board.accept(more, sco.clock())
    forged = stamped(sco.files, more, sco.board.online, sco.clock())
    with pytest.raises(BadDirectory):
        proof.read(forged, sco.board.root, sco.clock())
    shelf = Shelf(sco.files)
    followed = follower(home / "home", sco.board.root, sco.clock, shelf)
    before = followed.refresh()
    shelf.files = forged
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is before


def draft(sco: Town, listing: Listing) -> dict[str, bytes]:
    return sco.board.sign(drafts.registrar_draft(2, sco.board.of, listing, sco.clock()), sco.board.registrar)


# What contradicts itself


def test_a_city_that_is_listed_without_a_delegation_is_refused(sco: Town, tmp_path: Path) -> None:
    more = changed(
        sco.files, layout.REGISTRAR, lambda signed: signed["delegations"]["roles"].pop(0), sco.board.registrar
    )
    refused(sco, tmp_path, more)


def test_a_delegation_to_a_city_that_is_not_listed_is_refused(sco: Town, tmp_path: Path) -> None:
    refused(sco, tmp_path, rewritten(sco, layout.MEMBERS, lambda value: value["members"].pop(OTHER)))


def test_a_partner_in_the_wrong_bin_is_refused(sco: Town, tmp_path: Path) -> None:
    """Else who looks in the right one, with a receipt, would not see it, or would see another."""
    item = json.loads(document(sco, layout.REGISTRAR, layout.partners_bin(PARTNER)))["partners"][PARTNER]
    wrong = next(path for path in layout.PARTNERS if path != layout.partners_bin(PARTNER))
    refused(sco, tmp_path, rewritten(sco, wrong, lambda value: value["partners"].update({PARTNER: item})))


def test_a_bin_under_the_path_of_another_is_refused(sco: Town, tmp_path: Path) -> None:
    own = layout.partners_bin(PARTNER)
    wrong = next(path for path in layout.PARTNERS if path != own)
    data = document(sco, layout.REGISTRAR, own)
    refused(sco, tmp_path, with_document(sco, layout.REGISTRAR, wrong, data, sco.board.registrar))


def test_one_key_for_two_parties_is_refused(sco: Town, tmp_path: Path) -> None:
    """An access key, a node's, a steward's, the service's, or an issuing key."""
    now = sco.clock()
    false = PartnerName("inst.false")
    for number, key in enumerate((sco.access, sco.node, sco.steward, sco.board.log)):
        listed = partner(false, key, now)
        refused(sco, tmp_path / str(number), draft(sco, replace(sco.listing, partners={
            **sco.listing.partners, false: listed,
        })))  # fmt: skip
    mine = sco.listing.partners[PARTNER]
    twice = replace(mine, keys=(*mine.keys, AccessKey(sco.access.public, PARTNER, (now, now + DAY))))
    refused(sco, tmp_path / "twice", draft(sco, replace(sco.listing, partners={PARTNER: twice})))
    borrowed = replace(partner(false, KeySigner.generate(), now), issuers=mine.issuers)
    refused(sco, tmp_path / "issuer", draft(sco, replace(sco.listing, partners={
        **sco.listing.partners, false: borrowed,
    })))  # fmt: skip


def issuers(sco: Town) -> dict[str, bytes]:
    """Certificates that a city is not listed with."""
    now = sco.clock()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .serial_number(1)
        .not_valid_before(IssuingKey.make(SCO, CITY, now).issuer.certificate.not_valid_before_utc)
        .not_valid_after(IssuingKey.make(SCO, CITY, now).issuer.certificate.not_valid_after_utc)
    )
    edwards, old = ed25519.Ed25519PrivateKey.generate(), dsa.generate_private_key(1024)
    good = IssuingKey.make(SCO, CITY, now).issuer.pem
    der = bytearray(x509.load_pem_x509_certificate(good).public_bytes(Encoding.DER))
    curve = bytes.fromhex("06082a8648ce3d030107")  # P-256, in the key; the last byte makes it a curve that is none
    at = der.index(curve)
    der[at + len(curve) - 1] = 0x7F
    version = bytearray(x509.load_pem_x509_certificate(good).public_bytes(Encoding.DER))
    version[version.index(bytes.fromhex("a003020102")) + 4] = 9
    return {
        "another city's": IssuingKey.make(SCO, OTHER, now).issuer.pem,
        "another federation's": IssuingKey.make("other", CITY, now).issuer.pem,  # type: ignore[arg-type]
        "two in one": good + IssuingKey.make(SCO, CITY, now).issuer.pem,
        "of Ed25519": builder.public_key(edwards.public_key()).sign(edwards, None).public_bytes(Encoding.PEM),
        "of DSA": builder.public_key(old.public_key()).sign(old, hashes.SHA256()).public_bytes(Encoding.PEM),
        "of an unknown curve": pem(bytes(der)),
        "of an unknown version": pem(bytes(version)),
        "cut short": pem(bytes(der[:-9])),
        "empty": pem(b""),
        "no certificate": b"-----BEGIN CERTIFICATE-----\n",
    }


def pem(der: bytes) -> bytes:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n".encode()


def test_an_issuer_that_was_not_made_for_its_party_is_refused(sco: Town, tmp_path: Path) -> None:
    for name, certificate in issuers(sco).items():
        members = {**sco.listing.members, CITY: replace(sco.listing.members[CITY], issuers=(Issuer(certificate),))}
        refused(sco, tmp_path / name.replace(" ", "-"), draft(sco, replace(sco.listing, members=members)))


ITEMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "of another federation": lambda value: value.update(federation="other"),
    "of another format": lambda value: value.update(format="cimfed/members/v2"),
    "an unknown field": lambda value: value.update(more=1),
    "an unknown field of a city": lambda value: value["members"][CITY].update(more=1),
    "no address": lambda value: value["members"][CITY].pop("address"),
    "an address with a path": lambda value: value["members"][CITY].update(address="localhost:1/x"),
    "an address with a line": lambda value: value["members"][CITY].update(address="localhost\n:1"),
    "no key": lambda value: value["members"][CITY].update(keys=[]),
    "nine keys": lambda value: value["members"][CITY].update(keys=[KeySigner.generate().public.text for _ in range(9)]),
    "no issuer": lambda value: value["members"][CITY].update(issuers=[]),
    "three issuers": lambda value: value["members"][CITY].update(
        issuers=[IssuingKey.make(SCO, CITY, DAY * 20000).issuer.pem.decode() for _ in range(3)]
    ),
    "a suspension that ends before it begins": lambda value: value["members"][CITY].update(
        suspended=["2026-10-02T00:00:00Z", "2026-10-01T00:00:00Z"]
    ),
    "a city among the gateways": lambda value: value["gateways"].update({CITY: value["members"][CITY]}),
    "a gateway among the cities": lambda value: value["members"].update({"gw.x": value["gateways"]["gw.alliance"]}),
    "a small-order key": lambda value: value["members"][CITY].update(keys=["ed25519:01" + "00" * 31]),
    "an RSA key": lambda value: value["members"][CITY].update(keys=["rsa:" + "00" * 32]),
    "a lone surrogate": lambda value: value["members"][CITY].update(address="\ud800:1"),
}


@pytest.mark.parametrize("change", ITEMS)
def test_a_list_of_members_is_refused_that_has(sco: Town, tmp_path: Path, change: str) -> None:
    value = json.loads(document(sco, layout.REGISTRAR, layout.MEMBERS))
    ITEMS[change](value)
    data = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    refused(sco, tmp_path, with_document(sco, layout.REGISTRAR, layout.MEMBERS, data, sco.board.registrar))


def spelled(data: bytes) -> dict[str, bytes]:
    """The same, or nearly, in other bytes."""
    text = data.decode()
    value = json.loads(data)
    return {
        "with spaces": json.dumps(value).encode(),
        "unsorted": json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode(),
        "with a key twice": (text[:-1] + ',"format":"cimfed/members/v1"}').encode(),
        "with another key twice": text.replace(
            '"federation":"sco"', '"federation":"other","federation":"sco"'
        ).encode(),
        "with a key escaped": text.replace('"federation"', '"\\u0066ederation"').encode(),
        "with a mark of byte order": b"\xef\xbb\xbf" + data,
        "in UTF-16": text.encode("utf-16"),
        "with NaN": (text[:-1] + ',"x":NaN}').encode(),
        "with a number too large": (text[:-1] + ',"x":1e999}').encode(),
        "with a long number": (text[:-1] + ',"x":' + "9" * 5000 + "}").encode(),
        "deep": (text[:-1] + ',"x":' + "[" * 50_000 + "]" * 50_000 + "}").encode(),
        "with something behind it": data + b"{}",
        "a list": b"[" + data + b"]",
        "a number": b"1",
        "empty": b"",
    }


SPELLINGS = tuple(spelled(b"{}"))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_documents_have_one_spelling(sco: Town, tmp_path: Path, spelling: str) -> None:
    for number, (role, path, signers) in enumerate(
        (
            (layout.REGISTRAR, layout.MEMBERS, [sco.board.registrar]),
            (layout.REGISTRAR, layout.partners_bin(PARTNER), [sco.board.registrar]),
            (layout.REVOKER, layout.REVOKED, [sco.board.revoker]),
            (layout.TARGETS, layout.SERVICE, sco.board.keys[:2]),
        )
    ):
        data = spelled(document(sco, role, path))[spelling]
        if data != document(sco, role, path):
            refused(sco, tmp_path / str(number), with_document(sco, role, path, data, *signers))


@pytest.mark.parametrize(
    "item",
    [
        {"subject": "nobody", "reason": "x", "at": "2026-10-01T00:00:00Z"},
        {"subject": "inst.x", "reason": "", "at": "2026-10-01T00:00:00Z"},
        {"subject": "inst.x", "reason": "two\nlines", "at": "2026-10-01T00:00:00Z"},
        {"subject": "inst.x", "reason": "x" * 201, "at": "2026-10-01T00:00:00Z"},
        {"subject": "inst.x", "reason": "x", "at": "2026-10-01"},
        {"subject": "inst.x", "reason": "x", "at": 1},
        {"subject": "A" * 64, "reason": "x", "at": "2026-10-01T00:00:00Z"},
        {"subject": "inst.x", "reason": "x"},
        "inst.x",
        None,
    ],
)
def test_a_revocation_is_of_a_name_or_a_key_for_a_reason_at_a_time(sco: Town, tmp_path: Path, item: Any) -> None:
    value = json.loads(document(sco, layout.REVOKER, layout.REVOKED))
    value["revoked"].append(item)
    refused(sco, tmp_path, with_document(sco, layout.REVOKER, layout.REVOKED, rfc8785.dumps(value), sco.board.revoker))


# Metadata


METADATA: dict[str, Callable[[dict[str, Any]], Any]] = {
    "of another major version": lambda signed: signed.update(spec_version="2.0.0"),
    "of no version of the specification": lambda signed: signed.update(spec_version="one"),
    "of version 0": lambda signed: signed.update(version=0),
    "of version -1": lambda signed: signed.update(version=-1),
    "of version true": lambda signed: signed.update(version=True),
    "of a version that is text": lambda signed: signed.update(version="2"),
    "without an end": lambda signed: signed.pop("expires"),
    "of an end that is none": lambda signed: signed.update(expires="soon"),
    "of another type": lambda signed: signed.update(_type="snapshot"),
    "of an unknown type": lambda signed: signed.update(_type="mirrors"),
    "of a type that is a list": lambda signed: signed.update(_type=[]),
    "with targets that are a list": lambda signed: signed.update(targets=[]),
    "with a target of negative length": lambda signed: signed["targets"]["members.json"].update(length=-1),
    "with a target of length true": lambda signed: signed["targets"]["members.json"].update(length=True),
    "with a target without hashes": lambda signed: signed["targets"]["members.json"].update(hashes={}),
    "with a target of another hash": lambda signed: signed["targets"]["members.json"].update(hashes={"md5": "00" * 16}),
    "with a target of two hashes": lambda signed: signed["targets"]["members.json"]["hashes"].update(md5="00" * 16),
    "with a hash that takes a length": lambda signed: signed["targets"]["members.json"]["hashes"].update(
        shake_128="00"
    ),
    "with delegations that are a list": lambda signed: signed.update(delegations=[]),
    "with a hashed delegation": lambda signed: signed["delegations"].update(
        succinct_roles={"keyids": [], "threshold": 1, "bit_length": 4, "name_prefix": "x"}
    ),
    "with the roles a number": lambda signed: signed["delegations"].update(roles=1),
    "without members": lambda signed: signed["targets"].pop("members.json"),
    "without a bin": lambda signed: signed["targets"].pop("partners/7.json"),
    "with a target that leads out": lambda signed: signed["targets"].update(
        {"../../x": signed["targets"]["members.json"]}
    ),
}


@pytest.mark.parametrize("change", METADATA)
def test_metadata_are_refused_that_are(sco: Town, tmp_path: Path, change: str) -> None:
    signed = signed_in(sco.files[newest(sco.files, layout.REGISTRAR)])
    signed["version"] += 1
    METADATA[change](signed)
    more = {"metadata/2.registrar.json": put_together(signed, sco.board.registrar)}
    refused(sco, tmp_path, more)


def test_metadata_in_which_a_key_stands_twice_are_what_their_signature_covers(sco: Town, tmp_path: Path) -> None:
    """The reader takes one of the two; the signature is over what it took, so that the other is nobody's."""
    signed = signed_in(sco.files[newest(sco.files, layout.REGISTRAR)])
    signed["version"] = 2
    honest = put_together(signed, sco.board.registrar).decode()
    doubled = honest.replace('"version":2', '"version":2,"version":3')
    refused(sco, tmp_path, {"metadata/2.registrar.json": doubled.encode()})
    other_first = honest.replace('"version":2', '"version":3,"version":2').encode()
    forged = stamped(sco.files, {"metadata/2.registrar.json": other_first}, sco.board.online, sco.clock())
    assert proof.read(forged, sco.board.root, sco.clock()).versions[layout.REGISTRAR] == 2


@pytest.mark.parametrize("more", [1.5, 1e300, float("nan"), float("inf")])
def test_metadata_with_numbers_that_nobody_can_sign_are_refused(sco: Town, tmp_path: Path, more: float) -> None:
    signed = signed_in(sco.files[newest(sco.files, layout.REGISTRAR)])
    signed["version"] = 2
    (signature,) = signatures(signed, [sco.board.registrar])
    signed["x"] = more
    data = json.dumps({"signatures": [signature], "signed": signed}).encode()
    refused(sco, tmp_path, {"metadata/2.registrar.json": data})


def test_deep_metadata_are_refused(sco: Town, tmp_path: Path) -> None:
    honest = sco.files[newest(sco.files, layout.REGISTRAR)].decode()
    for depth in (300, 900, 100_000):
        deep = honest.replace('"version":1}}', f'"version":2,"x":{"[" * depth}{"]" * depth}}}}}').encode()
        assert deep != honest.encode()
        home = tmp_path / str(depth)
        refused(sco, home, {"metadata/2.registrar.json": deep})


def test_metadata_of_more_than_four_megabytes_are_refused(sco: Town, tmp_path: Path) -> None:
    signed = signed_in(sco.files[newest(sco.files, layout.REGISTRAR)])
    signed["version"] = 2
    signed["x"] = "x" * (5 * 1024 * 1024)
    more = {"metadata/2.registrar.json": put_together(signed, sco.board.registrar)}
    with pytest.raises(CimfedError):
        sco.board.accept(more, sco.clock())
    forged = stamped(sco.files, more, sco.board.online, sco.clock())
    with pytest.raises(BadDirectory):
        proof.read(forged, sco.board.root, sco.clock())
    with pytest.raises(BadDirectory):
        follower(tmp_path, sco.board.root, sco.clock, Shelf(forged)).refresh()


def test_a_timestamp_is_refused_that_does_not_say_when_it_was_made(sco: Town, tmp_path: Path) -> None:
    for number, value in enumerate((None, 1, "now", "2026-13-01T00:00:00Z")):
        forged = stamped(
            sco.files, {}, sco.board.online, sco.clock(),
            timestamp=lambda signed, value=value: signed.update({"x-cimfed-issued": value}),
        )  # fmt: skip
        with pytest.raises(BadDirectory):
            follower(tmp_path / str(number), sco.board.root, sco.clock, Shelf(forged)).refresh()
