"""ViTPose: transformers' own maps, from transformers' own files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from manako.models import create_model
from manako.models.vitpose import SHARP, Vitpose

transformers = pytest.importorskip("transformers")
SMALL = {"width": 48, "layers": 2, "heads": 3}


def published(simple: bool) -> torch.nn.Module:
    """A network made by the library from a configuration like the published one, only smaller."""
    torch.manual_seed(4)
    backbone = transformers.VitPoseBackboneConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, out_indices=[2]
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=simple)
    network: torch.nn.Module = transformers.VitPoseForPoseEstimation(config).eval()
    torch.nn.init.normal_(network.backbone.embeddings.position_embeddings)
    return network


def model(name: str, weights: str, classes: int = 17) -> Vitpose:
    made = create_model(name, task="pose", classes=classes, channels=3, imgsz=256, weights=weights, options=SMALL)
    assert isinstance(made, Vitpose)
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize(("name", "simple"), [("vitpose_base_simple", True), ("vitpose_base", False)])
def test_the_librarys_weights_give_the_librarys_maps(tmp_path: Path, name: str, simple: bool) -> None:
    images = torch.rand(2, 3, 256, 192)
    library = published(simple)
    save_file(library.state_dict(), tmp_path / "model.safetensors")
    mine = model(name, str(tmp_path))
    assert mine.pretrained
    found = mine(images)
    torch.testing.assert_close(found["logits"], SHARP * library(images).heatmaps, rtol=1e-4, atol=1e-4)
    assert found["peaks"].shape == (2, 17, 1, 3) and mine(images[:, :, :96, :128])["logits"].shape == (2, 17, 24, 32)
    other = model(name, str(tmp_path), classes=4)  # another skeleton: all but the last layer is taken
    assert other.notes[-1][0] == "weights.head"
    state = other.network.state_dict()
    torch.testing.assert_close(state["backbone.layernorm.bias"], library.state_dict()["backbone.layernorm.bias"])


@torch.no_grad()
def test_maps_as_published_ones_are_read_where_their_peaks_lie(tmp_path: Path) -> None:
    """Squared errors made them Gaussians of two cells, from 0 to 1."""
    mine = model("vitpose_base_simple", "none", classes=1)
    x, y = 50.3, 77.9  # pixels
    across, down = torch.arange(48) * 4 + 2, torch.arange(64) * 4 + 2
    maps = (-((across - x).square() + (down[:, None] - y).square()) / (2 * 8**2)).exp()
    found = mine.peaks(SHARP * maps[None, None])[0, 0, 0]
    assert found[:2].tolist() == pytest.approx([x, y], abs=1) and found[2] > 0.5
