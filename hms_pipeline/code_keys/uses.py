"""What one definition uses: other definitions, modules, attributes."""

from __future__ import annotations

import ast
from contextlib import suppress
from dataclasses import dataclass, field

from .known import COMPUTED_IMPORTS
from .recipe import HOLDER, TAKES_WHOLE, WHOLE, Recipe
from .scope import COMPREHENSIONS, Scope, arguments, comprehension_scope, function_scope
from .source import (
    FUNCTIONS,
    RECIPE,
    Import,
    Module,
    Package,
    Target,
    children,
    is_text,
    refuse,
)  # fmt: skip

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
    """Walks one definition.

    Parameters
    ----------
    package : Package
    module : Module
        Where it stands.
    identity : str
        Its ``"module:Definition"``.
    """

    def __init__(self, package: Package, module: Module, identity: str) -> None:
        self.package, self.module, self.identity = package, module, identity
        self.recipe = Recipe(package, module)
        self.uses = Uses()

    def read(self, nodes: list[ast.stmt], owner: str | None = None) -> Uses:
        """Read statements; ``owner`` is the class of those that are its methods."""
        for node in nodes:
            self._visit(node, None, owner)
        own = self.identity.partition(":")[2]
        if own in self.module.imports:  # what it had this name from before
            found = self.module.imports[own]
            self._use(own, self.package.follow(self.module, found), found.node)
        return self.uses

    def _visit(self, node: ast.AST, scope: Scope | None, owner: str | None = None) -> None:
        kind = type(node)
        if kind is ast.Name:
            self._name(node, scope)
        elif kind is ast.Attribute:
            self._attribute(node, scope)
        elif kind is ast.Constant:
            if isinstance(node.value, str):
                self.uses.strings.add(node.value)
        elif kind is ast.Call:
            self._call(node, scope)
        elif kind in _SPECIAL:
            _SPECIAL[kind](self, node, scope, owner)
        elif not is_text(node):
            self._children(node, scope)

    def _children(self, node: ast.AST, scope: Scope | None) -> None:
        for part in children(node):
            self._visit(part, scope)

    def _name(self, node: ast.Name, scope: Scope | None) -> None:
        if scope is None and isinstance(node.ctx, ast.Store):
            return  # what a module's statement, or a class's, defines
        target = self._global(node.id, scope)
        if target is not None:
            self._use(node.id, target, node)
        elif not (scope and scope.find(node.id)):
            if node.id in _RUNNERS:
                self._computed_import(node)
            elif node.id == "globals":
                self.uses.modules.add(self.module.name)

    def _global(self, name: str, scope: Scope | None) -> Target | None:
        """What a name stands for outside this definition; None for its own and for builtins."""
        found = scope and scope.find(name)
        if not found:
            return self.package.resolve(self.module, name)
        imports = [given.what for given in found[1] if given.kind == "import"]
        return self.package.follow(self.module, imports[0]) if imports else None

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

    def _attribute(self, node: ast.Attribute, scope: Scope | None) -> None:
        target = self._dotted(node, scope)
        if target is not None and target.kind != "outside":
            self._use(dotted_text(node), target, node)
            return
        if target is not None:  # the tree has what follows the first name
            if target.name in _IMPORTERS:
                self._computed_import(node)
            self._visit(node.value, scope)
            return
        self.uses.attributes.add(node.attr)
        if node.attr in WHOLE and self.recipe.surely(node.value, scope):
            self.uses.sections.add("*")
        elif node.attr in self.package.fields(RECIPE) and self.recipe.may_be(node.value, scope):
            self.uses.sections.add(node.attr)
        self._visit(node.value, scope)

    def _dotted(self, node: ast.AST, scope: Scope | None) -> Target | None:
        """What ``module.name`` stands for; None where the left side is no module."""
        if isinstance(node, ast.Name):
            return self._global(node.id, scope)
        if not isinstance(node, ast.Attribute):
            return None
        left = self._dotted(node.value, scope)
        found = self.package.attribute(left, node.attr)
        in_module = left is not None and left.kind == "module" and not node.attr.startswith("__")
        if found is None and in_module:
            refuse(self.module, node, f"module {left.name} has no {node.attr}")
        return found

    def _call(self, node: ast.Call, scope: Scope | None) -> None:
        function = self._dotted(node.func, scope)
        name = getattr(node.func, "id", "") if function is None else function.name
        constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if name in _IMPORTERS and self._import_constant(node, constants):
            return
        if function is None and name in _GETTERS and len(node.args) > 1:
            self._look_up(node, scope)
        elif name in _NAMED_GETTERS:
            self.uses.attributes.update(map(str, constants))
            self.uses.computed |= len(constants) < len(node.args)
        elif function is None and name in TAKES_WHOLE and self._is_given(node.args, scope):
            self.uses.sections.add("*")
        self._children(node, scope)

    def _is_given(self, arguments: list[ast.expr], scope: Scope | None) -> bool:
        return any(self.recipe.surely(argument, scope) for argument in arguments)

    def _import_constant(self, node: ast.Call, constants: list[object]) -> bool:
        """``import_module("package.module")`` says what it imports."""
        if len(node.args) != 1 or not constants or str(constants[0]).startswith("."):
            return False
        top, _, rest = str(constants[0]).partition(".")
        if top == self.package.folder.name:
            found = Import(rest, None, str(constants[0]), node)
            self.uses.modules.add(self.package.follow(self.module, found).name)
        return True

    def _look_up(self, node: ast.Call, scope: Scope | None) -> None:
        of, name = node.args[:2]
        if isinstance(name, ast.Constant):
            self.uses.attributes.add(str(name.value))
            if self.recipe.may_be(of, scope):
                self.uses.sections.add(str(name.value))
        else:
            self.uses.computed = True
            if self.recipe.surely(of, scope):
                self.uses.sections.add("*")

    def _function(self, node: ast.AST, scope: Scope | None, owner: str | None) -> None:
        for argument in arguments(node.args):
            self._annotation(argument.annotation, scope)
        for default in filter(None, (*node.args.defaults, *node.args.kw_defaults)):
            self._visit(default, scope)
        inner = function_scope(node, self.module, scope, owner)
        if isinstance(node, ast.Lambda):
            self._visit(node.body, inner)
            return
        self._annotation(node.returns, scope)
        for part in (*node.decorator_list, *getattr(node, "type_params", ())):
            self._visit(part, scope)
        for part in node.body:
            self._visit(part, inner)

    def _class(self, node: ast.ClassDef, scope: Scope | None, owner: str | None) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self._visit(part, scope)
        for part in node.body:
            self._visit(part, scope, self.identity)

    def _comprehension(self, node: ast.AST, scope: Scope | None, owner: str | None) -> None:
        inner = comprehension_scope(node, self.module, scope)
        first = node.generators[0]
        self._visit(first.iter, scope)
        for part in (first.target, *first.ifs, *node.generators[1:], *_results(node)):
            self._visit(part, inner)

    def _annotated(self, node: ast.AnnAssign, scope: Scope | None, owner: str | None) -> None:
        self._annotation(node.annotation, scope)
        if owner is not None and isinstance(node.target, ast.Name):
            self._holds(node, node.target.id, self.recipe.names(node.annotation))
        for part in filter(None, (node.target, node.value)):
            self._visit(part, scope)

    def _assigned(self, node: ast.Assign, scope: Scope | None, owner: str | None) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                self._holds(node, target.attr, self._is_recipe(node.value, scope))
        self._children(node, scope)

    def _is_recipe(self, node: ast.AST, scope: Scope | None) -> bool:
        """Whether an expression puts the recipe somewhere."""
        if isinstance(node, ast.Attribute | ast.Call):
            return False
        return self.recipe.surely(node, scope) or any(
            self._is_recipe(part, scope) for part in children(node)
        )

    def _holds(self, node: ast.AST, name: str, recipe: bool) -> None:
        if recipe and name != HOLDER:
            refuse(self.module, node, f"attribute {name} hides the recipe: call it {HOLDER}")

    def _annotation(self, node: ast.AST | None, scope: Scope | None) -> None:
        """An annotation, also one in quotes."""
        for part in ast.walk(node) if node is not None else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                self._quoted(part.value, scope)
        if node is not None:
            self._visit(node, scope)

    def _quoted(self, text: str, scope: Scope | None) -> None:
        with suppress(SyntaxError):
            self._visit(ast.parse(text, mode="eval").body, scope)

    def _imports(self, node: ast.AST, scope: Scope | None, owner: str | None) -> None:
        if isinstance(node, ast.Import):
            self.uses.imported.update(self.module.loads(node))
        for name, found in self.module.bindings(node):
            target = self.package.follow(self.module, found)
            self.uses.bindings.add(f"{name} = {target.kind} {target.name}")
            if target.kind == "definition":
                self.uses.definitions.add(target.name)
            self.uses.imported |= ({found.module} - {None}) | target.modules

    def _pattern(self, node: ast.MatchClass, scope: Scope | None, owner: str | None) -> None:
        self.uses.attributes.update(node.kwd_attrs)
        self._children(node, scope)


def _results(node: ast.AST) -> list[ast.expr]:
    """What a comprehension gives."""
    return [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]


def dotted_text(node: ast.AST) -> str:
    """``a.b.c`` as it is written."""
    return node.id if isinstance(node, ast.Name) else f"{dotted_text(node.value)}.{node.attr}"


_SPECIAL = {
    **dict.fromkeys((*FUNCTIONS, ast.Lambda), Reader._function),
    **dict.fromkeys(COMPREHENSIONS, Reader._comprehension),
    **dict.fromkeys((ast.Import, ast.ImportFrom), Reader._imports),
    ast.ClassDef: Reader._class,
    ast.AnnAssign: Reader._annotated,
    ast.Assign: Reader._assigned,
    ast.MatchClass: Reader._pattern,
}
