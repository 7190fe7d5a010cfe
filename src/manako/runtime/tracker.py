"""The same number for the same object in the pictures of a video.

After ByteTrack (Zhang et al. 2022, arXiv:2110.06864): objects found with confidence are matched first; what is then
left of the known objects is matched with the doubtful ones, which are often known objects half hidden. Positions are
foreseen by a Kalman filter of constant velocity (after SORT, Bewley et al. 2016), whose four coordinates are
independent, so that it needs no matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from manako.metrics.boxes import suppress
from manako.tasks.detection import DOUBTFUL
from manako.types import Detections

Floats = NDArray[np.float64]
_NONE = -1  # number of what was seen once so far
# Noise in parts of the object's size, a picture.
_PLACE, _SPEED = 1 / 20, 1 / 160
_CERTAIN, _DOUBTFUL, _FRESH = 0.2, 0.5, 0.3  # least overlap to be matched: sure, doubtful, seen once before
_GAP = 5  # pictures: who was seen so recently may be found again by a doubtful sighting
_SAME_PLACE = 0.6  # overlap of what can't be two objects, of whatever classes
_OTHER_CLASS = 0.2  # overlap that a change of class costs


@dataclass(frozen=True, eq=False)
class _Tracks:
    """What is known of the N objects followed. place, speed: (N, 4) centre x, y, width, height. var_*: (N, 4), the
    filter's covariance. seen: in how many pictures. missed: pictures since the last."""

    number: NDArray[np.int64]
    class_id: NDArray[np.int64]
    place: Floats
    speed: Floats
    var_place: Floats
    covariance: Floats
    var_speed: Floats
    seen: NDArray[np.int64]
    missed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.number)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> _Tracks:
        return _Tracks(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})

    def and_also(self, other: _Tracks) -> _Tracks:
        pairs = {n: (getattr(self, n), getattr(other, n)) for n in self.__dataclass_fields__}
        return _Tracks(**{name: np.concatenate(pair) for name, pair in pairs.items()})


@dataclass
class Tracker:
    """Follows the objects of one video. Give it each picture's detections in turn, also those below `confidence`.

    memory: for how many pictures an object that is hidden is remembered.
    """

    memory: int = 30
    _tracks: _Tracks = field(default_factory=lambda: _born(_nothing()))
    _next: int = 1
    _begun: bool = False

    def follow(self, found: Detections, elapsed: float = 1.0) -> Detections:
        """The objects that are also in an earlier picture, with `track`: 1, 2, ... in the order of appearance; among
        them doubtful detections, from DOUBTFUL times the confidence on. In the first picture all sure ones are.
        elapsed: pictures since the last call; more where some were left out."""
        found = _one_a_place(found)
        certain = np.flatnonzero(found.score >= found.confidence)
        doubtful = np.flatnonzero((found.score < found.confidence) & (found.score >= DOUBTFUL * found.confidence))
        tracks = _foreseen(self._tracks, elapsed)
        of = np.full(len(found), -1)  # which track each detection is
        known = np.flatnonzero(tracks.seen > 1)
        _match(tracks, known, found, certain, _CERTAIN, of)
        present = np.setdiff1d(known[tracks.missed[known] <= _GAP], of)
        _match(tracks, present, found, doubtful, _DOUBTFUL, of)
        _match(tracks, np.flatnonzero(tracks.seen == 1), found, certain[of[certain] < 0], _FRESH, of)
        hit = np.flatnonzero(of >= 0)
        tracks = _corrected(tracks, of[hit], found.take(hit))
        fresh = certain[of[certain] < 0]
        born = _born(found.take(fresh))
        if not self._begun:  # in the first picture nothing could have been seen before
            born = replace(born, seen=born.seen + 1)
        of[fresh] = len(tracks) + np.arange(len(fresh))
        tracks = tracks.and_also(born)
        tracks = self._numbered(tracks)
        kept = np.flatnonzero(of >= 0)
        kept = kept[tracks.number[of[kept]] != _NONE]
        answer = replace(found.take(kept), track=tracks.number[of[kept]], confidence=0.0)
        lost = (tracks.missed > self.memory) | ((tracks.seen == 1) & (tracks.missed > 0))
        self._tracks, self._begun = tracks.take(~lost), True
        return answer

    def _numbered(self, tracks: _Tracks) -> _Tracks:
        """Numbers for those that have now been seen twice."""
        number = tracks.number.copy()
        fresh = np.flatnonzero((tracks.seen > 1) & (number == _NONE))
        number[fresh] = self._next + np.arange(len(fresh))
        self._next += len(fresh)
        return replace(tracks, number=number)


def _one_a_place(found: Detections) -> Detections:
    """Without what a detector takes for one class and for another as well: the surer answer counts."""
    order = np.argsort(-found.score, kind="stable")
    kept = suppress(found.xyxy[order], np.zeros(len(found), np.int64), iou=_SAME_PLACE, limit=len(found))
    return found.take(np.sort(order[kept]))


def _steps(elapsed: float) -> int:
    return max(1, round(elapsed))


def _nothing() -> Detections:
    return Detections.truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def _born(found: Detections) -> _Tracks:
    place = _centres(found.xyxy)
    size = _sizes(place)
    count = len(place)
    return _Tracks(
        number=np.full(count, _NONE, np.int64),
        class_id=found.class_id,
        place=place,
        speed=np.zeros((count, 4)),
        var_place=(2 * _PLACE * size) ** 2,
        covariance=np.zeros((count, 4)),
        var_speed=(10 * _SPEED * size) ** 2,
        seen=np.ones(count, np.int64),
        missed=np.zeros(count, np.int64),
    )


def _foreseen(tracks: _Tracks, elapsed: float) -> _Tracks:
    """The filter's first half: where each object should be now."""
    size = _sizes(tracks.place)
    var_speed, covariance = tracks.var_speed, tracks.covariance
    place = tracks.place + elapsed * tracks.speed
    place[:, 2:] = np.maximum(place[:, 2:], 1e-3)
    return replace(
        tracks,
        place=place,
        var_place=tracks.var_place + elapsed * (2 * covariance + elapsed * var_speed) + elapsed * (_PLACE * size) ** 2,
        covariance=covariance + elapsed * var_speed,
        var_speed=var_speed + elapsed * (_SPEED * size) ** 2,
        missed=tracks.missed + _steps(elapsed),
    )


def _corrected(tracks: _Tracks, index: NDArray[np.int64], found: Detections) -> _Tracks:
    """The filter's second half: `index` was seen as `found`."""
    changed = {n: getattr(tracks, n).copy() for n in tracks.__dataclass_fields__}
    seen = _centres(found.xyxy)
    error = seen - tracks.place[index]
    var, both = tracks.var_place[index], tracks.covariance[index]
    total = var + (_PLACE * _sizes(tracks.place[index])) ** 2
    changed["place"][index] += var / total * error
    changed["speed"][index] += both / total * error
    changed["var_place"][index] = var * (1 - var / total)
    changed["covariance"][index] = both * (1 - var / total)
    changed["var_speed"][index] -= both**2 / total
    changed["class_id"][index] = found.class_id
    changed["seen"][index] += 1
    changed["missed"][index] = 0
    return _Tracks(**changed)


def _match(
    tracks: _Tracks,
    which: NDArray[np.int64],
    found: Detections,
    candidates: NDArray[np.int64],
    least: float,
    of: NDArray[np.int64],
) -> None:
    """Pair tracks and detections so that the sum of overlaps is greatest, none below `least`; written to `of`."""
    if not len(which) or not len(candidates):
        return
    from scipy.optimize import linear_sum_assignment

    overlap = _overlaps(_corners(tracks.place[which]), found.xyxy[candidates].astype(np.float64))
    overlap -= _OTHER_CLASS * (tracks.class_id[which][:, None] != found.class_id[candidates])
    rows, columns = linear_sum_assignment(np.where(overlap >= least, -overlap, 0.0))
    good = overlap[rows, columns] >= least
    of[candidates[columns[good]]] = which[rows[good]]


def _centres(xyxy: NDArray[np.float32]) -> Floats:
    low, high = xyxy[:, :2].astype(np.float64), xyxy[:, 2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _corners(place: Floats) -> Floats:
    return np.concatenate([place[:, :2] - place[:, 2:] / 2, place[:, :2] + place[:, 2:] / 2], axis=1)


def _sizes(place: Floats) -> Floats:
    """(N, 4) what the noise of each coordinate is a part of: width for x, height for y."""
    return np.maximum(np.tile(place[:, 2:], 2), 1.0)


def _overlaps(first: Floats, second: Floats) -> Floats:
    """(N, M) intersection over union."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9))
