"""A contact sheet: a row of small pictures for each cluster, those nearest to its middle first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from manako.decode import open_image
from manako.figures import HIDDEN, Axis, Figure, Panel
from manako.figures import Image as Picture
from manako.learn.layer import Array, Integers
from manako.messages import message

THUMBNAIL = 96  # pixels, the longer side
SHOWN = 10  # pictures of each cluster


def contact_sheet(paths: Sequence[Path], cluster: Integers, vectors: Array) -> Figure:
    """`cluster` (N,) from 0, `vectors` (N, D)."""
    panels = []
    for index in range(int(cluster.max()) + 1):
        members = np.flatnonzero(cluster == index)
        middle = vectors[members].mean(0)
        nearest = members[np.argsort(((vectors[members] - middle) ** 2).sum(1), kind="stable")][:SHOWN]
        title = message("learn.cluster.row", number=index + 1, images=len(members))
        panels += [_thumbnail(paths[i], title if place == 0 else "") for place, i in enumerate(nearest)]
        panels += [Panel(x=HIDDEN, y=HIDDEN, width=THUMBNAIL, height=THUMBNAIL)] * (SHOWN - len(nearest))
    return Figure(panels, message("learn.cluster.contact_sheet"), columns=SHOWN)


def _thumbnail(path: Path, title: str) -> Panel:
    image = open_image(path, at_least=(THUMBNAIL, THUMBNAIL)).convert("RGB")
    shrink = THUMBNAIL / max(image.size)
    width, height = (max(12, round(side * shrink)) for side in image.size)
    small = np.asarray(image.resize((2 * width, 2 * height), Image.Resampling.LANCZOS))
    return Panel([Picture(small)], title, HIDDEN, Axis(hidden=True, reverse=True), width, height)
