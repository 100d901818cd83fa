"""Plots of an ensemble: PNG for reports, and CSV that ``dvc plots`` draws by its own templates.

A template draws one series of each revision, so what has several (classes, members, slices) is a
folder with one CSV file for each.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..config import Params, Paths
from ..ensemble.metrics import calibration_error, confusion, plurality, reliability
from ..ensemble.oof import OutOfFold, read_oof
from ..ensemble.stage import METRICS, TABLE, WEIGHTS
from ..schema import ACNS_NAMES, CLASSES, DECIDING_SLICE, VOTE_SLICES
from ..system.files import atomic, read_sealed, read_table
from ..training.finished import read_checked, read_manifest
from ..training.metrics import metric_name
from .style import ACCENT, CLASS_COLOURS, FAINT, INK, SOFT, figure


def write_ensemble_plots(paths: Paths, params: Params) -> Path:
    """Draw weights, reliability, confusion, KL by votes and member correlation; learning curves.

    Parameters
    ----------
    paths, params
        Stage `ensemble` has run.

    Returns
    -------
    Path
        ``ensemble/plots``: five PNG files, each beside its numbers under the same name;
        ``learning_curves``, a CSV file of each member.
    """
    weights, metrics = (
        read_sealed(paths.ensemble / name, "hms ensemble") for name in (WEIGHTS, METRICS)
    )
    oof = read_oof(paths, params)
    frame = read_table(paths.ensemble / TABLE).set_index("label_id")
    probs = frame.loc[oof.label_ids, list(CLASSES)].to_numpy(dtype=float)
    # without any window of the deciding slice the plots show them all
    rows = oof.deciding if oof.deciding.any() else np.ones(len(probs), dtype=bool)
    with atomic(paths.ensemble / "plots") as folder:
        folder.mkdir()
        plot_weights(folder, weights)
        plot_reliability(folder, oof.target[rows], probs[rows], params.ensemble.bins)
        plot_confusion(folder, oof.votes[rows], probs[rows])
        plot_kl_by_votes(folder, metrics)
        plot_correlation(folder, oof, rows)
        write_learning_curves(folder / "learning_curves", paths, params)
    return paths.ensemble / "plots"


def _write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")


def write_learning_curves(folder: Path, paths: Paths, params: Params) -> None:
    """Training loss and held-out KL after the evaluated epochs, one CSV file of each member.

    ``loss`` and ``kl`` are means over the folds, ``fold_0, fold_1, …`` the KL of each. KL is that
    of the deciding slice, or of all windows where a member has none in it.
    """
    for member in params.members:
        folds = [_history(paths.fold(member, fold)) for fold in range(params.split.n_folds)]
        history = pd.concat(folds, keys=range(len(folds)), names=["fold"]).reset_index("fold")
        deciding = history[metric_name(DECIDING_SLICE)]
        history["kl"] = deciding if deciding.notna().any() else history[metric_name("all")]
        by_fold = history.pivot(index="epoch", columns="fold", values="kl").add_prefix("fold_")
        table = history.groupby("epoch")[["loss", "kl"]].mean()
        table = table.join(by_fold.dropna(axis=1, how="all")).dropna(subset="kl")
        _write(table.reset_index(), folder / f"{member}.csv")


def _history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(read_checked(folder, read_manifest(folder), "history.csv")))


def plot_weights(folder: Path, weights: dict[str, Any]) -> None:
    """Weights that are used, and beside them those that were fitted."""
    members = weights["members"]
    used, fitted = (
        [blend["weights"][name] for name in members]
        for blend in (weights, weights["candidates"].get("shrunk", weights))
    )
    table = pd.DataFrame({"member": members, "used": used, "fitted": fitted})
    _write(table, folder / "weights.csv")
    with figure(folder / "weights.png", 6.4, 1.4 + 0.34 * len(members)) as drawn:
        axes = drawn.add_subplot()
        y = np.arange(len(members))
        axes.barh(y, used, color=ACCENT, height=0.6, label="used", zorder=2)
        axes.scatter(
            fitted, y, marker="D", s=26, zorder=3, label="fitted",
            facecolor="white", edgecolor=INK, linewidth=0.9,
        )  # fmt: skip
        axes.axvline(1 / len(members), color=SOFT, linestyle=(0, (4, 3)), linewidth=1, zorder=2.5)
        axes.set_yticks(y, members)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("weight (dashed: equal mean)")
        axes.grid(axis="x")
        axes.set_title("Weights of the members")
        drawn.legend(loc="outside upper right", ncols=2)


def plot_reliability(folder: Path, target: np.ndarray, probs: np.ndarray, bins: int) -> None:
    """Share of experts' votes against the predicted probability, one panel per class."""
    curves = reliability(target, probs, bins)
    errors = calibration_error(target, probs, bins)
    for name, curve in zip(CLASSES, curves, strict=True):
        _write(pd.DataFrame(curve), folder / "reliability" / f"{name}.csv")
    with figure(folder / "reliability.png", 7.4, 5.4) as drawn:
        grid = drawn.subplots(2, 3, sharex=True, sharey=True)
        for axes, name, label, curve, error in zip(
            grid.flat, CLASSES, ACNS_NAMES, curves, errors, strict=True
        ):
            colour = CLASS_COLOURS[name]
            axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
            share_of_windows = curve["n"] / curve["n"].sum()
            axes.bar(curve["prob"], share_of_windows, width=0.05, color=colour, alpha=0.22)
            axes.plot(curve["prob"], curve["share"], color=colour, linewidth=1.8)
            sizes = 12 + 90 * np.sqrt(share_of_windows)
            axes.scatter(
                curve["prob"], curve["share"], s=sizes, color=colour, edgecolor="white", zorder=3
            )
            axes.set_title(f"{label}   error {error:.3f}")
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axes.grid()
        drawn.supxlabel("predicted probability (bars: share of windows)", fontsize=9)
        drawn.supylabel("share of experts' votes", fontsize=9)


def plot_confusion(folder: Path, votes: np.ndarray, probs: np.ndarray) -> None:
    """Experts' plurality against the most probable class.

    The CSV file has a row for each window, as DVC's template counts them; ties are left out.
    """
    counts = confusion(votes, probs)
    labels, clear = np.array(ACNS_NAMES), plurality(votes).sum(axis=1) == 1
    chosen = {"actual": labels[votes.argmax(axis=1)], "predicted": labels[probs.argmax(axis=1)]}
    _write(pd.DataFrame(chosen)[clear], folder / "confusion.csv")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    with figure(folder / "confusion.png", 5.4, 4.9) as drawn:
        axes = drawn.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (i, j), share in np.ndenumerate(shares):
            if counts[i, j] > 0:
                colour = "white" if share > 0.55 else INK
                axes.text(j, i - 0.1, f"{share:.0%}", ha="center", va="center", color=colour)
                axes.text(
                    j, i + 0.22, f"{counts[i, j]:.0f}", ha="center", va="center",
                    color=colour, fontsize=6.5, alpha=0.8,
                )  # fmt: skip
        ticks = np.arange(len(CLASSES))
        axes.set_xticks(ticks, ACNS_NAMES)
        axes.set_yticks(ticks, ACNS_NAMES)
        axes.set(xlabel="most probable class", ylabel="experts' plurality")
        _bare(axes)
        axes.set_title("Confusion, share of each row")


def plot_kl_by_votes(folder: Path, metrics: dict[str, Any]) -> None:
    """KL divergence of members, ensemble and baselines on every vote slice."""
    groups = [
        *((name, "member", s) for name, s in metrics["members"].items()),
        ("equal mean", "blend", metrics["blends"]["equal"]),
        ("ensemble", "ensemble", metrics["ensemble"]),
        *((name, "baseline", s) for name, s in metrics["baselines"].items()),
    ]
    rows = [
        {"model": name, "group": group, "votes": s}
        | {k: slices[s][k] for k in ("kl", "low", "high")}
        for name, group, slices in groups
        for s in VOTE_SLICES
        if s in slices
    ]
    table = pd.DataFrame(rows)
    present = [s for s in VOTE_SLICES if s in metrics["slices"]]
    for name in present:
        part = table[table["votes"] == name].drop(columns="votes")
        _write(part, folder / "kl_by_votes" / f"{metric_name(name).removeprefix('kl_')}.csv")
    with figure(folder / "kl_by_votes.png", 6.6, 4.0) as drawn:
        axes = drawn.add_subplot()
        for x, name in enumerate(present):
            part = table[table["votes"] == name].set_index("model")
            _draw_slice(axes, x, part, first=x == 0)
        labels = [
            f"{s.replace('>=', '≥ ')} votes\n{metrics['slices'][s]['n_windows']:,} windows"
            for s in present
        ]
        axes.set_xticks(
            range(len(present)), [t.replace("all votes", "all windows", 1) for t in labels]
        )
        if DECIDING_SLICE in present:
            x = present.index(DECIDING_SLICE)
            axes.axvspan(x - 0.46, x + 0.46, color=FAINT, alpha=0.5, zorder=0, linewidth=0)
        axes.set_xlim(-0.5, len(present) - 0.5)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("KL divergence, nats")
        axes.grid(axis="y")
        axes.set_title("KL by number of votes (shaded: decides)")
        drawn.legend(loc="outside right center")


def _draw_slice(axes: Axes, x: int, part: pd.DataFrame, first: bool) -> None:
    def label(text: str) -> str:
        return text if first else "_"

    members = part[part["group"] == "member"]["kl"].to_numpy()
    spread = x - 0.28 + 0.56 * (np.arange(len(members)) + 0.5) / len(members)
    axes.scatter(spread, members, s=18, color=SOFT, label=label("members"), zorder=3)
    for name, style in (("prior", (0, (4, 2))), ("uniform", (0, (1, 1.5)))):
        axes.hlines(
            part.loc[name, "kl"], x - 0.4, x + 0.4, color=SOFT, linestyle=style, label=label(name)
        )
    axes.hlines(part.loc["equal mean", "kl"], x - 0.4, x + 0.4, color=INK, linewidth=1.1,
                label=label("equal mean"))  # fmt: skip
    ensemble = part.loc["ensemble"]
    reach = [[ensemble["kl"] - ensemble["low"]], [ensemble["high"] - ensemble["kl"]]]
    axes.errorbar(
        [x], [ensemble["kl"]], yerr=np.maximum(reach, 0), fmt="D", markersize=6, color=ACCENT,
        capsize=3, linewidth=1.4, label=label("ensemble"), zorder=4,
    )  # fmt: skip


def plot_correlation(folder: Path, oof: OutOfFold, rows: np.ndarray) -> None:
    """Correlation of the members' errors: the less, the more an average gains."""
    errors = (oof.probs[:, rows] - oof.target[rows]).reshape(len(oof.members), -1)
    errors = errors - errors.mean(axis=1, keepdims=True)
    norm = np.maximum(np.sqrt((errors**2).sum(axis=1)), 1e-12)
    matrix = np.einsum("mk,nk->mn", errors, errors) / np.outer(norm, norm)
    table = pd.DataFrame(matrix, columns=list(oof.members))
    table.insert(0, "member", oof.members)
    _write(table, folder / "member_correlation.csv")
    n = len(oof.members)
    with figure(folder / "member_correlation.png", 2.6 + 0.48 * n, 2.0 + 0.44 * n) as drawn:
        axes = drawn.add_subplot()
        axes.imshow(matrix, cmap="Purples", vmin=0, vmax=1)
        for (i, j), value in np.ndenumerate(matrix):
            colour = "white" if value > 0.6 else INK
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7.5)
        axes.set_xticks(range(n), oof.members, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), oof.members)
        _bare(axes)
        axes.set_title("Correlation of errors")


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
