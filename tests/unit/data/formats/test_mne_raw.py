"""What we use of MNE's that it does not promise: a new release of it is tried here first."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.formats.mne_raw import open_with_mne, rational

from ....recordings import noise, raw_array


def test_the_release_is_the_one_that_was_tried() -> None:
    assert mne.__version__.startswith("1.13."), (
        "Run the tests of tests/unit/data/formats and `python -m tests.differential` with the new"
        " release of MNE, then name it here."
    )


def test_units_stand_where_they_did(tmp_path: Path) -> None:
    """`raw._orig_units`: label → unit of the file, empty where the format has but one."""
    raw = raw_array(noise())
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    assert mne.io.read_raw(tmp_path / "rec_raw.fif", verbose="error")._orig_units == {}
    raw.export(tmp_path / "rec.vhdr", verbose="error")
    units = mne.io.read_raw(tmp_path / "rec.vhdr", verbose="error")._orig_units
    assert set(units.values()) == {"µV"}
    assert all(c.has_unit for c in open_with_mne(tmp_path / "rec_raw.fif").channels)


@pytest.mark.parametrize("text", ["199.98", "256.0", "333.33334", "1000.1", "100.0"])
def test_rates_are_those_that_were_meant(text: str) -> None:
    """FIF stores single precision."""
    assert float(rational(float(np.float32(text)))) == float(text)
    assert float(rational(float(text))) == float(text)
