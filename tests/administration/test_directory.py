"""The registrar's directory as it is typed: founded, shown, renewed; its keys encrypted, and on a token."""

from __future__ import annotations

from pathlib import Path

from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.trust.card import parse_card
from cimfed.trust.directory import layout
from cimfed.trust.directory.edit import DAY
from cimfed.trust.identity_files import make_identity
from cimfed.trust.token.module import module_of
from tests.service import Running, serving
from tests.tokens import PIN, Soft

SCO = Federation("sco")
FACTS = ("--service", "service/card.json", "--online", "service/keys/online.pub", "--out", "again.json")


def keys_of(office: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in office.iterdir() if path.is_file()}


def test_init_makes_a_directory_of_nobody_that_verifies(service: Running) -> None:
    directory = service.directory
    assert (directory.federation, directory.version) == ("sco", 1)
    assert list(directory.published.parties()) == []
    for role in ("board", "registrar", "revoker"):
        assert (service.office / f"{role}.key").stat().st_mode & 0o777 == 0o600


def test_init_never_replaces_an_office_nor_any_key_of_it(service: Running) -> None:
    before = keys_of(service.office)
    init = ("cimfed", "directory", "init", "sco", *FACTS, "--no-passphrase", "--alone")
    said = service.run(*init, "office")
    assert said.code == 5
    assert said.err.startswith("error conflict: ")
    assert keys_of(service.office) == before
    (service.folder / "half").mkdir()
    (service.folder / "half" / "revoker.pub").write_text("another's")
    assert service.refused(*init, "half") == "conflict"
    assert keys_of(service.folder / "half") == {"revoker.pub": b"another's"}
    assert not (service.folder / "again.json").exists()


def test_an_empty_folder_is_no_office(service: Running) -> None:
    said = service.run("cimfed", "directory", "show", "--home", ".")
    assert said.code == 3
    assert "cimfed directory init" in said.err


def test_show_lists_everybody_with_the_fingerprint_that_each_was_shown(service: Running) -> None:
    service.join_gateway()
    service.join_city()
    service.join_partner()
    shown = service.ok("cimfed", "directory", "show").out
    assert "localhost:9" in shown
    for card in ("kz.almaty/card.json", "gw.alliance/card.json", "profiles/inst.iitd/card.json"):
        its = parse_card((service.folder / card).read_bytes())
        assert f"{its.name}, fingerprint {its.fingerprint}" in shown


def test_what_was_known_last_is_shown_where_the_service_is_away_and_nothing_is_changed(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.join_gateway()
    shown = service.ok("cimfed", "directory", "show").out
    assert "gw.alliance" in shown
    assert "note: this is what was known last: node_unreachable" in shown
    assert service.refused("cimfed", "directory", "renew", "--yes") == "node_unreachable"


def test_renew_is_the_same_listing_one_version_on(service: Running) -> None:
    service.join_gateway()
    before, began = service.directory, clock.now()
    service.ok("cimfed", "directory", "renew", "--days", "200", "--yes")
    after = service.directory
    assert after.versions[layout.REGISTRAR] == before.versions[layout.REGISTRAR] + 1
    assert after.published == before.published
    assert began + 199 * DAY < after.ends[layout.REGISTRAR] <= clock.now() + 200 * DAY


def test_what_the_registrar_says_holds_for_ten_years_at_most(service: Running) -> None:
    assert service.run("cimfed", "directory", "renew", "--days", "3661", "--yes").code == 2
    service.ok("cimfed", "directory", "renew", "--days", "3660", "--yes")


def test_an_encrypted_key_is_opened_by_its_passphrase_alone(service: Running) -> None:
    """A registrar whose key is encrypted takes over by ceremony."""
    (service.folder / "secret").write_text("correct horse\n")
    (service.folder / "wrong").write_text("battery staple\n")
    service.ok("cimfed", "key", "new", "new.key", "--passphrase-file", "secret")
    take_over(service, "new.pub", "new.key", "--passphrase-file", "secret")
    renew = ("cimfed", "directory", "renew", "--yes", "--key", "new.key")
    version = service.directory.version
    assert service.refused(*renew, "--passphrase-file", "wrong") == "bad_config"
    assert "a passphrase or PIN is needed" in service.run(*renew).err
    assert service.directory.version == version
    said = service.ok(*renew, "--passphrase-file", "secret")
    assert service.directory.version == version + 1
    assert "correct horse" not in said.out + said.err


def test_a_registrar_signs_the_directory_with_a_token(service: Running, token: Soft) -> None:
    pin = service.folder / "pin"
    pin.write_bytes(PIN)
    uri = token.key("registrar").uri
    service.ok("cimfed", "key", "new", uri, "--out", "made.pub", "--passphrase-file", pin)
    take_over(service, "made.pub", uri, "--passphrase-file", pin)
    version = service.directory.version
    assert service.refused("cimfed", "directory", "renew", "--yes") == "bad_config"  # the office's own
    service.ok("cimfed", "directory", "renew", "--yes", "--key", uri, "--passphrase-file", pin)
    make_identity(service.folder / "gw", "gw.alliance", SCO, clock.now(), "localhost:9")
    service.ok("cimfed", "member", "add", "gw/card.json", "--yes", "--key", uri, "--passphrase-file", pin)
    assert service.directory.version == version + 2
    assert module_of(token.key()).unused


def take_over(service: Running, public: str, key: str, *secret: object) -> None:
    """The board names another registrar, who signs what the last one said."""
    service.ok("cimfed", "directory", "rotate-root", "--registrar", public, "--out", "next.json")
    service.ok("cimfed", "directory", "sign", "next.json", "--key", "office/board.key", "--yes")
    assert service.refused("cimfed", "directory", "publish", "next.json", "--yes") == "bad_config"
    service.ok("cimfed", "directory", "sign", "next.json", "--key", key, *secret, "--yes")
    service.ok("cimfed", "directory", "publish", "next.json", "--yes")


def new_key(service: Running, name: str) -> str:
    service.ok("cimfed", "key", "new", f"{name}.key", "--no-passphrase")
    return f"{name}.pub"


def test_more_than_half_of_a_board_must_sign_unless_it_is_said_otherwise(service: Running) -> None:
    board = [word for name in ("amina", "bolat", "chen") for word in ("--board", new_key(service, name))]
    roles = ("--registrar", new_key(service, "registrar"), "--revoker", new_key(service, "revoker"))
    said = service.ok("cimfed", "directory", "init", "sco", *FACTS, *board, *roles)
    assert "root: 2 of 3: " in said.out
    assert "still to sign: 2 for root, 2 for targets" in said.out
    (service.folder / "again.json").unlink()
    assert "root: 3 of 3: " in service.ok("cimfed", "directory", "init", "sco", *FACTS, *board, *roles,
                                          "--threshold", "3").out  # fmt: skip


def test_the_next_root_asks_for_no_fewer_signatures_unless_that_is_said(service: Running) -> None:
    dana = new_key(service, "dana")
    rotate = ("cimfed", "directory", "rotate-root")
    service.ok(*rotate, "--add", dana, "--threshold", "2", "--out", "two.json")
    for key in ("office/board.key", "dana.key"):
        service.ok("cimfed", "directory", "sign", "two.json", "--key", key, "--yes")
    service.ok("cimfed", "directory", "publish", "two.json", "--yes")
    said = service.run(*rotate, "--remove", dana, "--out", "one.json")
    assert said.code == 2
    assert "2 must sign now, and 1 key is left (at --threshold)" in said.err
    assert not (service.folder / "one.json").exists()
    assert "root: 1 of 1: " in service.ok(*rotate, "--remove", dana, "--threshold", "1", "--out", "one.json").out


def test_a_draft_that_is_published_already_changes_nothing(service: Running) -> None:
    service.ok("cimfed", "directory", "rotate-root", "--out", "next.json")
    service.ok("cimfed", "directory", "sign", "next.json", "--key", "office/board.key", "--yes")
    assert service.ok("cimfed", "directory", "publish", "next.json", "--yes", "--json").json["changed"] is True
    found = service.ok("cimfed", "directory", "publish", "next.json", "--yes", "--json").json
    assert (found["changed"], found["version"]) == (False, service.directory.version)


def test_a_draft_that_another_one_has_overtaken_is_neither_signed_nor_published(service: Running) -> None:
    for name in ("first", "second"):
        service.ok("cimfed", "directory", "rotate-root", "--out", f"{name}.json")
    sign, publish = (("cimfed", "directory", word) for word in ("sign", "publish"))
    service.ok(*sign, "first.json", "--key", "office/board.key", "--yes")
    service.ok(*publish, "first.json", "--yes")
    before = (service.folder / "second.json").read_bytes()
    said = service.run(*sign, "second.json", "--key", "office/board.key", "--yes")
    assert said.code == 5
    assert "is published already, and this is another 2 (at second.json)" in said.err
    assert (service.folder / "second.json").read_bytes() == before
    assert service.refused(*publish, "second.json", "--yes") == "conflict"


def test_a_new_office_says_whether_the_directory_verifies_from_its_root(service: Running) -> None:
    made = ("cimfed", "directory", "office", "--root", "office/directory/root.json", "--directory", service.address)
    assert (
        "version 1 of the directory of sco verifies" in service.ok(*made, "--federation", "sco", "--home", "good").out
    )
    said = service.ok(*made, "--federation", "oecd", "--home", "other")
    assert "note: nothing verifies from it yet: bad_directory" in said.err
    assert "verifies from it" not in said.out
