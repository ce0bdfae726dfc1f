"""Requests to the directory service: who signed them, to whom, when, and in what exact form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import BadQuery, BadSignature, CimfedError, ExpiredQuery, NotAddressed, TooLarge
from cimfed.model.names import DirectoryName, Federation, PartnerName
from cimfed.trust.admin import (
    LIFE,
    MAX_TEXT,
    TOLERANCE,
    AccessRequest,
    AdminRequest,
    Argument,
    Occasion,
    open_access,
    open_admin,
    seal_access,
    seal_admin,
)
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner

NOW = 1_800_000_000_000_000
SCO, SERVICE = Federation("sco"), DirectoryName("dir.alliance")
REGISTRAR, OTHER = KeySigner.generate(), KeySigner.generate()
OCCASION = Occasion.now(SCO, SERVICE, NOW)
REQUEST = AdminRequest(OCCASION, "approve", {"id": "ab" * 32, "fingerprint": "0123 4567"})
WISH = AccessRequest(
    OCCASION,
    PartnerName("inst.iitd"),
    ("kz.almaty", "uz.tashkent"),
    "building",
    "energy-planning",
    "Dear city,\nplease",
)


def opened(envelope: Envelope, now: int = NOW, of: Federation = SCO, service: DirectoryName = SERVICE) -> AdminRequest:
    request, key = open_admin(envelope, [REGISTRAR.public], of, service, now)
    assert key == REGISTRAR.public
    return request


def sealed(document: Any) -> Envelope:
    return seal(PayloadType.ADMIN, document if isinstance(document, bytes) else rfc8785.dumps(document), REGISTRAR)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(seal_admin(REQUEST, REGISTRAR).payload)
    return found


def test_a_request_reads_back_with_who_signed_it() -> None:
    assert opened(seal_admin(REQUEST, REGISTRAR)) == REQUEST
    assert open_access(seal_access(WISH, OTHER), [REGISTRAR.public, OTHER.public], SCO, SERVICE, NOW) == (
        WISH,
        OTHER.public,
    )


words = st.from_regex("[a-z][a-z_]{0,9}", fullmatch=True)
arguments = st.dictionaries(
    words, st.one_of(st.text(max_size=50), st.booleans(), st.lists(st.text(max_size=9), max_size=4).map(tuple))
)


@given(words, arguments)
def test_any_arguments_read_back(action: str, given_arguments: dict[str, Argument]) -> None:
    try:
        envelope = seal_admin(AdminRequest(OCCASION, action, given_arguments), REGISTRAR)
    except ValueError:  # lone surrogates are no text of RFC 8785
        return
    assert opened(envelope) == AdminRequest(OCCASION, action, given_arguments)


def test_the_payload_says_what_the_page_says() -> None:
    assert document() == {
        "format": "cimfed/admin/v1",
        "federation": "sco",
        "service": "dir.alliance",
        "action": "approve",
        "arguments": {"id": "ab" * 32, "fingerprint": "0123 4567"},
        "issued": "2027-01-15T08:00:00Z",
        "expires": "2027-01-15T08:10:00Z",
        "nonce": OCCASION.nonce.hex(),
    }


def test_only_a_key_that_may_sign_is_heard() -> None:
    with pytest.raises(BadSignature):
        opened(seal_admin(REQUEST, OTHER))
    with pytest.raises(BadSignature):
        open_admin(seal_admin(REQUEST, REGISTRAR), [], SCO, SERVICE, NOW)


def test_another_payload_type_is_not_heard() -> None:
    for kind in PayloadType:
        if kind is not PayloadType.ADMIN:
            with pytest.raises(BadSignature):
                opened(seal(kind, seal_admin(REQUEST, REGISTRAR).payload, REGISTRAR))
    with pytest.raises(BadSignature):
        open_access(seal_admin(REQUEST, REGISTRAR), [REGISTRAR.public], SCO, SERVICE, NOW)


def test_two_signatures_are_not_heard() -> None:
    with pytest.raises(BadSignature):
        opened(seal_admin(REQUEST, REGISTRAR, OTHER))


def test_it_is_for_one_federation_and_service() -> None:
    envelope = seal_admin(REQUEST, REGISTRAR)
    with pytest.raises(NotAddressed):
        opened(envelope, of=Federation("other"))
    with pytest.raises(NotAddressed):
        opened(envelope, service=DirectoryName("dir.other"))


@pytest.mark.parametrize(
    ("now", "taken"),
    [
        (NOW - TOLERANCE, True),
        (NOW - TOLERANCE - 1, False),
        (NOW + LIFE + TOLERANCE - 1, True),
        (NOW + LIFE + TOLERANCE, False),
    ],
)
def test_it_lives_from_its_issue_to_its_end_and_half_a_minute_around(now: int, taken: bool) -> None:
    envelope = seal_admin(REQUEST, REGISTRAR)
    if taken:
        assert opened(envelope, now) == REQUEST
    else:
        with pytest.raises(ExpiredQuery):
            opened(envelope, now)
    assert OCCASION.over == NOW + LIFE + TOLERANCE


@pytest.mark.parametrize("life", [0, -1, LIFE + 1])
def test_it_lives_ten_minutes_at_most(life: int) -> None:
    with pytest.raises(BadQuery):
        seal_admin(replace(REQUEST, occasion=replace(OCCASION, expires=OCCASION.issued + life)), REGISTRAR)
    with pytest.raises(BadQuery):
        opened(sealed({**document(), "expires": "2027-01-15T08:10:00.000001Z"}))


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda it: {**it, "more": "x"},
        lambda it: {key: value for key, value in it.items() if key != "nonce"},
        lambda it: {**it, "format": "cimfed/admin/v2"},
        lambda it: {**it, "nonce": "AB" * 16},
        lambda it: {**it, "nonce": "ab"},
        lambda it: {**it, "issued": "2027-01-15T08:00Z"},
        lambda it: {**it, "issued": 1},
        lambda it: {**it, "action": "Approve"},
        lambda it: {**it, "action": ["approve"]},
        lambda it: {**it, "arguments": []},
        lambda it: {**it, "arguments": {"id": 1}},
        lambda it: {**it, "arguments": {"id": None}},
        lambda it: {**it, "arguments": {"id": ["a", 1]}},
        lambda it: {**it, "arguments": {"id": {"a": "b"}}},
        lambda it: {**it, "arguments": {"Id": "a"}},
        lambda it: {**it, "federation": "SCO"},
        lambda it: {**it, "service": "gw.alliance"},
        lambda it: [it],
        lambda it: json.dumps(it, indent=1).encode(),
        lambda it: rfc8785.dumps(it).replace(b'{"action"', b'{"action":"deny","action"'),
        lambda it: b"[" * 10_000,
        lambda it: b"\xff",
        lambda it: b"",
        lambda it: b"null",
    ],
)
def test_another_form_is_refused_though_it_is_signed(change: Change) -> None:
    with pytest.raises(BadQuery):
        opened(sealed(change(document())))


def test_what_is_too_large_is_refused_before_it_is_verified() -> None:
    with pytest.raises(TooLarge):
        seal_admin(replace(REQUEST, arguments={"id": "x" * 20_000}), REGISTRAR)
    with pytest.raises(TooLarge):
        opened(Envelope(PayloadType.ADMIN, b"x" * 20_000, ()))


@pytest.mark.parametrize(
    "change",
    [
        {"cities": ()},
        {"cities": ("uz.tashkent", "kz.almaty")},
        {"cities": ("kz.almaty", "kz.almaty")},
        {"cities": ("inst.iitd",)},
        {"cities": tuple(f"kz.c{number:03}" for number in range(101))},
        {"collection": "Building"},
        {"purpose": ""},
        {"text": "x" * (MAX_TEXT + 1)},
        {"text": "ш" * (MAX_TEXT // 2 + 1)},
        {"text": "\x1b[31m"},
    ],
)
def test_a_wish_that_no_service_takes_is_not_sealed(change: dict[str, Any]) -> None:
    with pytest.raises(CimfedError) as raised:
        seal_access(replace(WISH, **change), OTHER)
    assert isinstance(raised.value, BadQuery | TooLarge)


def test_every_request_has_a_nonce_of_its_own() -> None:
    assert len({Occasion.now(SCO, SERVICE, NOW).nonce for _ in range(20)}) == 20
