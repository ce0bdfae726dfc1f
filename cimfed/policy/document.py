"""The policy document: what a steward writes, checked word by word.

``compose`` reads the steward's YAML; ``cimfed.policy.payload`` reads the signed JSON with the same ``read``. They
differ in four things only: rows are CQL2 text or a tree, an area may be the path of a file, the salt is given or stands
there, and a country must be one only when it is written: codes come and go, and what was signed stays as it is. Rules:

1. A word that the format does not know is an error, and so is one that this release does not evaluate.
2. Names of collections, properties and masks are those of the vocabulary; conditions agree with its types.
3. A grant says id, subject, purpose, collection and columns (which may be none: ``{}``).
4. An empty list matches nothing and is an error, never "any".
5. Untouched objects go along only in a grant that hides nothing of them but whole objects.

``docs/policy.md`` describes the format for stewards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from cimfed.errors import BadConfig, BadPolicy
from cimfed.model.countries import country_remedy, is_country
from cimfed.model.instants import parse_instant
from cimfed.model.names import CityName, GatewayName, PartnerName, city_name, gateway_name, partner_name
from cimfed.model.routing import MAX_VERSION, Extent, as_extent
from cimfed.model.vocabulary import VOCABULARY, Collection, Property, Type
from cimfed.policy import yaml
from cimfed.policy.area import normalised, number, read_area
from cimfed.policy.cursor import LATER, Cursor, json_place, suggestion
from cimfed.policy.grant import FORMAT, Agreement, Grant, Policy, Subjects
from cimfed.policy.rows import check_rows, read_text
from cimfed.policy.shape import (
    DIRECT,
    EXACT,
    FINEST_LOD,
    MAX_WIDTH,
    NESTED,
    NULL,
    Mask,
    band,
    follows_geometry,
    lacking,
    lowest_level,
)
from cimfed.query.expression import Expression

SALT_BYTES = 16
MAX_AREA_FILE = 4 * 1024 * 1024
SHOWN = 5  # names in a message

_WORD = re.compile(r"[a-z][a-z0-9-]{0,63}")
_COUNTRY = re.compile("[A-Z]{2}")
_INTEGER = re.compile("0|[1-9][0-9]{0,15}")
_WIDTH = re.compile(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,18})?")
_SHA256 = re.compile("[0-9a-f]{64}")
_AGREEMENT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
_HEX = re.compile(f"[0-9a-f]{{{2 * SALT_BYTES}}}")

_LATER_TOP = ("restrictions", "forbids", "tests")
_LATER_GRANT = ("time", "release", "quota", "of_whole")
_LATER_MASKS = ("pseudonym", "year", "prefix")


@dataclass(frozen=True)
class Form:
    """How one of the two forms of a policy is read."""

    rows: Callable[[Cursor], Expression]
    area: Callable[[Cursor], bytes]
    salt: bytes | None  # None: it stands in the document


def compose(text: str, source: str, read_file: Callable[[str], bytes], salt: bytes) -> Policy:
    """The policy of a YAML text.

    ``source`` is the file's name in error places, ``read_file`` gives the bytes of a file of an area by the path
    that stands in the text (``OSError`` where there is none), ``salt`` is 16 fresh random bytes.
    """
    if len(salt) != SALT_BYTES:
        raise BadPolicy(f"a salt has {SALT_BYTES} bytes")

    def area(at: Cursor) -> bytes:
        return normalised(read_area(at if isinstance(at.value, dict) else _area_file(at, read_file)))

    return read(yaml.load(text, source), Form(read_text, area, salt))


def read(at: Cursor, form: Form) -> Policy:
    required = ["format", "city", "version", "valid"]
    if not isinstance(at.value, dict):
        raise at.error("a policy is a mapping", f"Begin with format: {FORMAT}")
    if "format" in at.value:  # before anything else: another format has other words
        at.child("format").choice([FORMAT], "a format that this release reads")
    if form.salt is None:
        required.append("salt")
    found = at.fields("a policy", required, ("declared", "listed", "grants"), _LATER_TOP)
    grants = [_grant(item, form) for item in found["grants"].items("grants")] if "grants" in found else []
    seen: set[str] = set()
    for index, grant in enumerate(grants):
        if grant.id in seen:
            raise found["grants"].child(index).child("id").error(f"two grants are called {grant.id}")
        seen.add(grant.id)
    return Policy(
        city=_city(found["city"]),
        version=_integer(found["version"], 1, MAX_VERSION, "a version"),
        valid=_valid(found["valid"]),
        declared=MappingProxyType(_declared(found["declared"]) if "declared" in found else {}),
        listed=MappingProxyType(_listed(found["listed"]) if "listed" in found else {}),
        grants=tuple(grants),
        salt=bytes.fromhex(found["salt"].match(_HEX, "a salt")) if form.salt is None else form.salt,
    )


# The sections


def _declared(at: Cursor) -> dict[str, Extent | None]:
    declared: dict[str, Extent | None] = {}
    for name, item in at.entries("collections"):
        _collection(name, item.key_error)
        found = item.fields("a declaration", (), ("extent",), ("time",))
        declared[name] = _extent(found["extent"]) if "extent" in found else None
    return declared


def _listed(at: Cursor) -> dict[str, frozenset[str]]:
    listed: dict[str, frozenset[str]] = {}
    for name, item in at.entries("collections"):
        collection = _collection(name, item.key_error)
        properties: set[str] = set()
        for entry in item.items("properties"):
            prop = _property(collection, entry.text("the name of a property"), entry.error)
            if prop.name in properties:
                raise entry.error(f"{prop.name} is named twice")
            properties.add(prop.name)
        listed[name] = frozenset(properties)
    return listed


def _grant(at: Cursor, form: Form) -> Grant:
    found = at.fields(
        "a grant",
        ("id", "subject", "purpose", "collection", "columns"),
        ("rows", "area", "geometry", "valid", "via", "obligations", "agreement", "original"),
        _LATER_GRANT,
    )
    collection = _collection(found["collection"].text("a collection"), found["collection"].error)
    max_lod = _max_lod(found["geometry"]) if "geometry" in found else None
    rows = form.rows(found["rows"]) if "rows" in found else None
    if rows is not None:
        check_rows(rows, collection, found["rows"])
    columns = _columns(found["columns"], collection, max_lod)
    original = "original" in found and _boolean(found["original"], "original")
    if original:
        _check_original(found["original"], collection, columns, max_lod)
    return Grant(
        id=found["id"].match(_WORD, "an id (lower case, digits and hyphens)"),
        subjects=_subjects(found["subject"], form),
        purposes=found["purpose"].words(_WORD, "a purpose (lower case, digits and hyphens)", "purposes"),
        collection=collection.name,
        columns=MappingProxyType(columns),
        rows=rows,
        area=_area(found["area"], form) if "area" in found else None,
        max_lod=max_lod,
        valid=_valid(found["valid"]) if "valid" in found else None,
        via=_via(found["via"]) if "via" in found else None,
        obligations=found["obligations"].words(_WORD, "an obligation (lower case, hyphens)", "obligations")
        if "obligations" in found
        else frozenset(),
        agreement=_agreement(found["agreement"]) if "agreement" in found else None,
        original=original,
    )


# The parts of a grant


def _subjects(at: Cursor, form: Form) -> Subjects:
    found = at.fields("a subject", (), ("org", "country", "role"))
    if not found:
        raise at.error("a subject names someone", "Say org, country or role")
    orgs: set[PartnerName] = set()
    if "org" in found:
        for item in found["org"].items("organisations"):
            try:
                org = partner_name(item.text("an organisation"))
            except BadConfig as error:
                raise item.error(error.message, "Partners are called inst.<name>") from None
            if org in orgs:
                raise item.error(f"{org} is named twice")
            orgs.add(org)
        if not orgs:
            raise found["org"].error("an empty list of organisations matches nothing")
    return Subjects(
        org=frozenset(orgs),
        country=_countries(found["country"], form) if "country" in found else frozenset(),
        role=found["role"].words(_WORD, "a role", "roles") if "role" in found else frozenset(),
    )


def _countries(at: Cursor, form: Form) -> frozenset[str]:
    one = "a country (two capitals, ISO 3166)"
    if form.salt is not None:  # it is being written
        for item in at.items("countries"):
            word = item.text(one)
            if not is_country(word):
                raise item.error(f"{word[:64]!r} is not {one}", country_remedy(word))
    return at.words(_COUNTRY, one, "countries")


def _columns(at: Cursor, collection: Collection, max_lod: int | None) -> dict[str, Mask]:
    columns: dict[str, Mask] = {}
    for name, item in at.entries("columns"):
        prop = _property(collection, name, item.key_error)
        if name == "city":
            raise item.key_error("city is always given", "Leave it out")
        if follows_geometry(prop):
            raise item.key_error(f"{name} is not a column to name", "Use geometry: {max_lod: ...}")
        if prop.levels and (max_lod is None or max_lod < lowest_level(prop)):
            raise item.key_error(
                f"{name} needs geometry of level {lowest_level(prop)} or finer", "Raise max_lod, or leave it out"
            )
        columns[name] = _mask(item, prop)
    return columns


def _mask(at: Cursor, prop: Property) -> Mask:
    if isinstance(at.value, dict):
        found = at.fields("a mask", ("band",), (), _LATER_MASKS)
        _allowed(at, prop, "band")
        return band(_width(found["band"], prop))
    word = at.text("a mask")
    if word in _LATER_MASKS:
        raise at.error(f"{word}: {LATER}")
    if word == "band":
        raise at.error("a band has a width", "Write {band: 5}")
    at.choice(("exact", "null"), "a mask")
    _allowed(at, prop, word)
    return EXACT if word == "exact" else NULL


def _allowed(at: Cursor, prop: Property, mask: str) -> None:
    if mask not in prop.masks:
        raise at.error(f"{prop.name} has no mask {mask}", f"The vocabulary gives it {', '.join(prop.masks)}")


def _width(at: Cursor, prop: Property) -> Decimal:
    width = Decimal(at.match(_WIDTH, "a band's width (a positive decimal number)"))
    if not 0 < width <= MAX_WIDTH:
        raise at.error(f"a band's width is more than 0 and at most {MAX_WIDTH}")
    scale = prop.scale if prop.type is Type.DECIMAL else 0
    exponent = width.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > scale:
        raise at.error(f"{prop.name} has {scale} decimals, the width has more")
    return width


def _area(at: Cursor, form: Form) -> bytes:
    return form.area(at.fields("an area", ("within",), (), ("mode",))["within"])


def _area_file(at: Cursor, read_file: Callable[[str], bytes]) -> Cursor:
    path = at.text("the path of a GeoJSON file, or a GeoJSON geometry,")
    try:
        content = read_file(path)
    except OSError:
        raise at.error(f"{path[:200]} cannot be read") from None
    if len(content) > MAX_AREA_FILE:
        raise at.error(f"{path[:200]} is larger than {MAX_AREA_FILE} bytes", "Simplify the area")
    try:
        value = json.loads(content, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise at.error(f"{path[:200]} is not JSON") from None
    return Cursor(value, (), json_place(f"{at.locate(at.path, False)}: {path[:200]}"))


def _max_lod(at: Cursor) -> int:
    found = at.fields("geometry", ("max_lod",), (), ("grid_m", "of_whole"))
    return _integer(found["max_lod"], 0, 3, "a level of detail")


def _via(at: Cursor) -> frozenset[str]:
    via: set[GatewayName | str] = set()
    for item in at.items("gateways"):
        word = item.text("a gateway")
        if word != DIRECT:
            try:
                gateway_name(word)
            except BadConfig as error:
                raise item.error(error.message, "Name gateways such as gw.alliance, or direct") from None
        if word in via:
            raise item.error(f"{word} is named twice")
        via.add(word)
    if not via:
        raise at.error("an empty list lets nobody present a query", "Name gateways, or direct, or leave via out")
    return frozenset(via)


def _check_original(at: Cursor, collection: Collection, columns: Mapping[str, Mask], max_lod: int | None) -> None:
    """An untouched object shows all that columns, masks and levels of detail could hide of it."""
    if collection.name in NESTED:
        raise at.error(
            f"objects of {collection.name} have no original of their own", "They are in the originals of building"
        )
    if max_lod != FINEST_LOD:
        raise at.error("original shows every level of detail", f"Say geometry: {{max_lod: {FINEST_LOD}}}")
    hidden = lacking(collection, columns)
    if hidden:
        raise at.error(
            f"original shows what the grant hides: {', '.join(hidden[:SHOWN])}{' ...' if hidden[SHOWN:] else ''}",
            f"Give {'it' if len(hidden) == 1 else f'all {len(hidden)}'} exact, or leave original out",
        )


def _agreement(at: Cursor) -> Agreement:
    found = at.fields("an agreement", ("id",), ("sha256",))
    digest = found["sha256"].match(_SHA256, "a SHA-256 (64 hexadecimal digits)") if "sha256" in found else ""
    return Agreement(found["id"].match(_AGREEMENT, "an id of 1 to 200 characters"), bytes.fromhex(digest))


# Scalars


def _boolean(at: Cursor, what: str) -> bool:
    """YAML gives text, JSON a boolean: of the signed form only true is canonical."""
    if isinstance(at.value, bool):
        return at.value
    return at.choice(("true", "false"), f"{what}, true or false") == "true"


def _city(at: Cursor) -> CityName:
    try:
        return city_name(at.text("the name of a city"))
    except BadConfig as error:
        raise at.error(error.message, "Cities are called, for example, kz.almaty") from None


def _integer(at: Cursor, low: int, high: int, what: str) -> int:
    value = int(at.match(_INTEGER, f"{what} ({low} to {high})"))
    if not low <= value <= high:
        raise at.error(f"{value} is not {what} ({low} to {high})")
    return value


def _valid(at: Cursor) -> tuple[int, int]:
    times = at.items("two times")
    if len(times) != 2:
        raise at.error("validity is two times", "Write [2026-10-01T00:00Z, 2027-04-01T00:00Z]")
    start, end = (_instant(item) for item in times)
    if start >= end:
        raise at.error("validity ends before it begins", "The end is the first instant that it does not hold")
    return start, end


def _instant(at: Cursor) -> int:
    instant = parse_instant(at.text("a time"))
    if instant is None or instant < 0:
        raise at.error(f"{at.value[:64]!r} is not a time in UTC", "Write it as 2026-10-01T00:00Z")
    return instant


def _extent(at: Cursor) -> Extent:
    extent = as_extent([number(item.value) for item in at.items("four numbers")])
    if extent is None:
        raise at.error(
            "an extent is [xmin, ymin, xmax, ymax] in degrees of longitude and latitude (OGC:CRS84)",
            "xmin must be less than xmax and ymin than ymax; one across the antimeridian goes from -180 to 180",
        )
    return extent


def _collection(name: str, error: Callable[[str, str], BadPolicy]) -> Collection:
    if name not in VOCABULARY.collections:
        raise error(f"there is no collection {name[:64]!r}", suggestion(name, VOCABULARY.collections))
    return VOCABULARY.collections[name]


def _property(collection: Collection, name: str, error: Callable[[str, str], BadPolicy]) -> Property:
    if name not in collection.properties:
        raise error(f"{collection.name} has no property {name[:64]!r}", suggestion(name, collection.properties))
    return collection.properties[name]
