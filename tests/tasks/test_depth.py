"""Depth: scores against formulas, maps that find their way back, generated rooms, clouds, losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from manako.errors import ConfigError, UsageError
from manako.images import Preprocess
from manako.metrics.depth import ALIGNMENTS, ERRORS, align, measure_depth
from manako.runtime.depth_files import with_depth_files
from manako.runtime.point_cloud import Intrinsics, cut_out, foreground, points_of, write_point_cloud
from manako.runtime.predictor import Result
from manako.samples.rooms import FOCAL, HEIGHT, WIDTH, room
from manako.tasks.depth import TASK
from manako.training.augment import LEVELS, crop_maps, draws, pixel_maps
from manako.training.targets.depth import DepthTargets, collate
from manako.types import Depth, Frame

POSITIVE = st.floats(0.125, 50, width=32)
PAIRS = arrays(np.float32, (2, 30), elements=POSITIVE)


def errors(estimate: np.ndarray, truth: np.ndarray) -> dict[tuple[str, str], float]:
    found = measure_depth(np.atleast_2d(estimate), np.atleast_2d(truth)).errors
    return {(how, error): found[i, j] for i, how in enumerate(ALIGNMENTS) for j, error in enumerate(ERRORS)}


def test_scores_of_a_known_case() -> None:
    truth = np.array([1.0, 2.0, 4.0, 8.0])
    found = errors(truth * np.array([1.0, 1.2, 1.3, 0.5]), truth)
    assert found["none", "abs_rel"] == pytest.approx((0 + 0.2 + 0.3 + 0.5) / 4)
    assert found["none", "rmse"] == pytest.approx(np.sqrt((0 + 0.4**2 + 1.2**2 + 4.0**2) / 4))
    assert found["none", "log10"] == pytest.approx(np.log10([1.2, 1.3, 2.0]).sum() / 4)
    assert [found["none", f"delta{k}"] for k in (1, 2, 3)] == [0.5, 0.75, 0.75]  # 1.3 < 1.5625; 2 > 1.953


def test_each_alignment_forgives_what_it_says() -> None:
    truth = np.array([1.0, 2.0, 4.0, 8.0, 9.0])
    scaled, affine = errors(3 * truth, truth), errors(0.5 * truth + 2, truth)
    assert scaled["none", "delta1"] == 0 and scaled["median", "delta1"] == 1
    assert scaled["median", "abs_rel"] == pytest.approx(0, abs=1e-12)
    assert affine["median", "abs_rel"] > 0.1 and affine["least_squares", "abs_rel"] == pytest.approx(0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_least_squares_is_numpys(pair: np.ndarray) -> None:
    estimate, truth = pair.astype(np.float64)
    if np.ptp(estimate) < 0.5:
        return
    columns = np.stack([estimate, np.ones_like(estimate)], 1)
    wanted = np.maximum(columns @ np.linalg.lstsq(columns, truth, rcond=None)[0], 1e-3)
    np.testing.assert_allclose(align(estimate, truth, "least_squares"), wanted, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(PAIRS, arrays(np.bool_, 30))
def test_holes_count_for_nothing(pair: np.ndarray, known: np.ndarray) -> None:
    estimate, truth = pair
    found = measure_depth(estimate[None], np.where(known, truth, np.nan)[None])
    assert found.known == known.mean() and found.distance[0].sum() == known.sum()
    if known.any():
        np.testing.assert_array_equal(found.errors, measure_depth(estimate[known][None], truth[known][None]).errors)
    else:
        assert np.isnan(found.errors).all()


def test_an_evaluation_names_its_alignment() -> None:
    truth = np.linspace(1, 4, 12, dtype=np.float32).reshape(3, 4)
    maps = [Depth(truth * k) for k in (1.0, 1.1, 1.3)]
    found = TASK.evaluate(maps, [Depth(truth)] * 3, ())
    assert found.main.name == "delta1" and found.main.value == pytest.approx(2 / 3)
    assert found.main.low <= found.main.value <= found.main.high
    assert found.metrics["abs_rel"] == pytest.approx(0.4 / 3, rel=1e-5) and found.metrics["abs_rel_median"] < 1e-6
    assert found.metrics["abs_rel_low"] < found.metrics["abs_rel"] < found.metrics["abs_rel_high"]
    assert found.worst == (2,)
    relative = TASK.evaluate([Depth(truth * 7)], [Depth(truth, "relative")], ())
    assert relative.main.name == "delta1_median" and relative.main.value == 1
    assert "abs_rel" not in relative.metrics
    nothing = Depth(np.full((3, 4), np.nan, np.float32))
    assert TASK.evaluate([maps[0]] * 2, [maps[0], nothing], ()).main.value == 1


def ramp(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A plane seen by a camera is no ramp, but bilinear means of a ramp are exact."""
    return (2 + 0.01 * x + 0.02 * y).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 120), st.integers(20, 120), st.sampled_from([(64, 96), (96, 96), (96, 64)]))
def test_a_map_comes_back_to_the_images_pixels(height: int, width: int, size: tuple[int, int]) -> None:
    _, frame = Preprocess(*size, fit="letterbox").apply(Image.new("RGB", (width, height)))
    cells = [2 * (np.arange(side // 2) + 0.5) for side in size]
    x, y = (cells[1] - frame.left) / frame.scale_x, (cells[0] - frame.top) / frame.scale_y
    output = ramp(x, y[:, None])[None]
    found = TASK.decode({"depth": output}, [frame], {"scale": 2.0, "metric": 1.0})[0].depth / 2
    assert found.shape == (height, width)
    inner = (slice(height // 4, -(height // 4)), slice(width // 4, -(width // 4)))
    wanted = ramp(np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5)
    np.testing.assert_allclose(found[inner], wanted[inner], atol=5e-3)  # half a pixel of the slope


@settings(max_examples=25, deadline=None)
@given(st.integers(30, 90), st.integers(30, 90), st.integers(0, 10**6))
def test_targets_follow_the_image(height: int, width: int, seed: int) -> None:
    """Under crop, turn, mirror and zoom, a cell's depth is that of the place it shows, nearer as it is enlarged."""
    truth = Depth(ramp(np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5))
    old, new = (80, 112), (64, 96)
    _, frame = Preprocess(*old, fit="letterbox").apply(Image.new("RGB", (width, height)))
    targets = collate([truth], [frame], classes=0, size=old)
    assert targets.depth.shape == (1, 40, 56) and targets.mass == 1
    chance = draws(1, torch.Generator().manual_seed(seed))
    matrix = pixel_maps(crop_maps(chance, LEVELS["medium"], old=old, new=new), old=old, new=new)
    moved = targets.warp(matrix, new).depth[0].numpy()
    assert moved.shape == (32, 48)
    whole = matrix[0].double().numpy()
    zoom = np.sqrt(abs(np.linalg.det(whole[:, :2])) / (new[0] * new[1] / (old[0] * old[1])))
    centres = np.stack(np.meshgrid(2 * np.arange(48) + 1, 2 * np.arange(32) + 1), -1)
    place = (centres - whole[:, 2]) @ np.linalg.inv(whole[:, :2]).T
    wanted = ramp((place[..., 0] - frame.left) / frame.scale_x, (place[..., 1] - frame.top) / frame.scale_y) / zoom
    known = np.isfinite(moved)
    # Nearest neighbours twice: off by up to half a pixel of the image, then by up to half a cell of two.
    across, down = 0.55 + 1.1 / frame.scale_x, 0.55 + 1.1 / frame.scale_y
    assert np.abs(moved - wanted)[known].max(initial=0) <= (0.01 * across + 0.02 * down) / zoom
    margin = ((place - (frame.left, frame.top)) / (frame.scale_x, frame.scale_y) - 4 > 0).all(-1)
    margin &= ((place - (frame.left, frame.top)) / (frame.scale_x, frame.scale_y) + 8 < (width, height)).all(-1)
    assert known[margin].all()


def test_a_target_of_two_images_is_that_of_the_clearer_one() -> None:
    targets = DepthTargets(torch.tensor([[[1.0]], [[2.0]]]), (2, 2))
    mixed = targets.mix(torch.tensor([1, 0]), torch.tensor([0.9, 0.2]))
    assert mixed.depth.flatten().tolist() == [1.0, 1.0]


def test_rooms_are_planes() -> None:
    """Seen by a pinhole camera, 1 / depth of a plane is linear in the image; distance along the ray is not."""
    random = np.random.default_rng(5)
    for _ in range(5):
        _, depth = room(random)
        bend = np.abs(np.diff(1 / depth.astype(np.float64), n=2, axis=1))
        flat = np.nanmean(bend < 1e-6)
        assert flat > 0.85, "all but edges"
        assert 0.2 < np.nanmin(depth) < np.nanmax(depth) < 12


def test_points_lie_where_the_camera_saw_them(tmp_path: Path) -> None:
    image, depth = room(np.random.default_rng(8))
    camera = Intrinsics(FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2)
    points = points_of(depth, camera)
    known = np.isfinite(depth)
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    np.testing.assert_allclose((points[..., 0] / points[..., 2] * FOCAL + WIDTH / 2)[known], columns[known], atol=1e-3)
    np.testing.assert_allclose((points[..., 1] / points[..., 2] * FOCAL + HEIGHT / 2)[known], rows[known], atol=1e-3)
    count = write_point_cloud(tmp_path / "room.ply", Depth(depth), Image.fromarray(image), camera, edges=True)
    head, body = (tmp_path / "room.ply").read_bytes().split(b"end_header\n", 1)
    assert f"element vertex {count}\n".encode() in head and count == known.sum() and len(body) == 15 * count
    first = np.frombuffer(body[:12], "<f4"), np.frombuffer(body[12:15], np.uint8)
    np.testing.assert_array_equal(first[0], points[known][0])
    np.testing.assert_array_equal(first[1], image[known][0])
    fewer = write_point_cloud(tmp_path / "room.ply", Depth(depth), Image.fromarray(image), camera)
    assert 0.7 * count < fewer < count


def test_cameras_are_checked() -> None:
    assert Intrinsics.parse("500, 510,320,240") == Intrinsics(500, 510, 320, 240)
    wide = Intrinsics.assumed(200, 100, view=90)
    assert (wide.fx, wide.fy, wide.cx, wide.cy) == pytest.approx((100, 100, 100, 50))
    for wrong in ("", "1,2,3", "0,1,2,3", "nan,1,2,3", "a,b,c,d"):
        with pytest.raises(ConfigError):
            Intrinsics.parse(wrong)


def test_the_near_is_cut_out() -> None:
    depth = np.full((40, 60), 4.0, np.float32) + np.linspace(0, 1, 60, dtype=np.float32)
    depth[10:30, 20:40] = 1.2
    depth[0] = np.nan
    mask = foreground(Depth(depth))
    assert mask[10:30, 20:40].all() and mask.sum() == 400
    assert foreground(Depth(depth), 4.5).sum() > 1000 and not foreground(Depth(depth), 1.0).any()
    picture = cut_out(Image.new("RGB", (120, 80), (200, 0, 0)), Depth(depth))
    assert picture.mode == "RGBA" and picture.size == (120, 80) and np.asarray(picture)[..., 3].sum() == 255 * 1600


def test_the_loss_is_the_formula_and_forgets_the_unit_only_where_told() -> None:
    from manako.blocks.depth_loss import absolute, gradient, log_errors, scale_invariant
    from manako.models.depth_net import DepthNet

    random = np.random.default_rng(2)
    depth, truth = random.uniform(1, 4, (2, 2, 16, 24)).astype(np.float32)
    truth[0, 3:6, 4:9] = np.nan
    error, known = log_errors(torch.from_numpy(depth), torch.from_numpy(truth), metric=True)
    wanted = np.log(depth / truth)
    for i in range(2):
        e = wanted[i][np.isfinite(wanted[i])]
        assert float(absolute(error, known)[i]) == pytest.approx(np.abs(e).mean(), rel=1e-4)
        silog = np.sqrt((e**2).mean() - 0.85 * e.mean() ** 2)
        assert float(scale_invariant(error, known)[i]) == pytest.approx(silog, rel=1e-4)
        steps = [np.abs(wanted[i, s:] - wanted[i, :-s]) for s in (1, 2, 4, 8)]
        steps += [np.abs(wanted[i, :, s:] - wanted[i, :, :-s]) for s in (1, 2, 4, 8)]
        total = sum(np.nansum(step) for step in steps) / (8 * len(e))
        assert float(gradient(error, known)[i]) == pytest.approx(total, rel=1e-4)
    model = DepthNet(classes=0, channels=3, imgsz=64, width=4)
    metric = DepthTargets(torch.from_numpy(truth), (32, 48))
    relative = replace(metric, metric=False)
    one, three = ({"depth": k * torch.from_numpy(depth)} for k in (1, 3))
    assert float(model.loss(three, relative)) == pytest.approx(float(model.loss(one, relative)), rel=1e-4)
    assert float(model.loss(three, metric)) > 1.5 * float(model.loss(one, metric))
    nothing = replace(metric, depth=torch.full((2, 16, 24), torch.nan))
    outputs = model(torch.rand(2, 3, 32, 48))
    loss = model.loss(outputs, nothing)
    loss.backward()
    assert loss.detach() == 0 and nothing.mass == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_calibration_finds_the_factor() -> None:
    truth = Depth(np.linspace(1, 3, 64, dtype=np.float32).reshape(8, 8))
    outputs = {"depth": truth.depth[None] / 1.2}
    frames = [Frame(8, 8)]
    found = TASK.calibrate([(outputs, frames, [truth])] * 3)
    assert found == {"scale": pytest.approx(1.2, rel=1e-5), "metric": 1.0}
    assert TASK.same(TASK.decode(outputs, frames, found)[0], truth)
    unit = TASK.calibrate([(outputs, frames, [Depth(truth.depth, "relative")])])
    assert unit == {"scale": 1.0, "metric": 0.0} and TASK.decode(outputs, frames, unit)[0].unit == "relative"


def test_clouds_and_cut_outs_are_written_as_predictions_pass(tmp_path: Path) -> None:
    image, depth = room(np.random.default_rng(8))
    (tmp_path / "in").mkdir()
    Image.fromarray(image).save(tmp_path / "in" / "a.png")
    results = [Result(tmp_path / "in" / "a.png", "a", WIDTH, HEIGHT, Depth(depth)), Result("gone.png", "gone.png")]
    given: dict[str, Any] = {"task": "depth", "out": tmp_path / "out", "root": tmp_path / "in", "max_pixels": 10**6}
    passed = with_depth_files(results, clouds="assumed", cut_outs="2.5", **given)
    assert list(passed) == results
    with Image.open(tmp_path / "out" / "cut_outs" / "a.png.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture)[..., 3] == 255, depth < 2.5)
    assert (tmp_path / "out" / "clouds" / "a.png.ply").read_bytes().startswith(b"ply\n")
    assert len(list((tmp_path / "out").rglob("*.*"))) == 2
    for wrong in ({"task": "detection"}, {"out": None}, {"clouds": "1,2"}, {"cut_outs": "-1"}):
        with pytest.raises(UsageError):
            with_depth_files(results, **(given | {"clouds": "assumed", "cut_outs": "auto"} | wrong))
