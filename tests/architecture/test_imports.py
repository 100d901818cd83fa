"""A room imports only from rooms below it; a framework stays in its home rooms."""

import subprocess
import sys

import pytest

from .imports import PACKAGE, ROOMS, imported, modules, room_of

HOMES = {
    "mlflow": {"tracking", "registry"},
    "filelock": {"system"},
    "great_expectations": {"validation"},
    "mne": {"data"},
    "matplotlib": {"report"},
    "jinja2": {"report", "validation"},
    "typer": {"cli"},
    "rich": {"cli"},
    "prefect": set(),  # flows/ only
    "dvc": set(),
    "timm": {"models"},
    "yaml": {"config"},
    "psutil": {"system", "tracking"},
    "ruamel": {"config"},
    "uvicorn": {"registry"},
    "prometheus_client": {"registry"},
    "ray": {"system"},
    "psycopg": {"tracking"},
    "boto3": {"tracking"},
    "botocore": {"tracking"},
}
CORE = (
    "schema", "system", "catalogue", "code_keys", "config", "signal", "data", "simulator",
    "features", "datasets", "models", "training", "ensemble", "inference", "student",
    "scoring",
)  # fmt: skip
CORE_PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "torch", "timm", "pydantic", "yaml", "safetensors",
    "filelock",  # torch brings it
)  # fmt: skip


def test_every_folder_is_a_room() -> None:
    names = {
        p.stem
        for p in PACKAGE.iterdir()
        if p.name not in {"__init__.py", "__main__.py", "__pycache__"}
    }
    assert names == set(ROOMS), "Name the new room in imports.ROOMS, at its place in the order."


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    room = room_of(module)
    if room is None:
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    wrong = {name for name in imported(module)[0] if room_of(name) not in allowed}
    assert not wrong, f"{module} is in {room}, which may not import {sorted(wrong)}."


@pytest.mark.parametrize("module", modules())
def test_frameworks_stay_at_home(module: str) -> None:
    for framework in imported(module)[1] & HOMES.keys():
        assert room_of(module) in HOMES[framework], f"{module} imports {framework}."


@pytest.mark.parametrize("module", modules())
def test_imports_inside_are_relative(module: str) -> None:
    """The registered model carries this code under another name."""
    if room_of(module) not in CORE:
        return
    source = (PACKAGE.parent / module.replace(".", "/")).with_suffix(".py")
    text = source.read_text() if source.is_file() else ""
    assert "import hms_pipeline" not in text
    assert "from hms_pipeline" not in text


def test_core_needs_only_the_core_packages() -> None:
    core = [m for m in modules() if room_of(m) in CORE and not m.endswith("__main__")]
    program = (
        "import importlib, importlib.abc, sys\n"
        "class Refuse(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {sorted(HOMES.keys() - set(CORE_PACKAGES))!r}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {core!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
