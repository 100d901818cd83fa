"""The project's recipes, composed."""

from collections.abc import Iterator
from pathlib import Path

from hms_pipeline.config import Params
from hms_pipeline.config.recipes import compose, write_recipe

ROOT = Path(__file__).parents[1]
# What may stand in the place of any value.
HOSTILE = (
    10**400, 2**63, -1, 0, 1e308, 1e-308, -1e308, float("nan"), float("inf"), True, None, "", "1e5",
    "../../evil", "a\nb", "\x00", "x" * 2000, [], [[]], {}, {"a": 1}, {"x" * 5000: 1}, [1] * 5000,
    {str(k): k for k in range(5000)},
)  # fmt: skip
NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml") if path.stem != "base")


def recipe(name: str) -> Params:
    """A recipe as ``hms recipe`` composes it."""
    return compose(ROOT / "recipes", name)


def write(path: Path, name: str = "tiny") -> Path:
    """Write a recipe as params.yaml."""
    write_recipe(path, recipe(name))
    return path


def places(node: object, at: tuple = ()) -> Iterator[tuple]:
    """Path of every value of a recipe."""
    if at:
        yield at
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, (*at, key))


def put(node: object, at: tuple, value: object) -> object:
    """A copy of a recipe with another value at a path."""
    if not at:
        return value
    parts = dict(node) if isinstance(node, dict) else list(node)
    parts[at[0]] = put(parts[at[0]], at[1:], value)
    return parts


def unbounded(schema: dict, at: str = "") -> Iterator[str]:
    """Places of a JSON schema that allow a number, a text or a count of any size."""
    kind = schema.get("type")
    if kind in ("integer", "number") and not all(
        schema.keys() & {f"{end}imum", f"exclusive{end.title()}imum"} for end in ("min", "max")
    ):
        yield at
    if kind == "string" and not schema.keys() & {"maxLength", "enum", "const"}:
        yield at
    if kind == "array" and "maxItems" not in schema:
        yield at
    if kind == "object" and "properties" not in schema and "maxProperties" not in schema:
        yield at
    for key, part in schema.items():
        for n, item in enumerate(part if isinstance(part, list) else [part]):
            if isinstance(item, dict) and key not in ("default", "propertyNames"):
                yield from unbounded(item, f"{at}.{key}.{n}")
