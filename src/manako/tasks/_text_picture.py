"""The truth above the reading, character below character: what was missed, added or taken for another in colour."""

from __future__ import annotations

from PIL import Image, ImageDraw

from manako.fonts import draw_text, text_width
from manako.metrics.text import align

SIZE = 22.0  # pixels
ROW = 34
COLUMNS = 40  # a longer line goes on below
_GROUND, _TEXT, _WRONG, _GAP = (20, 23, 28), (255, 255, 255), (240, 128, 60), (150, 158, 170)


def alignment(truth: str, found: str, *, least: int = 0) -> Image.Image:
    """least: width in pixels."""
    steps = align(truth, found)
    parts = [steps[i : i + COLUMNS] for i in range(0, len(steps), COLUMNS)] or [[]]
    cell = max([SIZE * 0.7, *(text_width(text, SIZE) + 4 for _, *pair in steps for text in pair)])
    width = max(least, round(cell * max(len(part) for part in parts)) + ROW)
    picture = Image.new("RGB", (width, round(ROW * (2.5 * len(parts) + 0.5))), _GROUND)
    draw = ImageDraw.Draw(picture)
    for number, part in enumerate(parts):
        base = ROW * (2.5 * number + 1)
        for place, (step, true, read) in enumerate(part):
            left = ROW / 2 + cell * place
            if step != "same":
                draw.rectangle((left + 1, base + 1.25 * ROW, left + cell - 2, base + 1.25 * ROW + 3), _WRONG)
            for row, text in enumerate((true, read)):
                colour = _GAP if not text else _TEXT if step == "same" or row == 0 else _WRONG
                shown = text or "·"
                indent = (cell - text_width(shown, SIZE)) / 2
                draw_text(draw, left + indent, base + row * ROW, shown, size=SIZE, fill=colour, bold=row == 1)
    return picture
