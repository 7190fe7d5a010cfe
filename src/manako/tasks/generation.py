"""Making images like those that were learnt, of any of their classes.

A generator takes images like every other network, and makes one from the random numbers that the bytes of an image say
(`blocks/seeds.py`): so prediction, export and parity work as for all tasks. `manako generate` gives it random bytes.
Made images are judged as a set: how far the distribution of their features lies from that of real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.errors import ManakoError
from manako.metrics.generation import FEATURES, features, frechet, kernel_distance, neighbours
from manako.metrics.memorisation import NEAR, nearest_training
from manako.tasks import Json, Output, Outputs, Task, spread
from manako.types import Dataset, Evaluation, Frame, Generated, Sample, Score

if TYPE_CHECKING:
    from manako.figures import Figure

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
ROUNDS = 40  # of the bootstrap: a distance of distributions takes long
MOST_TRAINING, PAIRS = 60_000, 12  # training images that are searched for copies; pairs shown
SAME = 2.0  # grey levels, mean
COLLAPSED, LOOKS = 0.25, 4  # of the spread of real images; so many looks in a row, and not the first ones


class Generation(Task[Generated]):
    name: ClassVar[str] = "generation"
    main_metric: ClassVar[str] = "fid_hog"
    higher_is_better: ClassVar[bool] = False
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("pixels", ("N", "height", "width", "channels"), "pixels"),
        Output("class_id", ("N",), "classes", "int64"),
    )
    columns: ClassVar[tuple[str, ...]] = ("class", "width", "height")
    dense: ClassVar[bool] = True
    enough: ClassVar[int | None] = 2000
    measured_with: ClassVar[str] = f"hog-{FEATURES}"
    beside_training_seconds: ClassVar[float] = 5e-4
    on_sheet: ClassVar[int] = 64

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[Generated]:
        """Images in the network's own size, whatever the size of the images that said the random numbers."""
        pixels = np.round(np.clip(outputs["pixels"].astype(np.float32), 0, 1) * 255).astype(np.uint8)
        pixels = pixels[..., : 3 if pixels.shape[-1] >= 3 else 1]
        return [Generated(image, int(kind)) for image, kind in zip(pixels, outputs["class_id"], strict=True)]

    def measure(self, prediction: Generated, truth: Generated, classes: Sequence[str]) -> Pair:
        """The features of the made and of a real image."""
        return features(prediction.image), features(truth.image)

    def summarise(
        self, measures: Sequence[Pair], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        """The interval is the spread of the bootstrap around the value: resampled sets lie farther apart than whole
        ones, so the ends themselves would be too high."""
        made, real = (np.stack(side).astype(np.float64) for side in zip(*measures, strict=True))
        value = frechet(made, real)
        low = high = value
        if intervals:
            random = np.random.default_rng(seed)
            index = random.integers(0, len(made), (ROUNDS, len(made)))
            found = np.array([frechet(made[rows], real[rows]) for rows in index])
            below, above = np.quantile(found - found.mean(), [0.025, 0.975])
            low, high = max(0.0, value + min(0.0, float(below))), value + max(0.0, float(above))
        near = neighbours(made, real)
        return Evaluation(
            main=Score(self.main_metric, value, low, high),
            metrics={
                "fid_hog": value,
                "kid_hog": kernel_distance(made, real),
                "manifold_precision": near.precision,
                "manifold_recall": near.recall,
                "diversity": near.diversity,
            },
            per_class={},
            count=len(measures),
            worst=near.outside,
            tables={"nearest": np.stack([near.made, near.real], 1), "made": made, "real": real},
        )

    def beside_training(
        self, evaluation: Evaluation, again: Callable[[Sequence[int]], list[Generated]], training: Sequence[Sample]
    ) -> Evaluation:
        """`near_copies`, and the made images that are nearest to a training image, each beside it."""
        from manako.console import progress

        known = [s for s in spread(training, MOST_TRAINING) if s.target is not None]
        if not known:
            return evaluation
        readable: list[Sample] = []

        def seen() -> Iterator[NDArray[np.float32]]:
            for sample in progress(known, "generation.copies_bar", len(known)):
                try:
                    truth = sample.truth
                except ManakoError:  # it was left out of the training, too
                    continue
                assert isinstance(truth, Generated)
                readable.append(sample)
                yield features(truth.image)

        found = nearest_training(evaluation.tables["made"], evaluation.tables["real"], seen())
        order = np.argsort(found.made, kind="stable")[:PAIRS]
        pairs = zip(again(order.tolist()), (readable[i].truth for i in found.place[order]), strict=True)
        from manako.tasks._made_images import side_by_side

        tables = {
            "to_training": np.stack([found.made, found.real], 1),
            "near": np.array([found.near]),
            "copies": np.stack([side_by_side(made, truth) for made, truth in pairs]).astype(np.float64),
            "copies_distance": found.made[order],
        }
        return replace(
            evaluation,
            metrics={**evaluation.metrics, "near_copies": found.share},
            tables={**evaluation.tables, **tables},
        )

    def same(self, first: Generated, second: Generated) -> bool:
        if first.image.shape != second.image.shape or first.class_id != second.class_id:
            return False
        return float(np.abs(first.image.astype(np.float32) - second.image).mean()) <= SAME

    def draw(
        self, image: Image.Image, prediction: Generated, classes: Sequence[str], *, truth: Generated | None = None
    ) -> Image.Image:
        """The made image, not smaller than `image`, and its class below."""
        from manako.tasks._made_images import captioned

        return captioned(prediction, self.describe(prediction, classes), image.width)

    def compare(
        self, image: Image.Image, prediction: Generated, truth: Generated, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        return [("gallery.made", self.draw(image, prediction, classes))]

    def sheet(self, predictions: Sequence[Generated]) -> Image.Image:
        from manako.tasks._made_images import contact_sheet

        return contact_sheet(predictions)

    def alarm(self, looks: Sequence[Mapping[str, float]]) -> tuple[str, dict[str, object]] | None:
        """A generator that has collapsed makes the same few images whatever the random numbers, and doesn't recover."""
        last = [look["diversity"] for look in looks[LOOKS:][-LOOKS:] if "diversity" in look]
        if len(last) < LOOKS or max(last) >= COLLAPSED:
            return None
        return "generation.collapsed", {"share": 100 * max(last)}

    def describe(self, prediction: Generated, classes: Sequence[str]) -> str:
        return classes[prediction.class_id]

    def as_json(self, prediction: Generated, classes: Sequence[str]) -> list[Json]:
        height, width = prediction.image.shape[:2]
        return [{"class": classes[prediction.class_id], "width": width, "height": height}]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.figures import bar_chart, histogram
        from manako.messages import message

        made, real = evaluation.tables["nearest"].T
        groups = {message("generation.made"): made, message("generation.real"): real}
        shares = ("manifold_precision", "manifold_recall", "diversity")
        figures = {
            "nearest": histogram(
                groups, label=message("generation.nearest"), title=message("generation.nearest_title")
            ),
            "manifold": bar_chart(
                [message(f"metric.{name}") for name in shares],
                [evaluation.metrics[name] for name in shares],
                label="",
                title=message("generation.manifold"),
            ),
        }
        if "copies" in evaluation.tables:
            figures |= _copies(evaluation)
        return figures

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.digits import write_some_digits

        return read_dataset(write_some_digits(folder, seed=seed, count=count), task=self.name)


def _copies(evaluation: Evaluation) -> dict[str, Figure]:
    """How near made images come to training images, and the nearest pairs."""
    from manako.figures import gallery, histogram
    from manako.messages import message

    made, real = evaluation.tables["to_training"].T
    near = float(evaluation.tables["near"][0])
    share = 100 * evaluation.metrics["near_copies"]
    return {
        "to_training": histogram(
            {message("generation.made"): made, message("generation.new"): real},
            label=message("generation.to_training"),
            title=message("generation.to_training_title"),
            threshold=near,
        ),
        "copies": gallery(
            [pair.astype(np.uint8) for pair in evaluation.tables["copies"]],
            [f"{distance:.3f}" for distance in evaluation.tables["copies_distance"]],
            columns=4,
            side=150,
            title=message("generation.copies"),
            note=message("generation.copies_note", near=near, share=share, usual=100 * NEAR),
        ),
    }


TASK = Generation()
