"""Which definitions do each piece of work; from a recipe to its keys."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..system.errors import InputError
from .closure import Closure, Code
from .known import CATALOGUES
from .source import EFFECTS, FILE, Module, Package

PACKAGE = Path(__file__).parents[1]

VALIDATE = ("validation.stage:run",)
SPLIT = ("datasets.stage:run",)
FEATURES = ("features.stage:run",)
# Not what finds finished folds and links them.
TRAIN = ("training.train:Trainer", "training.fold_data:MemberData")
ENSEMBLE = ("ensemble.stage:run", "report.plots:write_ensemble_plots")
STUDENT = ("student.stage:run",)
# What a student's weights depend on, without what links finished ones and compares them.
DISTIL = (*TRAIN, "student.teacher:Teacher", "student.windows")
# A stored value, without what arranges values in shards.
ROWS = ("features.produce:Producer",)
# What a packaged version answers with: its loader, and what the loader imports by name.
VERSION = ("registry.serving.model_code", "inference.serving:score_frame")
# What the gate imports by name from the code of a version.
GATE = ("inference.predictor:Predictor", "data.window:WindowReader", "data.encode")
REGISTER = ("registry.stage:run", *VERSION, *GATE)
# The weights that `pretrained: starter` begins with.
STARTER = "starter/weights/student/fold-0.safetensors"


class Keys:
    """The keys of one package's code under one recipe.

    Parameters
    ----------
    recipe : mapping
        params.yaml as plain values.
    package : Path
        The package's folder.
    code : Code, optional
        The package as it was read before.
    """

    def __init__(
        self, recipe: Mapping[str, Any], package: Path = PACKAGE, code: Code | None = None
    ) -> None:
        self.recipe = recipe
        self.code = code or Code(Package(package))
        self.roots = cache(self._roots)

    def _roots(self) -> dict[str, list[str]]:
        """Each piece of work (``"validate"``, ``"views.mel"``) → the definitions that do it.

        ``rows.<view>`` decides a stored value, ``distil`` a student's weights, ``version.<model>``
        what a registered version answers.
        """
        try:
            views = {view: self.entry("view", view) for view in self.recipe["views"]}
            members = {m: self._training(own) for m, own in self.recipe["members"].items()}
            augmentations = self._augmentations(self.recipe["training"])
            networks = self._networks(self.recipe["members"].values())
            pupil = self.recipe.get("student")
            student = self._networks([pupil] if pupil else [])
            teaching = [*networks]
            if pupil:
                teaching += [*self._training(pupil), *self._augmentations(pupil)]
        except (KeyError, TypeError) as err:
            raise InputError(
                "Code keys need a recipe with views, members (their architecture and views) and"
                f" training.augmentation, but it lacks {err}. Add it (see recipes/)."
            ) from None
        return {
            "validate": [*VALIDATE, *self._all("rule"), *self._all("expectation")],
            "split": [*SPLIT],
            **{f"views.{name}": [*FEATURES, view] for name, view in views.items()},
            **{f"rows.{name}": [*ROWS, view] for name, view in views.items()},
            **{f"train.{m}": [*TRAIN, *own, *augmentations] for m, own in members.items()},
            "ensemble": [*ENSEMBLE],
            "student": [*STUDENT, *teaching],
            "distil": [*DISTIL, *teaching],
            "register": [*REGISTER, *networks, *student],
            "version.hms-ensemble": [*VERSION, *networks],
            "version.hms-student": [*VERSION, *student],
        }

    def _networks(self, members: Iterable[Mapping[str, Any]]) -> list[str]:
        """Architectures and views of members."""
        chosen = list(members)
        return sorted(
            {self.entry("architecture", member["architecture"]) for member in chosen}
            | {self.entry("view", view) for member in chosen for view in member["views"]}
        )

    def _training(self, member: Mapping[str, Any]) -> list[str]:
        """A member's network, and the file that it starts from if there is one here."""
        source = member.get("pretrained")
        name = STARTER if source == "starter" else f"{FILE}{source}"
        try:
            here = source not in (None, "hub", "lite") and self.code.package.file(name)
        except OSError as err:
            raise InputError(
                f"pretrained needs the path of a weights file, but {source!r} cannot be looked"
                f" up: {err.strerror}. Correct it in params.yaml."
            ) from None
        return [*self._networks([member]), *([name] if here else [])]

    def _augmentations(self, training: Mapping[str, Any]) -> list[str]:
        return [self.entry("augmentation", name) for name in training["augmentation"] or ()]

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
        """The definition that a catalogue has under a name; it is found by its decorator.

        Raises
        ------
        InputError
            There is none.
        """
        known: dict[str, str] = {}
        for module, decorator, identity in self._decorated(kind):
            args = getattr(decorator, "args", None)
            if not args or not isinstance(args[0], ast.Constant):
                module.refuse(decorator, f"the name of this {kind} is computed")
            known[str(args[0].value)] = identity
        if name not in known:
            raise InputError(f"Unknown {kind} {name!r}. Choose one of {sorted(known)}.")
        return known[name]

    def _all(self, kind: str) -> list[str]:
        """All entries, also those that a module makes in a loop while it is imported."""
        loops = [f"{module}:{EFFECTS}" for module in self._modules(kind)]
        return [*(identity for _, _, identity in self._decorated(kind)), *loops]

    def _decorated(self, kind: str) -> Iterator[tuple[Module, ast.expr, str]]:
        for name in self._modules(kind):
            module = self.code.package.module(name)
            for own, nodes in module.definitions.items():
                for decorator in getattr(nodes[0], "decorator_list", ()):
                    if CATALOGUES[kind][1] in self.code.stands_for(module, decorator):
                        yield module, decorator, f"{name}:{own}"

    def _modules(self, kind: str) -> list[str]:
        folder = f"{CATALOGUES[kind][0]}."
        return [name for name in self.code.package.modules if name.startswith(folder)]
