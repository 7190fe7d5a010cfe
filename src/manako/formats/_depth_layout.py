"""Which depth map belongs to which image: by their names, once all words that say what they are are left out.

image/a.jpg              depth/a.png                       and the same below train, val, test, or above them
rgb_00045.jpg            sync_depth_00045.png              NYU
frame-000000.color.png   frame-000000.depth.png            7-Scenes
DATE/DRIVE/image_02/data/N.png   train/DRIVE/proj_depth/groundtruth/image_02/N.png   KITTI
x.png                    x_depth.npy, x_depth_mask.npy     DIODE
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from manako.errors import DataError
from manako.formats._depth_file import DEPTH_SUFFIXES
from manako.formats.folders import SPLIT_NAMES
from manako.paths import IMAGE_SUFFIXES, is_hidden
from manako.types import Split

DEPTH_FOLDERS = {
    "depth",
    "depths",
    "depth_map",
    "depth_maps",
    "depthmap",
    "gt_depth",
    "proj_depth",
    "groundtruth_depth",
}
IMAGE_FOLDERS = {"image", "images", "img", "imgs", "rgb", "color", "colour", "colors", "data", "groundtruth"}
_KITTI = {"proj_depth", "groundtruth_depth"}
_OTHER = {"velodyne_raw", "normal", "normals"}  # further maps of the same data sets
_SAYS_DEPTH = re.compile(r"(?:^|[_.-])depth(?:$|[_.-])", re.IGNORECASE)
_SAYS_IMAGE = re.compile(r"(?:^|[_.-])(?:rgb|colou?r)(?:$|[_.-])", re.IGNORECASE)
_WORDS = re.compile(r"(?:^|[_.-])(?:sync|groundtruth|depth|rgb|colou?r|image|img)(?=$|[_.-])", re.IGNORECASE)
_DATE = re.compile(r"\d{4}_\d\d_\d\d")

Key = tuple[str, ...]


@dataclass
class Found:
    """Files by split and key, names relative to the root."""

    images: dict[tuple[Split | None, Key], str] = field(default_factory=dict)
    depths: dict[tuple[Split | None, Key], str] = field(default_factory=dict)
    masks: dict[tuple[Split | None, Key], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """Names relative to the root. scene: the folder that the pictures of one recording share."""

    image: str
    depth: str
    mask: str | None
    split: Split | None
    scene: str


def search(root: Path, *, each: int | None = None) -> Found:
    """All files below `root`; of each folder the first `each`, by name."""
    found = Found()
    for name in _files(root, "", each):
        parts = PurePosixPath(name).parts
        suffix, stem = PurePosixPath(name).suffix.lower(), PurePosixPath(name).stem
        folders = [part.lower() for part in parts[:-1]]
        if _OTHER & set(folders):
            continue
        place = _split(folders), _key(parts)
        if suffix == ".npy" and stem.lower().endswith("_mask"):
            found.masks[place[0], _key((*parts[:-1], stem[:-5] + suffix))] = name
        elif suffix in DEPTH_SUFFIXES and _is_depth(folders, stem):
            known = found.depths.get(place)
            if known is None or _rank(suffix) < _rank(PurePosixPath(known).suffix.lower()):
                found.depths[place] = name
        elif suffix in IMAGE_SUFFIXES:
            found.images.setdefault(place, name)
    return found


def pairs(found: Found) -> Iterator[Pair]:
    """A depth map whose image has no split of its own (KITTI's raw drives) brings the split along."""
    for (split, key), depth in found.depths.items():
        image = found.images.get((split, key)) or found.images.get((None, key))
        if image is not None:
            mask = found.masks.get((split, key))
            yield Pair(image, depth, mask, split, "/".join(key[:-1]))


def is_kitti(depth: str) -> bool:
    return bool(_KITTI & {part.lower() for part in PurePosixPath(depth).parts[:-1]})


def depth_name(image: str) -> str:
    """Where the depth of `image` is written so that `pairs` finds it."""
    path = PurePosixPath(image).with_suffix(".png")
    for index, part in enumerate(path.parts[:-1]):
        if part.lower() in IMAGE_FOLDERS:
            return PurePosixPath(*path.parts[:index], "depth", *path.parts[index + 1 :]).as_posix()
    return PurePosixPath("depth", *path.parts).as_posix()


def _rank(suffix: str) -> int:
    return DEPTH_SUFFIXES.index(suffix)


def _is_depth(folders: list[str], stem: str) -> bool:
    """The folder's word is worth more: depth/rgb_1.png is named like its image."""
    if DEPTH_FOLDERS & set(folders):
        return True
    return bool(_SAYS_DEPTH.search(stem)) and not _SAYS_IMAGE.search(stem)


def _split(folders: list[str]) -> Split | None:
    return next((SPLIT_NAMES[name] for name in folders if name in SPLIT_NAMES), None)


def _key(parts: tuple[str, ...]) -> Key:
    kept = [
        part
        for part in parts[:-1]
        if part.lower() not in DEPTH_FOLDERS | IMAGE_FOLDERS | set(SPLIT_NAMES) and not _DATE.fullmatch(part)
    ]
    return (*kept, _WORDS.sub("", PurePosixPath(parts[-1]).stem).strip("_.-"))


def _files(root: Path, below: str, each: int | None) -> Iterator[str]:
    """Links to folders may go round in a circle: they are not followed."""
    try:
        with os.scandir(root / below) as entries:
            listed = sorted((e for e in entries if not is_hidden(e.name)), key=lambda e: e.name)
    except OSError as error:
        raise DataError("paths.unreadable_folder", folder=root / below, reason=error.strerror) from error
    yield from (f"{below}{e.name}" for e in [e for e in listed if e.is_file()][:each])
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(root, f"{below}{entry.name}/", each)
