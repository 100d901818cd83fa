"""Networks, one architecture per file, in the catalogue ``MODELS``.

A builder takes the shapes of its views, in the member's order, and keyword-only options; the
network's forward takes as many batches and gives logits, shape (batch, 6).
"""

from ..catalogue import discover
from .build import MODELS, build_model
from .pretrained import PretrainedReport, load_pretrained

__all__ = ["MODELS", "PretrainedReport", "build_model", "load_pretrained"]

discover(__name__, __path__)
