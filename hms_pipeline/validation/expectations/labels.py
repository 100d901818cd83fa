"""Rows of train.csv: ids, offsets, votes, consensus, patients."""

from __future__ import annotations

import great_expectations.expectations as gxe

from ...config.validation import ValidationParams
from ..expectation import expect

PRESENT = "either_value_is_missing"


class ExpectVotesToBeWholeAndNotAllZero(gxe.ExpectColumnValuesToMatchRegex):
    """Six votes as text: whole, not negative, at least one above zero."""

    column: str = "votes"
    regex: str = r"^(?=.*[1-9])\d+(, \d+){5}$"
    description: str | None = (
        "Votes (seizure, LPD, GPD, LRDA, GRDA, other) are whole, not negative, not all zero."
    )


class ExpectConsensusToAgreeWithVotes(gxe.ExpectColumnPairValuesToBeEqual):
    """The class that expert_consensus names has the most votes."""

    column_A: str = "consensus_votes"
    column_B: str = "most_votes"
    ignore_row_if: str = PRESENT
    description: str | None = (
        "expert_consensus names a class with the most votes (its votes, the most votes)."
    )


class ExpectWindowInsideRecording(gxe.ExpectColumnPairValuesAToBeGreaterThanB):
    """A window ends before its recording does."""

    or_equal: bool = True
    ignore_row_if: str = PRESENT


class ExpectOnePatient(gxe.ExpectColumnPairValuesToBeEqual):
    """The row's patient is the one that most rows of its recording name."""

    column_A: str = "patient_id"
    ignore_row_if: str = PRESENT


@expect("windows", rule="duplicate_label")
def label_id_unique(params: ValidationParams) -> gxe.ExpectColumnValuesToBeUnique:
    return gxe.ExpectColumnValuesToBeUnique(
        column="label_id", description="Each label_id stands in one row only."
    )


@expect("windows", rule="votes_invalid")
def votes_valid(params: ValidationParams) -> ExpectVotesToBeWholeAndNotAllZero:
    return ExpectVotesToBeWholeAndNotAllZero()


@expect("windows", rule="consensus_mismatch")
def consensus_agrees(params: ValidationParams) -> ExpectConsensusToAgreeWithVotes:
    return ExpectConsensusToAgreeWithVotes()


def _expect_kind(kind: str) -> None:
    offset = f"{kind}_label_offset_seconds"

    @expect("windows", rule="offset_out_of_range", name=f"{kind}_offset_present")
    def present(params: ValidationParams) -> gxe.ExpectColumnValuesToNotBeNull:
        return gxe.ExpectColumnValuesToNotBeNull(
            column=offset, description=f"{offset} is a number."
        )

    @expect("windows", rule="offset_out_of_range", name=f"{kind}_offset_not_negative")
    def positive(params: ValidationParams) -> gxe.ExpectColumnValuesToBeBetween:
        return gxe.ExpectColumnValuesToBeBetween(
            column=offset, min_value=0, description=f"{offset} is not negative."
        )

    @expect("windows", rule="offset_out_of_range", name=f"{kind}_offset_inside")
    def inside(params: ValidationParams) -> ExpectWindowInsideRecording:
        return ExpectWindowInsideRecording(
            column_A=f"{kind}_available_s",
            column_B=f"{kind}_end_s",
            description=f"The window ends inside its {kind} (seconds in the file, window's end).",
        )

    @expect("windows", rule="patient_conflict", name=f"{kind}_one_patient")
    def one_patient(params: ValidationParams) -> ExpectOnePatient:
        return ExpectOnePatient(
            column_B=f"patient_of_{kind}",
            description=f"All rows of one {kind} name one patient (named here, named by most).",
        )


for _kind in ("eeg", "spectrogram"):
    _expect_kind(_kind)


@expect("windows", rule="exact_duplicate")
def window_unique(params: ValidationParams) -> gxe.ExpectCompoundColumnsToBeUnique:
    return gxe.ExpectCompoundColumnsToBeUnique(
        column_list=["eeg_id", "eeg_label_offset_seconds"],
        description="No two rows cut the same stretch of the same EEG.",
    )
