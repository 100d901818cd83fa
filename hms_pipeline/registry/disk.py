"""Check, before a retrain starts, that the disk is large enough for it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd
import torch

from ..config import Params, Paths
from ..config.members import MemberParams
from ..config.paths import FINAL
from ..config.student import STUDENT
from ..features.views import build_views
from ..models import build_model
from ..system.errors import InputError
from ..system.files import read_table

GB = 1e9


def needed_bytes(paths: Paths, params: Params, stale: Collection[str] = ()) -> int:
    """Upper estimate of what a full retrain writes that is not there yet.

    Files of ``stale`` stages (``features@<view>``, ``train@<member>``, ``student``) will be
    written again and count in full: the old ones stay in DVC's cache.

    Features are float16; each network is stored once in full, once in its checkpoint with the
    optimiser's two moments, and once in the registered version. DVC's cache links or copies what
    is stored, so features and weights count twice; the student's features of overlapping windows
    lie outside it.
    """
    networks = list(_networks(params))
    used = sorted({view for _, member, _ in networks for view in member.views})
    views = build_views(params, used)
    n_windows = _n_windows(paths)
    sizes = {name: 2 * math.prod(views[name].shape) for name in used}  # bytes a window
    features = sum(
        n_windows * size
        for name, size in sizes.items()
        if f"features@{name}" in stale or not (paths.view(name) / "manifest.json").exists()
    )
    weights = beside = 0
    for name, member, folds in networks:
        of = paths.student if name == STUDENT else paths
        stage = STUDENT if name == STUDENT else f"train@{name}"
        missing = [
            fold
            for fold in folds
            if stage in stale or not (of.fold(name, fold) / "weights.safetensors").exists()
        ]
        with torch.device("meta"):
            network = build_model(member, [views[view].shape for view in member.views], name=name)
        n_bytes = 4 * sum(p.numel() for p in network.parameters())
        # The registered copy is counted as if nothing could be halved.
        weights += n_bytes * (2 * len(missing) + len(of.answering(params.split.n_folds)) + 3)
        if name == STUDENT and params.student and params.student.overlaps and missing:
            beside = _n_overlapping(paths) * sum(sizes[view] for view in member.views)
    return 2 * features + weights + beside


def _networks(params: Params) -> Iterator[tuple[str, MemberParams, tuple[int | str, ...]]]:
    """Members and student: name, network, what is trained of it."""
    folds = tuple(range(params.split.n_folds))
    for name, member in params.members.items():
        yield name, member, folds
    if params.student is not None:
        yield STUDENT, params.student.member, (*folds, FINAL)


def _n_windows(paths: Paths) -> int:
    try:
        return len(read_table(paths.windows, columns=["label_id"]))
    except (FileNotFoundError, InputError):
        return _n_rows(paths)  # `validate` makes it anew; it keeps no more than there are


def _n_rows(paths: Paths) -> int:
    table = paths.data / "train.csv"
    return len(pd.read_csv(table, usecols=["label_id"])) if table.exists() else 0


def _n_overlapping(paths: Paths) -> int:
    try:
        set_aside = read_table(paths.quarantine, columns=["kind", "rule"])
    except (FileNotFoundError, InputError):
        return _n_rows(paths)
    return int(((set_aside["kind"] == "window") & (set_aside["rule"] == "overlap")).sum())


def check_disk(paths: Paths, params: Params, stale: Collection[str] = ()) -> tuple[int, int]:
    """Refuse a retrain that the disk cannot hold.

    Parameters
    ----------
    paths : Paths
    params : Params
    stale : collection of str, optional
        Stages whose files are out of date; without it what is there counts as done.

    Returns
    -------
    needed, free : int, bytes

    Raises
    ------
    InputError
        Says how much is needed and how much is free.
    """
    folder: Path = paths.artifacts.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    needed = needed_bytes(paths, params, stale)
    reserve = params.registry.disk_reserve_gb * GB
    if needed + reserve > free:
        raise InputError(
            f"A retrain by recipe {params.recipe!r} needs about {needed / GB:.1f} GB and leaves"
            f" {reserve / GB:g} GB free, but the disk has {free / GB:.1f} GB. Free some:"
            " hms gc, or dvc gc --workspace, after which older versions' artifacts are gone."
        )
    return needed, free
