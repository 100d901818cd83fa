"""Register two small ensembles, the second better, as a machine's own program would."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from hms_pipeline.registry import stage
from tests.ensembles import Maker, random_window

GOOD, POOR = 1, 2  # seeds: the experts vote as the first one answers


def main(root: Path) -> None:
    torch.set_num_threads(1)
    maker = Maker(root, n_patients=6)
    maker.vote(maker.train(GOOD))
    results = []
    for seed in (POOR, GOOD):
        maker.ensemble(seed)
        results.append(stage.run(maker.paths, maker.with_gate()))
    from hms_pipeline.registry.scoring import open_predictor

    probs = [
        open_predictor(maker.paths, version, device="cpu")[1].predict([random_window(7)]).probs[0]
        for version in (1, 2)
    ]
    verdicts = [[result["version"], result["verdict"]] for result in results]
    answer = {"verdicts": verdicts, "probs": [list(map(float, row)) for row in probs]}
    (root / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
