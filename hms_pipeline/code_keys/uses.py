"""What one definition uses: other definitions, modules, attributes.

Its own names do not hide those of its module: what may be used counts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .known import COMPUTED_IMPORTS
from .recipe import HOLDER, TAKES_WHOLE, WHOLE, Recipe
from .source import FUNCTIONS, RECIPE, Import, Module, Package, Target, is_text, refuse

_IMPORTERS = {
    "importlib.import_module", "importlib.__import__", "importlib.util.spec_from_file_location",
    "pkgutil.resolve_name", "pydoc.locate", "runpy.run_module", "runpy.run_path",
}  # fmt: skip
_RUNNERS = {"__import__", "exec", "eval"}
_GETTERS = {"getattr", "hasattr", "setattr", "delattr"}
_NAMED_GETTERS = {"operator.attrgetter", "operator.methodcaller"}


@dataclass
class Uses:
    """What was found.

    Parameters
    ----------
    definitions, modules : set of str
        Used by name: definitions, and modules as a whole.
    imported : set of str
        Modules that it imports while it runs.
    bindings : set of str
        ``"name = what it stands for"``, for every name that is not its own.
    attributes : set of str
        Names used as attributes of anything.
    sections : set of str
        Attributes of what may be the recipe; ``"*"``: all of them.
    strings : set of str
        Constants, any of which ``computed`` attribute names may be.
    computed : bool
        Whether it looks up an attribute by a computed name.
    """

    definitions: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)
    bindings: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    sections: set[str] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)
    computed: bool = False


class Reader:
    """Reads one definition.

    Parameters
    ----------
    package : Package
    module : Module
        Where it stands.
    identity : str
        Its ``"module:Definition"``.
    nodes : sequence of stmt
        Its statements.
    owner : str or None
        The class of those that are its methods.
    """

    def __init__(
        self,
        package: Package,
        module: Module,
        identity: str,
        nodes: Sequence[ast.stmt],
        owner: str | None = None,
    ) -> None:
        self.package, self.module, self.identity = package, module, identity
        self._nodes, self._owner = nodes, owner
        self.uses = Uses()
        self._parts = [part for node in nodes for part in ast.walk(node)]
        self._settled: set[int] = set()  # nodes that a node around them has answered for
        self._imports: dict[str, Target] = {}

    @cached_property
    def recipe(self) -> Recipe:
        """Answers which expressions may be the recipe."""
        return Recipe(self.package, self.module, self._parts, self._selves())

    def _selves(self) -> dict[int, str]:
        """First parameters of methods, and their class."""
        methods = [(node, self._owner) for node in self._nodes if self._owner is not None]
        for part in self._parts:
            if isinstance(part, ast.ClassDef):
                methods += [(node, self.identity) for node in part.body]
        return {
            id(first): owner
            for node, owner in methods
            if isinstance(node, FUNCTIONS)
            for first in (*node.args.posonlyargs, *node.args.args)[:1]
        }

    def read(self) -> Uses:
        """What it uses.

        Raises
        ------
        InputError
            An import of it cannot be followed.
        """
        for part in self._parts:
            if isinstance(part, ast.Import | ast.ImportFrom):
                self._import(part)
        own = self.identity.partition(":")[2]
        if own in self.module.imports:  # what it had this name from before
            found = self.module.imports[own]
            self._use(own, self.package.follow(self.module, found), found.node)
        for part in self._parts:
            reader = _READERS.get(type(part))
            if reader is not None and id(part) not in self._settled:
                reader(self, part)
        return self.uses

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            self.uses.imported.update(self.module.loads(node))
        for name, found in self.module.bindings(node):
            target = self.package.follow(self.module, found)
            self._imports[name] = target
            self.uses.bindings.add(f"{name} = {target.kind} {target.name}")
            if target.kind == "definition":
                self.uses.definitions.add(target.name)
            self.uses.imported |= ({found.module} - {None}) | target.modules

    def _resolve(self, name: str) -> Target | None:
        return self._imports.get(name) or self.package.resolve(self.module, name)

    def _name(self, node: ast.Name) -> None:
        target = self._resolve(node.id)
        if target is not None and not isinstance(node.ctx, ast.Store):
            self._use(node.id, target, node)
        elif node.id in _RUNNERS:
            self._computed_import(node)
        elif node.id == "globals":
            self.uses.modules.add(self.module.name)

    def _global(self, node: ast.Global) -> None:
        for name in node.names:
            target = self._resolve(name)
            if target is not None:
                self._use(name, target, node)

    def _use(self, name: str, target: Target, node: ast.AST) -> None:
        self.uses.bindings.add(f"{name} = {target.kind} {target.name}")
        if target.kind == "definition":
            self.uses.definitions.add(target.name)
        elif target.kind == "module":
            self.uses.modules.add(target.name)
        elif target.name in _IMPORTERS:
            self._computed_import(node)

    def _computed_import(self, node: ast.AST) -> None:
        if self.identity not in COMPUTED_IMPORTS:
            refuse(self.module, node, "what this imports is computed")

    def _attribute(self, node: ast.Attribute) -> None:
        target = self._dotted(node)
        if target is None:
            self._read_attribute(node)
        elif target.kind != "outside":
            self._use(_text(node), target, node)
            self._settled.update(map(id, ast.walk(node)))
        elif target.name in _IMPORTERS:
            self._computed_import(node)

    def _read_attribute(self, node: ast.Attribute) -> None:
        name = node.attr
        self.uses.attributes.add(name)
        if name in WHOLE and self.recipe.surely(node.value):
            self.uses.sections.add("*")
        elif name in self.package.fields(RECIPE) and self.recipe.may_be(node.value):
            self.uses.sections.add(name)

    def _dotted(self, node: ast.AST) -> Target | None:
        """What ``module.name`` stands for; None where the left side is no module."""
        if isinstance(node, ast.Name):
            return self._resolve(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        left = self._dotted(node.value)
        found = self.package.attribute(left, node.attr)
        in_module = left is not None and left.kind == "module" and not node.attr.startswith("__")
        if found is None and in_module:
            refuse(self.module, node, f"module {left.name} has no {node.attr}")
        return found

    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.uses.strings.add(node.value)

    def _statement(self, node: ast.Expr) -> None:
        if is_text(node):
            self._settled.add(id(node.value))

    def _call(self, node: ast.Call) -> None:
        function = self._dotted(node.func)
        name = getattr(node.func, "id", "") if function is None else function.name
        constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if name in _IMPORTERS and self._import_constant(node, constants):
            self._settled.update(map(id, ast.walk(node.func)))
        elif function is None and name in _GETTERS and len(node.args) > 1:
            self._look_up(*node.args[:2])
        elif name in _NAMED_GETTERS:
            self.uses.attributes.update(map(str, constants))
            self.uses.computed |= len(constants) < len(node.args)
        elif function is None and name in TAKES_WHOLE and any(map(self.recipe.surely, node.args)):
            self.uses.sections.add("*")

    def _import_constant(self, node: ast.Call, constants: list[object]) -> bool:
        """``import_module("package.module")`` says what it imports."""
        if len(node.args) != 1 or not constants or str(constants[0]).startswith("."):
            return False
        top, _, rest = str(constants[0]).partition(".")
        if top == self.package.folder.name:
            found = Import(rest, None, str(constants[0]), node)
            self.uses.modules.add(self.package.follow(self.module, found).name)
        return True

    def _look_up(self, of: ast.expr, name: ast.expr) -> None:
        if isinstance(name, ast.Constant):
            self.uses.attributes.add(str(name.value))
            if self.recipe.may_be(of):
                self.uses.sections.add(str(name.value))
        else:
            self.uses.computed = True
            if self.recipe.surely(of):
                self.uses.sections.add("*")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._quoted(node.returns)

    def _argument(self, node: ast.arg) -> None:
        self._quoted(node.annotation)

    def _quoted(self, annotation: ast.AST | None) -> None:
        """Names in an annotation in quotes."""
        for part in ast.walk(annotation) if annotation is not None else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                with suppress(SyntaxError):
                    for inner in ast.walk(ast.parse(part.value, mode="eval")):
                        if isinstance(inner, ast.Name | ast.Attribute):
                            _READERS[type(inner)](self, inner)

    def _class(self, node: ast.ClassDef) -> None:
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                self._holds(part, part.target.id, self.recipe.names(part.annotation))

    def _annotated(self, node: ast.AnnAssign) -> None:
        self._quoted(node.annotation)

    def _assigned(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                self._holds(node, target.attr, self._is_recipe(node.value))

    def _is_recipe(self, node: ast.AST) -> bool:
        """Whether an expression puts the recipe somewhere."""
        if isinstance(node, ast.Attribute | ast.Call):
            return False
        return self.recipe.surely(node) or any(map(self._is_recipe, ast.iter_child_nodes(node)))

    def _holds(self, node: ast.AST, name: str, recipe: bool) -> None:
        if recipe and name != HOLDER:
            refuse(self.module, node, f"attribute {name} hides the recipe: call it {HOLDER}")

    def _pattern(self, node: ast.MatchClass) -> None:
        self.uses.attributes.update(node.kwd_attrs)


def _text(node: ast.AST) -> str:
    """``a.b.c`` as it is written."""
    return node.id if isinstance(node, ast.Name) else f"{_text(node.value)}.{node.attr}"


_READERS: dict[type, Callable[[Reader, Any], None]] = {
    **dict.fromkeys(FUNCTIONS, Reader._function),
    ast.AnnAssign: Reader._annotated,
    ast.Assign: Reader._assigned,
    ast.Attribute: Reader._attribute,
    ast.Call: Reader._call,
    ast.ClassDef: Reader._class,
    ast.Constant: Reader._constant,
    ast.Expr: Reader._statement,
    ast.Global: Reader._global,
    ast.MatchClass: Reader._pattern,
    ast.Name: Reader._name,
    ast.arg: Reader._argument,
}
