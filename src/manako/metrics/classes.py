"""The metrics of one-label answers, from scikit-learn where it has them: tables in, plain numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.metrics.calibration import expected_calibration_error, reliability

HISTOGRAM_BINS = 20


@dataclass(frozen=True, eq=False)
class ClassScores:
    """metrics: name -> number. per_class: (K, 4) precision, recall, F1, images. tables: as in `Evaluation`."""

    metrics: dict[str, float]
    per_class: NDArray[np.float64]
    tables: dict[str, NDArray[np.float64]]


def score_classes(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> ClassScores:
    """probabilities: (N, K), rows sum to 1; truth: (N,), each under K; N >= 1.

    Macro averages are over the classes that occur in the truth or the answers, balanced accuracy over those that occur
    in the truth, as in scikit-learn. Confusion: rows are the truth, columns the answers.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

    classes = probabilities.shape[1]
    answer = probabilities.argmax(axis=1)
    correct, confidence = answer == truth, probabilities.max(axis=1)
    names = range(classes)
    precision, recall, f1, support = precision_recall_fscore_support(truth, answer, labels=names, zero_division=0)
    occurs = np.union1d(truth, answer)
    table = reliability(confidence, correct)
    likelihood = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    metrics = {
        "accuracy": float(correct.mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "macro_precision": float(precision[occurs].mean()),
        "macro_recall": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
        "nll": float(-np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean()),
        "ece": expected_calibration_error(table),
    }
    if classes > 5:
        metrics["top5"] = float(top_k_accuracy_score(truth, probabilities, k=5, labels=names))
    tables = {
        "confusion": confusion_matrix(truth, answer, labels=names).astype(np.float64),
        "reliability": table,
        "confidence": _histogram(confidence, correct),
    }
    return ClassScores(metrics, np.stack([precision, recall, f1, support], 1), tables)


def _histogram(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(bins, 2): how many right and how many wrong answers in each of equal bins of confidence 0..1."""
    right, wrong = (np.histogram(confidence[c], HISTOGRAM_BINS, (0, 1))[0] for c in (correct, ~correct))
    return np.stack([right, wrong], 1).astype(np.float64)
