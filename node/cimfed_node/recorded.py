"""The operator's own record of which snapshots are current, since the service can write the tables that say so.

A JSON file of ids by collection that only the operator can write. While a command brings another snapshot into force it
names both, the old and the new one; who next gets the operator's lock after a crash keeps the one that the tables name,
as long as it is one of the two. A prune removes none that stands here, whatever the tables say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cimfed.errors import BadConfig
from cimfed.trust.files import replace_file
from cimfed_node.config import Home

Record = dict[str, list[str]]


def read_record(home: Home) -> Record:
    """Empty where nothing was ever imported. BadConfig where it is damaged."""
    path = home.current_record
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(ids, list) for ids in found.values()):
        raise BadConfig(
            "the record of current snapshots is damaged",
            place=str(path),
            remedy="Compare 'cimfed-node snapshots list' with what you imported; then remove it and import again",
        )
    return found


def write_record(home: Home, record: Record) -> None:
    if record != read_record(home):
        replace_file(home.current_record, json.dumps(record, sort_keys=True).encode() + b"\n", 0o640)


def both(record: Record, new: Mapping[str, str]) -> Record:
    """With further snapshots, by collection, beside those that are current."""
    return record | {name: list(dict.fromkeys([*record.get(name, ()), id])) for name, id in new.items()}


def settled(record: Record, current: Mapping[str, str]) -> Record:
    """Where several are named, the one that the tables name, if it is among them."""
    return {name: [current[name]] if current.get(name) in ids else ids for name, ids in record.items()}


def strangers(record: Record, current: Mapping[str, str]) -> Iterable[str]:
    """Collections whose current snapshot no operator brought into force."""
    return [name for name, id in current.items() if name in record and id not in record[name]]
