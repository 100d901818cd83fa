"""What one definition uses: other definitions, modules, attributes, sections of the recipe.

A local name does not hide the module's definition of the same name: both count. A variable whose
name is ``params``, or ends in it, is taken for the recipe, so that ``params.gate`` means that the
section ``gate`` is read. Where an annotation says that a variable of another name is the recipe,
the code is refused; without an annotation such a variable is not noticed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .digest import spell
from .known import COMPUTED_IMPORTS, RECIPE, WRAPPERS
from .source import FUNCTIONS, IMPORTS, Module, Package, last_name

# What leads from ``__file__`` to more than its folder.
_FAR = {"..", ".__file__", ".dirname", ".pardir", ".parents", "dirname", "pardir"}
# Put before an attribute that is read from the recipe; "params.*" means any attribute.
SECTION = "params."
_WHOLE = {"model_dump", "model_dump_json", "__iter__"}
_TAKES_WHOLE = {"vars", "dict", "iter", "list"}
_GETTERS = {"getattr", "hasattr", "setattr", "delattr"}
_NAMED_GETTERS = {"operator.attrgetter", "operator.methodcaller"}
_IMPORTERS = {"importlib.import_module", "importlib.__import__"}
# Modules and functions that find code, its annotations or a file that is no code without naming it.
_REFLECTS = (
    "builtins.__import__.", "builtins.dir.", "builtins.eval.", "builtins.exec.", "builtins.locals.",
    "importlib.import_module.", "importlib.__import__.", "importlib.resources.",
    "importlib.util.spec_from_file_location.", "inspect.", "pkgutil.", "pydoc.", "runpy.",
    "sys.modules.", "typing.get_type_hints.",
)  # fmt: skip
_REFLECTED = {
    "__annotations__", "__dict__", "__doc__", "__init_subclass__", "__loader__", "__path__",
    "__spec__", "__subclasses__",
}  # fmt: skip


@dataclass
class Uses:
    """What was found.

    Parameters
    ----------
    targets : set of str
        ``"module:Name"`` of definitions, ``"module:"`` of modules as a whole, and files.
    attributes : set of str
        Names behind dots; ``"params.gate"`` where the left side is the recipe.
    strings : set of str
        Constants, any of which ``computed`` attribute names may be.
    computed : bool
        Whether it looks up an attribute by a computed name.
    text : str
        Its syntax tree, and what its names stand for; empty where nothing runs.
    """

    targets: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)
    computed: bool = False
    text: str = ""


def read(package: Package, module: Module, identity: str, nodes: Sequence[ast.stmt]) -> Uses:
    """Read the statements of a definition.

    Raises
    ------
    InputError
        An import of it cannot be followed, or the recipe gets another name.
    """
    return _Reader(package, module, identity, nodes).uses


_TEXTS = {ast.Attribute: "attr", ast.Name: "id", ast.Constant: "value"}  # what may name something


class _Reader:
    """One definition's reading."""

    def __init__(
        self, package: Package, module: Module, identity: str, nodes: Sequence[ast.stmt]
    ) -> None:
        self.package, self.module, self.identity = package, module, identity
        self.uses = Uses()
        # Nodes that were dealt with together with the node around them.
        self._settled: set[int] = set()
        self._types = _types(nodes)
        self._local: dict[str, set[str]] = {}
        self._imported: dict[str, list[list[str]]] = {}
        self._bindings: set[str] = set()
        parts = _walk(nodes)
        for part in parts:
            if isinstance(part, IMPORTS):
                self._import(part)
        self._containers = {
            part.arg
            for part in parts
            if isinstance(part, ast.arg) and isinstance(part.annotation, ast.Subscript)
            if not self._names_recipe(part.annotation)
        }
        for part in parts:
            text = getattr(part, _TEXTS.get(type(part), "name"), None)
            found = text.rpartition(".")[2] if isinstance(text, str) else None
            if found in _REFLECTED and identity not in COMPUTED_IMPORTS:
                module.refuse(part, f"{found} depends on what a key leaves out")
            reader = _READERS.get(type(part))
            if reader is not None and id(part) not in self._settled:
                reader(self, part)
        self._read_data([] if identity in COMPUTED_IMPORTS else parts)
        # Of several imports of one name, the last one that runs counts.
        self._bindings |= {f"{name} = {found}" for name, found in self._imported.items()}
        spelled = spell(nodes, self._types)
        self.uses.text = "\n".join([spelled, *sorted(self._bindings)]) if spelled else ""

    def _read_data(self, parts: Iterable[ast.AST]) -> None:
        """Files that are no code: by their names, and by their folder where it is asked for.

        ``__file__`` stands for its folder, and for all below it unless something there is named;
        above its folder, or of another module, for all files.
        """
        names = {part for text in self.uses.strings for part in text.split("/")}
        texts = [(field, getattr(p, field)) for p in parts if (field := _TEXTS.get(type(p)))]
        words = [text if field == "id" else f".{text}" for field, text in texts]
        data, own = self.package.data, self.module.path.parent.relative_to(self.package.folder)
        if not {"__file__", ".__file__"} & {*words}:
            found = {path for path in data if path.name in names}
        elif _FAR & {*words, *names} or words.count(".parent") > 1:
            found = {*data}
        else:
            named = {path for path in data if names & {*path.parts}}
            below = {path for path in data if path.is_relative_to(own)}
            found = named | {p for p in below if p.parent == own or not named & below}
        self.uses.targets |= {path.as_posix() for path in found}

    # ------------------------------------------------------------ names

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, found in self.module.bindings(node):
            targets = self.package.follow(self.module, found)
            self._local.setdefault(name, set()).update(targets)
            self._imported.setdefault(name, []).append(sorted(targets))
            self.uses.targets |= self.package.imported(found)
            self.uses.targets |= {t for t in targets if ":" in t and not t.endswith(":")}

    def _use(self, name: str, targets: Iterable[str], node: ast.AST) -> None:
        if id(node) not in self._types:
            self._bindings.add(f"{name} = {sorted(targets)}")
        self.uses.targets |= {target for target in targets if ":" in target}
        self._refuse_reflection(targets, node)

    def _refuse_reflection(self, targets: Iterable[str], node: ast.AST) -> None:
        found = any(f"{target}.".startswith(_REFLECTS) for target in targets)
        if found and self.identity not in COMPUTED_IMPORTS:
            self.module.refuse(node, "what this finds is computed")

    def read_name(self, node: ast.Name) -> None:
        targets = self._dotted(node)
        if targets and not isinstance(node.ctx, ast.Store):
            self._use(node.id, targets, node)
        elif not targets:
            self._refuse_reflection({f"builtins.{node.id}"}, node)
        if node.id == "globals":
            self.uses.targets.add(f"{self.module.name}:")

    def read_global(self, node: ast.Global) -> None:
        for name in node.names:
            self._use(name, self.package.resolve(self.module, name), node)

    def _dotted(self, node: ast.AST) -> set[str]:
        return self.package.dotted(self.module, node, self._local)

    def read_attribute(self, node: ast.Attribute) -> None:
        targets = self._dotted(node)
        if targets:
            self._use(ast.unparse(node), targets, node)
            self._settled.update(map(id, ast.walk(node)))
        else:
            self.look_up(node.value, [ast.Constant(node.attr)])
            if node.attr in _WHOLE and self._is_recipe(node.value):
                self.uses.attributes.add(f"{SECTION}*")

    # ------------------------------------------------------------ what is looked up by text

    def read_call(self, node: ast.Call) -> None:
        names = self._dotted(node.func) or {getattr(node.func, "id", "")}
        if names & _IMPORTERS and self._import_constant(node):
            self._settled.update(map(id, ast.walk(node.func)))
        elif names & _GETTERS and len(node.args) > 1:
            self.look_up(node.args[0], node.args[1:2])
        elif names & _NAMED_GETTERS:
            self.look_up(None, node.args)
        elif names & _TAKES_WHOLE and any(map(self._is_recipe, node.args)):
            self.uses.attributes.add(f"{SECTION}*")

    def _import_constant(self, node: ast.Call) -> bool:
        """``import_module("package.module")`` says what it imports."""
        name = getattr(node.args[0], "value", None) if len(node.args) == 1 else None
        if not isinstance(name, str) or name.startswith("."):
            return False
        top, _, rest = name.partition(".")
        if top == self.package.folder.name:
            if rest not in self.package.modules:
                self.module.refuse(node, f"{name} is not there")
            self.uses.targets.add(f"{rest}:")
        return True

    def look_up(self, left: ast.AST | None, names: Iterable[ast.AST]) -> None:
        """Attributes by their names; those of None are of anything, the recipe too."""
        recipe = left is None or self._is_recipe(left)
        for node in names:
            if any(isinstance(p, ast.BinOp | ast.Call | ast.JoinedStr) for p in ast.walk(node)):
                self.module.refuse(node, "the name of this attribute is put together")
            known = isinstance(node, ast.Constant)
            self.uses.computed |= not known
            for name in str(node.value).split(".") if isinstance(node, ast.Constant) else ():
                self.uses.attributes |= {name, f"{SECTION}{name}"} if recipe else {name}
            if recipe and not known:
                self.uses.attributes.add(f"{SECTION}*")

    def read_constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.uses.strings.add(node.value)

    # ------------------------------------------------------------ the recipe

    def _is_recipe(self, node: ast.AST) -> bool:
        """Whether an expression's value may be the recipe, by what it is called."""
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                if name == "self":
                    return self.identity.startswith(f"{RECIPE}.")
                return name.lower().endswith("params") and name not in self._containers
            case ast.Call(func=ast.Attribute(value=left)) if self._is_recipe(left):
                return True
            case ast.Constant() | ast.JoinedStr() | ast.Compare() | ast.Lambda():
                return False
        return any(map(self._is_recipe, ast.iter_child_nodes(node)))

    def _names_recipe(self, annotation: ast.AST) -> bool:
        parts = _walk([annotation, *_quoted(annotation)])
        return any(isinstance(p, ast.Name) and RECIPE in self._dotted(p) for p in parts)

    def check(self, name: str, node: ast.AST, annotation: ast.AST | None) -> None:
        """Refuse another name for the recipe."""
        hides = annotation is not None and self._names_recipe(annotation)
        if hides and not name.endswith("params") and not self.identity.startswith(RECIPE):
            self.module.refuse(node, f"{name} hides the recipe, which has to be called params")

    def read_given(self, node: ast.Assign | ast.NamedExpr) -> None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            name = last_name(target)
            if last_name(node.value) == "params" and not name.endswith("params") and name:
                self.module.refuse(node, f"{name} is another name for what is called params")


def is_called_by_name(node: ast.AST) -> bool:
    """Whether no decorator hands a definition to what may call it by itself, or read its types."""
    return all(last_name(wrapper) in WRAPPERS for wrapper in getattr(node, "decorator_list", ()))


def _types(nodes: Iterable[ast.stmt]) -> set[int]:
    """Annotations that nothing reads: of functions, but not of what classes hold."""
    plain = (node for node in nodes if isinstance(node, FUNCTIONS) and is_called_by_name(node))
    parts = _walk(plain)
    inner = (part for part in parts if isinstance(part, (ast.ClassDef, *FUNCTIONS)))
    if any(isinstance(part, ast.ClassDef) or not is_called_by_name(part) for part in inner):
        return set()
    typed = (part for part in parts if isinstance(part, (ast.arg, ast.AnnAssign, *FUNCTIONS)))
    kept = (getattr(part, name, None) for part in typed for name in ("annotation", "returns"))
    # Trees share the nodes of operators.
    return {id(p) for value in kept if value for p in ast.walk(value) if isinstance(p, ast.expr)}


def _walk(nodes: Iterable[ast.AST]) -> list[ast.AST]:
    """All nodes of trees, each after the one that it is in; annotations in quotes are parsed."""
    parts = list(nodes)
    for part in parts:  # the list grows while it is walked
        for name in part._fields:
            value = getattr(part, name, None)
            if isinstance(value, list):
                parts += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                parts.append(value)
                if name in ("annotation", "returns"):
                    parts += _quoted(value)
    return parts


def _quoted(annotation: ast.AST) -> Iterator[ast.AST]:
    """What is named in quotes in an annotation."""
    for part in ast.walk(annotation):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            with suppress(SyntaxError):
                yield ast.parse(part.value, mode="eval").body


_READERS: dict[type, Callable[[_Reader, Any], None]] = {
    **dict.fromkeys(FUNCTIONS, lambda reader, node: reader.check(node.name, node, node.returns)),
    **dict.fromkeys((ast.Assign, ast.NamedExpr), _Reader.read_given),
    ast.AnnAssign: lambda reader, node: reader.check(last_name(node.target), node, node.annotation),
    ast.Attribute: _Reader.read_attribute,
    ast.Call: _Reader.read_call,
    ast.Constant: _Reader.read_constant,
    ast.Global: _Reader.read_global,
    ast.MatchClass: lambda reader, node: reader.look_up(None, map(ast.Constant, node.kwd_attrs)),
    ast.Name: _Reader.read_name,
    ast.arg: lambda reader, node: reader.check(node.arg, node, node.annotation),
}
