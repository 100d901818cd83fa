"""The project's recipes, composed."""

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
