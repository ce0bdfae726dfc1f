"""Signing keys and TLS issuing keys of nodes and gateway change under load: no question fails, no stream is cut."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pytest
from cryptography import x509

import cimfed
from cimfed.model.names import CityName, GatewayName, Kind, PartnerName
from cimfed.rpc import clock
from cimfed.tlog import log
from cimfed.tlog.schema import EntryId
from cimfed.trust import next_keys, own_keys
from cimfed.trust.directory.listing import Listing
from cimfed.trust.own_keys import OwnKeys
from cimfed.trust.tlog.entries import Decision, decode
from cimfed.trust.tls import Issuer, Use
from cimfed_node.serve import Keys
from tests.federation.world import FEDERATION, World, buildings, named

CITIES = (CityName("kz.almaty"), CityName("uz.tashkent"))
GATEWAY = GatewayName("gw.alliance")
GRANTS = """
  - id: all
    subject: {role: [researcher]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact}
"""
ROWS = 40_000  # of 800 bytes: far more than connections hold back
ASKERS = 4


def own_of_gateway(world: World) -> OwnKeys:
    """The gateway serves with keys that change, as its program does."""
    party = world.parties[GATEWAY]
    own = OwnKeys(party.home, Kind.GATEWAY, FEDERATION, GATEWAY, clock.now)
    own.follow(world.directories)
    leaves = {use: own.leaves(use) for use in Use}
    world.parties[GATEWAY] = replace(party, signer=own.signer, leaves=leaves)
    return own


def kept(monkeypatch: pytest.MonkeyPatch) -> list[OwnKeys]:
    """The keys of nodes that are started from now on."""
    keys: list[OwnKeys] = []
    load: Callable[..., Keys] = Keys.load.__func__  # type: ignore[attr-defined]

    def watched(cls: type[Keys], home: object) -> Keys:
        made = load(cls, home)
        keys.append(made.own)
        return made

    monkeypatch.setattr(Keys, "load", classmethod(watched))
    return keys


def listed(world: World, part: slice) -> Listing:
    """Everybody with the old and the next keys, or one of them."""
    successions = list(world.listing.successions)

    def change(party, home, kind):  # type: ignore[no-untyped-def]
        keys = (party.keys[0], next_keys.next_signing(home, kind))
        issuers = (party.issuers[0], next_keys.next_issuer(home))
        changed = replace(party, keys=keys[part], issuers=issuers[part])
        if len(changed.keys) > len(party.keys):
            successions.append(named(changed, home, kind))
        return changed

    members = {
        name: change(member, world.cities[name].home.path, Kind.CITY) for name, member in world.listing.members.items()
    }
    gateway = change(world.listing.gateways[GATEWAY], world.parties[GATEWAY].home, Kind.GATEWAY)
    return replace(world.listing, members=members, gateways={GATEWAY: gateway}, successions=tuple(successions))


async def issuer_shown(port: int, issuers: tuple[Issuer, ...]) -> int:
    """Which of these has issued the leaf that a server shows at a handshake now."""
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    leaf = x509.load_pem_x509_certificate(pem.encode())
    for number, issuer in enumerate(issuers):
        try:
            leaf.verify_directly_issued_by(issuer.certificate)
            return number
        except Exception:
            continue
    raise AssertionError("nobody's leaf")


async def test_no_question_fails_and_no_stream_is_cut_while_keys_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All keys of all at once, in the three steps of a rotation; a long answer runs through all three.

    What a quarter of an hour is for (no answer goes by a directory that does not know the next keys) is over here once
    every asker has begun anew.
    """
    world.add_gateway(GATEWAY)
    world.add_partner()
    for name in CITIES:
        city = world.add_city(name)
        base = buildings(name, [{"function": "office" * 133}])
        table = base.take(pa.array([0] * ROWS, pa.int64()))
        ids = pa.array([f"b{number}" for number in range(ROWS)])
        city.adopt(table.set_column(table.column_names.index("id"), base.schema.field("id"), ids))
        city.activate(GRANTS)
        city.limits = {"batch_bytes": 256 * 1024}
    owns = kept(monkeypatch)
    owns.append(own_of_gateway(world))
    answered: Counter[int] = Counter()
    progress, ending = asyncio.Condition(), asyncio.Event()

    async with (
        world.node(CITIES[0]) as one,
        world.node(CITIES[1]) as other,
        world.gateway() as gateway,
        cimfed.connect_async(str(world.profile())) as fed,
    ):
        ports = (one.server.port, other.server.port, gateway.port)
        before = {own.signing().public for own in owns}

        async def ask(fed: cimfed.AsyncFederation, asker: int) -> None:
            wanted = f"b{answered[asker] * ASKERS + asker}"
            answer = fed.read("building", where=f"id = '{wanted}'", purpose="research", require="all")
            assert sorted((await answer.to_table())["city"].to_pylist()) == list(CITIES)
            async with progress:
                answered[asker] += 1
                progress.notify_all()

        async def ask_on(asker: int) -> None:
            while not ending.is_set():
                await ask(fed, asker)

        async def each_asked(times: int) -> None:
            """Every asker has had so many answers since; so all but the first were begun since."""
            before = answered.copy()
            async with progress:
                await progress.wait_for(
                    lambda: all(answered[asker] >= before[asker] + times for asker in range(ASKERS))
                )

        long = aiter(fed.read("building", purpose="research", require="all"))
        rows = (await anext(long)).num_rows
        async with asyncio.TaskGroup() as group:
            for asker in range(ASKERS):
                group.create_task(ask_on(asker))
            await each_asked(1)
            for home, kind in [
                *((world.cities[name].home.path, Kind.CITY) for name in CITIES),
                (world.parties[GATEWAY].home, Kind.GATEWAY),
            ]:
                name = world.parties[GATEWAY].name if kind is Kind.GATEWAY else home.name
                next_keys.make_next_signing(home, kind, None, None)
                next_keys.make_next_issuer(home, FEDERATION, name, clock.now())
            world.publish(listed(world, slice(None)))
            await each_asked(3)
            assert before == {own.signing().public for own in owns}
            monkeypatch.setattr(own_keys, "SEEN", 0)
            await each_asked(4)
            assert before.isdisjoint(own.signing().public for own in owns)
            issuers = [world.directory.party(name).issuers for name in (*CITIES, GATEWAY)]
            shown = [await issuer_shown(port, both) for port, both in zip(ports, issuers, strict=True)]
            assert shown == [1, 1, 1]
            world.publish(listed(world, slice(1, None)))
            await each_asked(4)
            ending.set()
        assert one.service.running
        assert other.service.running
        async for batch in long:
            rows += batch.num_rows
        assert rows == len(CITIES) * ROWS
        async with cimfed.connect_async(str(world.profile())) as fresh:
            await ask(fresh, 0)
    for name in (*CITIES, GATEWAY):
        party = world.directory.party(name)
        assert (len(party.keys), len(party.issuers)) == (1, 1)


async def test_a_partner_asks_with_its_next_keys_once_its_directory_lists_them(world: World) -> None:
    """Whoever is connected goes on with the old ones as long as they are listed."""
    world.add_gateway(GATEWAY)
    party = world.add_partner()
    city = world.add_city(CITIES[0])
    city.adopt(buildings(CITIES[0], [{"function": "office"}]))
    city.activate(GRANTS)
    name = PartnerName(party.name)
    old = world.listing.partners[name]
    new = next_keys.make_next_signing(party.home, Kind.PARTNER, None, None)
    issuer = next_keys.make_next_issuer(party.home, FEDERATION, party.name, clock.now())
    both = replace(old, keys=(*old.keys, replace(old.keys[0], key=new)), issuers=(*old.issuers, issuer))

    async def signer_of(fed: cimfed.AsyncFederation) -> bytes:
        """Of one question, as the city has logged it."""
        assert (await fed.read("building", purpose="research", require="all").to_table()).num_rows == 1
        with city.control() as control, control.reading() as connection:
            size = log.head(connection).size
            entries = [decode(content) for _, content in log.contents(connection, EntryId(1, 0), size)]
        return [entry.key_id for entry in entries if isinstance(entry, Decision)][-1]

    async with world.node(CITIES[0]), world.gateway(), cimfed.connect_async(str(world.profile())) as before:
        assert await signer_of(before) == old.keys[0].key.id
        successions = (named(both, party.home, Kind.PARTNER),)
        world.publish(replace(world.listing, partners={name: both}, successions=successions))
        async with cimfed.connect_async(str(world.profile())) as after:
            assert await signer_of(after) == new.id
            assert await signer_of(before) == old.keys[0].key.id
            world.publish(replace(world.listing, partners={name: replace(both, keys=both.keys[1:], issuers=(issuer,))}))
            assert await signer_of(after) == new.id
            with pytest.raises(cimfed.errors.CimfedError):
                await signer_of(before)
