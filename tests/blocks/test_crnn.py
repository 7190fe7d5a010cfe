"""CRNN begun with another run's weights: each character keeps what was learnt of it, wherever it stands."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from manako.images import Preprocess
from manako.models import create_model
from manako.models.crnn import Crnn
from manako.runtime.card import METADATA_KEY, ModelCard

SMALL = {"width": 2, "hidden": 3, "norms": "all"}


def build(alphabet: str, weights: str = "none") -> Crnn:
    options = {**SMALL, "alphabet": alphabet}
    model = create_model(
        "crnn", task="ocr", classes=len(alphabet), channels=1, imgsz=64, weights=weights, options=options
    )
    assert isinstance(model, Crnn)
    return model.eval()


def test_characters_keep_their_weights_in_another_alphabet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = build("abcd")
    card = ModelCard(
        task="ocr",
        model="crnn",
        classes=("a", "b", "c", "d"),
        preprocess=Preprocess(32, 64, "line", channels=1),
        mean=(0.5,),
        std=(0.5,),
    )
    file = tmp_path / "best.safetensors"
    save_file(first.state_dict(), file, {METADATA_KEY: card.dumps()})
    second = build("dxa", str(file))
    images = torch.rand(2, 1, 32, 64)
    with torch.no_grad():
        before, after = (model.rnn(model.cnn(images).mean(2).permute(2, 0, 1)) for model in (first, second))
    torch.testing.assert_close(after[..., [0, 1, 3]], before[..., [0, 4, 1]])
    assert second.pretrained and ("weights.new_characters", {"count": 1, "characters": "x"}) in second.notes
    same = build("dcba", str(file))  # as many classes, in another order
    assert torch.equal(same.rnn[1].embedding.bias[1:], first.rnn[1].embedding.bias[1:].flip(0))


def test_batch_normalisation_can_follow_every_convolution() -> None:
    model = build("ab")
    names = [name for name, _ in model.cnn.named_children() if name.startswith("batchnorm")]
    assert names == [f"batchnorm{number}" for number in range(7)]
    stages = [{id(p) for p in stage} for stage in model.stages()]
    assert sorted(i for stage in stages for i in stage) == sorted(id(p) for p in model.parameters())
