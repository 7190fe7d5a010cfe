"""The training loop against a bare hand-written PyTorch loop, and against torchvision's ImageFolder and DataLoader.

    python benchmarks/training_loop.py [--rounds 2] [--json]

Same network, data, batch, optimiser, augmentation and number format in one run, taken in turn; the best round of each
counts, since other programs can only make one slower. For the same reason the first comparison counts seconds of the
processor, on one thread. What Manako's side pays on top and is counted: setting up, counted randomness, schedule,
progress bar, average of the weights, checkpoints, looks at very few validation images.
Claims: at least 0.95 of the bare loop, at least 2 times the loop over JPEG files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.console import quiet
from manako.formats import read_dataset
from manako.images import Preprocess
from manako.models import create_model
from manako.run_folder import RunFolder
from manako.runtime.card import ModelCard
from manako.tasks import get_task
from manako.training.cache import ImageCache, cache_images
from manako.training.feed import TrainingData
from manako.training.hardware import Hardware, keep_memory
from manako.training.loop import fit
from manako.types import Frame, Labels, Sample

CLASSES = 10
EPOCHS = 5  # of one `fit`
# name, side, channels, images, batch, precision
CASES = (
    ("mlp", 28, 1, 12_800, 128, "fp32"),
    ("small_resnet", 28, 1, 3_840, 128, "bf16"),
    ("efficientnet_lite0", 128, 3, 384, 32, "fp32"),
)


def network(name: str, side: int, channels: int) -> Model:
    torch.manual_seed(0)
    return create_model(name, task="classification", classes=CLASSES, channels=channels, imgsz=side)


def memory(count: int, side: int, channels: int) -> ImageCache:
    """Random pixels and classes: what they are doesn't change the speed."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    samples = tuple(Sample(str(i), Path("none"), Labels.truth(i % CLASSES)) for i in range(count))
    return ImageCache(images, np.arange(count), samples, (Frame(side, side),) * count)


def config(batch: int, **changes: object) -> RunConfig:
    values = {"epochs": EPOCHS, "batch": str(batch), "optimiser": "sgd", "lr": 0.01, "augment": "light", "ema": 0.1}
    return RunConfig.of(values | {"schedule": "cosine", "warmup": 0.1, "label_smoothing": 0.1} | changes)


def manako_fit(model: Model, name: str, data: TrainingData, settings: RunConfig, hardware: Hardware) -> float:
    """Seconds of the processor for a whole `fit`."""
    shape = data.validation.images.shape
    card = ModelCard(
        task="classification",
        model=name,
        classes=tuple(map(str, range(CLASSES))),
        preprocess=Preprocess(height=shape[1], width=shape[2], channels=shape[3]),
        mean=tuple(model.mean),
        std=tuple(model.std),
    )
    with tempfile.TemporaryDirectory() as folder, quiet():
        started = time.process_time()
        fit(
            model,
            task=get_task("classification"),
            data=data,
            config=settings,
            run=RunFolder(Path(folder)),
            card=card,
            hardware=hardware,
        )
        return time.process_time() - started


def bare_loop(model: Model, cache: ImageCache, batch: int, hardware: Hardware) -> float:
    """What a careful person writes for exactly this case: an array in memory, shift and flip by index, SGD.

    Seconds of the processor for `EPOCHS`.
    """
    model.train().to(memory_format=hardware.layout)
    images = torch.from_numpy(cache.images).permute(0, 3, 1, 2)
    labels = torch.tensor([sample.target.best for sample in cache.samples if sample.target])
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.0}, {"params": rest}]
    optimiser = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
    mean, std = torch.tensor(model.mean).view(1, -1, 1, 1), torch.tensor(model.std).view(1, -1, 1, 1)
    started = time.process_time()
    for index in torch.cat([torch.randperm(len(images)) for _ in range(EPOCHS)]).split(batch):
        x = ((varied(images[index]) / 255 - mean) / std).contiguous(memory_format=hardware.layout)
        with hardware.autocast():
            logits = model(x)["logits"]
        loss = functional.cross_entropy(logits.float(), labels[index], label_smoothing=0.1)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        float(loss.detach())
    return time.process_time() - started


def varied(images: Tensor) -> Tensor:
    """Each image its own: small ones shifted by up to 2 pixels and flipped, others cropped and flipped."""
    count, channels, height, width = images.shape
    if width <= 64:
        padded = functional.pad(images, (2, 2, 2, 2))
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        down, right = torch.randint(0, 5, (2, count))
        moved = windows[torch.arange(count), :, down, right]
        return torch.where((torch.rand(count) < 0.5)[:, None, None, None], moved.flip(3), moved)
    scale = (0.5 + 0.5 * torch.rand(count)).sqrt()
    place = (2 * torch.rand(count, 2) - 1) * (1 - scale)[:, None]
    mirrored = scale * torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = mirrored, scale, place
    grid = functional.affine_grid(theta, [count, channels, height, width], align_corners=False)
    return functional.grid_sample(images.float(), grid, align_corners=False)


def against_bare(rounds: int) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    for name, side, channels, count, batch, precision in CASES:
        cache, few = memory(count, side, channels), memory(max(4, count // 100), side, channels)
        hardware, data = Hardware("cpu", precision), TrainingData(cache, few)
        bare_model, our_model = network(name, side, channels), network(name, side, channels)
        times = [
            (
                bare_loop(bare_model, cache, batch, hardware),
                manako_fit(our_model, name, data, config(batch), hardware),
            )
            for _ in range(rounds + 1)
        ][1:]
        bare, ours = (min(column) for column in zip(*times, strict=True))
        images = count * EPOCHS
        results.append({"model": name, "bare": images / bare, "manako": images / ours, "ratio": bare / ours})
    return results


def write_photographs(folder: Path, count: int) -> None:
    """JPEGs of 1600 x 1200, ten classes."""
    random = np.random.default_rng(0)
    for i in range(count):
        rough = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        image = Image.fromarray(rough).resize((1600, 1200), Image.Resampling.BICUBIC)
        path = folder / f"class{i % CLASSES}" / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=90)


def image_folder_epochs(folder: Path, epochs: int, side: int, batch: int) -> float:
    """Seconds of the loop of the tutorials."""
    from torchvision import datasets, transforms

    vary = [transforms.RandomResizedCrop(side), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    chain = transforms.Compose([*vary, transforms.Normalize([0.5] * 3, [0.5] * 3)])
    started = time.perf_counter()
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(folder), chain), batch, shuffle=True, num_workers=2, persistent_workers=True
    )
    model: nn.Module = network("efficientnet_lite0", side, 3).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(epochs):
        for images, labels in loader:
            loss = functional.cross_entropy(model(images)["logits"], labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return time.perf_counter() - started


def manako_folder_epochs(folder: Path, epochs: int, side: int, batch: int, cache: Path) -> float:
    """Seconds of the same, decoding included."""
    started = time.perf_counter()
    samples = read_dataset(str(folder), task="classification").samples
    with quiet():
        larger = Preprocess(height=round(side * 1.15), width=round(side * 1.15), fit="stretch")
        train = cache_images(samples, preprocess=larger, folder=cache)
        few = cache_images(samples[:10], preprocess=Preprocess(height=side, width=side), folder=cache)
    model = network("efficientnet_lite0", side, 3)
    data, settings = TrainingData(train, few), config(batch, epochs=epochs)
    manako_fit(model, "efficientnet_lite0", data, settings, Hardware("cpu", "fp32"))
    return time.perf_counter() - started


def against_image_folder(count: int = 64, epochs: int = 8, side: int = 128, batch: int = 32) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "photographs")
        folder.mkdir()
        write_photographs(folder, count)
        image_folder_epochs(folder, 1, side, batch)  # libraries are loaded, kernels made
        plain = image_folder_epochs(folder, epochs, side, batch)
        keep_memory()  # as `manako train` does
        manako_folder_epochs(folder, 1, side, batch, Path(name, "warm"))
        ours = manako_folder_epochs(folder, epochs, side, batch, Path(name, "cache"))
    images = count * epochs
    return {"image_folder": images / plain, "manako": images / ours, "ratio": plain / ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    plain = against_image_folder()
    torch.set_num_threads(1)  # memory is kept for both from here on
    bare = against_bare(arguments.rounds)
    if arguments.json:
        print(json.dumps({"bare": bare, "image_folder": plain}))
        return
    for row in bare:
        print("{model:20} bare {bare:8.0f} images/s   manako {manako:8.0f} images/s   ratio {ratio:.2f}".format(**row))
    print(
        "JPEG folder, {image_folder:.1f} images/s by DataLoader, {manako:.1f} by Manako: {ratio:.1f} times".format(
            **plain
        )
    )


if __name__ == "__main__":
    main()
