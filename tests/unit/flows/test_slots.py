"""Slots of one engine: what is free, and which GPU is behind each."""

from __future__ import annotations

from flows.slots import FreeSlots, Slots


def test_gpu_slots_have_gpus_of_their_own_and_come_back() -> None:
    slots = Slots(cpu=3, gpu=4, gpus=("a", "b"))
    free = FreeSlots(slots)
    first, second = free.take(1, 1), free.take(1, 3)
    assert set(first) | set(second) == {0, 1, 2, 3}
    assert free.has(1, 0)
    assert not free.has(2, 0)
    assert not free.has(0, 1)
    assert slots.visible(first) == {"CUDA_VISIBLE_DEVICES": "a"}
    assert slots.visible(second) == {"CUDA_VISIBLE_DEVICES": "a,b"}
    assert slots.visible(()) == Slots(1, 1).visible((0,)) == {}
    free.give(1, first)
    assert free.take(0, 1) == first
