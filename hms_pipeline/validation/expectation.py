"""What an expectation and a suite are, and the catalogue of expectations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..catalogue import Catalogue
from ..config.validation import ValidationParams

Severity = Literal["critical", "warning", "info"]

# Suite → (the column whose values name what failed, what the suite looks at).
SUITES = {
    "train_csv": ("row", "train.csv as it came"),
    "windows": ("label_id", "the rows of train.csv with the measures of their signal"),
    "eeg_files": ("eeg_id", "the EEG files"),
    "spectrogram_files": ("spectrogram_id", "the spectrogram files"),
    "outcome": ("data_set", "the data set as a whole"),
}


@dataclass(frozen=True)
class Expected:
    """One expectation of a suite.

    Parameters
    ----------
    name : str
        In the catalogue and in summary.json.
    suite : str
        One of ``SUITES``.
    rule : str or None
        The cleaning rule that removes what fails.
    severity : str
        ``critical`` stops the pipeline; ``warning`` removes or reports; ``info`` reports.
    build : callable
        ``(ValidationParams) ->`` a Great Expectations expectation.
    """

    name: str
    suite: str
    rule: str | None
    severity: Severity
    build: Callable[[ValidationParams], Any]


EXPECTATIONS: Catalogue[Expected] = Catalogue("expectation")


def expect(
    *suites: str, rule: str | None = None, severity: Severity = "warning", name: str | None = None
) -> Callable[[Callable], Callable]:
    """Decorator that adds ``(ValidationParams) -> expectation`` to ``EXPECTATIONS``.

    The entry's name is the suite's and ``name``, or the function's, joined by a dot.
    """

    def add(build: Callable[[ValidationParams], Any]) -> Callable:
        for suite in suites:
            full = f"{suite}.{name or build.__name__}"
            EXPECTATIONS.register(full)(Expected(full, suite, rule, severity, build))
        return build

    return add
