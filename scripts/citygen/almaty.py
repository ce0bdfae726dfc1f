"""Almaty: UTM zone 43 north, Russian attribute names, values in Russian and here and there in Kazakh, nulls.

Heights are text with a decimal comma, energy is in MWh.
Energy classes are typed in Latin letters by some clerks and in the Cyrillic letters that look the same by others.
The ground rises to the mountains in the south, where building stops.
"""

from __future__ import annotations

import numpy as np

from citygen.chance import Chance, Floats
from citygen.columns import Columns, decimals, known, names, spoken, words
from citygen.layout import Lots
from citygen.preset import District, Preset
from citygen.stock import Stock

DISTRICTS = (
    District("Алмалинский район", "311", -0.10, -0.05),
    District("Ауэзовский район", "312", -0.50, -0.10),
    District("Бостандыкский район", "313", -0.25, -0.45),
    District("Жетысуский район", "314", 0.05, 0.45),
    District("Медеуский район", "315", 0.40, -0.30),
    District("Наурызбайский район", "321", -0.85, -0.40),
    District("Турксибский район", "317", 0.45, 0.55),
    District("Алатауский район", "318", -0.60, 0.45),
)
DISTRICTS_KK = (
    "Алмалы ауданы", "Әуезов ауданы", "Бостандық ауданы", "Жетісу ауданы", "Медеу ауданы", "Наурызбай ауданы",
    "Түрксіб ауданы", "Алатау ауданы",
)  # fmt: skip
USES = (
    "жилое", "административное", "торговое", "производственное", "образовательное", "медицинское", "гостиница",
    "транспортное", "культовое", "общественное", "гараж", "сельскохозяйственное", "прочее",
)  # fmt: skip
USES_KK = (
    "тұрғын үй", "әкімшілік", "сауда", "өндірістік", "білім беру", "медициналық", "қонақ үй", "көлік", "ғибадатхана",
    "қоғамдық", "гараж", "ауыл шаруашылығы", "басқа",
)  # fmt: skip
ROOFS = ("плоская", "односкатная", "двускатная", "вальмовая", "шатровая", "мансардная", "купольная", "иная")
STATES = ("эксплуатируется", "пустует", "строится", "разрушено")
CLASSES = ("A", "B", "C", "D", "E", "F", "G")
CLASSES_CYRILLIC = ("А", "В", "С", "D", "Е", "F", "G")
WALLS = ("кирпич", "панель", "монолит", "саман", "сэндвич-панель")
PLACES = ("Абая", "Достык", "Сейфуллина", "Толе би", "Жибек жолы", "Райымбека", "Аль-Фараби", "Назарбаева")
PLACES_KK = ("Абай", "Достық", "Сейфуллин", "Төле би", "Жібек жолы", "Райымбек", "Әл-Фараби", "Назарбаев")
NAMES = {
    "office": "Бизнес-центр «{p}, {n}»", "retail": "Торговый дом «{p}»", "school": "Школа № {n}",
    "hospital": "Городская больница № {n}", "hotel": "Гостиница «{p}»", "worship": "Мечеть «{p}»",
    "public": "Дом культуры, {d}", "transport": "Автостанция «{p}»",
}  # fmt: skip
NAMES_KK = {
    "office": "«{p}, {n}» бизнес-орталығы", "retail": "«{p}» сауда үйі", "school": "№ {n} мектеп",
    "hospital": "№ {n} қалалық аурухана", "hotel": "«{p}» қонақ үйі", "worship": "«{p}» мешіті",
    "public": "Мәдениет үйі, {d}", "transport": "«{p}» автостанциясы",
}  # fmt: skip


def on_land(x: Floats, y: Floats, half: float) -> np.ndarray:
    return y - half > -9500.0 + 900.0 * np.sin(x / 3100.0)


def ground(x: Floats, y: Floats) -> Floats:
    return 790.0 - 0.028 * y + 4e-7 * y * y + 9.0 * np.sin(x / 2300.0)


def identifiers(lots: Lots, stock: Stock, chance: Chance) -> list[str]:
    return [f"ALM.{number:07d}" for number in lots.number.tolist()]


def attributes(lots: Lots, stock: Stock, chance: Chance) -> Columns:
    everywhere = np.ones(len(lots.number), dtype=bool)
    districts = [district.name for district in DISTRICTS]
    parcels = zip(lots.district.tolist(), lots.quarter.tolist(), lots.place.tolist(), strict=True)
    return {
        "наименование": names(lots, stock, chance, NAMES, districts, PLACES),
        "атауы": known(
            names(lots, stock, chance, NAMES_KK, DISTRICTS_KK, PLACES_KK), chance.uniform("kazakh", lots.number) < 0.8
        ),
        "район": words(districts, lots.district),
        "назначение": spoken((USES, USES_KK), stock.function, chance, lots, "use"),
        "высота_м": known([text.replace(".", ",") for text in decimals(stock.height, 2)], stock.height_known),
        "этажность": known(stock.storeys, everywhere),
        "подземных_этажей": known(stock.cellars, everywhere),
        "год_постройки": known(stock.year, stock.year_known),
        "тип_кровли": words(ROOFS, stock.roof),
        "состояние": words(STATES, stock.state),
        "общая_площадь_м2": known(stock.floor_area, everywhere, 10),
        "потребление_МВтч_год": known(stock.energy, stock.energy_known, 10_000),
        "класс_энергоэффективности": known(
            spoken((CLASSES, CLASSES_CYRILLIC), stock.energy_class, chance, lots, "class"), stock.energy_known
        ),
        "кадастровый_номер": [
            f"20:{DISTRICTS[district].code}:{1 + quarter:05d}:{1 + place:03d}" for district, quarter, place in parcels
        ],
        "материал_стен": words(WALLS, chance.choice("walls", lots.number, np.array([0.4, 0.25, 0.2, 0.1, 0.05]))),
        "сейсмостойкость_баллов": (7 + chance.choice("quake", lots.number, np.array([0.2, 0.5, 0.3]))).tolist(),
    }


PRESET = Preset(
    city="kz.almaty",
    title="Алматы (made up)",
    epsg=32643,
    version="1.1",
    lods=("0", "1"),
    origin=(656_543.0, 4_791_127.0),
    pipeline="+proj=pipeline +step +inv +proj=utm +zone=43 +ellps=WGS84 +step +proj=unitconvert +xy_in=rad +xy_out=deg",
    districts=DISTRICTS,
    land=0.85,
    on_land=on_land,
    ground=ground,
    tallest=180.0,
    height=0.9,
    heating=1.15,
    founded=1854,
    identifiers=identifiers,
    attributes=attributes,
    names={"ru": "наименование", "kk": "атауы"},
    classes=True,
    omits=False,
)
