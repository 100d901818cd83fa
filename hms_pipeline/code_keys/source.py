"""A package as syntax trees: its modules, what they define, and what their names stand for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from ..system.errors import InputError

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTS = (ast.Import, ast.ImportFrom)


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring or another lone text."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@dataclass
class Module:
    """One file.

    Parameters
    ----------
    name : str
        Dotted, without the package's own name; ``""`` is the package.
    path : Path
    definitions : dict of str to list of statements
        Top-level name → what gives it its value.
    imports : dict of str to str
        Name → where it comes from: ``".system.files:atomic"`` of this package,
        ``"numpy"`` or ``"scipy.signal:firwin"`` of others.
    effects : list of statements
        What runs on import beside definitions and imports.
    """

    name: str
    path: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)

    def refuse(self, node: ast.AST, why: str) -> InputError:
        """The error of code that cannot be followed."""
        return InputError(
            f"Code keys need imports that can be followed, but {self.path.name}, line"
            f" {node.lineno}: {why}. Name what is imported."
        )

    def read(self, body: list[ast.stmt]) -> None:
        """Sort top-level statements."""
        for node in body:
            names = list(defined(node))
            if isinstance(node, IMPORTS):
                self.imports |= self.imported(node)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                self.read(node.body)
            elif not names and not is_text(node):
                self.effects.append(node)
            for name in names:
                self.definitions.setdefault(name, []).append(node)

    def imported(self, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
        """Names that an import statement binds, and where each comes from."""
        if isinstance(node, ast.Import):
            return {a.asname or a.name.partition(".")[0]: a.name for a in node.names}
        base = node.module or ""
        if node.level:
            here = self.name.split(".") if self.name else []
            up = node.level - (self.path.name == "__init__.py")
            if up > len(here):
                raise self.refuse(node, "a relative import leaves the package")
            base = "." + ".".join([*here[: len(here) - up], *filter(None, [base])])
        if any(alias.name == "*" for alias in node.names):
            raise self.refuse(node, "import *")
        return {a.asname or a.name: f"{base}:{a.name}" for a in node.names}


def defined(node: ast.stmt) -> Iterator[str]:
    """Names that a top-level statement gives values to."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.If | ast.Try | ast.With):
        for part in ast.walk(node):
            if isinstance(part, ast.stmt) and part is not node:
                yield from defined(part)


class Package:
    """All modules of a package, parsed when they are first asked for.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = cache(self._module)
        self.resolve = cache(self._resolve)

    @cached_property
    def names(self) -> frozenset[str]:
        """Dotted names of all modules."""
        parts = (p.relative_to(self.folder).with_suffix("").parts for p in self._files())
        return frozenset(".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts)

    def _files(self) -> list[Path]:
        return sorted(self.folder.rglob("*.py"))

    def _module(self, name: str) -> Module:
        base = self.folder.joinpath(*filter(None, name.split(".")))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        module = Module(name, path)
        module.read(ast.parse(path.read_bytes()).body)
        return module

    def _resolve(self, origin: str) -> str | None:
        """What an import's origin stands for.

        Returns
        -------
        str or None
            ``"module:Name"`` of a definition, ``"module"``, or None outside this package.
        """
        inside = origin.startswith(".")
        name, _, attribute = origin.lstrip(".").partition(":")
        if not inside:
            if name.partition(".")[0] != self.folder.name:
                return None
            name = name.partition(".")[2]
        if name not in self.names:
            raise InputError(
                f"Code keys need module {name!r} of {self.folder.name}, but it is not there."
            )
        return self.member(name, attribute) if attribute else name

    def member(self, module: str, name: str) -> str | None:
        """What ``module.name`` stands for; see ``resolve``."""
        found = self.module(module)
        if name in found.definitions:
            return f"{module}:{name}"
        if name in found.imports:
            return self.resolve(found.imports[name])
        inner = f"{module}.{name}".lstrip(".")
        if inner in self.names:
            return inner
        raise InputError(f"Code keys need {name!r} of module {module!r}, but it has none.")
