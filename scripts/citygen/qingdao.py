"""Qingdao: CGCS2000 three-degree zone, Chinese attribute names, numeric codes for use, unknown values left out.

The codes for use follow the list of uses of Chinese property surveys (two digits, the first for the group), with
three of its own (85, 86, 89). A coast south of the centre keeps the city to the north of it.
"""

from __future__ import annotations

import numpy as np

from citygen.chance import Chance, Floats
from citygen.columns import Columns, known, names, words
from citygen.layout import Lots
from citygen.preset import District, Preset
from citygen.stock import Stock

DISTRICTS = (
    District("市南区", "370202", 0.00, -0.05),
    District("市北区", "370203", -0.20, 0.25),
    District("黄岛区", "370211", -0.80, 0.05),
    District("崂山区", "370212", 0.55, 0.20),
    District("李沧区", "370213", -0.05, 0.60),
    District("城阳区", "370214", 0.20, 1.00),
)
# For each use of the vocabulary, in its order, the city's codes for it.
USE_CODES = (
    (11, 12, 13), (61, 34), (31,), (21, 27), (41,), (42,), (33,), (26, 23), (82,), (51, 55), (86,), (85,), (89,),
)  # fmt: skip
ROOF_CODES = ("1000", "1010", "1030", "1040", "1070", "1060", "1090", "1130")  # of CityGML's roof types
STATES = ("在用", "闲置", "在建", "危房")
STRUCTURES = ("钢筋混凝土", "砖混", "钢结构", "砖木")
PLACES = ("香港中路", "东海路", "浮山", "台东", "金家岭", "燕儿岛", "海云", "沧口", "流亭", "唐岛湾")
PLACES_EN = (
    "Xianggang Middle Road", "Donghai Road", "Fushan", "Taidong", "Jinjialing", "Yan'erdao", "Haiyun", "Cangkou",
    "Liuting", "Tangdao Bay",
)  # fmt: skip
NAMES = {
    "office": "{p}{n}号大厦", "retail": "{p}商场", "school": "{d}第{n}小学", "hospital": "{d}人民医院{n}号楼",
    "hotel": "{p}大酒店", "worship": "{p}教堂", "public": "{d}文化馆", "transport": "{p}客运站",
}  # fmt: skip
NAMES_EN = {
    "office": "{p} Tower {n}", "retail": "{p} Mall", "school": "{d} No. {n} Primary School",
    "hospital": "{d} People's Hospital, Building {n}", "hotel": "{p} Grand Hotel", "worship": "{p} Church",
    "public": "{d} Culture Centre", "transport": "{p} Coach Station",
}  # fmt: skip
DISTRICTS_EN = ("Shinan", "Shibei", "Huangdao", "Laoshan", "Licang", "Chengyang")


def on_land(x: Floats, y: Floats, half: float) -> np.ndarray:
    coast = -1300.0 + 350.0 * np.sin(x / 2100.0) + 180.0 * np.sin(x / 640.0)
    return y - half > coast


def ground(x: Floats, y: Floats) -> Floats:
    return 14.0 + 6.0 * np.sin(x / 1900.0) + 8.0 * np.sin(y / 2700.0) + np.clip(y, 0.0, 20_000.0) * 0.001


def identifiers(lots: Lots, stock: Stock, chance: Chance) -> list[str]:
    codes = [district.code for district in DISTRICTS]
    pairs = zip(lots.district.tolist(), lots.number.tolist(), strict=True)
    return [f"QD-{codes[district]}-{number:08d}" for district, number in pairs]


def attributes(lots: Lots, stock: Stock, chance: Chance) -> Columns:
    everywhere = np.ones(len(lots.number), dtype=bool)
    turns = np.array([len(codes) for codes in USE_CODES])[stock.function]
    turn = np.where(chance.uniform("code", lots.number) < 0.7, 0, lots.place % turns)
    codes = np.array([(codes * 3)[:3] for codes in USE_CODES])
    districts = [district.name for district in DISTRICTS]
    parcels = zip(lots.district.tolist(), lots.quarter.tolist(), lots.place.tolist(), strict=True)
    return {
        "名称": names(lots, stock, chance, NAMES, districts, PLACES),
        "英文名称": known(
            names(lots, stock, chance, NAMES_EN, DISTRICTS_EN, PLACES_EN), chance.uniform("english", lots.number) < 0.4
        ),
        "行政区": words(districts, lots.district),
        "用途代码": codes[stock.function, turn].tolist(),
        "建筑高度": known(stock.height, stock.height_known, 100),
        "地上层数": known(stock.storeys, everywhere),
        "地下层数": known(stock.cellars, everywhere),
        "建成年份": known(stock.year, stock.year_known),
        "屋顶类型": words(ROOF_CODES, stock.roof),
        "使用状态": words(STATES, stock.state),
        "建筑面积": known(stock.floor_area, everywhere, 10),
        "年用电量_kWh": known(stock.energy, stock.energy_known, 10),
        "不动产单元号": [
            f"{DISTRICTS[district].code}{1 + quarter // 999:03d}{1 + quarter % 999:03d}GB{1 + place:05d}"
            for district, quarter, place in parcels
        ],
        "结构类型": words(STRUCTURES, chance.choice("structure", lots.number, np.array([0.55, 0.30, 0.10, 0.05]))),
        "数据来源": ["2024年建筑普查"] * len(lots.number),
    }


PRESET = Preset(
    city="cn.qingdao",
    title="青岛 (made up)",
    epsg=4549,
    version="2.0",
    lods=("0.2", "1.2"),
    origin=(534_467.0, 3_993_056.0),
    # CGCS2000 to WGS 84 has no published parameters; they agree to a metre, so a null transformation is stated.
    pipeline="+proj=pipeline +step +inv +proj=tmerc +lat_0=0 +lon_0=120 +k=1 +x_0=500000 +y_0=0 +ellps=GRS80 "
    "+step +proj=unitconvert +xy_in=rad +xy_out=deg",
    districts=DISTRICTS,
    land=0.58,
    on_land=on_land,
    ground=ground,
    tallest=330.0,
    height=1.2,
    heating=0.95,
    founded=1898,
    identifiers=identifiers,
    attributes=attributes,
    names={"zh": "名称", "en": "英文名称"},
    classes=False,
    omits=True,
)
