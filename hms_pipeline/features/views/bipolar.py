"""The 18 derivations of the longitudinal bipolar montage as waves."""

from __future__ import annotations

from torch import Tensor

from ...schema import DOUBLE_BANANA
from ...signal.montage import derive
from ..picture import Hertz
from ..view import view
from ..waves import Microvolts, Order, filtered_waves
from ..windows import WindowBatch


@view("bipolar", inputs=("eeg",), kind="waves", rows=DOUBLE_BANANA)
def bipolar(
    batch: WindowBatch,
    *,
    low_hz: Hertz,
    high_hz: Hertz,
    order: Order,
    rate_hz: Hertz,
    clip_uv: Microvolts,
    scale_uv: Microvolts,
) -> Tensor:
    """The 18 derivations of the double banana as waves: band-passed, clipped, scaled."""
    waves = derive(batch.eeg, DOUBLE_BANANA)
    return filtered_waves(waves, low_hz, high_hz, order, rate_hz, clip_uv, scale_uv)
