"""What the points of a face tell: how far the eyes are open, and where the head is turned.

Points are found by name, or by place in a skeleton of 68 (the iBUG convention, counted from 0):

- eyes: `right_eye_1` to `right_eye_6` (36 to 41) and `left_eye_1` to `left_eye_6` (42 to 47): from the corner on the
  image's left along the upper lid, and back along the lower one;
- head: `nose_tip`, `chin`, `right_eye_1`, `left_eye_4`, `mouth_right`, `mouth_left` (30, 8, 36, 45, 48, 54).

Right and left are the person's own: their right eye is on the image's left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
_EYE_NAMES = {side: tuple(f"{side}_eye_{i}" for i in range(1, 7)) for side in ("right", "left")}
_EYE_68 = {"right": tuple(range(36, 42)), "left": tuple(range(42, 48))}
_HEAD_NAMES = ("nose_tip", "chin", "right_eye_1", "left_eye_4", "mouth_right", "mouth_left")
_HEAD_68 = (30, 8, 36, 45, 48, 54)
# A head of average size in millimetres: x to the person's left (the image's right), y down, z away from the camera.
HEAD = np.array([[0, 0, 0], [0, 66, 15], [-44, -36, 28], [44, -36, 28], [-27, 30, 22], [27, 30, 22]], np.float64)
IN_ALL = 68


@dataclass(frozen=True)
class FacePoints:
    """Places in a skeleton. eyes: six points each. head: six points as `HEAD` has them, or none."""

    eyes: tuple[tuple[int, ...], ...]
    head: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> FacePoints:
        """Of a skeleton's names. Either may be empty where the points are not there."""
        if len(names) == IN_ALL:
            return cls(tuple(_EYE_68.values()), _HEAD_68)
        place = {name.lower().replace(" ", "_").replace("-", "_"): i for i, name in enumerate(names)}
        eyes = [tuple(place[n] for n in wanted) for wanted in _EYE_NAMES.values() if all(n in place for n in wanted)]
        head = tuple(place[n] for n in _HEAD_NAMES) if all(n in place for n in _HEAD_NAMES) else ()
        return cls(tuple(eyes), head)


def eye_aspect_ratio(eye: Points) -> float:
    """eye: (6, 2). Height over width, about 0.3 for an open eye and under 0.2 for a closed one; NaN where a point is.

    Soukupová and Čech 2016, "Real-Time Eye Blink Detection using Facial Landmarks".
    """
    width = float(np.linalg.norm(eye[3] - eye[0]))
    heights = float(np.linalg.norm(eye[5] - eye[1]) + np.linalg.norm(eye[4] - eye[2]))
    return heights / (2 * width) if width > 0 else math.nan


def eyes_open(xy: Points, face: FacePoints) -> float:
    """xy: (K, 2). The mean aspect ratio of the eyes that were found; NaN where neither was."""
    ratios = [eye_aspect_ratio(xy[list(eye)]) for eye in face.eyes]
    known = [ratio for ratio in ratios if not math.isnan(ratio)]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class HeadAngles:
    """Degrees. yaw: to the person's left. pitch: up. roll: clockwise as the image shows it."""

    yaw: float
    pitch: float
    roll: float


def head_angles(xy: Points, face: FacePoints) -> HeadAngles | None:
    """xy: (K, 2). None without the six points of the head.

    The turned head, seen from afar, is a turned and scaled `HEAD` without its depth: the nearest such turn in the sense
    of least squares. Near the camera perspective adds a few degrees.
    """
    if not face.head or np.isnan(xy[list(face.head)]).any():
        return None
    seen = xy[list(face.head)].astype(np.float64)
    model = HEAD - HEAD.mean(0)
    rows = np.linalg.lstsq(model, seen - seen.mean(0), rcond=None)[0].T  # (2, 3), two scaled rows of the turn
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    if sizes[1] <= 1e-9 * max(1.0, sizes[0]):
        return None  # all points on a line
    turn = left @ right
    turn = np.vstack([turn, np.cross(turn[0], turn[1])])
    # turn = Rz(roll) Ry(-yaw) Rx(-pitch): the head nods, then turns, then tilts.
    yaw = math.degrees(math.asin(float(np.clip(turn[2, 0], -1, 1))))
    pitch = -math.degrees(math.atan2(turn[2, 1], turn[2, 2]))
    roll = math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
    return HeadAngles(yaw=yaw, pitch=pitch, roll=roll)
