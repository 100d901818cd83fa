import shutil
import threading

import numpy as np
import pandas as pd
import pytest
import torch

from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.window import Window, WindowReader
from hms_pipeline.inference.bundle import check_bundle, describe_content, read_bundle
from hms_pipeline.inference.networks import FoldGroup
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.inference.serving import score_frame
from hms_pipeline.inference.write import write_bundle
from hms_pipeline.schema import CLASSES, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError

from ...ensembles import random_window


@pytest.fixture(scope="module")
def predictor(bundle):
    return Predictor.open(bundle, device="cpu")


@pytest.fixture(scope="module")
def windows():
    return [random_window(seed) for seed in range(5)]


def test_probabilities_sum_to_one_and_every_member_answers(predictor, windows):
    scores = predictor.predict(windows)
    np.testing.assert_allclose(scores.probs.sum(axis=1), 1, atol=1e-9)
    assert scores.member_probs.shape == (2, 5, 6)
    assert scores.members == ("eegnet", "v2s-spec")
    assert set(scores.members_used) == {("eegnet", "v2s-spec")}
    assert set(scores.warnings) == {()}


def test_batches_and_neighbours_do_not_matter(predictor, windows):
    whole = predictor.predict(windows).probs
    np.testing.assert_allclose(predictor.predict(windows, batch_size=2).probs, whole, atol=1e-5)
    np.testing.assert_allclose(predictor.predict(windows[3:4]).probs, whole[3:4], atol=1e-5)


def test_out_of_fold_predictions_are_reproduced(maker, predictor):
    """Only the held-out fold's networks, on raw windows, give what training wrote."""
    reader = WindowReader(maker.paths.data)
    rows = maker.windows[maker.folds["fold"] == 1]
    scores = predictor.only([1]).predict([reader.read(row) for _, row in rows.iterrows()])
    for name, probs in zip(scores.members, scores.member_probs, strict=True):
        oof = pd.read_parquet(maker.paths.fold(name, 1) / "oof.parquet").set_index("label_id")
        expected = oof.loc[rows["label_id"], list(CLASSES)].to_numpy()
        np.testing.assert_allclose(probs, expected, atol=3e-3)


def test_without_spectrogram_its_members_are_left_out_and_said_so(predictor, windows):
    mixed = [windows[0], Window(windows[1].eeg, None), windows[2]]
    scores = predictor.predict(mixed)
    assert scores.members_used == [("eegnet", "v2s-spec"), ("eegnet",), ("eegnet", "v2s-spec")]
    assert scores.warnings[1] == ("no spectrogram", "left out: v2s-spec")
    assert np.isnan(scores.member_probs[1, 1]).all()
    whole = predictor.predict(windows[:3]).probs
    np.testing.assert_allclose(scores.probs[[0, 2]], whole[[0, 2]], atol=1e-5)


def test_members_can_be_chosen_and_then_may_need_a_spectrogram(bundle, windows):
    alone = Predictor.open(bundle, device="cpu", members=["v2s-spec"])
    assert set(alone.predict(windows[:1]).members_used) == {("v2s-spec",)}
    with pytest.raises(InputError, match="Row 0, column spectrogram"):
        alone.predict([Window(windows[0].eeg, None)])
    with pytest.raises(InputError, match="Unknown members"):
        Predictor.open(bundle, device="cpu", members=["v2s"])


def test_another_choice_has_another_hash(bundle, predictor):
    assert predictor.content_hash == read_bundle(bundle).content_hash
    assert predictor.only([0]).content_hash != predictor.content_hash


def test_rows_are_named_across_batches(predictor, windows):
    bad = Window(np.full_like(windows[0].eeg, np.nan), None)
    with pytest.raises(InputError, match="Row 4"):
        predictor.predict([*windows[:4], bad], batch_size=2)


def test_threads_share_a_predictor(predictor, windows):
    expected = predictor.predict(windows).probs
    found = {}

    def work(k: int) -> None:
        found[k] = predictor.predict(windows).probs

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for probs in found.values():
        np.testing.assert_array_equal(probs, expected)


def test_what_half_precision_cannot_hold_is_answered_in_float32(predictor, windows, monkeypatch):
    expected = predictor.predict(windows).member_probs
    asked = []

    def overflows(group, views):
        asked.append(len(views[0]))
        return torch.full((len(group.networks), len(views[0]), 6), torch.nan)

    monkeypatch.setattr(FoldGroup, "__call__", overflows)
    np.testing.assert_array_equal(predictor.predict(windows).member_probs, expected)
    assert asked


def test_a_bundle_has_the_same_bytes_twice(maker, bundle, tmp_path):
    again = write_bundle(maker.paths, maker.params, tmp_path / "again")
    assert check_bundle(again) == check_bundle(bundle)


@pytest.mark.parametrize(("half_atol", "kind"), [(0.5, "float16"), (1e-9, "float32")])
def test_weights_are_halved_where_predictions_agree(maker, tmp_path, half_atol, kind):
    registry = maker.params.registry.model_copy(update={"half_atol": half_atol})
    params = maker.params.model_copy(update={"registry": registry})
    info = read_bundle(write_bundle(maker.paths, params, tmp_path / "bundle")).info
    assert {k for folds in info["precision"].values() for k in folds.values()} == {kind}


def test_an_open_predictor_does_not_follow_its_files(maker, tmp_path, windows):
    registry = maker.params.registry.model_copy(update={"half_atol": 1e-9})
    params = maker.params.model_copy(update={"registry": registry})
    folder = write_bundle(maker.paths, params, tmp_path / "bundle")
    predictor = Predictor.open(folder, device="cpu")
    before = predictor.predict(windows).probs
    for path in folder.glob("weights/*/*"):
        with path.open("r+b") as stream:
            stream.seek(path.stat().st_size // 2)
            stream.write(bytes(path.stat().st_size // 2))
    np.testing.assert_array_equal(predictor.predict(windows).probs, before)


def test_content_is_what_moves_a_probability(maker):
    other = maker.with_gate(min_gain=0.5)
    hash_of = [describe_content(maker.paths, p)["content_hash"] for p in (maker.params, other)]
    assert hash_of[0] == hash_of[1]


@pytest.mark.parametrize(
    ("key", "value", "moves"), [("max_abs_uv", 1.0, True), ("hop_s", 4, False)]
)
def test_a_setting_that_decides_answers_is_content_though_no_networks(maker, key, value, moves):
    scoring = maker.params.scoring.model_copy(update={key: value})
    other = maker.params.model_copy(update={"scoring": scoring})
    before, after = (describe_content(maker.paths, p) for p in (maker.params, other))
    assert (before["content_hash"] != after["content_hash"]) is moves
    assert before["networks_hash"] == after["networks_hash"]


@pytest.mark.parametrize("change", ["flip", "remove", "add"])
def test_a_changed_bundle_is_noticed(bundle, tmp_path, change):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    path = copy / "weights" / "eegnet" / "fold-1.safetensors"
    if change == "flip":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif change == "remove":
        path.unlink()
    else:
        path = copy / "code" / "package" / "extra.py"
        path.write_text("")
    with pytest.raises(InputError, match=path.name):
        check_bundle(copy)


class TestScoreFrame:
    def frame(self, windows, spectrogram=True):
        return pd.DataFrame(
            {
                "eeg": [eeg_to_parquet(w.eeg) for w in windows],
                "spectrogram": [
                    spectrogram_to_parquet(w.spectrogram) if spectrogram else b"" for w in windows
                ],
            }
        )

    def test_equals_the_predictor(self, predictor, windows):
        table = score_frame(predictor, self.frame(windows[:2]))
        assert list(table) == list(VOTE_COLUMNS)
        np.testing.assert_allclose(table, predictor.predict(windows[:2]).probs, atol=1e-6)

    @pytest.mark.parametrize("nothing", [b"", "", None, float("nan")])
    def test_nothing_means_no_spectrogram(self, predictor, windows, nothing):
        frame = self.frame(windows[:1])
        frame["spectrogram"] = pd.Series([nothing], dtype=object)
        table = score_frame(predictor, frame, {"details": True})
        assert table.loc[0, "members_used"] == "eegnet"
        assert table.loc[0, "warnings"] == "no spectrogram; left out: v2s-spec"

    def test_the_column_may_be_absent(self, predictor, windows):
        score_frame(predictor, self.frame(windows[:1])[["eeg"]])

    @pytest.mark.parametrize(
        ("cell", "word"),
        [
            (b"", "is empty"),
            (b"PAR1 nothing PAR1", "parquet"),
            ("text", "base64"),
            (7, "int"),
            (b"0" * 9_000_000, "may hold 8 MB"),
            (eeg_to_parquet(np.zeros((20, 500), np.float32)), "needs 10000 rows"),
        ],
    )
    def test_bad_cells_are_refused_by_row_and_column(self, predictor, windows, cell, word):
        frame = self.frame(windows[:2])
        frame["eeg"] = pd.Series([frame["eeg"][0], cell], dtype=object)
        with pytest.raises(InputError, match=f"Row 1, column eeg: .*{word}"):
            score_frame(predictor, frame)

    def test_too_many_rows_are_refused(self, predictor, windows):
        frame = pd.concat([self.frame(windows[:1])] * 65, ignore_index=True)
        with pytest.raises(InputError, match="1 to 64 windows, but has 65"):
            score_frame(predictor, frame)
        with pytest.raises(InputError, match="but has 0"):
            score_frame(predictor, frame[:0])
