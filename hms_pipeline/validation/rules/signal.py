"""Windows whose signal is missing, dead, saturated or impossible beyond a threshold."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ...config.validation import MissingValuesParams, ValidationParams
from ..evidence import Evidence
from ..rule import Finding, rows_where, rule


def missing_limits(params: MissingValuesParams) -> dict[str, float]:
    """Largest tolerated value of each missing-value measure; 0 without interpolation."""
    limits = {
        "eeg_missing_share": params.eeg_share,
        "eeg_missing_s": params.eeg_gap_s,
        "spectrogram_missing_share": params.spectrogram_share,
    }
    return limits if params.interpolate else dict.fromkeys(limits, 0.0)


def too_much_missing(windows: pd.DataFrame, params: MissingValuesParams) -> pd.Series:
    """Where any missing-value measure is beyond its limit."""
    beyond = pd.Series(False, index=windows.index)
    for name, limit in missing_limits(params).items():
        beyond |= windows[name] > limit
    return beyond


@rule("missing_values", "too much of the window is missing")
def missing_values(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    windows = evidence.windows
    measures = list(missing_limits(params.missing_values))
    values = windows[measures].to_numpy(float)
    for row in rows_where(too_much_missing(windows, params.missing_values)):
        share, gap_s, spectrogram = values[row]
        yield Finding(
            "window",
            row,
            f"EEG {share:.1%} of a channel, longest gap {gap_s:.2f} s;"
            f" spectrogram {spectrogram:.1%}",
        )


@rule("dead_channel", "an electrode does not move")
def dead_channel(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    dead = evidence.windows["eeg_dead"].to_numpy()
    for row in rows_where(dead > params.dead_channel.electrodes):
        yield Finding("window", row, f"dead electrodes: {dead[row]:.0f}")


@rule("saturated", "an electrode rests at the amplifier's limit")
def saturated(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    share = evidence.windows["eeg_saturated_share"].to_numpy()
    for row in rows_where(share > params.saturated.share):
        yield Finding("window", row, f"an electrode at its limit for {share[row]:.1%} of the time")


@rule("extreme_amplitude", "amplitudes that no head produces")
def extreme_amplitude(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    share = evidence.windows["eeg_extreme_share"].to_numpy()
    level = params.extreme_amplitude.level_uv
    for row in rows_where(share > params.extreme_amplitude.share):
        yield Finding(
            "window", row, f"an electrode beyond {level:g} µV for {share[row]:.1%} of the time"
        )
