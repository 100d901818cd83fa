"""Augmentations, one per file: drawing parameters is separate from applying them.

Every parameter is drawn on the host from a NumPy generator and packed into one float32 matrix
(:class:`Augmenter`), so that a batch's augmentation can be recorded and replayed, is the same on
every device, and its application has no branch and no host round trip: a CUDA graph can hold it.
"""

from ...catalogue import discover
from .augmenter import AUGMENTATIONS, Augmentation, Augmenter, ViewInfo

__all__ = ["AUGMENTATIONS", "Augmentation", "Augmenter", "ViewInfo"]

discover(__name__, __path__)
