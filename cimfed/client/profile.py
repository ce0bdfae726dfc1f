"""A connection profile: what a partner needs on disk to ask a federation.

    <CIMFED_HOME>/<profile>/profile.toml      the facts below
                            keys/             access.key, tls.key, tls.pem (cimfed.trust.identity_files), and the
                                              next ones while they change (cimfed.trust.next_keys)
                            card.json         for the administrator
                            directory/        root.json, pinned, and what was fetched of the directory

    <CIMFED_HOME>/.default            the name of the profile that is meant where several are there

``CIMFED_HOME`` is ``~/.config/cimfed`` where the environment names no other. The pinned root is where trust begins:
everything else that a partner believes is signed by its keys or by keys that the directory lists.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cimfed.errors import BadConfig, CimfedError, NotFound
from cimfed.model.names import (
    Federation,
    GatewayName,
    Kind,
    PartnerName,
    federation,
    gateway_name,
    partner_name,
)
from cimfed.rpc import clock
from cimfed.trust import identity_files, next_keys
from cimfed.trust.directory.documents import address
from cimfed.trust.directory.follow import last_known
from cimfed.trust.directory.listing import AccessKey
from cimfed.trust.files import create_file, replace_file
from cimfed.trust.tls import Issuer, IssuingKey

FORMAT = "cimfed/profile/v2"
FILE = "profile.toml"
PARTS = (FILE, "card.json", "keys", "directory")  # what cimfed keeps in a profile's folder
DEFAULT = ".default"  # no profile is called so
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAKE = "Make one: cimfed join, with an invitation; or cimfed profile new"
_FIELDS = {"format", "name", "federation", "directory", "gateway"}


@dataclass(frozen=True)
class Profile:
    """``home`` is the profile's own folder; ``service`` where the directory service is reached, ``host:port``."""

    home: Path
    name: PartnerName
    federation: Federation
    service: str
    gateway: GatewayName

    @property
    def directory(self) -> Path:
        return self.home / "directory"

    @property
    def root(self) -> bytes:
        """The pinned root of the directory."""
        return identity_files.read(self.directory / "root.json")

    @property
    def card(self) -> Path:
        return self.home / "card.json"

    @property
    def access_key(self) -> Path:
        """The key in use: the next one, where there is one and the directory that was fetched last lists it."""
        following = next_keys.next_signing(self.home, Kind.PARTNER)
        if following is not None and following in [access.key for access in self._listed[0]]:
            return next_keys.next_key_path(self.home, Kind.PARTNER)
        return next_keys.signing_key_path(self.home, Kind.PARTNER)

    def issuing_key(self) -> IssuingKey:
        """The TLS issuing key in use, likewise."""
        if next_keys.next_issuer(self.home) in self._listed[1]:
            return next_keys.load_next_issuing_key(self.home)
        return next_keys.load_issuing_key_in_use(self.home)

    @property
    def _listed(self) -> tuple[tuple[AccessKey, ...], tuple[Issuer, ...]]:
        directory = last_known(self.directory, self.federation, clock.now())
        partner = directory.partners.get(self.name) if directory else None
        return (partner.keys, partner.issuers) if partner else ((), ())

    @property
    def encrypted(self) -> bool:
        """Whether the access key asks for a passphrase."""
        return identity_files.asks_for(self.access_key) is not None


def profiles_folder(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("CIMFED_HOME") or Path.home() / ".config" / "cimfed")


def profile_home(profile: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of a profile by its name, or by its path where that has a separator."""
    if os.sep in profile:
        return Path(profile)
    if not _PROFILE.fullmatch(profile):
        raise BadConfig(f"{profile[:80]!r} is not the name of a profile", remedy="Use letters, digits, - _ .")
    return profiles_folder(environment) / profile


def profile_names(environment: Mapping[str, str] = os.environ) -> list[str]:
    return sorted(path.parent.name for path in profiles_folder(environment).glob(f"*/{FILE}"))


def only_profile(environment: Mapping[str, str] = os.environ) -> str:
    """The profile that is meant where none is named: that of ``CIMFED_PROFILE``, else the one that was chosen, else the
    only one that there is.

    NotFound where there is none, BadConfig where there are several.
    """
    named = environment.get("CIMFED_PROFILE")
    if named:
        return named
    names = profile_names(environment)
    if not names:
        raise NotFound(f"there is no profile in {profiles_folder(environment)}", remedy=_MAKE)
    chosen = chosen_profile(environment)
    if chosen is not None:
        return chosen
    if len(names) > 1:
        raise BadConfig(
            "there are several profiles",
            remedy="Name one (--profile, or CIMFED_PROFILE), or choose one (cimfed profile default): "
            f"{', '.join(names)}",
        )
    return names[0]


def chosen_profile(environment: Mapping[str, str] = os.environ) -> str | None:
    """The one that was chosen among several; None where none was, or where it is gone."""
    try:
        name = (profiles_folder(environment) / DEFAULT).read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    return name if name in profile_names(environment) else None


def choose_profile(profile: str, environment: Mapping[str, str] = os.environ) -> None:
    replace_file(profiles_folder(environment) / DEFAULT, f"{profile}\n".encode())


def write_profile(profile: Profile) -> None:
    """Makes ``profile.toml``; Conflict where there is one."""
    facts = {
        "format": FORMAT,
        "name": profile.name,
        "federation": profile.federation,
        "directory": profile.service,
        "gateway": profile.gateway,
    }
    # The values have no characters in which a JSON string and a TOML basic string differ.
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())
    create_file(profile.home / FILE, text.encode())


def remove_profile(home: Path) -> list[str]:
    """Takes away what cimfed keeps in that folder, and the folder; gives what else is in it, which stays."""
    for part in PARTS:  # profile.toml first: half of a profile is none
        path = home / part
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    left = sorted(path.name for path in home.iterdir())
    if not left and not home.is_symlink():
        home.rmdir()
    return left


def read_profile(profile: str, environment: Mapping[str, str] = os.environ) -> Profile:
    """The profile of that name. NotFound where there is none; BadConfig for what is none."""
    home = profile_home(profile, environment)
    path = home / FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        there = profile_names(environment)
        remedy = f"Those that are here: {', '.join(there)}" if there else _MAKE
        raise NotFound(f"there is no profile {profile} in {home}", remedy=remedy) from None
    except (OSError, ValueError):
        raise BadConfig("the profile cannot be read", place=str(path)) from None
    if document.keys() != _FIELDS or document["format"] != FORMAT:
        raise BadConfig(f"not a profile of format {FORMAT}", place=str(path))
    if not all(isinstance(value, str) for value in document.values()):
        raise BadConfig("every value of a profile is text", place=str(path))
    try:
        return Profile(
            home=home,
            name=partner_name(document["name"]),
            federation=federation(document["federation"]),
            service=address(document["directory"]),
            gateway=gateway_name(document["gateway"]),
        )
    except CimfedError as error:
        raise BadConfig(error.message, place=str(path), remedy=error.remedy) from None
