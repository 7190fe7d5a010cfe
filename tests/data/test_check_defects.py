"""What `manako check` says of normal images, kinds of defects and their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from manako.doctor.data import check
from manako.samples.defects import write_defects


def test_kinds_are_counted_and_bad_masks_are_named(tmp_path: Path) -> None:
    write_defects(tmp_path, seed=1, count=40)
    masks = sorted((tmp_path / "ground_truth").rglob("*.png"))
    Image.new("L", (10, 10)).save(masks[0])
    masks[1].write_bytes(b"no image")
    Image.new("L", (64, 64)).save(masks[2])
    Image.fromarray(255 - np.asarray(Image.open(masks[3]))).save(masks[3])
    report = check(tmp_path)
    kinds = {"chip": {"test": 2}, "crack": {"test": 2}, "patch": {"test": 2}, "spot": {"test": 2}, "stain": {"test": 2}}
    assert report.counts == {"normal": {"train": 20, "test": 10}} | kinds
    found = {p.code: Path(str(p.facts["file"])) for p in report.problems if "file" in p.facts}
    wrong = ("mvtec.mask_size", "image.not_an_image", "check.empty_mask", "check.large_mask")
    assert found == dict(zip(wrong, masks[:4], strict=True))
    assert "normal" in report.text() and "10 x 10" in report.text()
