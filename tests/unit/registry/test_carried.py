"""A version's own code answers one batch at a time, whatever asks it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from hms_pipeline.registry.scoring import CarriedPredictor
from hms_pipeline.system.errors import InputError


def test_older_code_is_asked_by_one_thread_at_a_time() -> None:
    inside = threading.Lock()

    class Alone:
        def predict(self, windows: list[int], *, batch_size: int | None) -> list[int]:
            assert inside.acquire(blocking=False)
            time.sleep(0.05)
            inside.release()
            return windows

    opener = SimpleNamespace(open=lambda bundle, device: Alone())
    predictor_of = SimpleNamespace(Predictor=opener, InputError=InputError)
    code = SimpleNamespace(inference=SimpleNamespace(predictor=predictor_of))
    predictor = CarriedPredictor(code, Path(), "cpu")
    with ThreadPoolExecutor(4) as threads:
        asked = [[k] for k in range(8)]
        assert list(threads.map(predictor.predict, asked)) == asked
