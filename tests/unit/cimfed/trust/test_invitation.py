"""Invitations: one text for one meaning, and codes that nothing but the token's own name and card can pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import Federation
from cimfed.trust.invitation import PREFIX, Invitation, parse_invitation

ROOT = hashlib.sha256(b"root").digest()
ONE = Invitation(Federation("sco"), "uz.tashkent", "dir.example:8443", ROOT, bytes(range(16)))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

labels = st.from_regex("[a-z][a-z0-9-]{0,9}", fullmatch=True)
invitations = st.builds(
    Invitation,
    labels.map(Federation),
    st.lists(labels, min_size=2, max_size=4).map(".".join),
    st.builds(lambda host, port: f"{host}:{port}", st.sampled_from(["dir.org", "[::1]", "a"]), st.integers(1, 65535)),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
)


@given(invitations)
def test_an_invitation_reads_back_from_its_text(invitation: Invitation) -> None:
    assert parse_invitation(f"  {invitation.text}\n") == invitation


def test_a_token_has_the_bytes_of_the_page() -> None:
    """Written out by hand from the module's docstring."""
    body = b"\x01" + b"\x03sco" + b"\x0buz.tashkent" + b"\x10dir.example:8443" + ROOT + bytes(range(16))
    whole = body + hashlib.sha256(body).digest()[:4]
    assert ONE.text == "cimfed1:" + base64.urlsafe_b64encode(whole).decode().rstrip("=")


def expand(secret: bytes, info: bytes) -> bytes:
    """64 bytes of HKDF-SHA-256 without salt, by RFC 5869."""
    prk = hmac.digest(bytes(32), secret, "sha256")
    first = hmac.digest(prk, info + b"\x01", "sha256")
    return first + hmac.digest(prk, first + info + b"\x02", "sha256")


def joined(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def test_keys_and_codes_are_those_of_the_standards() -> None:
    derived = expand(ONE.secret, joined(b"cimfed/invitation/v1", b"sco", b"uz.tashkent", ROOT))
    key = ONE.key
    assert (key.id, key.key) == (derived[:32], derived[32:])
    code = hmac.digest(key.key, joined(b"cimfed/join/v1", b"uz.tashkent", b"the card"), "sha256")
    assert key.join_code("uz.tashkent", b"the card") == code
    assert key.status_code("uz.tashkent") == hmac.digest(
        key.key, joined(b"cimfed/join-status/v1", b"uz.tashkent"), "sha256"
    )


@given(st.integers(0, len(ONE.text) - len(PREFIX) - 1), st.sampled_from(ALPHABET))
def test_every_wrong_letter_is_found(at: int, letter: str) -> None:
    at += len(PREFIX)
    text = ONE.text[:at] + letter + ONE.text[at + 1 :]
    if text == ONE.text:
        assert parse_invitation(text) == ONE
    else:
        with pytest.raises(BadConfig):
            parse_invitation(text)


@given(st.integers(0, len(ONE.text) - 1))
def test_a_token_that_was_cut_is_found(length: int) -> None:
    with pytest.raises(BadConfig):
        parse_invitation(ONE.text[:length])


@given(st.one_of(st.text(max_size=80), st.binary(max_size=300).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_anything_else_is_no_invitation(text: str) -> None:
    for given_text in (text, PREFIX + text):
        with pytest.raises(BadConfig):
            parse_invitation(given_text)


def checked(body: bytes) -> str:
    whole = body + hashlib.sha256(body).digest()[:4]
    return PREFIX + base64.urlsafe_b64encode(whole).decode().rstrip("=")


@given(st.binary(max_size=200))
def test_bytes_with_a_good_check_are_still_held_to_the_form(body: bytes) -> None:
    try:
        found = parse_invitation(checked(b"\x01" + body))
    except BadConfig:
        return
    assert checked(b"\x01" + body) == found.text


TAIL = ROOT + bytes(16)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01",
        b"\x02\x03sco\x0buz.tashkent\x10dir.example:8443" + TAIL,
        b"\x01\x03sco\x0buz.tashkent\x10dir.example:8443" + TAIL + b"\x00",
        b"\x01\x03sco\x0buz.tashkent\x10dir.example:8443" + TAIL[:-1],
        b"\x01\x03SCO\x0buz.tashkent\x10dir.example:8443" + TAIL,
        b"\x01\x03sco\x02uz\x10dir.example:8443" + TAIL,
        b"\x01\x03sco\x0buz.tashkent\x0bdir.example" + TAIL,
        b"\x01\x03sco\x0buz.tashken\xff\x10dir.example:8443" + TAIL,
    ],
)
def test_what_the_form_does_not_allow_is_refused(body: bytes) -> None:
    with pytest.raises(BadConfig):
        parse_invitation(checked(body))


def test_padding_another_case_of_the_prefix_and_loose_bits_are_refused() -> None:
    for text in (ONE.text + "=", ONE.text.replace("cimfed1", "CIMFED1"), ONE.text + "A", ONE.text[:20] + "\n"):
        with pytest.raises(BadConfig):
            parse_invitation(text)


@pytest.mark.parametrize(
    "change", [{"name": "uz"}, {"service": "dir.example"}, {"service": "a" * 250 + ".example:8443"}, {"of": "SCO"}]
)
def test_what_no_token_can_say_is_not_invited(change: dict[str, str]) -> None:
    words = {"of": "sco", "name": "uz.tashkent", "service": "dir.example:8443", **change}
    with pytest.raises(CimfedError):
        Invitation.make(Federation(words["of"]), words["name"], words["service"], ROOT)


def test_no_two_invitations_share_a_secret() -> None:
    made = {Invitation.make(Federation("sco"), "uz.tashkent", "dir.example:8443", ROOT).secret for _ in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, name="uz.samarkand"),
        replace(ONE, federation=Federation("other")),
        replace(ONE, root=bytes(32)),
        replace(ONE, secret=bytes(16)),
    ],
)
def test_another_token_has_another_id_and_key(other: Invitation) -> None:
    assert other.key.id != ONE.key.id
    assert other.key.key != ONE.key.key


def test_a_code_is_of_its_purpose_name_and_card_alone() -> None:
    key, name, card = ONE.key, ONE.name, b"the card"
    code = key.join_code(name, card)
    assert key.checks_join(code, name, card)
    assert not key.checks_join(code, name, b"the card of another")
    assert not key.checks_join(code, "uz.samarkand", card)
    assert not key.checks_join(code[:-1], name, card)
    assert not key.checks_join(b"", name, card)
    assert not key.checks_status(code, name)
    assert key.checks_status(key.status_code(name), name)
    assert not key.checks_join(replace(ONE, secret=bytes(16)).key.join_code(name, card), name, card)


def test_a_name_cannot_run_into_the_card() -> None:
    assert ONE.key.join_code("uz.tashkent", b"card") != ONE.key.join_code("uz.tashkentc", b"ard")


def test_secrets_are_not_printed() -> None:
    for value in (ONE, ONE.key):
        said = repr(value)
        assert ONE.secret.hex() not in said
        assert repr(ONE.secret) not in said
        assert repr(ONE.key.key) not in said
