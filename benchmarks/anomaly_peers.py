"""PatchCore against other PatchCores on the same split, by one judge: one JSON line a run.

    python benchmarks/anomaly_peers.py compare DATA --imgsz 256
    python benchmarks/anomaly_peers.py search --patches 50000

compare: Manako's default and its joint form through its own code; `plain`, the paper in NumPy and scikit-learn from the
very features that the joint form reads; and anomalib's model from these features too, where anomalib 2 is installed
(`pip install anomalib`; it is only measured). DATA: laid out as MVTec AD does. `plain` and anomalib learn from
training and validation images, since they hold none out; Manako's seconds begin with reading the data and looking for
duplicates. search: milliseconds an image where each memory holds so many patches, in PyTorch and, as deployed, in
ONNX Runtime. `make bench` skips this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

import manako
from manako.formats import read_dataset
from manako.images import Preprocess
from manako.models import create_model
from manako.models.patchcore import Patchcore
from manako.types import Dataset, Sample

Numbers = NDArray[np.float32]
Found = list[tuple[float, Numbers]]  # of each test image: its score, and its heat map at any size
SHARE = 0.01  # of all patches, remembered by the peers
SEED = 0
MODELS = ("patchcore", "patchcore_joint")


def score(samples: Sequence[Sample], found: Found) -> dict[str, float]:
    """Image AUROC, and pixel AUROC over every fourth row and column, by scikit-learn."""
    from sklearn.metrics import roc_auc_score

    truths: list[Any] = [sample.truth for sample in samples]
    marks, heats = [], []
    for truth, (_, heat) in zip(truths, found, strict=True):
        if truth.score > 0.5 and truth.heatmap is None:
            continue  # a defect whose place is not known
        height, width = heat.shape
        place = np.zeros((height, width), np.float32) if truth.heatmap is None else truth.heatmap
        if place.shape != heat.shape:
            heat = np.asarray(Image.fromarray(heat).resize(place.shape[::-1], Image.Resampling.BILINEAR))
        marks.append((place[::4, ::4] > 0.5).ravel())
        heats.append(heat[::4, ::4].ravel())
    defect = [truth.score > 0.5 for truth in truths]
    pixel = roc_auc_score(np.concatenate(marks), np.concatenate(heats))
    return {"image_auroc": float(roc_auc_score(defect, [s for s, _ in found])), "pixel_auroc": float(pixel)}


def run_manako(dataset: Dataset, imgsz: int, model: str) -> Iterator[dict[str, Any]]:
    """Through the library as people use it: reading, calibration, evaluation and report are in its seconds."""
    test = dataset.of("test")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        began = time.perf_counter()
        manako.train(dataset.root, task="anomaly", model=model, imgsz=imgsz, out=run, device="cpu")
        whole = time.perf_counter() - began
        history = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        predictor = manako.load(run, device="cpu")
        began = time.perf_counter()
        found = [(r.prediction.score, r.prediction.heatmap) for r in predictor.predict(list(test), batch=8)]
        each = 1000 * (time.perf_counter() - began) / len(test)
    times = {"fit_seconds": history["seconds"], "whole_command_seconds": whole, "ms_an_image": each}
    yield {"peer": "manako", "model": model} | times | score(test, found)


def features(imgsz: int) -> Patchcore:
    """The network whose maps everyone here reads; its own memory stays empty."""
    options = {"bank": 1}
    model = create_model(
        "patchcore_joint", task="anomaly", classes=2, channels=3, imgsz=imgsz, weights="auto", options=options
    )
    assert isinstance(model, Patchcore)
    return model.eval()


def opened(samples: Sequence[Sample], model: Patchcore, imgsz: int) -> Iterator[torch.Tensor]:
    """(M, 3, H, W), normalised, eight images at a time; stretched to squares."""
    plan = Preprocess(imgsz, imgsz, fit="stretch", channels=3)
    for start in range(0, len(samples), 8):
        pixels = [plan.open(sample.image, sample.frame)[0] for sample in samples[start : start + 8]]
        yield model.normalise(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2))


def patches_of(images: torch.Tensor, model: Patchcore) -> Numbers:
    """(M, h, w, D)."""
    with torch.inference_mode():
        found: Numbers = model.patches(images)[0].permute(0, 2, 3, 1).numpy()
    return found


def greedy(patches: Numbers, size: int) -> NDArray[np.int64]:
    """Rows of (M, D) chosen so that the farthest from all chosen is always next, in a random projection."""
    random = np.random.default_rng(SEED)
    small = patches @ (random.normal(size=(patches.shape[1], 64)).astype(np.float32) / 8)
    chosen = [int(random.integers(len(small)))]
    nearest = np.full(len(small), np.inf, np.float32)
    while len(chosen) < size:
        nearest = np.minimum(nearest, np.square(small - small[chosen[-1]]).sum(1))
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def timed(
    dataset: Dataset,
    imgsz: int,
    fit: Callable[[Sequence[Sample], Patchcore], Callable[[torch.Tensor], Found]],
) -> dict[str, Any]:
    model, test = features(imgsz), dataset.of("test")
    began = time.perf_counter()
    judge = fit([s for s in dataset.samples if s.split != "test"], model)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    found = [pair for images in opened(test, model, imgsz) for pair in judge(images)]
    each = 1000 * (time.perf_counter() - began) / len(test)
    return {"fit_seconds": seconds, "ms_an_image": each} | score(test, found)


def run_plain(dataset: Dataset, imgsz: int) -> Iterator[dict[str, Any]]:
    """Raw Euclidean distances, the highest patch is the image's score, a blur of 4 pixels."""
    from sklearn.neighbors import NearestNeighbors

    def fit(samples: Sequence[Sample], model: Patchcore) -> Callable[[torch.Tensor], Found]:
        parts = [patches_of(images, model).reshape(-1, sum(_widths(model))) for images in opened(samples, model, imgsz)]
        patches = np.concatenate(parts)
        bank = patches[greedy(patches, max(1, round(SHARE * len(patches))))]
        search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(bank)

        def judge(images: torch.Tensor) -> Found:
            found = patches_of(images, model)
            far = search.kneighbors(found.reshape(-1, found.shape[-1]))[0].reshape(found.shape[:3]).astype(np.float32)
            return [(float(cells.max()), _enlarged(cells, imgsz)) for cells in far]

        return judge

    yield {"peer": "plain", "model": "numpy, scikit-learn"} | timed(dataset, imgsz, fit)


def _widths(model: Patchcore) -> list[int]:
    return [model.encoder.channels[stage] for stage in model.groups[0]]


def _enlarged(cells: Numbers, side: int) -> Numbers:
    large = np.asarray(Image.fromarray(cells).resize((side, side), Image.Resampling.BILINEAR))
    return np.asarray(gaussian_filter(large, 4), np.float32)


class _Maps(torch.nn.Module):
    """The same network's maps, in the form that anomalib's model asks for."""

    def __init__(self, model: Patchcore) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = self.model.encoder(images)
        return {f"layer{place + 1}": maps[stage] for place, stage in enumerate(self.model.groups[0])}


def run_anomalib(dataset: Dataset, imgsz: int) -> Iterator[dict[str, Any]]:
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel  # type: ignore[import-not-found]

    def fit(samples: Sequence[Sample], model: Patchcore) -> Callable[[torch.Tensor], Found]:
        peer = PatchcoreModel(layers=["layer1", "layer2"], backbone="resnet18", pre_trained=False)
        peer.feature_extractor = _Maps(model)
        peer.memory_bank = torch.empty(0, sum(_widths(model)))
        peer.train()
        model.eval()
        with torch.no_grad():
            for images in opened(samples, model, imgsz):
                peer(images)
            peer.subsample_embedding(SHARE)
        peer.eval()

        def judge(images: torch.Tensor) -> Found:
            with torch.inference_mode():
                result = peer(images)
            maps = result.anomaly_map.reshape(len(images), imgsz, imgsz).numpy()
            return list(zip(result.pred_score.flatten().tolist(), maps, strict=True))

        return judge

    yield {"peer": "anomalib", "model": "PatchcoreModel"} | timed(dataset, imgsz, fit)


def compare(data: Path, imgsz: int) -> Iterator[dict[str, Any]]:
    dataset = read_dataset(data, task="anomaly")
    for model in MODELS:
        yield from run_manako(dataset, imgsz, model)
    yield from run_plain(dataset, imgsz)
    if find_spec("anomalib") is None:
        yield {"peer": "anomalib", "skipped": "not installed"}
    else:
        yield from run_anomalib(dataset, imgsz)


def search(model: str, patches: int, imgsz: int, rounds: int = 20) -> dict[str, Any]:
    """The whole network, and the search in its memories by itself. What the memories hold doesn't matter."""
    options = {"bank": patches}
    made = create_model(model, task="anomaly", classes=2, channels=3, imgsz=imgsz, weights="auto", options=options)
    assert isinstance(made, Patchcore)
    torch.manual_seed(SEED)
    banks: list[Any] = list(made.eval().banks)
    for bank in banks:
        bank.keys.normal_()
    images = made.normalise(torch.randint(0, 256, (1, 3, imgsz, imgsz), dtype=torch.uint8))
    with torch.inference_mode():
        maps = made.patches(images)
        alone = _median(lambda: [bank(found) for bank, found in zip(banks, maps, strict=True)], rounds)
        times = {"search_ms": alone, "image_ms": _median(lambda: made(images), rounds)}
    times["search_ms_onnx"] = sum(_in_runtime(bank, found, rounds) for bank, found in zip(banks, maps, strict=True))
    sizes = {
        "numbers_a_patch": [bank.whitening.shape[1] for bank in banks],
        "places": [found[0, 0].numel() for found in maps],
    }
    return {"model": model, "patches": patches} | sizes | {"threads": torch.get_num_threads()} | times


def _in_runtime(bank: torch.nn.Module, found: torch.Tensor, rounds: int) -> float:
    """Milliseconds of one memory's search in ONNX Runtime, with as many threads as PyTorch has."""
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(bank, (found.clone(),), input_names=["patches"], dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    graph = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    patches = {"patches": found.numpy()}
    return _median(lambda: session.run(None, patches), rounds)


def _median(work: Callable[[], object], rounds: int) -> float:
    work()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return 1000 * float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    compared = what.add_parser("compare")
    compared.add_argument("data", type=Path)
    searched = what.add_parser("search")
    searched.add_argument("--patches", type=int, default=50_000)
    for part in (compared, searched):
        part.add_argument("--imgsz", type=int, default=256)
    given = parser.parse_args(sys.argv[1:])
    if given.what == "compare":
        lines = compare(given.data, given.imgsz)
    else:
        lines = (search(model, given.patches, given.imgsz) for model in MODELS)
    for line in lines:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
