"""`cimfed vocabulary show | check | diff | publish | published`: this release's, and what stands beside it.

A document is one collection, ``NAME.yaml``, or a folder of such; with ``common.yaml`` the folder is a whole vocabulary.
"""

from __future__ import annotations

import json
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.cli import office
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import BadVocabulary, NotFound
from cimfed.model.vocabulary import VOCABULARY, Collection, Property, Vocabulary
from cimfed.model.vocabulary.canonical import document, vocabulary_hash
from cimfed.model.vocabulary.compare import Change, compare
from cimfed.model.vocabulary.document import COMMON, MAX_TEXT, SUFFIX, read
from cimfed.trust.directory.listing import other_vocabulary, own_vocabulary

app = typer.Typer(no_args_is_help=True, help="Collections and properties that the cities have in common.")
CEASES = 5
"""Exit code of a difference that old data or policies do not survive."""

DocumentArgument = Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help=f"NAME{SUFFIX}, or a folder of such.")]


@app.command()
def show(
    collection: Annotated[str | None, typer.Argument(help="Its properties; without it all collections.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all properties.")] = False,
) -> None:
    """Shows the vocabulary of this release."""
    found = dict(VOCABULARY.collections) if collection is None else {collection: _collection(collection)}
    if as_json:
        shown = document(VOCABULARY)
        print(json.dumps(shown | {"collections": {name: shown["collections"][name] for name in found}}, indent=2))
    elif collection is None:
        console.say(f"version {VOCABULARY.version}; every collection also has {', '.join(VOCABULARY.common)}")
        console.say(f"SHA-256 {vocabulary_hash(VOCABULARY).hex()}")
        rows = [(name, ", ".join(_own(one)), one.meaning) for name, one in found.items()]
        console.out.print(console.table(("collection", "properties", "meaning"), rows))
    else:
        one = found[collection]
        console.say(f"{one.name}: {one.meaning}")
        properties = [*_own(one).values(), *VOCABULARY.common.values()]
        columns = ("property", "type", "unit", "masks", "meaning")
        console.out.print(console.table(columns, [_row(prop) for prop in properties]))


@app.command()
def check(path: DocumentArgument) -> None:
    """Checks vocabulary documents and says all that is wrong with them, each with its place."""
    found = read(_texts(path), VOCABULARY)
    whole = f"version {found.version}, " if _is_whole(path) else ""
    console.say(f"{path} is well-formed: {whole}{', '.join(found.collections)}")


@app.command()
def diff(path: DocumentArgument) -> None:
    """Shows what documents add, change and remove against this release; exit code 5 where old data or policies cease to
    be valid."""
    found = read(_texts(path), VOCABULARY)
    changes = compare(VOCABULARY, found, whole=_is_whole(path))
    if not changes:
        console.say(f"as in version {VOCABULARY.version}")
        return
    columns = ("where", "change", "what", "old data", "old policies")
    console.out.print(console.table(columns, [_change(change) for change in changes]))
    survive = [all(change.data for change in changes), all(change.policies for change in changes)]
    for what, valid in zip(("data", "policies"), survive, strict=True):
        console.say(f"old {what} stay valid" if valid else f"old {what} cease to be valid")
    if not all(survive):
        raise typer.Exit(CEASES)


@app.command()
def publish(
    home: office.HomeOption,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Publishes version and hash of this release's vocabulary in the directory."""
    mine = own_vocabulary()
    with Command("vocabulary-publish", as_json, dry_run=dry_run, yes=yes) as command:
        office.change(
            command, office.read_office(home), lambda listing: replace(listing, vocabulary=mine),
            f"Publish vocabulary {mine.version}?", key=key, passphrase_file=passphrase_file, out=out, days=days,
        )  # fmt: skip


@app.command()
def published(home: office.HomeOption) -> None:
    """Compares this release's vocabulary with the one that the directory publishes; exit code 5 where it is another."""
    found = office.read_office(home).current()
    if found.listing.vocabulary is None:
        console.say(f"version {found.version} of the directory publishes no vocabulary")
        return
    difference = other_vocabulary(found)
    console.say(difference or f"as published: version {VOCABULARY.version}, SHA-256 {own_vocabulary().sha256.hex()}")
    if difference:
        raise typer.Exit(CEASES)


def _collection(name: str) -> Collection:
    if name in VOCABULARY.collections:
        return VOCABULARY.collections[name]
    close = get_close_matches(name[:64], list(VOCABULARY.collections), 1)
    there = ", ".join(VOCABULARY.collections)
    raise NotFound(
        f"there is no collection {name[:64]!r}", remedy=f"Did you mean {close[0]}?" if close else f"There are {there}"
    )


def _is_whole(document: Path) -> bool:
    return document.is_dir() and (document / COMMON).exists()


def _texts(document: Path) -> dict[str, str]:
    """The documents of a path by their names."""
    if document.is_dir():
        files = sorted(path for path in document.iterdir() if path.suffix == SUFFIX)
        if not files:
            raise BadVocabulary(f"there is no *{SUFFIX} in it", place=str(document))
    elif document.name == COMMON:
        raise BadVocabulary(
            f"{COMMON} goes with its collections", place=str(document), remedy=f"Name its folder, {document.parent}"
        )
    else:
        files = [document]
    return {path.name: _text(path) for path in files}


def _text(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(4 * MAX_TEXT + 1)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadVocabulary("not UTF-8", place=str(path)) from None


def _own(collection: Collection, vocabulary: Vocabulary = VOCABULARY) -> dict[str, Property]:
    return {name: prop for name, prop in collection.properties.items() if name not in vocabulary.common}


def _row(prop: Property) -> tuple[str, ...]:
    meaning = prop.meaning + (f": {', '.join(prop.codes)}" if prop.codes else "")
    return prop.name, prop.form, prop.unit, ", ".join(prop.masks), meaning


def _change(change: Change) -> tuple[str, ...]:
    data, policies = ("valid" if stays else "not valid" for stays in (change.data, change.policies))
    return change.place, str(change.kind), change.what, data, policies
