"""Figures without a plotting library: data, one layout, and two canvases (SVG and Pillow).

    figure = Figure([Panel([Line(x, y, "loss")], x=Axis("epoch"), y=Axis("loss"))], title="Training")
    figure.write("loss.svg")
    figure.png(scale=2)

`charts` has the figures that reports need, ready made.
"""

from manako.figures.bars import Area, Bars, Steps
from manako.figures.charts import (
    bar_chart,
    confusion_matrix,
    gallery,
    histogram,
    learning_curves,
    reliability,
)
from manako.figures.colours import class_style
from manako.figures.figure import HIDDEN, Axis, Figure, Panel, names_axis
from manako.figures.graph import Edge, Graph, Node
from manako.figures.grids import Cells, Heatmap, Image
from manako.figures.marks import Arrow, Line, Mark, Points, Rule, Text

__all__ = [
    "HIDDEN",
    "Area",
    "Arrow",
    "Axis",
    "Bars",
    "Cells",
    "Edge",
    "Figure",
    "Graph",
    "Heatmap",
    "Image",
    "Line",
    "Mark",
    "Node",
    "Panel",
    "Points",
    "Rule",
    "Steps",
    "Text",
    "bar_chart",
    "class_style",
    "confusion_matrix",
    "gallery",
    "histogram",
    "learning_curves",
    "names_axis",
    "reliability",
]
