"""The directory that a new party is set up with: the pins are tried on it before anything is made.

This file does I/O, as ``cimfed.trust.identity_files`` does.
"""

from __future__ import annotations

from pathlib import Path

from cimfed.errors import BadConfig, BadDirectory
from cimfed.model.names import Federation
from cimfed.trust.directory import Directory
from cimfed.trust.directory_format import parse_however_old
from cimfed.trust.keys import PublicKey


def pinned_directory(path: Path, registrar: PublicKey, federation: Federation) -> Directory | None:
    """The directory in a file, expired or not; None where there is no file yet.

    BadDirectory for one that another key signed, or of another federation.
    """
    try:
        directory = parse_however_old(path.read_bytes(), registrar)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadConfig(f"the directory cannot be read: {error.strerror}", place=str(path)) from None
    except BadDirectory as error:
        raise BadDirectory(error.message, place=str(path), remedy=error.remedy) from None
    if directory.federation != federation:
        raise BadDirectory(f"this is the directory of {directory.federation}, not of {federation}", place=str(path))
    return directory
