"""Convolution: a small kernel slides over the image; each place gets the weighted sum of what the kernel covers."""

from __future__ import annotations

import numpy as np

from manako.figures import Figure
from manako.learn.convolution import Convolution, pad
from manako.learn.layer import Array
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.panels import picture, table
from manako.learn.shapes import convolution_size
from manako.messages import message
from manako.samples.digits import load_digits

TITLE = "learn.convolution.title"
ORDER = 110

IMAGE = np.array([[0, 0, 0, 9, 9], [0, 0, 0, 9, 9], [0, 0, 0, 9, 9], [1, 1, 1, 9, 9], [1, 1, 1, 9, 9]], float)
KERNELS = {
    "vertical": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float),
    "horizontal": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], float),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], float),
    "blur": np.full((3, 3), 1 / 9),
}
SETTINGS = ((3, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2))
PLACE = (1, 2)  # the output that is worked out


def convolve(image: Array, kernel: Array, *, stride: int = 1, padding: int = 0, mode: str = "zero") -> Array:
    """One image (H, W) and one kernel (k, k) through the engine's layer."""
    layer = Convolution(1, 1, len(kernel), stride=stride, padding=padding, padding_mode=mode)
    layer.parameters["weight"][0, 0] = kernel
    output: Array = layer.forward(image[None, None])[0, 0]
    return output


def play(seed: int = 0) -> Lesson:
    kernel = KERNELS["vertical"]
    output = convolve(IMAGE, kernel)
    padded = {mode: convolve(IMAGE, kernel, padding=1, mode=mode) for mode in ("zero", "replicate")}
    digit = load_digits()[0][3].astype(float) / 255
    figures = {
        "sum": _sum(output),
        "padding": _padding(padded),
        "feature-maps": _maps(digit),
    }
    data = {"image": IMAGE, "kernel": kernel, "output": output, "padded": padded}
    return Lesson([_one_place(output), _sizes()], figures, data)


def _one_place(output: Array) -> Section:
    i, j = PLACE
    window, kernel = IMAGE[i : i + 3, j : j + 3], KERNELS["vertical"]
    terms = " ".join(
        f"{'−' if k < 0 else '+'} {abs(k):g}×{x:g}" for k, x in zip(kernel.flat, window.flat, strict=True) if k
    )
    facts = {"row": i + 1, "column": j + 1, "terms": terms.removeprefix("+ "), "sum": number(output[PLACE], 0)}
    lines = [message("learn.convolution.idea"), message("learn.convolution.place", **facts)]
    return Section(message("learn.convolution.one_place"), lines)


def _sizes() -> Section:
    rows = [[str(k), str(s), str(p), f"{(h := convolution_size(28, k, s, p))} × {h}"] for k, s, p in SETTINGS]
    head = [message("learn.kernel"), message("learn.stride"), message("learn.padding"), message("learn.output_size")]
    return Section(message("learn.convolution.sizes"), [message("learn.convolution.formula")], Table(head, rows))


def _sum(output: Array) -> Figure:
    i, j = PLACE
    window = [(i + u, j + v) for u in range(3) for v in range(3)]
    return Figure(
        [
            table(IMAGE, message("learn.image"), outlined=window),
            table(KERNELS["vertical"], message("learn.kernel"), kind="signed"),
            table(output, message("learn.output"), kind="signed", outlined=[PLACE]),
        ],
        message("learn.convolution.one_place"),
        message("learn.convolution.edges"),
    )


def _padding(padded: dict[str, Array]) -> Figure:
    panels = []
    for mode, output in padded.items():
        wide = pad(IMAGE[None, None], 1, mode)[0, 0]
        panels += [
            table(wide, message(f"learn.convolution.{mode}"), outlined=_border(len(wide)), cell=30),
            table(output, message("learn.output"), kind="signed", cell=30, low=-40, high=40),
        ]
    return Figure(panels, message("learn.convolution.padding"), message("learn.convolution.padding_note"), columns=4)


def _border(size: int) -> list[tuple[int, int]]:
    last = size - 1
    return [(i, j) for i in range(size) for j in range(size) if i in (0, last) or j in (0, last)]


def _maps(digit: Array) -> Figure:
    panels = [picture(digit, message("learn.image"), side=120)]
    for name, kernel in KERNELS.items():
        output = convolve(digit, kernel, padding=1)
        signed = name in ("vertical", "horizontal")
        label = message(f"learn.convolution.{name}")
        panels.append(picture(output, label, side=120, kind="signed" if signed else "grey"))
    return Figure(panels, message("learn.convolution.maps"), columns=5)
