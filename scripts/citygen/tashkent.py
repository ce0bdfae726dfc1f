"""Tashkent: Pulkovo 1942 zone 12 (false easting 12,500,000), Uzbek attribute names, years as text, heights in cm.

The letter oʻ comes with either of two apostrophes, U+02BB as the alphabet has it and U+2018 as keyboards give it.
"""

from __future__ import annotations

import numpy as np

from citygen.chance import Chance, Floats
from citygen.columns import Columns, known, names, spoken, words
from citygen.layout import Lots
from citygen.preset import District, Preset
from citygen.stock import Stock

DISTRICTS = (
    District("Bektemir tumani", "01", 0.55, -0.65),
    District("Chilonzor tumani", "02", -0.45, -0.25),
    District("Mirobod tumani", "03", 0.10, -0.25),
    District("Mirzo Ulugʻbek tumani", "04", 0.60, 0.20),
    District("Olmazor tumani", "05", -0.30, 0.50),
    District("Sergeli tumani", "06", -0.15, -0.85),
    District("Shayxontohur tumani", "07", -0.25, 0.15),
    District("Uchtepa tumani", "08", -0.75, 0.00),
    District("Yakkasaroy tumani", "09", -0.10, -0.20),
    District("Yangihayot tumani", "10", -0.50, -0.80),
    District("Yashnobod tumani", "11", 0.55, -0.25),
    District("Yunusobod tumani", "12", 0.10, 0.45),
)
DISTRICTS_RU = (
    "Бектемирский", "Чиланзарский", "Мирабадский", "Мирзо-Улугбекский", "Алмазарский", "Сергелийский",
    "Шайхантахурский", "Учтепинский", "Яккасарайский", "Янгихаётский", "Яшнабадский", "Юнусабадский",
)  # fmt: skip
USES = (
    "turar joy", "idora", "savdo", "ishlab chiqarish", "oʻquv muassasasi", "shifoxona", "mehmonxona", "transport",
    "masjid", "jamoat binosi", "avtoturargoh", "qishloq xoʻjaligi", "boshqa",
)  # fmt: skip
ROOFS = ("yassi", "bir nishabli", "ikki nishabli", "toʻrt nishabli", "piramida", "mansard", "gumbaz", "boshqa")
STATES = ("foydalanilmoqda", "boʻsh", "qurilmoqda", "vayrona")
WALLS = ("gʻisht", "panel", "monolit", "paxsa")
PLACES = ("Amir Temur", "Navoiy", "Bunyodkor", "Oʻzbekiston", "Beshyogʻoch", "Chorsu", "Minor", "Qoʻyliq")
PLACES_RU = ("Амир Темур", "Навои", "Бунёдкор", "Узбекистан", "Бешагач", "Чорсу", "Минор", "Куйлюк")
NAMES = {
    "office": "«{p}» biznes markazi, {n}", "retail": "«{p}» savdo markazi", "school": "{n}-maktab",
    "hospital": "{n}-shifoxona", "hotel": "«{p}» mehmonxonasi", "worship": "«{p}» masjidi",
    "public": "{d} madaniyat saroyi", "transport": "«{p}» avtostansiyasi",
}  # fmt: skip
NAMES_RU = {
    "office": "Бизнес-центр «{p}», {n}", "retail": "Торговый центр «{p}»", "school": "Школа № {n}",
    "hospital": "Больница № {n}", "hotel": "Гостиница «{p}»", "worship": "Мечеть «{p}»",
    "public": "{d} дворец культуры", "transport": "Автостанция «{p}»",
}  # fmt: skip
OKINA, QUOTE = "\u02bb", "\u2018"


def typed(table: tuple[str, ...]) -> tuple[str, ...]:
    """The same words with the other apostrophe."""
    return tuple(word.replace(OKINA, QUOTE) for word in table)


def on_land(x: Floats, y: Floats, half: float) -> np.ndarray:
    return np.ones(x.shape, dtype=bool)


def ground(x: Floats, y: Floats) -> Floats:
    return 452.0 + 0.0032 * x + 0.0024 * y + 3.0 * np.sin(x / 1500.0)


def identifiers(lots: Lots, stock: Stock, chance: Chance) -> list[str]:
    high = chance.words("uuid/high", lots.number).tolist()
    low = chance.words("uuid/low", lots.number).tolist()
    return [
        f"UUID_{a >> 32:08x}-{a >> 16 & 0xFFFF:04x}-4{a & 0xFFF:03x}-8{b >> 48 & 0xFFF:03x}-{b & 0xFFFFFFFFFFFF:012x}"
        for a, b in zip(high, low, strict=True)
    ]


def attributes(lots: Lots, stock: Stock, chance: Chance) -> Columns:
    everywhere = np.ones(len(lots.number), dtype=bool)
    districts = [district.name for district in DISTRICTS]
    parcels = zip(lots.district.tolist(), lots.quarter.tolist(), lots.place.tolist(), strict=True)
    uzbek = names(lots, stock, chance, NAMES, districts, PLACES)
    other = chance.uniform("apostrophe", lots.number) < 0.4
    return {
        "nomi": [
            name.replace(OKINA, QUOTE) if isinstance(name, str) and is_other else name
            for name, is_other in zip(uzbek, other.tolist(), strict=True)
        ],
        "nomi_rus": known(
            names(lots, stock, chance, NAMES_RU, DISTRICTS_RU, PLACES_RU), chance.uniform("russian", lots.number) < 0.7
        ),
        "tuman": words(districts, lots.district),
        "vazifasi": spoken((USES, typed(USES)), stock.function, chance, lots, "use"),
        "balandligi_sm": known(stock.height, stock.height_known),
        "qavatlar_soni": known(stock.storeys, everywhere),
        "yertoʻla_qavatlari": known(stock.cellars, everywhere),
        "qurilgan_yili": known(stock.year.astype(str), stock.year_known),
        "tom_turi": spoken((ROOFS, typed(ROOFS)), stock.roof, chance, lots, "roof"),
        "holati": spoken((STATES, typed(STATES)), stock.state, chance, lots, "state"),
        "umumiy_maydoni": known(stock.floor_area, everywhere, 10),
        "elektr_isteʼmoli_kVt_soat": known(stock.energy, stock.energy_known, 10),
        "kadastr_raqami": [
            f"10:{DISTRICTS[district].code}:{1 + quarter // 100:02d}:{1 + quarter % 100:02d}:{1 + place:04d}"
            for district, quarter, place in parcels
        ],
        "devor_ashyosi": words(WALLS, chance.choice("walls", lots.number, np.array([0.5, 0.25, 0.15, 0.1]))),
    }


PRESET = Preset(
    city="uz.tashkent",
    title="Toshkent (made up)",
    epsg=28412,
    version="2.0",
    lods=("0.1", "1.1"),
    origin=(12_523_485.0, 4_575_221.0),
    # Pulkovo 1942 to WGS 84 (16), EPSG:15865: of those that PROJ knows the only usable one that covers all of the city.
    pipeline="+proj=pipeline +step +inv +proj=tmerc +lat_0=0 +lon_0=69 +k=1 +x_0=12500000 +y_0=0 +ellps=krass "
    "+step +proj=push +v_3 +step +proj=cart +ellps=krass +step +proj=helmert +x=25 +y=-141 +z=-78.5 +rx=0 +ry=-0.35 "
    "+rz=-0.736 +s=0 +convention=coordinate_frame +step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 "
    "+step +proj=unitconvert +xy_in=rad +xy_out=deg",
    districts=DISTRICTS,
    land=1.0,
    on_land=on_land,
    ground=ground,
    tallest=266.0,
    height=0.85,
    heating=1.05,
    founded=1865,
    identifiers=identifiers,
    attributes=attributes,
    names={"uz": "nomi", "ru": "nomi_rus"},
    classes=False,
    omits=True,
)
