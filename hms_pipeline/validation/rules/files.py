"""Files that are missing, cannot be read, or are not what the competition's files are."""

from __future__ import annotations

from collections.abc import Iterator

from ...config.validation import ValidationParams
from ..evidence import Evidence, too_short
from ..rule import Finding, rule

KINDS = ("eeg", "spectrogram")
FAULTS = {
    "missing_file": "train.csv names a file that is not there",
    "unreadable_file": "the file is truncated, damaged, not parquet, or may not be read",
    "wrong_columns": "the file lacks columns or has others",
    "wrong_dtype": "a column of the file is of another type than the competition's",
    "empty_file": "the file has zero rows",
}


def _rule_of(fault: str, about: str) -> None:
    def find(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
        for kind in KINDS:
            files = evidence.files(kind)
            for key, detail in files.loc[files["fault"] == fault, "fault_detail"].items():
                yield Finding(kind, int(key), detail)

    rule(fault, about)(find)


for _fault, _about in FAULTS.items():
    _rule_of(_fault, _about)


@rule("too_short", "the recording is shorter than one window (50 s of EEG, 600 s of spectrogram)")
def short_file(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    for kind in KINDS:
        files = evidence.files(kind)
        for key in files.index[too_short(evidence, kind)]:
            duration = files.at[key, "duration_s"]
            yield Finding(kind, int(key), f"lasts {duration:g} s")
