"""A small CNN learns the embedded handwritten digits: kernels and feature maps, layer by layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manako.figures import Figure, confusion_matrix, learning_curves
from manako.learn import cnn
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.panels import picture
from manako.messages import message
from manako.samples.digits import load_digits

TITLE = "learn.cnn.title"
ORDER = 170

SHOWN = 8  # kernels and maps of each layer


def play(seed: int = 0) -> Lesson:
    result = cnn.learn_digits(seed=seed)
    images, _ = load_digits()
    image = images[result.held_out[0]] / 255
    figures = {
        "curves": _curves(result),
        "kernels": _kernels(result),
        "feature-maps": _maps(result, image),
        "confusion": _confusion(result),
        "mistakes": _mistakes(result, images),
    }
    rows = [
        [t.name, _size(t.input.shape[1:]), _size(t.output.shape[1:]), str(sum(p.size for p in t.parameters.values()))]
        for t in result.network.trace()
    ]
    words = ["learn.layer", "learn.input", "learn.output", "learn.cnn.parameters"]
    facts = {"accuracy": number(100 * result.accuracy, 1), "count": len(result.held_out)}
    line = message("learn.cnn.result", seconds=number(result.seconds, 1), epochs=result.history.epochs, **facts)
    section = Section(
        message("learn.cnn.structure"), [message("learn.cnn.idea"), line], Table([message(w) for w in words], rows)
    )
    data = {
        "accuracy": result.accuracy,
        "seconds": result.seconds,
        "epochs": result.history.epochs,
        "validation_loss": result.history.curves.validation_loss,
        "mistakes": int((result.predicted != result.labels).sum()),
    }
    return Lesson([section], figures, data)


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _curves(result: cnn.Result) -> Figure:
    curves = result.history.curves
    epochs = np.arange(1, result.history.epochs + 1)
    shown = {
        message("learn.loss_word"): (curves.training_loss, curves.validation_loss),
        message("figures.accuracy"): (curves.training_score, curves.validation_score),
    }
    return learning_curves(epochs, shown, title=message("learn.cnn.curves"))


def _kernels(result: cnn.Result) -> Figure:
    panels = [
        picture(kernel[0].astype(float), name if index == 0 else "", kind="signed", side=64)
        for name, weights in cnn.kernels(result.network)
        for index, kernel in enumerate(weights[:SHOWN])
    ]
    return Figure(panels, message("learn.cnn.kernels"), message("learn.cnn.kernels_note", shown=SHOWN), columns=SHOWN)


def _maps(result: cnn.Result, image: Array) -> Figure:
    panels = []
    for name, maps in cnn.feature_maps(result.network, image):
        if "relu" in name or "pooling" in name:
            size = f"{maps.shape[1]} × {maps.shape[2]}"
            titles = [f"{name}, {size}"] + [""] * SHOWN
            panels += [picture(m.astype(float), t, side=64) for m, t in zip(maps[:SHOWN], titles, strict=False)]
    return Figure(panels, message("learn.cnn.maps"), message("learn.cnn.maps_note"), columns=SHOWN)


def _confusion(result: cnn.Result) -> Figure:
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (result.labels, result.predicted), 1)
    return confusion_matrix(counts, [str(digit) for digit in range(10)], title=message("learn.cnn.confusion"))


def _mistakes(result: cnn.Result, images: NDArray[np.uint8]) -> Figure:
    wrong = np.flatnonzero(result.predicted != result.labels)[:12]
    shown = wrong if wrong.size else np.arange(6)
    key = "learn.cnn.mistakes" if wrong.size else "learn.cnn.no_mistakes"
    panels = [
        picture(images[result.held_out[i]].astype(float), f"{result.labels[i]} → {result.predicted[i]}", side=72)
        for i in shown
    ]
    return Figure(panels, message(key), message("learn.cnn.mistakes_note"), columns=6)
