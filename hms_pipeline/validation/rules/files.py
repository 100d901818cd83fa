"""Files that are missing, cannot be read, or are not what the competition's files are."""

from __future__ import annotations

from collections.abc import Iterator

from ...config.validation import ValidationParams
from ..evidence import Evidence, too_short
from ..rule import Finding, rule

KINDS = ("eeg", "spectrogram")


def _with_fault(evidence: Evidence, fault: str) -> Iterator[Finding]:
    for kind in KINDS:
        files = evidence.files(kind)
        for key, detail in files.loc[files["fault"] == fault, "fault_detail"].items():
            yield Finding(kind, int(key), detail)


@rule("missing_file", "train.csv names a file that is not there")
def missing_file(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    return _with_fault(evidence, "missing_file")


@rule("unreadable_file", "the file is truncated, damaged, not parquet, or may not be read")
def unreadable_file(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    return _with_fault(evidence, "unreadable_file")


@rule("wrong_columns", "the file lacks columns or has others")
def wrong_columns(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    return _with_fault(evidence, "wrong_columns")


@rule("wrong_dtype", "a column of the file is of another type than the competition's")
def wrong_dtype(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    return _with_fault(evidence, "wrong_dtype")


@rule("empty_file", "the file has zero rows")
def empty_file(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    return _with_fault(evidence, "empty_file")


@rule("too_short", "the recording is shorter than one window (50 s of EEG, 600 s of spectrogram)")
def short_file(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    for kind in KINDS:
        files = evidence.files(kind)
        for key in files.index[too_short(evidence, kind)]:
            duration = files.at[key, "duration_s"]
            yield Finding(kind, int(key), f"lasts {duration:g} s")
