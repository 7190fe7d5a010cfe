"""Generated text to train readers and finders with: lines or whole pages, in the fonts of this machine.

Lines lie in `train`, `val` and `test`, each with `images/` and `labels.tsv`; pages have `labels/gt_<image>.txt` (ICDAR:
the corners of each line, clockwise from where its text begins, and the text). What an image shows follows from the
seed and its number alone.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from manako.alphabets import alphabet
from manako.errors import UsageError
from manako.messages import message
from manako.paths import new_folder
from manako.samples.digits import write_number
from manako.samples.paper import as_jpeg, put_on_paper
from manako.samples.phrases import ALPHABET_OF, LANGUAGES, LONGEST, own_phrase, phrase, read_texts
from manako.samples.printing import print_line
from manako.samples.typefaces import Progress, Typeface, find_typefaces, share_out
from manako.samples.whole_pages import print_page
from manako.types import SPLITS, Split

TRIES = 50  # phrases, until a font has all the characters of one
TOGETHER = 64  # images that a process makes at a time
MOST = 10_000_000


@dataclass(frozen=True)
class Written:
    """held_out: the names of the fonts of validation and test; empty where all fonts are in all parts."""

    folder: Path
    kind: str
    language: str
    counts: dict[str, int]
    fonts: int
    held_out: dict[str, list[str]]
    characters: int

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"folder": str(self.folder)}

    def text(self) -> str:
        lines = [message("samples.written", folder=self.folder, characters=self.characters, **self.counts)]
        if self.held_out:
            few = {split: _few(names) for split, names in self.held_out.items()}
            lines.append(message("samples.held_out", fonts=self.fonts, **few))
        elif self.kind != "digits":
            lines.append(message("samples.not_held_out", fonts=self.fonts))
        return "\n".join(lines)


@dataclass(frozen=True)
class Order:
    """What a process needs to make any image. texts: a person's own, in place of generated phrases."""

    folder: Path
    kind: str
    language: str
    seed: int
    fonts: dict[Split, list[Typeface]]
    texts: tuple[str, ...] = ()
    vertical: float = 0.0


def write_text(
    out: Path,
    *,
    language: str = "en",
    count: int = 1000,
    kind: str = "lines",
    fonts: Sequence[Path] | None = None,
    hold: Sequence[str] = (),
    words: Path | None = None,
    vertical: bool = False,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Written:
    """Write `count` images to the new folder `out`. The same seed, fonts and count give the same files.

    language: "en" or "ja". kind: "lines", "pages", or "digits" (strings of real handwritten digits). fonts: folders or
    files in place of the machine's; the font in the package is always there. hold: parts of the names of fonts that
    only the test may have (`share_out`). words: a text file to take the lines from. vertical: half of the lines are
    written from top to bottom. workers: processes. Raises UsageError, DataError, StorageError.
    """
    if language not in LANGUAGES:
        raise UsageError("samples.language", value=language, known=", ".join(LANGUAGES))
    if not 1 <= count <= MOST:
        raise UsageError("samples.count", value=count, most=MOST)
    if vertical and language != "ja":
        raise UsageError("samples.vertical", language=language)
    texts = tuple(read_texts(words)) if words else ()
    faces = find_typefaces("".join(sorted(set().union(*texts))) or alphabet(ALPHABET_OF[language]), fonts)
    shared = share_out(faces, hold, seed=seed)
    with new_folder(out, apart_from=words or Path(__file__)) as folder:
        order = Order(folder, kind, language, seed, shared, texts, 0.5 if vertical else 0.0)
        characters = _write(order, count, workers, progress)
    names = {split: sorted({face.name for face in shared[split]}) for split in ("val", "test")}
    apart = kind != "digits" and shared["train"] != shared["test"]
    counts = Counter(split_of(number, count) for number in range(count))
    return Written(
        out, kind, language, {s: counts[s] for s in SPLITS}, len(faces), names if apart else {}, len(characters)
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" + {len(names) - 4}" if len(names) > 4 else "")


def split_of(number: int, count: int) -> Split:
    """The last tenth is for validation and test; of few images more, of many at most 1,000 each."""
    held = min(max(count // 20, min(count // 5, 50)), 1000)
    return "train" if number < count - 2 * held else "val" if number < count - held else "test"


def _write(order: Order, count: int, workers: int, progress: Progress | None) -> set[str]:
    """All images and their labels. Returns the characters that occur."""
    for split in {split_of(number, count) for number in range(count)}:
        for name in ("images", "labels") if order.kind == "pages" else ("images",):
            (order.folder / split / name).mkdir(parents=True)
    rows: dict[Split, list[str]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    done = 0
    for made in _in_processes(order, count, workers):
        for split, name, texts in made:
            rows[split].append(f"images/{name}\t{texts[0] if texts else ''}")
            seen.update(*texts)
        done += len(made)
        if progress:
            progress(done, count)
    for split, lines in rows.items():
        if lines and order.kind != "pages":
            (order.folder / split / "labels.tsv").write_text("\n".join(["file\ttext", *lines]) + "\n", "utf-8")
    return seen


Made = list[tuple[Split, str, list[str]]]


def _in_processes(order: Order, count: int, workers: int) -> Iterator[Made]:
    """The images in order, a bundle at a time."""
    bundles = [range(start, min(start + TOGETHER, count)) for start in range(0, count, TOGETHER)]
    make = partial(make_images, order, count)
    if workers <= 1 or len(bundles) < 2 * workers:
        yield from map(make, bundles)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make, bundles)


def make_images(order: Order, count: int, numbers: Sequence[int]) -> Made:
    """Write those images. Returns the split, the name and the texts of each."""
    made: Made = []
    for number in numbers:
        split, name = split_of(number, count), f"{number:06}.jpg"
        random = np.random.default_rng([order.seed, number])
        if order.kind == "pages":
            pixels, truth = _page(order, split, random)
            texts = [row.split(",", 8)[8] for row in truth]
            labels = order.folder / split / "labels" / f"gt_{number:06}.txt"
            labels.write_text("".join(f"{row}\n" for row in truth), "utf-8")
        elif order.kind == "digits":
            ink, text = write_number(random, split)
            pixels, texts = as_jpeg(put_on_paper(ink, random), random), [text]
        else:
            pixels, text = _line(order, split, random)
            texts = [text]
        (order.folder / split / "images" / name).write_bytes(pixels)
        made.append((split, name, texts))
    return made


def _line(order: Order, split: Split, random: np.random.Generator) -> tuple[bytes, str]:
    face = pick_face(order.fonts[split], random)
    vertical = bool(random.random() < order.vertical)
    text, other = (order_text(order, face, random) for _ in range(2))
    return print_line(text, face, random, vertical=vertical, neighbour=other), text


def _page(order: Order, split: Split, random: np.random.Generator) -> tuple[bytes, list[str]]:
    face = pick_face(order.fonts[split], random)
    vertical = bool(random.random() < order.vertical)
    return print_page(face, lambda longest: order_text(order, face, random, longest), random, vertical=vertical)


def pick_face(faces: Sequence[Typeface], random: np.random.Generator) -> Typeface:
    """Each family is as likely as the others, however many weights it has, up to four."""
    members = Counter(face.family for face in faces)
    chances = np.cumsum([min(4, members[face.family]) / members[face.family] for face in faces])
    return faces[int(np.searchsorted(chances, random.random() * chances[-1], side="right"))]


def order_text(order: Order, face: Typeface, random: np.random.Generator, longest: int | None = None) -> str:
    """A text that the font can write; what it lacks is left out where none is found. Never empty."""
    text = ""
    for _ in range(TRIES):
        most = longest or LONGEST[order.language]
        if order.texts:
            text = own_phrase(order.texts, random, longest=most)
        else:
            text = phrase(order.language, random, longest=most)
        if text and face.has(text):
            return text
    return "".join(c for c in text if face.has(c)).strip() or "0"
