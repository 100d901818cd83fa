"""The exported zip answers where this package and its tools are not installed."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config.members import STARTER_FOLDER
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.window import WindowReader
from hms_pipeline.ensemble.competition import check_submission
from hms_pipeline.inference.bundle import carries_this_code, check_bundle
from hms_pipeline.inference.export import write_zip
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.system.errors import InputError

from ...ensembles import random_window

DOC = Path(__file__).parents[3] / "docs" / "how-to" / "kaggle.md"
ABSENT = ("hms_pipeline", "mlflow", "prefect", "dvc", "typer", "rich", "matplotlib", "jinja2",
          "great_expectations", "mne", "psutil", "ruamel", "sklearn", "uvicorn")  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("test_eegs", "test_spectrograms"):
        (root / name).mkdir(parents=True)
    for k in range(3):
        window = random_window(k)
        (root / "test_eegs" / f"{30 - k}.parquet").write_bytes(eeg_to_parquet(window.eeg))
        (root / "test_spectrograms" / f"{k}.parquet").write_bytes(
            spectrogram_to_parquet(window.spectrogram)
        )
    rows = {"spectrogram_id": [0, 1, 2], "eeg_id": [30, 29, 28], "patient_id": [1, 1, 2]}
    pd.DataFrame(rows).to_csv(root / "test.csv", index=False)
    return root


def notebook(bundle: Path, data: Path) -> str:
    """The cell of docs/how-to/kaggle.md, at places of this machine."""
    (cell,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), flags=re.S)
    lines = [line.strip() for line in cell.splitlines()]
    return (
        "\n".join(lines)
        .replace("/kaggle/input/hms-bundle", str(bundle))
        .replace("/kaggle/input/hms-harmful-brain-activity-classification", str(data))
    )


def test_the_notebook_of_the_docs_writes_a_submission(bundle, data, tmp_path) -> None:
    with zipfile.ZipFile(write_zip(bundle, tmp_path / "hms.zip")) as archive:
        archive.extractall(tmp_path / "input")
    block = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
    code = block + notebook(tmp_path / "input", data)
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "submission.csv")
    check_submission(table, pd.Series([30, 29, 28]))
    reader = WindowReader(data, "test")
    row = {"eeg_id": 29, "spectrogram_id": 1}
    expected = Predictor.open(bundle, device="cpu").predict([reader.read(row)]).probs[0]
    shown = table.set_index("eeg_id").loc[29, list(VOTE_COLUMNS)]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_equal_bundles_give_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    first, second = (write_zip(bundle, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()


def test_what_cannot_be_exported_is_said(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.zip, but got"):
        write_zip(bundle, tmp_path / "hms.tar")
    with pytest.raises(InputError, match="is needed, but is not there"):
        write_zip(tmp_path, tmp_path / "hms.zip")


def test_a_bundle_without_code_gets_this_package_s(tmp_path: Path):
    """The starter comes without code; its export runs like any other and answers the same."""
    write_zip(STARTER_FOLDER, tmp_path / "starter.zip")
    with zipfile.ZipFile(tmp_path / "starter.zip") as archive:
        archive.extractall(tmp_path / "out")
    check_bundle(tmp_path / "out")
    assert carries_this_code(tmp_path / "out")
    window = random_window(1)
    answers = [
        Predictor.open(f).predict([window]).probs for f in (STARTER_FOLDER, tmp_path / "out")
    ]
    np.testing.assert_array_equal(*answers)
