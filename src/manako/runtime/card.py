"""The model card: all that is needed to use a model, stored inside its file (checkpoint or ONNX) as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from manako.errors import ModelFileError
from manako.images import Preprocess
from manako.types import Skeleton

FORMAT_VERSION = 1
METADATA_KEY = "manako"

Option = bool | int | float | str


@dataclass(frozen=True)
class ModelCard:
    """What a model is and how it is fed.

    options: the model's own constructor options. mean, std: one number a channel, for pixels scaled to 0..1;
    they are applied inside the graph and recorded here. settings: the numbers that the task's `decode` uses.
    data: fingerprint of the training data. scores: metric -> value on the validation set, PyTorch.
    skeleton: of poses.
    parity: what the export was measured to keep (`max_difference`, `score_before`, `score_after`), empty before.
    """

    task: str
    model: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    mean: tuple[float, ...]
    std: tuple[float, ...]
    options: Mapping[str, Option] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    parity: Mapping[str, float] = field(default_factory=dict)
    data: str = ""
    manako: str = ""
    notice: str = ""
    skeleton: Skeleton | None = None

    def dumps(self) -> str:
        """One JSON object."""
        record = asdict(self) | {"format_version": FORMAT_VERSION, "preprocess": self.preprocess.as_json()}
        return json.dumps(record, ensure_ascii=False, sort_keys=True, allow_nan=False)

    @classmethod
    def loads(cls, text: str, *, file: str) -> ModelCard:
        """Read a card from an untrusted file. Raises ModelFileError naming the field that is wrong."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelFileError("card.not_json", file=file, reason=str(error)) from None
        if not isinstance(record, dict):
            raise ModelFileError("card.not_json", file=file, reason=type(record).__name__)
        version = record.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ModelFileError("card.version", file=file, found=repr(version)[:40], known=FORMAT_VERSION)
        return cls(**_checked(record, file))


def _checked(record: dict[str, Any], file: str) -> dict[str, Any]:
    known = set(ModelCard.__dataclass_fields__)
    required = ("task", "model", "classes", "preprocess", "mean", "std")
    for name in required:
        if name not in record:
            raise ModelFileError("card.field", file=file, field=name, reason="missing")
    for name, value in record.items():
        if name not in known:
            raise ModelFileError("card.field", file=file, field=name[:40], reason="unknown")
        reason = _reason(name, value)
        if reason:
            raise ModelFileError("card.field", file=file, field=name, reason=reason)
    lists = {name: tuple(record[name]) for name in ("classes", "mean", "std")}
    skeleton = _skeleton(record.get("skeleton"), file)
    return record | lists | {"preprocess": Preprocess.from_json(record["preprocess"]), "skeleton": skeleton}


def _skeleton(value: Any, file: str) -> Skeleton | None:
    """Tuples of JSON's lists; what doesn't fit together is refused by the type itself."""
    if value is None:
        return None
    try:
        pairs = {name: tuple((int(a), int(b)) for a, b in value[name]) for name in ("limbs", "flips")}
        return Skeleton(tuple(map(str, value["points"])), **pairs, sigmas=tuple(map(float, value["sigmas"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError("card.field", file=file, field="skeleton", reason=" ".join(str(error).split())) from None


def _reason(name: str, value: Any) -> str:
    if name in ("task", "model", "data", "manako", "notice"):
        return "" if isinstance(value, str) else "not text"
    if name == "classes":
        good = isinstance(value, list) and all(isinstance(c, str) for c in value) and len(set(value)) == len(value)
        return "" if good else "not a list of different names"
    if name in ("mean", "std"):
        good = isinstance(value, list) and len(value) in (1, 3) and all(_number(v) for v in value)
        return "" if good and (name == "mean" or all(v > 0 for v in value)) else "not one number a channel"
    if name == "skeleton" and value is None:
        return ""
    if name in ("preprocess", "skeleton"):
        return "" if isinstance(value, dict) else "not an object"
    if not isinstance(value, dict):
        return "not an object"
    if name == "options":
        return "" if all(isinstance(v, (bool, str)) or _number(v) for v in value.values()) else "not plain values"
    return "" if all(_number(v) for v in value.values()) else "not numbers"


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
