"""The same network, the same images, the same minutes: the loop that a library's examples show, and `manako train`.

    python benchmarks/segmentation_loop.py FOLDER --minutes 5
    python benchmarks/segmentation_loop.py FOLDER --minutes 5 --split val     to choose by
    python benchmarks/segmentation_loop.py FOLDER --minutes 5 --only manako

FOLDER: images and masks (generated scenes without it). Both start from the same packaged ImageNet weights of the same
U-Net (segmentation-models-pytorch's, over EfficientNet-Lite0; Manako's is told `detail=0`, which makes it that one).
The loop is that of the library's examples: a DataLoader that opens files, random windows of 256 pixels and mirror
images, the library's Dice loss, Adam with 2e-4 and a cosine. Both answers are scored by the same code in original
pixels; the loop's classes are the most likely ones. One JSON line each.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from manako.blocks.encoder import Encoder
from manako.blocks.pretrained import LITE0
from manako.formats import read_dataset
from manako.images import image_size, open_image
from manako.samples.regions import write_binary
from manako.splits import split_dataset
from manako.tasks.segmentation import TASK
from manako.training.hardware import keep_memory
from manako.types import IGNORE, Dataset, Sample, Segmentation

WINDOW, BATCH, RATE = 256, 8, 2e-4


class Windows(TorchDataset[tuple[Tensor, Tensor]]):
    """Random windows of random mirror images. Where images are smaller, they are filled up to multiples of 32."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        largest = max(max(image_size(sample.image)) for sample in samples)
        self.side = min(WINDOW, -(-largest // 32) * 32)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        truth = sample.truth
        assert isinstance(truth, Segmentation)
        image, mask = np.asarray(open_image(sample.image).convert("RGB")), truth.class_id
        missing = [max(0, self.side - side) for side in mask.shape]
        image = np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)])
        mask = np.pad(mask, [(0, missing[0]), (0, missing[1])], constant_values=IGNORE)
        top, left = (int(torch.randint(0, side - self.side + 1, ())) for side in mask.shape)
        image, mask = (part[top : top + self.side, left : left + self.side] for part in (image, mask))
        if torch.rand(()) < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        return torch.from_numpy(image.copy()).permute(2, 0, 1), torch.from_numpy(mask.copy()).long()


def normalise(pixels: Tensor, encoder: Encoder) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.mean, encoder.std))
    return (pixels / 255 - mean) / std


def library_loop(dataset: Dataset, split: str, minutes: float) -> dict[str, object]:
    torch.manual_seed(0)
    encoder = Encoder(LITE0)
    network: nn.Module = smp.Unet(f"tu-{LITE0}", encoder_weights=None, classes=len(dataset.classes))
    network.encoder.model.load_state_dict(encoder.network.state_dict())
    loss_of = smp.losses.DiceLoss("multiclass", from_logits=True, ignore_index=IGNORE)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    loader = DataLoader(Windows(dataset.of("train")), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=False)
    began, epochs, progress = time.monotonic(), 0, 0.0
    network.train()
    while progress < 1:
        for images, masks in loader:
            loss = loss_of(network(normalise(images, encoder)), masks)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            progress = (time.monotonic() - began) / (60 * minutes)
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 + math.cos(math.pi * min(progress, 1))) / 2
            if progress >= 1:
                break
        epochs += 1
    found = evaluated(network.eval(), encoder, dataset, split)
    return {"epochs": epochs, "seconds": round(time.monotonic() - began, 1)} | found


@torch.no_grad()
def evaluated(network: nn.Module, encoder: Encoder, dataset: Dataset, split: str) -> dict[str, object]:
    measures = []
    for sample in (s for s in dataset.samples if s.split == split):
        image = np.asarray(open_image(sample.image).convert("RGB"))
        height, width = image.shape[:2]
        filled = np.pad(image, [(0, -height % 32), (0, -width % 32), (0, 0)])
        logits = network(normalise(torch.from_numpy(filled).permute(2, 0, 1)[None], encoder))
        answer = logits.argmax(1)[0, :height, :width].to(torch.uint8).numpy()
        truth = sample.truth
        assert isinstance(truth, Segmentation)
        measures.append(TASK.measure(Segmentation(answer), truth, dataset.classes))
    found = TASK.summarise(measures, dataset.classes)
    return {"images": found.count} | {name: round(value, 4) for name, value in found.metrics.items()}


def manako(data: Path, split: str, minutes: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        command = [sys.executable, "-m", "manako"]
        chosen = ["--task", "segmentation", "--model", "unet", "--option", "detail=0", "--minutes", str(minutes)]
        trained = json.loads(subprocess.check_output([*command, "train", str(data), *chosen, "--out", run, "--json"]))
        scored = json.loads(subprocess.check_output([*command, "evaluate", run, "--split", split, "--json"]))
    metrics = {name: round(value, 4) for name, value in scored["metrics"].items()}
    return {"epochs": trained["epochs"], "seconds": trained["seconds"], "images": scored["count"]} | metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="images and masks; generated scenes without it")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--only", choices=("library", "manako"))
    arguments = parser.parse_args()
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or write_binary(Path(folder), seed=0, count=120)
        dataset = split_dataset(read_dataset(data, task="segmentation"), seed=0)
        for name in ("library", "manako"):
            if arguments.only in (None, name):
                shown = {"loop": name, "minutes": arguments.minutes, "split": arguments.split}
                found = (
                    library_loop(dataset, arguments.split, arguments.minutes)
                    if name == "library"
                    else manako(data, arguments.split, arguments.minutes)
                )
                print(json.dumps(shown | found), flush=True)


if __name__ == "__main__":
    main()
