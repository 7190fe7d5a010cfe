"""The verb `predict`: from sources through a model to files and lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from manako.runtime.depth_files import with_depth_files
from manako.runtime.measuring import Measuring
from manako.runtime.options import PredictOptions
from manako.runtime.pipeline import predict_sources
from manako.runtime.predictor import Predictor
from manako.runtime.reading import with_beam
from manako.runtime.writer import Written, root_of, write_results


def predict(
    predictor: Predictor,
    sources: Sequence[str | Path],
    options: PredictOptions,
    *,
    out: Path | None = None,
    stream: TextIO | None = None,
) -> Written:
    """stream: where lines go, beside those in `out`."""
    settings = {"confidence": options.confidence, "iou": options.iou, "threshold": options.threshold}
    reader = with_beam(
        predictor.with_settings(**settings),
        beam=options.beam,
        lexicon=options.lexicon,
        language_model=options.language_model,
        language_weight=options.language_weight,
    )
    job, root = predict_sources(reader, sources, options), root_of(sources)
    task = job.predictor.task.name
    measuring = Measuring.of(options.scale, options.outlines, task=task, format=options.format)
    results = with_depth_files(
        job.results,
        task=task,
        out=out,
        root=root,
        clouds=options.clouds,
        cut_outs=options.cut_outs,
        max_pixels=job.max_pixels,
    )
    return write_results(
        results,
        job.predictor,
        stream=stream,
        out=out,
        format=options.format,
        draw=options.draw,
        root=root,
        max_pixels=job.max_pixels,
        readings=job.readings,
        every=options.every,
        endless=job.endless,
        measuring=measuring,
    )
