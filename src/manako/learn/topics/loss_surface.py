"""Loss surfaces over two weights, and the ways of three optimisers across them."""

from __future__ import annotations

import numpy as np

from manako.figures import Axis, Figure, Heatmap, Line, Mark, Panel, Points
from manako.learn.lesson import Lesson, Section, Table, number, numbers
from manako.learn.optimisers import SGD, Adam, Momentum, Optimiser
from manako.learn.surfaces import SURFACES, Surface, Walk, walk
from manako.messages import message

TITLE = "learn.loss_surface.title"
ORDER = 80

STEPS = 150
SHOWN = ("ravine", "saddle", "rosenbrock", "himmelblau")
RATES = {"ravine": (0.075, 0.01, 0.3), "saddle": (0.1, 0.1, 0.1), "rosenbrock": (0.003, 0.003, 0.1),
         "himmelblau": (0.01, 0.005, 0.3)}  # fmt: skip
COLOURS = (("SGD", "text", ()), ("Momentum", "validation", (6, 4)), ("Adam", "4", (2, 3)))
LEVELS = 14


def play(seed: int = 0) -> Lesson:
    walks = {name: _walks(SURFACES[name]) for name in SHOWN}
    rows = [
        [message(f"learn.loss_surface.{name}"), kind, numbers(way.points[-1], 2), number(way.losses[-1], 4)]
        for name, ways in walks.items()
        for kind, way in ways.items()
    ]
    words = ["learn.loss_surface.surface", "learn.optimiser", "learn.loss_surface.ends_at", "learn.loss_word"]
    lines = [message(f"learn.loss_surface.{name}_line") for name in SHOWN]
    section = Section(message("learn.loss_surface.walks"), lines, Table([message(w) for w in words], rows))
    figure = Figure(
        [_panel(SURFACES[name], ways) for name, ways in walks.items()],
        message("learn.loss_surface.title"),
        message("learn.loss_surface.note"),
        columns=2,
    )
    data = {
        name: {kind: {"end": w.points[-1], "loss": w.losses[-1]} for kind, w in ways.items()}
        for name, ways in walks.items()
    }
    return Lesson([section], {"walks": figure}, data)


def _walks(surface: Surface) -> dict[str, Walk]:
    sgd, momentum, adam = RATES[surface.name]
    ways: dict[str, Optimiser] = {"SGD": SGD(sgd), "Momentum": Momentum(momentum), "Adam": Adam(adam)}
    return {name: walk(surface, optimiser, steps=STEPS) for name, optimiser in ways.items()}


def _panel(surface: Surface, ways: dict[str, Walk]) -> Panel:
    x0, x1, y0, y1 = surface.bounds
    x, y = np.meshgrid(np.linspace(x0, x1, 220), np.linspace(y0, y1, 220))
    height = np.asarray(surface.loss(x, y))
    # Steps of equal area show the slopes near the minima as well as far from them: a map with terraces.
    terraces = np.searchsorted(np.quantile(height, np.linspace(0, 1, LEVELS + 1)[1:-1]), height)
    marks: list[Mark] = [
        Heatmap(terraces.astype(float) / LEVELS, "shade", surface.bounds, low=0, high=2.2, scale=False)
    ]
    for name, colour, dash in COLOURS:
        points = ways[name].points
        marks.append(Line(points[:, 0], points[:, 1], name, colour, dash, 2.2))
    minima = np.array(surface.minima)
    marks.append(Points(minima[:, 0], minima[:, 1], message("learn.loss_surface.minimum"), "2", "cross", 6))
    marks.append(Points([surface.start[0]], [surface.start[1]], message("learn.start"), "text", "square", 5))
    axes = Axis("w₁", x0, x1), Axis("w₂", y0, y1)
    return Panel(marks, message(f"learn.loss_surface.{surface.name}"), *axes, width=330, height=260)
