"""Everything that a piece of work can run, from the definitions that do it."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..system.errors import InputError
from .digest import hash_text, spell
from .known import DECORATORS, DISCOVER, SETTLED
from .source import IMPORTED, RECIPE, Module, Package, last_name
from .uses import Reader, Uses


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
    """A package's definitions, each read and hashed once.

    Parameters
    ----------
    package : Package
    registers : set of str
        Decorators that put a definition into a catalogue, where it counts once it is named.
    """

    def __init__(self, package: Package, registers: Collection[str] = ()) -> None:
        self.package, self.registers = package, registers
        self._parts: dict[str, tuple[Uses, str]] = {}
        self._imports: dict[str, tuple[str, ...]] = {}

    def closure(self, roots: Iterable[str]) -> Closure:
        """Follow definitions from roots.

        Parameters
        ----------
        roots : iterable of str
            ``"module:Definition"`` (of a class, all methods), or ``"module"`` for all of one.

        Raises
        ------
        InputError
            A root is not there, or an import cannot be followed.
        """
        walk = _Walk(self)
        for root in roots:
            walk.add_root(root)
        walk.run()
        names = tuple(sorted(walk.reached))
        return Closure(names, hash_text(f"{name} {self.part(name)[1]}" for name in names))

    def part(self, identity: str) -> tuple[Uses, str]:
        """What a definition uses, and the hash of its tree with what its names stand for."""
        if identity not in self._parts:
            name, colon, own = identity.partition(":")
            if colon:
                nodes, owner = self._nodes(self.package.module(name), own)
                uses = Reader(
                    self.package, self.package.module(name), identity, nodes, owner
                ).read()
                self._parts[identity] = uses, hash_text([spell(nodes), *sorted(uses.bindings)])
            else:
                content = (self.package.folder / name).read_bytes()
                self._parts[identity] = Uses(), hashlib.sha256(content).hexdigest()
        return self._parts[identity]

    def _nodes(self, module: Module, own: str) -> tuple[list[ast.stmt], str | None]:
        """The statements of a definition, and the class where it is a part of one."""
        name, _, part = own.partition(".")
        identity = f"{module.name}:{name}"
        if own == IMPORTED:
            return self.effects(module), None
        if part:
            fields = self.package.fields(RECIPE) if identity == RECIPE else {}
            if part in fields:
                return [fields[part]], identity
            return list(self.package.called_by_name(identity)[part]), identity
        nodes = module.definitions[name]
        if self.package.class_of(identity) is None:
            return list(nodes), None
        return [self._frame(nodes[0], identity)], None

    def _frame(self, node: ast.ClassDef, identity: str) -> ast.ClassDef:
        """A class without what counts only where it is used."""
        left_out = {id(n) for ns in self.package.called_by_name(identity).values() for n in ns}
        if identity == RECIPE:
            left_out |= {id(n) for n in self.package.fields(identity).values()}
            left_out |= {id(n) for n in node.body if _only_refuses(n)}
        frame = copy.copy(node)
        frame.body = [part for part in node.body if id(part) not in left_out]
        return frame

    def effects(self, module: Module) -> list[ast.stmt]:
        """What a module does when it is imported, besides defining names and ``discover``."""
        return [
            *(node for node in module.effects if not self._is_discover(module, node)),
            *(
                node
                for nodes in module.definitions.values()
                for node in nodes
                if self._registers(module, node)
            ),
        ]

    def _is_discover(self, module: Module, node: ast.stmt) -> bool:
        return (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and self.stands_for(module, node.value.func) in DISCOVER
        )

    def _registers(self, module: Module, node: ast.stmt) -> bool:
        """Whether a decorator of this package hands a definition to a register not known here."""
        return any(
            (target := self.stands_for(module, decorator)) is not None
            and target not in self.registers
            and target not in DECORATORS
            for decorator in getattr(node, "decorator_list", ())
        )

    def stands_for(self, module: Module, node: ast.expr) -> str | None:
        """The definition of this package that an expression starts with."""
        while isinstance(node, ast.Call):
            node = node.func
        target = self.package.dotted(module, node)
        if target is None and isinstance(node, ast.Attribute):
            return self.stands_for(module, node.value)
        return target.name if target is not None and target.kind == "definition" else None

    def imports(self, name: str) -> tuple[str, ...]:
        """Modules of this package that importing a module runs, itself first."""
        if name not in self._imports:
            module = self.package.module(name)
            parents = [".".join(name.split(".")[:n]) for n in range(name.count(".") + 1)]
            found = {*module.loaded, *parents} - {name}
            for imported in module.imports.values():
                found |= self.package.follow(module, imported).modules
                found |= {imported.module} - {None}
            self._imports[name] = (name, *sorted(found))
        return self._imports[name]


def is_settled(module: str) -> bool:
    """Whether a module is not followed."""
    return any(module == known or module.startswith(f"{known}.") for known in SETTLED)


def _only_refuses(node: ast.stmt) -> bool:
    """A validator that runs when all is read: it refuses a recipe or leaves it as it is."""
    return any(
        last_name(wrapper) == "model_validator" and spell([wrapper]) == _AFTER
        for wrapper in getattr(node, "decorator_list", ())
    )


_AFTER = spell([ast.parse('model_validator(mode="after")', mode="eval").body])


class _Walk:
    """One closure's way through the definitions."""

    def __init__(self, code: Code) -> None:
        self.code, self.package = code, code.package
        self.reached: set[str] = set()
        self._waiting: list[str] = []
        self._modules: set[str] = set()
        self._whole: set[str] = set()
        self._attributes: set[str] = set()
        self._sections: set[str] = set()
        self._strings: set[str] = set()
        self._computed = False
        self._methods: dict[str, list[str]] = {}  # name → methods of reached classes
        self._fields: dict[str, str] = {}

    def add_root(self, root: str) -> None:
        name, colon, own = root.partition(":")
        module = self.package.module(name)
        if module is None or (colon and own not in {IMPORTED, *module.definitions}):
            raise InputError(
                f"Code keys need {root}, but {self.package.folder} has none. Name in"
                " code_keys/roots.py what does the work now."
            )
        if not colon:
            self._add_module(name)
        elif own == IMPORTED:
            self._import(name)
        else:
            self._add_all(root)

    def run(self) -> None:
        while self._waiting:
            identity = self._waiting.pop()
            uses, _ = self.code.part(identity)
            self._import(identity.partition(":")[0])
            for name in uses.definitions:
                self._add(name)
            for name in uses.modules:
                self._add_module(name)
            for name in uses.imported:
                self._import(name)
            self._read_attributes(uses)
            self._read_data(uses)
            if self.package.class_of(identity) is not None:
                self._add_class(identity)

    def _add(self, identity: str) -> None:
        if identity not in self.reached and not is_settled(identity.partition(":")[0]):
            self.reached.add(identity)
            self._waiting.append(identity)

    def _add_module(self, name: str) -> None:
        """All of a module: it is used as a value."""
        if name in self._whole:
            return
        self._whole.add(name)
        self._import(name)
        for own in self.package.module(name).definitions:
            self._add_all(f"{name}:{own}")

    def _add_all(self, identity: str) -> None:
        """A definition, and if it is a class, all methods of it."""
        self._add(identity)
        for method in self.package.called_by_name(identity):
            self._add(f"{identity}.{method}")

    def _import(self, name: str) -> None:
        """What importing a module does, and every module that it imports."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name in self._modules or is_settled(name):
                continue
            self._modules.add(name)
            waiting += self.code.imports(name)
            if self.code.effects(self.package.module(name)):
                self._add(f"{name}:{IMPORTED}")

    def _add_class(self, identity: str) -> None:
        for name in self.package.called_by_name(identity):
            self._methods.setdefault(name, []).append(f"{identity}.{name}")
            if name in self._attributes or (self._computed and name in self._strings):
                self._add(f"{identity}.{name}")
        if identity == RECIPE:
            self._fields = {name: f"{RECIPE}.{name}" for name in self.package.fields(RECIPE)}
            self._add_sections(self._sections)

    def _read_attributes(self, uses: Uses) -> None:
        names = uses.attributes - self._attributes
        self._attributes |= names
        strings = uses.strings - self._strings
        self._strings |= strings
        if uses.computed and not self._computed:
            self._computed = True
            strings = self._strings
        if self._computed:
            names |= strings
        for name in names & self._methods.keys():
            for method in self._methods[name]:
                self._add(method)
        if not uses.sections <= self._sections:
            self._sections |= uses.sections
            self._add_sections(uses.sections)

    def _add_sections(self, names: set[str]) -> None:
        for name in self._fields if "*" in names else names & self._fields.keys():
            self._add(self._fields[name])

    def _read_data(self, uses: Uses) -> None:
        for name in uses.strings & self.package.data.keys():
            for path in self.package.data[name]:
                self.reached.add(path.relative_to(self.package.folder).as_posix())
