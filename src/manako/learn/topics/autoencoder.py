"""Auto-encoder: the input itself is the teacher; what passes the narrow middle is the code."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Panel, Points, learning_curves
from manako.learn import autoencoder
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.panels import picture
from manako.messages import message

TITLE = "learn.autoencoder.title"
ORDER = 180

SHOWN = 8


def play(seed: int = 0) -> Lesson:
    result = autoencoder.learn_digits(seed=seed)
    plane = autoencoder.learn_digits(code=2, seed=seed)
    rows = [
        [
            str(result.labels[i]),
            numbers(result.codes[i], 1),
            number(((result.inputs[i] - result.outputs[i]) ** 2).mean(), 4),
        ]
        for i in range(SHOWN)
    ]
    table = Table([message("learn.autoencoder.digit"), message("learn.autoencoder.code"), message("learn.error")], rows)
    facts = {"error": number(result.error, 4), "linear": number(result.linear_error, 4)}
    lines = [message("learn.autoencoder.idea"), message("learn.autoencoder.compared", **facts)]
    section = Section(message("learn.autoencoder.codes"), lines, table)
    curves = result.history.curves
    epochs = np.arange(1, result.history.epochs + 1)
    losses = {message("learn.loss_word"): (curves.training_loss, curves.validation_loss)}
    figures = {
        "digits": _digits(result),
        "plane": _plane(plane),
        "walk": _walk(plane),
        "curves": learning_curves(epochs, losses, title=message("learn.autoencoder.curves")),
    }
    data = {"error": result.error, "linear_error": result.linear_error, "error_of_2": plane.error}
    return Lesson([section], figures, {**data, "validation_loss": curves.validation_loss})


def _digits(result: autoencoder.Result) -> Figure:
    rows = ((result.inputs, "learn.input"), (result.outputs, "learn.output"))
    panels = [picture(images[i], message(key) if i == 0 else "", side=72) for images, key in rows for i in range(SHOWN)]
    return Figure(panels, message("learn.autoencoder.title"), message("learn.autoencoder.note"), columns=SHOWN)


def _plane(plane: autoencoder.Result) -> Figure:
    marks = []
    for digit in range(10):
        codes = plane.codes[plane.labels == digit]
        marks.append(Points(codes[:, 0], codes[:, 1], str(digit)))
    axes = Axis(message("learn.autoencoder.code_part", part=1)), Axis(message("learn.autoencoder.code_part", part=2))
    panel = Panel(marks, message("learn.autoencoder.plane"), *axes, width=420, height=340)
    return Figure([panel], note=message("learn.autoencoder.plane_note"))


def _walk(plane: autoencoder.Result) -> Figure:
    """The straight way from one digit's code to another's, decoded."""
    start, end = (_middle(plane, digit) for digit in (0, 4))
    steps = np.linspace(0, 1, SHOWN)[:, None]
    images = autoencoder.decode(plane.network, start + steps * (end - start)).reshape(-1, 8, 8)
    titles = ["0", *[""] * (SHOWN - 2), "4"]
    panels = [picture(image, title, side=72) for image, title in zip(images, titles, strict=True)]
    return Figure(panels, message("learn.autoencoder.walk"), columns=SHOWN)


def _middle(plane: autoencoder.Result, digit: int) -> Array:
    """The code nearest to the mean of the digit's codes."""
    codes = plane.codes[plane.labels == digit]
    nearest: Array = codes[((codes - codes.mean(0)) ** 2).sum(1).argmin()]
    return nearest
