"""Text in the encodings that cities use comes through to the letter, or is refused with the flag that mends it."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from cimfed_node.ingest.encodings import codec_of, likely
from tests.ingest.making import feature, features, imported, refused
from tests.ingest.writing import write

TEXTS: dict[str, list[str]] = {
    "GB18030": ["地址不明的办公楼", "上海市黄浦区人民大道", "住宅", "𠮷野家"],
    "GBK": ["地址不明的办公楼", "上海市黄浦区人民大道", "住宅"],
    "Windows-1251": ["Жилой дом", "улица Амира Темура", "школа № 5"],
    "KOI8-R": ["жилой дом", "улица Амира Темура", "школа"],
    "CP866": ["жилой дом", "улица Амира Темура", "школа"],
    "KZ-1048": ["Қазыбек би көшесі", "Әуезов ауданы", "мектеп"],
    "Windows-1256": ["خيابان انقلاب", "لاہور", "مدرسه"],
    "UTF-8": [
        "خیابان انقلاب اسلامی",
        "لاہور کا قلعہ",
        "Oʻzbekiston koʻchasi",
        "O'zbekiston gʼisht",
        "Toʻrtko`l g‘isht",
        "\u200fשלום\u200e",
        "العَرَبِيَّة",
        "ক্ষ हिन्दी",
        "Қазақстан Ўзбекистон Тоҷикистон Кыргызстан",
    ],
}
SURE = ("GB18030", "Windows-1251", "KOI8-R", "CP866", "Windows-1256", "UTF-8")


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def table(texts: list[str]) -> str:
    lines = [f'{number},69.2,41.3,{text},"{text}"\r\n' for number, text in enumerate(texts)]
    return "id,lon,lat,name,примечание\r\n" + "".join(lines)


def names(rows: dict[str, Any]) -> list[str]:
    return [rows[str(number)]["name"]["und"] for number in range(len(rows))]


# Tables


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_table_is_read_in_the_encoding_that_is_named(encoding: str, tmp_path: Path) -> None:
    codec = codec_of(encoding)
    assert codec is not None
    text = table(TEXTS[encoding]).replace("примечание", "note")
    rows, _ = imported(tmp_path, text.encode(codec), crs="OGC:CRS84", encoding=encoding)
    assert names(rows) == [nfc(one) for one in TEXTS[encoding]]
    assert [row["ext"]["note"] for row in rows.values()] == names(rows)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_read_with_its_mark_and_its_flag(codec: str, tmp_path: Path) -> None:
    marks = {"utf-16": b"", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    raw = marks[codec] + table(TEXTS["UTF-8"]).encode(codec)
    error = refused(tmp_path / "none", raw, crs="OGC:CRS84")
    assert "UTF-16" in error.message
    assert "--encoding UTF-16" in (error.remedy or "")
    rows, _ = imported(tmp_path / "named", raw, crs="OGC:CRS84", encoding="UTF-16")
    assert names(rows) == [nfc(one) for one in TEXTS["UTF-8"]]
    assert set(rows["0"]["ext"]) == {"примечание"}


@pytest.mark.parametrize("encoding", [one for one in SURE if one != "UTF-8"])
def test_a_table_that_is_not_utf8_is_refused_and_told_what_it_likely_is(encoding: str, tmp_path: Path) -> None:
    raw = table(TEXTS[encoding]).replace("примечание", "note").encode(codec_of(encoding) or "")
    error = refused(tmp_path, raw, crs="OGC:CRS84")
    assert error.message == "not UTF-8"
    assert f"--encoding {encoding} " in (error.remedy or "")


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        (table(["地址不明的办公楼"]).encode("gb18030")[:-9] + b'\x81"\r\n', "GB18030", "not GB18030"),
        (table(["дом"]).encode("utf-16"), "UTF-8", "not UTF-8"),
        (table(["дом"]).encode(), "UTF-16", "no table"),
        (b"id,x,y\na,1,2\nb\x00,1,2\n", None, ""),
        ("id,x,y\n" + "a,1,2\n" * 50_000 + "b\x00,1,2\n", None, "NUL"),
        ("hello\n", "UTF-8", "no table"),
        (features(feature()), "UTF-8", "say their encoding themselves"),
        ("<a/>", "UTF-8", "say their encoding themselves"),
    ],
)
def test_what_is_not_in_the_named_encoding_is_refused(
    text: Any, encoding: str | None, told: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, text, crs="OGC:CRS84", encoding=encoding)
    assert error.reason == "bad_file"
    assert told in error.message


def test_letters_that_are_not_utf8_have_their_line(tmp_path: Path) -> None:
    """Lines are decoded many at once, ahead of the one that is read."""
    for number in (2, 7, 900):
        lines = ["id,x,y,name", *(f"{n},69.2,41.3,name" for n in range(1000))]
        lines[number - 1] = f"{number},69.2,41.3,имя"
        error = refused(tmp_path / str(number), "\n".join(lines).encode("cp1251"), crs="OGC:CRS84")
        assert error.place == f"data:{number}"


@pytest.mark.parametrize("encoding", ["hex", "base64", "idna", "unicode_escape", "utf-7", "klingon", "", "\x00"])
def test_what_is_no_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    error = refused(tmp_path, table(["a"]), crs="OGC:CRS84", encoding=encoding)
    assert error.reason == "bad_config"
    assert error.place == "--encoding"


def test_letters_come_through_to_the_bit_but_for_their_normal_form(tmp_path: Path) -> None:
    """The five apostrophes of Uzbek are five letters; a letter with its mark apart becomes the one letter."""
    apostrophes = ["oʻ", "oʼ", "o'", "o`", "o‘"]
    rows, _ = imported(tmp_path / "a", table(apostrophes), crs="OGC:CRS84")
    assert names(rows) == apostrophes
    rows, _ = imported(tmp_path / "b", table(["и\u0306", "й"]), crs="OGC:CRS84")
    assert names(rows) == ["й", "й"]


# Shapefiles


def shapefile(folder: Path, texts: list[str], codec: str, cpg: str | None, driver: int = 0) -> Path:
    """A Shapefile whose texts are bytes of a codec, written by hand into the table; no one says what they are unless
    ``cpg`` or the language driver does."""
    folder.mkdir(exist_ok=True)
    made = [
        feature(..., {"type": "Point", "coordinates": [69.2, 41.3]}, nr=n, name="x" * 40) for n in range(len(texts))
    ]
    path = write(folder / "x.shp", made, "ESRI Shapefile")
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = driver
    for text in texts:
        raw = text.encode(codec)
        at = table.index(b"x" * 40)
        table[at : at + 40] = raw[:40].ljust(40)
    path.with_suffix(".dbf").write_bytes(table)
    path.with_suffix(".cpg").unlink(missing_ok=True)
    if cpg is not None:
        path.with_suffix(".cpg").write_text(cpg)
    return path


def short(texts: list[str], codec: str) -> list[str]:
    return [text for text in texts if len(text.encode(codec)) <= 40]


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("by", ["cpg", "flag", "flag over cpg"])
def test_a_shapefile_is_read_by_its_cpg_or_the_flag(encoding: str, by: str, tmp_path: Path) -> None:
    codec = codec_of(encoding) or ""
    texts = short(TEXTS[encoding], codec)
    path = shapefile(tmp_path / "x", texts, codec, {"cpg": encoding, "flag": None, "flag over cpg": "CP437"}[by])
    options = {} if by == "cpg" else {"encoding": encoding}
    rows, _ = imported(tmp_path / "import", path, id_column="nr", **options)
    assert names(rows) == [nfc(text) for text in texts]


@pytest.mark.parametrize(("driver", "codec"), [(0xC9, "cp1251"), (0x65, "cp866"), (0x4D, "gb18030"), (0x7E, "cp1256")])
def test_a_shapefile_is_read_by_its_language_driver(driver: int, codec: str, tmp_path: Path) -> None:
    texts = {"gb18030": TEXTS["GBK"], "cp1256": TEXTS["Windows-1256"]}.get(codec, TEXTS["CP866"])
    rows, _ = imported(tmp_path / "import", shapefile(tmp_path / "x", texts, codec, None, driver), id_column="nr")
    assert names(rows) == texts


@pytest.mark.parametrize("name", ["1251", "CP1251", "ANSI 1251", "windows-1251", "cp1251\r\n", "\ufeffCP1251"])
def test_a_cpg_is_written_in_many_ways(name: str, tmp_path: Path) -> None:
    path = shapefile(tmp_path / "x", ["Жилой дом"], "cp1251", None)
    path.with_suffix(".cpg").write_text(name, encoding="utf-8")
    assert names(imported(tmp_path / "import", path, id_column="nr")[0]) == ["Жилой дом"]


def test_a_shapefile_that_says_nothing_is_utf8_or_refused(tmp_path: Path) -> None:
    path = shapefile(tmp_path / "x", ["жилой дом"], "utf-8", None, 0x57)
    assert names(imported(tmp_path / "a", path, id_column="nr")[0]) == ["жилой дом"]
    path = shapefile(tmp_path / "x", ["школа", "жилой дом"], "cp1251", None, 0x57)
    error = refused(tmp_path / "b", path, id_column="nr")
    assert error.message == "the text of name in row 1 is not UTF-8, and nothing says what it is"
    assert "--encoding Windows-1251" in (error.remedy or "")


def test_text_that_is_not_what_the_cpg_says_is_refused_with_the_flag(tmp_path: Path) -> None:
    path = shapefile(tmp_path / "x", ["plain", "жилой дом"], "cp1251", "UTF-8")
    error = refused(tmp_path / "a", path, id_column="nr")
    assert error.message == "the text of name in row 2 is not UTF-8, though the .cpg file says UTF-8"
    assert "--encoding Windows-1251" in (error.remedy or "")
    path = shapefile(tmp_path / "x", ["жилой дом"], "utf-8", "CP1251")
    error = refused(tmp_path / "b", path, id_column="nr")
    assert error.message == "the texts are UTF-8, though the .cpg file says CP1251"
    assert "--encoding UTF-8" in (error.remedy or "")
    rows, _ = imported(tmp_path / "c", path, id_column="nr", encoding="CP1251")
    assert names(rows) == ["жилой дом".encode().decode("cp1251")], "who names it is believed"
    path = shapefile(tmp_path / "x", ["жилой дом"], "utf-8", "Klingon")
    assert "is no encoding" in refused(tmp_path / "d", path, id_column="nr").message


def test_a_text_cut_in_the_middle_of_a_letter_loses_that_part_alone(tmp_path: Path) -> None:
    text = "я" * 19 + "яя"
    path = shapefile(tmp_path / "x", ["." + text], "utf-8", "UTF-8")
    rows, report = imported(tmp_path / "import", path, id_column="nr")
    assert names(rows) == ["." + "я" * 19]
    assert any("1 texts end in the middle" in note for note in report.notes)


@pytest.mark.parametrize("encoding", ["CP1251", "CP866", "UTF-8"])
def test_names_of_columns_are_in_the_encoding_of_the_texts(encoding: str, tmp_path: Path) -> None:
    made = [feature(..., {"type": "Point", "coordinates": [69.2, 41.3]}, nr=1, xxxxxxxx=12.5)]
    path = write(tmp_path / "x" / "x.shp", made, "ESRI Shapefile")
    raw = path.with_suffix(".dbf").read_bytes()
    path.with_suffix(".dbf").write_bytes(raw.replace(b"xxxxxxxx", "этаж".encode(encoding).ljust(8, b"\x00")))
    path.with_suffix(".cpg").write_text(encoding)
    rows, _ = imported(tmp_path / "import", path, id_column="nr")
    assert rows["1"]["ext"] == {"этаж": 12.5}


# MapInfo


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("WindowsCyrillic", "cp1251", "жилой дом"),
        ("WindowsSimpChinese", "gb18030", "办公楼"),
        ("CodePage866", "cp866", "дом"),
    ],
)
@pytest.mark.parametrize("kind", ["tab", "mif"])
def test_mapinfo_is_read_in_the_charset_that_it_says(
    charset: str, codec: str, text: str, kind: str, tmp_path: Path
) -> None:
    made = [feature(..., {"type": "Point", "coordinates": [69.2, 41.3]}, nr=1, name="x" * 20)]
    path = write(tmp_path / f"x.{kind}", made, "MapInfo File")
    holder = path.with_suffix(".dat" if kind == "tab" else ".mid")
    raw = text.encode(codec)
    holder.write_bytes(holder.read_bytes().replace(b"x" * 20, raw.ljust(20)))
    path.write_bytes(path.read_bytes().replace(b"Neutral", charset.encode()))
    rows, _ = imported(tmp_path / "import", path, id_column="nr")
    assert rows["1"]["name"]["und"].rstrip() == text
    path.write_bytes(path.read_bytes().replace(charset.encode(), b"Neutral"))
    error = refused(tmp_path / "neutral", path, id_column="nr")
    assert "and nothing says what it is" in error.message
    rows, _ = imported(tmp_path / "flag", path, id_column="nr", encoding=codec)
    assert rows["1"]["name"]["und"].rstrip() == text


def test_formats_that_say_their_encoding_want_no_flag(tmp_path: Path) -> None:
    made = [feature(..., nr=1)]
    for driver, ending in (("GPKG", "gpkg"), ("FlatGeobuf", "fgb"), ("GeoParquet", "parquet"), ("GML", "gml")):
        path = write(tmp_path / f"x.{ending}", made, driver)
        error = refused(tmp_path / driver, path, encoding="UTF-8")
        assert "encoding itself" in error.message
    shutil.rmtree(tmp_path / "GPKG")


@pytest.mark.parametrize("encoding", SURE)
def test_a_guess_is_right_for_plain_words(encoding: str) -> None:
    assert likely(" ".join(TEXTS[encoding][:3]).encode(codec_of(encoding) or "")) == encoding


def test_no_guess_is_made_of_noise() -> None:
    assert likely(bytes(range(128, 256))) == ""
    assert likely(b"") == ""
