"""A package as syntax trees: its modules, what they define, and what their names stand for.

What a name stands for is a text: ``"module:Name"`` is a definition of this package, ``"module:"``
a module of it, and ``"numpy.fft"``, without a colon, something of another package. A name may
stand for several: all of them count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn

from ..system.errors import InputError
from .known import NAMED_BY_RECIPE

EFFECTS = "<import>"  # the definition that stands for what a module does when it is imported
FILE = "<file>:"  # stands before the path of a file outside the package
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTS = (ast.Import, ast.ImportFrom)


class Import(NamedTuple):
    """One name that an import statement binds: of which module, and which name there."""

    origin: str
    attribute: str | None
    node: ast.AST


class Module:
    """One file.

    Parameters
    ----------
    name : str
        Dotted, without the package's own name; ``""`` for its ``__init__``.
    path : Path
    package : str
        The package's own name.

    Attributes
    ----------
    definitions : dict of str to list of stmt
        Functions, classes and variables of the top level.
    imports : dict of str to list of Import
    effects : list of stmt
        Other statements; the names that they bind stand in ``bound``.
    """

    def __init__(self, name: str, path: Path, package: str) -> None:
        self.name, self.path, self.package = name, path, package
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, list[Import]] = {}
        self.effects: list[ast.stmt] = []
        self.bound: set[str] = set()
        try:
            self._read(ast.parse(path.read_bytes(), path).body)
        except SyntaxError as err:
            raise InputError(
                f"{path}, line {err.lineno}: Python code is needed, but this cannot be parsed."
                " Correct it."
            ) from None

    def _read(self, body: list[ast.stmt]) -> None:
        """Sort top-level statements."""
        for node in body:
            if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
                self._read([*node.body, *node.orelse])
            elif isinstance(node, IMPORTS):
                self._add_imports(node)
            elif names := _defined(node):
                for name in names:
                    self.definitions.setdefault(name, []).append(node)
            elif not is_text(node):
                self.effects.append(node)
                for part in ast.walk(node):
                    self._bind(part)

    def _bind(self, part: ast.AST) -> None:
        if isinstance(part, IMPORTS):
            self._add_imports(part)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            self.bound.add(part.id)
        elif isinstance(part, (*FUNCTIONS, ast.ClassDef)):
            self.bound.add(part.name)

    def _add_imports(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, found in self.bindings(node):
            self.imports.setdefault(name, []).append(found)

    def bindings(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
        """Names that an import binds; ``import a.b`` gives ``a``, and ``a.b`` for its effects."""
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield alias.asname or alias.name, Import(origin, alias.name, node)
            else:
                if not alias.asname:
                    top = alias.name.partition(".")[0]
                    yield top, Import(top, None, node)
                yield alias.asname or alias.name, Import(alias.name, None, node)

    def _origin(self, node: ast.ImportFrom) -> str:
        """The absolute name of the module that is imported from."""
        if not node.level:
            return node.module or ""
        folders = [self.package, *filter(None, self.name.split("."))]
        up = node.level - (self.path.name == "__init__.py")
        if up >= len(folders):
            self.refuse(node, "this relative import leaves the package")
        return ".".join([*folders[: len(folders) - up], *filter(None, [node.module])])

    def refuse(self, node: ast.AST, what: str) -> NoReturn:
        """Refuse code that cannot be followed, by its place."""
        raise InputError(
            f"{self.path}, line {getattr(node, 'lineno', 0)}: code keys need code that can be"
            f" followed, but {what}. Write it so that it names what it uses."
        )


class Package:
    """All modules of a package, parsed when they are first asked for; nothing is imported.

    Parameters
    ----------
    folder : Path
        The package's own folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.module = cache(self._module)
        self.resolve = cache(self._resolve)

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Files of the modules by their dotted names."""
        found = {}
        for path in sorted(self.folder.rglob("*.py")):
            parts = path.relative_to(self.folder).with_suffix("").parts
            if all(map(str.isidentifier, parts)):  # not an editor's own files
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def data(self) -> list[Path]:
        """Where, in the package, files lie that are no code; not those that a recipe names."""
        files = (path for path in self.folder.rglob("*") if path.suffix not in (".py", ".pyc"))
        found = (path.relative_to(self.folder) for path in files if path.is_file())
        return [path for path in found if path.parts[0] not in NAMED_BY_RECIPE]

    def file(self, identity: str) -> Path | None:
        """A file that is no code: of the package, or behind ``FILE`` any; None where none is."""
        outside = identity.startswith(FILE)
        path = Path(identity.removeprefix(FILE)) if outside else self.folder / identity
        return path if path.is_file() else None

    def _module(self, name: str) -> Module:
        return Module(name, self.modules[name], self.folder.name)

    def definition(self, identity: str) -> list[ast.stmt]:
        """The statements behind ``"module:Name"``; none where it is not there."""
        name, _, own = identity.partition(":")
        return self.module(name).definitions.get(own, []) if name in self.modules else []

    def _resolve(self, module: Module, name: str) -> frozenset[str]:
        """What a module's global name stands for; nothing for a builtin."""
        found = {f"{module.name}:{name}"} if name in module.definitions else set()
        if name in module.bound:
            found.add(f"{module.name}:{EFFECTS}")
        return frozenset(found).union(
            *(self.follow(module, origin) for origin in module.imports.get(name, ()))
        )

    def follow(self, module: Module, found: Import) -> frozenset[str]:
        """What an import binds, through re-exports to where it is defined.

        Raises
        ------
        InputError
            It names what is not there, or everything (``*``).
        """
        whole = f"{found.origin}.{found.attribute}" if found.attribute else found.origin
        if found.attribute == "*":
            module.refuse(found.node, "an import of * does not say which names it binds")
        top, _, name = found.origin.partition(".")
        if top != self.folder.name:
            return frozenset({whole})
        inner = whole.partition(".")[2]
        if name == module.name and inner in self.modules:  # a package's import of its own module
            return frozenset({f"{inner}:"})
        target = self.member(name, found.attribute)
        if not target:
            module.refuse(found.node, f"{whole} is not there")
        return target

    def member(self, module: str, name: str | None) -> frozenset[str]:
        """What ``module.name`` stands for; nothing where it is not there."""
        if module not in self.modules or name is None:
            return frozenset({f"{module}:"} if module in self.modules else ())
        inner = f"{module}.{name}".lstrip(".")
        own = self.resolve(self.module(module), name)
        return own or frozenset({f"{inner}:"} if inner in self.modules else ())

    def dotted(
        self, module: Module, node: ast.AST, local: Mapping[str, set[str]] | None = None
    ) -> set[str]:
        """What ``name`` or ``module.name`` stands for; nothing where the left is no module.

        Parameters
        ----------
        module : Module
        node : AST
        local : mapping of str to set of str, optional
            What names stand for in a definition, besides.

        Raises
        ------
        InputError
            A module of this package lacks the name.
        """
        if isinstance(node, ast.Name):
            return {*self.resolve(module, node.id), *(local or {}).get(node.id, ())}
        found: set[str] = set()
        if not isinstance(node, ast.Attribute):
            return found
        for left in self.dotted(module, node.value, local):
            if ":" not in left:
                found.add(f"{left}.{node.attr}")
            elif left.endswith(":"):
                member = self.member(left[:-1], node.attr)
                if not member and not node.attr.startswith("__"):
                    module.refuse(node, f"module {left[:-1]} has no {node.attr}")
                found |= member
        return found

    def imported(self, found: Import) -> set[str]:
        """What the module that an import names does on import."""
        top, _, name = found.origin.partition(".")
        names = (name, f"{name}.{found.attribute}".lstrip("."))
        inside = top == self.folder.name
        return {f"{name}:{EFFECTS}" for name in names if inside and name in self.modules}


def last_name(node: ast.AST) -> str:
    """``no_grad`` of ``torch.no_grad()``."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_text(node: ast.AST) -> bool:
    """A docstring, or any other string that stands by itself."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _defined(node: ast.stmt) -> list[str]:
    """Names that a top-level statement defines, if defining is all it does."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return [node.name]
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return []
    parts = []
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        parts += target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) and names != ["_"] else []
