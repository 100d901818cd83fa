"""What is wrong with a sample, known because it was put there."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ..schema import ELECTRODES, SFREQ, SPECTROGRAM_ROWS, SPECTROGRAM_STEP_S, WINDOW_SAMPLES
from .session import Session

PEAK_UV = 1000.0  # smaller artefacts are not listed
STILL_S = 0.5


@dataclass(frozen=True)
class Truth:
    """One line of defects_truth.csv.

    Parameters
    ----------
    kind : str
        ``window`` (id is a label_id), ``eeg`` or ``spectrogram``.
    id : int
    rule : str
        Name of the cleaning rule that should find it.
    detail : str
        What was done, with numbers.
    origin : str
        ``planted`` by a defect; ``simulated``: an artefact or gap of the simulation itself,
        listed with its size, which may lie on either side of a threshold.
    variant : str
        Name of the defect or of the artefact.
    partner : int
        The other item of a pair, of which one may stay; 0 where there is none.
    value : float
        Size, in the detail's unit, where one number says it.
    """

    kind: str
    id: int
    rule: str
    detail: str
    origin: str = "planted"
    variant: str = ""
    partner: int = 0
    value: float = 0.0


TRUTH_COLUMNS = tuple(Truth.__dataclass_fields__)


def truth_table(lines: list[Truth]) -> pd.DataFrame:
    """Truth in a stable order."""
    table = pd.DataFrame([asdict(line) for line in lines], columns=list(TRUTH_COLUMNS))
    by = ["origin", "rule", "kind", "id", "variant"]
    return table.sort_values(by, kind="stable", ignore_index=True)


def simulated_findings(session: Session) -> list[Truth]:
    """Gaps, still stretches and extreme amplitudes of a session's windows, as they came out."""
    lines = []
    for eeg, samples in session.eegs:
        for window in eeg.windows:
            start = int(window.offset_s * SFREQ)
            cut = samples[:, start : start + WINDOW_SAMPLES]
            first = int((eeg.spectrogram_offset_s + window.offset_s) / SPECTROGRAM_STEP_S)
            rows = session.spectrogram[..., first : first + SPECTROGRAM_ROWS]
            lines += _window_findings(window.label_id, cut, rows)
    return lines


def _window_findings(label_id: int, eeg: np.ndarray, spectrogram: np.ndarray) -> list[Truth]:
    scalp = eeg[: len(ELECTRODES)]
    found = []
    share = float(np.isnan(eeg).mean(axis=1).max())
    if share:
        found.append(("missing_values", "eeg_gap", share, f"{share:.4f} of an electrode"))
    share = float(np.isnan(spectrogram).any(axis=(0, 1)).mean())
    if share:
        found.append(("missing_values", "spectrogram_gap", share, f"{share:.4f} of the rows"))
    peak = float(np.nanmax(np.abs(scalp - np.nanmedian(scalp, axis=1, keepdims=True)), initial=0))
    if peak > PEAK_UV:
        found.append(("extreme_amplitude", "artefact", peak, f"{peak:.0f} uV from the median"))
    still = longest_still(scalp) / SFREQ
    if still > STILL_S:
        found.append(("dead_channel", "still", still, f"an electrode rests for {still:.2f} s"))
    return [
        Truth("window", label_id, rule, detail, "simulated", variant, value=value)
        for rule, variant, value, detail in found
    ]


def longest_still(eeg: np.ndarray) -> int:
    """Longest run of equal samples of any channel.

    Examples
    --------
    >>> longest_still(np.array([[1.0, 2.0, 2.0, 2.0, 3.0], [1.0, 2.0, 1.0, 2.0, 2.0]]))
    3
    """
    changes = np.ones((len(eeg), eeg.shape[1] + 1), bool)
    changes[:, 1:-1] = eeg[:, 1:] != eeg[:, :-1]
    return max(int(np.diff(np.flatnonzero(row)).max()) for row in changes)
