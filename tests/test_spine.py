"""The whole line on generated images: check, train, evaluate, predict, export, predict without PyTorch, resume."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import manako
from manako.cli import main
from manako.errors import ConfigError, ManakoError
from manako.tasks import get_task, task_names
from manako.training.run import load_run

# A model of each task that learns quickly; and the score that it must then reach, at least (at most, where lower is
# better): on its training images, since few generated ones are too few to generalise from, enough to learn by heart;
# where nothing is learnt by heart, because training images are all normal, on the test images.
FEW_REGIONS = ["--option", "regions=32", "--batch", "4", "--lr", "1e-3"]
SMALL = {
    "classification": ["--model", "cnn", "--imgsz", "32", "--epochs", "16"],
    "generation": ["--task", "generation", "--model", "gan", "--imgsz", "16", "--epochs", "8"],
    "pose": ["--model", "heatmap_pose", "--imgsz", "96", "--epochs", "8"],
    "anomaly": ["--model", "patchcore"],
    "depth": ["--model", "depth_net", "--imgsz", "64", "--epochs", "6"],
    "detection": ["--model", "yolo_nano", "--imgsz", "96", "--epochs", "20"],
    "instances": ["--task", "instances", "--imgsz", "64", "--epochs", "6", *FEW_REGIONS],
    "segmentation": ["--model", "unet", "--imgsz", "64", "--epochs", "4"],
    "text_finding": ["--model", "dbnet", "--imgsz", "96", "--epochs", "16"],
    "ocr": [
        "--model",
        "crnn_small",
        "--option",
        "width=16",
        "--option",
        "hidden=64",
        "--epochs",
        "40",
        "--lr",
        "3e-3",
        "--batch",
        "8",
    ],
}
BARS = {"classification": 0.7, "pose": 0.7, "anomaly": 0.85, "depth": 0.7, "detection": 0.2, "instances": 0.03}
BARS |= {"generation": 1.7, "segmentation": 0.7, "ocr": 0.3, "text_finding": 0.5}
SPLITS = {"anomaly": "test"}
COUNTS = {"instances": 24}  # generated images, where 96 would take too long
AREAS, BORDERS = {"area", "pixels"}, {"polygons", "holes"}
SHARED = ["--precision", "fp32", "--lang", "en"]


@pytest.fixture(scope="module", params=task_names())
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp(request.param) / "data"
    get_task(request.param).synthetic(folder, seed=3, count=COUNTS.get(request.param, 96))
    return folder


def task_named(data: Path) -> str:
    return data.parent.name.rstrip("0123456789")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert main(["train", str(data), "--out", str(folder), *SMALL[task_named(data)], *SHARED]) == 0
    return folder


def test_a_run_folder_explains_itself(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {
        "config.yaml",
        "classes.json",
        "split.csv",
        "environment.json",
        "plan.json",
        "metrics.jsonl",
        "best.safetensors",
        "last.safetensors",
        "evaluation.json",
        "report.html",
    } <= names
    report = (run / "report.html").read_text("utf-8")
    assert "<svg" in report and "http://" not in report.replace("http://www.w3.org/", "")
    config = manako.config.RunConfig.read(run / "config.yaml")
    still_open = [name for name in ("model", "lr", "imgsz", "channels", "optimiser") if getattr(config, name) is None]
    assert not still_open and config.batch != "auto" and config.augment != "auto"


def test_every_task_has_its_row() -> None:
    assert SMALL.keys() == BARS.keys() == set(task_names())


def test_evaluate_prints_one_object(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = SPLITS.get(task_named(data), "train")
    assert main(["evaluate", str(run), "--split", split, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"task", "model", "split", "count", "main", "metrics", "per_class"} <= set(found)
    assert found["main"]["low"] <= found["main"]["value"] <= found["main"]["high"]
    bar, better = BARS[found["task"]], get_task(found["task"]).higher_is_better
    assert found["main"]["value"] >= bar if better else found["main"]["value"] <= bar


def test_predict_writes_a_line_an_image_and_reports_a_bad_file(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted(data.rglob("*.png"))[:5]
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:60])
    status = main(["predict", str(run), *map(str, images), str(broken), "--out", str(tmp_path / "out"), "--draw"])
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert status == 1 and len(lines) == 6
    assert {"image", "width", "height", "predictions"} == set(lines[0]) and "error" in lines[-1]
    assert len(list((tmp_path / "out" / "pictures").rglob("*.*"))) == 5


def test_the_exported_model_agrees_without_pytorch(run: Path, data: Path, tmp_path: Path) -> None:
    exported = manako.export(run, out=tmp_path / "model.onnx").as_json()
    assert float(str(exported["max_difference"])) <= 1e-4
    image = next(iter(sorted(data.rglob("*.png"))))
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import json, manako\n"
        f"p = manako.load({str(tmp_path / 'model.onnx')!r})\n"
        f"print(json.dumps([p.as_json(r) for r in p.predict([{str(image)!r}])]))\n"
    )
    shipped = json.loads(subprocess.check_output([sys.executable, "-c", program]))
    predictor = manako.load(run)
    trained = [predictor.as_json(result) for result in predictor.predict([image])]
    alike(shipped[0]["predictions"], trained[0]["predictions"])


def alike(shipped: object, trained: object) -> None:
    """The same answers, numbers within what two engines may differ. A pixel right at a threshold may fall to either
    side: regions are compared by their areas, their borders (whose tensors the export compared) are not."""
    if isinstance(trained, dict):
        assert isinstance(shipped, dict) and set(shipped) - BORDERS == set(trained) - BORDERS
        for key in set(trained) - BORDERS:
            if key in AREAS:
                assert shipped[key] == pytest.approx(trained[key], abs=2, rel=0.01)
            else:
                alike(shipped[key], trained[key])
    elif isinstance(trained, list):
        assert isinstance(shipped, list) and len(shipped) == len(trained)
        for one, other in zip(shipped, trained, strict=True):
            alike(one, other)
    elif isinstance(trained, float):
        assert shipped == pytest.approx(trained, abs=2e-3, rel=2e-3)
    else:
        assert shipped == trained


def test_a_run_can_be_made_longer(run: Path, data: Path) -> None:
    if load_run(run).model.learns == "once":
        pytest.skip("computed in one pass over the images")
    epochs = manako.config.RunConfig.read(run / "config.yaml").epochs
    assert epochs
    longer = manako.train(resume=run, epochs=epochs + 2)
    assert longer.epochs == epochs + 2
    with pytest.raises(ManakoError):
        manako.train(resume=run, epochs=epochs + 4, lr=0.5)


def test_an_existing_run_is_left_alone(run: Path, data: Path) -> None:
    before = (run / "best.safetensors").read_bytes()
    with pytest.raises(ManakoError, match="resume"):
        manako.train(data, out=run, epochs=1)
    assert (run / "best.safetensors").read_bytes() == before


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="epochs"):
        manako.train("anywhere", epocs=3)


def test_every_public_name_exists() -> None:
    assert all(hasattr(manako, name) for name in manako.__all__)
