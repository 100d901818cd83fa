"""Who imports whom, read from the source without running it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hms_pipeline"
ROOMS = (
    "schema", "system", "catalogue", "code_keys", "config", "signal", "data", "simulator",
    "validation", "features", "datasets", "models", "training", "ensemble", "inference",
    "student", "starter", "scoring", "tracking", "registry", "report", "cli",
)  # fmt: skip


def modules() -> list[str]:
    """Dotted names of every module of the package."""
    return [_name(path) for path in sorted(PACKAGE.rglob("*.py"))]


def room_of(module: str) -> str | None:
    """The room a module lies in; None for the package's own ``__init__`` and ``__main__``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else None


@cache
def imported(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """Modules of the package and top-level names outside it that a module imports, lazily too."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(_path(module).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = _from(node, module)
        else:
            continue
        for name in names:
            if name.split(".")[0] == "hms_pipeline":
                inside |= _existing(name)
            else:
                outside.add(name.split(".")[0])
    return frozenset(inside), frozenset(outside)


def closure(*entries: str) -> set[str]:
    """Every module of the package that running these modules can import."""
    seen: set[str] = set()
    queue = list(entries)
    while queue:
        module = queue.pop()
        if module in seen:
            continue
        seen.add(module)
        queue += imported(module)[0]
        queue += [m for m in _parents(module) if m != "hms_pipeline"]
        if _discovers(module):
            queue += [m for m in modules() if m.startswith(f"{module}.")]
    return seen


def _discovers(module: str) -> bool:
    path = _path(module)
    return path.name == "__init__.py" and "discover(" in path.read_text()


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _from(node: ast.ImportFrom, module: str) -> list[str]:
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        package = parts if _path(module).name == "__init__.py" else parts[:-1]
        prefix = package[: len(package) - node.level + 1]
        base = ".".join([*prefix, base]) if base else ".".join(prefix)
    return [f"{base}.{alias.name}" for alias in node.names]


def _existing(name: str) -> set[str]:
    """``a.b.c`` may be a module or a name in the module ``a.b``."""
    parent = name.rpartition(".")[0]
    return {m for m in (name, parent) if _path(m).is_file() and m != "hms_pipeline"}
