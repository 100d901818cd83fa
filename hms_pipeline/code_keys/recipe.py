"""Which expressions may be the whole recipe: its sections count only where they are read.

The code is typed: the recipe comes in as a parameter annotated ``Params``, from a function that
is annotated to return it, or as an attribute called ``params``. What has no annotation, or is
annotated ``Any``, may be the recipe.
"""

from __future__ import annotations

import ast

from .scope import Given, Scope
from .source import FUNCTIONS, IMPORTED, RECIPE, Module, Package, Target, children, last_name

HOLDER = "params"  # the only attribute under which the recipe may travel
# What reads every field of it: attributes of the recipe, and functions that it is given to.
WHOLE = {"model_dump", "model_dump_json", "__dict__", "__iter__"}
TAKES_WHOLE = {"vars", "dict", "iter", "list"}
_ANYTHING = {"typing.Any", "typing.TypeVar", "typing.ParamSpec"}
_PASSED_ON = (ast.IfExp, ast.BoolOp, ast.Await, ast.NamedExpr, ast.Starred, ast.keyword)
_NEVER = (ast.Constant, ast.JoinedStr, ast.Compare, ast.Lambda, ast.Attribute)


class Recipe:
    """Answers for the expressions of one module."""

    def __init__(self, package: Package, module: Module) -> None:
        self.package, self.module = package, module
        self._busy: set[tuple] = set()

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
        """Whether an expression's value may be the recipe."""
        if isinstance(node, ast.Name):
            return self._name(node.id, scope, held=False)
        if isinstance(node, ast.Attribute):
            return node.attr == HOLDER
        if isinstance(node, ast.Call):
            return self._call(node, scope, held=False)
        if isinstance(node, ast.Subscript):
            return self.may_hold(node.value, scope)
        return isinstance(node, _PASSED_ON) and any(
            self.may_be(part, scope) for part in children(node)
        )

    def may_hold(self, node: ast.AST, scope: Scope | None) -> bool:
        """Whether an expression's value may be the recipe, or something that the recipe is in."""
        if isinstance(node, ast.Name):
            return self._name(node.id, scope, held=True)
        if isinstance(node, ast.Call):
            return self._call(node, scope, held=True)
        if isinstance(node, _NEVER):
            return self.may_be(node, scope)
        return any(self.may_hold(part, scope) for part in children(node))

    def allows(self, annotation: ast.AST, *, held: bool, module: Module | None = None) -> bool:
        """Whether an annotation allows the recipe; ``held``: or something that it is in."""
        module = module or self.module
        if held:
            parts = ast.walk(annotation)
        elif isinstance(annotation, ast.BinOp):  # a | b
            parts = (annotation.left, annotation.right)
            return any(self.allows(part, held=False, module=module) for part in parts)
        elif isinstance(annotation, ast.Subscript):
            wrapper = last_name(annotation.value) in ("Optional", "Union", "Annotated", "Final")
            return wrapper and self.allows(annotation.slice, held=True, module=module)
        else:
            parts = (annotation,)
        return any(self._part_allows(part, held, module) for part in parts)

    def _part_allows(self, node: ast.AST, held: bool, module: Module) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and any(n in node.value for n in ("Params", "Any"))
        if isinstance(node, ast.Attribute):
            return node.attr in ("Any", "Params")
        if not isinstance(node, ast.Name):
            return False
        target = self.package.resolve(module, node.id)
        if target is None or target.kind == "outside":
            return node.id == "object" if target is None else target.name in _ANYTHING
        if target.name == RECIPE:
            return True
        return self._alias_allows(target.name, held)

    def _alias_allows(self, identity: str, held: bool) -> bool:
        """The same for a name that stands for an annotation."""
        module, nodes = self._definition(identity)
        key = (identity, held)
        if key in self._busy:
            return False
        self._busy.add(key)
        try:
            return any(
                self.allows(node.value, held=held, module=module)
                for node in nodes
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            )
        finally:
            self._busy.remove(key)

    def _definition(self, identity: str) -> tuple[Module, list[ast.stmt]]:
        name, _, own = identity.partition(":")
        module = self.package.module(name)
        return module, module.definitions.get(own, [])

    def _name(self, name: str, scope: Scope | None, *, held: bool) -> bool:
        found = scope and scope.find(name)
        if found:
            where, given = found
            key = (id(where), name, held)
            if key in self._busy:
                return False
            self._busy.add(key)
            try:
                return any(self._given(one, where, held) for one in given)
            finally:
                self._busy.remove(key)
        target = self.package.resolve(self.module, name)
        if target is None or target.kind != "definition":
            return False
        return target.name == RECIPE or self._variable(target, held)

    def _variable(self, target: Target, held: bool) -> bool:
        """A module's variable; a function may give it the recipe where its annotation allows."""
        module, nodes = self._definition(target.name)
        return target.name.endswith(f":{IMPORTED}") or any(
            self.allows(node.annotation, held=held, module=module)
            for node in nodes
            if isinstance(node, ast.AnnAssign)
        )

    def _given(self, given: Given, scope: Scope, held: bool) -> bool:
        match given.kind:
            case "anything":
                return True
            case "annotation":
                return self.allows(given.what, held=held)
            case "self":
                return given.what == RECIPE
            case "value":
                return (self.may_hold if held else self.may_be)(given.what, scope)
            case "element":
                return self.may_hold(given.what, scope)
        return False

    def _call(self, node: ast.Call, scope: Scope | None, *, held: bool) -> bool:
        function = node.func
        if isinstance(function, ast.Name) and not (scope and scope.find(function.id)):
            target = self.package.resolve(self.module, function.id)
            if target is not None and target.kind == "definition":
                return self._result(target.name, held)
        parts = (*node.args, *node.keywords)
        if isinstance(function, ast.Attribute):
            if function.attr == HOLDER:
                return True
            parts = (function.value, *parts)
        return any(self.may_hold(part, scope) for part in parts)

    def _result(self, identity: str, held: bool) -> bool:
        """Whether a definition of this package, called, may give the recipe."""
        if identity == RECIPE:
            return True
        module, nodes = self._definition(identity)
        return any(
            node.returns is None or self.allows(node.returns, held=held, module=module)
            if isinstance(node, FUNCTIONS)
            else not isinstance(node, ast.ClassDef)
            for node in nodes
        )
