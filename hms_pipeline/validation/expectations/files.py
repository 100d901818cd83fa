"""EEG and spectrogram files: there, readable, of the right layout, long enough, distinct."""

from __future__ import annotations

import great_expectations.expectations as gxe

from ...config.validation import ValidationParams
from ...schema import SPECTROGRAM_S, SPECTROGRAM_STEP_S, WINDOW_S
from ..expectation import expect

BOTH = ("eeg_files", "spectrogram_files")
FAULTS = {
    "missing_file": "Every file that train.csv names is there.",
    "unreadable_file": "Every file can be read as parquet.",
    "wrong_columns": "Every file has exactly the competition's columns.",
    "wrong_dtype": "Every column has the competition's type.",
    "empty_file": "No file has zero rows.",
}


class ExpectNoFault(gxe.ExpectColumnValuesToNotBeInSet):
    """No file has one particular fault."""

    column: str = "fault"


def _expect_no(fault: str, description: str) -> None:
    @expect(*BOTH, rule=fault, name=f"no_{fault}")
    def no_fault(params: ValidationParams) -> ExpectNoFault:
        return ExpectNoFault(value_set=[fault], description=description)


for _fault, _description in FAULTS.items():
    _expect_no(_fault, _description)


def _expect_long_enough(kind: str, called: str, seconds: float) -> None:
    @expect(f"{kind}_files", rule="too_short", name=f"{kind}_long_enough")
    def long_enough(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
        said = f"Every {called} lasts at least {seconds:g} s."
        return gxe.ExpectColumnValuesToBeBetween(
            column="duration_s", min_value=seconds, description=said
        )


_expect_long_enough("eeg", "EEG", WINDOW_S)
_expect_long_enough("spectrogram", "spectrogram", SPECTROGRAM_S)


@expect("spectrogram_files")
def spectrogram_sampling(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
    return gxe.ExpectColumnValuesToBeBetween(
        column="time_step_s",
        min_value=SPECTROGRAM_STEP_S,
        max_value=SPECTROGRAM_STEP_S,
        description=f"Spectrogram rows are {SPECTROGRAM_STEP_S:g} s apart.",
    )


@expect(*BOTH, rule="exact_duplicate")
def content_unique(params: ValidationParams) -> gxe.ExpectColumnValuesToBeUnique:
    return gxe.ExpectColumnValuesToBeUnique(
        column="content_hash", description="No two files hold the same signal."
    )


@expect("eeg_files", rule="near_duplicate")
def signal_unique(params: ValidationParams) -> gxe.ExpectColumnValuesToBeNull:
    limits = params.near_duplicate
    return gxe.ExpectColumnValuesToBeNull(
        column="same_signal_as",
        description="No EEG is another one shifted, scaled or with noise added (correlation at"
        f" least {limits.correlation:g} over {limits.coverage:.0%} of the shorter one).",
    )


@expect(*BOTH, severity="info")
def named_by_train_csv(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
    return gxe.ExpectColumnValuesToBeBetween(
        column="n_windows", min_value=1, description="train.csv has windows of every file."
    )


@expect("eeg_files", severity="critical")
def microvolts(params: ValidationParams) -> gxe.ExpectColumnMedianToBeBetween:
    low, high = params.outcome.amplitude_uv
    return gxe.ExpectColumnMedianToBeBetween(
        column="amplitude_uv",
        min_value=low,
        max_value=high,
        description="The EEGs are in microvolts: the median over files of the 99th percentile"
        f" of amplitude lies between {low:g} and {high:g}.",
    )
