"""Sections `scoring` and `drift`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from .section import ASCENDING, Few, Many, Microvolts, Positive, Seconds, Section


class ScoringParams(Section):
    """Batch sizes, limits and the sliding window of long recordings.

    Those named in ``VERSIONED`` decide what a model answers: they are registered with it, and a
    change of them makes a new version. The others are the active recipe's.

    Parameters
    ----------
    hop_s : int
        Step between windows of a recording, in seconds; even, because spectrogram rows are 2 s.
    batch_windows : int
        Windows given to the ensemble at once; bounds the memory.
    chunk_windows : int
        Windows whose scores are saved together; what a killed run loses at most.
    block_s : int
        Seconds of a recording read at once for its spectrogram.
    spectrogram_coverage : float
        Share of the 10 minutes around a window that must be recorded before the recording's own
        spectrogram is used for it; 1 leaves those members out near both ends.
    max_interpolated : int
        Scalp electrodes that may be interpolated from their neighbours; more are refused.
    max_disagreement : float
        Relative misfit of bipolar derivations around a loop from which a warning is given.
    amplitude_uv : tuple of float
        Typical amplitude (µV) outside which a recording's units are taken to be wrong.
    notable : int
        Windows of a recording kept with their EEG for the report.
    settle_s : float
        An inbox file younger than this may still be being written and waits.
    max_rows : int
        Windows allowed in one request.
    max_abs_uv : float
        Absolute sample value from which a request's window is refused as not microvolts.
    """

    VERSIONED: ClassVar[tuple[str, ...]] = (
        "spectrogram_coverage",
        "max_interpolated",
        "max_rows",
        "max_abs_uv",
    )

    hop_s: int = Field(ge=2, le=86400)
    batch_windows: Few
    chunk_windows: Many
    block_s: int = Field(ge=60, le=86400)
    spectrogram_coverage: float = Field(gt=0, le=1)
    max_interpolated: int = Field(ge=0, le=8)
    max_disagreement: Positive
    amplitude_uv: Annotated[tuple[Microvolts, Microvolts], ASCENDING]
    notable: int = Field(ge=0, le=1000)
    settle_s: Seconds
    max_rows: Few
    max_abs_uv: float = Field(gt=0, le=1e9)

    @field_validator("hop_s")
    @classmethod
    def _even(cls, hop_s: int) -> int:
        if hop_s % 2:
            raise ValueError("must be even, because spectrogram rows are 2 s apart")
        return hop_s


class DriftParams(Section):
    """Thresholds of the daily comparison with the training reference.

    Parameters
    ----------
    n_bins : int
        Quantile bins of the reference in which shares are compared.
    psi_warning, psi_alarm : float
        Population stability index from which a quantity counts as moved, and as drifted.
    min_windows : int
        Fewer scored windows give no verdict.
    reference_windows : int
        Training windows the reference is made of, at most.
    """

    n_bins: int = Field(ge=2, le=1000)
    psi_warning: Positive
    psi_alarm: Positive
    min_windows: Many
    reference_windows: int = Field(ge=10, le=100_000)
