"""What an import gave, as a table for the owner of the files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ...system.errors import InputError
from .labels import LeftOut

REPORT_COLUMNS = (
    "file", "row", "start_s", "what", "reason",
    "label_id", "eeg_id", "spectrogram_id", "patient_id",
)  # fmt: skip
WINDOW, WARNING = "window", "warning"  # of the report's column `what`; else what was left out


@dataclass
class Imported:
    """What an import gave.

    Parameters
    ----------
    rows : list of dict
        Rows of train.csv, with ``file`` and ``start_s``.
    left_out : list of LeftOut
    warnings : list of (str, str)
        File and sentence.
    remarks : list of str
        On the import as a whole.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def report(self) -> pd.DataFrame:
        """``REPORT_COLUMNS``: windows, what was left out, warnings."""
        windows = [row | {"what": WINDOW, "reason": ""} for row in self.rows]
        others = [
            {"file": f, "row": row, "start_s": at, "what": kind, "reason": reason}
            for f, row, at, kind, reason in self.left_out
        ]
        said = [{"file": f, "what": WARNING, "reason": text} for f, text in self.warnings]
        table = pd.DataFrame([*windows, *others, *said], columns=list(REPORT_COLUMNS))
        whole = {name: "Int64" for name in REPORT_COLUMNS if name == "row" or name.endswith("_id")}
        return table.astype(whole).sort_values(["file", "what", "start_s"], kind="stable")


class NothingImportedError(InputError):
    """No window is left, so no folder was made; ``imported`` says why."""

    def __init__(self, imported: Imported) -> None:
        kinds = Counter(left.kind for left in imported.left_out)
        first = f" The first: {imported.left_out[0].reason}" if imported.left_out else ""
        super().__init__(
            f"An import needs at least one window, but none is left ({_counts(kinds)}).{first}"
        )
        self.imported = imported


def _counts(kinds: Counter[str]) -> str:
    """Such as ``12 outside the recording, 1 class``."""
    return ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()) or "no label was given"
