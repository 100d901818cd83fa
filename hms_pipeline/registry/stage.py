"""Stage `register`: package, check, register once, judge, promote or refuse, write down why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Params, Paths
from ..config.params import read_yaml
from ..ensemble.check import check_ensemble, hold
from ..ensemble.stage import Made
from ..inference.bundle import TABLES, describe_content
from ..schema import DECIDING_SLICE
from ..student.compare import Comparison
from ..system.errors import InputError
from ..system.files import hash_json, read_sealed, write_sealed
from ..tracking.artifacts import log_file, log_json
from ..tracking.retrain import describe_retrain
from ..tracking.runs import (
    KIND,
    PARENT,
    RETRAIN_RUN,
    finish_retrain,
    link_folds,
    log_metrics,
    parent_run,
)
from ..tracking.store import CHALLENGER, CHAMPION, experiment_id
from .card import model_card
from .evidence import (
    Champion,
    check_version,
    comparison,
    judged_otherwise,
    model_checks,
    student_comparison,
)
from .gate import Check, failed
from .lineage import data_origin, lineage
from .package import BUNDLE, model_hashes, write_model
from .promotion import promote, refuse, set_verdict
from .tables import TRAINING, training_tables
from .versions import Registry, reasons_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROMOTED, REFUSED = "promoted", "refused"
JUDGED_BY = "judged_by"  # hash of the thresholds behind a verdict
DAMAGED = "damaged files"  # instead of thresholds: nothing was judged
WEIGHTS = ".safetensors"  # are in the version
EXPERIMENT = "DVC_EXP_NAME"  # set by DVC for what `dvc exp run` starts


def run(paths: Paths, params: Params) -> dict[str, Any]:
    """Register the present ensemble and let the gate decide.

    Idempotent by content: what is registered already is only reported, unless it was refused by
    other thresholds or for damaged files: then it is judged anew. A process killed at any point
    leaves the champion as it was, and the next run goes on. In an experiment of DVC's nothing is
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
    result = _bring_in(paths, params, paths, params)
    student = None
    if params.student is not None:
        student = _bring_in(paths.student, params.for_student(), paths, params)
        del student["already_registered"]
    known = result.pop("already_registered")
    write_sealed(paths.registration, {**result, "student": student})
    return {**result, "student": student, "already_registered": known}


def _bring_in(paths: Paths, params: Params, whole: Paths, whole_params: Params) -> dict[str, Any]:
    """Register and judge the ensemble, or with the student's paths and recipe the student.

    Parameters
    ----------
    paths : Paths
    params : Params
    whole : Paths
        The ensemble's.
    whole_params : Params
        The whole recipe, by which the retrain's run is found.
    """
    content = describe_content(paths, params)
    if EXPERIMENT in os.environ:
        return _experiment(paths, content)
    with Registry.changing(paths) as registry:
        version = registry.find(content["content_hash"])
        if version is not None:
            note_registered(registry, version)
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
        return {**_result(registry, int(version.version)), "already_registered": known}


def _experiment(paths: Paths, content: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in ``registration.json`` after an experiment; no store is opened."""
    result = {
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
    return {**result, "already_registered": False}


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
        run_name="register",
        tags={KIND: "register", PARENT: parent, "content_hash": content["content_hash"]},
    )
    for table in sorted(model.with_name(TRAINING).iterdir()):
        log_file(client, paths, run.info.run_id, table, TRAINING)
    for path in sorted(paths.ensemble.rglob("*")):
        if path.is_file() and path.name not in TABLES and path.suffix != WEIGHTS:
            inside = Path("ensemble") / path.relative_to(paths.ensemble).parent
            log_file(client, paths, run.info.run_id, path, inside.as_posix())
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
    version = registry.create(run.info.run_id, model, tags, card)
    note_registered(registry, version)
    return version


def note_registered(registry: Registry, version: ModelVersion) -> None:
    """Write a version into the ledger, unless it is there; a kill may have come in between."""
    facts = {"version": int(version.version), "content_hash": version.tags["content_hash"]}
    if registry.ledger.last("register", **facts) is None:
        registry.remove_twins(version)
        registry.ledger.append("register", **facts, files_sha256=version.tags["files_sha256"])


def _deciding_tags(metrics: Mapping[str, Any]) -> dict[str, str]:
    estimate = metrics["ensemble"].get(DECIDING_SLICE)
    if estimate is None:
        return {}
    return {
        "kl": f"{estimate['kl']:.4f}",
        "kl_interval": f"{estimate['low']:.4f}–{estimate['high']:.4f}",
    }


@dataclass(frozen=True)
class Judge:
    """Decides on versions of one registered model.

    Parameters
    ----------
    registry : Registry
    params : Params
    whole : Paths
        The ensemble's.
    whole_params : Params
        The whole recipe.
    """

    registry: Registry
    params: Params
    whole: Paths
    whole_params: Params

    @property
    def of_student(self) -> bool:
        """Whether a student is judged, against its teacher."""
        return self.registry.paths is not self.whole

    @cached_property
    def compared(self) -> Comparison:
        """A student beside its teacher, made of their trainings' own files."""
        return Comparison.read(self.whole, self.whole_params)

    @cached_property
    def made(self) -> Made:
        """What is judged, made anew; the stage's files are held against it."""
        if not self.of_student:
            return check_ensemble(self.whole, self.whole_params)
        made = self.compared.made(self.whole, self.whole_params)
        hold(self.registry.paths, made)
        return made

    @cached_property
    def champion_networks(self) -> str | None:
        """Hash of the networks of the ensemble's champion."""
        ensembles = replace(self.registry, paths=self.whole)
        number = ensembles.champion()
        return None if number is None else ensembles.get(number).tags.get("networks_hash")

    @cached_property
    def thresholds(self) -> str:
        """Hash of what a verdict depends on besides the version."""
        gate = self.params.gate.model_dump(mode="json")
        return hash_json([gate, self.champion_networks] if self.of_student else gate)[:16]

    def is_final(self, version: ModelVersion) -> bool:
        """Whether a version has a verdict that holds under the present thresholds."""
        verdict = version.tags.get("verdict")
        judged_by = version.tags.get(JUDGED_BY, self.thresholds)
        return verdict == PROMOTED or (verdict == REFUSED and judged_by == self.thresholds)

    def judge(self, version: ModelVersion, made: Made) -> None:
        """Decide, tag the version, and move the champion where it passed."""
        registry, model, number = self.registry, self.registry.model, version.version
        client = registry.client
        registry.decisions.check()
        client.set_registered_model_alias(model, CHALLENGER, number)
        reasons, metrics, passed, judged_by = self._verdict(version, made)
        log_metrics(client, version.run_id, {f"gate/{k}": value for k, value in metrics.items()})
        verdict = PROMOTED if passed else REFUSED
        said = {"verdict": verdict, "reasons": reasons}
        log_json(client, registry.paths, version.run_id, said, "verdict.json")
        if passed and registry.champion() != int(number):
            promote(registry, version, reasons[0], "gate")
        elif not passed and self._refusal(version, judged_by) is None:
            refuse(registry, version, reasons, judged_by)
        client.set_model_version_tag(model, number, JUDGED_BY, judged_by)
        set_verdict(registry, version, verdict, reasons)
        client.set_terminated(version.run_id)

    def _verdict(
        self, version: ModelVersion, made: Made
    ) -> tuple[list[str], dict[str, float], bool, str]:
        """Reasons, metrics, whether it passed, and by what it was judged."""
        registry, judged_by = self.registry, self.thresholds
        if registry.champion() == int(version.version):
            commit = registry.ledger.last("commit", to=int(version.version)) or {}
            reason = commit.get("reason", "Promoted before the process was killed.")
            return [reason], {}, True, judged_by
        refusal = self._refusal(version, judged_by)
        if refusal is not None:  # by a process that was killed before it could tag the version
            return refusal["reasons"], {}, False, judged_by
        tags = version.tags
        barred = registry.ledger.barred(tags["content_hash"], tags["networks_hash"], judged_by)
        if barred:
            return [f"Not promoted by itself: {barred}. Use hms promote."], {}, False, judged_by
        champion = None if self.of_student else _champion(registry)  # its faults are not ours
        try:
            model = registry.verify(version)
            check_version(model, training_tables(registry, version), made)
        except InputError as err:
            return [str(err)], {}, False, DAMAGED
        checks, metrics = model_checks(registry.paths, self.params, model, made)
        compared, more = self._comparison(champion, made)
        sound = not failed(checks)
        checks = compared + checks
        wrong = failed(checks)
        reasons = [check.sentence for check in (wrong or checks)]
        reasons += judged_otherwise(registry.paths, self.params)
        if wrong and sound and champion is not None:
            champions = registry.get(champion.version).tags.get("networks_hash")
            if champions == version.tags["networks_hash"]:
                reasons.append(
                    "Its networks are the champion's; changed code or settings come into force by"
                    f" hms promote {version.version}."
                )
        return reasons, metrics | more, not wrong, judged_by

    def _comparison(
        self, champion: Champion | None, made: Made
    ) -> tuple[list[Check], dict[str, float]]:
        if self.of_student:
            return student_comparison(
                self.whole, self.whole_params, self.compared, self.champion_networks
            )
        return comparison(self.whole, self.whole_params, champion, made)

    def _refusal(self, version: ModelVersion, judged_by: str) -> dict[str, Any] | None:
        facts = {"version": int(version.version), "content_hash": version.tags["content_hash"]}
        return self.registry.ledger.last("refuse", **facts, **{JUDGED_BY: judged_by})


def _champion(registry: Registry) -> Champion | None:
    number = registry.champion()
    if number is None:
        return None
    version = registry.get(number)
    bundle = registry.verify(version) / BUNDLE
    return Champion(number, bundle, training_tables(registry, version))


def _result(registry: Registry, number: int) -> dict[str, Any]:
    version = registry.get(number)
    aliases = registry.aliases()
    return {
        "model": registry.model,
        "version": number,
        "aliases": sorted(alias for alias, to in aliases.items() if to == number),
        "champion": aliases.get(CHAMPION),
        "verdict": version.tags["verdict"],
        "reasons": reasons_of(version.tags),
        "content_hash": version.tags["content_hash"],
        "files_sha256": version.tags["files_sha256"],
        "git_commit": version.tags.get("git_commit", "unknown"),
        "data": version.tags.get("data", "unknown"),
        "data_origin": version.tags.get("data_origin", "unknown"),
    }
