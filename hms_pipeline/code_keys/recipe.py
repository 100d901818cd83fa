"""Which expressions may be the whole recipe: its sections count only where they are read."""

from __future__ import annotations

import ast

from .scope import Given, Scope
from .source import FUNCTIONS, IMPORTED, Module, Package, Target

RECIPE = "config.params:Params"
HOLDER = "params"  # the only attribute under which the recipe may travel
# What reads every field of it.
WHOLE = {"model_dump", "model_dump_json", "__dict__", "__iter__"}
TAKES_WHOLE = {"vars", "dict", "list", "tuple", "iter", "sorted", "set"}
_ANYTHING = {"typing.Any", "typing.TypeVar", "typing.ParamSpec"}


class Recipe:
    """Answers for the expressions of one module.

    The code is typed: the recipe comes in as a parameter annotated ``Params``, from a function
    annotated to return it, or as an attribute called ``params``. What is not annotated, or is
    annotated ``Any``, may be the recipe.
    """

    def __init__(self, package: Package, module: Module) -> None:
        self.package, self.module = package, module
        self._busy: set[tuple[int, str]] = set()

    def may_be(self, node: ast.AST, scope: Scope | None) -> bool:
        """Whether an expression's value may be the recipe, or hold it."""
        match node:
            case ast.Name():
                return self._name(node.id, scope)
            case ast.Attribute():
                return node.attr == HOLDER
            case ast.Call():
                return self._call(node, scope)
            case ast.Constant() | ast.JoinedStr() | ast.Compare() | ast.Lambda():
                return False
        return any(
            self.may_be(part, scope)
            for part in ast.iter_child_nodes(node)
            if isinstance(part, ast.expr | ast.comprehension | ast.keyword)
        )

    def mentions(self, annotation: ast.AST, module: Module | None = None) -> bool:
        """Whether an annotation allows the recipe."""
        module = module or self.module
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name):
                target = self.package.resolve(module, node.id)
                if self._allows(target) or (target is None and node.id == "object"):
                    return True
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if "Params" in node.value:
                    return True
            elif isinstance(node, ast.Attribute) and node.attr in ("Any", "Params"):
                return True
        return False

    def _allows(self, target: Target | None) -> bool:
        if target is None:
            return False
        if target.kind == "outside":
            return target.name in _ANYTHING
        if target.name == RECIPE:
            return True
        name, _, own = target.name.partition(":")
        module = self.package.module(name)
        nodes = module.definitions.get(own, []) if module else []
        aliases = [n.value for n in nodes if isinstance(n, ast.Assign | ast.AnnAssign) and n.value]
        key = (0, target.name)
        if not aliases or key in self._busy:
            return False
        self._busy.add(key)
        try:
            return any(self.mentions(alias, module) for alias in aliases)
        finally:
            self._busy.remove(key)

    def _name(self, name: str, scope: Scope | None) -> bool:
        found = scope and scope.find(name)
        if found:
            return any(self._given(given, found[0], name) for given in found[1])
        target = self.package.resolve(self.module, name)
        if target is None or target.kind != "definition":
            return False
        where, _, own = target.name.partition(":")
        if own == IMPORTED:
            return True
        nodes = self.package.module(where).definitions.get(own, [])
        return target.name == RECIPE or any(_is_variable_of_anything(node) for node in nodes)

    def _given(self, given: Given, scope: Scope, name: str) -> bool:
        key = (id(scope), name)
        match given.kind:
            case "anything":
                return True
            case "annotation":
                return self.mentions(given.what)
            case "self":
                return given.what == RECIPE
            case "value" if key not in self._busy:
                self._busy.add(key)
                try:
                    return self.may_be(given.what, scope)
                finally:
                    self._busy.remove(key)
        return False

    def _call(self, node: ast.Call, scope: Scope | None) -> bool:
        function = node.func
        if isinstance(function, ast.Name) and not (scope and scope.find(function.id)):
            target = self.package.resolve(self.module, function.id)
            if target is not None and target.kind == "definition":
                return self._result(target.name)
        if isinstance(function, ast.Attribute):
            if function.attr == HOLDER or self.may_be(function.value, scope):
                return True
        given = (*node.args, *(keyword.value for keyword in node.keywords))
        return any(self.may_be(argument, scope) for argument in given)

    def _result(self, identity: str) -> bool:
        """Whether a definition of this package, called, may give the recipe."""
        if identity == RECIPE:
            return True
        name, _, own = identity.partition(":")
        module = self.package.module(name)
        for node in module.definitions.get(own, []):
            if isinstance(node, FUNCTIONS):
                if node.returns is None or self.mentions(node.returns, module):
                    return True
            elif not isinstance(node, ast.ClassDef):
                return True
        return False


def _is_variable_of_anything(node: ast.stmt) -> bool:
    """A module's variable that may be given the recipe later."""
    if isinstance(node, ast.AnnAssign):
        return any(isinstance(n, ast.Name) and n.id in ("Any", "Params") for n in ast.walk(node))
    return False
