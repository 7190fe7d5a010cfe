"""Up-sampling by repetition: every pixel becomes a square of equal pixels."""

from __future__ import annotations

import numpy as np

from manako.figures import Figure
from manako.learn.lesson import Lesson, Section, Table
from manako.learn.panels import picture, table
from manako.learn.shapes import upsampled_size
from manako.learn.upsampling import Upsampling
from manako.messages import message
from manako.samples.digits import load_digits

TITLE = "learn.upsampling.title"
ORDER = 130

IMAGE = np.array([[1, 2], [3, 4]], float)


def play(seed: int = 0) -> Lesson:
    layer = Upsampling(2)
    output = layer.forward(IMAGE[None, None])[0, 0]
    back = layer.backward(np.arange(16.0).reshape(1, 1, 4, 4))[0, 0]
    rows = [[str(size), str(factor), str(upsampled_size(size, factor))] for size, factor in ((2, 2), (8, 2), (7, 4))]
    head = [message("learn.input_size"), message("learn.upsampling.factor"), message("learn.output_size")]
    lines = [message("learn.upsampling.idea"), message("learn.upsampling.gradient")]
    digit = load_digits()[0][3].astype(float)[None, None]
    repeated = Figure(
        [
            table(IMAGE, message("learn.image"), low=0, high=5),
            table(output, message("learn.output"), low=0, high=5),
            table(np.arange(16.0).reshape(4, 4), message("learn.upsampling.arriving"), low=0, high=50),
            table(back, message("learn.upsampling.passed_on"), low=0, high=50),
        ],
        message("learn.upsampling.title"),
        columns=4,
    )
    pictures = Figure(
        [
            picture(values[0, 0], f"{values.shape[2]} × {values.shape[3]}", side=float(8 * values.shape[2]))
            for values in (digit, Upsampling(2).forward(digit), Upsampling(4).forward(digit))
        ],
        message("learn.upsampling.larger"),
    )
    section = Section(message("learn.upsampling.sizes"), lines, Table(head, rows))
    return Lesson(
        [section], {"squares": repeated, "digit": pictures}, {"image": IMAGE, "output": output, "gradient": back}
    )
