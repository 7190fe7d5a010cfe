"""What every test may rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from manako.messages import set_language


@pytest.fixture(autouse=True)
def language_of_the_environment() -> Iterator[None]:
    """A test that runs a command with `--lang` leaves no language behind for the next one."""
    yield
    set_language(None)
