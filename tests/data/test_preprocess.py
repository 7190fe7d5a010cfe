"""The network's pixels: the same on every way in, close to the plain way, and mapped back exactly."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manako.errors import ConfigError, ImageError, ModelFileError
from manako.images import Preprocess, open_image

FITS = ("crop", "stretch", "letterbox")


def photograph(height: int, width: int) -> Image.Image:
    random = np.random.default_rng(height)
    total = np.full((height, width, 3), 128, np.float32)
    for cells in (4, 16, 64, 256):
        small = random.normal(0, 40 / cells**0.25, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            total[..., channel] += np.asarray(Image.fromarray(small[..., channel]).resize((width, height), 3))
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    photograph(1500, 2000).save(path, quality=90)
    return path


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_scaled_decode_is_close_to_the_plain_way(large: Path, fit: Any, channels: int) -> None:
    preprocess = Preprocess(height=224, width=224, fit=fit, channels=channels)
    fast, fast_frame = preprocess.open(large)
    plain, plain_frame = preprocess.apply(open_image(large))
    assert fast.shape == plain.shape == (224, 224, channels) and fast.dtype == np.uint8
    assert fast_frame == plain_frame
    difference = np.abs(fast.astype(float) - plain)
    assert difference.mean() < 0.6 and difference.max() <= 6


def test_crop_is_what_pillow_cuts_and_resizes(large: Path) -> None:
    """The oracle knows nothing of Preprocess: bring the short side to 240 with bicubic, cut the middle 210."""
    image = Image.open(large).convert("RGB")
    expected = np.asarray(image.resize((320, 240), Image.Resampling.BICUBIC), float)[15:225, 55:265]
    found, _ = Preprocess(height=210, width=210, crop_fraction=0.875).open(large)
    difference = np.abs(found - expected)
    assert difference.mean() < 0.6 and difference.max() <= 6


@pytest.mark.parametrize("fit", FITS)
def test_training_and_the_runtime_see_the_same_pixels(large: Path, fit: Any) -> None:
    """From a path, from bytes, in another process without PyTorch: equal, not close."""
    preprocess = Preprocess(height=96, width=64, fit=fit)
    pixels, frame = preprocess.open(large)
    again, same_frame = preprocess.open(large.read_bytes())
    assert np.array_equal(pixels, again) and frame == same_frame
    script = """
import sys
from pathlib import Path
sys.modules["torch"] = None
from manako.images import Preprocess
pixels, _ = Preprocess(height=96, width=64, fit=sys.argv[2]).open(Path(sys.argv[1]))
sys.stdout.buffer.write(pixels.tobytes())
"""
    done = subprocess.run([sys.executable, "-c", script, str(large), fit], capture_output=True, check=True)
    assert done.stdout == pixels.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(40, 300), st.integers(40, 300)),
    target=st.tuples(st.integers(64, 200), st.integers(64, 200)),
    fit=st.sampled_from(FITS),
    place=st.tuples(st.floats(0.3, 0.45), st.floats(0.3, 0.45)),
    extent=st.floats(0.1, 0.25),
)
def test_boxes_map_back(size: Any, target: Any, fit: Any, place: Any, extent: float) -> None:
    """The edges of a white box, found in the network's pixels by their half-height, mapped back: IoU with the truth."""
    height, width = size
    top, left = round(place[0] * height), round(place[1] * width)
    bottom, right = top + max(6, round(extent * height)), left + max(6, round(extent * width))
    values = np.zeros((height, width), np.uint8)
    values[top:bottom, left:right] = 255
    pixels, frame = Preprocess(height=target[0], width=target[1], fit=fit, channels=1).apply(Image.fromarray(values))
    row, column = frame.scale_y * (top + bottom) / 2 + frame.top, frame.scale_x * (left + right) / 2 + frame.left
    if not (0 <= row < target[0] and 0 <= column < target[1]):
        return
    margin_x, margin_y = left * frame.scale_x + frame.left, top * frame.scale_y + frame.top
    if margin_x < 3 or margin_y < 3 or right * frame.scale_x + frame.left > target[1] - 3:
        return
    if bottom * frame.scale_y + frame.top > target[0] - 3 or min(frame.scale_x, frame.scale_y) < 0.5:
        return
    # The area under a profile through the middle is the box's extent; its centre of mass the box's centre.
    across, down = pixels[int(row), :, 0].astype(float), pixels[:, int(column), 0].astype(float)
    if fit == "letterbox":
        across[: int(frame.left)] = across[round(frame.left + width * frame.scale_x) :] = 0
        down[: int(frame.top)] = down[round(frame.top + height * frame.scale_y) :] = 0
    edges = []
    for profile in (across, down):
        centre = np.average(np.arange(len(profile)) + 0.5, weights=profile)
        half = profile.sum() / 255 / 2
        edges.append((centre - half, centre + half))
    found = frame.restore(np.array([[edges[0][0], edges[1][0]], [edges[0][1], edges[1][1]]], np.float32))
    (x1, y1), (x2, y2) = found
    inner = max(0, min(x2, right) - max(x1, left)) * max(0, min(y2, bottom) - max(y1, top))
    union = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - inner
    # Bicubic and rounding move an edge by some hundredths of a pixel; small boxes feel it.
    assert inner / union >= (0.99 if min(right - left, bottom - top) > 30 else 0.93)


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    target=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    fit=st.sampled_from(FITS),
    crop=st.floats(0.1, 1),
    channels=st.sampled_from([1, 3]),
    grey=st.booleans(),
)
def test_any_size_to_any_size(size: Any, target: Any, fit: Any, crop: float, channels: int, grey: bool) -> None:
    image = Image.new("L" if grey else "RGB", size[::-1], "white")
    preprocess = Preprocess(*target, fit=fit, crop_fraction=crop if fit == "crop" else 1.0, channels=channels)
    pixels, frame = preprocess.apply(image)
    assert pixels.shape == (*target, channels) and (frame.height, frame.width) == size
    assert Preprocess.from_json(preprocess.as_json()) == preprocess
    if fit == "letterbox":
        assert set(np.unique(pixels)) <= {114, 255} and (pixels == 255).any()
    else:
        assert (pixels == 255).all()


def test_large_images_are_refused_here_too(large: Path) -> None:
    with pytest.raises(ImageError):
        Preprocess(height=8, width=8).open(large, max_pixels=1000)


GOOD = Preprocess(height=8, width=8).as_json()


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": 10**9},
        {"height": 8.0},
        {"height": True},
        {"width": "8"},
        {"fit": "Crop"},
        {"fit": ["crop"]},
        {"crop_fraction": float("nan")},
        {"crop_fraction": 0},
        {"crop_fraction": 2},
        {"crop_fraction": None},
        {"fit": "stretch", "crop_fraction": 0.5},
        {"channels": 4},
        {"channels": "3"},
        {"more": 1},
    ],
)
def test_a_strangers_model_file_cant_say_nonsense(change: dict[str, object]) -> None:
    with pytest.raises(ModelFileError) as caught:
        Preprocess.from_json(GOOD | change)
    assert str(caught.value)
    for value in (None, [], "crop", {}, {"height": 8}):
        with pytest.raises(ModelFileError):
            Preprocess.from_json(value)
    with pytest.raises(ConfigError):
        Preprocess(height=0, width=8)


def test_a_small_jpeg_is_decoded_whole() -> None:
    buffer = io.BytesIO()
    photograph(100, 100).save(buffer, "JPEG")
    pixels, _ = Preprocess(height=100, width=100, fit="stretch").open(buffer.getvalue())
    assert np.array_equal(pixels, np.asarray(open_image(buffer.getvalue())))
