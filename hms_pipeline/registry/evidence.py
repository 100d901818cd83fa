"""What the gate judges: predictions of challenger and champion, without leaks, and the model."""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..config import Params, Paths
from ..config.votes import unmet
from ..data.window import Window, WindowReader
from ..ensemble.check import agree, check_table, differs
from ..ensemble.metrics import plurality
from ..ensemble.oof import OutOfFold
from ..ensemble.stage import Made, prior
from ..inference.bundle import read_info
from ..inference.client import encode_request
from ..inference.networks import HALF_FROM
from ..inference.write import PLACE
from ..schema import CLASSES, VOTE_COLUMNS
from ..student.compare import Comparison
from ..system.errors import InputError
from ..system.files import read_table
from ..training.metrics import kl_per_window
from .gate import Check, compare, compare_first, compare_student, limits
from .package import BUNDLE, load_code, load_served, refusals_of


@dataclass(frozen=True)
class Champion:
    """What a challenger is compared with.

    Parameters
    ----------
    version : int
    bundle : Path
        Verified.
    tables : Path
        The folder with its training's ``folds.parquet`` and ``oof.parquet``, as registered.
    """

    version: int
    bundle: Path
    tables: Path


class LazyWindows(Sequence):
    """Windows of a table, read when they are asked for.

    Parameters
    ----------
    reader : WindowReader
        A bundle's own.
    rows : DataFrame
    """

    def __init__(self, reader: Any, rows: pd.DataFrame) -> None:
        self._reader, self._rows = reader, rows.to_dict("records")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, k: Any) -> Any:
        return self._reader.read(self._rows[k])


def module(code: ModuleType, name: str) -> ModuleType:
    """A module of a bundle's own code."""
    return importlib.import_module(f"{code.__name__}.{name}")


def check_version(model: Path, tables: Path, made: Made) -> None:
    """Compare a version's blend and its training's tables with the members' predictions.

    Parameters
    ----------
    model : Path
        The version's folder, verified.
    tables : Path
        From ``training_tables``.
    made : Made

    Raises
    ------
    InputError
        The version is of another ensemble; the file is named.
    """
    path = model / BUNDLE / "bundle.json"
    blend = read_info(path.parent)["blend"]
    if not agree(blend, {key: made.weights[key] for key in blend}):
        raise differs(path)
    check_table(tables / "oof.parquet", made)


def challenger_table(paths: Paths, params: Params, made: Made) -> pd.DataFrame:
    """The challenger's nested OOF on the deciding windows; on all where none has the votes.

    Parameters
    ----------
    paths : Paths
    params : Params
    made : Made
        The ensemble as it was just made of the members' predictions.

    Returns
    -------
    DataFrame
        ``label_id, patient_id, fold``, where the window lies, six votes, six probabilities.
    """
    windows = read_table(paths.windows, columns=["label_id", *PLACE, *VOTE_COLUMNS])
    table = made.table.merge(windows, on="label_id", validate="one_to_one")
    many = table[list(VOTE_COLUMNS)].sum(axis=1) >= params.gate.min_votes
    if many.any():
        table = table[many]
    return table.sort_values("label_id", ignore_index=True)


def judged_otherwise(paths: Paths, params: Params) -> list[str]:
    """Say what is trained and judged differently from the recipe, because votes are too few."""
    votes = read_table(paths.windows, columns=list(VOTE_COLUMNS)).sum(axis=1)
    return unmet(params, votes.tolist())


def target_of(table: pd.DataFrame) -> np.ndarray:
    """Vote shares, shape (n_windows, 6)."""
    votes = table[list(VOTE_COLUMNS)].to_numpy(float)
    return votes / votes.sum(axis=1, keepdims=True)


def prior_losses(table: pd.DataFrame) -> np.ndarray:
    """Loss of the mean target of the other folds: what a first version has to beat."""
    target = target_of(table)
    return kl_per_window(target, prior(target, table["fold"].to_numpy(), np.ones(len(table), bool)))


def network_plan(table: pd.DataFrame, folds: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """Which champion networks may predict which window.

    A known patient's window is predicted by the held-out fold's networks only. A new patient's
    is predicted by each fold's networks in turn, and its loss is the mean of theirs, so that
    every prediction uses as many networks as one of the challenger's.

    Parameters
    ----------
    table : DataFrame
        ``label_id, patient_id``.
    folds : DataFrame
        ``patient_id, fold`` of the champion's training.
    n_folds : int

    Returns
    -------
    DataFrame
        ``label_id, patient_id, network``; one row per prediction.
    """
    known = folds.drop_duplicates(["patient_id", "fold"])
    if known["patient_id"].duplicated().any():
        patient = known.loc[known["patient_id"].duplicated(), "patient_id"].iloc[0]
        raise InputError(
            f"The champion's patient {patient} is in two folds, so no network of it is unseen."
            " Roll back or promote by hand."
        )
    fold_of = known.set_index("patient_id")["fold"]
    held_out = table["patient_id"].map(fold_of)
    networks = [list(range(n_folds)) if pd.isna(fold) else [int(fold)] for fold in held_out]
    plan = table[["label_id", "patient_id"]].assign(network=networks)
    return plan.explode("network", ignore_index=True).astype({"network": int})


def check_no_leak(plan: pd.DataFrame, folds: pd.DataFrame) -> None:
    """Refuse a plan in which a network scores a patient that it was trained on.

    Raises
    ------
    InputError
        Names the window.
    """
    trained = plan.merge(folds[["patient_id", "fold"]].drop_duplicates(), on="patient_id")
    leaks = trained[trained["network"] != trained["fold"]]
    if len(leaks):
        first = leaks.iloc[0]
        raise InputError(
            f"The champion's networks of fold {first['network']} were trained on patient"
            f" {first['patient_id']}, but would score its window {first['label_id']}. Correct the"
            " folds."
        )


def champion_losses(champion: Champion, table: pd.DataFrame, data: Path) -> np.ndarray:
    """The champion's loss on the challenger's windows, without leaking.

    If the champion's nested OOF holds a window, at the same place of the same recording, its loss
    is taken from there. The champion's own code predicts the other windows.

    Parameters
    ----------
    champion : Champion
    table : DataFrame
        From ``challenger_table``.
    data : Path
        The competition folder.

    Returns
    -------
    array, shape (n_windows,)
    """
    oof = pd.read_parquet(champion.tables / "oof.parquet")
    same = ["label_id", "patient_id", *PLACE]
    stored = oof.merge(table[same], on=same)
    rest = table[~table["label_id"].isin(stored["label_id"])]
    draws = [stored[["label_id", *CLASSES]]]
    if len(rest):
        draws.append(_predict_new(champion, rest, data))
    predictions = pd.concat(draws, ignore_index=True)
    target = pd.DataFrame(target_of(table), index=table["label_id"])
    probs = predictions[list(CLASSES)].to_numpy(float)
    losses = kl_per_window(target.loc[predictions["label_id"]].to_numpy(), probs)
    means = predictions.assign(loss=losses).groupby("label_id")["loss"].mean()
    return means.loc[table["label_id"]].to_numpy()


def _predict_new(champion: Champion, table: pd.DataFrame, data: Path) -> pd.DataFrame:
    code = load_code(champion.bundle)
    folds = pd.read_parquet(champion.tables / "folds.parquet")
    place = table[["label_id", *PLACE]].sort_values(["eeg_id", "label_id"])
    draws = []
    with refusals_of(code):
        predictor = module(code, "inference.predictor").Predictor.open(champion.bundle)
        plan = network_plan(table, folds, len(predictor.folds))
        check_no_leak(plan, folds)
        for network, part in plan.groupby("network"):
            rows = place[place["label_id"].isin(part["label_id"])]
            windows = LazyWindows(module(code, "data.window").WindowReader(data), rows)
            probs = predictor.only([int(network)]).predict(windows).probs
            draws.append(pd.DataFrame(probs, rows["label_id"], list(CLASSES)).reset_index())
    return pd.concat(draws, ignore_index=True)


def comparison(
    paths: Paths, params: Params, champion: Champion | None, made: Made
) -> tuple[list[Check], dict[str, float]]:
    """Checks of the challenger against the champion, or the prior where there is none.

    Returns
    -------
    checks : list of Check
    metrics : dict
    """
    table = challenger_table(paths, params, made)
    ours = kl_per_window(target_of(table), table[list(CLASSES)].to_numpy(float))
    patients = table["patient_id"].to_numpy()
    if champion is None:
        theirs = prior_losses(table)
        checks = compare_first(ours, theirs, patients, params.gate)
    else:
        theirs = champion_losses(champion, table, paths.data)
        votes = plurality(table[list(VOTE_COLUMNS)].to_numpy(float))
        checks = compare(ours, theirs, patients, votes, params.gate, f"champion {champion.version}")
    metrics = {"kl": float(ours.mean()), "kl_reference": float(theirs.mean())}
    return checks, metrics | {check.name: check.value for check in checks}


def student_comparison(
    paths: Paths, params: Params, found: Comparison, taught_by: str | None
) -> tuple[list[Check], dict[str, float]]:
    """Checks of a student against its teacher, both nested.

    Parameters
    ----------
    paths : Paths
        The ensemble's.
    params : Params
    found : Comparison
    taught_by : str or None
        Hash of the networks of the ensemble's champion.
    """
    rows = found.oof.n_votes >= params.gate.min_votes
    if not rows.any():  # as for the ensemble, whose stage warns of it
        rows[:] = True
    losses = found.losses[rows]
    champions = found.taught_by == taught_by
    said = "" if champions else " not"
    rule = "" if champions else "; only a student of the champion may be promoted"
    checks = [
        *compare_student(losses[:, 0], losses[:, 1], found.oof.patients[rows], params.gate),
        Check(
            "teacher", float(champions), 1.0, True,
            f"Its teacher is{said} the champion of {paths.model}{rule}.",
        ),
    ]  # fmt: skip
    metrics = {"kl": float(losses[:, 0].mean()), "kl_reference": float(losses[:, 1].mean())}
    return checks, metrics | {check.name: check.value for check in checks}


def model_checks(
    paths: Paths, params: Params, model: Path, made: Made
) -> tuple[list[Check], dict[str, float]]:
    """Checks of the packaged model itself: it loads, reproduces the OOF, is small and fast.

    Raises
    ------
    InputError
        The window used for the self-check is unreadable; the model itself was not tested.
    OSError, MemoryError, torch.OutOfMemoryError
        The machine failed; the model was not tested either.
    """
    some = _some_windows(paths, params, made)
    reader = WindowReader(paths.data)
    windows = [reader.read(row) for row in some.to_dict("records")]
    size_mb = sum(p.stat().st_size for p in model.rglob("*") if p.is_file()) / 2**20
    try:
        difference, latency_ms, device = _try_out(params, made.oof, model, some, windows)
        found = f"The packaged model reproduces the OOF to {difference:.4f}"
    except Exception as err:  # whatever a broken model does is a reason to refuse it
        if _machine_failed(err):
            raise
        difference, latency_ms, device = float("nan"), float("nan"), "no device"
        found = f"The packaged model fails: {err}".rstrip(". ")
    atol = params.gate.self_check_atol
    checks = [
        Check("self_check", difference, atol, False, f"{found}; at most {atol:g} allowed."),
        *limits(size_mb, latency_ms, device, params.gate),
    ]
    return checks, {check.name: check.value for check in checks}


def _machine_failed(err: BaseException) -> bool:
    """Whether the disk or the memory is behind an error, also where a model wrapped it."""
    while not isinstance(err, OSError | MemoryError | torch.OutOfMemoryError):
        before = err.__cause__ or err.__context__
        if before is None:
            return "can't allocate memory" in str(err)  # PyTorch's plain RuntimeError on a CPU
        err = before
    return True


def _try_out(
    params: Params, oof: OutOfFold, model: Path, some: pd.DataFrame, windows: Sequence[Window]
) -> tuple[float, float, str]:
    served = load_served(model)
    predictor = served.unwrap_python_model()._predictor  # noqa: SLF001 - stored versions call it so
    worst = 0.0
    at_once = HALF_FROM if predictor.device.type == "cuda" else 1  # as a long run answers
    for fold, rows in some.groupby("fold"):
        rows = pd.concat([rows] * -(-at_once // len(rows)))
        scores = predictor.only([int(fold)]).predict([windows[k] for k in rows.index])
        worst = max(worst, _worst_member(oof, rows, scores))
    worst = max(worst, _worst_served(served, predictor, windows[:2]))
    n = params.gate.latency_windows
    batch = [windows[k % len(windows)] for k in range(n)]
    predictor.predict(batch)
    start = time.perf_counter()
    predictor.predict(batch)
    latency_ms = 1000 * (time.perf_counter() - start) / n
    return worst, latency_ms, predictor.device.type


def _some_windows(paths: Paths, params: Params, made: Made) -> pd.DataFrame:
    table = challenger_table(paths, params, made)
    if len(paths.answering(params.split.n_folds)) == 1:
        table = table.assign(fold=0)  # one network answers all
    n = params.gate.self_check_windows
    some = [rows.iloc[:: max(1, len(rows) // n)].head(n) for _, rows in table.groupby("fold")]
    return pd.concat(some, ignore_index=True)


def _worst_member(oof: OutOfFold, rows: pd.DataFrame, scores: Any) -> float:
    worst = 0.0
    place = np.searchsorted(oof.label_ids, rows["label_id"])
    for name, probs in zip(scores.members, scores.member_probs, strict=True):
        expected = oof.probs[oof.members.index(name), place]
        absent = np.isnan(probs).any(axis=1)  # a window whose spectrogram is not there
        worst = max(worst, float(np.abs(probs - expected)[~absent].max(initial=0.0)))
    return worst


def _worst_served(served: Any, predictor: Any, windows: Sequence[Window]) -> float:
    answered = served.predict(pd.read_parquet(io.BytesIO(encode_request(windows))))
    return float(np.abs(answered.to_numpy(float) - predictor.predict(windows).probs).max())
