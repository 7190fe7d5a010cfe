"""Depth Anything: transformers' own answer, from transformers' own files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from manako.errors import ModelFileError
from manako.models import create_model
from manako.models.depth_anything import DepthAnything

transformers = pytest.importorskip("transformers")
SMALL = {"width": 48, "layers": 4, "heads": 3}


def published(kind: str) -> torch.nn.Module:
    """A network made by the library from a configuration like the published one, only smaller."""
    torch.manual_seed(4)
    backbone = transformers.Dinov2Config(
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=3,
        image_size=518,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=48,
        neck_hidden_sizes=[6, 12, 24, 48],
        depth_estimation_type=kind,
        max_depth=20 if kind == "metric" else 1,
    )
    network: torch.nn.Module = transformers.DepthAnythingForDepthEstimation(config).eval()
    return network


def model(weights: str, **options: int) -> DepthAnything:
    made = create_model(
        "depth_anything_v2_small",
        task="depth",
        classes=0,
        channels=3,
        imgsz=84,
        weights=weights,
        options=SMALL | options,
    )
    assert isinstance(made, DepthAnything)
    return made.eval()


@torch.no_grad()
def test_the_librarys_weights_give_the_librarys_answer(tmp_path: Path) -> None:
    images = torch.rand(2, 3, 56, 84)  # multiples of 14: nothing is resized
    library = published("metric")
    save_file(library.state_dict(), tmp_path / "model.safetensors")
    mine = model(str(tmp_path), farthest=20)
    assert mine.pretrained
    wanted = torch.nn.functional.avg_pool2d(library(images).predicted_depth[:, None], 2)[:, 0]  # bilinear to half
    torch.testing.assert_close(mine(images)["depth"], wanted)
    relative = published("relative")
    torch.nn.init.constant_(relative.head.conv3.bias, 3.0)  # away from 0, where the two rectifiers differ
    save_file(relative.state_dict(), tmp_path / "model.safetensors")
    mine = model(str(tmp_path / "model.safetensors"))
    scale, shift = mine.line().tolist()
    inverse = torch.nn.functional.avg_pool2d(1 / (scale * relative(images).predicted_depth + shift)[:, None], 2)[:, 0]
    torch.testing.assert_close(mine(images)["depth"], inverse, rtol=1e-4, atol=1e-5)


def test_other_sizes_are_refused_by_name(tmp_path: Path) -> None:
    save_file(published("relative").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError):
        create_model(
            "depth_anything_v2_small",
            task="depth",
            classes=0,
            channels=3,
            imgsz=84,
            weights=str(tmp_path / "model.safetensors"),
            options=SMALL | {"width": 96},
        )


def test_without_a_connection_a_note_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("manako.blocks.hub_weights.reachable", lambda url: False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    made = model("auto")
    assert not made.pretrained and made.notes[0][0] == "weights.offline"
