from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data.write import write_eeg, write_spectrogram
from hms_pipeline.simulator.defects import DEFECTS, plant_defects
from hms_pipeline.simulator.defects.desk import Desk
from hms_pipeline.simulator.plan import EegPlan, WindowPlan, plan_train, train_rows
from hms_pipeline.simulator.session import Session
from hms_pipeline.simulator.truth import longest_still, simulated_findings, truth_table
from hms_pipeline.system.errors import InputError

RULES = {
    "unreadable_file", "missing_file", "wrong_columns", "wrong_dtype", "empty_file", "too_short",
    "offset_out_of_range", "duplicate_label", "votes_invalid", "consensus_mismatch",
    "patient_conflict", "exact_duplicate", "near_duplicate", "missing_values", "dead_channel",
    "saturated", "extreme_amplitude",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A folder of noise in the competition's layout: defects do not care what they spoil."""
    folder = tmp_path_factory.mktemp("noise")
    plan = [s for s in plan_train(1, 40) if len(s.eegs) > 1][:2]
    rng = np.random.default_rng(0)
    for kind in ("eegs", "spectrograms"):
        (folder / f"train_{kind}").mkdir()
    for session in plan:
        spectrogram = rng.lognormal(size=(4, 100, session.duration_s // 2)).round(3)
        write_spectrogram(
            folder / f"train_spectrograms/{session.spectrogram_id}.parquet", spectrogram
        )
        for eeg in session.eegs:
            samples = rng.normal(0, 30, size=(20, eeg.duration_s * 200 + 1200)).round(1)
            write_eeg(folder / f"train_eegs/{eeg.eeg_id}.parquet", samples)
    rows = pd.DataFrame(train_rows(plan))
    three = pd.concat([rows, *[rows.assign(label_id=rows["label_id"] + k) for k in (1, 2)]])
    return folder, three.sort_values("label_id", ignore_index=True)


@pytest.mark.parametrize("name", list(DEFECTS))
def test_every_defect_changes_something_and_says_so(
    name: str, folder: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    source, rows = folder
    shutil.copytree(source, tmp_path / "data")
    desk = Desk(tmp_path / "data", rows.copy(), np.random.default_rng(0), set())
    before = _bytes(tmp_path / "data")
    DEFECTS[name](desk, name)
    assert desk.truth
    assert {line.rule for line in desk.truth} <= RULES
    assert {line.kind for line in desk.truth} <= {"window", "eeg", "spectrogram"}
    assert {line.variant for line in desk.truth} == {name}
    assert _bytes(tmp_path / "data") != before or not desk.rows.equals(rows)
    assert tuple(desk.rows.columns) == tuple(rows.columns)
    for line in desk.truth:
        if line.kind == "window":
            assert line.id in set(desk.rows["label_id"])
        else:
            assert line.id in set(desk.rows[f"{line.kind}_id"])


def test_defects_cover_every_rule(folder: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    source, rows = folder
    found = set()
    for name in DEFECTS:
        copy = tmp_path / name
        if name.startswith(("eeg", "spectrogram", "near", "nan", "dead", "sat", "ext")):
            shutil.copytree(source, copy)
        desk = Desk(copy, rows.copy(), np.random.default_rng(1), set())
        DEFECTS[name](desk, name)
        found |= {line.rule for line in desk.truth}
    assert found == RULES


class FirstOfAll:
    """A generator that draws the lowest number there is."""

    def integers(self, low: int, high: int | None = None) -> int:
        return 0 if high is None else low


@pytest.mark.parametrize(("kind", "column"), [("eeg", "Fp1"), ("spectrogram", "time")])
def test_the_first_column_may_be_the_missing_one(
    kind: str, column: str, folder: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    source, rows = folder
    shutil.copytree(source, tmp_path / "data")
    desk = Desk(tmp_path / "data", rows.copy(), np.random.default_rng(0), set())
    desk.rng = FirstOfAll()
    DEFECTS[f"{kind}_column_missing"](desk, f"{kind}_column_missing")
    assert desk.truth[0].detail == f"without {column}"


def test_too_small_a_sample_is_refused(folder: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    source, rows = folder
    shutil.copytree(source, tmp_path / "data")
    with pytest.raises(InputError, match="more --patients"):
        plant_defects(tmp_path / "data", rows.copy(), 0, 3, [])


def test_simulated_findings_measure_what_came_out() -> None:
    rng = np.random.default_rng(0)
    eeg = rng.normal(0, 20, size=(20, 10_000)).astype(np.float32)
    eeg[3, 100:600] = np.nan
    eeg[5, 2000:2300] = 7.0
    eeg[7, 50] = 4000.0
    plan = EegPlan(1, 0, 50, (WindowPlan(0, 77, (1, 0, 0, 0, 0, 0)),))
    spectrogram = np.ones((4, 100, 300), np.float32)
    spectrogram[..., 10:40] = np.nan
    lines = simulated_findings(Session(((plan, eeg),), spectrogram))
    values = {(line.rule, line.variant): line.value for line in lines}
    assert values["missing_values", "eeg_gap"] == pytest.approx(0.05)
    assert values["missing_values", "spectrogram_gap"] == pytest.approx(0.1)
    assert values["dead_channel", "still"] == pytest.approx(1.5)
    assert values["extreme_amplitude", "artefact"] == pytest.approx(4000, abs=5)
    assert {line.origin for line in lines} == {"simulated"}
    assert len(truth_table(lines)) == len(lines)


def test_longest_still_counts_equal_samples() -> None:
    assert longest_still(np.array([[1.0, 2, 3, 4]])) == 1
    assert longest_still(np.array([[5.0, 5, 5, 5]])) == 4


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
