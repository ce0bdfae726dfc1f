"""Attributes of CityGML come under CityJSON's names, and what has none of its own is in ``ext`` and in the original."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from cimfed_node.ingest import preview, write_mapping
from tests.ingest import originals
from tests.ingest.citygml import building, model, multi
from tests.ingest.making import Row, imported, on_map, refused, request_for, same
from tests.ingest.test_citygml_geometry import AREA, FACES, SOLID

BODY = f"<bldg:lod1Solid>{SOLID}</bldg:lod1Solid>"


def one(tmp_path: Path, *content: str, version: str = "2.0", **options: Any) -> Row:
    rows, _ = imported(tmp_path, model(building(*content), version=version), **options)
    return rows["a"]


def test_buildings_have_what_the_shipped_mapping_knows(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        "<gml:name>House</gml:name><gml:name xml:lang='ru'>Дом</gml:name><gml:name xml:lang='zh'>楼</gml:name>",
        "<core:creationDate>2020-05-01</core:creationDate>",
        "<bldg:class codeSpace='urn:c'>1000</bldg:class>",
        "<bldg:function codeSpace='http://example.org/f.xml'>1000</bldg:function><bldg:function>1120</bldg:function>",
        "<bldg:yearOfConstruction>1998</bldg:yearOfConstruction><bldg:yearOfDemolition>2021</bldg:yearOfDemolition>",
        "<bldg:roofType>1030</bldg:roofType><bldg:measuredHeight uom='m'>12.345</bldg:measuredHeight>",
        "<bldg:storeysAboveGround> 3 </bldg:storeysAboveGround><bldg:storeysBelowGround>1</bldg:storeysBelowGround>",
    )
    assert row["name"] == {"und": "House", "ru": "Дом", "zh": "楼"}
    assert (row["function"], row["roof_type"]) == ("residential", "gabled")
    assert (row["year_built"], row["year_demolished"]) == (1998, 2021)
    assert (row["storeys_above"], row["storeys_below"]) == (3, 1)
    assert (row["height"], row["height_method"]) == (Decimal("12.34"), "measured")
    assert row["ext"] == {
        "class": "1000",
        "class:codeSpace": "urn:c",
        "creationDate": "2020-05-01",
        "function:codeSpace": "http://example.org/f.xml",
        "function:further": ["1120"],
    }


@pytest.mark.parametrize(
    ("uom", "text", "height", "ext"),
    [
        ("m", "10", Decimal(10), {}),
        ("urn:ogc:def:uom:UCUM::m", "10", Decimal(10), {}),
        ("urn:adv:uom:m", "10.5", Decimal("10.5"), {}),
        ("#m", "1e1", Decimal(10), {}),
        ("ft", "100", Decimal("30.48"), {}),
        ("urn:ogc:def:uom:UCUM::[ft_i]", "100", Decimal("30.48"), {}),
        ("cm", "100", None, {"measuredHeight": {"uom": "cm", "value": 100.0}}),
        ("m", "high", None, {"measuredHeight": "high"}),
        ("m", "NaN", None, {"measuredHeight": "NaN"}),
    ],
)
def test_heights_are_in_metres_or_no_heights(
    uom: str, text: str, height: Decimal | None, ext: dict[str, Any], tmp_path: Path
) -> None:
    row = one(tmp_path, f"<bldg:measuredHeight uom='{uom}'>{text}</bldg:measuredHeight>")
    assert row["height"] == height
    assert row["ext"] == ext


def height_of(value: str, status: str, low: str = "lowestGroundPoint") -> str:
    return (
        f"<con:height><con:Height><con:highReference>highestRoofEdge</con:highReference><con:lowReference>{low}"
        f"</con:lowReference><con:status>{status}</con:status><con:value uom='m'>{value}</con:value></con:Height>"
        "</con:height>"
    )


def test_a_measured_height_of_version_3_comes_before_an_estimated_one(tmp_path: Path) -> None:
    row = one(tmp_path, height_of("9", "estimated"), height_of("10.5", "measured", "entrance"), version="3.0")
    assert (row["height"], row["height_method"]) == (Decimal("10.5"), "measured")
    assert [told["value"] for told in row["ext"]["heights"]] == [9.0, 10.5]
    assert row["ext"]["heights"][1]["lowReference"] == "entrance"
    row = one(tmp_path / "one", height_of("9", "estimated"), version="3.0")
    assert row["height"] == 9
    assert "measuredHeight" not in row["ext"]


def test_dates_of_version_3_are_years_and_stay(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        "<core:validFrom>2020-05-01T00:00:00Z</core:validFrom><core:validTo>2021-05-01T00:00:00Z</core:validTo>",
        "<con:dateOfConstruction>1998-05-03</con:dateOfConstruction>",
        "<con:dateOfDemolition>2021-01-01</con:dateOfDemolition>",
        "<bldg:roofType>1030</bldg:roofType>",
        version="3.0",
    )
    assert (row["year_built"], row["year_demolished"], row["roof_type"]) == (1998, 2021, "gabled")
    assert row["valid_from"].isoformat() == "2020-05-01T00:00:00+00:00"
    assert row["valid_to"].isoformat() == "2021-05-01T00:00:00+00:00"
    assert row["ext"] == {"dateOfConstruction": "1998-05-03", "dateOfDemolition": "2021-01-01"}


GENERIC_2 = (
    "<gen:stringAttribute name='Ürün'><gen:value>значение</gen:value></gen:stringAttribute>"
    "<gen:intAttribute name='n'><gen:value>-7</gen:value></gen:intAttribute>"
    "<gen:intAttribute name='huge'><gen:value>99999999999999999999</gen:value></gen:intAttribute>"
    "<gen:doubleAttribute name='d'><gen:value>1.50</gen:value></gen:doubleAttribute>"
    "<gen:doubleAttribute name='inf'><gen:value>INF</gen:value></gen:doubleAttribute>"
    "<gen:dateAttribute name='day'><gen:value>2020-01-31</gen:value></gen:dateAttribute>"
    "<gen:uriAttribute name='u'><gen:value>http://example.org/?a=1&amp;b=2</gen:value></gen:uriAttribute>"
    "<gen:measureAttribute name='area'><gen:value uom='m2'>12.5</gen:value></gen:measureAttribute>"
    "<gen:measureAttribute name='heat'><gen:value uom='kWh'>7</gen:value></gen:measureAttribute>"
    "<gen:genericAttributeSet name='set'><gen:intAttribute name='x'><gen:value>1</gen:value></gen:intAttribute>"
    "<gen:genericAttributeSet name='inner'><gen:stringAttribute name='y'><gen:value>z</gen:value></gen:stringAttribute>"
    "</gen:genericAttributeSet></gen:genericAttributeSet>"
    "<gen:stringAttribute name='function'><gen:value>other</gen:value></gen:stringAttribute>"
    "<gen:stringAttribute><gen:value>nameless</gen:value></gen:stringAttribute>"
)


def attribute(kind: str, name: str, value: str) -> str:
    inside = f"<gen:name>{name}</gen:name>{value}"
    return f"<core:genericAttribute><gen:{kind}>{inside}</gen:{kind}></core:genericAttribute>"


def value(text: str) -> str:
    return f"<gen:value>{text}</gen:value>"


GENERIC_3 = (
    attribute("StringAttribute", "Ürün", value("значение"))
    + attribute("IntAttribute", "n", value("-7"))
    + attribute("IntAttribute", "huge", value("99999999999999999999"))
    + attribute("DoubleAttribute", "d", value("1.50"))
    + attribute("DoubleAttribute", "inf", value("INF"))
    + attribute("DateAttribute", "day", value("2020-01-31"))
    + attribute("UriAttribute", "u", value("http://example.org/?a=1&amp;b=2"))
    + attribute("MeasureAttribute", "area", "<gen:value uom='m2'>12.5</gen:value>")
    + attribute("MeasureAttribute", "heat", "<gen:value uom='kWh'>7</gen:value>")
    + attribute(
        "GenericAttributeSet",
        "set",
        "<gen:genericAttribute><gen:IntAttribute><gen:name>x</gen:name><gen:value>1</gen:value></gen:IntAttribute>"
        "</gen:genericAttribute><gen:genericAttribute><gen:GenericAttributeSet><gen:name>inner</gen:name>"
        "<gen:genericAttribute><gen:StringAttribute><gen:name>y</gen:name><gen:value>z</gen:value></gen:StringAttribute>"
        "</gen:genericAttribute></gen:GenericAttributeSet></gen:genericAttribute>",
    )
    + attribute("StringAttribute", "function", value("other"))
)


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_generic_attributes_keep_their_types(version: str, tmp_path: Path) -> None:
    generic = GENERIC_2 if version == "2.0" else GENERIC_3
    row = one(tmp_path, generic, "<bldg:function>1000</bldg:function>", version=version)
    assert row["function"] == "residential"
    assert row["ext"] == {
        "Ürün": "значение",
        "n": -7,
        "huge": "99999999999999999999",
        "d": 1.5,
        "inf": "INF",
        "day": "2020-01-31",
        "u": "http://example.org/?a=1&b=2",
        "area": 12.5,
        "heat": {"uom": "kWh", "value": 7.0},
        "set": {"x": 1, "inner": {"y": "z"}},
        "gen:function": "other",
    }


def test_generic_attributes_can_be_mapped(tmp_path: Path) -> None:
    mapping = "format: cimfed/mapping/v1\nextends: building\nproperties:\n  parcel_id: Ürün\n"
    assert one(tmp_path, GENERIC_2, mapping=mapping)["parcel_id"] == "значение"


ADDRESS = (
    "<bldg:address><core:Address><core:xalAddress><xAL:AddressDetails><xAL:Country><xAL:CountryName>Қазақстан"
    "</xAL:CountryName><xAL:Locality Type='Town'><xAL:LocalityName>Алматы</xAL:LocalityName><xAL:Thoroughfare>"
    "<xAL:ThoroughfareNumber>5</xAL:ThoroughfareNumber><xAL:ThoroughfareName>Абай даңғылы</xAL:ThoroughfareName>"
    "</xAL:Thoroughfare></xAL:Locality></xAL:Country></xAL:AddressDetails></core:xalAddress></core:Address></bldg:address>"
)
EXTERNAL = (
    "<core:externalReference><core:informationSystem>http://example.org</core:informationSystem>"
    "<core:externalObject><core:name>DEBY1</core:name></core:externalObject></core:externalReference>"
)
ADE = (
    "<uro:owner xmlns:uro='http://example.org/ade'>city</uro:owner>"
    "<uro:ids xmlns:uro='http://example.org/ade'><uro:Ids><uro:no>1</uro:no><uro:no>2</uro:no><uro:at>x</uro:at>"
    f"</uro:Ids></uro:ids><uro:shape xmlns:uro='http://example.org/ade'>{multi(*FACES)}</uro:shape>"
)


def test_addresses_references_and_extensions_are_kept_in_ext(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, model(building(ADDRESS, EXTERNAL, EXTERNAL, ADE, BODY)))
    ext = rows["a"]["ext"]
    text = json.dumps(ext["address"], ensure_ascii=False)
    assert all(part in text for part in ("Қазақстан", "Алматы", "Абай даңғылы", "ThoroughfareNumber"))
    assert len(ext["externalReference"]) == 2
    assert ext["externalReference"][0]["informationSystem"] == "http://example.org"
    assert (ext["uro:owner"], ext["uro:ids"]) == ("city", {"no": ["1", "2"], "at": "x"})
    assert report.dropped == {"MultiSurface among attributes": 1}
    assert set(ext) == {"address", "externalReference", "uro:owner", "uro:ids"}


# Types of objects


def test_types_are_cityjsons_and_what_no_one_maps_is_counted(tmp_path: Path) -> None:
    others = [
        building(id="f", kind="frn:CityFurniture"),
        building(id="q", kind="tran:Square"),
        building(id="x", kind="gen:GenericCityObject"),
        "<grp:CityObjectGroup gml:id='g'><grp:groupMember xlink:href='#a'/></grp:CityObjectGroup>",
        "<uro:Sign gml:id='s' xmlns:uro='http://example.org/ade'/>",
    ]
    rows, report = imported(tmp_path, model(building(BODY), *others))
    assert set(rows) == {"a"}
    assert report.skipped == {
        "CityFurniture": 1,
        "TransportSquare": 1,
        "GenericCityObject": 1,
        "CityObjectGroup": 1,
        "+Sign": 1,
    }


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "GenericCityObject",
            f"<gen:GenericCityObject gml:id='x'><gen:lod1Geometry>{AREA}</gen:lod1Geometry></gen:GenericCityObject>",
        ),
        (
            "+Sign",
            f"<u:Sign gml:id='x' xmlns:u='http://example.org/u'><gen:lod1Geometry>{AREA}</gen:lod1Geometry></u:Sign>",
        ),
    ],
)
def test_a_mapping_reaches_other_types(kind: str, text: str, tmp_path: Path) -> None:
    mapping = f'format: cimfed/mapping/v1\nextends: city_furniture\ntypes: ["{kind}"]\n'
    rows, _ = imported(tmp_path, model(text), collection="city_furniture", mapping=mapping)
    assert same(rows["x"]["geometry_lod0"], on_map((0, 0), (20, 0), (20, 10), (0, 10)))


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_rooms_and_storeys_name_their_building(version: str, tmp_path: Path) -> None:
    room = {
        "2.0": f"<bldg:interiorRoom><bldg:Room gml:id='r'><bldg:lod4Solid>{SOLID}</bldg:lod4Solid></bldg:Room>"
        "</bldg:interiorRoom>",
        "3.0": f"<bldg:buildingRoom><bldg:BuildingRoom gml:id='r'><core:lod2Solid>{SOLID}</core:lod2Solid>"
        "</bldg:BuildingRoom></bldg:buildingRoom>",
    }[version]
    rows, _ = imported(tmp_path, model(building(room), version=version), collection="room")
    assert (rows["r"]["building"], rows["r"]["volume"]) == ("a", 2400)
    if version == "3.0":
        storey = (
            f"<bldg:buildingSubdivision><bldg:Storey gml:id='s'><core:lod2Solid>{SOLID}</core:lod2Solid></bldg:Storey>"
            "</bldg:buildingSubdivision>"
        )
        rows, _ = imported(tmp_path / "storey", model(building(storey), version=version), collection="storey")
        assert rows["s"]["building"] == "a"


def test_a_part_without_an_id_counts_for_its_building_alone(tmp_path: Path) -> None:
    part = f"<bldg:consistsOfBuildingPart><bldg:BuildingPart>{BODY}</bldg:BuildingPart></bldg:consistsOfBuildingPart>"
    text = model(building(part))
    rows, _ = imported(tmp_path, text)
    assert rows["a"]["volume"] == 2400
    assert "no ids" in refused(tmp_path / "parts", text, collection="building_part").message


def test_a_part_at_the_top_is_a_part_of_no_building(tmp_path: Path) -> None:
    text = model(building(BODY, id="p", kind="bldg:BuildingPart"), building(BODY))
    rows, report = imported(tmp_path, text)
    assert (set(rows), report.skipped) == ({"a"}, {"BuildingPart": 1})
    rows, _ = imported(tmp_path / "parts", text, collection="building_part")
    assert rows["p"]["building"] is None


def test_ids_come_from_a_column_where_one_is_named(tmp_path: Path) -> None:
    number = "<gen:stringAttribute name='nr'><gen:value>{}</gen:value></gen:stringAttribute>"
    text = model(building(number.format("n1"), id=""), building(number.format("n2"), id="b"))
    rows, _ = imported(tmp_path, text, id_column="nr")
    assert set(rows) == {"n1", "n2"}
    rows, _ = imported(tmp_path / "where", text, id_column="nr", where=(("nr", "n2"),))
    assert set(rows) == {"n2"}


# The original


def test_the_original_is_the_members_xml_and_what_belongs_to_no_object(tmp_path: Path) -> None:
    appearance = (
        "<app:appearanceMember><app:Appearance><app:theme>{}</app:theme></app:Appearance></app:appearanceMember>"
    )
    texture = "<app:appearance><app:Appearance><app:theme>тема</app:theme></app:Appearance></app:appearance>"
    text = model(
        building("<!-- kept -->", "<gml:name>a &amp; b</gml:name>", texture, BODY),
        building(BODY, id="b"),
        building(id="f", kind="frn:CityFurniture"),
        before="<gml:name>City</gml:name>" + appearance.format("first"),
        after=appearance.format("last"),
        root="gml:id='model'",
    )
    imported(tmp_path, text)
    (head,), lines = originals.read(tmp_path)
    document = etree.fromstring(text.encode())
    members = {child[0].get("{http://www.opengis.net/gml}id"): child for child in document if "Member" in child.tag}
    kept = {tuple(line["ids"]): line["object"] for line in lines}
    assert set(kept) == {("a",), ("b",), ()}
    for id in ("a", "b"):
        again = etree.fromstring(kept[id,].encode())
        assert etree.tostring(again, method="c14n") == etree.tostring(members[id], method="c14n", with_tail=False)
    assert "<!-- kept -->" in kept["a",]
    assert "last" in kept[()]
    before = head["header"]["before"]
    assert [etree.fromstring(one.encode()).tag.rpartition("}")[2] for one in before] == [
        "boundedBy",
        "name",
        "appearanceMember",
    ]
    assert head["header"]["attributes"] == {"{http://www.opengis.net/gml}id": "model"}
    assert head["header"]["namespaces"]["bldg"] == "http://www.opengis.net/citygml/building/2.0"


def test_a_dry_run_shows_it_and_gives_a_mapping_to_edit(tmp_path: Path) -> None:
    text = model(building("<bldg:measuredHeight uom='m'>9</bldg:measuredHeight>", "<bldg:class>x1</bldg:class>", BODY))
    found = preview(request_for(tmp_path, [text], "building", "xx.city", {}))
    assert found.formats == ("CityGML 2.0",)
    assert found.report.matched["height"] == {"measuredHeight": 1}
    assert found.rows[0]["id"] == "a"
    rows, _ = imported(tmp_path / "again", text, mapping=write_mapping(found.mapping))
    assert rows["a"]["height"] == 9
