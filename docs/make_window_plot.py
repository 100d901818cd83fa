"""Draw the README's picture from the champion and one of its own windows.

    python docs/make_window_plot.py            # after `make demo`

A many-vote window that the first fold held out, scored by that fold's networks alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from window_plot import plot_window

from hms_pipeline.config import Paths
from hms_pipeline.data.window import WindowReader
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.registry.api import bundle_of
from hms_pipeline.schema import VOTE_COLUMNS

FOLD = 0
OUT = Path(__file__).parent / "images" / "window.png"


def main() -> None:
    """Draw the window whose experts agree most on a named pattern."""
    paths = Paths()
    windows = pd.read_parquet(paths.windows)
    folds = pd.read_parquet(paths.folds).set_index("label_id")["fold"]
    votes = windows[list(VOTE_COLUMNS)]
    held_out = windows["label_id"].map(folds).eq(FOLD) & (votes.sum(axis=1) >= 10)
    agreement = votes.iloc[:, 1:5].max(axis=1) / votes.sum(axis=1)
    row = windows.loc[agreement.where(held_out).idxmax()]
    window = WindowReader(paths.data).read(row)
    _, bundle = bundle_of(paths)
    scores = Predictor.open(bundle, folds=[FOLD]).predict([window])
    counts = row[list(VOTE_COLUMNS)].to_numpy(dtype=float)
    plot_window(window.eeg, window.spectrogram, scores.probs[0], votes=counts, out=OUT)
    print(OUT)


if __name__ == "__main__":
    main()
