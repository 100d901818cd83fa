"""Windows whose signal is missing, dead, saturated or impossible beyond a threshold."""

from __future__ import annotations

from ...config.validation import MissingValuesParams, ValidationParams
from ..rule import Limit, rule


def tolerated(params: ValidationParams) -> MissingValuesParams:
    """The limits of missing values that hold: 0 without interpolation."""
    limits = params.missing_values
    none = {"eeg_share": 0.0, "eeg_gap_s": 0.0, "spectrogram_share": 0.0}
    return limits if limits.interpolate else limits.model_copy(update=none)


@rule(
    "missing_values",
    "too much of the window is missing",
    eeg_missing_share=Limit(
        "eeg_missing_share", lambda p: tolerated(p).eeg_share, "Missing share of any EEG channel"
    ),
    eeg_missing_gap=Limit(
        "eeg_missing_s", lambda p: tolerated(p).eeg_gap_s, "Longest gap of any EEG channel (s)"
    ),
    spectrogram_missing_share=Limit(
        "spectrogram_missing_share",
        lambda p: tolerated(p).spectrogram_share,
        "Missing share of the 300 spectrogram rows",
    ),
)
def missing_values(params: ValidationParams, share: float, gap_s: float, rows: float) -> str:
    return f"EEG {share:.1%} of a channel, longest gap {gap_s:.2f} s; spectrogram {rows:.1%}"


@rule(
    "dead_channel",
    "an electrode does not move",
    dead_electrodes=Limit("eeg_dead", lambda p: p.dead_channel.electrodes, "Dead electrodes"),
)
def dead_channel(params: ValidationParams, electrodes: float) -> str:
    return f"dead electrodes: {electrodes:.0f}"


@rule(
    "saturated",
    "an electrode rests at the amplifier's limit",
    saturated_share=Limit(
        "eeg_saturated_share",
        lambda p: p.saturated.share,
        "Share of time that an electrode rests at its limit",
    ),
)
def saturated(params: ValidationParams, share: float) -> str:
    return f"an electrode at its limit for {share:.1%} of the time"


@rule(
    "extreme_amplitude",
    "amplitudes that no head produces",
    extreme_share=Limit(
        "eeg_extreme_share",
        lambda p: p.extreme_amplitude.share,
        "Share of time that an electrode is beyond {0.extreme_amplitude.level_uv:g} µV",
    ),
)
def extreme_amplitude(params: ValidationParams, share: float) -> str:
    level = params.extreme_amplitude.level_uv
    return f"an electrode beyond {level:g} µV for {share:.1%} of the time"
