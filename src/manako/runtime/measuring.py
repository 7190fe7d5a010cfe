"""What lines say more of regions: areas in a person's own unit, and the outlines of the regions of a map of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from manako.errors import UsageError
from manako.regions import objects_of
from manako.tasks import Json
from manako.types import Prediction, Segmentation

MEASURED = ("segmentation", "instances")  # tasks whose answers have an area
_SCALE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([^\W\d_]{1,12})\s*")


@dataclass(frozen=True)
class Scale:
    """side: of a pixel of the images as they are, in `unit`."""

    side: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Of "0.5um". Raises UsageError."""
        found = _SCALE.fullmatch(text)
        if not found or not float(found[1]) > 0:
            raise UsageError("measuring.scale", value=text)
        return cls(float(found[1]), found[2])


@dataclass(frozen=True)
class Measuring:
    """scale: None gives pixels only. outlines: each region of a map of classes by itself, in lines of JSON."""

    scale: Scale | None = None
    outlines: bool = False

    @classmethod
    def of(cls, scale: str | None, outlines: bool, *, task: str, format: str) -> Measuring:
        """Raises UsageError where the task has no areas, or the format no room for them."""
        if scale is not None and task not in MEASURED:
            raise UsageError("measuring.not_for_task", option="--scale", task=task, known=", ".join(MEASURED))
        if outlines and task != "segmentation":
            raise UsageError("measuring.not_for_task", option="--outlines", task=task, known="segmentation")
        for option, given, formats in (("--scale", scale, ("json", "csv")), ("--outlines", outlines, ("json",))):
            if given and format not in formats:
                raise UsageError("measuring.format", option=option, format=format, known=", ".join(formats))
        return cls(None if scale is None else Scale.parse(scale), outlines)

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows of a table have more."""
        return ("area", "unit") if self.scale else ()

    def measured(self, entries: Sequence[Json]) -> list[Json]:
        """The same entries; those with `pixels` also with their `area` in the square of the `unit`."""
        return [self._measured(entry) for entry in entries]

    def _measured(self, entry: Json) -> Json:
        pixels = entry.get("pixels")
        if self.scale is None or not isinstance(pixels, (int, float)):
            return entry
        area = float(f"{pixels * self.scale.side**2:.9g}")
        return entry | {"area": area, "unit": f"{self.scale.unit}²"}

    def regions(self, prediction: Prediction, classes: Sequence[str]) -> Json:
        """`{"regions": [...]}`: each connected region with its class, score, box, pixels and polygons."""
        if not self.outlines or not isinstance(prediction, Segmentation):
            return {}
        from manako.tasks.instances import TASK as INSTANCES

        return {"regions": self.measured(INSTANCES.as_json(objects_of(prediction, classes), classes))}
