"""scikit-learn, or an error that says how to get it."""

from __future__ import annotations

from importlib.util import find_spec

from manako.errors import MissingExtraError


def require(module: str = "sklearn", package: str = "scikit-learn", extra: str = "learn") -> None:
    """Raises MissingExtraError unless `module` can be imported."""
    if find_spec(module) is None:
        raise MissingExtraError("extra.missing", package=package, extra=extra)
