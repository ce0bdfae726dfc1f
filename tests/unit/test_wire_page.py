"""``docs/wire.md``, ``docs/errors.md`` and the comments of the protos say what the code has: the pages are parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc_tools
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st

from cimfed.client import verify
from cimfed.errors import BY_REASON, BadConfig, BadQuery, CimfedError, TooLarge
from cimfed.model import limits, names
from cimfed.model.catalog import CATALOG
from cimfed.model.limits import LIMITS
from cimfed.model.names import Kind, kind_of
from cimfed.model.schema import arrow_type
from cimfed.model.vocabulary import Property, Type
from cimfed.query.check import check
from cimfed.query.query import Catalog, Query
from cimfed.rpc import outlet
from cimfed.rpc.authorisation import TABLE
from cimfed.tlog import service as log_service
from cimfed.trust import admin, answer, envelope
from cimfed.trust.directory import documents, layout
from cimfed.trust.directory.documents import roles
from cimfed.trust.tls import ISSUER, LEAF_LIFE
from cimfed.wire import admissions, envelopes, logs
from cimfed_gateway import relay
from cimfed_gateway.directory import administration
from cimfed_node import workers

ROOT = Path(__file__).resolve().parents[2]
WIRE = (ROOT / "docs" / "wire.md").read_text("utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text("utf-8")
SERVERS = {
    "Callers at a node": Kind.CITY,
    "Callers at a gateway": Kind.GATEWAY,
    "Callers at a directory service": Kind.DIRECTORY,
}

Row = dict[str, str]


def table(page: str, *head: str) -> list[Row]:
    """The rows of the one table whose head begins with these words."""
    found = []
    lines = iter(page.splitlines())
    for line in lines:
        columns = _cells(line)
        if columns[: len(head)] == list(head):
            next(lines)
            found.append([dict(zip(columns, cells, strict=True)) for cells in _rows(lines)])
    (rows,) = found
    return rows


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield _cells(line)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []


def reasons(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z_]+", text) if word in BY_REASON}


# Limits

DAY = timedelta(days=1).total_seconds()
UNITS = {"": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "s": 1, "minutes": 60, "day": DAY, "days": DAY}
ROWS = table(WIRE, "Limit", "Name", "Value", "Reason")
OTHERS = {
    "request for the log, `Entries` and `Cosign` among them": logs.REQUEST,
    "calls for the log at once, of all": log_service.RUNNING,
    "calls for the log at once, of one caller with a certificate": log_service.EACH,
    "signatures of an envelope": envelope.MAX_SIGNATURES,
    "batches that wait for a head": answer.UNSIGNED,
    "what the smallest of them counts for": answer.LEAST,
    "file of a directory": layout.METADATA_LIMIT,
    "roots that are followed from the pinned one": layout.ROOTS,
    "life of a leaf": LEAF_LIFE.total_seconds(),
    "file of an issuing certificate": ISSUER,
    "a card's file, when it joins": admissions.CARD,
    "payload of a request to the directory service": admin.MAX_PAYLOAD,
    "text of a request for access": admin.MAX_TEXT,
    "life of an invitation": administration.LONGEST / 1e6,
    "files of a publication": admissions.PUBLICATION,
    "a city's part of an aggregate, at a gateway": relay.STATE,
    "a gateway's total, at a client": verify.TOTAL_BYTES,
    "a caller that takes nothing, at a node or gateway": outlet.STALL,
    "a statement that waits for a thread": workers.PATIENCE,
}


def value(text: str) -> float:
    """Of ``4 MiB + 64 KiB`` and the like."""
    total = 0.0
    for part in text.split(" + "):
        number, _, unit = part.partition(" ")
        total += float(number.replace(",", "")) * UNITS[unit]
    return total


def test_the_limits_are_those_of_the_code() -> None:
    assert {row["Name"].strip("`"): value(row["Value"]) for row in ROWS if row["Name"]} == asdict(LIMITS)


def test_the_reasons_of_limits_are_those_of_their_comments() -> None:
    source = (files(limits.__package__) / "limits.py").read_text("utf-8")
    comments = dict(re.findall(r"^    (\w+): (?:int|float) = [^#\n]*(?:# (.*))?$", source, re.MULTILINE))
    assert comments.keys() == asdict(LIMITS).keys()
    for row in ROWS:
        if row["Name"]:
            name = row["Name"].strip("`")
            assert reasons(row["Reason"]) == reasons(comments[name]), name


def test_limits_without_a_name_are_those_of_the_code() -> None:
    unnamed = {row["Limit"]: value(row["Value"]) for row in ROWS if not row["Name"]}
    ask = int(unnamed.pop("a whole `Ask`"))
    assert unnamed == OTHERS
    with pytest.raises(BadQuery):
        envelopes.decode_ask(b"\xff" * ask)
    with pytest.raises(TooLarge):
        envelopes.decode_ask(b"\xff" * (ask + 1))


def test_the_text_repeats_the_table() -> None:
    by_name = {row["Name"].strip("`"): row["Value"] for row in ROWS}
    sizes = re.search(r"A message has at most (.+?), a request (.+?)\.", WIRE)
    assert sizes is not None
    assert sizes.groups() == (by_name["message"], by_name["request"])
    assert f"A frame has at most {by_name['frame']}; payloads aim at {by_name['batch_bytes']}." in WIRE
    leaf = next(row for row in ROWS if row["Limit"] == "life of a leaf")
    assert f"of at most {leaf['Value']}" in WIRE


# Reasons


def test_every_reason_is_on_its_page_as_the_code_has_it() -> None:
    rows = table(ERRORS, "Reason", "gRPC status", "Exit")
    listed = {row["Reason"].strip("`"): (row["gRPC status"], int(row["Exit"])) for row in rows}
    assert len(listed) == len(rows)
    assert listed == {reason: (cls.status, cls.exit_code) for reason, cls in BY_REASON.items()}


def test_every_reason_in_a_table_of_the_wire_is_one() -> None:
    for line in WIRE.splitlines():
        if line.startswith("|") and re.fullmatch(r"`[a-z_]+`", last := _cells(line)[-1]):
            assert last.strip("`") in BY_REASON, line


# Columns and types

ARROW = {
    "utf8": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "binary": pa.binary(),
    "timestamp[us, UTC]": pa.timestamp("us", tz="UTC"),
}


def arrow(text: str, scale: int = 0) -> Any:
    """The type that the page writes; what follows it in words is passed over."""
    if found := re.match(r"decimal128\((\d+), scale\)", text):
        return pa.decimal128(int(found[1]), scale)
    if found := re.match(r"map<(\w+), (\w+)>", text):
        return pa.map_(ARROW[found[1]], ARROW[found[2]])
    if found := re.match(r"struct<([\w, ]+): (\w+)>", text):
        return pa.struct([(name, ARROW[found[2]]) for name in found[1].split(", ")])
    found = re.match(r"\w+(\[[^]]*\])?", text)
    assert found is not None
    return ARROW[found[0]]


def test_the_columns_of_the_catalogue_are_those_of_the_code() -> None:
    rows = table(WIRE, "Column", "Arrow", "Null")
    columns = [(row["Column"].strip("`"), arrow(row["Arrow"]), {"yes": True, "no": False}[row["Null"]]) for row in rows]
    assert columns == [(field.name, field.type, field.nullable) for field in CATALOG]


@pytest.mark.parametrize("scale", [0, 2, 9])
def test_the_types_of_the_vocabulary_are_those_of_the_code(scale: int) -> None:
    rows = table(WIRE, "Vocabulary", "Arrow")
    types = {word: arrow(row["Arrow"], scale) for row in rows for word in row["Vocabulary"].split(", ")}
    assert types == {str(kind): arrow_type(Property("p", kind, "", scale=scale)) for kind in Type}


# Names

FORMS = {row["Name"]: row["Form"] for row in table(WIRE, "Name", "Form")}
LABEL = FORMS["label"].strip("`")
PURPOSE = FORMS["purpose"].strip("`")
ROLE = FORMS["role"].strip("`")


def party(name: str) -> bool:
    sizes = re.fullmatch(r"(\d+) to (\d+) labels joined by dots, at most (\d+) characters", FORMS["party"])
    assert sizes is not None
    least, most, longest = map(int, sizes.groups())
    labels = name.split(".")
    return len(name) <= longest and least <= len(labels) <= most and all(re.fullmatch(LABEL, item) for item in labels)


def taken(function: Any, *arguments: Any) -> bool:
    try:
        function(*arguments)
    except CimfedError:
        return False
    return True


labels = st.from_regex(LABEL, fullmatch=True)
near = st.text("az09-_.A", max_size=70)
LONG = ["a" * length for length in range(1, 70)]  # across every limit


def same_verdict(word: str) -> None:
    """Of the page and of the code."""
    query = Query(names.Federation("sco"), Catalog(), word, 0, 1, bytes(16))
    assert taken(kind_of, word) == party(word)
    assert taken(names.federation, word) == bool(re.fullmatch(LABEL, word))
    assert taken(check, query) == bool(re.fullmatch(PURPOSE, word))
    assert taken(roles, [word]) == bool(re.fullmatch(ROLE, word))


@given(st.one_of(near, labels, st.lists(st.one_of(labels, near), max_size=6).map(".".join)))
def test_names_have_the_form_of_the_page(word: str) -> None:
    same_verdict(word)


def test_names_have_the_length_of_the_page() -> None:
    for word in LONG:
        same_verdict(word)
        same_verdict(f"a.{word}")
        same_verdict(".".join(["a" * 30, "a" * 30, "a" * 30, word]))


def test_the_first_label_tells_the_kind() -> None:
    told = re.search(r"its kind: ((?:`\w+` a \w+ [^)]*\),\s)+)any other a (\w+) \(`([\w.]+)`\)", WIRE)
    assert told is not None
    by_label = dict(re.findall(r"`(\w+)` a (\w+) ", told[1]))
    assert {label: str(kind_of(f"{label}.a")) for label in by_label} == by_label
    assert {str(kind_of(told[3])), *by_label.values()} == set(Kind)
    assert str(kind_of(told[3])) == told[2]
    for label in by_label:
        with pytest.raises(BadConfig):
            kind_of(label)


# The directory

LIVES = {
    "root": layout.BOARD_LIFE, "targets": layout.BOARD_LIFE, "registrar": layout.REGISTRAR_LIFE,
    "revoker": layout.REVOKED_LIFE, "snapshot": layout.SNAPSHOT_LIFE, "timestamp": layout.TIMESTAMP_LIFE,
}  # fmt: skip


def test_the_roles_of_the_directory_live_as_long_as_the_page_says() -> None:
    rows = {row["Role"].strip("`"): row["Ends after"] for row in table(WIRE, "Role", "Signed by", "Ends after")}
    assert rows.pop("a city's name") == "when its policy ends"
    assert {role: value(re.match(r"\d+ \w+", text)[0]) for role, text in rows.items()} == {  # type: ignore[index]
        role: life.total_seconds() for role, life in LIVES.items()
    }


def test_what_the_board_delegates_is_what_the_page_says() -> None:
    told = re.search(r"delegates to `registrar` \((.*?)\) and to `revoker`\s+\((.*?)\) alone", WIRE, re.DOTALL)
    assert told is not None
    assert re.findall("`(.*?)`", told[1]) == list(layout.REGISTRAR_PATHS)
    assert re.findall("`(.*?)`", told[2]) == [layout.REVOKED]


def test_the_files_of_the_directory_are_named_as_on_the_page() -> None:
    digest = "ab" * 32
    told = [
        path.replace("<SHA-256>", digest).replace("<version>", "3")
        for path in re.findall("`((?:metadata|targets)/[^`]*)`", WIRE)
    ]
    assert told == [
        layout.TIMESTAMP_FILE, layout.metadata_file("<role>", 3), layout.target_file("partners/a.json", digest),
    ]  # fmt: skip
    assert all(layout.is_file(path.replace("<role>", "kz.almaty")) for path in told)


def test_the_documents_of_the_page_are_those_that_are_written() -> None:
    words = set(re.findall(r'"(cimfed/[a-z-]+/v1)"', WIRE))
    assert words >= {
        documents.SERVICE,
        documents.MEMBERS,
        documents.PARTNERS_BIN,
        documents.VOCABULARY,
        documents.REVOKED,
    }
    assert f"1 to {documents.KEYS} of them" in WIRE


# RPCs


@pytest.fixture(scope="module")
def rpcs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    """Every method of the protos by its full name: its descriptor and the comment before it."""
    out = tmp_path_factory.mktemp("protos") / "all.pb"
    protos = [str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto")]
    well_known = str(Path(grpc_tools.__file__).parent / "_proto")
    arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{well_known}", "--include_source_info"]
    assert protoc.main([*arguments, f"--descriptor_set_out={out}", *protos]) == 0
    found: dict[str, tuple[Any, str]] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for at, service in enumerate(file.service):
            for number, method in enumerate(service.method):
                comment = " ".join(comments.get((6, at, 2, number), "").split())
                found[f"/{file.package}.{service.name}/{method.name}"] = method, comment
    return found


def test_every_rpc_says_who_may_call_what_it_returns_and_its_errors(rpcs: dict[str, tuple[Any, str]]) -> None:
    assert rpcs
    for name, (_, comment) in rpcs.items():
        assert re.match(r"Callers: .+ Returns: .+ Errors\b.*: .+\.$", comment), name


def test_the_methods_and_their_callers_are_those_of_the_code(rpcs: dict[str, tuple[Any, str]]) -> None:
    rows = {row["Method"].strip("`"): row for row in table(WIRE, "Method", "Request", "Response")}
    for column, server in SERVERS.items():
        callers = {
            name: frozenset(None if word == "anybody" else Kind(word) for word in row[column].split(", "))
            for name, row in rows.items()
            if row[column]
        }
        assert callers == {name: kinds for name, kinds in TABLE[server].items() if kinds}
    own = {name: row for name, row in rows.items() if row["Request"]}
    assert own.keys() == rpcs.keys()
    for name, row in own.items():
        method = rpcs[name][0]
        words = [f"{'stream of ' * method.server_streaming}`{method.output_type.rsplit('.', 1)[1]}`"]
        assert [row["Request"].strip("`"), row["Response"]] == [method.input_type.rsplit(".", 1)[1], *words], name


def test_reasons_in_comments_stand_behind_their_status(rpcs: dict[str, tuple[Any, str]]) -> None:
    statuses = {cls.status for cls in BY_REASON.values()}
    for name, (_, comment) in rpcs.items():
        for part in re.split(r"(?=Errors\b)", comment):
            status = ""
            for word in re.findall(r"[A-Za-z_]+", part):
                if word in statuses:
                    status = word
                elif status and word in BY_REASON:
                    assert BY_REASON[word].status == status, (name, word)
                assert word in BY_REASON or "_" not in word or word in statuses, (name, word)


def test_refusals_on_the_page_are_those_of_the_comment_of_read(rpcs: dict[str, tuple[Any, str]]) -> None:
    rows = table(WIRE, "Reason", "Status of a node")
    columns = ("Status of a node", "Manifest of a node", "Status of a gateway")
    page = {column: {row["Reason"].strip("`") for row in rows if row[column]} for column in columns}
    comment = rpcs["/cimfed.v1.QueryService/Read"][1]
    parts = re.findall(r"Errors of a (node|gateway), (as a status|in its manifest): (.*?)(?= Errors|$)", comment)
    told = {(server, how): reasons(text) for server, how, text in parts}
    assert list(told) == [("node", "as a status"), ("node", "in its manifest"), ("gateway", "as a status")]
    assert dict(zip(columns, told.values(), strict=True)) == page
