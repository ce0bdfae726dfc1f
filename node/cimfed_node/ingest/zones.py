"""Local times to instants, by a zone that the operator names.

A local time that the zone's clocks skipped is no time, and one that they showed twice is two: neither is guessed at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cimfed.errors import BadConfig
from cimfed.model.instants import instant_of
from cimfed_node.ingest.values import OutOfRange


def zone_of(name: str | None) -> ZoneInfo | None:
    """BadConfig where this host knows no such zone."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadConfig(
            f"there is no time zone {name[:64]!r} here",
            place="--time-zone",
            remedy="Name one of the IANA database, such as Asia/Tashkent; hosts have it in the package tzdata",
        ) from None


def instant_in(local: datetime, zone: ZoneInfo) -> int:
    """The instant of a local time. Raises OutOfRange where the zone had none or two of it."""
    first = local.replace(tzinfo=zone, fold=0)
    if first.utcoffset() != local.replace(tzinfo=zone, fold=1).utcoffset():
        if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != local:
            raise OutOfRange(f"a local time that the clocks of {zone.key} skipped")
        raise OutOfRange(f"a local time that the clocks of {zone.key} showed twice: write its offset from UTC")
    return instant_of(first)
