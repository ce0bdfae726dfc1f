"""From a connection profile on disk to a federation that can be asked."""

from __future__ import annotations

from cimfed.client.federation import Asker, AsyncFederation, Federation
from cimfed.client.following import follower_of
from cimfed.client.profile import Profile, only_profile, read_profile
from cimfed.client.transport import Wire
from cimfed.errors import BadConfig
from cimfed.model.names import city_name, gateway_name
from cimfed.rpc.channel import ChannelPool
from cimfed.trust.identity_files import load_signing_key
from cimfed.trust.keys import Signer
from cimfed.trust.tls import LeafSource, Use


def connect(
    profile: str | None = None,
    *,
    gateway: str | None = None,
    city: str | None = None,
    passphrase: str | bytes | None = None,
) -> Federation:
    """The federation of a profile (its name, or its path), asked through the profile's gateway or the one named.

    ``profile``: not needed where there is only one. ``city``: that city alone, asked directly. ``passphrase``: of the
    access key, where it has one, or the PIN of its token. Nothing is dialled yet. NotFound, BadConfig.
    """
    known = read_profile(profile or only_profile())
    return Federation(asker_of(known, _signer(known, passphrase), gateway, city))


def connect_async(
    profile: str | None = None,
    *,
    gateway: str | None = None,
    city: str | None = None,
    passphrase: str | bytes | None = None,
) -> AsyncFederation:
    """As ``connect``, for programs with an event loop: ``async with cimfed.connect_async("sco") as fed``."""
    known = read_profile(profile or only_profile())
    return AsyncFederation(asker_of(known, _signer(known, passphrase), gateway, city))


def asker_of(profile: Profile, signer: Signer, gateway: str | None = None, city: str | None = None) -> Asker:
    """What asks in a profile's name with a key that is open already."""
    if gateway and city:
        raise BadConfig("ask through a gateway or a city directly, not both")
    source = city_name(city) if city else gateway_name(gateway) if gateway else profile.gateway
    leaves = LeafSource(profile.issuing_key(), profile.federation, profile.name, Use.CLIENT)
    directory = follower_of(profile, leaves, source)
    return Asker(source, directory, signer, Wire(ChannelPool(directory, leaves), source))


def _signer(profile: Profile, passphrase: str | bytes | None) -> Signer:
    return load_signing_key(profile.access_key, passphrase.encode() if isinstance(passphrase, str) else passphrase)
