"""Untouched members of CityGML files put into a CityModel again, without trusting a character of them.

A member came as canonical XML that stands by itself: with the namespaces that it stood in. Each is parsed by expat
before it is written, as an element with nothing before it, without a document type (so without entities), its
namespaces its own, in bounded depth. So what is written is well-formed whatever a city sent. What the file had before
its first member (its envelope, its name) is written before the members, under the same check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

DEPTH = 256
"""Levels, as importers of XML take them."""
_XML = "http://www.w3.org/XML/1998/namespace"
_MEMBERS = ("cityObjectMember", "featureMember")
_VERSION = re.compile(r"CityGML ([123]\.0)")
_BEGIN = re.compile(r"<[^\W\d]")
_NAME = re.compile(r"(?:\{([^{}]*)\})?([^\W\d][\w.-]*)")


class NoXml(ValueError):
    """It is not what may be written."""


def version_of(header: Mapping[str, Any]) -> str | None:
    """The version of CityGML that a header is of; None where it is of another format."""
    found = _VERSION.fullmatch(str(header.get("format", "")))
    return found[1] if found else None


def begin(header: Mapping[str, Any]) -> str:
    """A CityModel up to its first member. NoXml where the header cannot be one's."""
    version, attributes, before = version_of(header), header.get("attributes", {}), header.get("before", [])
    if version is None or not isinstance(attributes, dict) or not isinstance(before, list):
        raise NoXml
    tag = f'<core:CityModel xmlns:core="http://www.opengis.net/citygml/{version}"'
    for number, (name, value) in enumerate(attributes.items()):
        found = _NAME.fullmatch(name)
        if found is None or not isinstance(value, str):
            raise NoXml
        space, local = found.groups()
        if space == _XML:
            tag += f" xml:{local}="
        elif space:
            tag += f" xmlns:a{number}={quoteattr(space)} a{number}:{local}="
        elif local.lower().startswith("xml"):  # members stand by themselves
            raise NoXml
        else:
            tag += f" {local}="
        tag += quoteattr(value)
    check(f"{tag}/>")
    for text in before:
        check(text)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join([f"{tag}>", *before]) + "\n"


def member(text: Any) -> str:
    """A member as it came; an object that stood with others in one is given one of its own. NoXml for anything else."""
    local = check(text)
    return str(text) if local in _MEMBERS else f"<core:cityObjectMember>{text}</core:cityObjectMember>"


END = "</core:CityModel>\n"


def check(text: Any) -> str:
    """The local name of the one element that a text is; NoXml for anything else."""
    if not isinstance(text, str) or not _BEGIN.match(text):
        raise NoXml
    names: list[str] = []
    depth = 0

    def start(name: str, _: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH:
            raise NoXml
        names[:] = names or [name]

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise NoXml

    parser = expat.ParserCreate("UTF-8", namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError):
        raise NoXml from None
    return names[0].rpartition("}")[2]
