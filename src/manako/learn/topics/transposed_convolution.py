"""Transposed convolution: zeros go between the pixels, then a convolution; the adjoint of convolution."""

from __future__ import annotations

import numpy as np

from manako.figures import Figure
from manako.learn.convolution import Convolution
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.panels import table
from manako.learn.shapes import transposed_size
from manako.learn.transposed_convolution import TransposedConvolution, insert_zeros
from manako.messages import message

TITLE = "learn.transposed_convolution.title"
ORDER = 140

IMAGE = np.array([[1, 2], [3, 4]], float)
KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], float) / 4
SETTINGS = ((3, 2, 0), (3, 2, 1), (4, 2, 1), (2, 2, 0))


def transpose(image: Array, kernel: Array, *, stride: int, padding: int = 0) -> Array:
    layer = TransposedConvolution(1, 1, len(kernel), stride=stride, padding=padding)
    layer.parameters["weight"][0, 0] = kernel
    output: Array = layer.forward(image[None, None])[0, 0]
    return output


def play(seed: int = 0) -> Lesson:
    output = transpose(IMAGE, KERNEL, stride=2)
    left, right = _adjoint(np.random.default_rng(seed))
    overlaps = {k: transpose(np.ones((4, 4)), np.ones((k, k)), stride=2) for k in (3, 4)}
    rows = [[str(k), str(s), str(p), str(transposed_size(8, k, s, p))] for k, s, p in SETTINGS]
    head = [message("learn.kernel"), message("learn.stride"), message("learn.padding"), message("learn.output_size")]
    sections = [
        Section(
            message("learn.transposed_convolution.sizes"),
            [message("learn.transposed_convolution.idea"), message("learn.transposed_convolution.formula")],
            Table(head, rows),
        ),
        Section(
            message("learn.transposed_convolution.adjoint"),
            [message("learn.transposed_convolution.equal", left=number(left, 9), right=number(right, 9))],
        ),
        Section(message("learn.transposed_convolution.checkerboard"), [message("learn.transposed_convolution.uneven")]),
    ]
    figures = {"steps": _steps(output), "overlap": _overlap(overlaps)}
    data = {
        "image": IMAGE,
        "kernel": KERNEL,
        "output": output,
        "adjoint": [left, right],
        "overlaps": {str(k): v for k, v in overlaps.items()},
    }
    return Lesson(sections, figures, data)


def _adjoint(rng: np.random.Generator) -> tuple[float, float]:
    """<conv(u), x> and <u, transposed(x)> for random u and x and one kernel."""
    forward, back = Convolution(2, 3, 3, stride=2, padding=1), TransposedConvolution(3, 2, 3, stride=2, padding=1)
    kernel = rng.normal(size=(3, 2, 3, 3))
    forward.parameters["weight"][...] = kernel
    back.parameters["weight"][...] = kernel
    u, x = rng.normal(size=(1, 2, 7, 7)), rng.normal(size=(1, 3, 4, 4))
    return float((forward.forward(u) * x).sum()), float((u * back.forward(x)).sum())


def _steps(output: Array) -> Figure:
    spread = np.pad(insert_zeros(IMAGE[None, None], 2)[0, 0], 2)
    pixels = [(2 + 2 * i, 2 + 2 * j) for i in range(2) for j in range(2)]
    return Figure(
        [
            table(IMAGE, message("learn.image"), cell=34, low=0, high=5),
            table(spread, message("learn.transposed_convolution.spread"), cell=34, outlined=pixels, low=0, high=5),
            table(KERNEL, message("learn.kernel"), decimals=2, cell=38, low=0, high=2),
            table(output, message("learn.output"), decimals=2, cell=38, low=0, high=5),
        ],
        message("learn.transposed_convolution.title"),
        message("learn.transposed_convolution.note"),
        columns=4,
    )


def _overlap(overlaps: dict[int, Array]) -> Figure:
    panels = [
        table(counts, message("learn.transposed_convolution.overlap", kernel=k), cell=30, low=0, high=5)
        for k, counts in overlaps.items()
    ]
    return Figure(panels, message("learn.transposed_convolution.checkerboard"), columns=2)
