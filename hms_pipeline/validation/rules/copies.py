"""The same signal or window more than once: all but one are removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from ...config.validation import ValidationParams
from ...schema import LABEL_S, SPECTROGRAM_STEP_S
from ..evidence import Evidence, best_first
from ..matching import Match
from ..rule import Finding, rows_where, rule

KINDS = ("eeg", "spectrogram")


@rule("exact_duplicate", "the same window, file or signal under another id", order=1)
def exact_duplicate(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    for kind in KINDS:
        yield from _same_files(evidence, kind)
    yield from _same_windows(evidence)


def _same_files(evidence: Evidence, kind: str) -> Iterator[Finding]:
    files = evidence.files(kind)
    readable = files[files["fault"] == ""]
    repeated = readable[readable["content_hash"].duplicated(keep=False)]
    for _, group in repeated.groupby("content_hash", sort=True):
        kept, *others = best_first(evidence, kind, group.index.to_numpy())
        for key in others:
            same = files.at[key, "file_hash"] == files.at[kept, "file_hash"]
            what = "same file as" if same else "same signal as"
            yield Finding(kind, key, f"{what} {kind} {kept}")


def _same_windows(evidence: Evidence) -> Iterator[Finding]:
    """Rows that cut the same stretch of the same EEG; the one with most votes stays."""
    windows = evidence.windows
    place = ["eeg_id", "eeg_label_offset_seconds"]
    order = windows.assign(gone=evidence.removed_rows).sort_values(
        ["gone", "n_votes", "label_id"], ascending=[True, False, True], kind="stable"
    )
    label = windows["label_id"].to_numpy()
    first = (
        windows.index.to_series()
        .reindex(order.index)
        .groupby([order[name] for name in place])
        .transform("first")
    )
    first = first.reindex(windows.index).to_numpy()
    unlabelled = ~windows["label_id"].duplicated(keep=False).to_numpy()
    placed = windows[place].notna().all(axis=1).to_numpy()
    for row in rows_where((first != windows.index.to_numpy()) & unlabelled & placed):
        yield Finding("window", row, f"same window as label {label[int(first[row])]}")


Places = dict[int, set[tuple[int, float]]]


def declared_places(windows: pd.DataFrame) -> Places:
    """Where the rows of train.csv place each EEG: its spectrogram, and its start in it (s)."""
    start = windows["spectrogram_label_offset_seconds"] - windows["eeg_label_offset_seconds"]
    places: Places = defaultdict(set)
    for eeg, spectrogram, start_s in zip(
        windows["eeg_id"], windows["spectrogram_id"], start, strict=True
    ):
        places[eeg].add((spectrogram, start_s))
    return places


def is_declared(match: Match, places: Places) -> bool:
    """Whether the pair are pieces of one long recording, and train.csv says so.

    Such pieces share samples but not their labelled seconds; overlapping is no defect.
    """
    return abs(match.shift_s) >= LABEL_S and any(
        spectrogram == other and abs(other_s - start_s - match.shift_s) <= SPECTROGRAM_STEP_S
        for spectrogram, start_s in places.get(match.a, ())
        for other, other_s in places.get(match.b, ())
    )


@rule("near_duplicate", "the same signal shifted, scaled, cut or with noise added", order=2)
def near_duplicate(evidence: Evidence, params: ValidationParams) -> Iterator[Finding]:
    limits = params.near_duplicate
    left = evidence.windows[~evidence.removed_rows]
    places = declared_places(left)
    used = set(left["eeg_id"])  # an EEG without windows replaces no other
    standing = _standing(evidence)
    partners: dict[int, dict[int, Match]] = defaultdict(dict)
    for match in evidence.matches:
        a, b = standing.get(match.a, match.a), standing.get(match.b, match.b)
        if (
            match.correlation >= limits.correlation
            and match.coverage >= limits.coverage
            and {a, b} <= used
            and not is_declared(replace(match, a=a, b=b), places)
        ):
            partners[a][b] = partners[b][a] = match
    kept: set[int] = set()
    for key in best_first(evidence, "eeg", list(partners)):
        of = sorted(kept & partners[key].keys())
        if not of:
            kept.add(key)
            continue
        match = partners[key][of[0]]
        yield Finding(
            "eeg",
            key,
            f"same signal as eeg {of[0]}: correlation {match.correlation:.3f},"
            f" shift {abs(match.shift_s):.2f} s, common {match.coverage:.0%}",
        )


def _standing(evidence: Evidence) -> dict[int, int]:
    """For each EEG the exact copy that is kept in its place, if there is one."""
    eegs = evidence.eegs[evidence.eegs["fault"] == ""]
    gone = {key for kind, key in evidence.removed_files if kind == "eeg"}
    left = eegs[~eegs.index.isin(gone)]
    by_content = dict(zip(left["content_hash"], left.index, strict=True))
    return {key: by_content.get(content, key) for key, content in eegs["content_hash"].items()}
