"""Many problems of one kind: the first are listed, of the rest the number is told. What people see is cut further."""

from __future__ import annotations

from collections.abc import Iterable

from manako.types import Problem

LISTED = 1000  # of a kind


def listed(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The first of each kind in their order, then one `table.more` for each kind that has others."""
    kept: list[Problem] = []
    over: dict[str, list[Problem]] = {}
    seen: dict[str, int] = {}
    for problem in problems:
        seen[problem.code] = seen.get(problem.code, 0) + 1
        if seen[problem.code] <= LISTED or problem.code == "table.more":
            kept.append(problem)
        else:
            over.setdefault(problem.code, []).append(problem)
    for code, rest in over.items():
        facts = {"file": rest[0].facts.get("file", "-"), "kind": code, "count": len(rest)}
        kept.append(Problem("table.more", facts, rest[0].severity))
    return tuple(kept)
