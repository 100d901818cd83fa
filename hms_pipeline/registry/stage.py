"""Stage `register`: package, check, register once, judge, promote or refuse, write down why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Params, Paths
from ..config.params import read_yaml
from ..inference.bundle import TABLES, describe_content
from ..schema import DECIDING_SLICE
from ..system.files import read_sealed, write_sealed
from ..tracking.retrain import describe_retrain
from ..tracking.runs import KIND, PARENT, RETRAIN_RUN, finish_retrain, link_folds, parent_run
from ..tracking.store import CHAMPION, experiment_id
from .card import model_card
from .judge import Judge
from .lineage import data_origin, lineage
from .package import BUNDLE, model_hashes, write_model
from .tables import TRAINING
from .versions import Registry, facts_of, names, reasons_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

WEIGHTS = ".safetensors"  # files that are stored in the version and not with the run
EXPERIMENT = "DVC_EXP_NAME"  # set by DVC for what `dvc exp run` starts


def run(paths: Paths, params: Params) -> dict[str, Any]:
    """Register the present ensemble and let the gate decide.

    An ensemble that is registered already is only reported. If it was refused by other thresholds,
    or because of damaged files, it is judged again. If the process is killed at any point, the
    champion stays as it was and the next run continues. In an experiment of DVC's nothing is
    registered.

    Parameters
    ----------
    paths : Paths
    params : Params

    Returns
    -------
    dict
        The content of ``registration.json``: model, version, aliases, verdict, reasons.
    """
    result, known = _bring_in(paths, params, paths, params)
    student = None
    if params.student is not None:
        student, _ = _bring_in(paths.student, params.for_student(), paths, params)
    write_sealed(paths.registration, {**result, "student": student})
    return {**result, "student": student, "already_registered": known}


def is_up_to_date(paths: Paths, params: Params) -> bool:
    """Whether ``run`` would change nothing and write the ``registration.json`` that is there.

    It takes no lock and loads neither torch nor scipy.

    Raises
    ------
    InputError
        What ``run`` would refuse, or there is no store or ``registration.json`` yet.
    """
    if EXPERIMENT in os.environ:
        return False
    stated = read_sealed(paths.registration, "hms register")
    found = _standing(paths, params, paths, params)
    student = None
    if params.student is not None:
        student = _standing(paths.student, params.for_student(), paths, params)
    return found is not None and {**found, "student": student} == stated


def _standing(
    paths: Paths, params: Params, whole: Paths, whole_params: Params
) -> dict[str, Any] | None:
    """What ``_bring_in`` gives where nothing is left to do; None where something is."""
    registry = Registry.open(paths)
    content = describe_content(paths, params)["content_hash"]
    version = registry.find(content)
    if version is None or registry.ledger.pending() is not None or not _is_noted(registry, version):
        return None
    judge = Judge(registry, params, whole, whole_params)
    return _result(registry, int(version.version)) if judge.is_final(version) else None


def _bring_in(
    paths: Paths, params: Params, whole: Paths, whole_params: Params
) -> tuple[dict[str, Any], bool]:
    """Register and judge the ensemble, or with the student's paths and recipe the student.

    Parameters
    ----------
    paths : Paths
    params : Params
    whole : Paths
        The ensemble's.
    whole_params : Params
        The whole recipe, by which the retrain's run is found.

    Returns
    -------
    result : dict
        What ``registration.json`` says of it.
    known : bool
        Whether it had its verdict already.
    """
    content = describe_content(paths, params)
    if EXPERIMENT in os.environ:
        return _experiment(paths, content), False
    with Registry.changing(paths) as registry:
        version = registry.find(content["content_hash"])
        if version is not None:
            version = note_registered(registry, version)
        judge = Judge(registry, params, whole, whole_params)
        known = version is not None and judge.is_final(version)
        ensemble = paths is whole
        if not known or (RETRAIN_RUN in os.environ and ensemble):
            made = judge.made
            parent = parent_run(registry.client, whole, whole_params)
            if ensemble:
                before = _champions_recipe(registry)
                origin = data_origin(paths)
                describe_retrain(registry.client, paths, parent, before, params, origin)
        if version is None:
            version = _register(registry, params, content, parent)
        if not known:
            judge.judge(version, made)
            if RETRAIN_RUN not in os.environ:
                finish_retrain(paths, parent)
        return _result(registry, int(version.version)), known


def _experiment(paths: Paths, content: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in ``registration.json`` after an experiment; no store is opened."""
    return {
        "model": paths.model,
        "version": None,
        "aliases": [],
        "verdict": "an experiment, not registered",
        "reasons": [
            "Compare it by dvc exp show. To register it: dvc exp apply, then hms register, or a"
            " retrain."
        ],
        "content_hash": content["content_hash"],
    }


def _champions_recipe(registry: Registry) -> dict[str, Any]:
    number = registry.champion()
    if number is None:
        return {}
    recipe = registry.folder(registry.get(number)) / BUNDLE / "recipe.yaml"
    return read_yaml(recipe) if recipe.exists() else {}


def _register(
    registry: Registry, params: Params, content: Mapping[str, Any], parent: str
) -> ModelVersion:
    paths, client = registry.paths, registry.client
    links = link_folds(client, paths, params, parent)
    origin = lineage(paths, params, content, links, parent)
    staging = registry.staging / str(os.getpid())
    card = model_card(paths, params, content, origin)
    model = write_model(paths, params, staging / "model", card, origin)
    metrics = read_sealed(paths.ensemble / "metrics.json", "hms ensemble")
    run = client.create_run(
        experiment_id(client, paths),
        run_name=f"register {paths.model}",
        tags={KIND: "register", PARENT: parent, "content_hash": content["content_hash"]},
    )
    for table in sorted(model.with_name(TRAINING).iterdir()):
        client.log_artifact(run.info.run_id, str(table), TRAINING)
    for path in sorted(paths.ensemble.rglob("*")):
        if path.is_file() and path.name not in TABLES and path.suffix != WEIGHTS:
            inside = Path("ensemble") / path.relative_to(paths.ensemble).parent
            client.log_artifact(run.info.run_id, str(path), inside.as_posix())
    tags = {
        "content_hash": content["content_hash"],
        "networks_hash": content["networks_hash"],
        **model_hashes(model),
        "git_commit": origin["git_commit"],
        "data": origin["data"],
        "data_origin": origin["data_origin"],
        "recipe": params.recipe,
        "blend": content["blend"]["kind"],
        **_deciding_tags(metrics),
    }
    return note_registered(registry, registry.create(run.info.run_id, model, tags, card))


def note_registered(registry: Registry, version: ModelVersion) -> ModelVersion:
    """Write a version into the ledger, unless it is there; a kill may have come in between.

    Returns
    -------
    ModelVersion
        The one version that its run keeps: what the ledger names stays.
    """
    twins = registry.twins(version)
    kept = next((one for one in (version, *twins) if _is_noted(registry, one)), version)
    registry.decisions.check()
    for other in (version, *twins):
        if int(other.version) != int(kept.version):
            registry.decisions.delete(other)
    if not _is_noted(registry, kept):
        facts = {**facts_of(kept), "files_sha256": kept.tags["files_sha256"]}
        registry.ledger.append("register", **facts)
    return kept


def _is_noted(registry: Registry, version: ModelVersion) -> bool:
    return registry.ledger.last("register", **facts_of(version)) is not None


def _deciding_tags(metrics: Mapping[str, Any]) -> dict[str, str]:
    estimate = metrics["ensemble"].get(DECIDING_SLICE)
    if estimate is None:
        return {}
    return {
        "kl": f"{estimate['kl']:.4f}",
        "kl_interval": f"{estimate['low']:.4f}–{estimate['high']:.4f}",
    }


def _result(registry: Registry, number: int) -> dict[str, Any]:
    version = registry.get(number)
    aliases = registry.aliases()
    return {
        "model": registry.model,
        "version": number,
        "aliases": names(aliases, number),
        "champion": aliases.get(CHAMPION),
        "verdict": version.tags["verdict"],
        "reasons": reasons_of(version.tags),
        "content_hash": version.tags["content_hash"],
        "files_sha256": version.tags["files_sha256"],
        "git_commit": version.tags.get("git_commit", "unknown"),
        "data": version.tags.get("data", "unknown"),
        "data_origin": version.tags.get("data_origin", "unknown"),
    }
