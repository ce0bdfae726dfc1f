"""Keys on a token (SoftHSM): they sign as RFC 8032 says, cannot leave, fail closed when the token goes, and recover."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cimfed.errors import BadConfig, Conflict, KeyUnavailable
from cimfed.trust.identity_files import asks_for, load_signing_key, make_signing_key
from cimfed.trust.keys import PublicKey, works
from cimfed.trust.token.make import make_token_key
from cimfed.trust.token.module import Module, module_of
from cimfed.trust.token.objects import OpenedKey, public_key
from cimfed.trust.token.signer import PAUSE, TokenSigner
from cimfed.trust.token.uri import TokenKey
from tests.tokens import MODULE, PIN, Soft
from tests.unit.cimfed.trust.test_keys import RFC_8032

MESSAGE = b"what is signed"


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@contextmanager
def opened(key: TokenKey, pin: bytes = PIN, monotonic: Hands | None = None) -> Iterator[TokenSigner]:
    signer = TokenSigner(key, pin, monotonic or Hands())
    try:
        yield signer
    finally:
        signer.close()


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_signs_as_rfc_8032_says(token: Soft, seed: str, public: str, message: str, signature: str) -> None:
    token.put(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)), "rfc")
    with opened(token.key("rfc")) as signer:
        assert signer.public.raw.hex() == public
        assert signer.sign(bytes.fromhex(message)).hex() == signature


@pytest.mark.parametrize("params", ["06032b6570", "130c656477617264733235353139"])
@pytest.mark.parametrize("before", ["0420", ""])
def test_both_forms_in_which_modules_write_a_public_key_are_read(params: str, before: str) -> None:
    raw = bytes.fromhex(RFC_8032[0][1])
    held = {
        pkcs11.Attribute.EC_PARAMS: bytes.fromhex(params),
        pkcs11.Attribute.EC_POINT: bytes.fromhex(before) + raw,
    }
    assert public_key(held, TokenKey(MODULE, object="k")).raw == raw
    held[pkcs11.Attribute.EC_PARAMS] = bytes.fromhex("06032b656e")  # X25519, whose keys are as long
    with pytest.raises(BadConfig):
        public_key(held, TokenKey(MODULE, object="k"))


class TestMaking:
    def test_a_key_that_is_made_on_a_token_signs_and_cannot_leave_it(self, token: Soft) -> None:
        public = make_token_key(token.key(), PIN)
        with opened(token.key()) as signer:
            assert signer.public == public
            assert works(signer)
        with token.session() as session:
            private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="steward")
            assert private[pkcs11.Attribute.SENSITIVE]
            assert not private[pkcs11.Attribute.EXTRACTABLE]
            with pytest.raises(pkcs11.AttributeSensitive):
                private[pkcs11.Attribute.VALUE]
            point = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY)[pkcs11.Attribute.EC_POINT]
            assert point.endswith(public.raw)

    def test_a_name_or_an_id_that_is_taken_is_refused(self, token: Soft) -> None:
        make_token_key(token.key("one", id=b"\1"), PIN)
        for taken in (token.key("one"), token.key("two", id=b"\1")):
            with pytest.raises(Conflict):
                make_token_key(taken, PIN)
        make_token_key(token.key("two", id=b"\2"), PIN)

    def test_a_token_that_would_give_keys_away_keeps_none(self, token: Soft, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that does not do as it is told: the template asks for what a bad module would make of it."""
        with token.session() as session:
            kind = type(session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, {}, local=True))
        generate = kind.generate_keypair

        def lax(self: Any, **how: Any) -> Any:
            how["private_template"][pkcs11.Attribute.EXTRACTABLE] = True
            return generate(self, **how)

        monkeypatch.setattr(kind, "generate_keypair", lax)
        with pytest.raises(BadConfig, match="give the private key away"):
            make_token_key(token.key(), PIN)
        with token.session() as session:
            assert list(session.get_objects()) == []

    def test_the_public_half_goes_to_a_file(self, token: Soft, tmp_path: Path) -> None:
        public = make_signing_key(token.key(), PIN, tmp_path / "steward.pub")
        assert PublicKey.parse((tmp_path / "steward.pub").read_text()) == public


class TestOpening:
    def test_a_key_is_found_by_its_id_too(self, token: Soft) -> None:
        make_token_key(token.key("one", id=b"\1"), PIN)
        public = make_token_key(token.key("two", id=b"\2"), PIN)
        with opened(TokenKey(MODULE, token="city", id=b"\2")) as signer:
            assert signer.public == public

    def test_several_keys_of_one_name_are_told_apart_by_their_ids(self, token: Soft) -> None:
        keys = [Ed25519PrivateKey.generate() for _ in range(2)]
        for number, key in enumerate(keys):
            token.put(key, "same", f"0{number}")
        with pytest.raises(BadConfig, match="2 private keys fit"):
            TokenSigner(token.key("same"), PIN)
        with opened(token.key("same", id=b"\1")) as signer:
            assert signer.public.raw == keys[1].public_key().public_bytes_raw()

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            (rsa.generate_private_key(65537, 2048), "no Ed25519 key"),
            (Ed448PrivateKey.generate(), "no Ed25519 key"),
        ],
    )
    def test_a_key_of_another_kind_is_refused(self, token: Soft, key: Any, why: str) -> None:
        token.put(key, "other")
        with pytest.raises(BadConfig, match=why):
            TokenSigner(token.key("other"), PIN)

    def test_what_is_no_private_key_is_refused(self, token: Soft) -> None:
        with token.session() as session:
            session.create_object(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.DATA,
                    pkcs11.Attribute.LABEL: "note",
                    pkcs11.Attribute.VALUE: b"text",
                    pkcs11.Attribute.TOKEN: True,
                }
            )
        with pytest.raises(BadConfig, match="is no private key"):
            TokenSigner(token.key("note"), PIN)
        with pytest.raises(BadConfig, match="has no such key"):
            TokenSigner(token.key("nothing"), PIN)

    def test_a_key_without_its_public_half_is_refused(self, token: Soft) -> None:
        make_token_key(token.key(), PIN)
        with token.session() as session:
            session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY).destroy()
        with pytest.raises(BadConfig, match="one public key"):
            TokenSigner(token.key(), PIN)

    def test_a_token_that_is_away_is_unavailable_and_two_that_fit_are_not_guessed_at(self, token: Soft) -> None:
        make_token_key(token.key(), PIN)
        with pytest.raises(KeyUnavailable, match="no such token"):
            TokenSigner(replace(token.key(), token="elsewhere"), PIN)
        token.initialise("second")
        with pytest.raises(BadConfig, match="2 tokens fit"):
            TokenSigner(replace(token.key(), token=None), PIN)
        with opened(token.key()) as signer:
            assert works(signer)

    @pytest.mark.parametrize("content", [None, b"no library"])
    def test_what_is_no_module_is_refused_with_its_path(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "module.so"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BadConfig) as caught:
            TokenSigner(TokenKey(path, object="k"), PIN)
        assert caught.value.place == str(path)

    def test_a_wrong_pin_is_tried_once_and_never_told(self, token: Soft) -> None:
        make_token_key(token.key(), PIN)
        with pytest.raises(BadConfig, match="refuses this PIN") as caught:
            TokenSigner(token.key(), b"99887766")
        assert "99887766" not in str(caught.value)
        with opened(token.key()) as signer:
            assert works(signer)

    @pytest.mark.parametrize(
        ("flag", "why"),
        [
            (pkcs11.TokenFlag.USER_PIN_LOCKED, "has locked itself"),
            (pkcs11.TokenFlag.USER_PIN_FINAL_TRY, "none is tried"),
        ],
    )
    def test_no_pin_is_tried_that_might_lock_the_token(
        self, token: Soft, monkeypatch: pytest.MonkeyPatch, flag: pkcs11.TokenFlag, why: str
    ) -> None:
        """SoftHSM has no such flags, so here a token has nothing else; to open it would be an AttributeError."""

        class Nearly:
            flags = flag

        monkeypatch.setattr(Module, "_token", lambda *_: Nearly())
        with pytest.raises(BadConfig, match=why):
            TokenSigner(token.key(), PIN)


class TestKeyFiles:
    def test_a_key_file_may_name_a_key_on_a_token(self, token: Soft, tmp_path: Path) -> None:
        public = make_token_key(token.key(), PIN)
        pin, file = tmp_path / "pin", tmp_path / "node.key"
        file.touch(0o600)
        file.write_text(f"{token.key().uri}\n")
        assert asks_for(file) == "PIN for pkcs11:token=city;object=steward"
        with pytest.raises(BadConfig, match="asks for a PIN"):
            load_signing_key(file)
        pin.touch(0o600)
        pin.write_bytes(PIN + b"\n")
        file.write_text(f"{token.key(pin_source=pin).uri}\n")
        assert asks_for(file) is None
        signer = load_signing_key(file)
        assert signer.public == public
        signer.close()

    def test_a_pin_that_others_may_read_is_not_used(self, token: Soft, tmp_path: Path) -> None:
        pin = tmp_path / "pin"
        pin.write_bytes(PIN)
        pin.chmod(0o640)
        with pytest.raises(BadConfig, match="others may read"):
            load_signing_key(token.key(pin_source=pin))

    def test_a_uri_in_a_key_file_is_refused_with_the_files_path(self, tmp_path: Path) -> None:
        file = tmp_path / "node.key"
        file.touch(0o600)
        file.write_text(f"pkcs11:object=k?module-path={MODULE}&pin-value=7315\n")
        with pytest.raises(BadConfig) as caught:
            load_signing_key(file)
        assert caught.value.place == str(file)
        assert "7315" not in str(caught.value)


class TestFailing:
    @pytest.fixture
    def public(self, token: Soft) -> PublicKey:
        return make_token_key(token.key(), PIN)

    def test_without_its_token_it_does_not_sign_and_with_it_signs_again(
        self, token: Soft, public: PublicKey, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = Hands()
        with opened(token.key(), monotonic=clock) as signer:
            assert works(signer)
            for _ in range(2):
                token.take_away()
                with pytest.raises(KeyUnavailable) as caught:
                    signer.sign(MESSAGE)
                assert "city" not in str(caught.value)
                clock.seconds += PAUSE
                with pytest.raises(KeyUnavailable):
                    signer.sign(MESSAGE)
                token.bring_back()
                (token.folder / "other").rmdir()
                with pytest.raises(KeyUnavailable):  # it is left alone for a while
                    signer.sign(MESSAGE)
                clock.seconds += PAUSE
                assert public.verifies(signer.sign(MESSAGE), MESSAGE)
        assert "no such token" in caplog.text
        assert "signs again" in caplog.text
        assert PIN.decode() not in caplog.text

    def test_a_session_that_has_ended_is_opened_again_at_once(self, token: Soft, public: PublicKey) -> None:
        with opened(token.key()) as signer:
            module_of(token.key()).restart()
            assert public.verifies(signer.sign(MESSAGE), MESSAGE)

    def test_another_key_of_that_name_is_not_signed_with(
        self, token: Soft, public: PublicKey, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = Hands()
        with opened(token.key(), monotonic=clock) as signer:
            token.take_away()
            token.initialise()
            token.put(Ed25519PrivateKey.generate(), "steward")
            with pytest.raises(KeyUnavailable):
                signer.sign(MESSAGE)
            assert "another key has taken the place" in caplog.text
            token.bring_back()
            clock.seconds += PAUSE
            assert public.verifies(signer.sign(MESSAGE), MESSAGE)

    def test_a_pin_that_is_refused_later_is_not_tried_again(
        self, token: Soft, public: PublicKey, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Hands()
        with opened(token.key(), monotonic=clock) as signer:
            token.take_away()
            token.initialise(pin=b"another")
            with pytest.raises(KeyUnavailable):
                signer.sign(MESSAGE)
            assert "refuses this PIN" in caplog.text
            token.bring_back()
            clock.seconds += 1000 * PAUSE
            monkeypatch.setattr(Module, "session", lambda *_: pytest.fail("the token was asked again"))
            with pytest.raises(KeyUnavailable):
                signer.sign(MESSAGE)

    def test_a_faulty_signature_does_not_leave(
        self, token: Soft, public: PublicKey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sign = OpenedKey.sign

        def faulty(self: OpenedKey, message: bytes) -> bytes:
            signed = sign(self, message)
            return signed[:-1] + bytes((signed[-1] ^ 1,))

        with opened(token.key()) as signer:
            monkeypatch.setattr(OpenedKey, "sign", faulty)
            with pytest.raises(KeyUnavailable):
                signer.sign(MESSAGE)

    def test_a_closed_one_does_not_sign_and_does_not_close_others(self, token: Soft, public: PublicKey) -> None:
        with opened(token.key()) as other:
            with opened(token.key()) as signer:
                assert works(signer)
            with pytest.raises(BadConfig, match="closed"):
                signer.sign(MESSAGE)
            signer.close()
            assert works(other)

    def test_threads_may_sign_while_the_module_is_started_anew(self, token: Soft, public: PublicKey) -> None:
        wrong: list[object] = []
        with opened(token.key()) as signer:

            def sign(thread: int) -> None:
                for number in range(40):
                    message = f"{thread}.{number}".encode()
                    try:
                        if not public.verifies(signer.sign(message), message):
                            wrong.append(message)
                    except Exception as error:
                        wrong.append(error)

            threads = [threading.Thread(target=sign, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            module = module_of(token.key())
            for _ in range(5):
                with module.lock:
                    module.restart()
            for thread in threads:
                thread.join()
        assert wrong == []
