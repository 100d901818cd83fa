"""Names that a function binds, and what each of them was given."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .source import FUNCTIONS, Module, walk_here

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Given(NamedTuple):
    """One way in which a local name gets its value.

    Parameters
    ----------
    kind : {"value", "annotation", "import", "self", "anything", "nothing"}
    what : object
        The expression that it is, or is a part of; the annotation; the import; the class
        (``"module:Class"``) of ``self``.
    """

    kind: str
    what: object = None


class Scope:
    """Local names of a function or comprehension, and the scope around it."""

    def __init__(self, around: Scope | None, names: dict[str, list[Given]]) -> None:
        self.around, self.names = around, names

    def find(self, name: str) -> tuple[Scope, list[Given]] | None:
        """Where a name is bound; None: it is the module's or a builtin."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope, scope.names[name]
            scope = scope.around
        return None


class _Names:
    """Collects the names of one scope."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.found: dict[str, list[Given]] = {}
        self.elsewhere: set[str] = set()

    def add(self, target: ast.AST, given: Given) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.found.setdefault(node.id, []).append(given)

    def add_name(self, name: str | None, given: Given) -> None:
        if name:
            self.found.setdefault(name, []).append(given)

    def read(self, node: ast.AST) -> None:
        reader = _READERS.get(type(node))
        if reader is not None:
            reader(self, node)

    def _assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.add(target, Given("value", node.value))

    def _with(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self.add(node.optional_vars, Given("value", node.context_expr))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, found in self.module.bindings(node):
            self.add_name(name, Given("import", found))


_READERS: dict[type, Callable[[_Names, Any], None]] = {
    ast.Assign: _Names._assign,
    ast.AnnAssign: lambda names, node: names.add(node.target, Given("annotation", node.annotation)),
    **dict.fromkeys(
        (ast.AugAssign, ast.NamedExpr),
        lambda names, node: names.add(node.target, Given("value", node.value)),
    ),
    **dict.fromkeys(
        (ast.For, ast.AsyncFor),
        lambda names, node: names.add(node.target, Given("value", node.iter)),
    ),
    ast.withitem: _Names._with,
    **dict.fromkeys((ast.Import, ast.ImportFrom), _Names._import),
    **dict.fromkeys(
        (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler),
        lambda names, node: names.add_name(node.name, Given("nothing")),
    ),
    **dict.fromkeys(
        (ast.MatchAs, ast.MatchStar),
        lambda names, node: names.add_name(node.name, Given("anything")),
    ),
    ast.MatchMapping: lambda names, node: names.add_name(node.rest, Given("anything")),
    **dict.fromkeys(
        (ast.Global, ast.Nonlocal), lambda names, node: names.elsewhere.update(node.names)
    ),
    ast.Name: lambda names, node: (
        names.found.setdefault(node.id, []) if isinstance(node.ctx, ast.Store) else None
    ),
}


def function_scope(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
    module: Module,
    around: Scope | None,
    owner: str | None,
) -> Scope:
    """The names of a function.

    Parameters
    ----------
    owner : str or None
        The class of a method: what its first parameter is.
    """
    names = _Names(module)
    first = owner
    for argument in arguments(node.args):
        given = Given("anything")
        if argument.annotation is not None:
            given = Given("annotation", argument.annotation)
        elif first is not None:
            given = Given("self", first)
        first = None
        names.add_name(argument.arg, given)
    body = node.body if isinstance(node, FUNCTIONS) else [node.body]
    for part in walk_here(body):
        names.read(part)
        if isinstance(part, COMPREHENSIONS):
            _read_walrus(part, names)
    return Scope(around, {k: v for k, v in names.found.items() if k not in names.elsewhere})


def comprehension_scope(node: ast.AST, module: Module, around: Scope | None) -> Scope:
    """The names of a comprehension."""
    names = _Names(module)
    for generator in node.generators:
        names.add(generator.target, Given("value", generator.iter))
    return Scope(around, names.found)


def arguments(node: ast.arguments) -> Iterator[ast.arg]:
    """All parameters, ``self`` first."""
    yield from (*node.posonlyargs, *node.args, *node.kwonlyargs)
    yield from filter(None, (node.vararg, node.kwarg))


def _read_walrus(node: ast.AST, names: _Names) -> None:
    """``:=`` in a comprehension binds in the function around it."""
    for part in ast.walk(node):
        if isinstance(part, ast.NamedExpr):
            names.read(part)
