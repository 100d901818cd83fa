"""Makes the ready-made student that comes with the package: a bundle without code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..code_keys import closure
from ..code_keys.roots import Keys
from ..config import Params, Paths
from ..config.keys import present_keys
from ..config.student import STUDENT
from ..inference.bundle import CHECKSUMS, checksums
from ..inference.predictor import Predictor
from ..inference.write import write_bundle
from ..schema import CLASS_LABELS
from ..system.errors import InputError
from ..system.files import atomic, hash_file, write_json
from ..training.finished import read_manifest
from .examples import example_windows
from .stage import read_summary

MANIFEST, CARD = "manifest.json", "model_card.md"
MOST_MB = 5.0
COMMANDS = (
    "hms recipe starter", "hms sample --out data", "dvc add data", "dvc repro student",
    "hms student --starter hms_pipeline/starter",
)  # fmt: skip


def write_starter(paths: Paths, params: Params, out: Path, results: str = "") -> Path:
    """Pack the finished student of the present artifacts.

    Parameters
    ----------
    paths : Paths
    params : Params
    out : Path
        Its folder is replaced.
    results : str
        Markdown that the model card quotes, such as results on real windows.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        The student is not finished, or is larger than a package should carry.
    """
    own = params.for_student()
    with atomic(out) as folder:
        write_bundle(paths.student, own, folder, code=False)
        write_json(folder / MANIFEST, _manifest(paths, params, folder))
        (folder / CARD).write_text(_card(paths, params, results), encoding="utf-8")
        write_json(folder / CHECKSUMS, checksums(folder))
        size_mb = sum(path.stat().st_size for path in folder.rglob("*")) / 1e6
        if size_mb > MOST_MB:
            raise InputError(
                f"A starter needs at most {MOST_MB:g} MB, but this student takes {size_mb:.1f} MB."
                " Give it fewer weights (student.model)."
            )
    return out


def example_probs(predictor: Predictor) -> list[list[float]]:
    """Its answers to ``example_windows``, rounded."""
    return predictor.predict(example_windows()).probs.round(6).tolist()


def _manifest(paths: Paths, params: Params, folder: Path) -> dict[str, Any]:
    recipe = params.model_dump(mode="json")
    predictor = Predictor.open(folder, device="cpu")
    keys = present_keys(params)["rows"]
    architecture = Keys(recipe).entry("architecture", params.student.architecture)
    return {
        "what": "the starter of hms_pipeline: a student trained on simulated EEG alone",
        "recipe": params.recipe,
        "student": recipe["student"],
        "views": {name: params.views[name] for name in params.student.views},
        "weights_sha256": hash_file(folder / "weights" / STUDENT / "fold-0.safetensors"),
        "code": {
            "views": {name: keys[name] for name in params.student.views},
            "architecture": closure([architecture]).digest,
        },
        "made_from": predictor.bundle.info["hashes"],
        "commands": list(COMMANDS),
        "results": read_summary(paths),
        "examples": example_probs(predictor),
    }


def _card(paths: Paths, params: Params, results: str) -> str:
    summary = read_summary(paths)
    training = read_manifest(paths.student.fold(STUDENT, "final"))
    text = (Path(__file__).parent / "starter_card.md").read_text(encoding="utf-8")
    return text.format(
        architecture=params.student.architecture,
        n_parameters=f"{training['n_parameters']:,}",
        classes=", ".join(CLASS_LABELS),
        n_networks=len(params.trainings),
        members=", ".join(params.members),
        recipe=params.recipe,
        patients=f"{params.sample.patients:,}",
        kl=summary.get("kl", float("nan")),
        teacher=summary.get("teacher", float("nan")),
        results=f"\n{results.strip()}\n" if results.strip() else "",
        commands="\n".join(f"    {command}" for command in COMMANDS) + "\n",
    )
