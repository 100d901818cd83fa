"""Rules on small tables, without files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.schema import TRAIN_COLUMNS, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError
from hms_pipeline.validation.evidence import Evidence
from hms_pipeline.validation.matching import Match
from hms_pipeline.validation.rules.copies import declared_places, is_declared, near_duplicate
from hms_pipeline.validation.rules.labels import (
    consensus_votes,
    foreign_patient,
    invalid_votes,
    most_votes,
)
from hms_pipeline.validation.rules.overlap import middle_of
from hms_pipeline.validation.train_table import normalise, typed

from ..validation import ROOT


def _windows(offsets, votes=None, **columns) -> pd.DataFrame:
    n = len(offsets)
    votes = [[0, 3, 0, 0, 0, 0]] * n if votes is None else votes
    base = {
        "eeg_id": 1, "eeg_sub_id": range(n), "eeg_label_offset_seconds": offsets,
        "spectrogram_id": 2, "spectrogram_sub_id": range(n),
        "spectrogram_label_offset_seconds": offsets, "label_id": range(100, 100 + n),
        "patient_id": 7, "expert_consensus": "LPD",
    }  # fmt: skip
    table = pd.DataFrame(base, index=range(n)).assign(**columns)
    return table.join(pd.DataFrame(votes, columns=list(VOTE_COLUMNS)))[list(TRAIN_COLUMNS)]


@pytest.mark.parametrize(
    ("offsets", "kept"),
    [
        ([0.0], [0]),
        ([0.0, 4.0, 8.0], [1, 1, 1]),
        ([8.0, 0.0, 4.0], [2, 2, 2]),
        ([0.0, 49.0, 98.0], [1, 1, 1]),  # each overlaps the next
        ([0.0, 50.0], [0, 1]),
        ([0.0, 4.0], [0, 0]),
    ],
)
def test_the_middle_window_stands_for_its_chain(offsets, kept):
    assert middle_of(_windows(offsets), 50.0).tolist() == kept


def test_other_votes_or_another_eeg_are_another_chain():
    windows = _windows(
        [0.0, 2.0, 4.0], [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]] * 1 + [[1, 0, 0, 0, 0, 0]]
    )
    assert middle_of(windows, 50.0).tolist() == [0, 1, 0]
    assert middle_of(_windows([0.0, 2.0], eeg_id=[1, 9]), 50.0).tolist() == [0, 1]


def test_votes():
    votes = [
        [0] * 6,
        [1, -2, 0, 0, 0, 5],
        [0.5, 0, 0, 0, 0, 1],
        [np.nan, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1],
    ]
    np.testing.assert_array_equal(invalid_votes(_windows([0.0] * 5, votes)), [1, 1, 1, 1, 0])


def test_any_of_the_tied_classes_is_a_right_consensus():
    windows = _windows([0.0] * 3, [[0, 3, 3, 1, 0, 0]] * 3, expert_consensus=["LPD", "GPD", "LRDA"])
    agrees = consensus_votes(windows) == most_votes(windows)
    np.testing.assert_array_equal(agrees, [True, True, False])
    assert np.isnan(consensus_votes(_windows([0.0], expert_consensus="lpd"))).all()


def test_patients_by_majority():
    windows = _windows([0.0] * 3, patient_id=[7, 7, 8])
    np.testing.assert_array_equal(foreign_patient(windows, "eeg"), [False, False, True])
    tied = _windows([0.0] * 2, patient_id=[7, 8])
    assert foreign_patient(tied, "eeg").all()


def test_pieces_of_one_recording_are_declared_copies_are_not():
    windows = _windows([0.0, 0.0], eeg_id=[1, 3]).assign(
        spectrogram_label_offset_seconds=[0.0, 30.0]
    )
    places = declared_places(windows)
    assert is_declared(Match(1, 3, 30.0, 1.0, 0.5), places)
    assert not is_declared(Match(1, 3, 3.0, 1.0, 0.9), places)
    same_place = declared_places(_windows([0.0, 0.0], eeg_id=[1, 3]))
    assert not is_declared(Match(1, 3, 0.0, 1.0, 1.0), same_place)


def _near(windows, contents, matches, removed=()) -> set[int]:
    """EEGs that `near_duplicate` removes; the longer of a pair is the one with the smaller id."""
    eegs = pd.DataFrame(
        {"fault": "", "content_hash": contents, "n_samples": -contents.index, "n_windows": 1},
        index=contents.index,
    )
    gone = windows["eeg_id"].isin(removed).to_numpy()
    files = frozenset(("eeg", key) for key in removed)
    evidence = Evidence(windows, eegs, eegs.iloc[:0], tuple(matches), gone, files)
    params = load_params(ROOT / "params.yaml").validation
    return {finding.key for finding in near_duplicate(evidence, params)}


def test_a_file_that_no_row_names_displaces_nothing():
    windows = _windows([0.0, 0.0], eeg_id=[3, 5])
    contents = pd.Series(["a", "b", "c"], index=[1, 3, 5])
    stray, both = Match(1, 3, 2.0, 1.0, 0.9), Match(3, 5, 2.0, 1.0, 0.9)
    assert _near(windows, contents, [stray]) == set()
    assert _near(windows, contents, [stray, both]) == {5}


def test_a_copy_that_stands_for_a_removed_one_is_declared_by_its_own_rows():
    windows = _windows([0.0] * 3, eeg_id=[1, 3, 9]).assign(
        spectrogram_label_offset_seconds=[0.0, 30.0, 30.0]
    )
    contents = pd.Series(["a", "b", "b"], index=[1, 3, 9])
    piece, same = Match(1, 3, 30.0, 1.0, 0.8), Match(1, 3, 2.0, 1.0, 0.9)
    assert _near(windows, contents, [piece], removed=[3]) == set()
    assert _near(windows, contents, [same], removed=[3]) == {9}


def test_text_in_votes_and_offsets_is_missing_but_in_ids_refused():
    raw = _windows([0.0, 2.0]).astype(object)
    raw.loc[0, "lpd_vote"] = "three"
    raw.loc[1, "eeg_label_offset_seconds"] = "soon"
    table = normalise(raw)
    assert np.isnan(table.loc[0, "lpd_vote"])
    assert np.isnan(table.loc[1, "eeg_label_offset_seconds"])
    raw.loc[1, "eeg_id"] = "one"
    with pytest.raises(InputError, match="eeg_id, but row 1 has 'one'"):
        normalise(raw)


def test_kept_rows_have_the_competitions_types():
    out = typed(normalise(_windows([4.0, 2.0], label_id=[9, 8])))
    assert out["label_id"].tolist() == [8, 9]
    assert tuple(out.columns) == TRAIN_COLUMNS
    assert out[list(VOTE_COLUMNS)].dtypes.eq("int64").all()
