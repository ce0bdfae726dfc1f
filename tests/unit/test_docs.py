"""What the pages of `docs/` show as files and statements is taken by the code that reads such."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from cimfed.model import vocabulary
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.config import FILE, LOWERED, Home
from cimfed_node.ingest.mapping import RESERVED, parse_mapping, shipped, shipped_names, shipped_tables
from cimfed_node.setup import make_home
from tests.federation.tours import blocks
from tests.service import serving
from tests.unit.node.test_home import plan

DOCS = Path(__file__).resolve().parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def the_only(name: str, word: str) -> str:
    (block,) = (block for block in blocks(page(name)) if block.word == word)
    return block.text


def words(text: str) -> set[str]:
    return set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text))


def test_the_mapping_page_shows_a_mapping_and_names_what_is_shipped() -> None:
    mapping = parse_mapping(the_only("mapping.md", "yaml"), "page", VOCABULARY.collections["building"])
    height = mapping.rules["height"].sources
    assert [(source.column, source.comma, source.minus) for source in height] == [
        ("высота_м", True, None),
        ("height_ft", False, None),
        ("h_dak_max", False, "h_maaiveld"),
    ]
    assert "roof_type" in mapping.rules  # of the mapping that it extends
    named = words(page("mapping.md"))
    assert set(shipped_names()) <= named
    assert set(shipped_tables()) <= named
    filled = re.search(r"^(`city`.*?) are filled by the import itself", page("mapping.md"), re.MULTILINE | re.DOTALL)
    assert filled is not None
    assert words(filled[1]) == {name for name in RESERVED if not name.startswith("geometry")}


def test_the_mapping_page_has_every_shipped_mapping_with_its_types() -> None:
    section = re.search(r"^## What is shipped$(.*?)^## ", page("mapping.md"), re.MULTILINE | re.DOTALL)
    assert section is not None
    told: dict[str, set[str]] = {}
    for line in section[1].splitlines():
        if line.startswith("| `"):
            _, names, types, *_ = line.split("|")
            for name in re.findall(r"`(\w+)`", names):
                told[name] = set(re.findall(r"[A-Z]\w+", types))
    ours = {name: set(shipped(name, VOCABULARY.collections[name]).types) for name in shipped_names()}
    assert set(told) == set(ours) == set(VOCABULARY.collections)
    for name, types in ours.items():
        assert types <= told[name], name
    assert {kind for kinds in told.values() for kind in kinds} == {kind for kinds in ours.values() for kind in kinds}


def test_the_policy_page_names_every_collection() -> None:
    sentence = re.search(r"^Collections are (.*?);", page("policy.md"), re.MULTILINE | re.DOTALL)
    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == list(VOCABULARY.collections)


OF_DOCUMENTS = ["Documents of your own", "Which one the federation has"]


def test_the_vocabulary_page_is_what_the_files_of_the_vocabulary_say() -> None:
    """Compared with the YAML, not with what our reader makes of it."""
    text = page("vocabulary.md")
    folder = Path(vocabulary.__file__).parent
    common = yaml.safe_load((folder / "common.yaml").read_text("utf-8"))
    assert f"of version {common['version']};" in text
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == ["All collections", *common["collections"], *OF_DOCUMENTS]
    documents = {name: yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8")) for name in common["collections"]}
    for title, document in {"All collections": common, **documents}.items():
        if "meaning" in document:
            assert document["meaning"][1:] + "." in sections[title]
        rows = [line.strip("|").split("|") for line in sections[title].splitlines() if line.startswith("| `")]
        assert [[cell.strip() for cell in row] for row in rows] == [
            row_of(name, entry) for name, entry in document["properties"].items()
        ]


def row_of(name: str, entry: dict[str, Any]) -> list[str]:
    """A property as the vocabulary's page has it."""
    kind = f"decimal({entry['scale']})" if entry["type"] == "decimal" else entry["type"]
    codes = ", ".join(f"`{code}`" for code in entry.get("codes", ()))
    levels = f" (of geometry of level {entry['levels'][0]} or finer)" if "levels" in entry else ""
    masks = ", ".join(entry.get("masks", ("exact", "null")))
    return [f"`{name}`", kind, entry.get("unit", ""), masks, entry["meaning"] + levels + (codes and f": {codes}")]


def test_the_vocabulary_page_shows_a_document_and_its_commands_work(tmp_path: Path) -> None:
    (document,) = (block for block in blocks(page("vocabulary.md")) if block.file == "sewer.yaml")
    (tmp_path / document.file).write_text(document.text)
    found = [block.text for block in blocks(page("vocabulary.md")) if block.word == "sh"]
    assert len(found) == len(OF_DOCUMENTS)
    with serving(tmp_path):
        for line in "".join(found).splitlines():
            subprocess.run(line, shell=True, check=True, cwd=tmp_path, env={"PATH": str(Path(sys.executable).parent)})


def test_the_operators_page_shows_settings_that_work(tmp_path: Path) -> None:
    made, _ = make_home(tmp_path / "home", plan(), 1)
    with (made.path / FILE).open("a") as file:
        file.write(the_only("operator.md", "toml"))
    home = Home.load(made.path)
    assert (home.settings.engine.memory, home.limits.concurrent_per_partner) == (2**30, 4)
    shown = re.search(r"^## The folder$(.*?)^## ", page("operator.md"), re.MULTILINE | re.DOTALL)
    assert shown is not None
    there = {path.name for path in home.path.iterdir()}
    assert there <= {name.rstrip("/") for name in words(shown[1])}


def test_the_page_of_commands_has_every_schema() -> None:
    root = DOCS.parent
    sources = [path.read_text("utf-8") for top in ("cimfed", "node", "gateway") for path in (root / top).rglob("*.py")]
    made = {name for source in sources for name in re.findall(r'with Command\("([a-z-]+)"', source)}
    listed = {row.split("|")[2].strip(" `") for row in page("commands.md").splitlines() if "/v1` |" in row}
    assert listed - {"cimfed/<command>/v1"} == {f"cimfed/{name}/v1" for name in made}


def test_the_operators_page_names_the_limits_that_may_be_lowered() -> None:
    (row,) = (line for line in page("operator.md").splitlines() if line.startswith("| `limits`"))
    assert words(row) == {"limits", *LOWERED}
