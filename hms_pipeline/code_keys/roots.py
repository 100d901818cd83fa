"""Which definitions do each piece of work; from a recipe to its keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..system.errors import InputError
from .catalogues import (
    AUGMENTATIONS,
    EXPECTATIONS,
    MODELS,
    REGISTERS,
    RULES,
    VIEWS,
    entry,
    everything,
)
from .closure import Closure, Code
from .source import Package

PACKAGE = Path(__file__).parents[1]

VALIDATE = ("validation.stage:run",)
SPLIT = ("datasets.stage:run",)
FEATURES = ("features.stage:run",)
TRAIN = ("training.train:Trainer",)  # not what finds finished folds and links them
ENSEMBLE = ("ensemble.stage:run", "report.plots:write_ensemble_plots")
# A stored value, without what arranges values in shards.
ROWS = ("features.produce:Producer",)
# What a packaged version answers with: its loader, and what the loader imports by name.
VERSION = ("registry.serving.model_code", "inference.serving:score_frame")
# What the gate imports by name from the code of a version.
GATE = ("inference.predictor:Predictor", "data.window:WindowReader", "data.encode")
REGISTER = ("registry.stage:run", *VERSION, *GATE)


class Keys:
    """The keys of one package's code under one recipe.

    Parameters
    ----------
    recipe : mapping
        params.yaml as plain values.
    package : Path
        The package's folder.
    """

    def __init__(self, recipe: Mapping[str, Any], package: Path = PACKAGE) -> None:
        self.recipe = recipe
        self.code = Code(Package(package), REGISTERS)

    def roots(self) -> dict[str, list[str]]:
        """Each piece of work (``"validate"``, ``"views.mel"``) → the definitions that do it.

        ``rows.<view>`` decides a stored value, ``version`` what a registered version answers.
        """
        code = self.code
        try:
            views = {view: entry(code, VIEWS, view) for view in self.recipe["views"]}
            members = {m: self._networks([m]) for m in self.recipe["members"]}
            augmentations = [
                entry(code, AUGMENTATIONS, name)
                for name in self.recipe["training"]["augmentation"] or ()
            ]
            networks = self._networks(self.recipe["members"])
        except (KeyError, TypeError) as err:
            raise InputError(
                "Code keys need a recipe with views, members (their architecture and views) and"
                f" training.augmentation, but it lacks {err}. Add it (see recipes/)."
            ) from None
        return {
            "validate": [*VALIDATE, *everything(code, RULES), *everything(code, EXPECTATIONS)],
            "split": [*SPLIT],
            **{f"views.{name}": [*FEATURES, view] for name, view in views.items()},
            **{f"rows.{name}": [*ROWS, view] for name, view in views.items()},
            **{f"train.{m}": [*TRAIN, *own, *augmentations] for m, own in members.items()},
            "ensemble": [*ENSEMBLE],
            "register": [*REGISTER, *networks],
            "version": [*VERSION, *networks],
        }

    def _networks(self, members: Iterable[str]) -> list[str]:
        """Architectures and views of members."""
        chosen = [self.recipe["members"][member] for member in members]
        return sorted(
            {entry(self.code, MODELS, member["architecture"]) for member in chosen}
            | {entry(self.code, VIEWS, view) for member in chosen for view in member["views"]}
        )

    def closure(self, work: str) -> Closure:
        """Everything that a piece of work depends on.

        Raises
        ------
        InputError
            There is no such work, or an import cannot be followed.
        """
        roots = self.roots()
        if work not in roots:
            raise InputError(f"Unknown piece of work {work!r}. Choose one of {sorted(roots)}.")
        return self.code.closure(roots[work])
