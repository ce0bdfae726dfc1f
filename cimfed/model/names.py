"""Names of members, partners, gateways, directory services and federations, and what kind each is.

A name is a dotted lower-case path: cities ``kz.almaty``, partners ``inst.tsinghua``, gateways ``gw.alliance``,
directory services ``dir.alliance``. The first label tells the kind, so no party can be taken for another of a
different kind. Names are compared as they stand: there is no case folding, escaping or normalisation to get around.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NewType

from cimfed.errors import BadConfig

CityName = NewType("CityName", str)
PartnerName = NewType("PartnerName", str)
GatewayName = NewType("GatewayName", str)
DirectoryName = NewType("DirectoryName", str)
Federation = NewType("Federation", str)
KeyId = NewType("KeyId", bytes)
"""SHA-256 of the 32 raw bytes of an Ed25519 public key. A hint only: never proof."""

_LABEL = "[a-z][a-z0-9-]{0,31}"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL}){{1,3}}")
_FEDERATION = re.compile(_LABEL)


class Kind(StrEnum):
    """What a party of the federation is; the third part of its SPIFFE id."""

    CITY = "city"
    PARTNER = "partner"
    GATEWAY = "gateway"
    DIRECTORY = "directory"


def kind_of(name: str) -> Kind:
    """The kind that a well-formed name bears."""
    if len(name) > 100 or not _NAME.fullmatch(name):
        raise BadConfig(
            f"{name[:100]!r} is not a name",
            remedy="Use a dotted lower-case path such as kz.almaty, inst.tsinghua, gw.alliance or dir.alliance",
        )
    first = name.split(".", 1)[0]
    return {"inst": Kind.PARTNER, "gw": Kind.GATEWAY, "dir": Kind.DIRECTORY}.get(first, Kind.CITY)


def _of_kind(name: str, kind: Kind) -> str:
    if kind_of(name) is not kind:
        raise BadConfig(f"{name!r} is the name of a {kind_of(name)}, not of a {kind}")
    return name


def city_name(name: str) -> CityName:
    return CityName(_of_kind(name, Kind.CITY))


def partner_name(name: str) -> PartnerName:
    return PartnerName(_of_kind(name, Kind.PARTNER))


def gateway_name(name: str) -> GatewayName:
    return GatewayName(_of_kind(name, Kind.GATEWAY))


def directory_name(name: str) -> DirectoryName:
    return DirectoryName(_of_kind(name, Kind.DIRECTORY))


def federation(name: str) -> Federation:
    if not _FEDERATION.fullmatch(name):
        raise BadConfig(f"{name[:100]!r} is not a federation's name", remedy="Use one lower-case label, such as sco")
    return Federation(name)
