"""Decode and resize: Manako's scaled decode against plain Pillow, both in one run, alternating.

    python benchmarks/decode.py [--repeats 9] [--json]

Makes JPEG photographs of several sizes (generated texture, quality 90), brings each to 224 x 224 (crop 0.875) with
`Preprocess.open` and with `Image.open(...).convert("RGB").resize(...)`, and says how much faster and how close the
pixels are. The claim is at least 3 times at 12 megapixels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from manako.images import Preprocess

SIZES = ((480, 640), (1200, 1600), (3000, 4000))
PREPROCESS = Preprocess(height=224, width=224, crop_fraction=0.875)
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def photograph(height: int, width: int, seed: int = 0) -> Image.Image:
    """Texture at every scale, as photographs have: noise of several widths summed, fine grain on top."""
    random = np.random.default_rng(seed)
    total = np.full((height, width, 3), 128, np.float32)
    for cells in (4, 16, 64, 256, 1024):
        rough = random.normal(0, 40 / cells**0.25, (min(height, cells * 3 // 4), min(width, cells), 3)).astype(
            np.float32
        )
        for channel in range(3):
            layer = Image.fromarray(rough[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            total[..., channel] += np.asarray(layer)
    total += random.normal(0, 3, total.shape).astype(np.float32)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def plain(path: Path) -> Pixels:
    """The common way: decode everything, then crop the centre and resize."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    side = min(image.size) * PREPROCESS.crop_fraction
    left, top = (image.width - side) / 2, (image.height - side) / 2
    size = (PREPROCESS.width, PREPROCESS.height)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, (left, top, left + side, top + side)))


def scaled(path: Path) -> Pixels:
    return PREPROCESS.open(path)[0]


def compare(path: Path, repeats: int) -> dict[str, float]:
    """Fastest of `repeats` in milliseconds for both, taken in turn; difference of the pixels in grey levels."""
    seconds: dict[Callable[[Path], Pixels], float] = {}
    for _ in range(repeats):
        for way in (plain, scaled):
            start = time.perf_counter()
            way(path)
            seconds[way] = min(seconds.get(way, np.inf), time.perf_counter() - start)
    difference = np.abs(plain(path).astype(float) - scaled(path))
    return {
        "plain_ms": 1000 * seconds[plain],
        "manako_ms": 1000 * seconds[scaled],
        "speed_up": seconds[plain] / seconds[scaled],
        "mean_difference": float(difference.mean()),
        "largest_difference": float(difference.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for height, width in SIZES:
            path = Path(folder) / f"{width}x{height}.jpg"
            photograph(height, width).save(path, quality=90)
            results[path.stem] = compare(path, arguments.repeats)
    if arguments.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        print(f"{name:>10}  " + "  ".join(f"{key} {value:.2f}" for key, value in result.items()))


if __name__ == "__main__":
    main()
