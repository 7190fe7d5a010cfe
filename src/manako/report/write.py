"""Write the page: one HTML file that loads nothing from anywhere and runs no script."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from manako.errors import MissingExtraError
from manako.messages import language, message
from manako.paths import atomic_write
from manako.report.content import ReportContent

if TYPE_CHECKING:
    from jinja2 import Environment


def write_report(path: str | Path, content: ReportContent) -> Path:
    """Write `content` to `path` (`report.html`) in the language in force, whole or not at all. Returns the path.

    Raises StorageError where it can't be written, MissingExtraError without Jinja.
    """
    environment = _environment()
    from markupsafe import Markup

    from manako.report.page import build_page

    template = environment.from_string(_text("report.html.j2"))
    style = Markup(_text("report.css"))
    html = template.render(page=build_page(content), t=message, language=language(), style=style)
    target = Path(path)
    atomic_write(target, html)
    return target


def _environment() -> Environment:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("report.needs_jinja") from None
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
