"""A whole log as lines of JSON (``docs/log.md``): what ``log export`` writes and ``cimfed audit`` reads.

{"format": "cimfed/log/v1", "origin": "sco/kz.almaty"}      begins a log, or its next generation
{"entry": "{\\"act\\":...}"}                                  the entry's own bytes, as text
{"checkpoint": "sco/kz.almaty\\n..."}                        a signed note, after the last entry that it is of
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from cimfed.errors import LogInconsistent
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.checkpoint import Origin, parse_origin
from cimfed.trust.tlog.entries import Entry, Other
from cimfed.trust.tlog.note import Note, parse_note
from cimfed.trust.tlog.walk import Walk

FORMAT = "cimfed/log/v1"

Item = Origin | bytes | Note
"""A log begins, an entry, a checkpoint."""


def line(item: Item) -> bytes:
    """LogInconsistent for an entry that is no text."""
    try:
        match item:
            case Origin():
                document = {"format": FORMAT, "origin": str(item)}
            case Note():
                document = {"checkpoint": item.to_bytes().decode()}
            case _:
                document = {"entry": item.decode()}
    except UnicodeDecodeError:
        raise LogInconsistent("an entry of the log is no text") from None
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def items(lines: Iterable[bytes]) -> Iterator[Item]:
    """LogInconsistent, with the number of the line, for what is none."""
    for number, text in enumerate(lines, 1):
        try:
            document = json.loads(text)
            match document:
                case {"format": str(form), "origin": str(origin)} if form == FORMAT and len(document) == 2:
                    yield parse_origin(origin)
                case {"entry": str(entry)} if len(document) == 1:
                    yield entry.encode()
                case {"checkpoint": str(note)} if len(document) == 1:
                    yield parse_note(note.encode())
                case _:
                    raise LogInconsistent(f"not a line of format {FORMAT}")
        except LogInconsistent as error:
            raise LogInconsistent(error.message, place=f"line {number}") from None
        except (ValueError, RecursionError):
            raise LogInconsistent(f"not a line of format {FORMAT}", place=f"line {number}") from None


def verified(
    lines: Iterable[bytes], keys: Callable[[Origin], Sequence[PublicKey]]
) -> Iterator[tuple[Walk, Entry | Other]]:
    """Every entry of an exported log, once the tree up to it is recomputed; checkpoints are compared on the way.

    ``keys`` gives those that may sign for a log. An entry counts when the checkpoint that follows it agreed, so read to
    the end before believing any.
    """
    walk: Walk | None = None
    for item in items(lines):
        if isinstance(item, Origin):
            walk = Walk(item, keys(item))
        elif walk is None:
            raise LogInconsistent("the first line does not say whose log it is", place="line 1")
        elif isinstance(item, Note):
            walk.check(item)
        else:
            yield walk, walk.add(item)[0]
