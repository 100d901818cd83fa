"""Everything that a piece of work can reach in the code, definition by definition.

A function, a class or a variable counts when a definition that counts names it. A method counts
when its class does and some code that counts uses its name (rapid type analysis); a class that
derives from another package's may have any of its methods called, so it counts as a whole.

References
----------
Bacon and Sweeney, "Fast static analysis of C++ virtual function calls", OOPSLA 1996.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .digest import hash_text, spell
from .source import FUNCTIONS, IMPORTS, Module, Package

RECIPE = "config.params:Params"  # a section of it counts where code reads that field
APART = "code_keys"  # the room that finds what counts is no part of the work
IMPORTERS = {"import_module", "__import__", "spec_from_file_location", "run_module", "run_path"}
FOLLOWED = {  # computed imports, and why each leaves no gap
    "catalogue:discover": "an entry counts where the recipe names it",
    "registry.evidence:module": "a version's own code, which the version's key covers",
    "registry.serving.model_code:load_code": "the same",
    "registry.serving.model_code:_import": "the same",
}
EFFECTS = "<import>"


@dataclass
class Uses:
    """What one definition uses.

    Parameters
    ----------
    targets : set of str
        Definitions and modules of this package.
    attributes : set of str
        Names behind dots, and texts where attributes are looked up by text.
    text : str
        The definition, and what its imported names stand for.
    """

    targets: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    text: str = ""


class Code:
    """The definitions of a package and what each uses.

    Parameters
    ----------
    package : Package
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self._uses: dict[str, Uses] = {}

    def closure(self, roots: Iterable[str]) -> Closure:
        """Everything that definitions need, each ``"module:Name"``, or all of ``"module"``."""
        found, attributes, late = set(), set(), {}
        queue = list(roots)
        while queue:
            while queue:
                identity = queue.pop()
                if identity in found or identity.partition(":")[0].partition(".")[0] == APART:
                    continue
                module, colon, _ = identity.partition(":")
                queue.append(f"{module}:{EFFECTS}")
                if not colon:
                    queue += [
                        f"{module}:{name}" for name in self.package.module(module).definitions
                    ]
                    continue
                found.add(identity)
                uses = self.uses(identity)
                attributes |= uses.attributes
                queue += uses.targets
                late |= {f"{identity}.{name}": name for name in self._members(identity)}
            queue = [m for m, name in late.items() if name in attributes and m not in found]
        return Closure(tuple(sorted(found)), self)

    def uses(self, identity: str) -> Uses:
        """What a definition uses; computed once."""
        if identity not in self._uses:
            module, nodes = self._nodes(identity)
            self._uses[identity] = _read(self.package, module, identity, nodes)
        return self._uses[identity]

    def _nodes(self, identity: str) -> tuple[Module, list[ast.stmt]]:
        """The statements of a definition, without what counts by itself."""
        name, _, own = identity.partition(":")
        module = self.package.module(name)
        if own == EFFECTS:
            return module, [n for n in module.effects if not _discovers(n)]
        outer, _, member = own.partition(".")
        nodes = module.definitions[outer]
        if member:
            return module, [n for n in nodes[0].body if _name(n) == member]
        members = self._members(identity)
        if not members:
            return module, nodes
        header = copy.copy(nodes[0])
        header.body = [n for n in header.body if _name(n) not in members]
        return module, [header]

    def _members(self, identity: str) -> set[str]:
        """Members of a class that count only where their names are used."""
        name, _, own = identity.partition(":")
        nodes = self.package.module(name).definitions.get(own, [])
        if not nodes or not isinstance(nodes[0], ast.ClassDef):
            return set()
        body = nodes[0].body
        if identity == RECIPE:
            return {_name(n) for n in body if isinstance(n, ast.AnnAssign)}
        if self._foreign(name, nodes[0]):
            return set()
        return {n.name for n in body if isinstance(n, FUNCTIONS) and not n.name.startswith("__")}

    def _foreign(self, module: str, node: ast.ClassDef) -> bool:
        """Whether a class derives, somewhere, from one of another package."""
        for base in node.bases:
            root = base.value if isinstance(base, ast.Subscript) else base
            if not isinstance(root, ast.Name):
                return True
            found = self.package.module(module)
            if root.id in found.definitions:
                target = f"{module}:{root.id}"
            else:
                target = self.package.resolve(found.imports.get(root.id, root.id))
            if target is None:
                return True
            where, _, own = target.partition(":")
            if self._foreign(where, self.package.module(where).definitions[own][0]):
                return True
        return False


@dataclass(frozen=True)
class Closure:
    """What a piece of work depends on: sorted names ``"module:Definition"``."""

    names: tuple[str, ...]
    code: Code = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, hex."""
        return hash_text(f"{name} {self.code.uses(name).text}" for name in self.names)


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign):
        return getattr(node.target, "id", None)
    return getattr(node, "name", None)


def _discovers(node: ast.stmt) -> bool:
    call = getattr(node, "value", None)
    return isinstance(call, ast.Call) and getattr(call.func, "id", None) == "discover"


def _read(package: Package, module: Module, identity: str, nodes: list[ast.stmt]) -> Uses:
    """Read a definition's statements."""
    uses = Uses()
    parts = [part for node in nodes for part in ast.walk(node)]
    imports = module.imports | {
        name: origin
        for part in parts
        if isinstance(part, IMPORTS)
        for name, origin in module.imported(part).items()
    }
    by_text = any(isinstance(p, ast.Name) and p.id in ("getattr", "hasattr") for p in parts)
    names, texts = set(), set()
    for part in parts:
        if isinstance(part, ast.Name):
            names.add(part.id)
        elif isinstance(part, ast.Attribute):
            uses.attributes.add(part.attr)
            target = _module_behind(package, module, imports, part.value)
            if target is not None:
                uses.targets |= {found} if (found := package.member(target, part.attr)) else set()
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            texts.add(part.value)
        elif isinstance(part, ast.Call):
            _check_import(module, identity, part)
    bound = sorted(f"{name}={imports[name]}" for name in names & imports.keys())
    for name in names:
        if name in imports:
            target = package.resolve(imports[name])
            if target is not None and ":" in target:
                uses.targets.add(target)
        elif name in module.definitions:
            uses.targets.add(f"{module.name}:{name}")
    if by_text:
        uses.attributes |= texts
    files = [path for text in sorted(texts) if (path := _data_file(module, text))]
    data = [f"{path.name}={path.read_bytes().hex()}" for path in files]
    uses.targets.discard(identity)
    uses.text = "\n".join([spell(nodes), *bound, *data])
    return uses


def _module_behind(
    package: Package, module: Module, imports: dict[str, str], node: ast.expr
) -> str | None:
    """The module of this package that an expression names, if it does."""
    if isinstance(node, ast.Name) and node.id in imports:
        target = package.resolve(imports[node.id])
    elif isinstance(node, ast.Attribute):
        outer = _module_behind(package, module, imports, node.value)
        inner = f"{outer}.{node.attr}"
        target = inner if outer is not None and inner in package.names else None
    else:
        return None
    return target if target is not None and ":" not in target else None


def _check_import(module: Module, identity: str, call: ast.Call) -> None:
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    plain = call.args and isinstance(call.args[0], ast.Constant)
    if name in IMPORTERS and not plain and identity not in FOLLOWED:
        raise module.refuse(call, f"{name}() of something computed")


def _data_file(module: Module, text: str) -> Path | None:
    """A file of the package beside the module, such as a page's template, that a text names."""
    if not text.endswith((".j2", ".css", ".js")):
        return None
    path = module.path.parent / text
    return path if path.is_file() else None
