"""The errors this package raises. Each states the rule, what was got, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AutoMLPhenoError(Exception):
    """Base of every error a user can cause; the command line turns it into one line and exit code 2."""


class SpaceError(AutoMLPhenoError, ValueError):
    """A search space is malformed. The message starts with ``file:line: path:`` where they are known."""


class DataError(AutoMLPhenoError, ValueError):
    """An input file, a table or a trait breaks a rule."""


class SplitError(AutoMLPhenoError, ValueError):
    """A split cannot be made as asked."""


class CurationError(AutoMLPhenoError, ValueError):
    """Curation cannot be done as asked, or leaves nothing to learn from."""


class StudyError(AutoMLPhenoError, ValueError):
    """A study or a run folder cannot be used as asked."""


class OutputError(StudyError):
    """A file cannot be written; what stood there before is intact."""


class PredictorError(AutoMLPhenoError, ValueError):
    """A predictor cannot be fitted, loaded or applied to this input."""


class InfeasibleError(AutoMLPhenoError, ValueError):
    """A concrete configuration cannot become a network for this input; the message is the reason."""


class TrainingError(AutoMLPhenoError, RuntimeError):
    """Training broke off, for example because the loss was not finite."""


class InputWarning(UserWarning):
    """Inputs are not quite what a model was fitted on: what was done about it, with counts."""


class UnknownNameError(AutoMLPhenoError, LookupError):
    """A name is not in a registry; lists the known names and guesses."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; {known_names(name, known)}")


def known_names(name: object, known: Iterable[str]) -> str:
    """Return ``known: a, b, c; did you mean 'a'?`` for a misspelt name."""
    names = sorted(known)
    text = f"known: {', '.join(names) if names else '(none)'}"
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"{text}; did you mean {close[0]!r}?" if close else text
