"""Ctrl-C once: stop after this step and keep everything. Twice: stop now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from manako.console import say


@dataclass
class StopRequest:
    asked: bool = False


@contextmanager
def stop_on_request() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; the next SIGINT interrupts as usual."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.asked = True
        say("training.stopping")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
