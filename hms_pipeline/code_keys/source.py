"""The package's modules as syntax trees: their definitions, imports and other statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn

from ..system.errors import InputError

RECIPE = "config.params:Params"  # whose sections count only where they are read
IMPORTED = "<import>"  # stands for the statements of a module that run when it is imported
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Decorators that only wrap a method: it runs where its name is used. Others may hand it to a
# framework, which calls it by itself.
WRAPPERS = {
    "property", "setter", "classmethod", "staticmethod", "cached_property", "cache", "lru_cache",
    "contextmanager", "abstractmethod", "no_grad",
}  # fmt: skip
# Methods that Python's own functions call by name: of files, of what closes, and of mappings.
PROTOCOLS = {
    "close", "flush", "items", "keys", "read", "readline", "seek", "tell", "values", "write",
}  # fmt: skip


class Target(NamedTuple):
    """What a name stands for.

    Parameters
    ----------
    kind : {"definition", "module", "outside"}
        Of this package, a module of it, or something of another package.
    name : str
        ``"module:Definition"``, ``"module"`` or a dotted name.
    """

    kind: str
    name: str

    @property
    def modules(self) -> set[str]:
        """The module of this package that it lies in, or is."""
        return set() if self.kind == "outside" else {self.name.partition(":")[0]}


class Import(NamedTuple):
    """One name that an import statement binds; ``module`` is None outside this package."""

    module: str | None
    attribute: str | None
    outside: str
    node: ast.stmt


class Module:
    """One file: what it defines, what it imports, and what else it does on import.

    Parameters
    ----------
    name : str
        Dotted, without the package's own name; ``""`` for its ``__init__``.
    path : Path
    package : str
        The package's own name, for absolute imports.

    Attributes
    ----------
    definitions : dict of str to list of stmt
        Top-level functions, classes and assignments.
    imports : dict of str to Import
    loaded : set of str
        Modules of this package that ``import a.b.c`` names.
    effects : list of stmt
        Other statements; the names they bind stand in ``bound``.
    """

    def __init__(self, name: str, path: Path, package: str) -> None:
        self.name, self.path, self.package = name, path, package
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, Import] = {}
        self.loaded: set[str] = set()
        self.effects: list[ast.stmt] = []
        self.bound: set[str] = set()
        try:
            body = ast.parse(path.read_bytes(), path).body
        except SyntaxError as err:
            raise InputError(
                f"{path}, line {err.lineno}: Python code is needed, but this cannot be parsed."
                " Correct it."
            ) from None
        for statement in body:
            self._add(statement)

    @property
    def parent(self) -> str:
        """The package that the file lies in."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def _add(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._add_import(node)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for statement in (*node.body, *node.orelse):
                self._add(statement)
        elif names := _defined(node):
            for name in names:
                self.definitions.setdefault(name, []).append(node)
        elif not is_text(node) and not isinstance(node, ast.Pass):
            self.effects.append(node)
            for part in walk_here([node]):
                if isinstance(part, ast.Import | ast.ImportFrom):
                    self._add_import(part)
                elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    self.bound.add(part.id)
                elif isinstance(part, (*FUNCTIONS, ast.ClassDef)):
                    self.bound.add(part.name)

    def _add_import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports.update(self.bindings(node))
        if isinstance(node, ast.Import):
            self.loaded.update(self.loads(node))

    def loads(self, node: ast.Import) -> list[str]:
        """Modules of this package that ``import a.b.c`` names."""
        own = f"{self.package}."
        names = [alias.name for alias in node.names]
        return [name.removeprefix(own) for name in names if name.startswith(own)]

    def bindings(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
        """Names that an import binds, with what they stand for."""
        for alias in node.names:
            if isinstance(node, ast.Import):
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, self._import(whole, None, node)
            else:
                yield alias.asname or alias.name, self._import(self._base(node), alias.name, node)

    def _base(self, node: ast.ImportFrom) -> str:
        """The absolute name of what is imported from."""
        if not node.level:
            return node.module or ""
        folders = [self.package, *filter(None, self.parent.split("."))]
        if node.level > len(folders):
            refuse(self, node, "this relative import leaves the package")
        base = folders[: len(folders) - node.level + 1]
        return ".".join([*base, *filter(None, [node.module])])

    def _import(self, dotted: str, attribute: str | None, node: ast.stmt) -> Import:
        top, _, rest = dotted.partition(".")
        outside = dotted if attribute is None else f"{dotted}.{attribute}"
        return Import(rest if top == self.package else None, attribute, outside, node)


class Package:
    """A package's modules, each parsed once, when it is first asked for.

    Parameters
    ----------
    folder : Path
        The package's own folder; nothing of it is imported.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._modules: dict[str, Module | None] = {}
        self._framework: dict[str, bool] = {}
        self._fields: dict[str, dict[str, ast.AnnAssign]] = {}

    @cached_property
    def data(self) -> dict[str, list[Path]]:
        """Files that are no code, by their name."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.suffix not in (".py", ".pyc") and path.is_file():
                found.setdefault(path.name, []).append(path)
        return found

    def module(self, name: str) -> Module | None:
        """A module by its dotted name; None where there is none."""
        if name not in self._modules:
            base = self.folder.joinpath(*name.split(".")) if name else self.folder
            files = (base / "__init__.py", base.with_suffix(".py"))
            path = next((path for path in files if path.is_file()), None)
            self._modules[name] = path and Module(name, path, self.folder.name)
        return self._modules[name]

    def resolve(self, module: Module, name: str) -> Target | None:
        """What a module's global name stands for; None for a builtin."""
        if name in module.definitions:
            return Target("definition", f"{module.name}:{name}")
        if name in module.imports:
            return self.follow(module, module.imports[name])
        if name in module.bound:
            return Target("definition", f"{module.name}:{IMPORTED}")
        return None

    def follow(self, module: Module, found: Import) -> Target:
        """What an import binds, through re-exports to where it is defined.

        Raises
        ------
        InputError
            It names what is not there, or everything (``*``).
        """
        if found.attribute == "*":
            refuse(module, found.node, "an import of * does not say which names it binds")
        if found.module is None:
            return Target("outside", found.outside)
        target = self.member(found.module, found.attribute)
        if target is None:
            refuse(module, found.node, f"{found.outside} is not there")
        return target

    def member(self, name: str, attribute: str | None) -> Target | None:
        """A name in a module of this package, or a module in a package."""
        module = self.module(name)
        if module is None or attribute is None:
            return module and Target("module", name)
        own = self.resolve(module, attribute)
        if own is None and self.module(inner := f"{name}.{attribute}".lstrip(".")) is not None:
            return Target("module", inner)
        return own

    def attribute(self, left: Target | None, name: str) -> Target | None:
        """What ``left.name`` stands for; None where the left side is no module, or lacks it."""
        if left is None or left.kind == "definition":
            return None
        if left.kind == "outside":
            return Target("outside", f"{left.name}.{name}")
        return self.member(left.name, name)

    def dotted(self, module: Module, node: ast.expr) -> Target | None:
        """What ``name`` or ``module.name`` stands for in a module."""
        if isinstance(node, ast.Attribute):
            return self.attribute(self.dotted(module, node.value), node.attr)
        return self.resolve(module, node.id) if isinstance(node, ast.Name) else None

    def statements(self, identity: str) -> tuple[Module, list[ast.stmt]]:
        """The module of ``module:Name``, and what defines it there."""
        name, _, own = identity.partition(":")
        module = self.module(name)
        return module, module.definitions.get(own, [])

    def class_of(self, identity: str) -> ast.ClassDef | None:
        """The class that ``module:Name`` is, or None."""
        name, _, own = identity.partition(":")
        module = self.module(name)
        nodes = module.definitions.get(own, []) if module else []
        return nodes[0] if len(nodes) == 1 and isinstance(nodes[0], ast.ClassDef) else None

    def called_by_name(self, identity: str) -> dict[str, list[ast.stmt]]:
        """Methods of a class that run only where their name is used.

        Those of a class with a base outside this package are not among them: the base's own code
        may call them.
        """
        node = self.class_of(identity)
        if node is None or (identity != RECIPE and self.extends_framework(identity)):
            return {}
        return methods_by_name(node)

    def extends_framework(self, identity: str) -> bool:
        """Whether a class derives, over any number of steps, from one outside this package."""
        if identity not in self._framework:
            node, module = self.class_of(identity), self.module(identity.partition(":")[0])
            bases = [self._base_of(module, base) for base in node.bases]
            self._framework[identity] = bool(node.keywords) or any(
                base is None or self.extends_framework(base) for base in bases
            )
        return self._framework[identity]

    def fields(self, identity: str) -> dict[str, ast.AnnAssign]:
        """The annotated fields of a class, by name."""
        if identity not in self._fields:
            node = self.class_of(identity)
            self._fields[identity] = {
                part.target.id: part
                for part in (node.body if node else ())
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
            }
        return self._fields[identity]

    def _base_of(self, module: Module, node: ast.expr) -> str | None:
        target = self.dotted(module, node.value if isinstance(node, ast.Subscript) else node)
        if target is None or target.kind != "definition" or self.class_of(target.name) is None:
            return None
        return target.name


def methods_by_name(node: ast.ClassDef) -> dict[str, list[ast.stmt]]:
    """Methods that neither Python nor a decorator calls by itself."""
    found: dict[str, list[ast.stmt]] = {}
    for part in node.body:
        if isinstance(part, FUNCTIONS) and not _is_called_by_python(part.name):
            found.setdefault(part.name, []).append(part)
    return {
        name: parts
        for name, parts in found.items()
        if all(last_name(wrapper) in WRAPPERS for p in parts for wrapper in p.decorator_list)
    }


def _is_called_by_python(name: str) -> bool:
    return name.startswith("__") or name in PROTOCOLS


def last_name(node: ast.expr) -> str:
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


def walk_here(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """Nodes of one scope: inner functions, classes and comprehensions are given, not entered."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, INNER):
            waiting += ast.iter_child_nodes(node)


INNER = (
    *FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp,
)  # fmt: skip


def refuse(module: Module, node: ast.AST, what: str) -> NoReturn:
    """Refuse code that cannot be followed, by its place."""
    raise InputError(
        f"{module.path}, line {getattr(node, 'lineno', 0)}: code keys need imports that can be"
        f" followed, but {what}. Write it so that it names what it uses."
    )


def _is_type_checking(test: ast.expr) -> bool:
    return last_name(test) == "TYPE_CHECKING"


def _defined(node: ast.stmt) -> list[str]:
    """Names that a top-level statement defines, if defining is all it does."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    else:
        return []
    parts = [
        part
        for target in targets
        for part in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
    ]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) and names != ["_"] else []
