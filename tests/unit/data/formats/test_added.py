"""A format that is added as the documentation says is read, and refuses what it cannot read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hms_pipeline.data import formats
from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import noise

PAGE = Path(__file__).parents[4] / "docs/reference/clinical.md"


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's format, as long as a test lasts."""
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
        if "@recording_format" in block
    )
    monkeypatch.setattr(formats.FORMATS, "_entries", dict(formats.FORMATS.items()))
    exec(compile(code, PAGE.name, "exec"), {"__package__": formats.__name__})
    monkeypatch.setitem(formats._BY_ENDING, ".npz", formats.FORMATS["npz"])


def test_the_format_of_the_documentation_reads_what_was_saved(tmp_path: Path) -> None:
    eeg = noise(seconds=10)
    np.savez(tmp_path / "rec.npz", data=eeg, rate=200.0, names=EEG_COLUMNS)
    recording = read_clinical(tmp_path / "rec.npz")
    np.testing.assert_allclose(recording.eeg, eeg, rtol=1e-6)
    assert recording.warnings == ()


@pytest.mark.parametrize("content", [b"", b"0", b"PK\x03\x04", bytes(70_000)], ids=range(4))
def test_what_it_cannot_read_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rec.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"data, rate and names, but rec\.npz could not be read"):
        read_clinical(tmp_path / "rec.npz")
