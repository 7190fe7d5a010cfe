"""Reading lines: RapidOCR's recogniser and Manako's ppocr, untouched and after learning, on the same lines in one run.

    python benchmarks/ocr_peers.py FOLDER [--split test] [--threads 2] [--train-minutes 20]

FOLDER: images of lines with labels.tsv in train/ and test/. Choose settings on `--split train`; `test` is for the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from manako import api
from manako.formats import read_dataset
from manako.metrics.text import measure_line
from manako.runtime.onnx_engine import OnnxEngine
from manako.runtime.predictor import Predictor
from manako.types import Sample, TextLine


def rapidocr_reader(threads: int) -> Callable[[Sequence[Sample]], list[str]]:
    from rapidocr import RapidOCR

    settings = {
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "Global.log_level": "error",
    }
    reader: Any = RapidOCR(params=settings)._load_rec_model()
    from rapidocr.ch_ppocr_rec.typings import TextRecInput

    def read(samples: Sequence[Sample]) -> list[str]:
        images = [np.asarray(Image.open(s.image).convert("RGB"))[..., ::-1] for s in samples]
        return list(reader(TextRecInput(img=images, return_word_box=False)).txts)

    return read


def manako_reader(predictor: Predictor) -> Callable[[Sequence[Sample]], list[str]]:
    def read(samples: Sequence[Sample]) -> list[str]:
        found = [result.prediction for result in predictor.predict(samples)]
        return [line.text(predictor.card.classes) if isinstance(line, TextLine) else "" for line in found]

    return read


def scored(
    name: str, read: Callable[[Sequence[Sample]], list[str]], samples: Sequence[Sample], truths: list[str]
) -> None:
    read(samples[:16])
    began = time.perf_counter()
    texts = read(samples)
    seconds = time.perf_counter() - began
    errors = [measure_line(truth, text) for truth, text in zip(truths, texts, strict=True)]
    rates = {
        kind: sum(getattr(e, kind).count for e in errors) / sum(getattr(e, kind).length for e in errors)
        for kind in ("characters", "characters_normalised")
    }
    line = {"reader": name, "lines": len(samples), "ms_a_line": round(1000 * seconds / len(samples), 2)}
    print(json.dumps(line | {name: round(value, 5) for name, value in rates.items()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train-minutes", type=float)
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.folder, task="ocr")
    samples = [s for s in dataset.samples if s.split == arguments.split]
    truths = [s.target.text(dataset.classes) for s in samples if isinstance(s.target, TextLine)]
    with TemporaryDirectory() as folder:
        exported = api.export("ppocr", out=Path(folder, "ppocr.onnx")).path
        ready = Predictor(OnnxEngine(exported, threads=arguments.threads))
        scored("rapidocr", rapidocr_reader(arguments.threads), samples, truths)
        scored("ppocr, untouched, ONNX", manako_reader(ready), samples, truths)
        scored("ppocr, untouched, PyTorch", manako_reader(api.load("ppocr")), samples, truths)
        if arguments.train_minutes:
            run = api.train(
                arguments.folder, task="ocr", out=Path(folder, "run"), minutes=arguments.train_minutes, verbose=True
            )
            learnt = api.export(run.folder).path
            scored("ppocr, learnt, ONNX", manako_reader(Predictor(OnnxEngine(learnt))), samples, truths)


if __name__ == "__main__":
    main()
