"""The Unix user that serves, as settings name it."""

from __future__ import annotations

import pwd

from cimfed.errors import BadConfig


def find_user(name: str) -> pwd.struct_passwd:
    """By name or number."""
    try:
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise BadConfig(f"this host has no user {name[:64]}", remedy="useradd --system cimfed") from None
