"""A figure is data: a title and panels; a panel is two axes and marks. It can be drawn, written, or sent as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image as PillowImage

from manako.errors import UsageError
from manako.figures.colours import DARK, LIGHT
from manako.figures.marks import Mark
from manako.paths import atomic_write


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis. Limits left out come from the marks; `ticks` (place, text) replace the round numbers."""

    label: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    reverse: bool = False
    ticks: Sequence[tuple[float, str]] | None = None
    hidden: bool = False
    grid: bool = True


HIDDEN = Axis(hidden=True)


def names_axis(names: Sequence[str], label: str = "", *, reverse: bool = False) -> Axis:
    """An axis of names at the places 0, 1, 2 ..."""
    ticks = [(float(index), name) for index, name in enumerate(names)]
    return Axis(label, -0.5, len(names) - 0.5, reverse=reverse, ticks=ticks, grid=False)


@dataclass(frozen=True, eq=False)
class Panel:
    """One plot: `width` x `height` are the pixels inside its axes; room for text is added outside."""

    marks: Sequence[Mark] = ()
    title: str = ""
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    width: float = 340
    height: float = 250
    caption: str = ""
    legend: bool = True


@dataclass(frozen=True, eq=False)
class Figure:
    """Panels in rows of `columns`, under a title, over a `note`. `description` is what a screen reader says."""

    panels: Sequence[Panel]
    title: str = ""
    note: str = ""
    columns: int = 3
    description: str = ""

    def __post_init__(self) -> None:
        if not self.panels or self.columns < 1:
            raise ValueError("a figure needs at least one panel and one column")

    def spoken(self) -> str:
        """The description, or one made of the titles, axes and legends."""
        if self.description:
            return self.description
        return "; ".join(filter(None, [self.title, *(_spoken(panel) for panel in self.panels), self.note]))

    def svg(self, *, dark: bool = False) -> str:
        """The figure as one self-contained SVG document."""
        from manako.figures.layout import arrange
        from manako.figures.svg import SvgCanvas

        palette, canvas, plan = DARK if dark else LIGHT, SvgCanvas(), arrange(self)
        plan.draw(canvas, palette)
        return canvas.document(
            plan.width,
            plan.height,
            ground=palette("ground"),
            title=self.title or self.spoken(),
            description=self.spoken(),
        )

    def png(self, scale: float = 2, *, dark: bool = False) -> PillowImage.Image:
        """The figure as a picture, `scale` pixels to the CSS pixel."""
        from manako.figures.layout import arrange
        from manako.figures.raster import PillowCanvas

        palette, plan = DARK if dark else LIGHT, arrange(self)
        canvas = PillowCanvas(plan.width, plan.height, ground=palette("ground"), scale=scale)
        plan.draw(canvas, palette)
        return canvas.finish()

    def write(self, path: str | Path) -> Path:
        """Write the figure as its suffix says, .svg or .png, whole or not at all. Returns the path.

        Raises UsageError for another suffix and StorageError where the file can't be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".svg":
            data = self.svg().encode("utf-8")
        elif path.suffix.lower() == ".png":
            file = BytesIO()
            self.png().save(file, "PNG", optimize=True)
            data = file.getvalue()
        else:
            raise UsageError("figures.suffix", file=path.name)
        atomic_write(path, data)
        return path

    def as_json(self) -> dict[str, object]:
        """The figure as JSON-able data, for a browser to draw; pictures are PNG data URLs, gaps are null."""
        from manako.figures.plain import plain

        data = plain(self)
        assert isinstance(data, dict)
        return data


def _spoken(panel: Panel) -> str:
    axes = " / ".join(filter(None, [panel.x.label, panel.y.label]))
    labels = ", ".join(mark.label for mark in panel.marks if mark.label)
    return ": ".join(filter(None, [panel.title, axes, labels]))
