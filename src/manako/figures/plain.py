"""Figures as plain data."""

from __future__ import annotations

import base64
import math
from dataclasses import fields, is_dataclass
from io import BytesIO

import numpy as np
from PIL import Image


def plain(value: object) -> object:
    """`value` as what JSON can hold. `type` names each part; pictures become PNG data URLs; NaN becomes null."""
    if isinstance(value, np.ndarray):
        return _picture(value) if value.dtype == np.uint8 and value.ndim >= 2 else plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if is_dataclass(value) and not isinstance(value, type):
        named = {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        return {"type": type(value).__name__.lower(), **named}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _picture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
