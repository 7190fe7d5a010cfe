import os
from collections.abc import Iterator

import pytest
import torch

from manako.console import quiet


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no fight for the machine's cores."""
    torch.set_num_threads(1)
    with quiet():
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MANAKO_CACHE", str(tmp_path / "cache"))
    assert "WORLD_SIZE" not in os.environ
