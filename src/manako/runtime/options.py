"""What `predict` can be told: one flat record, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from manako.errors import ConfigError
from manako.runtime.drowsiness import ALARM, CLOSED
from manako.runtime.tiles import Tile


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """format: of what is written: "json", "csv", or a layout of labels. draw: also pictures and videos with the
    predictions on them. batch, max_pixels: None: chosen by the kind of the sources.

    Objects: confidence, iou: the score from which on they are shown, and how much two of one class may overlap, in
    place of those chosen on the validation images. Anomalies: threshold: the score over which an image is called a
    defect, in place of 0.5.
    Large images: tile: go window by window; the longer side of a window in pixels, or "auto" for the network's own
    size. overlap: by how many pixels windows overlap.
    Videos and cameras: every: 2 takes every second picture. track: follow objects through videos and folders.
    count_lines, count_zones: "x1,y1,x2,y2" and "x1,y1,x2,y2,x3,y3..." in pixels, where objects that are followed are
    counted. smooth: steady the points of poses from picture to picture. watch: "drowsiness" reports closed eyes (aspect
    ratio below `closed`) and PERCLOS, with an alarm from `alarm` on; the model must know eye points.
    Depth: clouds, cut_outs: also write point clouds ("fx,fy,cx,cy" of the camera, or "assumed") and images without what
    is farther than so many metres ("auto" finds the distance).
    Regions: scale: "0.5um", the side of a pixel of the images as they are: areas are also given in that unit. outlines:
    of segmentation, lines of JSON also hold each connected region with its class, score, box, area and polygons.
    Reading: beam: how many beginnings of a text are remembered from step to step (16 where one of the following is
    given, else the best path alone is taken). lexicon: a file of all that lines may say, an entry a line.
    language_model: a file of text like that to be read, or a data set, whose training texts are taken; language_weight:
    how much it counts beside the network. pages: the images are whole pages, whose lines are found first, by `finder`
    (a run, an exported model, or the name of one that is ready; None: "ppocr_finder"; it implies pages).
    """

    format: str = "json"
    draw: bool = False
    batch: int | None = None
    max_pixels: int | None = None
    confidence: float | None = None
    iou: float | None = None
    threshold: float | None = None
    tile: Tile | None = None
    overlap: int | None = None
    every: int = 1
    track: bool = False
    count_lines: Sequence[str] = ()
    count_zones: Sequence[str] = ()
    smooth: bool = False
    watch: str | None = None
    closed: float = CLOSED
    alarm: float = ALARM
    clouds: str | None = None
    cut_outs: str | None = None
    scale: str | None = None
    outlines: bool = False
    beam: int | None = None
    lexicon: str | Path | None = None
    language_model: str | Path | None = None
    language_weight: float | None = None
    pages: bool = False
    finder: str | Path | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Raises ConfigError for an unknown name."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                raise ConfigError("config.unknown", field=name, near=near[0] if near else ", ".join(known))
        return cls(**values)

    @property
    def counted(self) -> bool:
        return bool(self.count_lines or self.count_zones)
