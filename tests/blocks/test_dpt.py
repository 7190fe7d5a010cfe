"""DPT: transformers' own answer, from transformers' own files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from manako.models import create_model
from manako.models.dpt import Dpt

transformers = pytest.importorskip("transformers")
SMALL = {"width": 48, "layers": 4, "heads": 3, "decoder": 16}


def published() -> torch.nn.Module:
    """A network made by the library from a configuration like the published one, only smaller."""
    torch.manual_seed(4)
    config = transformers.DPTConfig(
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=192,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[12, 24, 48, 48],
        fusion_hidden_size=16,
    )
    network: torch.nn.Module = transformers.DPTForDepthEstimation(config).eval()
    torch.nn.init.constant_(network.head.head[4].bias, 3.0)  # away from 0, where the two rectifiers differ
    torch.nn.init.normal_(network.dpt.embeddings.position_embeddings)
    return network


@torch.no_grad()
@pytest.mark.parametrize("side", [384, 96])  # the table's own size, and another one
def test_the_librarys_weights_give_the_librarys_answer(tmp_path: Path, side: int) -> None:
    library, images = published(), torch.rand(1, 3, side, side)
    save_file(library.state_dict(), tmp_path / "model.safetensors")
    mine = create_model(
        "dpt_large", task="depth", classes=0, channels=3, imgsz=side, weights=str(tmp_path), options=SMALL
    )
    assert isinstance(mine, Dpt) and mine.eval().pretrained
    scale, shift = mine.line().tolist()
    depth = 1 / (scale * library(images).predicted_depth + shift)
    wanted = torch.nn.functional.avg_pool2d(depth[:, None], 2)[:, 0]  # bilinear to half
    torch.testing.assert_close(mine(images)["depth"], wanted, rtol=1e-4, atol=1e-5)
    wide = mine(torch.rand(2, 3, 64, 96))["depth"]  # the library takes squares only
    assert wide.shape == (2, 32, 48) and wide.isfinite().all()


def test_without_a_connection_a_note_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("manako.blocks.hub_weights.reachable", lambda url: False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    made = create_model("dpt_large", task="depth", classes=0, channels=3, imgsz=64, weights="auto", options=SMALL)
    assert not made.pretrained and made.notes[0][0] == "weights.offline"
