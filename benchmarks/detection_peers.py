"""What other detectors reach with the same images, minutes and cores: one JSON line a run, AP as in pycocotools.

    python benchmarks/detection_peers.py manako DATA --minutes 15 [-- --model yolo]
    python benchmarks/detection_peers.py torchvision DATA --minutes 15
    VENV/bin/python benchmarks/detection_peers.py ultralytics DATA --minutes 15
    python benchmarks/detection_peers.py manako-predict IMAGES --model MODEL.onnx
    VENV/bin/python benchmarks/detection_peers.py ultralytics-predict IMAGES --model yolov8n --imgsz 640

DATA: `annotations/instances_{train,val,test}.json` with `images/{train,val,test}`, and `data.yaml` beside `labels/` for
Ultralytics, which is only measured: it lives in an environment of its own (`pip install ultralytics pycocotools`).
torchvision's recipe is that of its reference scripts, shortened to the time. The last two go through a folder of images
from files to JSON, once to warm up and then --rounds times: images a second, and the GFLOP of one image of the first
one's shape (both counted by PyTorch), for networks are comparable only where that is alike. `make bench` skips this
file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Found = list[dict[str, Any]]


def labels(data: Path, split: str) -> Any:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(data / f"annotations/instances_{split}.json"))


def score(data: Path, found: Found) -> dict[str, float]:
    """AP, AP50, and AP50 of each class on the test split."""
    from pycocotools.cocoeval import COCOeval

    truth = labels(data, "test")
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    scores = {"ap": float(judge.stats[0]), "ap50": float(judge.stats[1])}
    for place, kind in enumerate(judge.params.catIds):
        name = truth.loadCats([kind])[0]["name"]
        scores[f"ap50 {name}"] = float(judge.eval["precision"][0, :, place, 0, 2].mean())
    return scores


def entry(image: int, kind: int, box: list[float], confidence: float) -> dict[str, Any]:
    left, top, right, bottom = box
    return {
        "image_id": image,
        "category_id": kind,
        "bbox": [left, top, right - left, bottom - top],
        "score": confidence,
    }


def run_manako(data: Path, minutes: float, extra: list[str]) -> dict[str, Any]:
    """Through the command line, which scores as pycocotools does (a test holds it to that)."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        command = [sys.executable, "-m", "manako"]
        options = ["--minutes", str(minutes), "--out", run, "--json", *extra]
        trained = json.loads(subprocess.check_output([*command, "train", str(data), *options]))
        scored = json.loads(subprocess.check_output([*command, "evaluate", run, "--split", "test", "--json"]))
    kept = {key: trained[key] for key in ("model", "epochs", "seconds")}
    return kept | {"test": scored["main"], "metrics": scored["metrics"], "per_class": scored["per_class"]}


def run_ultralytics(data: Path, minutes: float, imgsz: int, model: str) -> Found:
    """From nothing, with all of its defaults but the size of the images."""
    from ultralytics import YOLO  # type: ignore[import-not-found]

    truth = labels(data, "test")
    kinds = sorted(truth.getCatIds())
    with tempfile.TemporaryDirectory() as folder:
        network = YOLO(f"{model}.yaml")
        chosen = {"imgsz": imgsz, "time": minutes / 60, "device": "cpu", "pretrained": False}
        described = (data / "data.yaml").read_text("utf-8").splitlines()
        here = Path(folder, "data.yaml")  # Ultralytics looks for "path: ." in the folder that it is started from
        here.write_text("\n".join([f"path: {data}", *(line for line in described if not line.startswith("path:"))]))
        network.train(data=str(here), project=folder, name="run", exist_ok=True, **chosen)
        best = YOLO(str(Path(folder) / "run/weights/best.pt"))
        found: Found = []
        for image in truth.dataset["images"]:
            file = data / "images/test" / image["file_name"]
            boxes = best.predict(str(file), imgsz=imgsz, conf=0.001, device="cpu", verbose=False)[0].boxes
            rows = zip(boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist(), strict=True)
            found += [entry(image["id"], kinds[int(kind)], box, confidence) for box, confidence, kind in rows]
    return found


def gflop(network: Any, height: int, width: int) -> float:
    """Of one image; PyTorch counts multiplications and additions."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, height, width))
    return float(counter.get_total_flops() / 1e9)


def fastest(work: Callable[[], int], rounds: int) -> dict[str, float]:
    """Images a second: the median round, after one to warm up."""
    count, times = work(), []
    for _ in range(rounds):
        began, processor = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - began, time.process_time() - processor))
    clock, processor = (sorted(column)[rounds // 2] for column in zip(*times, strict=True))
    return {"images": count, "images_per_second": count / clock, "processor_ms": 1000 * processor / count}


def manako_predict(images: Path, model: str, rounds: int) -> dict[str, Any]:
    import manako
    from manako.models import create_model
    from manako.runtime.options import PredictOptions
    from manako.runtime.predict import predict

    predictor = manako.load(model)
    plan, card = predictor.card.preprocess, predictor.card
    sizes = {"classes": len(card.classes), "channels": plan.channels, "imgsz": max(plan.height, plan.width)}
    network = create_model(card.model, task=card.task, weights="none", options=card.options, **sizes)

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            return predict(predictor, [images], PredictOptions(), out=Path(folder)).done

    shape = {"pixels": f"{plan.width}x{plan.height}", "gflop": gflop(network, plan.height, plan.width)}
    return {"model": card.model, **shape, **fastest(work, rounds)}


def ultralytics_predict(images: Path, model: str, imgsz: int, rounds: int) -> dict[str, Any]:
    """A network that has learned nothing: it finds nothing, which is the easiest case for what follows it."""
    from ultralytics import YOLO

    network = YOLO(f"{model}.yaml")
    files = sorted(str(path) for path in images.iterdir())
    found = network.predict(files[0], imgsz=imgsz, device="cpu", verbose=False)[0]
    scale = imgsz / max(found.orig_shape)
    height, width = (-(-round(side * scale) // 32) * 32 for side in found.orig_shape)

    def work() -> int:
        with tempfile.TemporaryFile("w") as lines:
            results = network.predict(str(images), imgsz=imgsz, device="cpu", stream=True, verbose=False)
            return sum(bool(lines.write(result.to_json() + "\n")) for result in results)

    shape = {"pixels": f"{width}x{height}", "gflop": gflop(network.model, height, width)}
    return {"model": model, **shape, **fastest(work, rounds)}


def torchvision_network(classes: int) -> Any:
    """Its Faster R-CNN for 320 pixels, over the same ImageNet weights that Manako's detectors start from."""
    from torchvision.models.detection import FasterRCNN

    from manako.blocks.detectors import Lite0Pyramid
    from manako.blocks.folding import fix_norms

    backbone = Lite0Pyramid(channels=3, imgsz=320, weights="auto")
    fix_norms(backbone.body)  # torchvision, too, holds the statistics of pretrained layers
    pixels = {"image_mean": list(backbone.body.mean), "image_std": list(backbone.body.std)}
    return FasterRCNN(backbone, classes + 1, min_size=320, max_size=640, **pixels)


def run_torchvision(data: Path, minutes: float, batch: int) -> Found:
    """SGD, rate .02 for 16 images, a tenth of it at 16/26 of the time and again at 22/26, images mirrored."""
    import torch

    began, seconds = time.monotonic(), minutes * 60
    truth = labels(data, "train")
    kinds = sorted(truth.getCatIds())
    network = torchvision_network(len(kinds))
    learning = [p for p in network.parameters() if p.requires_grad]
    highest = 0.02 * batch / 16
    rule = torch.optim.SGD(learning, lr=highest, momentum=0.9, weight_decay=1e-4)
    network.train()
    epochs, steps = 0.0, 0
    for images, targets, done in _batches(data, truth, kinds, batch=batch):
        part = (time.monotonic() - began) / seconds
        if part >= 1:
            break
        step = 1.0 if part < 16 / 26 else 0.1 if part < 22 / 26 else 0.01
        steps, epochs = steps + 1, done
        rule.param_groups[0]["lr"] = highest * step * min(1.0, max(0.001, steps / 1000 if part < 1 / 26 else 1.0))
        loss = sum(network(images, targets).values())
        rule.zero_grad()
        loss.backward()
        rule.step()
    print(f"torchvision: {epochs:.1f} epochs", file=sys.stderr)
    network.eval()
    found: Found = []
    test = labels(data, "test")
    with torch.no_grad():
        for image in test.dataset["images"]:
            result = network([_open(data / "images/test" / image["file_name"])])[0]
            rows = zip(*(result[key].tolist() for key in ("boxes", "scores", "labels")), strict=True)
            found += [entry(image["id"], kinds[kind - 1], box, confidence) for box, confidence, kind in rows]
    return found


def _open(file: Path) -> Any:
    from torchvision.io import ImageReadMode, decode_image

    return decode_image(str(file), ImageReadMode.RGB).float() / 255


def _batches(data: Path, truth: Any, kinds: list[int], *, batch: int) -> Iterator[tuple[list[Any], list[Any], float]]:
    """Shuffled, half of the images mirrored, without end; with the epochs done."""
    import torch

    chance = torch.Generator().manual_seed(0)
    images = truth.dataset["images"]
    epoch = 0
    while True:
        order = torch.randperm(len(images), generator=chance).tolist()
        for start in range(0, len(order) - batch + 1, batch):
            pixels, targets = [], []
            for place in order[start : start + batch]:
                image = images[place]
                notes = truth.loadAnns(truth.getAnnIds(image["id"], iscrowd=False))
                boxes = torch.tensor([n["bbox"] for n in notes]).float().reshape(-1, 4)
                boxes[:, 2:] += boxes[:, :2]
                good = (boxes[:, 2:] > boxes[:, :2]).all(1)
                known = torch.tensor([kinds.index(n["category_id"]) + 1 for n in notes], dtype=torch.int64)
                picture = _open(data / "images/train" / image["file_name"])
                if torch.rand(1, generator=chance) < 0.5:
                    picture = picture.flip(2)
                    boxes[:, [0, 2]] = picture.shape[2] - boxes[:, [2, 0]]
                pixels.append(picture)
                targets.append({"boxes": boxes[good], "labels": known[good]})
            yield pixels, targets, epoch + start / len(order)
        epoch += 1


def main() -> None:
    words, _, extra = "\0".join(sys.argv[1:]).partition("\0--\0")
    if not words:
        print("skipped: see the file's first lines")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers = ("manako", "torchvision", "ultralytics", "manako-predict", "ultralytics-predict")
    parser.add_argument("peer", choices=peers)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--imgsz", type=int, default=320, help="Ultralytics only")
    parser.add_argument("--model", default="yolov8n", help="Ultralytics' name; of manako-predict, the exported file")
    parser.add_argument("--rounds", type=int, default=5, help="of predicting")
    parser.add_argument("--batch", type=int, default=4, help="torchvision only")
    given = parser.parse_args([word for word in words.split("\0") if word])
    if given.peer.endswith("predict"):
        own = given.peer == "manako-predict"
        chosen = (given.data, given.model) if own else (given.data, given.model, given.imgsz)
        print(
            json.dumps({"peer": given.peer} | (manako_predict if own else ultralytics_predict)(*chosen, given.rounds))
        )
        return
    if given.peer == "manako":
        scores = run_manako(given.data, given.minutes, [word for word in extra.split("\0") if word])
    elif given.peer == "ultralytics":
        scores = score(given.data, run_ultralytics(given.data.resolve(), given.minutes, given.imgsz, given.model))
    else:
        scores = score(given.data, run_torchvision(given.data, given.minutes, given.batch))
    print(json.dumps({"peer": given.peer, "minutes": given.minutes, **scores}))


if __name__ == "__main__":
    main()
