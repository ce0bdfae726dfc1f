"""The cities that can be made."""

from __future__ import annotations

from citygen import almaty, qingdao, tashkent
from citygen.preset import Preset

PRESETS: dict[str, Preset] = {preset.city: preset for preset in (qingdao.PRESET, almaty.PRESET, tashkent.PRESET)}
