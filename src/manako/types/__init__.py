"""The few types that all rooms share: what a sample is, how pixels map back, what a task predicts.

Coordinates are original-image pixels, float, x before y. Truth and prediction have the same type, so one
function draws both and one function compares them. All are checked once, at birth.
"""

from __future__ import annotations

from manako.types.data import SPLITS as SPLITS
from manako.types.data import Dataset as Dataset
from manako.types.data import Deferred as Deferred
from manako.types.data import Prediction as Prediction
from manako.types.data import Problem as Problem
from manako.types.data import Sample as Sample
from manako.types.data import Split as Split
from manako.types.frames import Frame as Frame
from manako.types.frames import Window as Window
from manako.types.maps import IGNORE as IGNORE
from manako.types.maps import Anomaly as Anomaly
from manako.types.maps import Depth as Depth
from manako.types.maps import Generated as Generated
from manako.types.maps import Labels as Labels
from manako.types.maps import Segmentation as Segmentation
from manako.types.objects import Detections as Detections
from manako.types.objects import Outline as Outline
from manako.types.objects import Poses as Poses
from manako.types.objects import Skeleton as Skeleton
from manako.types.scores import Evaluation as Evaluation
from manako.types.scores import Score as Score
from manako.types.text import UNKNOWN_CHARACTER as UNKNOWN_CHARACTER
from manako.types.text import TextLine as TextLine
from manako.types.text import TextRegions as TextRegions
