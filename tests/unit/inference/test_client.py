"""Request bodies give back the windows they were made of."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data.recording import read_eeg, read_spectrogram
from hms_pipeline.data.window import Window
from hms_pipeline.inference.client import encode_json, encode_request
from hms_pipeline.system.errors import InputError

from ...recordings import noise


@pytest.fixture
def windows() -> list[Window]:
    eeg = noise(seconds=50).astype(np.float32)
    return [Window(eeg, np.ones((4, 100, 300), np.float32)), Window(-eeg, None)]


def test_parquet_body(windows: list[Window], tmp_path) -> None:
    (tmp_path / "body").write_bytes(encode_request(windows))
    table = pd.read_parquet(tmp_path / "body")
    for window, cell in zip(windows, table["eeg"], strict=True):
        np.testing.assert_array_equal(read_eeg(cell), window.eeg)
    np.testing.assert_array_equal(read_spectrogram(table["spectrogram"][0]), windows[0].spectrogram)
    assert table["spectrogram"][1] == b""


def test_json_body(windows: list[Window]) -> None:
    body = json.loads(encode_json(windows))["dataframe_split"]
    assert body["columns"] == ["eeg", "spectrogram"]
    np.testing.assert_array_equal(read_eeg(base64.b64decode(body["data"][1][0])), windows[1].eeg)
    assert body["data"][1][1] == ""


def test_nothing_to_send() -> None:
    with pytest.raises(InputError, match="at least one window"):
        encode_request([])
