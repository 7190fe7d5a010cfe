"""`manako learn`: the topics are the files in `topics/`. Each has `TITLE` (a message key), `ORDER` and `play(seed)`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal

from manako.errors import UsageError
from manako.learn import topics
from manako.learn.lesson import Lesson, Table
from manako.messages import message


@dataclass(frozen=True)
class Topic:
    """`name` as it is typed: `q-learning`."""

    name: str
    title: str


@dataclass(frozen=True)
class TopicList:
    topics: Sequence[Topic]

    def text(self) -> str:
        table = Table(
            [message("learn.topic"), message("learn.about")], [[topic.name, topic.title] for topic in self.topics]
        )
        return f"{table.text()}\n\n{message('learn.how_to_play')}"

    def as_json(self) -> dict[str, object]:
        return {"topics": [{"topic": topic.name, "title": topic.title} for topic in self.topics]}


@dataclass(frozen=True, eq=False)
class Played:
    """A lesson and the figures written for it."""

    topic: Topic
    lesson: Lesson
    figures: Sequence[Path]

    def text(self) -> str:
        written = [message("learn.figure_written", file=path) for path in self.figures]
        return "\n".join([self.topic.title, "", self.lesson.text(), "", *written]).rstrip()

    def as_json(self) -> dict[str, object]:
        return {
            "topic": self.topic.name,
            "title": self.topic.title,
            "values": self.lesson.as_json(),
            "figures": [str(path) for path in self.figures],
        }


def topic_names() -> list[str]:
    """All topics as they are typed, in the order of the course."""
    names = [module.name for module in pkgutil.iter_modules(topics.__path__)]
    return [name.replace("_", "-") for name in sorted(names, key=lambda name: (_module(name).ORDER, name))]


def list_topics() -> TopicList:
    return TopicList([Topic(name, message(_module(name).TITLE)) for name in topic_names()])


def play_topic(
    name: str, out: str | Path | None = None, *, format: Literal["png", "svg"] = "png", seed: int = 0
) -> Played:
    """Compute a topic and write its figures as `out/TOPIC-FIGURE.png` (or .svg); without `out`, none is written.

    Raises UsageError for an unknown topic.
    """
    known = topic_names()
    typed = name.strip().lower().replace("_", "-")
    if typed not in known:
        near = get_close_matches(typed, known, n=1)
        if near:
            raise UsageError("learn.unknown_topic_near", topic=name, near=near[0])
        raise UsageError("learn.unknown_topic", topic=name, known=", ".join(known))
    module = _module(typed)
    play: Callable[[int], Lesson] = module.play
    lesson = play(seed)
    figures = lesson.figures.items() if out is not None else ()
    paths = [figure.write(Path(out or "") / f"{typed}-{part}.{format}") for part, figure in figures]
    return Played(Topic(typed, message(module.TITLE)), lesson, paths)


def _module(name: str) -> ModuleType:
    return import_module(f"{topics.__name__}.{name.replace('-', '_')}")
