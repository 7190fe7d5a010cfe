"""Progress for people: silent when asked, lines in a log, a bar in a terminal; never on standard output."""

from __future__ import annotations

import io
import sys

import pytest

from manako import console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_lines_with_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.bar("cache.bar", total=10) as bar:
        for _ in range(10):
            now[0] += 6.0
            bar.step(note="n")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert not out and len(lines) == 5
    assert "2" in lines[0] and "48" in lines[0]  # 2 of 10 took 12 s: 8 more take 48 s


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(console.progress(range(3), "cache.bar", 3)) == [0, 1, 2]
    assert "\r" in terminal.getvalue()


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.quiet():
        console.write("text")
        with console.bar("cache.bar", total=1) as bar:
            bar.step()
    assert capsys.readouterr() == ("", "")
