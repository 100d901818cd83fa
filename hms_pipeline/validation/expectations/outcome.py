"""The data set as a whole: whether enough of it is left."""

from __future__ import annotations

import great_expectations.expectations as gxe

from ...config.validation import ValidationParams
from ..expectation import expect


def _expect_readable(kind: str) -> None:
    @expect("outcome", severity="critical", name=f"readable_{kind}s")
    def readable(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
        return gxe.ExpectColumnValuesToBeBetween(
            column=f"readable_{kind}s",
            min_value=1,
            description=f"At least one file in train_{kind}s is there and can be read.",
        )


for _kind in ("eeg", "spectrogram"):
    _expect_readable(_kind)


@expect("outcome", severity="critical")
def windows_left(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
    return gxe.ExpectColumnValuesToBeBetween(
        column="windows_kept", min_value=1, description="At least one window is kept."
    )


@expect("outcome", severity="critical")
def removed_share(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
    limit = params.outcome.removed_share
    return gxe.ExpectColumnValuesToBeBetween(
        column="removed_share",
        max_value=limit,
        description=f"Rules other than overlap remove at most {limit:.0%} of the windows.",
    )


@expect("outcome", rule="overlap", severity="info")
def windows_apart(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
    # Counted, not listed: in the competition's data they are four windows of five.
    return gxe.ExpectColumnValuesToBeBetween(
        column="windows_overlapping",
        max_value=0,
        description="No window overlaps another one of the same EEG with the same votes (starts"
        f" less than {params.overlap.gap_s:g} s from it).",
    )
