"""Files that only depth has, written while predictions pass by: point clouds, and images without their background."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from manako.errors import UsageError
from manako.paths import atomic_write
from manako.runtime.ahead import Picture
from manako.runtime.drawings import place_of
from manako.runtime.point_cloud import Intrinsics, cut_out, write_point_cloud
from manako.runtime.predictor import Result
from manako.runtime.tiles import upright
from manako.types import Depth

CLOUDS, CUT_OUTS = "clouds", "cut_outs"


@dataclass(frozen=True)
class DepthFiles:
    """What is to be written below `out`, and for which camera and distance; None: assumed, found in each image."""

    out: Path
    root: Path | None
    max_pixels: int
    clouds: bool
    cut_outs: bool
    camera: Intrinsics | None
    nearer_than: float | None

    def write(self, result: Result, number: int) -> None:
        """Raises StorageError."""
        if not isinstance(result.prediction, Depth):
            return
        image, place = upright(result.source, self.max_pixels), place_of(result.source, self.root, number)
        if isinstance(result.source, Picture):
            place = place.with_name(f"{place.stem}_{result.source.number:06}")
        if self.clouds:
            file = self.out / CLOUDS / place.with_name(place.name + ".ply")
            write_point_cloud(file, result.prediction, image, self.camera)
        if self.cut_outs:
            data = io.BytesIO()
            cut_out(image, result.prediction, self.nearer_than).save(data, "PNG")
            atomic_write(self.out / CUT_OUTS / place.with_name(place.name + ".png"), data.getvalue())


def with_depth_files(
    results: Iterable[Result],
    *,
    task: str,
    out: Path | None,
    root: Path | None,
    clouds: str | None,
    cut_outs: str | None,
    max_pixels: int,
) -> Iterator[Result]:
    """The same results, after `out/clouds/NAME.ply` and `out/cut_outs/NAME.png` were written for each.

    clouds: "fx,fy,cx,cy" of the camera, or "assumed". cut_outs: the distance from which on things are background, or
    "auto". None writes none. Raises UsageError at once for another task than depth, or without `out`.
    """
    if clouds is None and cut_outs is None:
        return iter(results)
    if task != "depth":
        raise UsageError("depth.only", task=task)
    if out is None:
        raise UsageError("depth.needs_out")
    camera = None if clouds is None or clouds == "assumed" else Intrinsics.parse(clouds)
    nearer_than = None if cut_outs is None or cut_outs == "auto" else _distance(cut_outs)
    files = DepthFiles(out, root, max_pixels, clouds is not None, cut_outs is not None, camera, nearer_than)
    return _written(results, files)


def _written(results: Iterable[Result], files: DepthFiles) -> Iterator[Result]:
    for number, result in enumerate(results, 1):
        files.write(result, number)
        yield result


def _distance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError("depth.distance", value=text)
    return value
