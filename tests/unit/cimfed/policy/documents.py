"""Policies for the tests of this folder: small texts, and the worked example of the steward's page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cimfed.model.vocabulary import VOCABULARY, Type
from cimfed.policy.document import compose
from cimfed.policy.grant import Policy

PAGE = (Path(__file__).parents[4] / "docs" / "policy.md").read_text("utf-8")
EXAMPLE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
SALT = bytes(range(16))

CENTRE: dict[str, Any] = {
    "type": "Polygon",
    "coordinates": [[[76.9, 43.2], [77.0, 43.2], [77.0, 43.3], [76.9, 43.3], [76.9, 43.2]]],
}

HEAD = """\
format: cimfed/policy/v1
city: kz.almaty
version: 1
valid: [2026-01-01T00:00Z, 2027-01-01T00:00Z]
"""

GRANT = """\
grants:
  - id: one
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {height: exact}
"""


def read_file(path: str) -> bytes:
    files = {"areas/centre.geojson": json.dumps({"type": "Feature", "properties": {}, "geometry": CENTRE})}
    if path not in files:
        raise FileNotFoundError(path)
    return files[path].encode()


def policy(text: str) -> Policy:
    return compose(text, "p.yaml", read_file, SALT)


def whole(collection: str = "building") -> tuple[str, ...]:
    """Lines of a grant that gives untouched objects: of all columns, by the vocabulary's own list."""
    names = [
        prop.name
        for prop in VOCABULARY.collections[collection].properties.values()
        if prop.name != "city" and prop.type not in (Type.GEOMETRY, Type.BOX)
    ]
    columns = ", ".join(f"{name}: exact" for name in names)
    return f"collection: {collection}", f"columns: {{{columns}}}", "geometry: {max_lod: 3}", "original: true"


def untouched(collection: str = "building", **more: str) -> str:
    """A grant of everything, the objects as they came as well; ``more`` lines may say otherwise."""
    lines = dict(line.split(": ", 1) for line in whole(collection)) | more
    return "\n".join(
        [
            "  - id: untouched",
            "    subject: {country: [CN]}",
            "    purpose: [research]",
            *(f"    {word}: {text}" for word, text in lines.items()),
            "",
        ]
    )


def grant(*lines: str) -> Policy:
    """The small policy with more lines in its grant; a line for a word that is there replaces it."""
    body = GRANT.splitlines()
    for line in lines:
        word = line.split(":")[0]
        body = [old for old in body if not old.strip().removeprefix("- ").startswith(f"{word}:")]
        body.append(f"    {line}")
    return policy(HEAD + "\n".join(body) + "\n")
