"""Every error that Manako raises on purpose.

    ManakoError
    |-- UsageError        the command or call is wrong                          (exit status 2)
    |   |-- ConfigError   an option or a configuration field is wrong
    |   `-- RunBusyError  another process is using the run folder
    |-- DataError         the data can't be used                                (exit status 3)
    |   |-- ImageError    one image can't be read
    |   `-- LabelError    one label can't be read; names file, line, field
    |-- ModelFileError    a checkpoint or an exported model can't be used       (exit status 3)
    |-- MissingExtraError a package of an optional extra isn't installed        (exit status 2)
    |-- DivergedError     the loss is not finite; the last good state is kept   (exit status 3)
    `-- StorageError      the disk is full or can't be written                  (exit status 3)

An error carries a code (a key of the message catalogue) and facts; its text is rendered in the reader's language.
"""

from __future__ import annotations

from manako.messages import message


class ManakoError(Exception):
    """Base of all. `code` is a key of the message catalogue; `facts` fill its fields."""

    exit_status = 1

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts

    def __str__(self) -> str:
        return message(self.code, **self.facts)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.facts))

    def as_json(self) -> dict[str, object]:
        """`{"error": code, "message": text, facts...}` for `--json` output."""
        facts = {k: v if isinstance(v, (int, float, bool, type(None))) else str(v) for k, v in self.facts.items()}
        return {"error": self.code, "message": str(self), "facts": facts}


def _rebuild(kind: type[ManakoError], code: str, facts: dict[str, object]) -> ManakoError:
    return kind(code, **facts)


class UsageError(ManakoError):
    exit_status = 2


class ConfigError(UsageError):
    pass


class RunBusyError(UsageError):
    pass


class MissingExtraError(UsageError):
    pass


class DataError(ManakoError):
    exit_status = 3


class ImageError(DataError):
    pass


class LabelError(DataError):
    pass


class ModelFileError(ManakoError):
    exit_status = 3


class DivergedError(ManakoError):
    exit_status = 3


class StorageError(ManakoError):
    exit_status = 3
