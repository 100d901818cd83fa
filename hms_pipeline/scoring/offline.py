"""A submission from a bundle alone, without a network (docs/how-to/kaggle.md)."""

from __future__ import annotations

from pathlib import Path

from ..inference.bundle import check_bundle
from ..inference.predictor import Predictor
from .batch import Submission, write_submission


def submit(bundle: str, data: str, out: str = "submission.csv", device: str = "auto") -> Submission:
    """Verify a bundle, score a competition's test set with it, and write the submission.

    Parameters
    ----------
    bundle, data : str
        The bundle's and the competition's folder.
    out : str
        The file to write.
    device : str
        See ``Predictor.open``.

    Raises
    ------
    InputError
        See ``check_bundle`` and ``write_submission``.
    """
    check_bundle(Path(bundle))
    predictor = Predictor.open(Path(bundle), device=device)
    settings = predictor.bundle.params.scoring
    return write_submission(predictor, Path(data), Path(out), settings)
