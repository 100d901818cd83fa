"""Pictures of docs/reference/features.md: every view of one simulated window of each class.

Run in the project's root: ``python docs/make_feature_plots.py [--recipe full]``.
Writes docs/images/view_<name>.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from hms_pipeline.config.recipes import compose
from hms_pipeline.data.window import Window
from hms_pipeline.features.compute import compute
from hms_pipeline.features.view import BuiltView
from hms_pipeline.features.views import VIEWS
from hms_pipeline.features.windows import WindowBatch, prepare
from hms_pipeline.schema import CLASS_LABELS, CLASSES
from hms_pipeline.simulator.latent import draw_latent
from hms_pipeline.simulator.patient import draw_patient
from hms_pipeline.simulator.recording import Moment, simulate_recording

IMAGES = Path(__file__).parent / "images"
RAINBOW = plt.get_cmap("turbo")


def columns(params: dict) -> list[tuple[float, float, float]]:
    """(first column, width, seconds) of each stretch of an image view."""
    parts = params.get("parts") or params["spectrogram_parts"] + params["eeg_parts"]
    widths = [part["width"] for part in parts]
    firsts = np.cumsum([0, *widths[:-1]])
    return [(f, w, p["duration_s"]) for f, w, p in zip(firsts, widths, parts, strict=True)]


def draw_image(ax: plt.Axes, values: np.ndarray, view: BuiltView) -> None:
    """The four regions above each other, low frequencies at the bottom of each."""
    n_regions, height, width = values.shape
    gap = np.full((2, width), np.nan)
    rows = [part for region in values[::-1] for part in (region, gap)][:-1]
    ax.imshow(
        np.concatenate(rows), origin="lower", aspect="auto", cmap=RAINBOW, vmin=-1.5, vmax=2.5,
        interpolation="nearest",
    )  # fmt: skip
    middles = [(n_regions - 1 - k) * (height + 2) + height / 2 for k in range(n_regions)]
    ax.set_yticks(middles, view.row_names)
    stretches = columns(view.params)
    for first, _, _ in stretches[1:]:
        ax.axvline(first - 0.5, color="w", lw=1.5)
    ax.set_xticks([f + w / 2 for f, w, _ in stretches], [f"{s:g} s" for *_, s in stretches])


def draw_waves(ax: plt.Axes, values: np.ndarray, view: BuiltView, seconds: float = 20.0) -> None:
    """The central seconds of each derivation."""
    rate = view.params["rate_hz"]
    centre, half = values.shape[1] // 2, int(seconds * rate / 2)
    times = np.arange(-half, half) / rate
    for number, wave in enumerate(values[:, centre - half : centre + half]):
        ax.plot(times, np.clip(wave, -5, 5) - 3.5 * number, "k", lw=0.4)
    ax.axvspan(-5, 5, color="tab:orange", alpha=0.12, lw=0)
    ax.set_yticks(-3.5 * np.arange(len(values)), view.row_names, fontsize=5)
    ax.set(xlim=(-seconds / 2, seconds / 2), ylim=(-3.5 * len(values), 5))


def draw_view(view: BuiltView, batch: WindowBatch, path: Path) -> None:
    """One panel per class."""
    values = compute({view.name: view}, batch)[view.name].float().numpy()
    fig, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
    for ax, label, value in zip(axes.flat, CLASS_LABELS, values, strict=True):
        (draw_image if view.kind == "image" else draw_waves)(ax, value, view)
        ax.set_title(label, fontsize=9)
        ax.tick_params(length=0, labelsize=6)
    fig.set_dpi(75)
    fig.canvas.draw()
    # 48 colours: a quarter of the bytes.
    drawn = Image.fromarray(np.asarray(fig.canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(48, dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close(fig)


def clear_windows(seed: int) -> WindowBatch:
    """One unambiguous simulated window of each class, in the order of ``schema.CLASSES``."""
    rng = np.random.default_rng(seed)
    windows = []
    for name in CLASSES:
        latent = draw_latent(rng, name, ambiguous=False)
        recording = simulate_recording(rng, draw_patient(rng), [Moment(300, latent)], 600)
        windows.append(Window(recording.eeg[:, 55_000:65_000], recording.spectrogram))
    return prepare(windows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    recipe = compose(Path("recipes"), arguments.recipe).views
    shown = clear_windows(arguments.seed)
    IMAGES.mkdir(exist_ok=True)
    for name, params in recipe.items():
        draw_view(VIEWS[name].build(params), shown, IMAGES / f"view_{name}.png")
        print(IMAGES / f"view_{name}.png")
