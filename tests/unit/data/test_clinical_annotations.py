"""Annotations that other viewers read."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical_annotations import write_annotations
from hms_pipeline.system.errors import InputError

from ...recordings import noise, raw_array


@pytest.mark.parametrize("name", ["marks.csv", "marks.txt", "rec-annot.fif"])
def test_annotations_read_back(tmp_path: Path, name: str) -> None:
    path = write_annotations(tmp_path / name, [20.0, 30.0], [10.0, 40.0], ["HMS/lpd", "HMS/other"])
    back = mne.read_annotations(path)
    np.testing.assert_allclose(back.onset[-2:], [20, 30], atol=1e-3)
    np.testing.assert_allclose(back.duration[-2:], [10, 40], atol=1e-3)
    assert list(back.description[-2:]) == ["HMS/lpd", "HMS/other"]
    raw = raw_array(noise(seconds=90)).set_meas_date(1_500_000_000).set_annotations(back)
    np.testing.assert_allclose(raw.annotations.onset[-2:], [20, 30], atol=1e-3)


def test_annotations_refuse_other_endings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ending"):
        write_annotations(tmp_path / "marks.doc", [], [], [])
