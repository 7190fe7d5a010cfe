"""Finding what is not as it should be, from normal images alone.

A model gives a map of distances from the normal, in numbers of its own. An image's score is the mean of its highest
places; held-out normal images give the threshold, and with it the rate of false alarms to expect. Scores and heat maps
are shown from 0 to 1: 0.5 is the threshold, 0.25 the median of normal images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.console import say
from manako.errors import UsageError
from manako.images import Fit
from manako.metrics.anomaly import Areas, ImageMeasure, kind_scores, measure_image, threshold_scores
from manako.metrics.drift import Drift
from manako.tasks import Json, Output, Outputs, Task
from manako.types import Anomaly, Dataset, Evaluation, Frame, Score

if TYPE_CHECKING:
    from manako.figures import Figure

Map = NDArray[np.float32]
TOP = 0.03  # part of the image whose mean is the image's score
FALSE_ALARMS = 0.01  # wanted; with few normal images the lowest rate that they can vouch for
SHOWN = 20  # regions in a line of JSON


class AnomalyDetection(Task[Anomaly]):
    name: ClassVar[str] = "anomaly"
    main_metric: ClassVar[str] = "image_auroc"
    outputs: ClassVar[tuple[Output, ...]] = (Output("map", ("N", "height", "width"), "distances"),)
    settings: ClassVar[Mapping[str, float]] = {
        "threshold": 1.0,
        "spread": 1.0,
        "pixel_threshold": 1.0,
        "pixel_spread": 1.0,
        "false_alarms": 1.0,
        "called_from": 0.5,
    }
    columns: ClassVar[tuple[str, ...]] = ("class", "score")
    fit: ClassVar[Fit] = "letterbox"
    dense: ClassVar[bool] = True

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Anomaly]:
        settings = {**self.settings, **settings}
        return [_decoded(found, frame, settings) for found, frame in zip(outputs["map"], frames, strict=True)]

    def choose(self, settings: Mapping[str, float], chosen: Mapping[str, float]) -> dict[str, float]:
        """A person's `threshold` is a score from 0 to 1. It means something only where normal images were held out."""
        others = {name: value for name, value in chosen.items() if name != "threshold"}
        found = super().choose(settings, others)
        if "threshold" not in chosen:
            return found
        if settings.get("false_alarms", 1.0) >= 1:
            raise UsageError("anomaly.no_threshold", threshold=chosen["threshold"])
        return found | {"called_from": chosen["threshold"]}

    def calibrate(self, batches: Iterable[tuple[Outputs, Sequence[Frame], Sequence[Anomaly]]]) -> dict[str, float]:
        scores: list[tuple[float, float]] = []
        defect: list[bool] = []
        for outputs, frames, truths in batches:
            inner = [_inside(found, frame) for found, frame in zip(outputs["map"], frames, strict=True)]
            scores += [(_image_score(cells), float(cells.max())) for cells in inner]
            defect += [truth.score > 0.5 for truth in truths]
        values, faulty = np.array(scores, np.float64).reshape(-1, 2), np.array(defect, np.bool_)
        if faulty.all():
            say("anomaly.no_held_out")
            return dict(self.settings)
        threshold, spread, rate = _threshold(values[:, 0], faulty)
        pixel_threshold, pixel_spread, _ = _threshold(values[~faulty, 1], np.zeros((~faulty).sum(), np.bool_))
        say("anomaly.threshold", normal=int((~faulty).sum()), defects=int(faulty.sum()), rate=100 * rate)
        if len(values) > 1 and np.ptp(values[:, 0]) == 0:
            say("anomaly.equal_scores", count=len(values))
        return {
            "threshold": threshold,
            "spread": spread,
            "pixel_threshold": pixel_threshold,
            "pixel_spread": pixel_spread,
            "false_alarms": rate,
            "called_from": 0.5,
        }

    def measure(self, prediction: Anomaly, truth: Anomaly, classes: Sequence[str]) -> ImageMeasure:
        return measure_image(prediction, truth)

    def summarise(
        self, measures: Sequence[ImageMeasure], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        """Where only normal, or only defective, images are there, the main metric is NaN: nothing can be told apart."""
        areas = Areas(measures)
        image, pixel, pro = float(areas.image_auroc()[0]), *(float(value[0]) for value in areas.pixels())
        metrics = {"image_auroc": image, **threshold_scores(areas.scores, areas.defect)}
        metrics |= {"pixel_auroc": pixel, "aupro": pro}
        low, high = image, image
        if intervals and np.isfinite(image):
            ends = areas.intervals(seed=seed)
            low, high = ends[0].tolist()
            for name, pair in zip(("pixel_auroc", "aupro"), ends[1:].tolist(), strict=True):
                metrics |= {f"{name}_low": pair[0], f"{name}_high": pair[1]}
        return Evaluation(
            main=Score(self.main_metric, image, low, high),
            metrics={name: value for name, value in metrics.items() if np.isfinite(value)},
            per_class=kind_scores(measures) if np.isfinite(image) else {},
            count=len(measures),
            worst=_worst(areas.scores, areas.defect),
            tables={"scores": np.stack([areas.scores, areas.defect], 1)},
        )

    def same(self, first: Anomaly, second: Anomaly) -> bool:
        """On the same side of the threshold, or both within a hair of it."""
        return (first.score > 0.5) == (second.score > 0.5) or abs(first.score - second.score) < 1e-4

    def draw(
        self, image: Image.Image, prediction: Anomaly, classes: Sequence[str], *, truth: Anomaly | None = None
    ) -> Image.Image:
        from manako.tasks._caption import with_caption
        from manako.tasks._heat import with_heat, with_outline

        picture = image.convert("RGB")
        if prediction.heatmap is not None:
            picture = with_heat(picture, prediction.heatmap, prediction.threshold)
        name = _named(prediction, classes)
        if truth is None:
            return with_caption(picture, name, prediction.score)
        right = truth.defective == prediction.defective
        picture = with_outline(picture, truth.heatmap)
        return with_caption(picture, name, prediction.score, right=right, truth=_named(truth, classes))

    def compare(
        self, image: Image.Image, prediction: Anomaly, truth: Anomaly, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        from manako.tasks._heat import with_outline

        return [
            ("gallery.truth", with_outline(image, truth.heatmap)),
            ("gallery.prediction", self.draw(image, prediction, classes)),
        ]

    def promise(self, settings: Mapping[str, float]) -> tuple[str, Json] | None:
        """The rate of false alarms that the held-out normal images let expect."""
        rate = settings.get("false_alarms", 1.0)  # 1: none was held out
        measured = rate < 1 and settings.get("called_from", 0.5) == 0.5
        return ("anomaly.promise", {"expected_false_alarms": round(rate, 6)}) if measured else None

    def watch(self) -> Drift:
        return Drift()

    def describe(self, prediction: Anomaly, classes: Sequence[str]) -> str:
        return f"{_named(prediction, classes)} {100 * prediction.score:.0f} %"

    def as_json(self, prediction: Anomaly, classes: Sequence[str]) -> list[Json]:
        """One entry: the image's, with the regions over the threshold, largest first."""
        from manako.tasks._regions import regions_above

        found = [] if prediction.heatmap is None else regions_above(prediction.heatmap, prediction.threshold)[:SHOWN]
        regions = [{"xyxy": list(r.xyxy), "area": r.area, "score": round(r.value, 6)} for r in found]
        entry: Json = {"class": classes[prediction.defective], "score": round(prediction.score, 6)}
        entry["threshold"] = prediction.threshold
        return [entry | {"regions": regions} | ({"kind": prediction.kind} if prediction.kind else {})]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._anomaly_figures import anomaly_figures

        return anomaly_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.defects import write_defects

        write_defects(folder, seed, count)
        return read_dataset(folder, task=self.name)


def _place(found: Map, frame: Frame) -> tuple[float, float, float, float]:
    """Where in the map (h, w) the image lies: left, top, right, bottom. The map may be coarser than the network's
    image, whose size follows from the frame: what is left beside the image is the same on both sides."""
    ends = []
    for size, scale, start, cells in (
        (frame.width, frame.scale_x, frame.left, found.shape[1]),
        (frame.height, frame.scale_y, frame.top, found.shape[0]),
    ):
        stride = max(1, round((size * scale + 2 * start) / cells))  # the ground may be a pixel wider on one side
        step = 1 / stride
        ends.append((max(0.0, start * step), min(float(cells), (start + size * scale) * step)))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def _inside(found: Map, frame: Frame) -> Map:
    """The cells whose middles lie in the image; at least one."""
    left, top, right, bottom = _place(found, frame)
    rows, columns = (
        slice(first, max(first + 1, int(np.floor(end + 0.5))))
        for first, end in ((int(np.floor(top + 0.5)), bottom), (int(np.floor(left + 0.5)), right))
    )
    return found[rows, columns]


def _image_score(cells: Map) -> float:
    """The mean of the highest TOP of the cells: steadier than the highest alone."""
    count = max(1, round(TOP * cells.size))
    return float(np.partition(cells.ravel(), cells.size - count)[-count:].mean())


def _decoded(found: Map, frame: Frame, settings: Mapping[str, float]) -> Anomaly:
    raw = np.asarray(_image_score(_inside(found, frame)), np.float32)
    score = float(_scaled(raw, settings["threshold"], settings["spread"]))
    heatmap = _scaled(_enlarged(found, frame), settings["pixel_threshold"], settings["pixel_spread"])
    return Anomaly(score, np.asarray(heatmap, np.float32), threshold=settings["called_from"])


def _enlarged(found: Map, frame: Frame) -> Map:
    """The map in the image's own pixels. Cells beside the image are cut off first, so that they don't shine in."""
    left, top, right, bottom = _place(found, frame)
    first, upper = int(left), int(top)
    cells = found[upper : int(np.ceil(bottom)), first : int(np.ceil(right))]
    image = Image.fromarray(np.ascontiguousarray(cells, np.float32))
    box = (left - first, top - upper, min(right - first, image.width), min(bottom - upper, image.height))
    return np.asarray(image.resize((frame.width, frame.height), Image.Resampling.BILINEAR, box))


def _scaled(raw: Map, threshold: float, spread: float) -> Map:
    """0.5 at the threshold, 0.25 one spread below; never quite 0 or 1, so that no order is lost."""
    distance = (raw - threshold) / spread
    scaled: Map = 0.5 + 0.5 * distance / (1 + np.abs(distance))
    return scaled


def _threshold(scores: NDArray[np.float64], defect: NDArray[np.bool_]) -> tuple[float, float, float]:
    """(threshold, spread, false alarms to expect) from scores of held-out images.

    Of n normal images k at or over the threshold, a further one is as likely as (k + 1) / (n + 1) to be over it. With
    labelled defects the threshold has the best F1; else it is the highest score that keeps to FALSE_ALARMS, or the
    highest of all, where there are too few images to vouch for less.
    """
    normal = np.sort(scores[~defect])
    if defect.any():
        threshold = _best_f1(scores, defect)
    else:
        over = max(0, int(FALSE_ALARMS * (len(normal) + 1)) - 1)
        threshold = float(normal[-1 - over])
    rate = ((normal > threshold).sum() + 1) / (len(normal) + 1)
    spread = threshold - float(np.median(normal))
    return threshold, spread if spread > 1e-9 else max(abs(threshold), 1e-6), float(rate)


def _best_f1(scores: NDArray[np.float64], defect: NDArray[np.bool_]) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(defect[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + defect.sum())
    best = int(f1.argmax())
    following = scores[order[best + 1]] if best + 1 < len(order) else scores[order[best]] - 1e-6
    return float((scores[order[best]] + following) / 2)


def _worst(scores: NDArray[np.float64], defect: NDArray[np.bool_]) -> tuple[int, ...]:
    wrong = np.flatnonzero((scores > 0.5) != defect)
    return tuple(wrong[np.argsort(-np.abs(scores[wrong] - 0.5), kind="stable")].tolist())


def _named(found: Anomaly, classes: Sequence[str]) -> str:
    return found.kind or classes[found.defective]


TASK = AnomalyDetection()
