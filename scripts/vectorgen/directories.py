"""directory.json: files of the directory, a root that is pinned, and a reader's clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import rfc8785

from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.layout import (
    MEMBERS,
    REGISTRAR,
    REVOKED,
    REVOKER,
    ROOT,
    SERVICE,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    VOCABULARY,
    metadata_file,
    partners_bin,
)
from cimfed.trust.directory.listing import Listing, PublishedVocabulary, Revocation
from cimfed.trust.envelope import PayloadType, seal
from vectorgen.forms import Case, Document, accept, document, reject
from vectorgen.parties import (
    ALMATY,
    DELHI,
    MOSCOW,
    NOW,
    PARTNER,
    SECOND,
    TASHKENT,
    VERSION,
    issuer,
    keys,
    listing,
    routing,
    signer,
)
from vectorgen.repository import BOARD, ENDS, MADE, ONLINE, Files, Repository, Signed, directory, held, said_of, signed

ABOUT = (
    "The directory, read from the root that is pinned and by the reader's clock (now). files: the files of a repository"
    " as text; of a case that is made of another, those that it has instead, null for one that it lacks. documents:"
    " judging it takes the rules of the documents."
)
HOUR = 3600 * SECOND
FOUR, ONE, NOBODY, WITH_ENTRY = "four cities", "one city", "nobody", "a city with a routing entry"
CITIES = (ALMATY, DELHI, MOSCOW, TASHKENT)


def documents() -> dict[str, Document]:
    pinned = directory()[metadata_file(ROOT, 1)].decode()
    named = (*BOARD, ONLINE, REGISTRAR, REVOKER)
    cases = [*_taken(), *_roots(), *_roles(), *_entries(), *_files(), *_documents()]
    return {"directory.json": document("The directory", ABOUT, cases, keys=keys(*named), root=pinned, now=NOW)}


def _whole(name: str, members: list[str], routed: list[str]) -> Case:
    files = {path: data.decode() for path, data in _base(name).items()}
    return accept(name, files=files, version=VERSION, members=members, routed=routed)


def _instead(files: Mapping[str, bytes | None], of: Mapping[str, bytes]) -> dict[str, str | None]:
    """What differs; None for what is not there."""
    changed: dict[str, str | None] = {
        path: data.decode() for path, data in files.items() if data is not None and of.get(path) != data
    }
    return changed | {path: None for path in of if files.get(path) is None}


def _good(name: str, files: Files, members: list[str], base: str = ONE, **facts: Any) -> Case:
    says = {"version": VERSION, "members": members, "routed": []}
    return accept(name, **facts, of=base, files=_instead(files, _base(base)), **says)


def _bad(name: str, files: Files, base: str = ONE, reason: str = "bad_directory", **facts: Any) -> Case:
    return reject(name, reason, **facts, of=base, files=_instead(files, _base(base)))


def _base(name: str) -> Files:
    return directory(*{FOUR: CITIES, ONE: (ALMATY,), NOBODY: (), WITH_ENTRY: (MOSCOW,)}[name])


def _taken() -> list[Case]:
    one, none = _base(ONE), _base(NOBODY)
    vocabulary = Listing(vocabulary=PublishedVocabulary("2", bytes.fromhex("ab" * 32)))
    listed = listing(ALMATY)
    member = replace(listed.members[ALMATY], suspended=(NOW, NOW + HOUR))
    suspended = Repository(ALMATY, listed=replace(listed, members={ALMATY: member}))
    suspended.roles[TIMESTAMP]["expires"] = "2026-10-15T17:41:40Z"
    held_back = suspended.files(_later_revocations)
    gone = Repository(ALMATY, revoked=(Revocation(ALMATY, "its node was stolen", MADE),))
    return [
        _whole(FOUR, [DELHI, ALMATY, MOSCOW, TASHKENT], [MOSCOW]),
        _whole(ONE, [ALMATY], []),
        _whole(NOBODY, [], []),
        _whole(WITH_ENTRY, [MOSCOW], [MOSCOW]),
        _good("a microsecond before it expires", none, [], NOBODY, now=ENDS - 1),
        _bad("expired", none, NOBODY, "directory_expired", now=ENDS),
        _good("a published vocabulary", Repository(listed=vocabulary).files(), [], NOBODY),
        _good("a city that is revoked", gone.files(), []),
        _good("a city a microsecond before it is suspended", held_back, [ALMATY], now=NOW - 1),
        _good("a city that is suspended", held_back, [], now=NOW),
        _good("a city whose suspension is over", held_back, [ALMATY], now=NOW + HOUR),
        _good("a bin of partners is not at hand", _less(one, partners_bin("inst.iitd")), [ALMATY]),
    ]


def _later_revocations(role: str, said: Signed) -> None:
    if role == REVOKER:
        said["expires"] = "2026-10-15T17:42:00Z"


def _less(files: Files, target: str) -> Files:
    folder, _, name = target.rpartition("/")
    return {
        path: data
        for path, data in files.items()
        if not (path.startswith(f"targets/{folder}/") and path.endswith(f".{name}"))
    }


# Roots


def _roots() -> list[Case]:
    made = Repository(ALMATY)
    others = ("board 1", "board 4")
    new = said_of(drafts.root_draft(2, held(*others, threshold=2), signer(ONLINE).public, MADE))

    def under(said: Signed, *by: str) -> Files:
        """The board has changed; the targets are signed by the new one."""
        changed = Repository(ALMATY)
        changed.roots.append((said, by))
        changed.signers[TARGETS] = others
        return changed.files()

    doubled = json.loads(json.dumps(made.roots[0][0]))
    (key,) = (key for key in doubled["keys"] if key == signer(BOARD[0]).public.id.hex())
    doubled["keys"]["ab" * 32] = doubled["keys"][key]
    doubled["roles"][TARGETS]["keyids"].append("ab" * 32)
    two = Repository(ALMATY)
    two.roots[0] = doubled, BOARD[:2]
    pinned = two.files()[metadata_file(ROOT, 1)].decode()
    stranger = signed(made.roots[0][0], "board 1", "board 4").decode()
    all_of_both = ("board 1", "board 2", "board 4")
    return [
        _good("a second root, signed by the old board and by the new one", under(new, *all_of_both), [ALMATY]),
        _bad("a second root, signed by the new board alone", under(new, "board 1", "board 4")),
        _bad("a second root, signed by the old board alone", under(new, "board 1", "board 2")),
        _bad("a second root that says it is the third", under(new | {"version": 3}, *all_of_both)),
        _bad("another root is pinned", _base(ONE), root=OTHER_ROOT),
        _bad("the pinned root has too few signatures", _base(ONE), root=stranger),
        _bad("a key of the root stands under another id too", two.files(), root=pinned),
    ]


def _other_root() -> str:
    said = said_of(drafts.root_draft(1, held("board 4", "board 5", threshold=2), signer(ONLINE).public, MADE))
    return signed(said, "board 4", "board 5").decode()


# Roles: who signs, and what they may say


def _roles() -> list[Case]:
    def by(name: str, role: str, *signers: str) -> Case:
        made = Repository(ALMATY)
        made.signers[role] = signers
        return _bad(name, made.files())

    def saying(name: str, of: str, change: Callable[[Signed], object]) -> Case:
        return _bad(name, Repository(ALMATY).files(lambda role, said: change(said) if role == of else None))

    def delegations(said: Signed) -> list[Signed]:
        return said["delegations"]["roles"]  # type: ignore[no-any-return]

    def first_key(said: Signed) -> Signed:
        return next(iter(said["delegations"]["keys"].values()))  # type: ignore[no-any-return]

    more = {**json.loads(json.dumps(Repository().roles[TARGETS]["delegations"]["roles"][1])), "name": "other"}
    return [
        by("the timestamp is the registrar's", TIMESTAMP, REGISTRAR),
        by("the snapshot is the board's", SNAPSHOT, *BOARD),
        by("the targets have one signature of two", TARGETS, BOARD[0]),
        by("the targets are signed twice by one key", TARGETS, BOARD[0], BOARD[0]),
        by("the targets are the registrar's", TARGETS, REGISTRAR),
        by("the registrar's role is the revoker's", REGISTRAR, REVOKER),
        by("the revoker's role is the registrar's", REVOKER, REGISTRAR),
        by("nobody signs the registrar's role", REGISTRAR),
        saying("the board delegates to a third", TARGETS, lambda said: delegations(said).append(more)),
        saying("the revoker may speak of members", TARGETS, lambda said: delegations(said)[1]["paths"].append(MEMBERS)),
        saying("a key of another algorithm", TARGETS, lambda said: first_key(said).update(scheme="rsassa-pss-sha256")),
        saying("a city may speak of another", REGISTRAR, lambda said: delegations(said)[0].update(paths=["routing/*"])),
        saying("a delegation to a city is gone", REGISTRAR, lambda said: said.pop("delegations")),
        saying("a delegation without a member", REGISTRAR, _stewards_of(TASHKENT)),
        saying("revocations for 25 hours", REVOKER, lambda said: said.update(expires="2026-10-15T18:41:40Z")),
        saying("the registrar says it is a snapshot", REGISTRAR, lambda said: said.update(_type=SNAPSHOT)),
        saying("the timestamp does not say when it was made", TIMESTAMP, lambda said: said.pop("x-cimfed-issued")),
        saying("the timestamp was made at no time", TIMESTAMP, lambda said: said.update({"x-cimfed-issued": "today"})),
    ]


def _stewards_of(city: str) -> Callable[[Signed], object]:
    def change(said: Signed) -> None:
        (role,) = said["delegations"]["roles"]
        said["delegations"]["roles"].append({**role, "name": city, "paths": [f"routing/{city}.json"]})

    return change


# Routing entries: a city without a good one is listed all the same, and cannot be ruled out


def _entries() -> list[Case]:
    def routed(name: str, city: Any, *by: str, signed_by: str = "") -> Case:
        made = Repository(MOSCOW)
        payload = routing(city).payload
        made.route(MOSCOW, seal(PayloadType.ROUTING, payload, signer(signed_by or f"steward of {MOSCOW}")), *by)
        return _good(name, made.files(), [MOSCOW], WITH_ENTRY)

    own = _base(WITH_ENTRY)
    return [
        routed("a city's role is signed by another's steward", MOSCOW, f"steward of {TASHKENT}"),
        routed("a city's role is the registrar's", MOSCOW, REGISTRAR),
        routed("a routing entry of another city", TASHKENT),
        routed("a routing entry that the node signed", MOSCOW, signed_by=MOSCOW),
        _good("a city's role is not at hand", _without(own, f"3.{MOSCOW}.json"), [MOSCOW], WITH_ENTRY),
        _good("a city's routing entry is not at hand", _less(own, f"routing/{MOSCOW}.json"), [MOSCOW], WITH_ENTRY),
    ]


def _without(files: Files, end: str) -> Files:
    return {path: data for path, data in files.items() if not path.endswith(end)}


# Files: versions, lengths, hashes


def _files() -> list[Case]:
    one = _base(ONE)

    def instead(name: str, end: str, data: Callable[[bytes], bytes]) -> Case:
        (path,) = (path for path in one if path.endswith(end))
        return _bad(name, one | {path: data(one[path])})

    def saying(name: str, of: str, change: Callable[[Signed], object]) -> Case:
        return _bad(name, Repository(ALMATY).files(lambda role, said: change(said) if role == of else None))

    def about(said: Signed, role: str) -> Signed:
        return said["meta"][f"{role}.json"]  # type: ignore[no-any-return]

    return [
        instead("another snapshot than the timestamp vouches for", f".{SNAPSHOT}.json", lambda data: data + b" "),
        instead("another role than the snapshot vouches for", f".{REGISTRAR}.json", lambda data: data + b"\n"),
        instead("another target than its role says", f".{MEMBERS}", lambda data: data.replace(b":7443", b":7444")),
        instead("a timestamp that is cut short", f"{TIMESTAMP}.json", lambda data: data[:-1]),
        _bad("the timestamp is not there", _without(one, f"{TIMESTAMP}.json")),
        _bad("the snapshot is not there", _without(one, f".{SNAPSHOT}.json")),
        _bad("the registrar's role is not there", _without(one, f".{REGISTRAR}.json")),
        _bad("the revocations are not there", _without(one, f".{REVOKED}")),
        _bad("the members are not there", _without(one, f".{MEMBERS}")),
        saying("a snapshot that says it is the next", SNAPSHOT, lambda said: said.update(version=VERSION + 1)),
        saying("a role that says it is the next", REGISTRAR, lambda said: said.update(version=said["version"] + 1)),
        saying(
            "the snapshot vouches for a shorter role",
            SNAPSHOT,
            lambda said: about(said, TARGETS).update(length=9),
        ),
        saying("the snapshot vouches for no hash", SNAPSHOT, lambda said: about(said, TARGETS).pop("hashes")),
        saying("the snapshot vouches for no revocations", SNAPSHOT, lambda said: said["meta"].pop("revoker.json")),
        saying(
            "the timestamp vouches for a newer one",
            TIMESTAMP,
            lambda said: about(said, SNAPSHOT).update(version=8),
        ),
        saying("the registrar's role names no members", REGISTRAR, lambda said: said["targets"].pop(MEMBERS)),
    ]


# Documents


def _documents() -> list[Case]:
    made = Repository(ALMATY)
    members = made.contents[MEMBERS]
    listed: Signed = json.loads(members)
    member = listed["members"][ALMATY]
    partners = partners_bin(PARTNER)
    steward = signer(f"steward of {ALMATY}").public.text

    def bad(name: str, target: str, content: Any) -> Case:
        changed = Repository(ALMATY)
        if target not in changed.contents:
            changed.roles[REGISTRAR]["targets"][target] = {}
        changed.contents[target] = content if isinstance(content, bytes) else rfc8785.dumps(content)
        return _bad(name, changed.files(), documents=True)

    def city(name: str, **other: Any) -> Case:
        return bad(name, MEMBERS, listed | {"members": {ALMATY: member | other}})

    def revoked(name: str, *items: Signed) -> Case:
        return bad(name, REVOKED, json.loads(made.contents[REVOKED]) | {"revoked": list(items)})

    def vocabulary(name: str, **other: Any) -> Case:
        return bad(name, VOCABULARY, {"format": "cimfed/published-vocabulary/v1", **other})

    theft = {"subject": ALMATY, "reason": "stolen", "at": "2026-10-14T17:00:00Z"}
    at = "2026-10-14T17:00:00Z"
    return [
        bad("not canonical: a blank", MEMBERS, members.replace(b",", b", ", 1)),
        bad("an unknown field", MEMBERS, listed | {"motto": "one"}),
        bad("a field twice", MEMBERS, members.replace(b'"format"', b'"federation":"sco","format"')),
        bad("a field is missing", MEMBERS, {key: value for key, value in listed.items() if key != "gateways"}),
        bad("another format", MEMBERS, listed | {"format": "cimfed/members/v2"}),
        bad("members of another federation", MEMBERS, listed | {"federation": "scp"}),
        bad("not JSON", MEMBERS, members[:-1]),
        city("a member without an address", address=""),
        city("a port that is none", address="kz.almaty.example:65536"),
        city("a member without a key", keys=[]),
        city("a member with a key of another algorithm", keys=["rsa:" + "00" * 32]),
        city("the city's key is its steward's too", keys=[steward]),
        city("a key twice", keys=member["keys"] * 2),
        city("a member without an issuer", issuers=[]),
        city("a certificate that was made for another name", issuers=[issuer(TASHKENT).pem.decode()]),
        city("three issuers", issuers=member["issuers"] * 3),
        city("a suspension that ends before it begins", suspended=[at, "2026-10-01T00:00:00Z"]),
        city("a suspension in another form", suspended=["2026-10-14T17:00Z", "2027-10-14T17:00:00Z"]),
        bad("a partner's name among the members", MEMBERS, _renamed(listed, ALMATY, PARTNER)),
        bad("a gateway's key is a city's", MEMBERS, _with_gateway_key(listed, member["keys"])),
        bad("partners in another bin", partners_bin("inst.iitd"), made.contents[partners]),
        bad("a partner whose country is none", partners, made.contents[partners].replace(b'"CN"', b'"cn"')),
        bad("a service of another kind", SERVICE, made.contents[SERVICE].replace(b'"dir.alliance"', b'"gw.service"')),
        revoked("something is revoked twice", theft, theft),
        revoked("what is revoked is no name or key", theft | {"subject": "ab" * 31}),
        revoked("a reason of two lines", theft | {"reason": "lost\nand found"}),
        vocabulary("a vocabulary without a hash", version="2"),
        vocabulary("a vocabulary's hash that is too short", version="2", sha256="ab" * 31),
        vocabulary("a vocabulary's hash in capitals", version="2", sha256="AB" * 32),
    ]


def _renamed(listed: Signed, old: str, new: str) -> Signed:
    return listed | {"members": {new if name == old else name: item for name, item in listed["members"].items()}}


def _with_gateway_key(listed: Signed, keys_of: list[str]) -> Signed:
    return listed | {"gateways": {name: item | {"keys": keys_of} for name, item in listed["gateways"].items()}}


OTHER_ROOT = _other_root()
