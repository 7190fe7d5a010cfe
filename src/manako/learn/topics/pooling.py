"""Pooling: one number for each window, its largest or its mean."""

from __future__ import annotations

import numpy as np

from manako.figures import Figure
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.panels import picture, table
from manako.learn.pooling import AveragePooling, MaxPooling
from manako.messages import message
from manako.samples.digits import load_digits

TITLE = "learn.pooling.title"
ORDER = 120

IMAGE = np.array([[1, 3, 2, 0], [5, 6, 1, 2], [0, 2, 9, 4], [1, 1, 3, 7]], float)


def play(seed: int = 0) -> Lesson:
    largest, mean = MaxPooling(2), AveragePooling(2)
    by_max, by_mean = largest.forward(IMAGE[None, None])[0, 0], mean.forward(IMAGE[None, None])[0, 0]
    ones = np.ones((1, 1, 2, 2))
    back = {"max": largest.backward(ones)[0, 0], "mean": mean.backward(ones)[0, 0]}
    rows = [
        [numbers(IMAGE[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], 0), number(by_max[i, j], 0), number(by_mean[i, j], 2)]
        for i in range(2)
        for j in range(2)
    ]
    head = [message("learn.window"), message("learn.pooling.max"), message("learn.pooling.mean")]
    lines = [message("learn.pooling.idea"), message("learn.pooling.gradient")]
    section = Section(message("learn.pooling.windows"), lines, Table(head, rows))
    figures = {"windows": _windows(by_max, by_mean, back), "digit": _digit()}
    data = {"image": IMAGE, "max": by_max, "mean": by_mean, "gradient_max": back["max"], "gradient_mean": back["mean"]}
    return Lesson([section], figures, data)


def _windows(by_max: Array, by_mean: Array, back: dict[str, Array]) -> Figure:
    winners = [(int(i), int(j)) for i, j in np.argwhere(back["max"] > 0)]
    high = float(IMAGE.max())
    return Figure(
        [
            table(IMAGE, message("learn.image"), outlined=winners, low=0, high=high),
            table(by_max, message("learn.pooling.max"), low=0, high=high),
            table(by_mean, message("learn.pooling.mean"), decimals=2, low=0, high=high),
            table(back["max"], message("learn.pooling.back_max"), low=0, high=1),
            table(back["mean"], message("learn.pooling.back_mean"), decimals=2, low=0, high=1),
        ],
        message("learn.pooling.title"),
        message("learn.pooling.note"),
        columns=5,
    )


def _digit() -> Figure:
    digit = load_digits()[0][0].astype(float)[None, None]
    shown = {"learn.image": digit, "learn.pooling.max": MaxPooling(2).forward(digit)}
    shown["learn.pooling.mean"] = AveragePooling(2).forward(digit)
    return Figure(
        [
            picture(values[0, 0], message(key), side=130, caption=f"{values.shape[2]} × {values.shape[3]}")
            for key, values in shown.items()
        ],
        message("learn.pooling.smaller"),
    )
