"""Names of keys on tokens: ``pkcs11:`` URIs (RFC 7512), parsed and written.

    pkcs11:token=steward;object=almaty?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/root/pin

Rules:

1. an attribute that is not known here is an error, since passing it over might choose another key;
2. a PIN never stands in a URI, which lands in histories and process lists: ``pin-source`` names a file;
3. the module is a program that runs with the keys' rights, so it is named by an absolute path, by whoever names the key
   or in ``CIMFED_PKCS11_MODULE``, and never looked for.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, unquote, unquote_to_bytes

from cimfed.errors import BadConfig

SCHEME = "pkcs11:"
TOKEN_KEY = "A pkcs11: URI of a key on a token, to sign with in place of a new key file."  # help of an option
MODULE_VARIABLE = "CIMFED_PKCS11_MODULE"
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=/|]|%[0-9A-Fa-f]{2})+")
_PATH_WORDS = ("token", "serial", "manufacturer", "model", "object", "id", "type")
_QUERY_WORDS = ("module-path", "pin-source")
_PIN_IN_A_FILE = "Put it into a file of mode 0600 and write pin-source=file:/path"


@dataclass(frozen=True)
class TokenKey:
    """A private key on a token. What is None may be anything, but just one token and one key must fit."""

    module: Path
    token: str | None = None  # its label
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    object: str | None = None  # the key's label
    id: bytes | None = None
    pin_source: Path | None = None

    def __post_init__(self) -> None:
        if self.object is None and self.id is None:
            raise BadConfig("the URI names no key", place=self.name, remedy="Write object=LABEL or id=%01")
        for path, what in ((self.module, "module-path"), (self.pin_source, "pin-source")):
            if path is not None and not path.is_absolute():
                raise BadConfig(f"{what} must be an absolute path", place=self.name)

    @property
    def name(self) -> str:
        """The URI without module and PIN: for people and errors."""
        texts = [
            f"{word}={quote(value, safe='')}"
            for word in ("token", "serial", "manufacturer", "model", "object")
            if (value := getattr(self, word)) is not None
        ]
        if self.id is not None:
            texts.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        return SCHEME + ";".join(texts)

    @property
    def uri(self) -> str:
        query = f"?module-path={quote_from_bytes(os.fsencode(self.module))}"
        if self.pin_source is not None:
            query += f"&pin-source=file:{quote_from_bytes(os.fsencode(self.pin_source))}"
        return self.name + query


def parse_key_place(text: str) -> Path | TokenKey:
    """Where a private key is: a ``pkcs11:`` URI, or else the path of a key file."""
    return parse_token_key(text) if is_token_uri(text) else Path(text)


def is_token_uri(text: str) -> bool:
    return text[: len(SCHEME)].lower() == SCHEME


def parse_token_key(text: str) -> TokenKey:
    """BadConfig for what is no such URI. It does not repeat the URI, which may hold a PIN."""
    if not is_token_uri(text):
        raise BadConfig("not a URI of a key on a token", remedy="Write pkcs11:token=...;object=...?module-path=...")
    path, _, query = text[len(SCHEME) :].partition("?")
    asked = _attributes(path, ";", _PATH_WORDS)
    more = _attributes(query, "&", _QUERY_WORDS)
    if unquote(asked.pop("type", "private")) != "private":
        raise BadConfig("what signs is a private key", place="type")
    module = more.get("module-path", quote(os.environ.get(MODULE_VARIABLE, "")))
    if not module:
        raise BadConfig(
            "the URI names no PKCS #11 module",
            remedy=f"Write module-path=/path/of/module.so, or set {MODULE_VARIABLE}",
        )
    key_id = asked.pop("id", None)
    source = more.get("pin-source")
    return TokenKey(
        module=_path(module),
        id=None if key_id is None else unquote_to_bytes(key_id),
        pin_source=None if source is None else _pin_source(source),
        **{word: _text(word, value) for word, value in asked.items()},
    )


def _attributes(text: str, separator: str, words: tuple[str, ...]) -> dict[str, str]:
    """Values as they stand in the URI."""
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        word, _, value = part.partition("=")
        if word == "pin-value":
            raise BadConfig("a PIN must not stand in a URI", place=word, remedy=_PIN_IN_A_FILE)
        if word not in words:
            raise BadConfig("unknown in a URI of a key", place=word[:40], remedy=f"The words are {', '.join(words)}")
        if word in found:
            raise BadConfig("stands twice in the URI", place=word)
        if not _VALUE.fullmatch(value):
            raise BadConfig("not a value of a URI", place=word, remedy="Write %20 for a space, %3B for a semicolon")
        found[word] = value
    return found


def _text(word: str, value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise BadConfig("not UTF-8", place=word) from None


def _path(value: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(value)))


def _pin_source(value: str) -> Path:
    if value.startswith("|"):
        raise BadConfig("a PIN is not got from a command", place="pin-source", remedy=_PIN_IN_A_FILE)
    if value.startswith("file:"):
        value = value.removeprefix("file:")
        value = value.removeprefix("//") if value.startswith("///") else value
    return _path(value)
