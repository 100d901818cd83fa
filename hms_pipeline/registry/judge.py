"""The gate's judge: decides on a version, tags it, and moves the champion where it passed.

What it judges by is imported where it judges: to find that a version has its verdict takes neither
torch nor scipy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..config import Params, Paths
from ..system.errors import InputError
from ..system.files import hash_json
from ..tracking.runs import log_metrics
from ..tracking.store import CHALLENGER
from .gate import Check, failed
from .package import BUNDLE
from .promotion import promote, refuse
from .tables import training_tables
from .versions import Registry, facts_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from ..ensemble.stage import Made
    from ..student.compare import Comparison
    from .evidence import Champion

PROMOTED, REFUSED = "promoted", "refused"
JUDGED_BY = "judged_by"  # hash of the thresholds behind a verdict
DAMAGED = "damaged files"  # instead of thresholds: nothing was judged


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
        from ..student.compare import Comparison

        return Comparison.read(self.whole, self.whole_params)

    @cached_property
    def made(self) -> Made:
        """What is judged, made anew; the stage's files are held against it."""
        from ..ensemble.check import check_ensemble, hold

        if not self.of_student:
            return check_ensemble(self.whole, self.whole_params)
        made = self.compared.made(self.whole, self.whole_params)
        hold(self.registry.paths, made)
        return made

    @cached_property
    def champion_networks(self) -> str | None:
        """Hash of the networks of the ensemble's champion."""
        ensembles = replace(self.registry, paths=self.whole)
        return ensembles.networks(ensembles.champion())

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
        client.log_dict(version.run_id, said, "verdict.json")
        if passed and registry.champion() != int(number):
            promote(registry, version, reasons[0], "gate")
        elif not passed and self._refusal(version, judged_by) is None:
            refuse(registry, version, reasons, judged_by)
        shown = json.dumps(reasons, ensure_ascii=False)
        for key, value in ((JUDGED_BY, judged_by), ("reasons", shown), ("verdict", verdict)):
            client.set_model_version_tag(model, number, key, value)  # the last makes it final
        client.set_terminated(version.run_id)

    def _verdict(
        self, version: ModelVersion, made: Made
    ) -> tuple[list[str], dict[str, float], bool, str]:
        """Reasons, metrics, whether it passed, and by what it was judged."""
        from .evidence import check_version, judged_otherwise, model_checks

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
        theirs = registry.networks(champion.version) if champion is not None else None
        if wrong and sound and theirs == tags["networks_hash"]:
            reasons.append(
                "Its networks are the champion's; changed code or settings come into force by"
                f" hms promote {version.version}."
            )
        return reasons, metrics | more, not wrong, judged_by

    def _comparison(
        self, champion: Champion | None, made: Made
    ) -> tuple[list[Check], dict[str, float]]:
        from .evidence import comparison, student_comparison

        if self.of_student:
            return student_comparison(
                self.whole, self.whole_params, self.compared, self.champion_networks
            )
        return comparison(self.whole, self.whole_params, champion, made)

    def _refusal(self, version: ModelVersion, judged_by: str) -> dict[str, Any] | None:
        facts = {**facts_of(version), JUDGED_BY: judged_by}
        return self.registry.ledger.last("refuse", **facts)


def _champion(registry: Registry) -> Champion | None:
    from .evidence import Champion

    number = registry.champion()
    if number is None:
        return None
    version = registry.get(number)
    bundle = registry.verify(version) / BUNDLE
    return Champion(number, bundle, training_tables(registry, version))
