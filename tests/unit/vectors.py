"""Reading the vectors: cases of files, their bytes, and what a reader's verdict is held against."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cimfed.errors import CimfedError
from tests.oracle.wire import encoding

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
Case = dict[str, Any]


@cache
def load(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / name).read_text("utf-8"))


def cases(*names: str, keep: Callable[[Case], bool] = lambda case: True) -> Any:
    """Parametrises by the cases of files."""
    found = [shared(name) | case for name in names for case in load(name)["cases"] if keep(case)]
    return pytest.mark.parametrize("case", found, ids=lambda case: case["name"])


def shared(name: str) -> Case:
    """What a file says once for all of its cases."""
    return {key: value for key, value in load(name).items() if key in ("root", "now", "city", "stewards")}


def raw(value: str | list[list[Any]]) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value)
    return b"".join(bytes.fromhex(part) * times for part, times in value)


def judge(case: Case, read: Callable[[], Any]) -> Any:
    """What ``read`` gives; the case's verdict must be the one that it comes to."""
    found, told = None, ("accept", None)
    try:
        found = read()
    except (CimfedError, encoding.Refused) as error:
        told = "reject", error.reason
    assert told == (case["verdict"], case.get("reason"))
    return found


def file_of(case: Case) -> bytes:
    """The DSSE JSON file of a signed document."""
    signature = {"keyid": "", "sig": case["signature"]}
    payload = base64.b64encode(case["payload"].encode()).decode()
    return json.dumps({"payloadType": case["type"], "payload": payload, "signatures": [signature]}).encode()


def parts_of(case: Case) -> list[Any]:
    return [
        bytes.fromhex(part["hex"]) if "hex" in part else part.get("text", part.get("integer")) for part in case["parts"]
    ]


def check_payload(payload: bytes, fields: dict[str, Any]) -> None:
    if "payload_bytes" in fields:
        assert len(payload) == fields["payload_bytes"]
    else:
        assert payload.hex() == fields["payload"]


def first_chain() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """What was asked, the first chain, and the request's hash."""
    document = load("chain.json")
    return document["asked"], document["chains"][0], bytes.fromhex(document["asked"]["request_hash"])


def counted(rows: int) -> bool:
    """The manifest alone does not say how many rows came."""
    if rows != load("chain.json")["rows"]:
        raise encoding.Refused("chain_broken", "it counts other rows")
    return True


def directory_files(case: Case) -> dict[str, bytes]:
    """The files of a directory, made of those of another case where it says so."""
    base = directory_of(case["of"]) if "of" in case else {}
    changed = {path: text.encode() for path, text in case["files"].items() if text is not None}
    return {path: data for path, data in base.items() if path not in case["files"]} | changed


def directory_of(name: str) -> dict[str, bytes]:
    (found,) = (case for case in load("directory.json")["cases"] if case["name"] == name)
    return directory_files(found)


def pinned() -> bytes:
    root: str = load("directory.json")["root"]
    return root.encode()


def receipt_bytes(case: Case, file: str) -> bytes:
    if "bytes" in case:
        return base64.b64decode(case["bytes"])
    (base,) = (other for other in load(file)["cases"] if other["name"] == case["of"])
    data = receipt_bytes(base, file)
    for at, removed, put in case["edits"]:
        data = data[:at] + bytes.fromhex(put) + data[at + removed :]
    return data


RECEIPTS = [
    (file.name, {name: load(file.name)[name] for name in ("root", "collection")} | case)
    for file in sorted(VECTORS.glob("receipt*.json"))
    for case in load(file.name)["cases"]
]
