"""Names of keys on tokens: what RFC 7512 writes is read, what might choose another key or show a PIN is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import BadConfig
from cimfed.trust.token.uri import MODULE_VARIABLE, TokenKey, parse_key_place, parse_token_key

MODULE = "module-path=/usr/lib/m.so"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PATHS = TEXTS.filter(lambda text: "\0" not in text).map(lambda text: Path("/") / text.lstrip("/"))


def test_the_uri_of_rfc_7512_with_token_object_and_id_is_read() -> None:
    """After the examples of section 3: an id is octets, a space is %20, order is free."""
    found = parse_token_key(
        "pkcs11:object=my-sign-key;type=private;token=The%20Software%20PKCS%2311%20Softtoken;"
        "manufacturer=Snake%20Oil,%20Inc.;model=1.0;id=%69%95%3E%5C%F4%BD%EC%91"
        f"?pin-source=file:/etc/token_pin&{MODULE}"
    )
    assert found == TokenKey(
        Path("/usr/lib/m.so"),
        token="The Software PKCS#11 Softtoken",
        manufacturer="Snake Oil, Inc.",
        model="1.0",
        object="my-sign-key",
        id=bytes.fromhex("69953e5cf4bdec91"),
        pin_source=Path("/etc/token_pin"),
    )


@pytest.mark.parametrize("source", ["/etc/pin", "file:/etc/pin", "file:///etc/pin", "file:%2Fetc%2Fpin"])
def test_a_file_of_the_pin_is_named_by_its_path_or_as_a_uri(source: str) -> None:
    assert parse_token_key(f"pkcs11:object=k?{MODULE}&pin-source={source}").pin_source == Path("/etc/pin")


@given(
    st.builds(
        TokenKey,
        PATHS,
        *[st.none() | TEXTS] * 4,
        object=TEXTS,
        id=st.none() | st.binary(min_size=1, max_size=9),
        pin_source=st.none() | PATHS,
    )
)
def test_what_is_written_is_read_back(key: TokenKey) -> None:
    assert parse_token_key(key.uri) == key


def test_the_module_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODULE_VARIABLE, "/opt/a module.so")
    assert parse_token_key("pkcs11:object=k").module == Path("/opt/a module.so")
    assert parse_token_key(f"pkcs11:object=k?{MODULE}").module == Path("/usr/lib/m.so")


def test_what_does_not_begin_like_a_uri_is_a_file() -> None:
    assert parse_key_place("keys/pkcs11:object=k") == Path("keys/pkcs11:object=k")
    assert isinstance(parse_key_place(f"PKCS11:object=k?{MODULE}"), TokenKey)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        (f"pkcs11:object=k?{MODULE}&pin-value=7315", "a PIN must not stand in a URI"),
        (f"pkcs11:object=k;pin-value=7315?{MODULE}", "a PIN must not stand in a URI"),
        (f"pkcs11:object=k?{MODULE}&pin-source=|cat%20pin", "not got from a command"),
        (f"pkcs11:object=k?{MODULE}&pin-source=pin", "absolute"),
        ("pkcs11:object=k?module-path=m.so", "absolute"),
        ("pkcs11:object=k", "names no PKCS #11 module"),
        ("pkcs11:object=k?module-name=softhsm", "unknown"),
        (f"pkcs11:token=t?{MODULE}", "names no key"),
        (f"pkcs11:object=k;slot-id=4?{MODULE}", "unknown"),
        (f"pkcs11:object=k;objekt=k?{MODULE}", "unknown"),
        (f"pkcs11:object=k;object=l?{MODULE}", "twice"),
        (f"pkcs11:object=k;type=public?{MODULE}", "private"),
        (f"pkcs11:object=a key?{MODULE}", "not a value"),
        (f"pkcs11:object=k%4?{MODULE}", "not a value"),
        (f"pkcs11:object=?{MODULE}", "not a value"),
        (f"pkcs11:object=k?{MODULE}#top", "not a value"),
        (f"pkcs11:object=%FF?{MODULE}", "UTF-8"),
    ],
)
def test_what_might_name_another_key_or_show_a_pin_is_refused(
    uri: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MODULE_VARIABLE, raising=False)
    with pytest.raises(BadConfig, match=why) as caught:
        parse_token_key(uri)
    assert "7315" not in str(caught.value)
