"""What `cimfed directory sign` shows of a draft before it asks: who comes and goes, which keys, how many must sign."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from cimfed.trust.card import parse_card
from cimfed.trust.directory.acceptance import holders
from cimfed.trust.identity_files import load_public_key
from tests.service import Running

SIGN = ("cimfed", "directory", "sign")


def new_key(service: Running, name: str) -> str:
    """The first digits of its id."""
    service.ok("cimfed", "key", "new", f"{name}.key", "--no-passphrase")
    return load_public_key(service.folder / f"{name}.pub").id.hex()[:16]


def shown(service: Running, draft: str, *key: str) -> list[str]:
    found = service.ok(*SIGN, draft, "--key", *(key or ("office/board.key",)), "--dry-run", "--json").json
    assert found["changed"] is False
    changes: list[str] = found["changes"]
    said = service.ok(*SIGN, draft, "--key", *(key or ("office/board.key",)), "--dry-run").out
    assert all(f"  {line}\n" in said for line in changes)
    return changes


def test_keys_of_roles_that_come_and_go_and_how_many_must_sign(service: Running) -> None:
    amina, registrar = new_key(service, "amina"), new_key(service, "registrar")
    old = {role: held.keys[0].id.hex()[:16] for role, held in holders(service.directory).items()}
    service.ok("cimfed", "directory", "rotate-root", "--add", "amina.pub", "--threshold", "2", "--registrar",
               "registrar.pub", "--out", "next.json")  # fmt: skip
    assert shown(service, "next.json") == [
        "for root 2 of 2 must sign, before 1 of 1",
        f"board's key {amina} comes",
        f"registrar's key {old['registrar']} goes",
        f"registrar's key {registrar} comes",
    ]
    said = service.ok("cimfed", "directory", "status", "next.json").out
    assert "in the place of version 1 of the directory of sco:" in said
    assert "root, version 2, good until" in said
    assert "before until" in said


def test_a_root_that_is_only_renewed_says_so(service: Running) -> None:
    said = service.ok("cimfed", "directory", "rotate-root", "--out", "next.json").out
    assert "nothing changes but until when it holds" in said
    assert shown(service, "next.json") == []


def test_a_key_that_is_known_as_anothers_is_named_by_that(service: Running) -> None:
    service.join_city()
    steward = service.directory.members["kz.almaty"].stewards[0].id.hex()[:16]  # type: ignore[index]
    service.ok("cimfed", "directory", "rotate-root", "--add", "kz.almaty.steward.pub", "--out", "next.json")
    assert shown(service, "next.json") == [
        f"board's key {steward} comes, known as steward's key {steward} of kz.almaty"
    ]


def test_a_second_registrar_is_shown_who_comes_who_goes_and_which_key_is_renewed(service: Running) -> None:
    service.join_gateway()
    service.join_partner()
    service.join_partner("inst.pku")
    new_key(service, "registrar")
    service.ok("cimfed", "directory", "rotate-root", "--registrar", "office/registrar.pub", "--registrar",
               "registrar.pub", "--registrar-threshold", "2", "--out", "next.json")  # fmt: skip
    for key in ("office/board.key", "office/registrar.key", "registrar.key"):
        service.ok(*SIGN, "next.json", "--key", key, "--yes")
    service.ok("cimfed", "directory", "publish", "next.json", "--yes")
    token = service.token("member", "kz.almaty")
    service.ok("cimfed-node", "join", token, "--home", "almaty", "--address", "localhost:9", "--steward-key",
               service.steward("kz.almaty"))  # fmt: skip
    fingerprint = parse_card((service.folder / "almaty" / "card.json").read_bytes()).fingerprint
    service.ok("cimfed", "requests", "approve", "kz.almaty", "--yes", "--out", "city.json")
    assert shown(service, "city.json", "registrar.key") == [f"city kz.almaty comes, fingerprint {fingerprint}"]
    service.ok("cimfed", "partner", "remove", "inst.pku", "--reason", "left", "--yes", "--out", "gone.json")
    (line,) = shown(service, "gone.json", "registrar.key")
    assert line.startswith("partner inst.pku goes, fingerprint ")
    service.ok("cimfed", "key", "renew", "inst.iitd", "--key-days", "700", "--yes", "--out", "renewed.json")
    gone, come = shown(service, "renewed.json", "registrar.key")
    key = service.directory.partner("inst.iitd").keys[0].key.id.hex()[:16]
    assert gone.startswith(f"inst.iitd: access key {key}, valid ")
    assert gone.endswith(" goes")
    assert come.startswith(f"inst.iitd: access key {key}, valid ")
    assert come.endswith(" comes")


def changed(draft: Path, path: str, edit: Any) -> None:
    """The draft with another file of that name in the place of the one that the metadata names."""
    document = json.loads(draft.read_bytes())
    (name,) = (each for each in document["files"] if each.endswith(path))
    content = edit(b64decode(document["files"][name]))
    if content is None:
        del document["files"][name]
    else:
        document["files"][name] = b64encode(content).decode()
    draft.write_text(json.dumps(document))


def test_a_draft_with_a_file_that_would_not_be_signed_is_not_signed(service: Running) -> None:
    """What is shown would be something else than what the signature is over."""
    service.ok("cimfed", "directory", "rotate-root", "--out", "next.json")
    draft = service.folder / "next.json"
    changed(draft, ".service.json", lambda content: content.replace(b"127.0.0.1", b"127.0.0.2"))
    before = draft.read_bytes()
    said = service.run(*SIGN, "next.json", "--key", "office/board.key", "--yes")
    assert said.code == 2
    assert "what would be signed cannot be read" in said.err
    assert draft.read_bytes() == before


@pytest.mark.parametrize("word", ["sign", "status"])
def test_a_first_draft_without_the_file_that_it_names_is_not_signed(service: Running, word: str) -> None:
    init = ("cimfed", "directory", "init", "sco", "--service", "service/card.json", "--online",
            "service/keys/online.pub", "--out", "again.json", "--alone", "other", "--no-passphrase")  # fmt: skip
    assert "directory dir.alliance comes, fingerprint" in service.ok(*init).out
    changed(service.folder / "again.json", ".service.json", lambda _: None)
    key = ("--key", "other/board.key", "--yes") if word == "sign" else ()
    assert service.refused("cimfed", "directory", word, "again.json", *key) == "bad_directory"
