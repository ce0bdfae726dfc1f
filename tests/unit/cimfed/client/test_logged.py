"""The log's part of a receipt: the decision on this query, in the log of this city, cosigned by whom it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import pytest

from cimfed.client.logged import Asking, Logged, Signed, check, revoked_since, trimmed
from cimfed.errors import DataLoss, Forged, LogInconsistent
from cimfed.model.answer import Manifest, Outcome
from cimfed.model.names import CityName
from cimfed.query.query import Catalog, Query, Read
from cimfed.trust.directory.listing import Directory
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, cosign, sign_checkpoint, with_signatures
from cimfed.trust.tlog.entries import Act, Decision, Entry, Position, encode
from cimfed.trust.tlog.note import Note
from cimfed.wire.logs import Proven
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, World
from tests.unit.cimfed.trust.tlog.test_merkle import head, path

NOW = 1_790_000_000_000_000
SECONDS = NOW // 1_000_000
CITY_NAME = CityName(CITY)
TASHKENT, QINGDAO = "uz.tashkent", "cn.qingdao"
OTHERS = [Act(NOW, "import", "aigerim", token=bytes([number]) * 16) for number in range(6)]


@dataclass
class Bench:
    """A log of seven entries, in which a decision stands, and what an answer says of it."""

    world: World
    entry: Entry
    manifest: Manifest
    query: Query
    directory: Directory  # of when it was answered

    def note(self, *cosigners: str, signer: Signer | None = None, at: int = SECONDS + 5, origin: str = "") -> Note:
        entries = [encode(one) for one in (*OTHERS[:3], self.entry, *OTHERS[3:])]
        made = Checkpoint(origin or f"sco/{CITY}", len(entries), head(entries))
        note = sign_checkpoint(made, signer or self.world.parties[CITY].signer)
        lines = [cosign(note, Origin(SCO, name), self.world.parties[name].signer, at) for name in cosigners]
        return with_signatures(note, lines)

    def proven(self, note: Note | None = None) -> Proven:
        entries = [encode(one) for one in (*OTHERS[:3], self.entry, *OTHERS[3:])]
        chosen = note or self.note(TASHKENT, QINGDAO)
        return Proven(encode(self.entry), 3, tuple(path(3, entries)), chosen.to_bytes())

    def check(self, proven: Proven | None = None) -> Logged:
        asking = Asking(self.query, b"r" * 32, b"k" * 32, PARTNER, GATEWAY)
        return check(CITY_NAME, proven or self.proven(), self.manifest, asking, self.directory)


@pytest.fixture
def bench() -> Bench:
    world = World(NOW, CITY, TASHKENT, QINGDAO, GATEWAY, PARTNER)
    entry = Decision(
        NOW, Position(77), b"r" * 32, b"k" * 32, PARTNER, GATEWAY, "read", "research", "building", 3, "massing", "v1"
    )
    manifest = Manifest(
        request_hash=b"r" * 32,
        narrowing_hash=b"",
        federation=SCO,
        city=CITY_NAME,
        collection="building",
        outcome=Outcome.ANSWERED,
        grant="massing",
        view="v1",
        policy_version=3,
        now=NOW,
        decision=77,
    )
    query = Query(SCO, Read("building"), "research", NOW, NOW + 1, bytes(16))
    return Bench(world, entry, manifest, query, world.directory)


def test_a_decision_in_the_log_is_what_the_answer_says_and_who_cosigned_it(bench: Bench) -> None:
    logged = bench.check()
    assert (logged.origin, logged.index, logged.size) == ("sco/kz.almaty", 3, 7)
    assert {city: item.at for city, item in logged.cosigned.items()} == {
        TASHKENT: (SECONDS + 5) * 1_000_000,
        QINGDAO: (SECONDS + 5) * 1_000_000,
    }
    assert str(logged) == "logged as entry 3, cosigned by cn.qingdao, uz.tashkent"
    assert str(bench.check(bench.proven(bench.note()))) == "logged as entry 3, cosigned by nobody yet"


CHANGES = {
    "position": Position(78),
    "request_hash": b"q" * 32,
    "key_id": b"x" * 32,
    "organisation": "inst.iitd",
    "presenter": PARTNER,
    "kind": "aggregate",
    "purpose": "planning",
    "collection": "bridge",
    "policy": 4,
    "grant": "other",
    "view": "v2",
    "time": NOW + 1,
    "reason": "not_granted",
}


def test_every_fact_of_a_decision_is_compared() -> None:
    assert CHANGES.keys() == {field.name for field in fields(Decision)}


@pytest.mark.parametrize("field", CHANGES)
def test_a_decision_that_says_otherwise_is_no_proof(bench: Bench, field: str) -> None:
    bench.entry = replace(bench.entry, **{field: CHANGES[field]})  # type: ignore[arg-type]
    with pytest.raises(LogInconsistent, match=CITY):
        bench.check()


def test_a_refusal_is_compared_by_its_reason_and_need_not_name_the_policy(bench: Bench) -> None:
    bench.entry = replace(bench.entry, reason="blocked", grant="", view="")  # type: ignore[call-arg]
    refused = replace(bench.manifest, outcome=Outcome.REFUSED, reason="blocked", grant="", view="", policy_version=0)
    bench.manifest = refused
    bench.check()
    for wrong in (replace(refused, reason="not_granted"), replace(refused, policy_version=2), bench.manifest):
        bench.manifest = wrong
        if wrong is not refused:
            with pytest.raises(LogInconsistent):
                bench.check()


def test_a_refusal_that_is_given_again_has_the_line_of_the_first(bench: Bench) -> None:
    bench.entry = replace(bench.entry, reason="replayed", view="")  # type: ignore[call-arg]
    bench.manifest = replace(bench.manifest, outcome=Outcome.REFUSED, reason="replayed", view="", now=NOW + 9)
    bench.check()
    bench.manifest = replace(bench.manifest, now=NOW - 1)
    with pytest.raises(LogInconsistent, match="time"):
        bench.check()


def test_an_answer_that_broke_off_was_granted_all_the_same(bench: Bench) -> None:
    bench.manifest = replace(bench.manifest, outcome=Outcome.REFUSED, reason="policy_changed")
    bench.check()


def test_a_catalogue_may_be_of_no_policy(bench: Bench) -> None:
    bench.query = replace(bench.query, request=Catalog(None))
    changes = {"kind": "catalog", "collection": "", "grant": "", "view": ""}
    bench.entry = replace(bench.entry, **changes)  # type: ignore[arg-type]
    bench.manifest = replace(bench.manifest, collection="", grant="", view="", policy_version=0)
    bench.check()


def test_an_entry_that_is_no_decision_is_no_proof(bench: Bench) -> None:
    bench.entry = OTHERS[0]
    with pytest.raises(LogInconsistent, match="no decision"):
        bench.check()


Change = Callable[[Bench], Proven]
BROKEN: dict[str, tuple[Change, type[DataLoss]]] = {
    "signed by another": (lambda bench: bench.proven(bench.note(signer=KeySigner.generate())), Forged),
    "of another city": (lambda bench: bench.proven(bench.note(origin="sco/uz.tashkent")), LogInconsistent),
    "of another federation": (lambda bench: bench.proven(bench.note(origin="apec/kz.almaty")), LogInconsistent),
    "of no party": (lambda bench: bench.proven(bench.note(origin="sco/kz.almaty/1")), LogInconsistent),
    "another index": (lambda bench: replace(bench.proven(), index=2), LogInconsistent),
    "another hash": (
        lambda bench: replace(bench.proven(), proof=(bytes(32), *bench.proven().proof[1:])),
        LogInconsistent,
    ),
    "a hash less": (lambda bench: replace(bench.proven(), proof=bench.proven().proof[1:]), LogInconsistent),
    "cosigned by nobody known": (
        lambda bench: bench.proven(
            with_signatures(bench.note(), [cosign(bench.note(), Origin(SCO, QINGDAO), KeySigner.generate(), SECONDS)])
        ),
        Forged,
    ),
    "cosigned by itself": (lambda bench: bench.proven(bench.note(CITY)), Forged),
    "cosigned before it was decided": (
        lambda bench: bench.proven(bench.note(TASHKENT, at=SECONDS - 60)),
        LogInconsistent,
    ),
    "no note": (lambda bench: replace(bench.proven(), checkpoint=b"nothing"), LogInconsistent),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_proof_is_found(bench: Bench, name: str) -> None:
    change, error = BROKEN[name]
    with pytest.raises(error, match=CITY):
        bench.check(change(bench))


def test_signatures_of_those_whom_the_answers_directory_did_not_list_are_left_out(bench: Bench) -> None:
    late = cosign(bench.note(), Origin(SCO, "in.delhi"), KeySigner.generate(), SECONDS)
    proven = bench.proven(with_signatures(bench.note(TASHKENT), [late]))
    with pytest.raises(Forged):
        bench.check(proven)
    assert set(bench.check(trimmed(proven, bench.world.directory)).cosigned) == {TASHKENT}


def revoking(bench: Bench, *subjects: str, at: int = NOW + 60_000_000) -> list[tuple[str, bool, tuple[str, ...]]]:
    parties = bench.world.parties
    signers = [Signed(name, parties[name].signer.public) for name in (PARTNER, CITY, GATEWAY)]
    logged = {CITY_NAME: bench.check()}
    for subject in subjects:
        bench.world.board.revoke(subject, "stolen", at)
    return [(item.signed.party, item.counts, item.by) for item in revoked_since(signers, logged, bench.world.directory)]


def key(bench: Bench, name: str) -> str:
    return bench.world.parties[name].signer.public.id.hex()


def test_a_key_that_is_revoked_later_counts_where_the_decision_was_cosigned_before(bench: Bench) -> None:
    assert revoking(bench) == []
    assert revoking(bench, key(bench, CITY)) == [(CITY, True, (QINGDAO, TASHKENT))]
    assert revoking(bench, PARTNER) == [
        (PARTNER, True, (QINGDAO, TASHKENT)),
        (CITY, True, (QINGDAO, TASHKENT)),
    ]


def test_a_key_that_was_revoked_before_it_was_cosigned_does_not_count(bench: Bench) -> None:
    assert revoking(bench, CITY, at=NOW + 5_000_000) == [(CITY, False, ())]


def test_a_witness_that_is_revoked_itself_vouches_for_nothing(bench: Bench) -> None:
    assert revoking(bench, CITY, key(bench, TASHKENT)) == [(CITY, True, (QINGDAO,))]
    assert revoking(bench, QINGDAO)[0] == (CITY, False, ())


def test_what_a_gateway_said_of_those_that_signed_stands_on_their_signatures(bench: Bench) -> None:
    assert revoking(bench, GATEWAY) == [(GATEWAY, True, ())]
