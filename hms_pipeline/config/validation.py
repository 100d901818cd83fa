"""Section `validation`: thresholds of the rules that decide which windows are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import ASCENDING, Microvolts, Positive, Seconds, Section

Share = Annotated[float, Field(ge=0, le=1)]


class MissingValuesParams(Section):
    """How much of a window may be missing.

    Parameters
    ----------
    interpolate : bool
        False: any missing value removes the window. True: gaps up to the limits below stay;
        features fill them.
    eeg_share : float
        Largest missing share of any electrode in the window's 50 s.
    eeg_gap_s : float
        Longest gap of any electrode (s).
    spectrogram_share : float
        Largest missing share of the window's 300 spectrogram rows.
    """

    interpolate: bool
    eeg_share: Share
    eeg_gap_s: Seconds
    spectrogram_share: Share


class DeadChannelParams(Section):
    """An electrode is dead where neighbouring samples differ by at most ``step_uv``.

    Parameters
    ----------
    step_uv : float
        Largest step between samples (µV) that counts as none.
    share : float
        Share of the window from which on an electrode counts as dead.
    electrodes : int
        Dead electrodes that a window may have.
    """

    step_uv: Microvolts
    share: Share
    electrodes: int = Field(ge=0, le=19)


class SaturatedParams(Section):
    """An electrode is saturated where it rests at its own largest or smallest value.

    Parameters
    ----------
    level_uv : float
        Rails closer to 0 than this (µV) are not taken for saturation.
    share : float
        Largest share of the window that any electrode may rest at a rail.
    """

    level_uv: Positive
    share: Share


class ExtremeAmplitudeParams(Section):
    """Amplitudes that no head produces.

    Parameters
    ----------
    level_uv : float
        Distance (µV) from the electrode's median beyond which a sample is extreme.
    share : float
        Largest share of extreme samples of any electrode in the window.
    """

    level_uv: Positive
    share: Share


class NearDuplicateParams(Section):
    """When two recordings are the same signal, perhaps shifted, scaled or with noise added.

    Parameters
    ----------
    votes : int
        Landmark hashes that must agree on one shift before a pair is compared at all.
    correlation : float
        Correlation over the common stretch from which on the pair counts as the same signal.
    coverage : float
        Share of the shorter recording that the common stretch must cover.
    """

    votes: int = Field(ge=2, le=1000)
    correlation: Share
    coverage: Share


class OverlapParams(Section):
    """Windows of one EEG with the same votes that start less than ``gap_s`` apart are one."""

    gap_s: Positive


class OutcomeParams(Section):
    """When the whole data set is refused.

    Parameters
    ----------
    removed_share : float
        Largest share of windows that rules other than ``overlap`` may remove.
    amplitude_uv : tuple of float
        Range of the median over EEGs of their 99th percentile of amplitude (µV): outside it the
        files are in another unit.
    """

    removed_share: Share
    amplitude_uv: Annotated[tuple[Positive, Positive], ASCENDING]


class ValidationParams(Section):
    """Thresholds of the cleaning rules and expectation suites, one sub-section per rule."""

    missing_values: MissingValuesParams
    dead_channel: DeadChannelParams
    saturated: SaturatedParams
    extreme_amplitude: ExtremeAmplitudeParams
    near_duplicate: NearDuplicateParams
    overlap: OverlapParams
    outcome: OutcomeParams
