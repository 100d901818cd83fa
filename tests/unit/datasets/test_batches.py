"""Batches: the same windows, resident or mapped."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from hms_pipeline.datasets.batches import (
    MappedViews,
    ResidentViews,
    epoch_order,
    full_batches,
    load_views,
)

CPU = torch.device("cpu")


class ArrayStore:
    """Features in memory, looked up by label_id."""

    def __init__(self, label_ids: np.ndarray, values: np.ndarray) -> None:
        self.rows = {label: row for row, label in enumerate(label_ids)}
        self.values = values

    def __getitem__(self, label_ids: np.ndarray) -> np.ndarray:
        return self.values[[self.rows[label] for label in label_ids]]


def stores(n: int = 50) -> tuple[np.ndarray, list[ArrayStore]]:
    rng = np.random.default_rng(0)
    label_ids = rng.permutation(1000)[:n]
    shapes = ((4, 8, 12), (18, 30))
    return label_ids, [
        ArrayStore(label_ids, rng.normal(size=(n, *s)).astype(np.float16)) for s in shapes
    ]


def load(fraction: float):
    label_ids, views = stores()
    return load_views(views, [(4, 8, 12), (18, 30)], label_ids, CPU, fraction)


def test_features_that_fit_stay_on_the_device_and_others_on_disk():
    assert isinstance(load(0.5), ResidentViews)
    assert isinstance(load(0.0), MappedViews)


def test_resident_and_mapped_batches_are_equal_and_in_order():
    order = epoch_order(np.random.default_rng(1), np.arange(50), 8)
    resident, mapped = load(0.5), load(0.0)
    seen = 0
    for places, a, b in zip(order, resident.batches(order), mapped.batches(order), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert torch.equal(a[0], resident.tensors[0][torch.from_numpy(places)])
        seen += 1
    assert seen == 6


def test_leaving_mapped_batches_early_ends_the_reader():
    batches = load(0.0).batches(epoch_order(np.random.default_rng(1), np.arange(50), 4))
    next(batches)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_an_epoch_takes_each_window_at_most_once_and_is_shuffled():
    places = np.arange(100, 150)
    order = epoch_order(np.random.default_rng(0), places, 8)
    assert order.shape == (6, 8)
    assert len(np.unique(order)) == 48
    assert set(order.ravel()) <= set(places)
    assert not np.array_equal(order.ravel(), np.sort(order.ravel()))


@pytest.mark.parametrize("n", [3, 8, 10])
def test_full_batches_keep_order_and_repeat_the_last_place(n):
    batches = full_batches(np.arange(n), 4)
    assert {len(batch) for batch in batches} == {4}
    joined = np.concatenate(batches)
    np.testing.assert_array_equal(joined[:n], np.arange(n))
    assert len(joined) - n < 4
    assert set(joined[n:]) <= {n - 1}
