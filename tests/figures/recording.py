"""A canvas that remembers where each text was put."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from manako.figures.colours import LIGHT
from manako.figures.figure import Figure
from manako.figures.layout import arrange
from manako.fonts import text_width

Corners = list[tuple[float, float]]


@dataclass
class RecordingCanvas:
    width: float = 0
    height: float = 0
    texts: list[tuple[str, Corners, int]] = field(default_factory=list)
    images: list[tuple[float, float, float, float]] = field(default_factory=list)

    def line(self, *args: object, **kwargs: object) -> None: ...
    def polygon(self, *args: object, **kwargs: object) -> None: ...
    def circle(self, *args: object, **kwargs: object) -> None: ...

    def image(self, pixels: object, left: float, top: float, width: float, height: float) -> None:
        self.images.append((left, top, width, height))

    def text(self, at, text, *, size, colour, anchor="start", angle=0.0, bold=False) -> None:
        width = text_width(text, size)
        left = {"start": 0.0, "middle": -width / 2, "end": -width}[anchor]
        # From the top of capitals to a little under the baseline: what must not be covered.
        local = [(left, -0.72 * size), (left + width, -0.72 * size), (left + width, 0.12 * size), (left, 0.12 * size)]
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        self.texts.append((text, [(at[0] + x * c - y * s, at[1] + x * s + y * c) for x, y in local], angle))

    def outside(self) -> list[str]:
        """Texts that leave the figure."""
        return [
            text
            for text, corners, _ in self.texts
            if text.strip()
            and not all(-0.5 <= x <= self.width + 0.5 and -0.5 <= y <= self.height + 0.5 for x, y in corners)
        ]

    def overlaps(self) -> list[tuple[str, str]]:
        """Pairs of texts that cover each other."""
        shown = [item for item in self.texts if item[0].strip()]
        return [
            (one[0], other[0])
            for index, one in enumerate(shown)
            for other in shown[index + 1 :]
            if _overlap(one[1], other[1])
        ]


def _overlap(one: Corners, other: Corners) -> bool:
    """Separating axes: two convex shapes are apart where one edge's normal separates them."""
    for shape in (one, other):
        for (x0, y0), (x1, y1) in zip(shape, [*shape[1:], shape[0]], strict=True):
            normal = (y0 - y1, x1 - x0)
            size = math.hypot(*normal) or 1.0
            a = [(x * normal[0] + y * normal[1]) / size for x, y in one]
            b = [(x * normal[0] + y * normal[1]) / size for x, y in other]
            if max(a) <= min(b) + 0.3 or max(b) <= min(a) + 0.3:
                return False
    return True


def record(figure: Figure) -> RecordingCanvas:
    plan = arrange(figure)
    canvas = RecordingCanvas(plan.width, plan.height)
    plan.draw(canvas, LIGHT)
    return canvas
