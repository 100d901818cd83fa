"""Small requests soon, none forgotten, no more waiting than stated."""

from __future__ import annotations

import asyncio

import pytest

from hms_pipeline.registry.serving import queue
from hms_pipeline.registry.serving.bodies import RefusedError
from hms_pipeline.registry.serving.queue import FairQueue, Memory


async def _order(requests: list[tuple[int, str]]) -> list[tuple[int, str]]:
    line, served = FairQueue(), []

    async def one(size: int, client: str) -> None:
        await line.enter(size, client)
        served.append((size, client))
        await asyncio.sleep(0)
        line.leave()

    await line.enter(1, "first")
    waiting = [asyncio.create_task(one(*request)) for request in requests]
    await asyncio.sleep(0)
    line.leave()
    await asyncio.gather(*waiting)
    return served


def test_small_requests_overtake_large_ones() -> None:
    served = asyncio.run(_order([(size, "a") for size in (64, 1, 16, 2)]))
    assert [size for size, _ in served] == [1, 2, 16, 64]


def test_a_client_that_sends_many_does_not_hold_up_another() -> None:
    served = asyncio.run(_order([(1, "many")] * 8 + [(1, "one"), (1, "two"), (1, "two")]))
    names = [client for _, client in served]
    assert sorted(names[:3]) == ["many", "one", "two"]
    assert sorted(names[3:5]) == ["many", "two"]


def test_no_more_clients_are_remembered_than_stated() -> None:
    async def run() -> None:
        line = FairQueue()
        await line.enter(1, "first")
        for k in range(3000):
            waiting = asyncio.create_task(line.enter(1, str(k)))
            await asyncio.sleep(0)
            line.leave()
            await waiting
            line.distrust(str(k))
        assert max(len(line._given), len(line.faulty)) <= queue.MAX_CLIENTS

    asyncio.run(run())


async def full() -> tuple[FairQueue, list[asyncio.Task]]:
    """A queue in which four requests of one client wait."""
    line = FairQueue()
    await line.enter(1, "many")
    many = [asyncio.create_task(line.enter(1, "many")) for _ in range(4)]
    await asyncio.sleep(0)
    return line, many


def test_where_all_places_are_taken_the_client_with_most_gives_one_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING", 4)

    async def run() -> None:
        line, many = await full()
        with pytest.raises(RefusedError):
            line.check("many")
        line.check("one")
        one = asyncio.create_task(line.enter(1, "one"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [task.done() for task in many] == [False, False, False, True]
        with pytest.raises(RefusedError):
            await many[-1]
        line.leave()
        await asyncio.wait_for(one, 1)  # before the three that came earlier
        assert not any(task.done() for task in many[:3])
        for task in many[:3]:
            task.cancel()

    asyncio.run(run())


def test_whoever_sends_faulty_requests_comes_after_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each client has one request, so that their number says nothing."""
    monkeypatch.setattr(queue, "MAX_WAITING", 4)

    async def run(distrust_s: float) -> list[str]:
        monkeypatch.setattr(queue, "DISTRUST_S", distrust_s)
        line, served = FairQueue(), []

        async def one(client: str) -> None:
            try:
                await line.enter(1, client)
            except RefusedError:
                return
            served.append(client)
            await asyncio.sleep(0)
            line.leave()

        await line.enter(1, "first")
        for client in ("bad 1", "bad 2", "bad 3", "bad 4"):
            line.distrust(client)
        clients = ("bad 1", "bad 2", "good 1", "bad 3", "good 2", "good 3", "bad 4")
        waiting = []
        for client in clients:
            waiting.append(asyncio.create_task(one(client)))
            await asyncio.sleep(0)
        line.leave()
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(run(60)) == ["good 1", "good 2", "good 3", "bad 1"]
    assert asyncio.run(run(0)) == ["bad 1", "bad 2", "good 1", "bad 3"]  # that is over


def test_who_sent_a_faulty_request_takes_no_place_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING", 4)

    async def run() -> None:
        line, many = await full()
        line.distrust("bad")
        with pytest.raises(RefusedError):
            line.check("bad")
        line.check("one")
        for task in many:
            task.cancel()

    asyncio.run(run())


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


def test_as_many_are_inside_as_there_are_places() -> None:
    async def run() -> None:
        line, inside, most = FairQueue(3), 0, 0

        async def one(k: int) -> None:
            nonlocal inside, most
            await line.enter(1 + k % 3, str(k % 4))
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            line.leave()

        await asyncio.gather(*(one(k) for k in range(15)))
        assert most == 3
        await asyncio.wait_for(asyncio.gather(*(line.enter(1) for _ in range(3))), 1)

    asyncio.run(run())


def test_memory_is_given_back() -> None:
    memory = Memory(10)
    with memory.reserve(8), pytest.raises(RefusedError), memory.reserve(3, "other"):
        pass
    with memory.reserve(10):
        pass


def test_a_client_that_sends_slowly_leaves_memory_to_others() -> None:
    memory = Memory(10)
    with memory.reserve(3, "slow"), memory.reserve(2, "slow"):
        with pytest.raises(RefusedError), memory.reserve(1, "slow"):
            pass
        with memory.reserve(5, "other"):
            pass
    with memory.reserve(3, "slow"), memory.reserve(2, "slow"):
        pass
