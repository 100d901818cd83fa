"""The project's recipes, composed."""

from collections.abc import Iterator
from pathlib import Path

from hms_pipeline.config import Params
from hms_pipeline.config.recipes import compose, write_recipe

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml") if path.stem != "base")


def recipe(name: str) -> Params:
    """A recipe as ``hms recipe`` composes it."""
    return compose(ROOT / "recipes", name)


def write(path: Path, name: str = "tiny") -> Path:
    """Write a recipe as params.yaml."""
    write_recipe(path, recipe(name))
    return path


def unbounded(schema: dict, at: str = "") -> Iterator[str]:
    """Places of a JSON schema that allow a number, a text or a count of any size."""
    kind = schema.get("type")
    if kind == "integer" and not schema.keys() & {"maximum", "exclusiveMaximum"}:
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
