"""Stage `train`: outputs, resume, refusals."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hms_pipeline.config import Paths, parse_params
from hms_pipeline.datasets import stage as split_stage
from hms_pipeline.datasets.stage import read_folds, read_windows
from hms_pipeline.features import stage as features_stage
from hms_pipeline.models import build_model
from hms_pipeline.schema import CLASSES, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import hash_file
from hms_pipeline.training import fit as fit_module
from hms_pipeline.training import stage
from hms_pipeline.training.checkpoint import Checkpoint
from hms_pipeline.training.finished import (
    find_finished,
    fold_key,
    member_inputs,
    missing_folds,
    read_manifest,
    share_recorded,
)
from hms_pipeline.training.fold_data import MemberData

from ..features.conftest import window_rows, write_recording

FILES = ("weights.safetensors", "oof.parquet", "history.csv", "manifest.json")


class Recorder:
    """A callback that remembers; optionally it ends the process's luck at an epoch."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at, self.epochs, self.calls = kill_at, [], []

    def on_start(self, info):
        self.calls.append("start")
        self.info = info

    def on_epoch(self, step, metrics):
        self.epochs.append((step, metrics))
        if step == self.kill_at:
            raise KeyboardInterrupt

    def on_end(self, manifest, folder):
        self.calls.append("end")

    def on_error(self, err):
        self.calls.append(type(err).__name__)


def train(paths, params, member, fold, callback=None, **options):
    """Train one fold, even if it is finished."""
    shutil.rmtree(paths.finished, ignore_errors=True)
    made = [callback or Recorder()]
    return stage.run(paths, params, member, [fold], callback=made.pop, **options)[fold]


def changed(params, **training):
    data = params.model_dump(mode="json")
    data["training"].update(training)
    return parse_params(data)


def hashes(paths, member="eegnet", fold=0) -> dict[str, str]:
    return {name: hash_file(paths.fold(member, fold) / name) for name in FILES}


@pytest.mark.parametrize("member", ["eegnet", "v2s-spec"])
def test_outputs_are_whole_and_join_on_label_id(paths, params, member):
    recorder, progress = Recorder(), []
    manifest = train(
        paths, params, member, 1, callback=recorder, progress=lambda *a: progress.append(a)
    )
    folder = paths.fold(member, 1)
    folds = read_folds(paths)
    oof = pd.read_parquet(folder / "oof.parquet")
    assert list(oof.columns) == ["label_id", *CLASSES]
    assert list(oof["label_id"]) == sorted(folds.loc[folds["fold"] == 1, "label_id"])
    np.testing.assert_allclose(oof[list(CLASSES)].sum(axis=1), 1, atol=1e-6)
    history = pd.read_csv(folder / "history.csv")
    assert list(history["stage"]) == ["stage1"] * 2 + ["stage2"] * 2
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert not {c for c in history.columns if "time" in c}
    assert read_manifest(folder) == manifest
    assert manifest["metrics"][">=10"] == history["kl_ge_10"].iloc[-1]
    assert manifest["stages"][0]["metrics"][">=10"] == history["kl_ge_10"].iloc[1]
    assert manifest["n_oof"] + sum(manifest["n_train"].values()) == len(folds)
    assert load_file(folder / "weights.safetensors")
    assert recorder.calls == ["start", "end"]
    assert [step for step, _ in recorder.epochs] == [1, 2, 3, 4]
    assert progress[-1][0] == progress[-1][1]
    assert not list(paths.checkpoints.iterdir())


@pytest.mark.parametrize("kill_at", [None, 1, 3])
def test_epochs_that_are_not_evaluated_change_no_weight(paths, params, kill_at):
    longer = [s.model_dump() | {"epochs": 3} for s in params.training.stages]
    params = changed(params, stages=longer)
    often = train(paths, params, "eegnet", 0)
    params = changed(params, evaluate_every=2)
    if kill_at:
        with pytest.raises(KeyboardInterrupt):
            train(paths, params, "eegnet", 0, callback=Recorder(kill_at))
    recorder = Recorder()
    seldom = train(paths, params, "eegnet", 0, callback=recorder)
    for name in ("weights.safetensors", "oof.parquet"):
        assert seldom["files"][name] == often["files"][name]
    assert seldom["stages"] == often["stages"]
    history = pd.read_csv(paths.fold("eegnet", 0) / "history.csv")
    assert history.loc[history["kl_all"].notna(), "epoch"].tolist() == [2, 3, 5, 6]
    assert history["loss"].notna().all()
    assert [step for step, found in recorder.epochs if "kl_all" in found] == [2, 3, 5, 6]


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_weights_kept_are_those_that_gave_the_oof(paths, params, ema_decay):
    params = changed(params, ema_decay=ema_decay)
    train(paths, params, "eegnet", 0)
    data = MemberData.read(paths, params, "eegnet", {}).fold(0)
    network = build_model(params.members["eegnet"], data.shapes)
    network.load_state_dict(load_file(paths.fold("eegnet", 0) / "weights.safetensors"))
    views = [torch.from_numpy(store[data.label_ids[data.held_out]]) for store in data.stores]
    with torch.no_grad():
        probs = network.eval()(*(view.float() for view in views)).softmax(1).numpy()
    oof = pd.read_parquet(paths.fold("eegnet", 0) / "oof.parquet")
    np.testing.assert_allclose(oof[list(CLASSES)].to_numpy(), probs, atol=1e-5)


def test_it_learns_two_plain_classes(paths, params):
    longer = [s.model_dump() | {"epochs": 6, "max_lr": 0.01} for s in params.training.stages]
    manifest = train(paths, changed(params, stages=longer), "eegnet", 0)
    assert manifest["metrics"][">=10"] < 0.35  # two equal classes: 0.69


def test_a_stage_that_no_window_has_the_votes_for_is_left_out_and_told(paths, params, caplog):
    windows = pd.read_parquet(paths.windows)
    windows[list(VOTE_COLUMNS)] = windows[list(VOTE_COLUMNS)].clip(upper=3)
    windows.to_parquet(paths.windows, index=False)
    split_stage.run(paths, params)
    manifest = train(paths, params, "eegnet", 0)
    assert [stage["name"] for stage in manifest["stages"]] == ["stage1"]
    assert "eegnet-0 is trained without stage 'stage2': no window has 10 votes or more" in (
        caplog.text
    )
    late = [part.model_dump() | {"min_votes": 10} for part in params.training.stages[1:]]
    with pytest.raises(InputError, match=r"as training\.stages say, but these have \d to \d"):
        train(paths, changed(params, stages=late), "eegnet", 0)


@pytest.mark.parametrize("member", ["eegnet", "v2s-spec"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_killed_training_ends_with_the_same_bytes(paths, params, member, ema_decay):
    params = changed(params, ema_decay=ema_decay)
    train(paths, params, member, 0)
    expected = hashes(paths, member)
    for kill_at in (1, 2, 3):  # in stage 1, at its end, in stage 2: the same training each time
        recorder = Recorder(kill_at)
        with pytest.raises(KeyboardInterrupt):
            train(paths, params, member, 0, callback=recorder)
        assert recorder.calls[-1] == "KeyboardInterrupt"
        torch.manual_seed(kill_at)  # a new process has other random state
    resumed = Recorder()
    train(paths, params, member, 0, callback=resumed)
    assert [step for step, _ in resumed.epochs] == [1, 2, 3, 4]
    assert hashes(paths, member) == expected


def test_a_training_killed_within_epochs_ends_with_the_same_bytes(paths, params):
    train(paths, params, "eegnet", 0)
    expected = hashes(paths)
    n_steps = []
    train(paths, params, "eegnet", 0, progress=lambda done, total: n_steps.append(total))

    def killed_at(step: int):
        def progress(done: int, total: int) -> None:
            if done == step:
                raise KeyboardInterrupt

        return progress

    for step in sorted(np.random.default_rng(0).choice(np.arange(1, n_steps[0] + 1), 5, False)):
        with pytest.raises(KeyboardInterrupt):
            train(paths, params, "eegnet", 0, progress=killed_at(step))
    train(paths, params, "eegnet", 0)
    assert hashes(paths) == expected


def test_a_training_killed_after_its_last_epoch_only_writes(paths, params, monkeypatch):
    train(paths, params, "eegnet", 0)
    expected = hashes(paths)
    with pytest.raises(KeyboardInterrupt):
        train(paths, params, "eegnet", 0, callback=Recorder(4))
    monkeypatch.setattr(fit_module.PlainStep, "__call__", None)
    train(paths, params, "eegnet", 0)
    assert hashes(paths) == expected


def test_a_broken_checkpoint_is_said_and_dropped(paths, params, caplog):
    with pytest.raises(KeyboardInterrupt):
        train(paths, params, "eegnet", 0, callback=Recorder(2))
    (file,) = paths.checkpoints.glob("*/*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    train(paths, params, "eegnet", 0)
    assert "training starts anew" in caplog.text


@pytest.mark.parametrize("change", ["absent", "reshaped"])
def test_a_checkpoint_that_does_not_fit_leaves_nothing_behind(paths, params, caplog, change):
    train(paths, params, "eegnet", 0)
    expected = hashes(paths)
    with pytest.raises(KeyboardInterrupt):
        train(paths, params, "eegnet", 0, callback=Recorder(2))
    (file,) = paths.checkpoints.glob("*/*.safetensors")
    with safe_open(file, "pt") as stored:
        metadata = stored.metadata()
        tensors = {name: stored.get_tensor(name) + 1 for name in stored.keys()}  # noqa: SIM118
    name = list(tensors)[-1]
    tensors[name] = tensors[name].reshape(1, *tensors[name].shape)
    if change == "absent":
        del tensors[name]
    save_file(tensors, file, metadata)
    file.rename(file.with_stem(hash_file(file)))
    train(paths, params, "eegnet", 0)
    assert "training starts anew" in caplog.text
    assert hashes(paths) == expected


def test_another_recipe_does_not_resume_this_one(paths, params):
    with pytest.raises(KeyboardInterrupt):
        train(paths, params, "eegnet", 0, callback=Recorder(2))
    train(paths, changed(params, seed=1), "eegnet", 0)
    assert len(list(paths.checkpoints.iterdir())) == 1


def test_features_on_disk_give_the_same_network(paths, params):
    train(paths, params, "eegnet", 0)
    weights = hashes(paths)["weights.safetensors"]
    train(paths, changed(params, resident_fraction=0.0), "eegnet", 0)
    assert hashes(paths)["weights.safetensors"] == weights


def test_a_fold_or_member_that_is_not_there(paths, params):
    with pytest.raises(InputError, match=r"^fold must be 0\.\.1, got 99"):
        train(paths, params, "eegnet", 99)
    with pytest.raises(InputError, match="Unknown member 'banana'"):
        train(paths, params, "banana", 0)


def test_missing_inputs_name_the_command(paths, params):
    (paths.view("bipolar") / "manifest.json").unlink()
    with pytest.raises(InputError, match="Run `hms features bipolar` first"):
        train(paths, params, "eegnet", 0)
    paths.folds.unlink()
    with pytest.raises(InputError, match="Run `hms split` first"):
        train(paths, params, "eegnet", 0)


def test_features_of_other_windows_are_refused(paths, params):
    file = paths.view("bipolar") / "label_ids.npy"
    ids = np.load(file)
    np.save(file, ids[:-2])
    with pytest.raises(InputError, match=r"lacks 2 of 60 .* Run `hms features bipolar` again"):
        train(paths, params, "eegnet", 0)


def test_features_of_other_parameters_are_refused(params, tmp_path):
    """A number that leaves the shape as it is, in a store that `features` wrote."""
    paths = Paths(data=tmp_path / "data", artifacts=tmp_path / "artifacts")
    for folder in (paths.data / "train_eegs", paths.data / "train_spectrograms", paths.validated):
        folder.mkdir(parents=True)
    for number in range(4):
        write_recording(paths.data, number)
    window_rows(range(4)).to_parquet(paths.windows, index=False)
    split_stage.run(paths, params)
    features_stage.run(paths, params, "bipolar")
    assert MemberData.read(paths, params, "eegnet", {}).fold(0).shapes == ((18, 2500),)
    data = params.model_dump(mode="json")
    data["views"]["bipolar"]["scale_uv"] = 64.0
    with pytest.raises(InputError, match="need parameters .* Run `hms features bipolar`"):
        train(paths, parse_params(data), "eegnet", 0)


def test_a_patient_on_both_sides_is_refused(paths, params):
    folds = read_folds(paths)
    folds.loc[folds["patient_id"] == 3, "fold"] = [0, 1, 0, 1, 0]
    folds.to_parquet(paths.folds, index=False)
    with pytest.raises(InputError, match="Patient 3 is both in fold 0 and outside"):
        train(paths, params, "eegnet", 0)


def test_a_stage_without_rows_is_one_sentence(paths, params):
    """There are windows for stage 1, but all in the fold that is held out."""
    windows = read_windows(paths).merge(read_folds(paths)[["label_id", "fold"]], on="label_id")
    windows.loc[windows["fold"] != 0, "other_vote"] += 20
    windows.drop(columns="fold").to_parquet(paths.windows, index=False)
    with pytest.raises(InputError, match="'stage1' needs windows with 1 to 9 votes .* got 0"):
        train(paths, params, "eegnet", 0)


def test_divergence_is_one_sentence_and_the_callback_hears_it(paths, params):
    # Far beyond what a recipe may ask for, so that it diverges in its first steps.
    stages = tuple(s.model_copy(update={"max_lr": 1e30}) for s in params.training.stages)
    training = params.training.model_copy(update={"stages": stages})
    recorder = Recorder()
    with pytest.raises(InputError, match=r"^Training eegnet-0 diverged"):
        train(
            paths, params.model_copy(update={"training": training}), "eegnet", 0, callback=recorder
        )
    assert recorder.calls == ["start", "DivergenceError"]


def test_too_little_gpu_memory_is_one_sentence(paths, params, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fit_module, "make_step", full)
    with pytest.raises(InputError, match=r"Training eegnet-0 needs more GPU memory .* Lower"):
        train(paths, params, "eegnet", 0)


def test_checkpoints_are_whole_or_absent(paths, params, monkeypatch):
    saved = []
    original = Checkpoint.save

    def save(self, state, history):
        original(self, state, history)
        saved.append([p.name for p in self.folder.iterdir()])

    monkeypatch.setattr(Checkpoint, "save", save)
    train(paths, params, "eegnet", 0)
    assert [len(files) for files in saved] == [1] * 4
    assert all(name.endswith(".safetensors") for (name,) in saved)


def test_finished_folds_are_linked_and_not_trained_again(paths, params):
    stage.run(paths, params, "eegnet")
    assert missing_folds(paths, params, "eegnet") == []
    expected = hashes(paths)
    shutil.rmtree(paths.members)
    stage.run(paths, params, "eegnet", callback=lambda: pytest.fail("trained again"))
    assert hashes(paths) == expected
    inputs = member_inputs(paths, params, "eegnet")
    finished = paths.finished / fold_key(inputs, "eegnet", 0)
    assert (finished / FILES[0]).samefile(paths.fold("eegnet", 0) / FILES[0])


def test_going_back_to_an_earlier_parameter_trains_nothing(paths, params):
    stage.run(paths, params, "eegnet")
    expected = hashes(paths)
    stage.run(paths, changed(params, seed=1), "eegnet")
    assert hashes(paths) != expected
    stage.run(paths, params, "eegnet", callback=lambda: pytest.fail("trained again"))
    assert hashes(paths) == expected


def test_several_folds_of_one_process_equal_each_alone(paths, params):
    train(paths, params, "eegnet", 1)
    alone = hashes(paths, fold=1)
    shutil.rmtree(paths.finished)
    stage.run(paths, params, "eegnet", [0, 1])
    assert hashes(paths, fold=1) == alone


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_finished_fold_is_said_and_trained_again(paths, params, caplog, name):
    stage.run(paths, params, "eegnet", [0])
    expected = hashes(paths)
    inputs = member_inputs(paths, params, "eegnet")
    file = paths.finished / fold_key(inputs, "eegnet", 0) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()
    file.write_bytes(content)
    stage.run(paths, params, "eegnet", [0])
    assert "damaged and trained again" in caplog.text
    assert hashes(paths) == expected


def test_a_flipped_bit_in_a_checkpoint_is_no_other_result(paths, params, caplog):
    train(paths, params, "eegnet", 0)
    expected = hashes(paths)
    with pytest.raises(KeyboardInterrupt):
        train(paths, params, "eegnet", 0, callback=Recorder(2))
    (file,) = paths.checkpoints.glob("*/*.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    train(paths, params, "eegnet", 0)
    assert "training starts anew" in caplog.text
    assert hashes(paths) == expected


def test_recorded_files_are_shared(paths, params):
    """DVC puts copies of its own in the place of an output's files."""
    stage.run(paths, params, "eegnet", [0])
    for name in FILES:
        file = paths.fold("eegnet", 0) / name
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    share_recorded(paths)
    inputs = member_inputs(paths, params, "eegnet")
    finished = paths.finished / fold_key(inputs, "eegnet", 0)
    assert all((finished / name).samefile(paths.fold("eegnet", 0) / name) for name in FILES)
    assert find_finished(finished, inputs)
