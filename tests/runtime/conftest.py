from __future__ import annotations

from pathlib import Path

import pytest
from runtime_helpers import NAMES, DigitNet, card_for, trained_net, write_digit_files

from manako.training.export import ExportResult, export_onnx
from manako.types import Sample


@pytest.fixture(scope="session")
def net() -> DigitNet:
    return trained_net()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """64 digits that the net has seen."""
    return write_digit_files(tmp_path_factory.mktemp("digits"), 64)


@pytest.fixture(scope="session")
def exported(net: DigitNet, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    path: Path = tmp_path_factory.mktemp("export") / "model.onnx"
    return export_onnx(net, card_for(net, settings={"temperature": 1.5}), path, samples=samples, classes=NAMES)
