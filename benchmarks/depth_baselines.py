"""What depth_net has to beat, in the same minutes on the same split: the mean depth, and a plain U-Net with L1.

    python benchmarks/depth_baselines.py FOLDER --minutes 10
    python benchmarks/depth_baselines.py FOLDER --minutes 10 --split val     to choose by
    python benchmarks/depth_baselines.py FOLDER --minutes 10 --only unet

One JSON line each: the constant, the U-Net, and `manako train` with its defaults. All are scored by the same code
without any alignment, on the same images in their original size. The U-Net (Ronneberger et al. 2015) starts from random
weights, sees the same pixels at the same size, mirrored at random, and learns metres by L1 with Adam.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from manako.config import RunConfig
from manako.formats import read_dataset
from manako.splits import split_dataset
from manako.tasks.depth import TASK
from manako.training.build import preprocess
from manako.training.cache import ImageCache, cache_images
from manako.training.hardware import keep_memory
from manako.training.plan import make_plan
from manako.training.targets.depth import collate
from manako.types import Dataset, Depth, Sample, Split

BATCH = 8
SHOWN = ("delta1", "delta2", "abs_rel", "abs_rel_low", "abs_rel_high", "rmse", "delta1_median", "abs_rel_median")


class PlainUnet(nn.Module):
    """Four halvings, two 3 x 3 convolutions with batch normalisation at each size: (N, 3, H, W) -> (N, H/2, W/2)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(5)]
        self.down = nn.ModuleList(_double(a, b) for a, b in zip([3, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(_double(a + b, b) for a, b in zip(widths[:1:-1], widths[-2:0:-1], strict=True))
        self.output = nn.Conv2d(widths[1], 1, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        maps: list[Tensor] = []
        x = images
        for stage in self.down:
            x = stage(functional.max_pool2d(x, 2) if maps else x)
            maps.append(x)
        for stage, skip in zip(self.up, maps[-2:0:-1], strict=True):
            x = stage(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="bilinear"), skip], 1))
        return functional.softplus(self.output(x)[:, 0])


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((inputs, outputs), (outputs, outputs)):
        layers += [nn.Conv2d(a, b, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers)


def normalise(pixels: Tensor) -> Tensor:
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def train_unet(train: ImageCache, seconds: float) -> tuple[PlainUnet, int]:
    """The network and how many images it has seen."""
    began, random = time.monotonic(), np.random.default_rng(0)
    torch.manual_seed(0)
    truths = [sample.truth for sample in train.samples]
    depth = collate([t for t in truths if isinstance(t, Depth)], train.frames, classes=0, size=train.images.shape[1:3])
    network = PlainUnet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    seen = 0
    while time.monotonic() - began < seconds:
        index = random.integers(0, len(train), BATCH)
        images, truth = normalise(train.take(index)), depth.depth[torch.from_numpy(index)]
        if random.random() < 0.5:
            images, truth = images.flip(3), truth.flip(2)
        known = truth.isfinite()
        loss = (network(images) - truth)[known].abs().mean()
        optimiser.zero_grad()
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * max(0.02, 1 - (time.monotonic() - began) / seconds)
        optimiser.step()
        seen += BATCH
    return network.eval(), seen


@torch.no_grad()
def unet_maps(network: PlainUnet, cache: ImageCache) -> Iterator[Depth]:
    for i in range(len(cache)):
        output = network(normalise(cache.take(slice(i, i + 1)))).numpy()
        yield TASK.decode({"depth": output}, cache.frames[i : i + 1], TASK.settings)[0]


def constant(samples: Iterable[Sample]) -> float:
    """The mean depth of all known pixels of the training images."""
    sums = np.zeros(2)
    for depth in depths(samples):
        known = depth[np.isfinite(depth)]
        sums += known.sum(dtype=np.float64), known.size
    return float(sums[0] / sums[1])


def depths(samples: Iterable[Sample]) -> Iterator[NDArray[np.float32]]:
    for sample in samples:
        truth = sample.truth
        assert isinstance(truth, Depth)
        yield truth.depth


def score(maps: Iterable[Depth], samples: Iterable[Sample]) -> dict[str, object]:
    found = TASK.evaluate(maps, map(Depth, depths(samples)), ())
    metrics = {name: round(found.metrics[name], 4) for name in SHOWN}
    return {
        "images": found.count,
        "delta1_low": round(found.main.low, 4),
        "delta1_high": round(found.main.high, 4),
    } | metrics


def depth_net(data: Path, minutes: float, split: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        command = [sys.executable, "-m", "manako"]
        trained = json.loads(
            subprocess.check_output([*command, "train", str(data), "--minutes", str(minutes), "--out", run, "--json"])
        )
        scored = json.loads(subprocess.check_output([*command, "evaluate", run, "--split", split, "--json"]))
    metrics = {name: round(scored["metrics"][name], 4) for name in SHOWN}
    ends = {f"delta1_{end}": round(scored["main"][end], 4) for end in ("low", "high")}
    return {"images": scored["count"], "epochs": trained["epochs"], "seconds": trained["seconds"]} | ends | metrics


def prepared(dataset: Dataset, split: Split) -> tuple[ImageCache, ImageCache]:
    """The training images and the held-out ones, at the size that depth_net would choose."""
    plan = preprocess(make_plan(RunConfig(), dataset)[0])
    return cache_images(dataset.of("train"), preprocess=plan), cache_images(dataset.of(split), preprocess=plan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="pairs of image and depth")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--only", choices=("constant", "unet", "depth_net"))
    arguments = parser.parse_args()
    if arguments.data is None or not arguments.data.exists():
        print("skipped: give a folder of images with depth")
        return
    keep_memory()
    dataset = split_dataset(read_dataset(arguments.data, task="depth"), seed=0)
    train, held = prepared(dataset, arguments.split)

    def mean_depth() -> dict[str, object]:
        value = constant(train.samples)
        maps = (Depth(np.full_like(depth, value)) for depth in depths(held.samples))
        return {"metres": round(value, 3)} | score(maps, held.samples)

    def unet() -> dict[str, object]:
        network, seen = train_unet(train, 60 * arguments.minutes)
        return {"epochs": round(seen / len(train), 1)} | score(unet_maps(network, held), held.samples)

    runs: dict[str, Callable[[], dict[str, object]]] = {
        "constant": mean_depth,
        "unet": unet,
        "depth_net": lambda: depth_net(arguments.data, arguments.minutes, arguments.split),
    }
    for name, run in runs.items():
        if arguments.only in (None, name):
            shown = {"model": name, "minutes": arguments.minutes, "split": arguments.split, "alignment": "none"}
            print(json.dumps(shown | run()), flush=True)


if __name__ == "__main__":
    main()
