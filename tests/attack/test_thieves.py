"""What each stolen key opens in a whole federation that runs, and that it opens nothing else.

Real nodes and a gateway that does what its thief wants. What keys of the directory may publish is in
``attack/directory/test_thieves.py``; here is what cities and clients make of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import cimfed
from cimfed.client.coverage import Word
from cimfed.client.federation import AsyncFederation
from cimfed.client.receipts import verify_receipt
from cimfed.errors import BadDirectory, BadSignature, CimfedError, Forged, KeyRevoked, NotEnough
from cimfed.model.answer import Outcome
from cimfed.model.names import PartnerName, city_name
from cimfed.policy.document import compose
from cimfed.policy.lint import lint
from cimfed.policy.payload import from_payload, routing_entry, to_payload
from cimfed.trust.chain import Chain
from cimfed.trust.directory import layout
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.edit import with_partner
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import AccessKey, Directory, DirectorySource, Listing
from cimfed.trust.directory.mirrors import Always
from cimfed.trust.envelope import PayloadType, from_json, seal, to_json
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tls import IssuingKey, Use
from cimfed.wire import answers, frames
from cimfed.wire.receipts import decode_receipt, encode_receipt
from cimfed_node.serve import Node
from tests.attack import deeds, tricks
from tests.attack.liar import Liar, Told, lying
from tests.board import Files
from tests.federation import raw
from tests.federation.world import FEDERATION, SALT, SECOND, City, World, buildings

pytestmark = pytest.mark.asyncio

ROBBED, OTHER = "kz.almaty", "uz.tashkent"
PARTNER, FALSE = "inst.tsinghua", "inst.false"
ROWS = 30
HOUR = 3600 * SECOND
GRANTS = """
  - id: massing
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
"""
TO_A_ROLE = GRANTS.replace("org: [inst.tsinghua]", "role: [researcher]")
TO_A_COUNTRY = GRANTS.replace("org: [inst.tsinghua]", "country: [CN]")
DECLARED = "declared: {building: {extent: [60, 20, 90, 50]}}"


class Remembering:
    """The directory as one follower has it who has looked all the time, and so knows whose keys are whose."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def current(self, now: int) -> Directory:
        self._follower.refresh()
        return self._follower.current(now)

    def latest(self, now: int) -> Directory:
        return self.current(now)


def followed(world: World, home: Path) -> Follower:
    pin(home, world.board.root)
    follower = Follower(home, FEDERATION, Always(Files(world.board.files)), world.clock)
    follower.refresh()
    return follower


class Street(World):
    """A world whose servers may follow the directory as ``followed`` has it, rather than as it was published last."""

    followed: DirectorySource | None = None

    @property
    def directories(self) -> Any:
        return self.followed or self


@dataclass
class Scene:
    world: Street
    gateway: Liar
    nodes: Mapping[str, Node]

    def ask(self, partner: str = PARTNER, gateway: str = "gw.alliance") -> AsyncFederation:
        return cimfed.connect_async(str(self.world.profile(partner, gateway)))

    async def rows(self, partner: str = PARTNER, **how: Any) -> list[tuple[str, str]]:
        """City and id of every row that somebody gets."""
        async with self.ask(partner) as fed:
            table = await fed.read("building", purpose="research", properties=["id"], **how).to_table()
        return [(row["city"], row["id"]) for row in table.to_pylist()]

    async def by_hand(self, request: bytes, name: str, city: str = ROBBED) -> raw.Answer | raw.Refused:
        """What a city says to a request that comes under the leaf of a party."""
        world = self.world
        leaf = world.parties[name].leaves[Use.CLIENT].current(world.clock())
        member = world.directory.member(city)
        async with raw.Caller(self.nodes[city].server.port, city, member.issuers[0].pem, leaf) as caller:
            try:
                found = await caller.frames(raw.READ, request)
            except raw.Refused as refused:
                return refused
        manifest = answers.decode_manifest(found[-1]["manifest"]["payload"])
        return raw.Answer({"outcome": str(manifest.outcome), "reason": manifest.reason}, raw.rows_of(found), 0)


@asynccontextmanager
async def federation(folder: Path, grants: str = GRANTS, remembers: bool = False) -> AsyncIterator[Scene]:
    """``remembers``: the cities follow the directory and know what they saw, as they do outside of tests."""
    world = Street(folder)
    if remembers:
        world.followed = Remembering(followed(world, folder / "followed"))
    world.add_gateway()
    world.add_gateway("gw.other")
    world.add_partner(PARTNER)
    for name in (ROBBED, OTHER):
        city = world.add_city(name)
        city.limits["batch_bytes"] = 100  # several batches of ids alone, and so a head before the manifest
        city.adopt(buildings(name, [{"height": number, "at": (70 + number * 0.01, 40.0)} for number in range(ROWS)]))
        city.activate(grants, more=DECLARED)
    async with AsyncExitStack() as servers:
        nodes = {name: await servers.enter_async_context(world.node(name)) for name in (ROBBED, OTHER)}
        yield Scene(world, await servers.enter_async_context(lying(world)), nodes)


def verdict(said: raw.Answer | raw.Refused) -> str:
    return said.reason or "answered"


def query(scene: Scene, signer: Signer, *presented: Any, via: tuple[str, ...] = (), **fields: Any) -> bytes:
    asked = raw.query(scene.world.clock(), via=via, read=raw.read("building", "id"), **fields)
    return raw.ask(signer, asked, [raw.narrowing(by, name, asked) for by, name in presented])


# A gateway's keys


async def test_a_gateways_thief_relays_what_a_partner_signed_for_it_and_sees_the_rows_that_pass(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        gateway, partner = scene.world.parties["gw.alliance"], scene.world.parties[PARTNER]
        request = query(scene, partner.signer, (gateway.signer, gateway.name), via=(gateway.name,))
        said = await scene.by_hand(request, gateway.name)
        assert isinstance(said, raw.Answer)
        assert said.rows is not None
        assert said.rows.num_rows == ROWS
        assert verdict(await scene.by_hand(request, gateway.name)) == "replayed"


ITS_OWN: dict[str, tuple[Callable[[Scene], bytes], str]] = {
    "asks in its own name": (
        lambda scene: query(scene, thief(scene), (thief(scene), "gw.alliance"), via=("gw.alliance",)),
        "unknown_key",
    ),
    "asks as if directly": (lambda scene: query(scene, thief(scene)), "not_via"),
    "presents what was not signed for it": (
        lambda scene: query(scene, honest(scene), (thief(scene), "gw.alliance")),
        "not_via",
    ),
    "presents it in another gateway's name": (
        lambda scene: query(scene, honest(scene), (thief(scene), "gw.other"), via=("gw.other",)),
        "bad_signature",
    ),
    "presents it at another city": (
        lambda scene: query(
            scene, honest(scene), (thief(scene), "gw.alliance"), via=("gw.alliance",), cities=[OTHER]
        ),
        "not_addressed",
    ),
    "presents it after it is over": (
        lambda scene: query(
            scene, honest(scene), (thief(scene), "gw.alliance"), via=("gw.alliance",),
            issued=scene.world.clock() - HOUR, expires=scene.world.clock() - HOUR + 60 * SECOND,
        ),
        "expired_query",
    ),
}  # fmt: skip


def thief(scene: Scene) -> Signer:
    return scene.world.parties["gw.alliance"].signer


def honest(scene: Scene) -> Signer:
    return scene.world.parties[PARTNER].signer


async def test_a_gateways_thief_asks_and_widens_nothing(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        for what, (request, reason) in ITS_OWN.items():
            said = await scene.by_hand(request(scene), "gw.alliance")
            assert verdict(said) == reason, what
            assert isinstance(said, raw.Refused) or said.rows is None, what
        for change in (deeds.drop_the_filter, deeds.ask_for_all_properties, deeds.name_another_purpose):
            scene.gateway.deed = deeds.widening(change)
            async with scene.ask() as fed:
                with pytest.raises(BadSignature):
                    await fed.read("building", where="height > 10", properties=["id"], purpose="research").to_table()


async def test_a_gateways_thief_forges_nothing(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        for trick in (tricks.forge_a_head, forging(ROBBED, thief(scene)), forging(ROBBED, KeySigner.generate())):
            scene.gateway.trick = trick
            with pytest.raises(Forged, match=ROBBED):
                await scene.rows()


async def test_a_gateways_thief_lies_about_who_can_be_reached_and_that_is_never_enough_for_all(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        scene.gateway.trick = tricks.call_it_unreachable
        async with scene.ask() as fed:
            answer = fed.read("building", purpose="research")
            assert set((await answer.to_table())["city"].to_pylist()) == {OTHER}
            assert (answer.coverage[ROBBED].word, answer.coverage[OTHER].word) == (Word.GATEWAY, Word.CITY)
            with pytest.raises(NotEnough, match=ROBBED):
                await fed.read("building", purpose="research", require="all").to_table()


async def test_a_stolen_gateway_is_nobody_once_it_is_revoked(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        assert len(await scene.rows()) == 2 * ROWS
        gateway = scene.world.parties["gw.alliance"]
        scene.world.board.revoke(gateway.signer.public.id.hex(), "stolen", scene.world.clock())
        request = query(scene, honest(scene), (gateway.signer, gateway.name), via=(gateway.name,))
        assert verdict(await scene.by_hand(request, gateway.name)) == "bad_signature"
        with pytest.raises(Forged, match=r"gw\.alliance"):
            await scene.rows()
        scene.world.board.revoke("gw.alliance", "stolen", scene.world.clock())
        with pytest.raises(CimfedError) as caught:
            await scene.rows()
        assert caught.value.reason in ("node_unreachable", "unknown_peer")


# A node's key


def forging(city: str, signer: Signer) -> Callable[[Told, Liar], None]:
    """The city's first batch, twice, under a manifest that the signer signs."""

    def trick(told: Told, liar: Liar) -> None:
        assert told.coverage is not None
        honest = [frames.decode(data) for data in liar.past[0].cities[city]]
        start, end = honest[0].part, honest[-1].part
        assert isinstance(start, frames.Start)
        assert isinstance(end, frames.Manifest)
        manifest = answers.decode_manifest(end.envelope.payload)
        batch = next(frame for frame in honest if frame.part is None)
        request_hash = told.coverage.request_hash
        chain = Chain.start(request_hash, city_name(city), start.schema, start.view)
        batches = []
        for index in (1, 2):
            chain.add(batch.payload)
            batches.append(replace(batch, index=index))
        false = replace(
            manifest,
            request_hash=request_hash,
            narrowing_hash=sha256(told.coverage.narrowing),
            now=liar.now(),
            rows=2 * batch.rows,
            batches=2,
            chain=chain.value,
        )
        envelope = seal(PayloadType.MANIFEST, answers.encode_manifest(false), signer)
        told.cities[city] = list(
            map(frames.encode, [honest[0], *batches, frames.Frame(city_name(city), frames.Manifest(envelope))])
        )
        told.line(city, outcome=Outcome.ANSWERED, reason="", message="", manifest_hash=envelope.payload_hash)

    return trick


async def test_a_nodes_thief_forges_that_citys_answers_until_its_key_is_revoked(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        stolen = scene.world.cities[ROBBED].signer
        scene.gateway.trick = forging(ROBBED, stolen)
        rows = [row for row in await scene.rows() if row[0] == ROBBED]
        assert len(rows) == 2 * len(set(rows)) > 0  # believed, though the city never sent them
        async with scene.ask() as fed:
            answer = fed.read("building", purpose="research")
            await answer.to_table()
            receipt = answer.receipt
        assert verify_receipt(receipt, scene.world.board.root).coverage[ROBBED].outcome is Outcome.ANSWERED
        scene.world.board.revoke(stolen.public.id.hex(), "stolen", scene.world.clock())
        with pytest.raises(Forged, match=ROBBED):
            await scene.rows()
        later = replace(decode_receipt(receipt), directory=dict(scene.world.directory.files))
        with pytest.raises(Forged, match=ROBBED):
            verify_receipt(encode_receipt(later), scene.world.board.root)


async def test_a_gateway_passes_on_nothing_of_a_city_whose_key_is_revoked(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        world = scene.world
        async with world.gateway("gw.other"):
            world.board.revoke(world.cities[ROBBED].signer.public.id.hex(), "stolen", world.clock())
            async with scene.ask(gateway="gw.other") as fed:
                answer = fed.read("building", purpose="research")
                assert set((await answer.to_table())["city"].to_pylist()) == {OTHER}
                line = answer.coverage[ROBBED]
                assert (line.outcome, line.word, line.reason) == (Outcome.BROKEN, Word.GATEWAY, "chain_broken")


async def test_a_nodes_thief_speaks_for_no_other_city(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        scene.gateway.trick = forging(OTHER, scene.world.cities[ROBBED].signer)
        with pytest.raises(Forged, match=OTHER):
            await scene.rows()


async def test_a_nodes_thief_asks_nothing_and_signs_no_policy(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        stolen = scene.world.cities[ROBBED].signer
        said = await scene.by_hand(query(scene, stolen), PARTNER)
        assert verdict(said) == "unknown_key"
        with pytest.raises(CimfedError) as caught:
            put_in_force(scene.world.cities[ROBBED], TO_A_ROLE, stolen)
        assert caught.value.reason == "bad_signature"


# The registrar's key


def published(scene: Scene, listing: Listing) -> None:
    """By the service, as the registrar's thief has signed it."""
    scene.world.publish(listing)


def put_in_force(city: City, grants: str, signer: Signer) -> None:
    """A policy that somebody signed, at the city's own node."""
    payload = from_json(city.sign(grants, more=DECLARED), 1 << 20).payload
    city.put_in_force(to_json(seal(PayloadType.POLICY, payload, signer)))


async def a_false_partner(scene: Scene) -> str:
    """What a partner that the thief lists gets."""
    scene.world.add_partner(FALSE, "CN", "researcher")
    async with scene.ask(FALSE) as fed:
        try:
            return f"{(await fed.read('building', purpose='research', require='all').to_table()).num_rows} rows"
        except CimfedError as error:
            return error.reason


async def test_a_false_partner_whom_no_policy_names_gets_nothing(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        assert await a_false_partner(scene) == "not_granted"
        async with scene.ask(FALSE) as fed:
            assert (await fed.catalog("building").to_table()).num_rows == 0


@pytest.mark.parametrize("grants", [TO_A_ROLE, TO_A_COUNTRY], ids=["a role", "a country"])
async def test_a_grant_to_a_role_or_a_country_opens_to_a_false_partner_and_lint_warns_of_it(
    tmp_path: Path, grants: str
) -> None:
    async with federation(tmp_path, grants) as scene:
        assert await a_false_partner(scene) == f"{2 * ROWS} rows"
    assert warned(grants)
    assert not warned(GRANTS)


def warned(grants: str) -> bool:
    text = (
        f"format: cimfed/policy/v1\ncity: {ROBBED}\nversion: 1\nvalid: [2020-01-01T00:00Z, 2090-01-01T00:00Z]\n"
        f"{DECLARED}\ngrants:\n{grants}"
    )
    policy = from_payload(to_payload(compose(text, "policy.yaml", lambda _: b"", SALT)))
    return "broad-subject" in {finding.rule for finding in lint(policy)}


@pytest.mark.parametrize("beside", [True, False], ids=["beside its own", "in their place"])
async def test_a_registrars_thief_does_not_take_a_known_partners_place(tmp_path: Path, beside: bool) -> None:
    async with federation(tmp_path, remembers=True) as scene:
        world, own, name = scene.world, KeySigner.generate(), PartnerName(PARTNER)
        assert verdict(await scene.by_hand(query(scene, honest(scene)), PARTNER)) == "answered"
        partner = world.listing.partners[name]
        more = AccessKey(own.public, name, partner.keys[0].valid)
        listing = replace(partner, keys=(*partner.keys, more) if beside else (more,))
        published(scene, replace(world.listing, partners={**world.listing.partners, name: listing}))
        assert own.public in {key.key for key in world.directory.partner(PARTNER).keys}
        assert verdict(await scene.by_hand(query(scene, own), PARTNER)) == "unknown_key"
        expected = "answered" if beside else "unknown_key"
        assert verdict(await scene.by_hand(query(scene, honest(scene)), PARTNER)) == expected


async def test_a_registrars_thief_does_not_take_a_known_partners_place_by_taking_it_off_first(tmp_path: Path) -> None:
    async with federation(tmp_path, remembers=True) as scene:
        world, own, name = scene.world, KeySigner.generate(), PartnerName(PARTNER)
        partner = world.listing.partners[name]
        world.remove(PARTNER)
        assert PARTNER not in world.directories.current(world.clock()).partners
        taken = replace(partner, keys=(AccessKey(own.public, name, partner.keys[0].valid),))
        published(scene, replace(world.listing, partners={**world.listing.partners, name: taken}))
        assert verdict(await scene.by_hand(query(scene, own), PARTNER)) == "unknown_key"


async def test_a_registrars_thief_does_not_take_a_known_citys_place(tmp_path: Path) -> None:
    """Neither its answers nor its connections: who knows the city sees no key and no issuer of the thief's."""
    async with federation(tmp_path) as scene:
        world, name = scene.world, city_name(ROBBED)
        follower = followed(world, tmp_path / "reader")
        before = follower.refresh().member(ROBBED)
        thief = IssuingKey.make(FEDERATION, ROBBED, world.clock())
        taken = replace(
            world.listing.members[name],
            address="127.0.0.1:9",
            issuers=(thief.issuer,),
            keys=(KeySigner.generate().public,),
        )
        published(scene, replace(world.listing, members={**world.listing.members, name: taken}))
        after = follower.refresh().member(ROBBED)
        assert (after.keys, after.issuers, after.address) == ((), (), "127.0.0.1:9")
        assert before.keys
        assert thief.issuer not in follower.refresh().issuers


async def test_a_registrars_thief_changes_no_policy_and_no_pin(tmp_path: Path) -> None:
    """It names a steward of its own in the directory, who speaks there: the node goes by its pins."""
    async with federation(tmp_path) as scene:
        world, own, city = scene.world, KeySigner.generate(), scene.world.cities[ROBBED]
        before = city.home.settings.steward_keys
        member = replace(world.listing.members[city.name], stewards=(own.public,), routing=None)
        published(scene, replace(world.listing, members={**world.listing.members, city.name: member}))
        content = city.sign(TO_A_ROLE, more=DECLARED)
        payload = from_json(content, 1 << 20).payload
        entry = seal(PayloadType.ROUTING, routing_entry(from_payload(payload), payload), own)
        world.board.route(city.name, entry, own, world.clock())
        with pytest.raises(CimfedError) as caught:
            put_in_force(city, TO_A_ROLE, own)
        assert caught.value.reason == "bad_signature"
        assert city.home.settings.steward_keys == before
        assert await a_false_partner(scene) == "not_granted"
        assert [row for row in await scene.rows() if row[0] == ROBBED]


async def test_a_registrars_thief_undoes_no_revocation(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        world, stolen = scene.world, scene.world.parties[PARTNER].signer
        world.board.revoke(stolen.public.id.hex(), "stolen", world.clock())
        assert verdict(await scene.by_hand(query(scene, stolen), PARTNER)) == "key_revoked"
        published(scene, world.listing)
        assert verdict(await scene.by_hand(query(scene, stolen), PARTNER)) == "key_revoked"
        now = world.clock()
        card = replace(false_card(world), keys=(stolen.public,))
        listed = replace(world.listing, partners={})
        published(scene, with_partner(listed, card, "CN", ("researcher",), (now - HOUR, now + HOUR)))
        with pytest.raises(KeyRevoked):
            world.directory.access_key(stolen.public.id, now)


def false_card(world: World) -> Any:
    _, card = world._party(FALSE, "")
    return card


async def test_a_registrars_thief_names_no_other_revoker(tmp_path: Path) -> None:
    async with federation(tmp_path) as scene:
        board, own = scene.world.board, KeySigner.generate()
        draft = {
            **drafts.targets_draft(
                2, FEDERATION, board.service, board._one(board.registrar), board._one(own), scene.world.clock()
            ),
            **drafts.revoker_draft(board.directory.versions[layout.REVOKER] + 1, FEDERATION, (), scene.world.clock()),
        }
        for role in (layout.TARGETS, layout.REVOKER):
            draft = drafts.sign(draft, board.registrar, {role: [board.registrar.public]})
        with pytest.raises(BadDirectory):
            board.accept(draft, scene.world.clock())


# The directory's online key


class Frozen(Files):
    """A mirror of whoever has the service's online key: it stamps an old state again and again."""

    def stamp(self, world: World) -> None:
        self.files = {**self.files, **drafts.restamp(self.files, world.board.online, world.clock())}


async def test_who_hides_a_revocation_by_the_online_key_hides_it_for_a_day_and_then_nothing_is_answered(
    tmp_path: Path,
) -> None:
    world = Street(tmp_path)
    world.add_partner(PARTNER)
    city = world.add_city(ROBBED)
    city.adopt(buildings(ROBBED, [{"at": (70.0, 40.0)}]))
    city.activate(GRANTS.replace(", height: exact", ""), more=DECLARED)
    async with world.node(ROBBED):
        pass  # so that it is listed under a port; what follows is seen through the follower alone
    frozen = Frozen(dict(world.board.files))
    pin(tmp_path / "followed", world.board.root)
    follower = Follower(tmp_path / "followed", FEDERATION, Always(frozen), world.clock)
    follower.refresh()
    world.followed = follower
    async with world.node(ROBBED) as node:
        scene = Scene(world, None, {ROBBED: node})  # type: ignore[arg-type]
        partner = world.parties[PARTNER]
        world.board.revoke(partner.signer.public.id.hex(), "stolen", world.clock())
        for hours in (0, 1, 12, 23):
            world.clock.offset = hours * HOUR
            frozen.stamp(world)
            follower.refresh()
            assert verdict(await scene.by_hand(query(scene, partner.signer), PARTNER)) == "answered", hours
        world.clock.offset = 24 * HOUR
        frozen.stamp(world)
        with suppress(CimfedError):
            follower.refresh()
        assert verdict(await scene.by_hand(query(scene, partner.signer), PARTNER)) == "directory_expired"
        world.board.keep_up(world.clock())
        frozen.files = world.board.files
        follower.refresh()
        assert verdict(await scene.by_hand(query(scene, partner.signer), PARTNER)) == "key_revoked"
