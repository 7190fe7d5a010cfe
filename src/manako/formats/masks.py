"""Images with one mask each: a picture of the same size whose numbers or colours are classes.

    images/a.jpg         masks/a.png        ignore/a.png    and the same below train, val, test, or above them

Masks are indexed PNG, grey (the class's number; 0/1, 0/255), or coloured with a palette file (`_palette.py`).
`classes.txt` names the classes 0, 1, 2... Value 255 is ignored, but where 0 and 255 are all there is. Further folders
of masks hide pixels from learning and scores: `fov`, `roi`, `valid` where they are 0, `ignore` where they aren't.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image

from manako.console import progress
from manako.errors import ConfigError, DataError, ImageError, LabelError
from manako.formats._mask_coding import coding_of
from manako.formats._mask_file import Coding, MaskFile, Stored, look
from manako.formats._palette import NAMES, read_names, read_palette
from manako.formats.folders import SPLIT_NAMES
from manako.images import image_size
from manako.paths import IMAGE_SUFFIXES, atomic_write, find_images, is_hidden, leads_outside, printable
from manako.types import Dataset, Prediction, Problem, Sample, Segmentation, Skeleton, Split

TASKS = ("segmentation",)
WRITES = ("segmentation",)
PREFERENCE = 45  # over outlines in a label file beside them: masks are exact, and those may be boxes only
IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "annotations", "segmentations", "segmentation")
SHOWN = ("fov", "roi", "valid")  # 0 is left out of learning and scoring
HIDDEN = ("ignore",)  # what isn't 0 is left out
ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_L", "-mask")
MASK_SUFFIXES = (".png", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".jpg", ".jpeg")
_SHOWN_SAMPLES = 1000
_SHOWN_VALUES = 8


@dataclass(frozen=True)
class _Place:
    """One folder of images with that of its masks and those that hide pixels (`True`: where they aren't 0)."""

    split: Split | None
    images: Path
    masks: Path
    hides: tuple[tuple[Path, bool], ...] = ()


@dataclass
class _Found:
    """Images with their masks, and what was passed over."""

    pairs: list[tuple[_Place, Path, Path]] = field(default_factory=list)
    without_mask: list[str] = field(default_factory=list)
    without_image: list[str] = field(default_factory=list)
    links: int = 0


def recognise(path: Path) -> bool:
    return any(next(_mask_names(place.masks), None) for place in _places(_unwrapped(path))) if path.is_dir() else False


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """group_by: "folder" makes a group of each sub-folder of the images. Raises DataError, ConfigError."""
    if group_by not in (None, "folder"):
        raise ConfigError("folders.group_by", group_by=group_by)
    if not path.is_dir():
        raise DataError("data.unrecognised_file", data=path)
    root = _unwrapped(path)
    found = _pair_up(root)
    names, palette = read_names(root), read_palette(root)
    looks = _look_at(found.pairs, by_colour=bool(palette))
    stored = {i: one for i, one in enumerate(looks) if isinstance(one, Stored)}
    masks = {i: found.pairs[i][2] for i in stored}
    coding, classes, problems = coding_of(root, stored, masks, names=names, palette=palette)
    problems = [*_passed_over(root, found), *problems]
    samples = []
    for index, (place, image, mask) in enumerate(found.pairs):
        name = printable(image.relative_to(root).as_posix())
        one = looks[index]
        trouble = one if isinstance(one, LabelError) else _misfit(image, mask, one)
        if trouble is not None:
            problems.append(Problem(trouble.code, trouble.facts, "error", (name,)))
            continue
        hidden = tuple((file, where) for folder, where in place.hides if (file := _mask_of(image, place, folder)))
        group = printable(image.parent.relative_to(root).as_posix()) if group_by else None
        target = MaskFile(mask, coding, hidden)
        samples.append((index, Sample(name, image, target, group=group, split=place.split)))
    problems += _value_problems(samples, stored, coding)
    problems += _one_class(samples, stored, coding, root=root, classes=classes)
    return Dataset(root, "masks", task, classes, tuple(sample for _, sample in samples), tuple(problems))


def _unwrapped(path: Path) -> Path:
    """An archive often holds one folder that holds everything: go in."""
    for _ in range(3):
        names = _folders(path)
        if len(names) != 1 or names[0].lower() in (*SPLIT_NAMES, *IMAGES, *MASKS):
            break
        path = path / names[0]
    return path


def _places(root: Path) -> list[_Place]:
    """Where images and their masks lie: right in `root`, in its folders train, val, test, or in such below images."""
    found: list[_Place] = []
    names = _folders(root)
    for folder, split in [
        (root, None),
        *((root / n, SPLIT_NAMES[n.lower()]) for n in names if n.lower() in SPLIT_NAMES),
    ]:
        inner = {name.lower(): folder / name for name in _folders(folder)}
        images = next((inner[name] for name in IMAGES if name in inner), None)
        masks = next((inner[name] for name in MASKS if name in inner), None)
        if images is None or masks is None:
            continue
        hides = tuple((inner[name], name in HIDDEN) for name in (*SHOWN, *HIDDEN) if name in inner)
        parts = [name for name in _folders(images) if split is None and name.lower() in SPLIT_NAMES]
        if parts and len(parts) == len(_folders(images)):
            for name in parts:
                below = tuple((hide / name, where) for hide, where in hides)
                found.append(_Place(SPLIT_NAMES[name.lower()], images / name, masks / name, below))
        else:
            found.append(_Place(split, images, masks, hides))
    return found


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not is_hidden(e.name))
    except OSError as error:
        raise DataError("paths.unreadable_folder", folder=folder, reason=error.strerror) from error


def _mask_names(folder: Path) -> Iterator[Path]:
    return (
        (path for path in find_images([folder]) if path.suffix.lower() in MASK_SUFFIXES)
        if folder.is_dir()
        else iter(())
    )


def _pair_up(root: Path) -> _Found:
    found = _Found()
    for place in _places(root):
        used: set[Path] = set()
        for image in find_images([place.images]):
            mask = _mask_of(image, place, place.masks)
            if leads_outside(root, image) or (mask is not None and leads_outside(root, mask)):
                found.links += 1
            elif mask is None:
                found.without_mask.append(printable(image.relative_to(root).as_posix()))
            else:
                used.add(mask)
                found.pairs.append((place, image, mask))
        unused = (mask for mask in _mask_names(place.masks) if mask not in used)
        found.without_image += [printable(mask.relative_to(root).as_posix()) for mask in unused]
    if not found.pairs:
        raise DataError("masks.nothing", data=root, images=len(found.without_mask), masks=len(found.without_image))
    return found


def _mask_of(image: Path, place: _Place, folder: Path) -> Path | None:
    """The file of `folder` that belongs to the image: the same name below it, but for the suffix and some endings."""
    stem = folder / image.relative_to(place.images).with_suffix("")
    for ending in ("", *ENDINGS):
        for suffix in MASK_SUFFIXES:
            path = stem.with_name(f"{stem.name}{ending}{suffix}")
            if path.is_file():
                return path
    return None


def _look_at(pairs: Sequence[tuple[_Place, Path, Path]], *, by_colour: bool) -> list[Stored | LabelError]:
    """Every mask is opened once: what it holds decides which classes there are."""

    def one(pair: tuple[_Place, Path, Path]) -> Stored | LabelError:
        try:
            return look(pair[2], by_colour=by_colour)
        except LabelError as error:
            return error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(progress(pool.map(one, pairs), "check.bar", len(pairs)))


def _misfit(image: Path, mask: Path, stored: Stored) -> DataError | None:
    try:
        height, width = image_size(image)
    except ImageError as error:
        return error
    if (height, width) == (stored.height, stored.width):
        return None
    facts = {"width": stored.width, "height": stored.height, "image_width": width, "image_height": height}
    return LabelError("masks.size", file=mask, **facts)


def _passed_over(root: Path, found: _Found) -> Iterator[Problem]:
    for code, names in (("masks.no_mask", found.without_mask), ("masks.no_image", found.without_image)):
        if names:
            yield Problem(code, {"count": len(names), "first": names[0]}, samples=tuple(names[:_SHOWN_SAMPLES]))
    if found.links:
        yield Problem("folders.links", {"count": found.links, "folder": root})


def _value_problems(
    samples: Sequence[tuple[int, Sample]], stored: Mapping[int, Stored], coding: Coding
) -> Iterator[Problem]:
    """Values that are no class, and masks in which nothing, or nothing but the first class, is marked."""
    unknown: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    strange, empty, plain = [], [], []
    for index, sample in samples:
        one = stored[index]
        known = coding.known(one)
        rest = {value: count for value, count in one.counts.items() if value not in known and not _ignored(value, one)}
        used = {known[value] for value in one.counts if value in known}
        unknown[one.coloured].update(rest)
        strange += [sample.id] * bool(rest)
        empty += [sample.id] * (not used)
        plain += [sample.id] * (used == {0})
    for coloured, values in unknown.items():
        if values:
            told = [f"{_shown(v, coloured)} ({count} px)" for v, count in values.most_common(_SHOWN_VALUES)]
            told += ["..."] * (len(values) > len(told))
            facts = {"values": ", ".join(told), "count": len(strange)}
            yield Problem("masks.unknown_values", facts, samples=tuple(strange[:_SHOWN_SAMPLES]))
    if empty:
        yield Problem("masks.all_ignored", {"count": len(empty), "first": empty[0]}, samples=tuple(empty))
    if plain:
        yield Problem("masks.empty", {"count": len(plain), "first": plain[0]}, "note", tuple(plain[:_SHOWN_SAMPLES]))


def _one_class(
    samples: Sequence[tuple[int, Sample]],
    stored: Mapping[int, Stored],
    coding: Coding,
    *,
    root: Path,
    classes: Sequence[str],
) -> Iterator[Problem]:
    """All training masks hold the same class: training refuses them (`doctor.objects.nothing_to_learn`)."""
    training = [stored[index] for index, sample in samples if sample.split in (None, "train")]
    used = {coding.known(one)[value] for one in training for value in one.counts if value in coding.known(one)}
    if len(used) == 1:
        facts = {"data": root, "count": len(training), "name": classes[used.pop()]}
        yield Problem("masks.one_class", facts, "error")


def _ignored(value: int, stored: Stored) -> bool:
    return not stored.coloured and value == 255


def _shown(value: int, coloured: bool) -> str:
    return f"#{value:06x}" if coloured else str(value)


class Writer:
    """Indexed PNG masks in `masks/`, shown in the colours of the classes, and `classes.txt`."""

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder, self._classes = Path(folder), tuple(classes)

    def add(self, image: str, width: int, height: int, prediction: Prediction) -> None:
        if not isinstance(prediction, Segmentation):
            raise TypeError(f"masks hold a Segmentation, not {type(prediction).__name__}")
        path = self._folder / "masks" / PurePosixPath(image).with_suffix(".png")
        atomic_write(path, indexed_png(prediction))

    def finish(self) -> Path:
        atomic_write(self._folder / NAMES, "".join(f"{name}\n" for name in self._classes))
        return self._folder / "masks"


def indexed_png(truth: Segmentation) -> bytes:
    """The class ids as an indexed PNG in the colours of `mask_colours`."""
    from manako.figures.regions import mask_colours

    height, width = truth.class_id.shape
    image = Image.frombytes("P", (width, height), truth.class_id.tobytes())  # numbers in a list would take gigabytes
    image.putpalette(mask_colours().ravel().tolist())
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


assert set(MASK_SUFFIXES) <= IMAGE_SUFFIXES
