"""Entries of the catalogues, found where they are decorated; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from ..system.errors import InputError
from .closure import Code
from .source import IMPORTED, Module, refuse


class Catalogue(NamedTuple):
    """A catalogue, as the code declares it.

    Parameters
    ----------
    kind : str
        What the entries are, in error sentences.
    package : str
        Its modules hold the entries.
    register : str
        The decorator, or the catalogue whose method it is.
    """

    kind: str
    package: str
    register: str


VIEWS = Catalogue("view", "features.views", "features.view:view")
MODELS = Catalogue("architecture", "models", "models.build:MODELS")
AUGMENTATIONS = Catalogue(
    "augmentation", "datasets.augmentations", "datasets.augmentations.augmenter:AUGMENTATIONS"
)
RULES = Catalogue("rule", "validation.rules", "validation.rule:rule")
EXPECTATIONS = Catalogue("expectation", "validation.expectations", "validation.expectation:expect")
CATALOGUES = (VIEWS, MODELS, AUGMENTATIONS, RULES, EXPECTATIONS)
REGISTERS = {catalogue.register for catalogue in CATALOGUES}


def entry(code: Code, catalogue: Catalogue, name: str) -> str:
    """The definition that a catalogue has under a name.

    Raises
    ------
    InputError
        There is none.
    """
    known: dict[str, str] = {}
    for module, identity, decorator in _decorated(code, catalogue):
        first = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
        if not isinstance(first, ast.Constant):
            refuse(module, decorator, f"the name of this {catalogue.kind} is computed")
        known[first.value] = identity
    if name not in known:
        raise InputError(f"Unknown {catalogue.kind} {name!r}. Choose one of {sorted(known)}.")
    return known[name]


def everything(code: Code, catalogue: Catalogue) -> list[str]:
    """All entries, also those that a module makes in a loop while it is imported."""
    named = [identity for _, identity, _ in _decorated(code, catalogue)]
    return [*named, *(f"{m.name}:{IMPORTED}" for m in _modules(code, catalogue))]


def _decorated(code: Code, catalogue: Catalogue) -> Iterator[tuple[Module, str, ast.expr]]:
    for module in _modules(code, catalogue):
        for name, nodes in module.definitions.items():
            for decorator in getattr(nodes[0], "decorator_list", ()):
                if code.stands_for(module, decorator) == catalogue.register:
                    yield module, f"{module.name}:{name}", decorator


def _modules(code: Code, catalogue: Catalogue) -> list[Module]:
    """The modules that ``discover`` imports."""
    folder = code.package.folder.joinpath(*catalogue.package.split("."))
    names = sorted(
        path.stem if path.suffix == ".py" else path.name
        for path in folder.glob("*")
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    )
    found = (code.package.module(f"{catalogue.package}.{name}") for name in names)
    return [module for module in found if module is not None]
