"""Writes the present artifacts as a bundle: weights, half precision where that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from ..config import Params, Paths
from ..config.members import MemberParams
from ..config.params import write_params
from ..features.store import FeatureStore
from ..features.views import build_views
from ..models import build_model
from ..system.device import choose_device
from ..system.files import hash_file, read_table, write_json, write_table
from ..training.checkpoint import write_tensors
from ..training.finished import read_checked, read_manifest
from .bundle import CHECKSUMS, TABLES, checksums, copy_code, describe_content
from .reference import write_reference

PLACE = (
    "eeg_id", "eeg_label_offset_seconds", "spectrogram_id", "spectrogram_label_offset_seconds",
)  # fmt: skip


def write_bundle(
    paths: Paths,
    params: Params,
    out: Path,
    extra: Mapping[str, str] | None = None,
    *,
    code: bool = True,
) -> Path:
    """Write the present artifacts as a bundle.

    Parameters
    ----------
    paths : Paths
    params : Params
    out : Path
        A new folder.
    extra : mapping of str to str, optional
        Further text files, such as the model card.
    code : bool
        Whether it carries the code that scores.

    Returns
    -------
    Path
        ``out``.
    """
    info = describe_content(paths, params)
    out.mkdir(parents=True)
    info["precision"] = {
        name: _write_member(paths, params, name, out / "weights" / name) for name in info["members"]
    }
    write_json(out / "bundle.json", info)
    write_params(out / "recipe.yaml", params)
    if params.registry.with_ids:
        write_tables(paths, out)
    write_reference(paths, params, out)
    if code:
        copy_code(out / "code")
    for name, text in (extra or {}).items():
        (out / name).write_text(text, encoding="utf-8")
    write_json(out / CHECKSUMS, checksums(out))
    return out


def _write_member(paths: Paths, params: Params, name: str, out: Path) -> dict[str, str]:
    """Store a member's networks; fold → ``float16`` or ``float32``.

    Compared on a GPU where there is one: 80 full-size networks take a CPU many minutes.
    """
    member = params.members[name]
    views = build_views(params, dict.fromkeys(member.views))
    device = choose_device("auto")
    network = build_model(member, [views[view].shape for view in member.views], name=name)
    network = network.eval().to(device)
    inputs = [values.to(device) for values in _some_inputs(paths, params, member)]
    out.mkdir(parents=True)
    precision = {}
    for k, fold in enumerate(paths.answering(params.split.n_folds)):
        folder = paths.fold(name, fold)
        weights = load(read_checked(folder, read_manifest(folder), "weights.safetensors"))
        half = {key: _halved(value) for key, value in weights.items()}
        moved = _difference(network, weights, half, inputs)
        use_half = moved <= params.registry.half_atol  # False for NaN, too
        write_tensors(out / f"fold-{k}.safetensors", half if use_half else weights)
        precision[str(k)] = "float16" if use_half else "float32"
    return precision


def _halved(tensor: Tensor) -> Tensor:
    # Vectors (scales, running variances) are few and overflow half precision first.
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor


def _some_inputs(paths: Paths, params: Params, member: MemberParams) -> list[Tensor]:
    label_ids = read_table(paths.folds, columns=["label_id"])["label_id"].to_numpy()
    n = min(params.registry.half_windows, len(label_ids))
    some = label_ids[:: len(label_ids) // n][:n]
    return [
        torch.from_numpy(FeatureStore.open(paths.view(view))[some]).float() for view in member.views
    ]


def _difference(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    half: Mapping[str, Tensor],
    inputs: list[Tensor],
) -> float:
    """Largest change of a probability by rounded weights."""
    # A GPU may round products to ten bits, as half precision does; a CPU that serves does not.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        network.load_state_dict(weights)
        full = network(*inputs).softmax(1)
        network.load_state_dict(half)
        return float((network(*inputs).softmax(1) - full).abs().max())


def write_tables(paths: Paths, out: Path) -> dict[str, str]:
    """Write who was in which fold, and what the nested out-of-fold predictions are.

    ``folds.parquet`` says which patients which networks never saw; ``oof.parquet`` holds the
    predictions and where their windows lie.

    Parameters
    ----------
    paths : Paths
    out : Path
        An existing folder.

    Returns
    -------
    dict
        SHA-256 of each.
    """
    windows = read_table(paths.windows, columns=["label_id", *PLACE])
    oof = read_table(paths.ensemble / "oof.parquet")
    oof = oof.merge(windows, on="label_id", validate="one_to_one").sort_values("label_id")
    write_table(out / "oof.parquet", oof)
    folds = read_table(paths.folds, columns=["label_id", "patient_id", "fold"])
    write_table(out / "folds.parquet", folds)
    return {name: hash_file(out / name) for name in TABLES}
