"""Who may sign what: thresholds count distinct keys, a role says its own and nothing else, old holders do not count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cimfed.errors import BadConfig, BadDirectory, CimfedError
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.follow import pin
from cimfed.trust.directory.publication import Holders
from cimfed.trust.keys import KeySigner, Signer
from tests.attack.directory.thief import (
    CITY,
    DAY,
    OTHER,
    Shelf,
    Town,
    changed,
    content,
    follower,
    key_item,
    newest,
    put_together,
    routing,
    signatures,
    signed_in,
    stamped,
    text_of,
    town,
    with_target,
)


@pytest.fixture
def sco() -> Town:
    return town()


def refused_everywhere(sco: Town, home: Path, publication: dict[str, bytes], online: Signer | None = None) -> None:
    """By the service; and, were its keys stolen, by a new follower, by one that is up to date, and by receipts."""
    with pytest.raises(CimfedError):
        sco.board.accept(publication, sco.clock())
    shelf = Shelf(sco.files)
    followed = follower(home / "old", sco.board.root, sco.clock, shelf)
    before = followed.refresh()
    forged = stamped(sco.files, publication, online or sco.board.online, sco.clock())
    shelf.files = forged
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert followed.current(sco.clock()) is before
    with pytest.raises(BadDirectory):
        follower(home / "new", sco.board.root, sco.clock, Shelf(forged)).refresh()
    with pytest.raises(BadDirectory):
        proof.read(forged, sco.board.root, sco.clock())


# Thresholds


def two_of_three(sco: Town) -> list[KeySigner]:
    """The board asks for two of three registrars from now on; each publication has two signatures."""
    board, now = sco.board, sco.clock()
    registrars = [KeySigner.generate() for _ in range(3)]
    held = Holders(tuple(key.public for key in registrars), 2)
    draft = {
        **drafts.targets_draft(2, board.of, board.service, held, board._one(board.revoker), now),
        **drafts.registrar_draft(2, board.of, sco.listing, now),
    }
    holders = {layout.TARGETS: board.board.keys, layout.REGISTRAR: held.keys}
    for signer in (*board.keys[:2], *registrars[:2]):
        draft = drafts.sign(draft, signer, holders)
    board.accept(draft, now)
    return registrars


def test_one_of_two_registrars_is_not_enough(sco: Town, tmp_path: Path) -> None:
    registrars = two_of_three(sco)
    refused_everywhere(sco, tmp_path, changed(sco.files, layout.REGISTRAR, lambda _: None, registrars[0]))
    sco.board.accept(changed(sco.files, layout.REGISTRAR, lambda _: None, registrars[0], registrars[2]), sco.clock())


def twice(files: dict[str, bytes], role: str, signer: Signer, second: Callable[[dict[str, str]], Any]) -> Any:
    """The next version with one signature, and with the same one again after ``second`` has changed it."""
    signed = signed_in(files[newest(files, role)])
    signed["version"] += 1
    (one,) = signatures(signed, [signer])
    other = dict(one)
    second(other)
    data = json.dumps({"signatures": [one, other], "signed": signed}).encode()
    return {f"metadata/{signed['version']}.{role}.json": data}


@pytest.mark.parametrize(
    "second",
    [
        lambda _: None,
        lambda item: item.update(keyid=item["keyid"].upper()),
        lambda item: item.update(sig=item["sig"].upper()),
        lambda item: item.update(keyid=item["keyid"] + " "),
    ],
    ids=["again", "under its id in capitals", "in capitals", "under its id and a space"],
)
def test_one_signature_twice_is_one(sco: Town, tmp_path: Path, second: Callable[[dict[str, str]], Any]) -> None:
    registrars = two_of_three(sco)
    refused_everywhere(sco, tmp_path / "registrar", twice(sco.files, layout.REGISTRAR, registrars[0], second))
    refused_everywhere(sco, tmp_path / "root", twice(sco.files, layout.ROOT, sco.board.keys[0], second))


def test_one_signature_under_the_id_of_each_key_is_one(sco: Town, tmp_path: Path) -> None:
    registrars = two_of_three(sco)
    refused_everywhere(
        sco,
        tmp_path,
        twice(
            sco.files, layout.REGISTRAR, registrars[0],
            lambda item: item.update(keyid=registrars[1].public.id.hex()),
        ),
    )  # fmt: skip


IDS = {
    "a made-up id": lambda key: "00" * 32,
    "its id in capitals": lambda key: key.public.id.hex().upper(),
    "its bytes": lambda key: key.public.raw.hex(),
}


@pytest.mark.parametrize("id", IDS)
def test_one_key_under_two_ids_does_not_meet_a_threshold_of_two(sco: Town, tmp_path: Path, id: str) -> None:
    """Not in a delegation of the registrar's, though the board signed it, nor in a root, nor in a pinned one."""
    board, now = sco.board, sco.clock()
    key = board.registrar
    other = IDS[id](key)

    def name_twice(signed: dict[str, Any]) -> None:
        signed["delegations"]["keys"][other] = key_item(key.public)
        (role,) = (role for role in signed["delegations"]["roles"] if role["name"] == layout.REGISTRAR)
        role.update(keyids=[key.public.id.hex(), other], threshold=2)

    more = changed(sco.files, layout.TARGETS, name_twice, *board.keys[:2])
    more |= twice(sco.files, layout.REGISTRAR, key, lambda item: item.update(keyid=other))
    refused_everywhere(sco, tmp_path / "delegation", more)
    root = signed_in(board.root)
    mine = board.keys[0].public
    root["keys"][IDS[id](board.keys[0])] = key_item(mine)
    root["roles"]["root"].update(keyids=[mine.id.hex(), IDS[id](board.keys[0])], threshold=2)
    for version in (1, 2):
        root["version"] = version
        false = put_together(root, *board.keys)
        with pytest.raises(BadDirectory):
            pin(tmp_path / str(version), false)
    refused_everywhere(sco, tmp_path / "root", {"metadata/2.root.json": false})
    assert now < board.directory.expires


def test_a_steward_alone_signs_where_the_registrar_named_two_and_asked_for_both(sco: Town) -> None:
    """Entries of such a city are not taken until both sign."""
    both = [sco.steward, KeySigner.generate()]

    def two(signed: dict[str, Any]) -> None:
        signed["delegations"]["keys"][both[1].public.id.hex()] = key_item(both[1].public)
        (role,) = (role for role in signed["delegations"]["roles"] if role["name"] == CITY)
        role.update(keyids=[key.public.id.hex() for key in both], threshold=2)

    sco.board.accept(changed(sco.files, layout.REGISTRAR, two, sco.board.registrar), sco.clock())
    now = sco.clock()
    draft = drafts.city_draft(CITY, 2, routing(CITY, sco.steward, now, 2), now + DAY)
    alone = drafts.sign(draft, both[0], {CITY: [both[0].public]})
    with pytest.raises(BadDirectory):
        sco.board.accept(alone, now)
    sco.board.accept(drafts.sign(alone, both[1], {CITY: [both[1].public]}), now)
    assert sco.board.directory.routing(CITY) is not None


# The board's rotation


def next_root(sco: Town, keys: list[KeySigner], threshold: int, *signers: Signer) -> dict[str, bytes]:
    """A root of these keys, and what the board says below it, signed by those given."""
    board, now = sco.board, sco.clock()
    held = Holders(tuple(key.public for key in keys), threshold)
    version = board.directory.versions[layout.ROOT] + 1
    draft = {
        **drafts.root_draft(version, held, board.online.public, now),
        **drafts.targets_draft(
            board.directory.versions[layout.TARGETS] + 1, board.of, board.service,
            board._one(board.registrar), board._one(board.revoker), now,
        ),
    }  # fmt: skip
    everyone = {role: [signer.public for signer in signers] for role in (layout.ROOT, layout.TARGETS)}
    for signer in signers:
        draft = drafts.sign(draft, signer, everyone)
    return draft


@pytest.mark.parametrize(
    ("old", "new"), [(0, 2), (1, 2), (2, 0), (2, 1)], ids=["new alone", "one old", "old alone", "one new"]
)
def test_a_new_board_needs_the_thresholds_of_the_old_and_of_the_new(
    sco: Town, tmp_path: Path, old: int, new: int
) -> None:
    keys = [KeySigner.generate() for _ in range(3)]
    refused_everywhere(sco, tmp_path, next_root(sco, keys, 2, *sco.board.keys[:old], *keys[:new]))
    sco.board.accept(next_root(sco, keys, 2, *sco.board.keys[:2], *keys[:2]), sco.clock())
    followed = follower(tmp_path / "good", sco.board.root, sco.clock, Shelf(sco.files))
    assert followed.refresh().versions[layout.ROOT] == 2


def test_a_threshold_is_not_lowered_without_the_old_one(sco: Town, tmp_path: Path) -> None:
    refused_everywhere(sco, tmp_path, next_root(sco, sco.board.keys[:1], 1, sco.board.keys[0]))


def test_three_boards_later_followers_old_and_new_follow_at_once(sco: Town, tmp_path: Path) -> None:
    shelf = Shelf(sco.files)
    followed = follower(tmp_path / "old", sco.board.root, sco.clock, shelf)
    followed.refresh()
    for _ in range(3):
        keys = [KeySigner.generate() for _ in range(3)]
        sco.board.accept(next_root(sco, keys, 2, *sco.board.keys[:2], *keys[:2]), sco.clock())
        sco.board.keys = keys
    shelf.files = sco.files
    assert followed.refresh().versions[layout.ROOT] == 4
    anew = follower(tmp_path / "new", sco.board.root, sco.clock, shelf)
    assert content(anew.refresh()) == content(followed.current(sco.clock()))
    assert proof.read(sco.board.directory.files, sco.board.root, sco.clock()).versions[layout.ROOT] == 4


def test_a_root_is_not_left_out_nor_taken_back(sco: Town, tmp_path: Path) -> None:
    for _ in range(2):
        keys = [KeySigner.generate() for _ in range(3)]
        sco.board.accept(next_root(sco, keys, 2, *sco.board.keys[:2], *keys[:2]), sco.clock())
        sco.board.keys = keys
    shelf = Shelf(sco.files)
    shelf.lies["metadata/2.root.json"] = None
    with pytest.raises(BadDirectory):
        follower(tmp_path / "gap", sco.board.root, sco.clock, shelf).refresh()
    shelf = Shelf(sco.files)
    followed = follower(tmp_path / "all", sco.board.root, sco.clock, shelf)
    followed.refresh()
    shelf.lies["metadata/3.root.json"] = None
    sco.board.restamp(sco.clock())
    shelf.files = sco.files
    assert followed.refresh().versions[layout.ROOT] == 3
    restarted = follower(tmp_path / "all", sco.board.root, sco.clock, shelf)
    assert restarted.current(sco.clock()).versions[layout.ROOT] == 3


# Rotation of those below


def new_holders(sco: Town) -> None:
    """The board names another registrar and another revoker; both speak anew."""
    board, now = sco.board, sco.clock()
    board.registrar, board.revoker = KeySigner.generate(), KeySigner.generate()
    draft = {
        **drafts.targets_draft(2, board.of, board.service, board._one(board.registrar), board._one(board.revoker), now),
        **drafts.registrar_draft(2, board.of, sco.listing, now),
        **drafts.revoker_draft(2, board.of, (), now),
    }
    board.accept(board.sign(draft, *board.keys[:2], board.registrar, board.revoker), now)


@pytest.mark.parametrize("role", [layout.REGISTRAR, layout.REVOKER])
def test_what_a_former_holder_signs_counts_for_nothing(sco: Town, tmp_path: Path, role: str) -> None:
    former = sco.board.registrar if role == layout.REGISTRAR else sco.board.revoker
    new_holders(sco)
    refused_everywhere(sco, tmp_path, changed(sco.files, role, lambda _: None, former))


@pytest.mark.parametrize("role", [layout.REGISTRAR, layout.REVOKER])
def test_holders_are_not_exchanged_before_the_new_ones_have_spoken(sco: Town, tmp_path: Path, role: str) -> None:
    """Else what the old ones signed would be in force, or nothing."""
    board, now, new = sco.board, sco.clock(), KeySigner.generate()
    keys = {layout.REGISTRAR: board.registrar, layout.REVOKER: board.revoker, role: new}
    draft = drafts.targets_draft(
        2, board.of, board.service, board._one(keys[layout.REGISTRAR]), board._one(keys[layout.REVOKER]), now
    )
    refused_everywhere(sco, tmp_path, board.sign(draft, *board.keys[:2]))


def test_nobody_but_the_board_names_a_registrar(sco: Town, tmp_path: Path) -> None:
    thief = KeySigner.generate()

    def named(signed: dict[str, Any]) -> None:
        signed["delegations"]["keys"][thief.public.id.hex()] = key_item(thief.public)
        signed["delegations"]["roles"][0]["keyids"] = [thief.public.id.hex()]

    for number, signers in enumerate(
        ([], [sco.board.keys[0]], [sco.board.registrar, sco.board.revoker, sco.board.online])
    ):
        more = changed(sco.files, layout.TARGETS, named, *signers)
        more |= changed(sco.files, layout.REGISTRAR, lambda _: None, thief)
        refused_everywhere(sco, tmp_path / str(number), more)


# A role says its own


def reaching(sco: Town, role: str, path: str, of: str, signer: Signer) -> dict[str, bytes]:
    """A role's next version, which names a target of another role's: that role's present file."""
    own = next(data for file, data in sco.files.items() if file.startswith("targets/") and file.endswith(of))
    files: dict[str, bytes] = {}
    more = changed(sco.files, role, lambda signed: files.update(with_target(signed, path, own)), signer)
    return {**more, **files}


def test_the_registrar_does_not_speak_for_board_or_revoker(sco: Town, tmp_path: Path) -> None:
    for path in (layout.SERVICE, layout.REVOKED, "routing/kz.almaty.json", "anything.json"):
        more = reaching(sco, layout.REGISTRAR, path, ".revoked.json", sco.board.registrar)
        refused_everywhere(sco, tmp_path / path.replace("/", "-"), more)


def test_the_revoker_lists_nobody(sco: Town, tmp_path: Path) -> None:
    for path, of in (
        (layout.MEMBERS, ".members.json"),
        ("partners/0.json", ".0.json"),
        (layout.SERVICE, ".service.json"),
    ):
        more = reaching(sco, layout.REVOKER, path, of, sco.board.revoker)
        refused_everywhere(sco, tmp_path / path.replace("/", "-"), more)


def test_a_steward_speaks_for_its_city_alone(sco: Town) -> None:
    """Another city's entry, a second target, further delegation, a delegate's keys: its own entry is then not taken."""
    now = sco.clock()
    other = f"routing/{OTHER}.json"
    publications = [
        reaching(sco, CITY, other, f".{CITY}.json", sco.steward),
        reaching(sco, CITY, layout.MEMBERS, ".members.json", sco.steward),
        changed(sco.files, CITY, lambda signed: signed["targets"].pop(f"routing/{CITY}.json"), sco.steward),
        changed(sco.files, CITY, lambda signed: delegate(signed, sco.steward), sco.steward),
        changed(sco.files, CITY, lambda signed: signed.update({"x-long": "x" * layout.CITY_LIMIT}), sco.steward),
        drafts.sign(
            drafts.city_draft(OTHER, 1, routing(OTHER, sco.steward, now), now + DAY),
            sco.steward,
            {OTHER: [sco.steward.public]},
        ),
        drafts.sign(
            drafts.city_draft(CITY, 2, routing(OTHER, sco.steward, now), now + DAY),
            sco.steward,
            {CITY: [sco.steward.public]},
        ),
    ]
    for publication in publications:
        with pytest.raises(BadDirectory):
            sco.board.accept(publication, now)
        forged = proof.read(stamped(sco.files, publication, sco.board.online, now), sco.board.root, now)
        assert forged.members[OTHER].entry is None
        assert forged.members[CITY].entry is None or f"metadata/1.{OTHER}.json" in publication


def delegate(signed: dict[str, Any], to: Signer) -> None:
    key = to.public.id.hex()
    role = {"name": "further", "keyids": [key], "threshold": 1, "terminating": False, "paths": ["*"]}
    signed["delegations"] = {"keys": {key: key_item(to.public)}, "roles": [role]}


def test_no_steward_can_shut_followers_out(sco: Town, tmp_path: Path) -> None:
    """A target under a second hash: followers would look for a file of that name, which no mirror has."""
    path = next(path for path in sco.files if path.startswith("targets/routing/"))

    def hashed_twice(signed: dict[str, Any]) -> None:
        target = signed["targets"][f"routing/{CITY}.json"]
        target["hashes"] = {"sha512": hashlib.sha512(sco.files[path]).hexdigest(), **target["hashes"]}

    more = {**changed(sco.files, CITY, hashed_twice, sco.steward), path: sco.files[path]}
    with pytest.raises(BadDirectory):
        sco.board.accept(more, sco.clock())
    forged = stamped(sco.files, more, sco.board.online, sco.clock())
    directory = follower(tmp_path, sco.board.root, sco.clock, Shelf(forged)).refresh()
    assert directory.members[CITY].entry is None


def test_a_role_below_does_not_delegate_further(sco: Town, tmp_path: Path) -> None:
    thief = KeySigner.generate()
    for role, signers in (
        (layout.REVOKER, [sco.board.revoker]),
        (layout.REGISTRAR, [sco.board.registrar]),
        (layout.TARGETS, sco.board.keys[:2]),
    ):
        refused_everywhere(
            sco, tmp_path / role, changed(sco.files, role, lambda signed: delegate(signed, thief), *signers)
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda role: role.update(paths=["routing/*"]),
        lambda role: role.update(paths=[*role["paths"], "members.json"]),
        lambda role: role.update(paths=[]),
        lambda role: role.update(terminating=False),
        lambda role: role.update(threshold=0),
        lambda role: role.update(keyids=role["keyids"] * 2),
        lambda role: role.update(keyids=["00" * 32]),
        lambda role: (role.pop("paths"), role.update(path_hash_prefixes=["0"])),
    ],
)
def test_a_city_is_given_its_routing_entry_and_nothing_else(
    sco: Town, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    more = changed(
        sco.files, layout.REGISTRAR, lambda signed: change(signed["delegations"]["roles"][0]), sco.board.registrar
    )
    refused_everywhere(sco, tmp_path, more)


# How long


def test_revocations_do_not_hold_for_more_than_a_day(sco: Town, tmp_path: Path) -> None:
    now = sco.clock()
    longer = changed(
        sco.files, layout.REVOKER, lambda signed: signed.update(expires=text_of(now + DAY + 60_000_000)),
        sco.board.revoker,
    )  # fmt: skip
    refused_everywhere(sco, tmp_path, longer)


@pytest.mark.parametrize("role", [layout.TARGETS, layout.REGISTRAR, layout.REVOKER, CITY])
def test_the_service_takes_nothing_that_has_ended_or_never_ends(sco: Town, role: str) -> None:
    signers = {
        layout.TARGETS: sco.board.keys[:2], layout.REGISTRAR: [sco.board.registrar],
        layout.REVOKER: [sco.board.revoker], CITY: [sco.steward],
    }[role]  # fmt: skip
    path = next((path for path in sco.files if role == CITY and path.startswith("targets/routing/")), None)
    for expires in (text_of(sco.clock() - 1_000_000), "9999-12-31T23:59:59Z"):
        more = changed(sco.files, role, lambda signed, expires=expires: signed.update(expires=expires), *signers)
        more |= {path: sco.files[path]} if path else {}
        with pytest.raises(BadDirectory):
            sco.board.accept(more, sco.clock())


def test_a_revocation_is_not_taken_back_by_the_revoker_alone(sco: Town) -> None:
    board, now = sco.board, sco.clock()
    board.revoke("inst.tsinghua", "lost", now)
    for revoked in ((), board.directory.revoked[1:]):
        with pytest.raises(BadDirectory, match="stays revoked"):
            board.accept(board.sign(drafts.revoker_draft(3, board.of, revoked, now), board.revoker), now)
    reworded = changed(sco.files, layout.REVOKER, lambda signed: signed["targets"].clear(), board.revoker)
    with pytest.raises(BadDirectory):
        board.accept(reworded, now)
    assert "inst.tsinghua" not in board.directory.partners


# Keys of another kind


def rsa_item() -> tuple[str, dict[str, Any]]:
    pem = rsa.generate_private_key(65537, 2048).public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip
    return "11" * 32, {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": pem}}


KEYS: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "RSA": rsa_item,
    "an unknown kind": lambda: ("22" * 32, {"keytype": "sphincs", "scheme": "x", "keyval": {"public": "00"}}),
    "an unknown scheme": lambda: ("22" * 32, {"keytype": "ed25519", "scheme": "x", "keyval": {"public": "00" * 32}}),
    "of small order": lambda: (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "01" + "00" * 31}},
    ),
    "too short": lambda: ("33" * 32, {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00" * 31}}),
    "no hex": lambda: ("33" * 32, {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "zz" * 32}}),
    "no key": lambda: ("33" * 32, {"keytype": "ed25519", "scheme": "ed25519", "keyval": {}}),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("of", layout.TOP)
def test_no_role_at_the_top_has_a_key_of_another_kind(sco: Town, tmp_path: Path, kind: str, of: str) -> None:
    id, item = KEYS[kind]()
    root = signed_in(sco.board.root)
    root["version"] = 2
    root["keys"][id] = item
    root["roles"][of]["keyids"].append(id)
    false = put_together(root, *sco.board.keys)
    with pytest.raises(BadDirectory):
        sco.board.accept({"metadata/2.root.json": false}, sco.clock())
    with pytest.raises(BadDirectory):
        pin(tmp_path / "pinned", false)
    shelf = Shelf({**sco.files, "metadata/2.root.json": false})
    with pytest.raises(BadDirectory):
        follower(tmp_path / "new", sco.board.root, sco.clock, shelf).refresh()


@pytest.mark.parametrize("kind", KEYS)
def test_no_role_below_has_a_key_of_another_kind(sco: Town, tmp_path: Path, kind: str) -> None:
    id, item = KEYS[kind]()

    def named(signed: dict[str, Any]) -> None:
        signed["delegations"]["keys"][id] = item
        signed["delegations"]["roles"][0]["keyids"].append(id)

    refused_everywhere(sco, tmp_path / "board", changed(sco.files, layout.TARGETS, named, *sco.board.keys[:2]))
    refused_everywhere(sco, tmp_path / "registrar", changed(sco.files, layout.REGISTRAR, named, sco.board.registrar))


def test_holders_name_each_key_once() -> None:
    key = KeySigner.generate().public
    with pytest.raises(BadConfig):
        Holders((key, key), 2)
