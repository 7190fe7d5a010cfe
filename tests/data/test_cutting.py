"""Lines cut out of pages: the pixels of the region, upright, with its text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manako.api import convert
from manako.errors import DataError
from manako.formats import read_dataset
from manako.types import TextLine


def page(folder: Path, rows: list[str]) -> Path:
    """Left half black, right half white within 10..50 x 10..30; black above and white below within 60..70 x 10..60."""
    pixels = np.full((80, 100, 3), 128, np.uint8)
    pixels[10:30, 10:30], pixels[10:30, 30:50] = 0, 255
    pixels[10:35, 60:70], pixels[35:60, 60:70] = 0, 255
    folder.mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "a.png")
    (folder / "gt_a.txt").write_text("\n".join(rows), "utf-8")
    return folder


ROWS = [
    "10,10,50,10,50,30,10,30,Left, right",
    "50,30,10,30,10,10,50,10,upside down",
    "60,10,70,10,70,60,60,60,縦書き",
    "0,0,9,0,9,9,0,9,###",
]


def test_lines_are_upright_with_their_texts(tmp_path: Path) -> None:
    found = convert(page(tmp_path / "data" / "train", ROWS).parent, tmp_path / "out", to="text_lines")
    assert (found.images, dict(found.lost), found.complete) == (3, {"unread": 1}, True)
    lines = read_dataset(tmp_path / "out")
    assert lines.task == "ocr" and {s.split for s in lines.samples} == {"train"}
    said = {}
    for sample in lines.samples:
        assert isinstance(sample.target, TextLine)
        pixels = np.asarray(Image.open(sample.image).convert("L")).astype(float)
        half = pixels.shape[1] // 2
        said[sample.target.text(lines.classes)] = (
            pixels.shape,
            pixels[:, : half - 1].mean(),
            pixels[:, half + 1 :].mean(),
        )
    assert said["Left, right"] == ((20, 40), 0, 255)
    assert said["upside down"] == ((20, 40), 255, 0)  # begins at its first corner
    assert said["縦書き"][0] == (10, 50) and said["縦書き"][1] < 10 < 245 < said["縦書き"][2]


def test_nothing_is_left_where_there_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no region has a text"):
        convert(page(tmp_path / "p", ["10,10,50,10,50,30,10,30,###"]), tmp_path / "out", to="text_lines")
    assert not (tmp_path / "out").exists()


def test_regions_go_from_format_to_format(tmp_path: Path) -> None:
    convert(page(tmp_path / "p", ROWS), tmp_path / "out", to="icdar")
    before, after = (read_dataset(tmp_path / name).samples[0].target for name in ("p", "out"))
    assert after.texts == before.texts == (*(row.split(",", 8)[8] for row in ROWS[:3]), None)  # type: ignore[union-attr]
