"""How long an A4 page at 200 dots an inch takes to be found and read, and whether memory stays flat over many pages.

    manako export ppocr --out reader.onnx && manako export ppocr_finder --out finder.onnx
    taskset -c 0,1 python benchmarks/ocr_page.py --reader reader.onnx --finder finder.onnx [--pages 20]

The page (1654 x 2339 pixels) has a heading, two columns of 20 lines and a table of 6 rows with 3 cells; what is on it
is known. PyTorch is not imported for exported models. Prints one JSON object: seconds a page (median, least, most),
the part of the lines read exactly and but for spaces and width of characters, peak memory after the first pages and at
the end, in MiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from itertools import repeat

import numpy as np

from manako.api import load
from manako.metrics.text import normalised
from manako.runtime.pages import PagePredictor
from manako.samples.text_pages import TextPage, Written, draw_page
from manako.types import TextRegions

WIDTH, HEIGHT = 1654, 2339


def a4_page() -> TextPage:
    lines = [Written(150, 200, "Quarterly report 2026", 60)]
    for k in range(20):
        lines.append(Written(150, 320 + 60 * k, f"Left column line {k} with some words", 28))
        lines.append(Written(900, 320 + 60 * k, f"Right column {k}: 東京都千代田区の駅", 28))
    for k in range(6):
        cells = ((150, f"Item {k}"), (700, f"{k + 1}00 yen"), (1200, f"{k}.5 %"))
        lines += [Written(left, 1760 + 60 * k, text, 28) for left, text in cells]
    return draw_page(lines, width=WIDTH, height=HEIGHT)


def memory() -> float:
    """Peak of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def shares(page: TextRegions, truth: list[str]) -> tuple[float, float]:
    read = [text or "" for text in page.texts or ()]
    plain = {normalised(text).replace(" ", "") for text in read}
    exact = sum(text in set(read) for text in truth) / len(truth)
    return exact, sum(normalised(text).replace(" ", "") in plain for text in truth) / len(truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", default="ppocr")
    parser.add_argument("--finder", default="ppocr_finder")
    parser.add_argument("--pages", type=int, default=10)
    given = parser.parse_args()
    predictor = PagePredictor(load(given.reader, device="cpu"), load(given.finder, device="cpu"))
    page, seconds, early, found = a4_page(), [], 0.0, None
    began = time.perf_counter()
    for number, result in enumerate(predictor.predict(repeat(page.image, given.pages + 1))):
        seconds.append(time.perf_counter() - began)
        assert isinstance(result.prediction, TextRegions)
        found = result.prediction
        if number == min(5, given.pages):
            early = memory()
        began = time.perf_counter()
    assert found is not None
    exact, plain = shares(found, page.texts)
    timed = seconds[1:]  # the first one warms up
    record = {
        "seconds": {"median": float(np.median(timed)), "least": min(timed), "most": max(timed)},
        "pages": len(timed),
        "lines": len(page.texts),
        "found": len(found),
        "exact": exact,
        "normalised": plain,
        "memory_early_mib": early,
        "memory_mib": memory(),
        "torch": "torch" in sys.modules,
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
