"""Which definitions do each piece of work, and the catalogues whose entries a recipe names."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..system.errors import InputError
from .closure import EFFECTS, Closure, Code
from .source import Package

PACKAGE = Path(__file__).parents[1]

# What a stage's command calls to do the work, not the command that loads parameters.
VALIDATE = ("validation.stage:run",)
SPLIT = ("datasets.stage:run",)
FEATURES = ("features.stage:run",)
ROWS = ("features.produce:Producer", "features.produce:Producer.values")  # a stored value
TRAIN = ("training.train:Trainer", "training.train:Trainer.train")
ENSEMBLE = ("ensemble.stage:run", "report.plots:write_ensemble_plots")
# What a registered version answers with: its loader, and what the loader imports by name.
VERSION = (
    "registry.serving.model_code",
    "inference.serving:score_frame",
    "inference.predictor:Predictor",
    "inference.predictor:Predictor.open",
    "inference.predictor:Predictor.predict",
)
# What the gate imports by name from the code of a version.
GATE = ("data.window:WindowReader", "data.encode")
REGISTER = ("registry.stage:run", *VERSION, *GATE)

# Catalogue → the package of its entries, and the decorator that registers them.
CATALOGUES = {
    "view": ("features.views", "view"),
    "architecture": ("models", "MODELS"),
    "augmentation": ("datasets.augmentations", "AUGMENTATIONS"),
    "rule": ("validation.rules", "rule"),
    "expectation": ("validation.expectations", "expect"),
}


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
        self.code = Code(Package(package))

    def roots(self) -> dict[str, list[str]]:
        """Each piece of work (``"validate"``, ``"views.mel"``) → the definitions that do it.

        ``rows.<view>`` decides a stored value, ``version`` what a registered version answers.
        """
        try:
            views = {view: self.entry("view", view) for view in self.recipe["views"]}
            members = {m: self._networks([m]) for m in self.recipe["members"]}
            named = self.recipe["training"]["augmentation"] or ()
            augmentations = [self.entry("augmentation", name) for name in named]
            networks = self._networks(self.recipe["members"])
        except (KeyError, TypeError) as err:
            raise InputError(
                "Code keys need a recipe with views, members (their architecture and views) and"
                f" training.augmentation, but it lacks {err}. Add it (see recipes/)."
            ) from None
        return {
            "validate": [*VALIDATE, *self._all("rule"), *self._all("expectation")],
            "split": [*SPLIT],
            **{f"views.{name}": [*FEATURES, *ROWS, view] for name, view in views.items()},
            **{f"rows.{name}": [*ROWS, view] for name, view in views.items()},
            **{f"train.{m}": [*TRAIN, *own, *augmentations] for m, own in members.items()},
            "ensemble": [*ENSEMBLE],
            "register": [*REGISTER, *networks],
            "version": [*VERSION, *networks],
        }

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

    def entry(self, kind: str, name: str) -> str:
        """The definition that a catalogue has under a name.

        Raises
        ------
        InputError
            There is none.
        """
        known = dict(self._decorated(kind))
        if name not in known:
            raise InputError(f"Unknown {kind} {name!r}. Choose one of {sorted(known)}.")
        return known[name]

    def _networks(self, members: Iterable[str]) -> list[str]:
        """Architectures and views of members."""
        chosen = [self.recipe["members"][member] for member in members]
        models = {self.entry("architecture", member["architecture"]) for member in chosen}
        views = {self.entry("view", view) for member in chosen for view in member["views"]}
        return sorted(models | views)

    def _all(self, kind: str) -> list[str]:
        """All entries, also those that a module makes in a loop while it is imported."""
        loops = [f"{name}:{EFFECTS}" for name in self._modules(kind)]
        return [*(identity for _, identity in self._decorated(kind)), *loops]

    def _modules(self, kind: str) -> list[str]:
        folder = f"{CATALOGUES[kind][0]}."
        return sorted(name for name in self.code.package.names if name.startswith(folder))

    def _decorated(self, kind: str) -> Iterator[tuple[str, str]]:
        """Name and definition of every entry."""
        register = CATALOGUES[kind][1]
        for module in self._modules(kind):
            for own, nodes in self.code.package.module(module).definitions.items():
                for decorator in getattr(nodes[0], "decorator_list", ()):
                    if isinstance(decorator, ast.Call) and register in _names(decorator.func):
                        yield decorator.args[0].value, f"{module}:{own}"


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
