"""How a profile keeps up with the directory: also for who asks no city anything, and so needs no Arrow."""

from __future__ import annotations

from cimfed.client.profile import Profile
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors
from cimfed.trust.directory.follow import Follower
from cimfed.trust.tls import LeafSource


def follower_of(profile: Profile, leaves: LeafSource, first: str = "") -> Follower:
    """What keeps a profile's directory up to date; ``first``: who is asked before others."""
    mirrors = Mirrors(profile.federation, profile.service, profile.name, leaves, first=first or profile.gateway)
    return Follower(profile.directory, profile.federation, mirrors, clock.now)
