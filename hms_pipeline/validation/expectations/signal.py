"""Measures of each window's signal against the thresholds of params.yaml."""

from __future__ import annotations

import great_expectations.expectations as gxe

from ...config.validation import ValidationParams
from ..expectation import expect
from ..rules.signal import missing_limits


class ExpectAtMost(gxe.ExpectColumnValuesToBeBetween):
    """A measure does not exceed its threshold; windows without a signal are left out."""

    @classmethod
    def of(cls, column: str, limit: float, what: str) -> ExpectAtMost:
        """The expectation that ``column`` is at most ``limit``."""
        return cls(column=column, max_value=limit, description=f"{what}: at most {limit:g}.")


@expect("windows", rule="missing_values")
def eeg_missing_share(params: ValidationParams) -> ExpectAtMost:
    limit = missing_limits(params.missing_values)["eeg_missing_share"]
    return ExpectAtMost.of("eeg_missing_share", limit, "Missing share of any EEG channel")


@expect("windows", rule="missing_values")
def eeg_missing_gap(params: ValidationParams) -> ExpectAtMost:
    limit = missing_limits(params.missing_values)["eeg_missing_s"]
    return ExpectAtMost.of("eeg_missing_s", limit, "Longest gap of any EEG channel (s)")


@expect("windows", rule="missing_values")
def spectrogram_missing_share(params: ValidationParams) -> ExpectAtMost:
    limit = missing_limits(params.missing_values)["spectrogram_missing_share"]
    return ExpectAtMost.of(
        "spectrogram_missing_share", limit, "Missing share of the 300 spectrogram rows"
    )


@expect("windows", rule="dead_channel")
def dead_electrodes(params: ValidationParams) -> ExpectAtMost:
    return ExpectAtMost.of("eeg_dead", params.dead_channel.electrodes, "Dead electrodes")


@expect("windows", rule="saturated")
def saturated_share(params: ValidationParams) -> ExpectAtMost:
    return ExpectAtMost.of(
        "eeg_saturated_share",
        params.saturated.share,
        "Share of time that an electrode rests at its limit",
    )


@expect("windows", rule="extreme_amplitude")
def extreme_share(params: ValidationParams) -> ExpectAtMost:
    return ExpectAtMost.of(
        "eeg_extreme_share",
        params.extreme_amplitude.share,
        f"Share of time that an electrode is beyond {params.extreme_amplitude.level_uv:g} µV",
    )
