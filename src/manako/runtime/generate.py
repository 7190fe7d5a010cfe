"""Images from a generator: random bytes in, made images out, with a contact sheet and a film between two of them.

The bytes are laid out as `blocks/seeds.py` reads them: 16-bit numbers first, then two bytes for the class, then zeros.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.console import progress
from manako.errors import StorageError, UsageError
from manako.figures.film import film as as_film
from manako.messages import message
from manako.paths import atomic_write
from manako.runtime.engine import Engine
from manako.tasks import task_of
from manako.types import Frame, Generated

BATCH = 32
LEVELS = 65536
STOPS, STEPS = 5, 12  # of a film: images on the way, pictures from one to the next
PICTURE_MS = 80

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Made:
    """Where the images lie. film: only where it was asked for."""

    count: int
    folder: Path
    sheet: Path
    film: Path | None
    classes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "count": self.count,
            "folder": str(self.folder),
            "sheet": str(self.sheet),
            "film": str(self.film) if self.film else None,
            "classes": list(self.classes),
        }

    def text(self) -> str:
        lines = [message("generate.done", count=self.count, folder=self.folder, sheet=self.sheet)]
        return "\n".join(lines + ([message("generate.film", file=self.film)] if self.film else []))


def generate(
    engine: Engine,
    out: Path,
    *,
    count: int = 64,
    seed: int = 0,
    class_name: str | None = None,
    interpolate: bool = False,
) -> Made:
    """Write `count` images, `sheet.png`, and with `interpolate` a GIF. The same seed gives the same images.

    class_name: None makes the classes by turns. Raises UsageError for a model that makes nothing or an unknown class,
    StorageError where nothing can be written.
    """
    card = engine.card
    latent = card.options.get("latent")
    if card.task != "generation" or not isinstance(latent, int):
        raise UsageError("generate.other_task", model=card.model, task=card.task)
    kinds = _kinds(card.classes, class_name, count)
    random = np.random.default_rng(seed)
    numbers = random.integers(0, LEVELS, (count, latent))
    made = list(progress(_made(engine, numbers, kinds), "generate.bar", count))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError("storage.unwritable", file=out, reason=error.strerror) from error
    from manako.tasks._made_images import contact_sheet, picture

    for place, one in enumerate(made):
        atomic_write(out / f"{place:05}.png", _png(picture(one)))
    atomic_write(out / "sheet.png", _png(contact_sheet(made)))
    film = out / "interpolation.gif" if interpolate else None
    if film:
        _write_film(film, _made(engine, *_way(random, latent, kinds)))
    names = tuple(dict.fromkeys(card.classes[kind] for kind in kinds.tolist()))
    return Made(count, out, out / "sheet.png", film, names)


def _kinds(classes: Sequence[str], name: str | None, count: int) -> Numbers:
    """(count,) the class of each image."""
    if name is None:
        return np.arange(count) % len(classes)
    if name not in classes:
        raise UsageError("generate.unknown_class", name=name, known=", ".join(classes[:20]))
    return np.full(count, classes.index(name))


def _made(engine: Engine, numbers: Numbers, kinds: Numbers) -> Iterator[Generated]:
    task, plan = task_of(engine.card), engine.card.preprocess
    for start in range(0, len(numbers), BATCH):
        part = slice(start, start + BATCH)
        seeds = seed_images(numbers[part], kinds[part], (plan.height, plan.width, plan.channels))
        frames = [Frame(plan.height, plan.width)] * len(seeds)
        yield from task.decode(engine.run(seeds), frames, engine.card.settings)


def seed_images(numbers: Numbers, kinds: Numbers, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """numbers: (N, latent), 0..65535. shape: (H, W, C). Returns (N, H, W, C) that say exactly these numbers."""
    height, width, channels = shape
    said = np.concatenate([numbers, kinds[:, None]], 1)
    flat = np.zeros((len(numbers), channels * height * width), np.uint8)
    flat[:, 0 : 2 * said.shape[1] : 2] = said // 256
    flat[:, 1 : 2 * said.shape[1] : 2] = said % 256
    return np.ascontiguousarray(flat.reshape(-1, channels, height, width).transpose(0, 2, 3, 1))


def _way(random: np.random.Generator, latent: int, kinds: Numbers) -> tuple[Numbers, Numbers]:
    """Round trip through STOPS images: along circles, since normal numbers in many dimensions lie on a sphere."""
    stops = random.normal(size=(STOPS, latent))
    parts = np.arange(STEPS)[:, None] / STEPS
    way = np.concatenate([_arc(one, other, parts) for one, other in zip(stops, np.roll(stops, -1, 0), strict=True)])
    return numbers_of(way), np.full(len(way), kinds[0])


def _arc(one: NDArray[np.float64], other: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spherical interpolation (Shoemake 1985): (len(parts), latent)."""
    angle = np.arccos(np.clip(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)), -1, 1))
    found: NDArray[np.float64] = (np.sin((1 - parts) * angle) * one + np.sin(parts * angle) * other) / np.sin(angle)
    return found


def numbers_of(normal: NDArray[np.float64]) -> Numbers:
    """(N, latent) normal numbers -> the whole numbers that say them: Box and Muller's pairs, backwards."""
    x, y = normal[:, 0::2], normal[:, 1::2]
    uniform = np.stack([np.exp(-(x**2 + y**2) / 2), np.arctan2(y, x) / (2 * np.pi) % 1.0], 2).reshape(len(normal), -1)
    return np.clip(np.round(uniform * LEVELS - 0.5), 0, LEVELS - 1).astype(np.int64)


def _png(image: object) -> bytes:
    from PIL import Image

    assert isinstance(image, Image.Image)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _write_film(path: Path, made: Iterator[Generated]) -> None:
    from manako.tasks._made_images import contact_sheet

    atomic_write(path, as_film([contact_sheet([one]) for one in made], ms=PICTURE_MS))
