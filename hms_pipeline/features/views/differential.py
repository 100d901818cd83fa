"""Eight long electrode differences as waves."""

from __future__ import annotations

from torch import Tensor

from ...schema import DIFFERENTIAL
from ...signal.montage import derive
from ..picture import Hertz
from ..view import view
from ..waves import Microvolts, Order, filtered_waves
from ..windows import WindowBatch


@view("differential", inputs=("eeg",), kind="waves", rows=DIFFERENTIAL)
def differential(
    batch: WindowBatch,
    *,
    low_hz: Hertz,
    high_hz: Hertz,
    order: Order,
    rate_hz: Hertz,
    clip_uv: Microvolts,
    scale_uv: Microvolts,
) -> Tensor:
    """Eight long electrode differences as waves: band-passed, clipped, scaled."""
    waves = derive(batch.eeg, DIFFERENTIAL)
    return filtered_waves(waves, low_hz, high_hz, order, rate_hz, clip_uv, scale_uv)
