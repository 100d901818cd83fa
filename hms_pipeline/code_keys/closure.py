"""Everything that a piece of work can reach in the code, definition by definition.

A function, class or variable counts when a definition that counts names it. A method counts when
its class counts and some code that counts uses the method's name (rapid type analysis). A class
that derives from a class of another package counts as a whole, because that package may call any of
its methods. When anything of a module counts, so does all that it and its imports do on import.

References
----------
Bacon and Sweeney, "Fast static analysis of C++ virtual function calls", OOPSLA 1996.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..system.errors import InputError
from .digest import hash_text
from .known import DECORATORS, DISCOVER, PROTOCOLS, RECIPE, SETTLED
from .source import EFFECTS, FUNCTIONS, Module, Package
from .uses import SECTION, Uses, is_called_by_name, read


@dataclass(frozen=True)
class Closure:
    """What a piece of work depends on.

    Parameters
    ----------
    names : tuple of str
        ``"module:Definition"``, ``"module:Class.method"``, ``"module:<import>"`` (what a module
        does when it is imported) and files that are no code, sorted.
    digest : str
        SHA-256 over them, hex.
    """

    names: tuple[str, ...]
    digest: str


class Code:
    """The definitions of a package and what each uses, each read once.

    Parameters
    ----------
    package : Package
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self.uses = cache(self._uses)
        self.members = cache(self._members)
        self.extends_framework = cache(self._extends_framework)

    def closure(self, roots: Iterable[str]) -> Closure:
        """Follow definitions from roots.

        Parameters
        ----------
        roots : iterable of str
            ``"module:Definition"`` (of a class, all methods), ``"module"`` for all of one, or a
            file that is no code.

        Raises
        ------
        InputError
            A root is not there, or an import cannot be followed.
        """
        found, queue = set(), [part for root in roots for part in self._root(root)]
        attributes, strings, computed = set(), set(), False
        waiting: dict[str, set[str]] = {}  # a class's member → attributes that it runs for
        while queue:
            while queue:
                identity = queue.pop()
                if identity in found or is_settled(identity.partition(":")[0]):
                    continue
                found.add(identity)
                uses = self.uses(identity)
                queue += uses.targets
                attributes |= uses.attributes
                strings |= uses.strings
                computed |= uses.computed
                for name in self.members(identity):
                    waiting[f"{identity}.{name}"] = _runs_for(identity, name)
            if computed:
                attributes |= strings
            queue = [m for m, names in waiting.items() if m not in found and names & attributes]
        names = tuple(sorted(name for name in found if self.uses(name).text))
        return Closure(names, hash_text(f"{name} {self.uses(name).text}" for name in names))

    def _root(self, root: str) -> list[str]:
        if self.package.file(root):
            return [root]
        colon = ":" in root
        known = self._nodes(root) if colon else root in self.package.modules
        if not known and not root.endswith(EFFECTS):
            raise InputError(
                f"Code keys need {root}, but {self.package.folder} has none. Name in"
                " code_keys/roots.py what does the work now."
            )
        return self._whole(root) if colon else [f"{root}:"]

    def _whole(self, identity: str) -> list[str]:
        """A definition, and all methods where it is a class."""
        return [identity, *(f"{identity}.{name}" for name in self.members(identity))]

    def _uses(self, identity: str) -> Uses:
        """What a definition uses, with the hash of its text."""
        if path := self.package.file(identity):
            return Uses(text=hashlib.sha256(path.read_bytes()).hexdigest())
        name, _, own = identity.partition(":")
        module = self.package.module(name)
        if not own:  # a module as a whole
            everything = [self._whole(f"{name}:{own}") for own in module.definitions]
            return Uses(targets={f"{name}:{EFFECTS}"}.union(*everything))
        uses = read(self.package, module, identity, self._nodes(identity))
        uses.targets |= self._imports(module) if own == EFFECTS else {f"{name}:{EFFECTS}"}
        uses.text = uses.text and hash_text([uses.text])
        return uses

    def _nodes(self, identity: str) -> list[ast.stmt]:
        """The statements of a definition, without members that count by themselves."""
        name, _, own = identity.partition(":")
        if own == EFFECTS:
            return self.effects(self.package.module(name))
        outer, _, member = own.partition(".")
        if member:
            return self.members(f"{name}:{outer}")[member]
        nodes = self.package.definition(identity)
        left_out = {id(node) for nodes in self.members(identity).values() for node in nodes}
        if not left_out:
            return nodes
        frame: Any = copy.copy(nodes[0])  # a class
        frame.body = [node for node in frame.body if id(node) not in left_out]
        return [frame]

    def _members(self, identity: str) -> dict[str, list[ast.stmt]]:
        """Members of a class that count only where their names are used.

        They are methods of a class that derives from none of another package, and the fields
        and methods of the recipe.
        """
        nodes = self.package.definition(identity)
        if len(nodes) != 1 or not isinstance(nodes[0], ast.ClassDef):
            return {}
        if identity != RECIPE and self.extends_framework(identity):
            return {}
        found: dict[str, list[ast.stmt]] = {}
        for node in nodes[0].body:
            if isinstance(node, FUNCTIONS) and not node.name.startswith("__"):
                found.setdefault(node.name, []).append(node)
            elif identity == RECIPE and isinstance(node, ast.AnnAssign):
                found[ast.unparse(node.target)] = [node]
        return {
            name: nodes
            for name, nodes in found.items()
            if name not in PROTOCOLS and all(map(is_called_by_name, nodes))
        }

    def _extends_framework(self, identity: str) -> bool:
        """Whether a class derives, over any number of steps, from one outside this package."""
        nodes = self.package.definition(identity)
        if len(nodes) != 1 or not isinstance(nodes[0], ast.ClassDef) or nodes[0].keywords:
            return True
        module = self.package.module(identity.partition(":")[0])
        bases = [self.stands_for(module, base) for base in nodes[0].bases]
        return any(not found or any(map(self.extends_framework, found)) for found in bases)

    def stands_for(self, module: Module, node: ast.AST) -> set[str]:
        """What an expression such as ``VIEWS.register("mel")`` or ``Base[int]`` starts with."""
        if isinstance(node, ast.Call):
            return self.stands_for(module, node.func)
        found = self.package.dotted(module, node)
        if not found and isinstance(node, ast.Attribute | ast.Subscript):
            return self.stands_for(module, node.value)
        return {target for target in found if ":" in target}

    def effects(self, module: Module) -> list[ast.stmt]:
        """What a module does when it is imported, besides defining names and ``discover``."""
        defined = [node for nodes in module.definitions.values() for node in nodes]
        return [
            *(node for node in module.effects if not self._discovers(module, node)),
            *(node for node in defined if self._registers(module, node)),
        ]

    def _discovers(self, module: Module, node: ast.stmt) -> bool:
        return isinstance(node, ast.Expr) and bool(
            self.stands_for(module, node.value) & DISCOVER.keys()
        )

    def _registers(self, module: Module, node: ast.stmt) -> bool:
        """Whether a decorator of this package may hand a definition to what is not known here."""
        decorators = getattr(node, "decorator_list", ())
        return any(self.stands_for(module, wrapper) - DECORATORS.keys() for wrapper in decorators)

    def _imports(self, module: Module) -> set[str]:
        """What the modules that importing one runs do then: those it imports and lies in."""
        folders = module.name.split(".")[:-1] if module.name else []
        parents = {f"{'.'.join(folders[:n])}:{EFFECTS}" for n in range(len(folders) + 1)}
        for imports in module.imports.values():
            for found in imports:
                self.package.follow(module, found)  # refuses what is not there
                parents |= self.package.imported(found)
        return parents


def is_settled(module: str) -> bool:
    """Whether a module is not followed."""
    return any(module == known or module.startswith(f"{known}.") for known in SETTLED)


def _runs_for(identity: str, name: str) -> set[str]:
    """Attributes whose use may run a member of a class."""
    return {f"{SECTION}{name}", f"{SECTION}*"} if identity == RECIPE else {name}
