"""The stage on samples whose defects are known, and on data that is no data."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import Paths, load_params
from hms_pipeline.data.window import WindowReader
from hms_pipeline.inference.checks import check_window
from hms_pipeline.schema import TRAIN_COLUMNS
from hms_pipeline.simulator.sample import write_sample
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import hash_files
from hms_pipeline.validation import report
from hms_pipeline.validation.rule import RULES
from hms_pipeline.validation.rules.signal import tolerated
from hms_pipeline.validation.stage import run

from ..validation import ROOT

PARAMS = load_params(ROOT / "params.yaml")


def _validate(folder: Path, artifacts: Path, workers: int = 1) -> Paths:
    paths = Paths(data=folder, artifacts=artifacts)
    run(paths, PARAMS, workers=workers)
    return paths


@pytest.fixture(scope="module", params=range(3, 3 + int(os.environ.get("HMS_SAMPLES", "1"))))
def planted(request, tmp_path_factory) -> tuple[pd.DataFrame, Paths]:
    """A sample with every defect, validated, and its truth; ``HMS_SAMPLES`` says how many."""
    folder = tmp_path_factory.mktemp("planted") / "data"
    write_sample(folder, patients=45, test_windows=1, seed=request.param, defects=True)
    return pd.read_csv(folder / "defects_truth.csv"), _validate(folder, folder.parent / "artifacts")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "data"
    write_sample(folder, patients=4, test_windows=1, seed=1)
    return folder


@pytest.fixture(scope="module")
def validated(sound, tmp_path_factory) -> Paths:
    """The sound sample, validated in one process; tests read what that wrote."""
    return _validate(sound, tmp_path_factory.mktemp("validated"))


@pytest.mark.slow
def test_every_planted_defect_is_found_under_its_rule(planted):
    truth, paths = planted
    quarantine = pd.read_parquet(paths.quarantine)
    found = set(zip(quarantine["kind"], quarantine["id"], quarantine["rule"], strict=True))
    missed = [
        row
        for row in truth[truth["origin"] == "planted"].itertuples()
        if not {(row.kind, row.id, row.rule), (row.kind, row.partner, row.rule)} & found
    ]
    assert not missed


@pytest.mark.slow
def test_nothing_else_is_in_quarantine(planted):
    truth, paths = planted
    quarantine = pd.read_parquet(paths.quarantine)
    train = pd.read_csv(paths.data / "train.csv")
    known = {
        (kind, key, rule)
        for column in ("id", "partner")
        for kind, key, rule in zip(truth["kind"], truth[column], truth["rule"], strict=True)
    }
    files = {
        kind: train.groupby("label_id")[f"{kind}_id"].agg(set) for kind in ("eeg", "spectrogram")
    }
    extra = [
        row
        for row in quarantine.itertuples()
        if row.rule != "overlap"
        and (row.kind, row.id, row.rule) not in known
        and not (
            row.kind == "window"
            and any((k, key, row.rule) in known for k in files for key in files[k][row.id])
        )
    ]
    assert not extra


@pytest.mark.slow
def test_kept_and_quarantined_are_all(planted):
    _, paths = planted
    quarantine, windows = pd.read_parquet(paths.quarantine), pd.read_parquet(paths.windows)
    train = pd.read_csv(paths.data / "train.csv")
    gone = set(quarantine.loc[quarantine["kind"] == "window", "id"])
    assert gone | set(windows["label_id"]) == set(train["label_id"])
    assert not gone & set(windows["label_id"])
    counts = json.loads((paths.validated / "summary.json").read_text())["counts"]
    assert counts["window"]["kept"] == len(windows)
    assert counts["window"]["all"] == len(train)
    recordings = pd.read_parquet(paths.recordings)
    for kind in ("eeg", "spectrogram"):
        ids = set(quarantine.loc[quarantine["kind"] == kind, "id"])
        every = recordings.loc[recordings["kind"] == kind, "id"]
        assert counts[kind]["kept"] + len(ids) == counts[kind]["all"] == len(every)
        assert ids <= set(every)
    assert tuple(windows.columns) == TRAIN_COLUMNS
    assert windows["label_id"].is_monotonic_increasing


@pytest.mark.slow
def test_scoring_warns_of_the_signals_that_are_left_out_here(planted):
    _, paths = planted
    quarantine, reader = pd.read_parquet(paths.quarantine), WindowReader(paths.data)
    train = pd.read_csv(paths.data / "train.csv").set_index("label_id", drop=False)
    sentences = {
        "dead_channel": "flat",
        "saturated": "at their limit",
        "extreme_amplitude": "channels beyond",
    }

    def said(label_id: int) -> str:
        window = reader.read(train.loc[label_id].to_dict())
        try:
            return " ".join(check_window(window, 0, left_out=PARAMS.validation)[1])
        except InputError as err:  # an EEG in another unit is not scored at all
            return str(err).replace("needs microvolts within", sentences["extreme_amplitude"])

    for label_id in pd.read_parquet(paths.windows)["label_id"]:
        assert not any(sentence in said(label_id) for sentence in sentences.values())
    found = quarantine[(quarantine["kind"] == "window") & quarantine["rule"].isin(sentences)]
    assert set(found["rule"]) == set(sentences)
    for row in found.itertuples():
        assert sentences[row.rule] in said(row.id), row


@pytest.mark.slow
def test_expectations_fail_for_the_rules_that_removed_something(planted):
    """Data Docs and quarantine are two views of one truth."""
    from hms_pipeline.validation.checks import EXPECTATIONS

    _, paths = planted
    failed = json.loads((paths.validated / "summary.json").read_text())["failed_expectations"]
    by_expectation = {EXPECTATIONS[name].rule for name in failed} - {None}
    assert by_expectation == set(pd.read_parquet(paths.quarantine)["rule"])
    assert by_expectation == set(RULES), "Every rule needs a planted defect and an expectation."


@pytest.mark.slow
def test_the_first_page_names_rules_and_ids(planted):
    _, paths = planted
    page = (paths.data_docs / "index.html").read_text()
    for row in report.table(paths):
        assert row.rule in page
        if row.rule != "overlap":
            assert row.examples[0].split(":")[0] in page


def test_equal_data_give_equal_bytes(sound, validated, tmp_path):
    hashes = set()
    for paths in (validated, _validate(sound, tmp_path, workers=2)):
        files = [path for path in paths.validated.rglob("*") if path.is_file()]
        place = str(paths.artifacts).encode()
        assert not any(place in path.read_bytes() for path in files)
        hashes.add(hash_files(files, paths.validated))
    assert len(hashes) == 1


def test_pages_reach_out_to_nobody(validated):
    pages = sorted(validated.data_docs.glob("*.html"))
    assert {page.stem for page in pages} >= {"index", "windows", "eeg_files"}
    for page in pages:
        text = page.read_text()
        scripts = re.findall(r"<script>(.*?)</script>", text)
        assert text.count("<script") == len(scripts) == 1
        assert all("http" not in script for script in scripts)
        assert 'src="http' not in text


def test_a_suites_page_names_its_table_and_its_own_date(validated):
    docs = validated.data_docs
    for name in ("windows", "index"):
        page = (docs / f"{name}.html").read_text()
        assert "2024-01-09" not in page
        assert 'class="written"' in page
        assert "document.lastModified" in page
    assert "Data asset: windows" in (docs / "windows.html").read_text()


def test_great_expectations_itself_loads_the_suites(validated, tmp_path):
    shutil.copytree(validated.data_docs / "gx", tmp_path / "gx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Great Expectations' own dependencies
        import great_expectations as gx

        context = gx.get_context(mode="file", project_root_dir=tmp_path)
        found = {suite.name: suite for suite in context.suites.all()}
    pages = {page.stem for page in validated.data_docs.glob("*.html")} - {"index"}
    assert set(found) == pages
    levels = {
        e.column: e.max_value for e in found["windows"].expectations if hasattr(e, "max_value")
    }
    assert levels["eeg_missing_share"] == tolerated(PARAMS.validation).eeg_share


def test_values_stand_in_the_order_of_their_columns():
    from hms_pipeline.validation.docs import rendering

    found = {"label_id": 7, **{f"column_{k}": k for k in range(9)}}
    _, rows = rendering.build_count_and_index_table(
        partial_unexpected_counts=[{"value": tuple(range(9)), "count": 1}],
        unexpected_index_list=[found],
        unexpected_count=1,
        unexpected_index_column_names=["label_id"],
    )
    assert rows == [["0, 1, 2, 3, 4, 5, 6, 7, 8", 1, "7"]]


def test_progress_counts_files(sound, tmp_path):
    seen = []
    run(
        Paths(data=sound, artifacts=tmp_path),
        PARAMS,
        workers=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    total = len(list(sound.glob("train_*/*.parquet")))
    assert seen[-1] == (total, total)


def _spoiled(sound: Path, tmp_path: Path, change) -> Paths:
    """A folder with the same files and a changed train.csv."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train_eegs", "train_spectrograms"):
        (folder / name).symlink_to(sound / name)
    change(pd.read_csv(sound / "train.csv")).to_csv(folder / "train.csv", index=False)
    return Paths(data=folder, artifacts=tmp_path / "artifacts")


@pytest.mark.parametrize("bad", [[np.nan, 1e18, np.inf, -3.0], ["soon"]], ids=["numbers", "text"])
def test_an_offset_that_is_none_is_outside(sound, tmp_path, bad):
    """Each in a window of its own, once of the EEG and once of the spectrogram."""

    def change(table):
        for first, kind in ((0, "eeg"), (len(bad), "spectrogram")):
            offsets = table[f"{kind}_label_offset_seconds"].astype(object)
            offsets[first : first + len(bad)] = bad
            table[f"{kind}_label_offset_seconds"] = offsets
        return table

    paths = _spoiled(sound, tmp_path, change)
    run(paths, PARAMS, workers=1)
    labels = pd.read_csv(paths.data / "train.csv")["label_id"][: 2 * len(bad)]
    quarantine = pd.read_parquet(paths.quarantine)
    found = set(zip(quarantine["kind"], quarantine["id"], quarantine["rule"], strict=True))
    for label in labels:
        assert ("window", label, "offset_out_of_range") in found
        assert label not in set(pd.read_parquet(paths.windows)["label_id"])


def test_a_spectrogram_without_time_has_wrong_columns(sound, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(sound, folder)
    path = sorted((folder / "train_spectrograms").iterdir())[0]
    pd.read_parquet(path).drop(columns="time").to_parquet(path, index=False)
    quarantine = pd.read_parquet(_validate(folder, tmp_path / "artifacts").quarantine)
    (found,) = quarantine[quarantine["kind"] == "spectrogram"].itertuples()
    assert (found.id, found.rule) == (int(path.stem), "wrong_columns")
    assert "lacks time" in found.detail


@pytest.mark.parametrize("kind", ["eeg", "spectrogram"])
def test_missing_folders_are_named_first(sound, tmp_path, kind):
    paths = _spoiled(sound, tmp_path, lambda table: table)
    (paths.data / f"train_{kind}s").unlink()
    with pytest.raises(InputError, match=f"must hold: At least one file in train_{kind}s") as err:
        run(paths, PARAMS, workers=1)
    assert "microvolts" not in str(err.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="label_id"), "has the columns"),
        (lambda t: t.iloc[:0], "at least one row"),
        (lambda t: t.assign(eeg_id="x"), "eeg_id is a whole number"),
        (lambda t: t.assign(other_vote=-1), "Rules other than overlap remove at most"),
    ],
)
def test_a_critical_failure_is_one_sentence_that_names_the_page(sound, tmp_path, change, words):
    paths = _spoiled(sound, tmp_path, change)
    with pytest.raises(InputError, match=words) as caught:
        run(paths, PARAMS, workers=1)
    assert str(paths.data_docs / "index.html") in str(caught.value)
    assert (paths.data_docs / "index.html").is_file()
    assert not paths.windows.exists()


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="Data folder .* is missing"):
        run(Paths(data=tmp_path / "nowhere", artifacts=tmp_path / "artifacts"), PARAMS)


def test_report_before_the_stage_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="hms validate"):
        report.table(Paths(artifacts=tmp_path))


@pytest.mark.parametrize(
    "page",
    [
        "<html><body>no head</body></html>",
        "<html><head></head><body><iframe src='//host/x'></iframe></body></html>",
        "<html><head></head><script>open</html>",
    ],
)
def test_a_page_of_unknown_form_is_an_error(page):
    from hms_pipeline.validation.docs import _self_contained

    with pytest.raises(RuntimeError, match="requirements.lock"):
        _self_contained(page, "suite")
