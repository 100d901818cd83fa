"""Which expressions may be the whole recipe: its sections count only where they are read.

The code is typed: the recipe comes in as a parameter annotated ``Params``, from a function that
is annotated to return it, or as an attribute called ``params``. What has no annotation, or is
annotated ``Any``, may be the recipe, or something that the recipe is in.
"""

from __future__ import annotations

import ast

from .scope import Given, Scope
from .source import FUNCTIONS, IMPORTED, RECIPE, Module, Package, Target, children

HOLDER = "params"  # the only attribute under which the recipe may travel
# What reads every field of it: attributes of the recipe, and functions that it is given to.
WHOLE = {"model_dump", "model_dump_json", "__dict__", "__iter__"}
TAKES_WHOLE = {"vars", "dict", "iter", "list"}
_ANYTHING = {"typing.Any", "typing.TypeVar", "typing.ParamSpec"}
_NEVER = (ast.Constant, ast.JoinedStr, ast.Compare, ast.Lambda)


class Recipe:
    """Answers for the expressions of one module."""

    def __init__(self, package: Package, module: Module) -> None:
        self.package, self.module = package, module
        self._busy: set[object] = set()

    def surely(self, node: ast.AST, scope: Scope | None) -> bool:
        """Whether an expression is a parameter annotated to be the recipe, or called like it."""
        if isinstance(node, ast.Attribute):
            return node.attr == HOLDER
        found = scope.find(node.id) if scope and isinstance(node, ast.Name) else None
        return found is not None and any(
            given.kind == "annotation" and self.names(given.what) for given in found[1]
        )

    def names(self, annotation: ast.AST) -> bool:
        """Whether an annotation has the recipe's class in it."""
        return any(
            self.package.resolve(self.module, node.id) == Target("definition", RECIPE)
            for node in ast.walk(annotation)
            if isinstance(node, ast.Name)
        )

    def may_be(self, node: ast.AST, scope: Scope | None) -> bool:
        """Whether an expression's value may be the recipe, or something that it is in."""
        if isinstance(node, ast.Name):
            return self._name(node.id, scope)
        if isinstance(node, ast.Attribute):
            return node.attr == HOLDER
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            target = None if scope and scope.find(node.func.id) else self._global(node.func.id)
            if target is not None:
                return self._result(target)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return any(
                self.may_be(part, scope)
                for part in (node.func, node.func.value, *node.args, *node.keywords)
            )
        return not isinstance(node, _NEVER) and any(
            self.may_be(part, scope) for part in children(node)
        )

    def _global(self, name: str) -> str | None:
        """The definition of this package that a global name stands for."""
        target = self.package.resolve(self.module, name)
        return target.name if target is not None and target.kind == "definition" else None

    def _definition(self, identity: str) -> tuple[Module, list[ast.stmt]]:
        name, _, own = identity.partition(":")
        module = self.package.module(name)
        return module, module.definitions.get(own, [])

    def _name(self, name: str, scope: Scope | None) -> bool:
        found = scope and scope.find(name)
        if not found:
            identity = self._global(name)
            return identity is not None and self._variable(identity)
        where, given = found
        key = id(where), name
        if key in self._busy:
            return False
        self._busy.add(key)
        try:
            return any(self._given(one, where) for one in given)
        finally:
            self._busy.remove(key)

    def _given(self, given: Given, scope: Scope) -> bool:
        match given.kind:
            case "annotation":
                return self._allows(given.what, self.module)
            case "value":
                return self.may_be(given.what, scope)
            case "self":
                return given.what == RECIPE
        return given.kind == "anything"

    def _allows(self, annotation: ast.AST, module: Module) -> bool:
        """Whether the recipe may be where an annotation stands."""
        for node in ast.walk(annotation):
            match node:
                case ast.Constant(value=str(text)) if "Params" in text or "Any" in text:
                    return True
                case ast.Attribute(attr="Any" | "Params"):
                    return True
                case ast.Name() if self._named(node.id, module):
                    return True
        return False

    def _named(self, name: str, module: Module) -> bool:
        target = self.package.resolve(module, name)
        if target is None or target.kind == "outside":
            return name == "object" if target is None else target.name in _ANYTHING
        if target.name in self._busy:
            return False
        self._busy.add(target.name)
        try:
            return target.name == RECIPE or self._alias(target.name)
        finally:
            self._busy.remove(target.name)

    def _alias(self, identity: str) -> bool:
        """Whether the recipe may be where a name for an annotation stands."""
        module, nodes = self._definition(identity)
        values = [node.value for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign)]
        return any(value is not None and self._allows(value, module) for value in values)

    def _variable(self, identity: str) -> bool:
        """A module's variable; a function may give it the recipe where its annotation allows."""
        module, nodes = self._definition(identity)
        annotations = [node.annotation for node in nodes if isinstance(node, ast.AnnAssign)]
        return (
            identity == RECIPE
            or identity.endswith(f":{IMPORTED}")
            or any(self._allows(annotation, module) for annotation in annotations)
        )

    def _result(self, identity: str) -> bool:
        """Whether a definition of this package, called, may give the recipe."""
        module, nodes = self._definition(identity)
        return identity == RECIPE or any(
            node.returns is None or self._allows(node.returns, module)
            if isinstance(node, FUNCTIONS)
            else not isinstance(node, ast.ClassDef)
            for node in nodes
        )
