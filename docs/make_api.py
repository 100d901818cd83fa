"""Write docs/reference/api.md: the functions and classes that notebooks and scripts may rely on.

    python docs/make_api.py

Signatures and words come from the code; what is listed here keeps its name and meaning.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

OUT = Path(__file__).parent / "reference" / "api.md"
FACE = {
    "The project": ("config.Paths", "config.load_params"),
    "Recordings and windows": (
        "data.window.Window",
        "data.window.WindowReader",
        "data.clinical.read_clinical",
    ),
    "Features": ("features.store.FeatureStore.open", "features.views.build_views"),
    "Training": ("training.apart.train_apart",),
    "Out-of-fold predictions and metrics": (
        "ensemble.oof.read_oof",
        "ensemble.oof.OutOfFold.frame",
        "ensemble.metrics.kl_per_window",
        "ensemble.blend.fit_blend",
    ),
    "Scoring": (
        "inference.predictor.Predictor.open",
        "inference.predictor.Predictor.predict",
        "inference.predictor.Scores",
        "scoring.recording.score_recording",
        "scoring.batch.score_inputs",
        "scoring.explain.explain",
        "scoring.explain.Explanation",
        "scoring.notable.NotableWindow",
        "scoring.offline.submit",
    ),
    "The registry": (
        "registry.api.list_versions",
        "registry.api.describe",
        "registry.scoring.open_predictor",
        "registry.scoring.open_bundle",
    ),
    "Pages": ("report.recording.write_recording_report", "report.folder.write_folder_report"),
}
HEAD = """# What notebooks and scripts may rely on

Made by `python docs/make_api.py`; the tests compare it with the code. What is listed keeps its \
name, its parameters and their meaning; everything else of the package may change. \
[notebooks/tour.ipynb](../notebooks/tour.ipynb) uses most of it.
"""


def find(name: str) -> object:
    """The object of a dotted name below the package."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["hms_pipeline", *parts[:n]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[n:]:
            found = getattr(found, attribute)
        return found
    raise LookupError(name)


def entry(name: str) -> str:
    """One object: how it is called, and its documentation."""
    found = find(name)
    parameters = [
        text if parameter.default is parameter.empty else f"{text}=…"
        for text, parameter in inspect.signature(found).parameters.items()
        if text != "self"
    ]
    call = f"{name.rpartition('.')[2]}({', '.join(parameters)})"
    text = inspect.getdoc(found)
    return f"### `hms_pipeline.{name}`\n\n```text\n{call}\n\n{text}\n```\n"


def text() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, names in FACE.items():
        parts += [f"## {title}\n", *map(entry, names)]
    return "\n".join(parts)


if __name__ == "__main__":
    OUT.write_text(text(), encoding="utf-8")
