"""What is published, in what order it is written, and that it never ends by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.errors import CimfedError
from cimfed.model.names import DirectoryName
from cimfed.rpc.authorisation import PUBLISH
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.publication import Holders, sign
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.entries import Publication
from cimfed.wire import admissions as wire
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.repository import Repository
from tests.unit.cimfed.parties import CITY, SCO, Party
from tests.unit.gateway.directory.alliance import DAY, HOUR, SERVICE, START, Alliance, card_of, refusal
from tests.unit.gateway.directory.test_admission import NAME, ask, send

MINUTE = HOUR // 60


def shown(alliance: Alliance) -> int:
    """The version that a reader with the root finds in the folder."""
    root = (alliance.folder / "repository" / "root.json").read_bytes()
    return proof.read(alliance.repository.files, root, alliance.now, SCO).version


def newcomer(alliance: Alliance, name: str = "uz.tashkent") -> dict[str, bytes]:
    alliance.listing = alliance.listed(Party.make(name, START).card())
    alliance.versions[layout.REGISTRAR] += 1
    return alliance.registrar_files()


def test_the_first_publication_pins_the_root_and_is_logged(alliance: Alliance) -> None:
    assert shown(alliance) == 1
    files = alliance.repository.files
    said = [(entry.role, entry.version, entry.sha256) for entry in alliance.entries() if isinstance(entry, Publication)]
    roles = (layout.ROOT, layout.TARGETS, layout.REGISTRAR, layout.REVOKER)
    assert sorted(said) == sorted((role, 1, sha256(files[layout.metadata_file(role, 1)])) for role in roles)


def test_it_is_begun_once(alliance: Alliance) -> None:
    assert refusal(alliance.repository.begin, alliance.first()) == "conflict"


def test_it_does_not_begin_for_another_service(tmp_path: Path) -> None:
    alliance = Alliance(tmp_path)
    alliance.service = replace(alliance.service, name=DirectoryName("dir.other"))
    party = Party.make("dir.other", START)
    alliance.service = replace(alliance.service, issuers=(party.issuing.issuer,))
    assert refusal(alliance.begin) == "bad_directory"
    assert not (tmp_path / "repository").exists()


def test_the_service_does_not_take_a_directory_that_names_another(alliance: Alliance) -> None:
    other = Party.make("dir.other", START)
    service = replace(alliance.service, name=DirectoryName("dir.other"), issuers=(other.issuing.issuer,))
    alliance.versions[layout.TARGETS] += 1
    assert refusal(alliance.send, alliance.targets(service)) == "bad_directory"
    assert shown(alliance) == 1


def test_a_publication_is_served_and_logged(alliance: Alliance) -> None:
    assert alliance.send(newcomer(alliance)) == 2
    assert shown(alliance) == 2
    assert alliance.repository.roster().lists("uz.tashkent")
    last = alliance.entries()[-1]
    assert isinstance(last, Publication)
    assert (last.role, last.version) == (layout.REGISTRAR, 2)


@pytest.mark.parametrize("signer", ["online", "revoker", "stranger"])
def test_what_another_signed_is_not_taken(alliance: Alliance, signer: str) -> None:
    alliance.registrar = getattr(alliance, signer, None) or KeySigner.generate()
    before = alliance.entries()
    assert refusal(alliance.send, newcomer(alliance)) == "bad_directory"
    assert shown(alliance) == 1
    assert alliance.entries() == before


def test_of_two_that_publish_the_same_version_one_is_told(alliance: Alliance) -> None:
    first = newcomer(alliance)
    alliance.versions[layout.REGISTRAR] -= 1
    second = newcomer(alliance, "uz.samarkand")
    alliance.send(first)
    assert refusal(alliance.send, second) == "conflict"
    assert refusal(alliance.send, first) == "conflict"


@pytest.mark.parametrize("path", ["../x", "metadata/../../x.json", "/etc/passwd", "metadata/timestamp.json", "x"])
def test_a_file_lands_nowhere_else(alliance: Alliance, path: str) -> None:
    files = {**newcomer(alliance), path: b"{}"}
    assert refusal(alliance.send, files) == "bad_directory"
    assert sorted(item.name for item in alliance.folder.iterdir() if not item.name.startswith("records")) == [
        "repository"
    ]


def test_what_is_no_publication_is_refused(alliance: Alliance) -> None:
    publish = alliance.serving.calls()[PUBLISH]
    assert refusal(publish, b"\xff") == "bad_query"
    assert refusal(publish, b"\xff" * (4 * 2**20 + 1)) == "too_large"
    assert refusal(publish, wire.encode_publish({})) == "too_large"


def test_nobody_publishes_to_a_service_without_a_directory(tmp_path: Path) -> None:
    alliance = Alliance(tmp_path)
    assert refusal(alliance.send, alliance.first()) == "directory_expired"


def test_the_last_administrator_cannot_be_removed(alliance: Alliance) -> None:
    """Whatever the board signs, there are registrar keys enough to sign."""
    alliance.versions[layout.TARGETS] += 1
    with pytest.raises(CimfedError):
        Holders(())
    for keys, threshold in (((), 1), ((alliance.registrar.public,), 2)):
        held = object.__new__(Holders)
        object.__setattr__(held, "keys", keys)
        object.__setattr__(held, "threshold", threshold)
        alliance.registrars = held
        assert refusal(alliance.send, alliance.targets()) == "bad_directory"
    alliance.administer("requests")


def test_what_is_not_logged_is_not_published(alliance: Alliance) -> None:
    with alliance.records.writing() as transaction:
        transaction.exec_driver_sql("ALTER TABLE log_entry RENAME TO elsewhere")
    files = newcomer(alliance)
    assert refusal(alliance.send, files) == "log_unavailable"
    assert shown(alliance) == 1
    with alliance.records.writing() as transaction:
        transaction.exec_driver_sql("ALTER TABLE elsewhere RENAME TO log_entry")
    assert alliance.send(files) == 2  # it can be sent again
    assert shown(alliance) == 2


def crash(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_crash_before_the_log_has_it_leaves_the_version_before(
    alliance: Alliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = newcomer(alliance)
    with monkeypatch.context() as patched:
        patched.setattr(tables, "show_last", crash)
        with pytest.raises(KeyboardInterrupt):
            alliance.send(files)
    assert shown(alliance) == 1
    alliance.repository = alliance.opened()
    assert not alliance.repository.roster().lists("uz.tashkent")
    alliance.repository.publish(files)
    assert shown(alliance) == 2


@pytest.mark.parametrize("restarted", [True, False], ids=["started again", "going on"])
def test_once_the_log_has_it_it_is_published(
    alliance: Alliance, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    files = newcomer(alliance)
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "_show", crash)
        with pytest.raises(KeyboardInterrupt):
            alliance.send(files)
    assert shown(alliance) == 1
    if restarted:
        alliance.repository = alliance.opened()
    alliance.repository.renew()
    assert shown(alliance) == 2
    assert alliance.repository.roster().lists("uz.tashkent")
    assert refusal(alliance.repository.publish, files) == "conflict"
    said = [(entry.role, entry.version) for entry in alliance.entries() if isinstance(entry, Publication)]
    assert len(said) == len(set(said))


def test_a_new_root_is_seen_with_what_comes_with_it_or_not_at_all(
    alliance: Alliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, alliance.board = alliance.board, [KeySigner.generate() for _ in range(3)]
    for role in (layout.ROOT, layout.TARGETS):
        alliance.versions[role] += 1
    root = alliance.root()
    for signer in old[:2]:  # the old board says who the new one is
        root = sign(root, signer, {layout.ROOT: [signer.public]})
    files = {**root, **alliance.targets()}
    with monkeypatch.context() as patched:
        patched.setattr(tables, "show_last", crash)
        with pytest.raises(KeyboardInterrupt):
            alliance.send(files)
    alliance.repository = alliance.opened()
    assert shown(alliance) == 1
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "_show", crash)
        with pytest.raises(KeyboardInterrupt):
            alliance.repository.publish(files)
    alliance.repository = alliance.opened()
    assert shown(alliance) == 2
    assert alliance.repository.roster().directory.versions[layout.ROOT] == 2


def test_the_timestamp_is_renewed_before_it_ends_and_the_snapshot_too(alliance: Alliance) -> None:
    alliance.now += 4 * MINUTE
    assert not alliance.repository.renew()
    alliance.now += 2 * MINUTE
    assert alliance.repository.renew()
    assert not alliance.repository.renew()
    assert shown(alliance) == 1
    for step in (5 * MINUTE + 1, 4 * DAY, 5 * MINUTE + 1):
        for _ in range(3):
            alliance.now += step
            assert alliance.repository.renew()
            ends = alliance.repository.roster().directory.ends
            assert ends[layout.TIMESTAMP] > alliance.now + 14 * MINUTE
            assert ends[layout.SNAPSHOT] > alliance.now + 3 * DAY
    assert shown(alliance) == 4


def test_a_service_that_was_away_for_long_comes_back(alliance: Alliance) -> None:
    alliance.now += 30 * DAY
    alliance.repository = alliance.opened()
    assert alliance.repository.renew()
    directory = alliance.repository.roster().directory
    assert directory.ends[layout.TIMESTAMP] > alliance.now
    assert directory.ends[layout.SNAPSHOT] > alliance.now
    alliance.versions[layout.REVOKER] += 1
    alliance.repository.publish(alliance.revoker_files())
    assert alliance.repository.roster().directory.expires > alliance.now


def test_a_stolen_folder_that_was_changed_does_not_start(alliance: Alliance) -> None:
    file = alliance.folder / "repository" / "files" / layout.metadata_file(layout.REGISTRAR, 1)
    file.write_bytes(file.read_bytes().replace(b"registrar", b"registrer") + b" ")
    assert refusal(alliance.opened) == "bad_directory"


def test_requests_whose_card_was_published_during_a_crash_end_at_the_next_start(
    alliance: Alliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    invitation, party = alliance.invite(NAME), Party.make(NAME, START)
    send(alliance, invitation, card_of(party))
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "settle", lambda _: None)
        alliance.publish(alliance.listed(party.card()))
    assert ask(alliance, invitation).state == "waiting"
    alliance.opened().settle()
    assert ask(alliance, invitation).state == "listed"


def test_every_version_of_everything_is_kept(alliance: Alliance) -> None:
    before = set(alliance.repository.files)
    alliance.send(newcomer(alliance))
    assert before < set(alliance.repository.files)
    assert CITY in alliance.repository.roster().directory.members
    assert alliance.repository.roster().directory.service.name == SERVICE
