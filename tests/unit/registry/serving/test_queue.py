"""Small requests soon, none forgotten, no more waiting than stated."""

from __future__ import annotations

import asyncio

import pytest

from hms_pipeline.registry.serving import queue
from hms_pipeline.registry.serving.bodies import RefusedError
from hms_pipeline.registry.serving.queue import FairQueue, Memory


async def _order(sizes: list[int]) -> list[int]:
    line, served = FairQueue(), []

    async def one(size: int) -> None:
        await line.enter(size)
        served.append(size)
        await asyncio.sleep(0)
        line.leave()

    await line.enter(1)
    waiting = [asyncio.create_task(one(size)) for size in sizes]
    await asyncio.sleep(0)
    line.leave()
    await asyncio.gather(*waiting)
    return served


def test_small_requests_overtake_large_ones() -> None:
    assert asyncio.run(_order([64, 1, 16, 2])) == [1, 2, 16, 64]


def test_the_place_is_never_held_twice_nor_lost() -> None:
    async def run() -> None:
        line, inside = FairQueue(), 0

        async def one(k: int) -> None:
            nonlocal inside
            await line.enter(1 + k % 3)
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.001)
            inside -= 1
            line.leave()

        tasks = [asyncio.create_task(one(k)) for k in range(40)]
        await asyncio.sleep(0.005)
        for task in tasks[10::3]:  # callers that leave while they wait
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(line.enter(1), 1)

    asyncio.run(run())


def test_no_more_wait_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING", 2)

    async def run() -> None:
        line = FairQueue()
        await line.enter(1)
        waiting = [asyncio.create_task(line.enter(1)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as refused:
            await line.enter(1)
        assert (refused.value.status, refused.value.retry_s) == (503, queue.RETRY_S)
        for task in waiting:
            task.cancel()

    asyncio.run(run())


def test_memory_is_given_back() -> None:
    memory = Memory(10)
    with memory.reserve(8), pytest.raises(RefusedError), memory.reserve(3):
        pass
    with memory.reserve(10):
        pass
