"""The directory service's commands, typed as its operator types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.authorisation import ADMINISTER, FETCH, HEALTH_CHECK, PUBLISH
from cimfed.trust.admin import AdminRequest, Occasion, seal_admin
from cimfed.trust.card import parse_card
from cimfed.trust.directory import layout, proof, publication
from cimfed.trust.directory.listing import Listing, Service
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.directory.publication import Holders
from cimfed.trust.identity_files import load_public_key
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import dns_name
from cimfed.trust.token.make import make_token_key
from cimfed.v1 import directory_service_pb2
from cimfed.wire import admissions as wire
from tests.tokens import PIN, Soft
from tests.unit.cimfed.parties import SCO

COMMAND = str(Path(sys.executable).parent / "cimfed-gateway")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "COLUMNS": "200"}
NAME = "dir.alliance"
WITHIN = 60.0


def environment() -> dict[str, str]:
    return ENVIRONMENT | {name: os.environ[name] for name in ("SOFTHSM2_CONF",) if name in os.environ}


def run(*argv: str, expect: int = 0) -> str:
    done = subprocess.run(
        [COMMAND, "directory", *argv], capture_output=True, text=True, check=False, env=environment(), timeout=60
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


class Office:
    """Board, registrar and revoker with their keys, and the service's home."""

    def __init__(self, folder: Path) -> None:
        self.home, self.folder = folder / "dir", folder
        self.board, self.registrar, self.revoker = (KeySigner.generate() for _ in range(3))

    def init(self, expect: int = 0, **change: str) -> str:
        options = {"federation": "sco", "address": "localhost:8443", "listen": "localhost:0", **change}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return run("init", NAME, "--home", str(self.home), *words, expect=expect)

    def found(self) -> Path:
        """The first draft, signed by everybody."""
        card = parse_card((self.home / "card.json").read_bytes())
        assert card.kind is Kind.DIRECTORY
        online = load_public_key(self.home / "keys" / "online.pub")
        service = Service(card.name, card.address, card.issuers, card.keys)  # type: ignore[arg-type]
        now, one = clock.now(), Holders((self.board.public,))
        drafts = [
            (layout.ROOT, self.board, publication.root_draft(1, one, online, now)),
            (
                layout.TARGETS,
                self.board,
                publication.targets_draft(
                    1, SCO, service, Holders((self.registrar.public,)), Holders((self.revoker.public,)), now
                ),
            ),
            (layout.REGISTRAR, self.registrar, publication.registrar_draft(1, SCO, Listing(), now)),
            (layout.REVOKER, self.revoker, publication.revoker_draft(1, SCO, (), now)),
        ]
        signed: dict[str, bytes] = {}
        for role, signer, draft in drafts:
            signed |= publication.sign(draft, signer, {role: [signer.public]})
        file = self.folder / "first.draft.json"
        file.write_bytes(publication.to_file(signed))
        return file

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Where it listens."""
        log = self.folder / "log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [COMMAND, "directory", "serve", "--home", str(self.home)],
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=environment(),
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on localhost:"), log.read_text()
            yield line.removeprefix("listening on ").strip()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()

    def call(self, address: str, method: str, request: bytes) -> bytes:
        issuer = parse_card((self.home / "card.json").read_bytes()).issuers[0]
        options = (("grpc.ssl_target_name_override", dns_name(SCO, NAME)), ("grpc.enable_http_proxy", 0))
        credentials = grpc.ssl_channel_credentials(issuer.pem)
        with grpc.secure_channel(address, credentials, options) as channel:
            return bytes(channel.unary_unary(method)(request, timeout=WITHIN))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_service_is_made_begun_served_published_to_and_served_again(office: Office) -> None:
    said = office.init()
    assert "keys/online.pub" in said
    assert {path.stat().st_mode & 0o777 for path in (office.home / "keys").glob("*.key")} == {0o600}
    said = run("begin", str(office.found()), "--home", str(office.home))
    assert "version 1 of the directory of sco is published" in said
    root = (office.home / "repository" / "root.json").read_bytes()
    with office.serving() as address:
        assert office.call(address, HEALTH_CHECK, b"") == b"\x08\x01"
        assert "is running" in run("serve", "--home", str(office.home), expect=5)
        order = AdminRequest(Occasion.now(SCO, NAME, clock.now()), "requests", {})  # type: ignore[arg-type]
        envelope = wire.encode_administer(seal_admin(order, office.registrar))
        assert wire.decode_administered(office.call(address, ADMINISTER, envelope)) == wire.Administered()
        draft = publication.revoker_draft(2, SCO, (), clock.now())
        files = publication.sign(draft, office.revoker, {layout.REVOKER: [office.revoker.public]})
        assert wire.decode_published(office.call(address, PUBLISH, wire.encode_publish(files))) == 2
    assert "sco/dir.alliance: 5 entries" in run("log", "verify", "--home", str(office.home))
    with office.serving() as address:
        request = directory_service_pb2.FetchRequest(path=layout.TIMESTAMP_FILE).SerializeToString()
        reply = directory_service_pb2.FetchReply.FromString(office.call(address, FETCH, request))
        files = Folder(office.home / "repository" / "files")
        current = {**{path: files[path] for path in files}, layout.TIMESTAMP_FILE: reply.content}
        assert proof.read(current, root, clock.now(), SCO).versions[layout.REVOKER] == 2


def test_a_service_whose_keys_are_on_a_token(office: Office, token: Soft) -> None:
    pin = office.folder / "pin"
    pin.touch(0o600)
    pin.write_bytes(PIN)
    places = {option: token.key(label, pin_source=pin) for option, label in (("key", "log"), ("online-key", "online"))}
    made = {option: make_token_key(key, PIN) for option, key in places.items()}
    office.init(**{option: key.uri for option, key in places.items()})
    assert parse_card((office.home / "card.json").read_bytes()).keys == (made["key"],)
    assert load_public_key(office.home / "keys" / "online.pub") == made["online-key"]
    assert all(b"PRIVATE" not in (office.home / "keys" / name).read_bytes() for name in ("directory.key", "online.key"))
    run("begin", str(office.found()), "--home", str(office.home))
    with office.serving() as address:
        assert office.call(address, HEALTH_CHECK, b"") == b"\x08\x01"
    assert "1 signed checkpoints agree" in run("log", "verify", "--home", str(office.home))
    token.take_away()
    assert "key_unavailable" in run("serve", "--home", str(office.home), expect=7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "foo"}, "is not an address (at --address)"),
        ({"listen": "foo:99999"}, "is not host:port (at --listen)"),
        ({"federation": "SCO"}, "is not a federation's name"),
    ],
)
def test_a_wrong_word_is_refused_and_nothing_is_made(office: Office, change: dict[str, str], said: str) -> None:
    assert said in office.init(expect=2, **change)
    assert not office.home.exists()


def test_what_lacks_a_step_says_which(office: Office) -> None:
    assert "init first" in run("serve", "--home", str(office.home), expect=3)
    office.init()
    assert "cimfed-gateway directory begin" in run("serve", "--home", str(office.home), expect=7)
    assert "already exists" in office.init(expect=5)
    empty = office.folder / "empty"
    empty.write_bytes(publication.to_file({layout.TIMESTAMP_FILE: b"{}"}))
    assert "a first publication has" in run("begin", str(empty), "--home", str(office.home), expect=2)
    signed = str(office.found())
    run("begin", signed, "--home", str(office.home))
    assert "there is a directory here already" in run("begin", signed, "--home", str(office.home), expect=5)


def test_an_unknown_word_in_the_settings_is_refused(office: Office) -> None:
    office.init()
    with (office.home / "directory.toml").open("a") as file:
        file.write('mirrors = ["https://x"]\n')
    assert "directory.toml" in run("serve", "--home", str(office.home), expect=2)
