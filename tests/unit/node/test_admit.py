"""Every numbered check of a node, each refusal by its reason. Requests are made by hand, not by cimfed's encoders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cimfed.errors import CimfedError
from cimfed.model.limits import LIMITS, Limits
from cimfed.model.names import Kind, PartnerName
from cimfed.query.query import Aggregate, Catalog, Read
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.entries import Decision, Outcome
from cimfed.trust.tls import IssuingKey, Peer
from cimfed.v1 import query_pb2, query_service_pb2
from cimfed_node.admit import Admission, Admitter, Refusal
from cimfed_node.policies import Policies
from cimfed_node.tables import Control
from cimfed_node.tables.admissions import decisions
from cimfed_node.tables.blocks import Block, lift_block, put_block
from tests.federation import raw
from tests.federation.world import FEDERATION, SECOND, City, World, buildings

GRANTS = """
  - id: massing
    subject: {country: [CN, IN]}
    purpose: [research, both]
    collection: building
    columns: {id: exact, height: exact}
    geometry: {max_lod: 0}
  - id: uses
    subject: {country: [CN]}
    purpose: [statistics, both]
    collection: building
    columns: {function: exact}
  - id: by-hand
    subject: {country: [CN]}
    purpose: [direct-only]
    collection: building
    columns: {id: exact}
    via: [direct]
"""
PARTNER = Peer(Kind.PARTNER, "inst.tsinghua")
GATEWAY = Peer(Kind.GATEWAY, "gw.alliance")
COUNT = [query_pb2.Measure(function=query_pb2.FUNCTION_COUNT)]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    world.add_gateway("gw.alliance")
    world.add_gateway("gw.second")
    world.add_partner("inst.tsinghua", "CN")
    world.add_partner("inst.iitd", "IN")
    world.add_partner("inst.other", "BR")
    city = world.add_city("kz.almaty")
    city.adopt(buildings("kz.almaty", [{"height": Decimal(9), "at": (76.9, 43.2)}]))
    city.activate(GRANTS)
    return world


@dataclass
class Door:
    """One city's admitter, and how to knock at it."""

    world: World
    city: City
    control: Control
    now: int

    def admitter(self, limits: Limits = LIMITS, control: Control | None = None) -> Admitter:
        home = self.city.home
        return Admitter(
            home.city,
            home.federation,
            self.world.directories,
            control or self.control,
            Policies(home),
            home.place,
            lambda: self.now,
            limits,
        )

    def signer(self, name: str = "inst.tsinghua") -> Any:
        return self.world.parties[name].signer

    def query(self, **fields: Any) -> query_pb2.Query:
        if not {"read", "aggregate", "catalog"} & set(fields):
            fields["read"] = raw.read()
        return raw.query(self.now, **fields)

    def admit(self, asked: query_pb2.Query, peer: Peer = PARTNER, **how: Any) -> Admission | Refusal:
        kind = {"read": Read, "aggregate": Aggregate, "catalog": Catalog}[asked.WhichOneof("request")]
        request = raw.ask(
            self.signer(peer.name) if peer is PARTNER else self.signer(), asked, how.pop("narrowings", ())
        )
        return self.admitter(**how).admit(kind, request, peer)

    def reason(self, asked: query_pb2.Query, peer: Peer = PARTNER, **how: Any) -> str:
        """Of a signed refusal; empty where the query is admitted."""
        verdict = self.admit(asked, peer, **how)
        return verdict.error.reason if isinstance(verdict, Refusal) else ""

    def narrowing(self, asked: query_pb2.Query, gateway: str = "gw.alliance", *passed: str) -> Any:
        return raw.narrowing(self.signer(gateway), gateway, asked, passed)

    def log(self) -> list[tuple[int, Decision, Outcome | None]]:
        with self.control.reading() as connection:
            return decisions(connection)


@pytest.fixture
def door(federation: World) -> Iterator[Door]:
    city = federation.cities["kz.almaty"]
    with city.control() as control:
        with control.writing() as connection:
            for what in ("DELETE FROM slot", "DELETE FROM nonce", "UPDATE clock SET mark = 0"):
                connection.execute(text(what))
        yield Door(federation, city, control, federation.clock())


def raised(call: Callable[[], object]) -> str:
    """The reason of the error that a call raises: nobody has proven to have asked."""
    with pytest.raises(CimfedError) as error:
        call()
    return error.value.reason


# What is admitted


def test_a_query_is_admitted_and_logged_by_names_and_hashes_alone(door: Door) -> None:
    secret = query_pb2.Literal(text="a very telling literal")
    where = query_pb2.Expression(
        comparison=query_pb2.Comparison(
            op=query_pb2.COMPARATOR_EQ,
            left=query_pb2.Operand(property="id"),
            right=query_pb2.Operand(literal=secret),
        )
    )
    asked = door.query(read=raw.read(where=where))
    verdict = door.admit(asked)
    assert isinstance(verdict, Admission)
    assert verdict.given.grant == "massing"
    assert verdict.view is not None
    assert verdict.view.rows == 1
    sequence, line, outcome = door.log()[-1]
    assert (sequence, outcome) == (verdict.decision, None)
    assert line == Decision(
        time=door.now,
        position=verdict.decision,
        request_hash=verdict.signed.request_hash,
        key_id=door.signer().public.id,
        organisation="inst.tsinghua",
        presenter="inst.tsinghua",
        kind="read",
        purpose="research",
        collection="building",
        policy=door.city.version,
        grant="massing",
        view=verdict.view.id,
    )
    database = door.city.home.database
    assert not any(b"telling" in file.read_bytes() for file in database.parent.glob("control.sqlite*"))


def test_a_gateway_presents_with_its_narrowing(door: Door) -> None:
    asked = door.query(via=["gw.alliance"])
    verdict = door.admit(asked, GATEWAY, narrowings=[door.narrowing(asked)])
    assert isinstance(verdict, Admission)
    assert verdict.signed.way.presenter == "gw.alliance"
    assert door.log()[-1][1].presenter == "gw.alliance"
    assert door.log()[-1][1].organisation == "inst.tsinghua"


def test_gateways_in_a_row_are_all_named_and_all_sign(door: Door) -> None:
    asked = door.query(via=["gw.alliance", "gw.second"])
    way = [door.narrowing(asked, "gw.second"), door.narrowing(asked, "gw.alliance", "gw.second")]
    verdict = door.admit(asked, GATEWAY, narrowings=way)
    assert isinstance(verdict, Admission)
    assert verdict.signed.way.passed == ("gw.second",)
    half = door.query(via=["gw.alliance"])
    way = [door.narrowing(half, "gw.second"), door.narrowing(half, "gw.alliance", "gw.second")]
    assert raised(lambda: door.admit(half, GATEWAY, narrowings=way)) == "not_via"


# 1


@pytest.mark.parametrize(
    ("request_bytes", "reason"),
    [(b"\xff\xff", "bad_query"), (b"", "bad_signature"), (bytes(400_000), "too_large")],
)
def test_what_is_no_request_is_refused_unparsed(door: Door, request_bytes: bytes, reason: str) -> None:
    assert raised(lambda: door.admitter().admit(Read, request_bytes, PARTNER)) == reason


def test_a_query_passes_at_most_four_gateways(door: Door) -> None:
    asked = door.query(via=["gw.alliance"])
    assert raised(lambda: door.admit(asked, GATEWAY, narrowings=[door.narrowing(asked)] * 5)) == "too_large"


# 2


def test_only_gateways_and_partners_ask(door: Door) -> None:
    assert raised(lambda: door.admit(door.query(), Peer(Kind.CITY, "kz.almaty"))) == "not_allowed"


def test_a_partner_asks_for_itself_alone(door: Door) -> None:
    request = raw.ask(door.signer("inst.iitd"), door.query())
    assert raised(lambda: door.admitter().admit(Read, request, PARTNER)) == "not_via"
    asked = door.query()
    assert raised(lambda: door.admit(asked, PARTNER, narrowings=[door.narrowing(asked)])) == "not_via"


def test_an_unlisted_gateway_is_nobody(door: Door) -> None:
    asked = door.query(via=["gw.stranger"])
    forged = raw.narrowing(KeySigner.generate(), "gw.stranger", asked)
    stranger = Peer(Kind.GATEWAY, "gw.stranger")
    assert raised(lambda: door.admit(asked, stranger, narrowings=[forged])) == "unknown_peer"


def test_a_gateway_that_the_query_does_not_name_may_not_present_it(door: Door) -> None:
    for via in ([], ["gw.second"]):
        asked = door.query(via=via)
        assert raised(partial(door.admit, asked, GATEWAY, narrowings=[door.narrowing(asked)])) == "not_via"


def test_a_gateway_shows_its_own_narrowing_of_this_query(door: Door) -> None:
    asked = door.query(via=["gw.alliance", "gw.second"])
    other = door.query(via=["gw.alliance"])
    cases = {
        "not_via": [
            [],
            [door.narrowing(asked, "gw.second")],  # the last is another's
            [door.narrowing(asked, "gw.alliance", "gw.second")],  # tells of one that did not sign
            [door.narrowing(asked), door.narrowing(asked, "gw.alliance", "gw.alliance")],  # a loop
        ],
        "bad_signature": [
            [raw.narrowing(KeySigner.generate(), "gw.alliance", asked)],
            [door.narrowing(other)],
        ],
        "bad_query": [
            [raw.sign(door.signer("gw.alliance"), raw.QUERY, asked.SerializeToString())],
            [raw.sign(door.signer("gw.alliance"), raw.NARROWING, b"\xff\xff")],
        ],
    }
    for reason, ways in cases.items():
        for way in ways:
            assert raised(partial(door.admit, asked, GATEWAY, narrowings=way)) == reason


# 3


def test_another_payload_type_is_no_query(door: Door) -> None:
    envelope = raw.sign(door.signer(), raw.NARROWING, door.query().SerializeToString())
    request = query_service_pb2.Ask(query=envelope).SerializeToString()
    assert raised(lambda: door.admitter().admit(Read, request, PARTNER)) == "bad_signature"


def test_a_query_is_signed_once_by_a_listed_key_over_these_bytes(door: Door) -> None:
    def verdict(change: Callable[[Any], None]) -> str:
        envelope = raw.sign(door.signer(), raw.QUERY, door.query().SerializeToString())
        change(envelope)
        request = query_service_pb2.Ask(query=envelope).SerializeToString()
        return raised(lambda: door.admitter().admit(Read, request, PARTNER))

    stranger = KeySigner.generate()

    def by_stranger(envelope: Any) -> None:
        envelope.CopyFrom(raw.sign(stranger, raw.QUERY, envelope.payload))

    def by_stranger_under_a_listed_id(envelope: Any) -> None:
        envelope.CopyFrom(raw.sign(stranger, raw.QUERY, envelope.payload, key_id=door.signer().public.id))

    assert verdict(by_stranger) == "unknown_key"
    assert verdict(by_stranger_under_a_listed_id) == "bad_signature"
    assert verdict(lambda envelope: setattr(envelope, "payload", envelope.payload + b"\x00")) == "bad_signature"
    assert verdict(lambda envelope: envelope.signatures.extend(list(envelope.signatures))) == "bad_signature"
    assert verdict(lambda envelope: envelope.ClearField("signatures")) == "bad_signature"


def test_a_key_of_the_city_or_the_gateway_signs_no_query(door: Door) -> None:
    for signer in (door.city.signer, door.signer("gw.alliance")):
        request = raw.ask(signer, door.query())
        assert raised(partial(door.admitter().admit, Read, request, PARTNER)) == "unknown_key"


def test_a_key_is_good_for_its_time_only(door: Door) -> None:
    for days in (-2, 31):
        door.now = door.world.clock() + days * 86_400 * SECOND
        assert raised(lambda: door.admit(door.query())) == "unknown_key"


def test_without_a_valid_directory_nobody_is_known(door: Door) -> None:
    door.now += 91 * 86_400 * SECOND
    assert raised(lambda: door.admit(door.query())) == "directory_expired"


def test_a_request_of_another_kind_than_the_method_is_refused(door: Door) -> None:
    request = raw.ask(door.signer(), door.query())
    assert raised(lambda: door.admitter().admit(Aggregate, request, PARTNER)) == "bad_query"


def test_refusals_before_the_signature_held_are_not_logged(door: Door) -> None:
    before = len(door.log())
    raised(lambda: door.admitter().admit(Read, raw.ask(KeySigner.generate(), door.query()), PARTNER))
    assert len(door.log()) == before


# 4


def test_a_query_is_for_this_federation_and_this_city(door: Door) -> None:
    assert door.reason(door.query(federation="brics")) == "not_addressed"
    assert door.reason(door.query(cities=["uz.tashkent"])) == "not_addressed"
    assert door.reason(door.query(cities=["uz.tashkent", "kz.almaty"])) == ""
    assert [line.reason for _, line, _ in door.log()[-3:]] == ["not_addressed", "not_addressed", ""]


# 5


@pytest.mark.parametrize(
    ("issued", "expires", "reason"),
    [
        (-60, -31, "expired_query"),
        (-60, -30, "expired_query"),
        (-60, -29, ""),
        (31, 90, "expired_query"),
        (29, 90, ""),
        (0, 601, "expired_query"),
        (0, 600, ""),
        (0, 0, "expired_query"),
        (10, 5, "expired_query"),
    ],
)
def test_a_query_is_of_its_time_give_or_take_half_a_minute(door: Door, issued: int, expires: int, reason: str) -> None:
    asked = door.query(issued=door.now + issued * SECOND, expires=door.now + expires * SECOND)
    assert door.reason(asked) == reason


def test_a_clock_below_the_highest_time_seen_answers_nothing(door: Door) -> None:
    door.now += 3600 * SECOND
    assert door.reason(door.query()) == ""
    door.now -= 29 * SECOND
    assert door.reason(door.query()) == ""
    door.now -= 2 * SECOND
    asked = door.query()
    with door.city.control() as reopened:
        assert raised(lambda: door.admit(asked, control=reopened)) == "clock_behind"


def test_a_clock_that_jumps_ahead_of_everybody_does_not_stick(door: Door) -> None:
    asked = door.query()
    true = door.now
    door.now += 20 * 86_400 * SECOND
    assert door.reason(asked) == "expired_query"
    door.now = true
    assert door.reason(door.query()) == ""


# 6


def test_no_grant_is_one_refusal_whatever_the_cause(door: Door) -> None:
    asked = [
        door.query(purpose="marketing"),
        door.query(read=raw.read("facility")),
        door.query(grants=[query_pb2.GrantChoice(city="kz.almaty", grant="uses")]),
        door.query(grants=[query_pb2.GrantChoice(city="kz.almaty", grant="never-there")]),
    ]
    said = set()
    for query in asked:
        verdict = door.admit(query)
        assert isinstance(verdict, Refusal)
        said.add(str(verdict.error))
    other = door.admitter().admit(
        Read, raw.ask(door.signer("inst.other"), door.query()), Peer(Kind.PARTNER, "inst.other")
    )
    assert isinstance(other, Refusal)
    said.add(str(other.error))
    assert len(said) == 1
    assert said.pop().startswith("not_granted")


def test_several_grants_must_be_chosen_from(door: Door) -> None:
    verdict = door.admit(door.query(purpose="both"))
    assert isinstance(verdict, Refusal)
    assert verdict.error.reason == "choose_grant"
    assert "massing, uses" in verdict.error.message
    chosen = door.query(purpose="both", grants=[query_pb2.GrantChoice(city="kz.almaty", grant="uses")])
    assert door.reason(chosen) == ""


def test_a_grant_that_is_given_directly_is_not_given_through_a_gateway(door: Door) -> None:
    assert door.reason(door.query(purpose="direct-only")) == ""
    asked = door.query(purpose="direct-only", via=["gw.alliance"])
    assert door.reason(asked, GATEWAY, narrowings=[door.narrowing(asked)]) == "not_via"


def test_hidden_and_never_there_are_refused_alike(door: Door) -> None:
    def said(name: str) -> set[str]:
        where = query_pb2.Expression(is_null=query_pb2.IsNull(property=name))
        measure = query_pb2.Measure(function=query_pb2.FUNCTION_MIN, property=name)
        asked = [
            door.query(read=raw.read(where=where)),
            door.query(aggregate=query_pb2.Aggregate(collection="building", group_by=[name], measures=COUNT)),
            door.query(aggregate=query_pb2.Aggregate(collection="building", measures=[measure])),
        ]
        found = set()
        for query in asked:
            verdict = door.admit(query)
            assert isinstance(verdict, Refusal)
            found.add(str(verdict.error).replace(name, "NAME"))
        return found

    hidden = said("year_built")
    assert len(hidden) == 3
    assert hidden == said("flux_capacitor")
    assert all(text.startswith("unknown_property") for text in hidden)


def test_a_box_is_unknown_where_no_geometry_is_given(door: Door) -> None:
    box = query_pb2.Expression(box=query_pb2.Box(xmin=76, ymin=43, xmax=77, ymax=44))
    assert door.reason(door.query(purpose="statistics", read=raw.read(where=box))) == "unknown_property"
    assert door.reason(door.query(read=raw.read(where=box))) == ""


def test_what_the_vocabulary_forbids_is_a_bad_query_whatever_is_granted(door: Door) -> None:
    height = query_pb2.Comparison(
        op=query_pb2.COMPARATOR_GT,
        left=query_pb2.Operand(property="year_built"),
        right=query_pb2.Operand(literal=query_pb2.Literal(text="tall")),
    )
    asked = door.query(read=raw.read(where=query_pb2.Expression(comparison=height)))
    verdict = door.admit(asked)
    assert isinstance(verdict, Refusal)
    assert (verdict.error.reason, verdict.error.place) == ("bad_query", "where: year_built")


def test_a_catalogue_is_never_refused(door: Door) -> None:
    request = raw.ask(door.signer("inst.other"), door.query(catalog=query_pb2.Catalog()))
    assert isinstance(door.admitter().admit(Catalog, request, Peer(Kind.PARTNER, "inst.other")), Admission)


# 7


def test_a_replay_is_refused_also_by_another_way_and_after_a_restart(door: Door) -> None:
    asked = door.query(via=["gw.alliance"])
    assert door.reason(asked) == ""
    assert door.reason(asked) == "replayed"
    assert door.reason(asked, GATEWAY, narrowings=[door.narrowing(asked)]) == "replayed"
    with door.city.control() as restarted:
        assert door.reason(asked, control=restarted) == "replayed"


def test_a_refusal_that_is_given_again_is_that_of_its_first_line_and_writes_nothing(door: Door) -> None:
    asked = door.query(via=["gw.alliance"])
    assert door.reason(asked) == ""
    first = door.admit(asked)
    assert isinstance(first, Refusal)
    assert not first.repeated
    before = door.log()
    door.now += SECOND
    with door.control.reading() as connection:
        state = connection.execute(text("PRAGMA data_version")).scalar()
        again = door.admit(asked)
        assert isinstance(again, Refusal)
        assert (again.repeated, again.error.reason, again.decision) == (True, "replayed", first.decision)
        assert connection.execute(text("PRAGMA data_version")).scalar() == state
    assert door.log() == before
    # What another presents is told of that other.
    presented = door.admit(asked, GATEWAY, narrowings=[door.narrowing(asked)])
    assert isinstance(presented, Refusal)
    assert not presented.repeated
    assert [line.presenter for _, line, _ in door.log()[len(before) :]] == ["gw.alliance"]


def test_a_nonce_is_the_signers_own(door: Door) -> None:
    nonce = os.urandom(16)
    assert door.reason(door.query(nonce=nonce)) == ""
    request = raw.ask(door.signer("inst.iitd"), door.query(nonce=nonce))
    assert isinstance(door.admitter().admit(Read, request, Peer(Kind.PARTNER, "inst.iitd")), Admission)
    assert door.reason(door.query(nonce=nonce)) == "replayed"


@contextmanager
def blocked(door: Door, subject: str) -> Iterator[None]:
    """The block is written by another connection, as an operator's command does it, and lifted again."""
    with door.city.control() as operators:
        with operators.writing() as connection:
            assert put_block(connection, Block(subject, door.now, "op", "a stolen laptop"))
        try:
            yield
        finally:
            with operators.writing() as connection:
                assert lift_block(connection, subject)


@pytest.mark.parametrize("what", ["key", "organisation", "everybody"])
def test_who_is_blocked_is_refused_whatever_it_asks(door: Door, what: str) -> None:
    signer = door.signer().public
    subject = {
        "key": hashlib.sha256(signer.raw).hexdigest(),
        "organisation": "inst.tsinghua",
        "everybody": "all",
    }[what]
    asked = [
        door.query(),
        door.query(catalog=query_pb2.Catalog()),
        door.query(purpose="marketing"),
        door.query(purpose="both"),  # several grants would be named
    ]
    with blocked(door, subject):
        for query in asked:
            refusal = door.admit(query)
            assert isinstance(refusal, Refusal)
            assert refusal.error.reason == "blocked"
            assert "laptop" not in str(refusal.error)
            assert refusal.given is None  # so the manifest names neither policy nor grant
            position, line, _ = door.log()[-1]
            assert (position, line.reason, line.grant, line.view) == (refusal.decision, "blocked", "", "")
        other = door.admitter().admit(
            Read, raw.ask(door.signer("inst.iitd"), door.query()), Peer(Kind.PARTNER, "inst.iitd")
        )
        assert isinstance(other, Refusal) is (what == "everybody")
    assert door.reason(door.query()) == ""
    assert door.reason(asked[0]) == "replayed"  # refused once, it is used up


@pytest.mark.parametrize("what", ["name", "key"])
@pytest.mark.parametrize("gateway", ["gw.alliance", "gw.second"])
def test_a_blocked_gateway_presents_nothing_and_passes_nothing_on(door: Door, gateway: str, what: str) -> None:
    def through() -> str:
        asked = door.query(via=["gw.alliance", "gw.second"])
        way = [door.narrowing(asked, "gw.second"), door.narrowing(asked, "gw.alliance", "gw.second")]
        return door.reason(asked, GATEWAY, narrowings=way)

    with blocked(door, gateway if what == "name" else hashlib.sha256(door.signer(gateway).public.raw).hexdigest()):
        assert through() == "blocked"
        assert door.reason(door.query()) == ""
        asked = door.query(via=["gw.alliance"])
        alone = door.reason(asked, GATEWAY, narrowings=[door.narrowing(asked)])
        assert alone == ("blocked" if gateway == "gw.alliance" else "")
    assert through() == ""


def test_a_blocked_query_that_is_presented_again_fills_no_log(door: Door) -> None:
    with blocked(door, "inst.tsinghua"):
        asked = door.query()
        assert [door.reason(asked) for _ in range(4)] == ["blocked", "replayed", "replayed", "replayed"]
        assert [line.reason for _, line, _ in door.log()[-2:]] == ["blocked", "replayed"]
        for days, reason in ((1, "expired_query"), (-1, "expired_query")):
            late = door.query(issued=door.now - days * 86_400 * SECOND, expires=door.now - days * 86_400 * SECOND + 1)
            assert door.reason(late) == reason


def test_a_block_that_comes_between_decision_and_log_is_not_missed(door: Door) -> None:
    class Meanwhile(Admitter):
        def decide(self, *how: Any) -> Any:
            found = super().decide(*how)
            with door.city.control() as operators, operators.writing() as connection:
                put_block(connection, Block("inst.tsinghua", door.now, "op", "now"))
            return found

    home = door.city.home
    admitter = Meanwhile(
        home.city,
        home.federation,
        door.world.directories,
        door.control,
        Policies(home),
        home.place,
        lambda: door.now,
        LIMITS,
    )
    try:
        verdict = admitter.admit(Read, raw.ask(door.signer(), door.query()), PARTNER)
    finally:
        with door.control.writing() as connection:
            lift_block(connection, "inst.tsinghua")
    assert isinstance(verdict, Refusal)
    assert verdict.error.reason == "blocked"


def test_a_refused_query_has_used_its_nonce_up(door: Door) -> None:
    asked = door.query(purpose="marketing")
    assert door.reason(asked) == "not_granted"
    assert door.reason(asked) == "replayed"


def test_nonces_are_kept_until_their_queries_are_over(door: Door) -> None:
    asked = door.query()
    assert door.reason(asked) == ""
    with door.control.reading() as connection:
        kept = connection.execute(text("SELECT max(kept_until) FROM nonce")).scalar()
    assert kept == asked.expires + 30 * SECOND
    start = door.now
    door.now = asked.expires + 31 * SECOND
    assert door.reason(door.query()) == ""
    with door.control.reading() as connection:
        assert connection.execute(text("SELECT min(kept_until) FROM nonce")).scalar() > kept
    # The forgotten nonce opens no door, for whoever reads an earlier clock.
    door.now = start + 62 * SECOND
    assert door.reason(asked) == "expired_query"


def test_slots_are_counted_for_the_partner_and_for_the_node(door: Door) -> None:
    few = Limits(concurrent_per_partner=2, concurrent_per_node=3)
    assert [door.reason(door.query(), limits=few) for _ in range(3)] == ["", "", "overloaded"]
    peer = Peer(Kind.PARTNER, "inst.iitd")
    verdicts = [door.admitter(few).admit(Read, raw.ask(door.signer("inst.iitd"), door.query()), peer) for _ in range(2)]
    assert [isinstance(verdict, Admission) for verdict in verdicts] == [True, False]
    door.now += 61 * SECOND  # nobody renewed them: their process is gone
    assert door.reason(door.query(), limits=few) == ""


def test_what_cannot_be_logged_is_not_answered(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_partner()
    city = world.add_city("kz.almaty")
    with city.control() as control:
        door = Door(world, city, control, world.clock())
        with control.writing() as connection:
            connection.execute(text("DROP TABLE log_entry"))
        asked = door.query()
        assert raised(lambda: door.admit(asked)) == "log_unavailable"
        with control.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM nonce")).scalar() == 0
            assert connection.execute(text("SELECT count(*) FROM slot")).scalar() == 0


def test_without_a_policy_nothing_is_granted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_partner()
    city = world.add_city("kz.almaty")
    with city.control() as control:
        door = Door(world, city, control, world.clock())
        assert door.reason(door.query()) == "not_granted"
        assert door.reason(door.query(catalog=query_pb2.Catalog())) == ""
        city.activate(GRANTS)
        admitted = door.admit(door.query())
        assert isinstance(admitted, Admission)
        assert admitted.view is None  # granted, with no snapshot yet
        city.home.policy_file(1).write_bytes(b"{}")
        assert door.reason(door.query()) == "not_granted"


# Later


def test_a_running_answer_may_go_on_while_everything_stands(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.adopt(buildings("kz.almaty", [{"height": Decimal(9), "at": (76.9, 43.2)}]))
    city.activate(GRANTS)
    with city.control() as control:
        door = Door(world, city, control, world.clock())
        admitter = door.admitter()
        asked = door.query(via=["gw.alliance"])
        running = door.admit(asked, GATEWAY, narrowings=[door.narrowing(asked)])
        assert isinstance(running, Admission)
        admitter.check_again(running)
        # An import switches new queries over; what runs keeps its view.
        city.adopt(buildings("kz.almaty", [{"height": Decimal(8), "at": (76.9, 43.2)}]))
        newer = door.admit(door.query())
        assert isinstance(newer, Admission)
        assert newer.view is not None
        assert running.view is not None
        assert newer.view.id != running.view.id
        assert Path(running.view.source).exists()
        admitter.check_again(running)
        # A newer policy that gives the same leaves it alone, one that gives less ends it.
        city.activate(GRANTS)
        admitter.check_again(running)
        listing = world.listing
        world.remove("gw.alliance")
        assert raised(lambda: admitter.check_again(running)) == "policy_changed"
        world.publish(listing)
        world.remove("inst.tsinghua")
        assert raised(lambda: admitter.check_again(running)) == "policy_changed"
        world.publish(listing)
        city.activate(GRANTS.replace("height: exact", "height: {band: 5}"))
        assert raised(lambda: admitter.check_again(running)) == "policy_changed"
        city.activate(GRANTS)
        admitter.check_again(running)
        with control.writing() as connection:
            connection.execute(text("DELETE FROM view WHERE id = :id"), {"id": running.view.id})
        assert raised(lambda: admitter.check_again(running)) == "view_gone"


@pytest.mark.parametrize("what", ["the gateway", "its key", "its issuer"])
def test_a_running_answer_may_not_go_on_once_a_gateway_that_it_came_by_is_revoked(tmp_path: Path, what: str) -> None:
    world = World(tmp_path)
    party = world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.activate(GRANTS)
    issuer = world.directory.gateway("gw.alliance").issuers[0].id
    subject = {"the gateway": "gw.alliance", "its key": party.signer.public.id.hex(), "its issuer": issuer.hex()}[what]
    with city.control() as control:
        door = Door(world, city, control, world.clock())
        asked = door.query(via=["gw.alliance"])
        running = door.admit(asked, GATEWAY, narrowings=[door.narrowing(asked)])
        assert isinstance(running, Admission)
        world.board.revoke("gw.other", "lost", world.clock())
        door.admitter().check_again(running)
        world.board.revoke(subject, "stolen", world.clock())
        assert raised(lambda: door.admitter().check_again(running)) == "policy_changed"


@pytest.mark.parametrize("used", [0, 1])
def test_a_running_answer_may_not_go_on_once_the_issuer_of_its_callers_leaf_is_revoked(
    tmp_path: Path, used: int
) -> None:
    """Another issuer of the caller, which is left, does not save it; one that another caller uses does not end it."""
    world = World(tmp_path)
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.activate(GRANTS)
    partner = world.listing.partners[PartnerName("inst.tsinghua")]
    both = (partner.issuers[0], IssuingKey.make(FEDERATION, partner.name, world.clock()).issuer)
    world.publish(replace(world.listing, partners={partner.name: replace(partner, issuers=both)}))
    with city.control() as control:
        door = Door(world, city, control, world.clock())
        running = door.admit(door.query(), replace(PARTNER, issuer=both[used].id))
        assert isinstance(running, Admission)
        world.board.revoke(both[0].id.hex(), "stolen", world.clock())
        if used == 0:
            assert raised(lambda: door.admitter().check_again(running)) == "policy_changed"
        else:
            door.admitter().check_again(running)


@pytest.mark.parametrize("subject", ["inst.tsinghua", "gw.alliance", "all"])
def test_a_running_answer_may_not_go_on_once_it_is_blocked_with_no_directory_either(door: Door, subject: str) -> None:
    asked = door.query(via=["gw.alliance"])
    running = door.admit(asked, GATEWAY, narrowings=[door.narrowing(asked)])
    assert isinstance(running, Admission)
    admitter = door.admitter()
    admitter.check_again(running)
    with blocked(door, "inst.iitd"):
        admitter.check_again(running)
    with blocked(door, subject):
        assert raised(lambda: admitter.check_again(running)) == "blocked"
        door.now += 91 * 86_400 * SECOND
        assert raised(lambda: door.world.current(door.now)) == "directory_expired"
        assert raised(lambda: admitter.check_again(running)) == "blocked"


def test_a_slot_is_renewed_while_its_answer_runs(door: Door) -> None:
    running = door.admit(door.query())
    assert isinstance(running, Admission)
    door.now += 45 * SECOND
    door.admitter().check_again(running)
    with door.control.reading() as connection:
        expires = connection.execute(
            text("SELECT expires FROM slot WHERE decision = :number"), {"number": running.decision}
        ).scalar()
    assert expires == door.now + 60 * SECOND


def test_a_policy_that_comes_between_decision_and_log_is_decided_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.activate(GRANTS)
    decide = Admitter.decide
    with city.control() as control:
        door = Door(world, city, control, world.clock())
        newer = [GRANTS.replace("research, both", "both")]

        def interrupted(self: Admitter, *given: Any) -> Any:
            found = decide(self, *given)
            if newer:
                city.activate(newer.pop())
            return found

        monkeypatch.setattr(Admitter, "decide", interrupted)
        assert door.reason(door.query()) == "not_granted"
        assert door.log()[-1][1].policy == 2
