"""Ed25519 against the vectors of RFC 8032, section 7.1, and key files."""

from __future__ import annotations

import hashlib

import pytest

from cimfed.errors import BadConfig
from cimfed.trust.keys import KeySigner, PublicKey

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_signs_as_rfc_8032_says(seed: str, public: str, message: str, signature: str) -> None:
    signer = KeySigner.from_seed(bytes.fromhex(seed))
    assert signer.public.raw.hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    assert signer.public.verifies(bytes.fromhex(signature), bytes.fromhex(message))
    assert not signer.public.verifies(bytes.fromhex(signature), bytes.fromhex(message) + b"\0")
    assert not signer.public.verifies(bytes.fromhex(signature)[:-1], bytes.fromhex(message))


def test_key_id_is_the_hash_of_the_raw_key() -> None:
    key = PublicKey(bytes.fromhex(RFC_8032[0][1]))
    assert key.id == hashlib.sha256(key.raw).digest()
    assert PublicKey.parse(key.text) == key


@pytest.mark.parametrize("text", ["", "ed25519:00", "rsa:" + "00" * 32, "ed25519:" + "zz" * 32, "ed25519:" + "00" * 33])
def test_refuses_what_is_no_public_key(text: str) -> None:
    with pytest.raises(BadConfig):
        PublicKey.parse(text)


def test_an_encrypted_key_file_opens_with_its_passphrase_alone() -> None:
    signer = KeySigner.generate()
    pem = signer.to_pem(b"correct horse")
    assert KeySigner.from_pem(pem, b"correct horse").public == signer.public
    for wrong in (b"battery staple", None):
        with pytest.raises(BadConfig):
            KeySigner.from_pem(pem, wrong)


def test_a_closed_signer_signs_no_more() -> None:
    signer = KeySigner.generate()
    signer.close()
    with pytest.raises(BadConfig):
        signer.sign(b"message")


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize(
    "key",
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_a_key_that_everyone_can_sign_for_is_none(key: str, sign: int) -> None:
    """The points of small order, as libsodium lists them."""
    raw = bytearray.fromhex(key)
    raw[31] |= sign
    with pytest.raises(BadConfig):
        PublicKey(bytes(raw))
