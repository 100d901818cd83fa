"""The tables that the expectation suites look at."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..schema import VOTE_COLUMNS
from .cleaning import Cleaned
from .evidence import Evidence, in_short_file, window_end_s
from .measure import WINDOW_MEASURES
from .rules.labels import consensus_votes, foreign_patient, invalid_votes, most_votes


def suite_tables(evidence: Evidence, cleaned: Cleaned) -> dict[str, pd.DataFrame]:
    """One table per suite but ``train_csv``, by the suite's name."""
    return {
        "windows": _windows(evidence),
        "eeg_files": _files(evidence, cleaned, "eeg"),
        "spectrogram_files": _files(evidence, cleaned, "spectrogram"),
        "outcome": _outcome(evidence, cleaned),
    }


def removed_share(cleaned: Cleaned) -> float:
    """Share of windows that rules other than ``overlap`` removed."""
    serious = cleaned.rows.loc[cleaned.rows["rule"] != "overlap", "row"]
    return serious.nunique() / max(1, len(cleaned.kept))


def _windows(evidence: Evidence) -> pd.DataFrame:
    table = evidence.windows.copy()
    measures = [f"{kind}_{name}" for kind, names in WINDOW_MEASURES.items() for name in names]
    table[measures] = table[measures].astype("float64").round(4)
    votes = table[list(VOTE_COLUMNS)].to_numpy(float)
    table["votes"] = [", ".join(f"{v:g}" for v in row) for row in votes]
    invalid = invalid_votes(table)
    table["consensus_votes"] = np.where(
        invalid, np.nan, np.nan_to_num(consensus_votes(table), nan=-1)
    )
    table["most_votes"] = np.where(invalid, np.nan, most_votes(table))
    for kind in ("eeg", "spectrogram"):
        table[f"{kind}_end_s"] = window_end_s(table, kind)
    for kind in ("eeg", "spectrogram"):
        short = in_short_file(evidence, kind)
        table[f"{kind}_available_s"] = table[f"{kind}_duration_s"].mask(short)
        table[f"patient_of_{kind}"] = _usual_patient(table, kind)
    return table


def _usual_patient(windows: pd.DataFrame, kind: str) -> pd.Series:
    """The patient that most rows of each row's file name; -1 without a majority."""
    own = windows["patient_id"].where(~foreign_patient(windows, kind))
    usual = own.groupby(windows[f"{kind}_id"]).transform("first")
    return usual.fillna(-1).astype("int64")


def _files(evidence: Evidence, cleaned: Cleaned, kind: str) -> pd.DataFrame:
    scalars = [c for c in evidence.files(kind).columns if not c.startswith("channel_")]
    table = evidence.files(kind)[scalars].copy()
    for name in ("n_samples", "n_bytes", "n_dead", "n_saturated", "n_extreme", "n_landmarks"):
        table[name] = table[name].astype("float64")
    near = cleaned.quarantine.query("kind == @kind and rule == 'near_duplicate'")
    details = near.set_index("id")["detail"].str.extract(r"^same signal as (eeg \d+)")[0]
    table["same_signal_as"] = details.reindex(table.index).astype(object)
    return table.rename_axis(f"{kind}_id").reset_index()


def _outcome(evidence: Evidence, cleaned: Cleaned) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "data_set": ["train.csv"],
            "readable_eegs": [int((evidence.eegs["fault"] == "").sum())],
            "readable_spectrograms": [int((evidence.spectrograms["fault"] == "").sum())],
            "windows_kept": [int(cleaned.kept.sum())],
            "removed_share": [removed_share(cleaned)],
            "windows_overlapping": [int((cleaned.rows["rule"] == "overlap").sum())],
        }
    )
