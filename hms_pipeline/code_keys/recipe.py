"""Which expressions may be the whole recipe: its sections count only where they are read.

The code is typed: the recipe comes in as a parameter annotated ``Params``, from a function that
is annotated to return it, or as an attribute called ``params``. What has no annotation, or is
annotated ``Any``, may be the recipe, or something that the recipe is in.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .source import FUNCTIONS, IMPORTED, RECIPE, Module, Package

HOLDER = "params"  # the only attribute under which the recipe may travel
# What reads every field of it: attributes of the recipe, and functions that it is given to.
WHOLE = {"model_dump", "model_dump_json", "__dict__", "__iter__"}
TAKES_WHOLE = {"vars", "dict", "iter", "list"}
_ANYTHING = {"typing.Any", "typing.TypeVar", "typing.ParamSpec"}
_NEVER = (ast.Constant, ast.JoinedStr, ast.Compare, ast.Lambda)
_GIVING = {  # statement → where it has names, and what they are given
    ast.AugAssign: ("target", "value"),
    ast.NamedExpr: ("target", "value"),
    ast.For: ("target", "iter"),
    ast.AsyncFor: ("target", "iter"),
    ast.comprehension: ("target", "iter"),
    ast.withitem: ("optional_vars", "context_expr"),
}


class Recipe:
    """Answers for the expressions of one definition.

    Parameters
    ----------
    package : Package
    module : Module
        Where the definition stands.
    parts : sequence of AST
        All nodes of it.
    selves : dict of int to str
        Parameters (by ``id``) that are an object of a class: ``"module:Class"``.
    """

    def __init__(
        self, package: Package, module: Module, parts: Sequence[ast.AST], selves: dict[int, str]
    ) -> None:
        self.package, self.module = package, module
        self._values: dict[str, list[ast.AST]] = {}
        self._annotations: dict[str, list[ast.AST]] = {}
        self._unknown: set[str] = set()
        self._busy: set[str] = set()
        for part in parts:
            self._note(part, selves)

    def _note(self, part: ast.AST, selves: dict[int, str]) -> None:
        """Remember what a node gives to names."""
        if isinstance(part, ast.arg):
            if part.annotation is not None:
                self._annotations.setdefault(part.arg, []).append(part.annotation)
            elif selves.get(id(part), RECIPE) == RECIPE:
                self._unknown.add(part.arg)
            else:
                self._values.setdefault(part.arg, [])
        elif isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
            self._unknown.add(part.name)
        elif isinstance(part, ast.AnnAssign):
            self._give(part.target, part.annotation, self._annotations)
        elif isinstance(part, ast.Assign):
            for target in part.targets:
                self._give(target, part.value, self._values)
        elif type(part) in _GIVING:
            target, value = (getattr(part, name) for name in _GIVING[type(part)])
            if target is not None:
                self._give(target, value, self._values)

    def _give(self, target: ast.AST, what: ast.AST, to: dict[str, list[ast.AST]]) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                to.setdefault(node.id, []).append(what)

    def surely(self, node: ast.AST) -> bool:
        """Whether an expression is a name annotated to be the recipe, or called like it."""
        if isinstance(node, ast.Attribute):
            return node.attr == HOLDER
        return isinstance(node, ast.Name) and any(
            self.names(annotation) for annotation in self._annotations.get(node.id, ())
        )

    def names(self, annotation: ast.AST) -> bool:
        """Whether an annotation has the recipe's class in it."""
        return any(
            isinstance(node, ast.Name) and self._global(node.id, self.module) == RECIPE
            for node in ast.walk(annotation)
        )

    def may_be(self, node: ast.AST) -> bool:
        """Whether an expression's value may be the recipe, or something that it is in."""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return node.attr == HOLDER
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            target = self._global(node.func.id, self.module)
            if target is not None:
                return self._result(target)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = (node.func, node.func.value, *node.args, *node.keywords)
            return any(map(self.may_be, parts))
        return not isinstance(node, _NEVER) and any(map(self.may_be, ast.iter_child_nodes(node)))

    def _global(self, name: str, module: Module) -> str | None:
        """The definition of this package that a module's name stands for."""
        target = self.package.resolve(module, name)
        return target.name if target is not None and target.kind == "definition" else None

    def _name(self, name: str) -> bool:
        own = name in self._values or name in self._annotations
        if name in self._unknown or name in self._busy:
            return name not in self._busy
        if not own:
            identity = self._global(name, self.module)
            return identity is not None and self._variable(identity)
        self._busy.add(name)
        try:
            return any(
                self._allows(annotation, self.module)
                for annotation in self._annotations.get(name, ())
            ) or any(map(self.may_be, self._values.get(name, ())))
        finally:
            self._busy.remove(name)

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
        module, nodes = self.package.statements(identity)
        values = [node.value for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign)]
        return any(value is not None and self._allows(value, module) for value in values)

    def _variable(self, identity: str) -> bool:
        """A module's variable; a function may give it the recipe where its annotation allows."""
        module, nodes = self.package.statements(identity)
        annotations = [node.annotation for node in nodes if isinstance(node, ast.AnnAssign)]
        return (
            identity == RECIPE
            or identity.endswith(f":{IMPORTED}")
            or any(self._allows(annotation, module) for annotation in annotations)
        )

    def _result(self, identity: str) -> bool:
        """Whether a definition of this package, called, may give the recipe."""
        module, nodes = self.package.statements(identity)
        return identity == RECIPE or any(
            node.returns is None or self._allows(node.returns, module)
            if isinstance(node, FUNCTIONS)
            else not isinstance(node, ast.ClassDef)
            for node in nodes
        )
