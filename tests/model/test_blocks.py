"""What blocks promise: forks of what is known, batches inside batches, and one task at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator, model_validator

import rapyer
from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, Key
from rapyer.errors import ConcurrentTransactionError, KeyNotFound, StaleModelError
from rapyer.types import RedisPriorityQueue


class Line(BaseModel):
    sku: str = ""
    count: int = 0


class Box(AtomicRedisModel):
    id: Key[str]
    n: int = 0
    name: str = ""
    items: list[int] = []
    names: dict[str, int] = {}
    members: set[str] = set()
    queue: RedisPriorityQueue[str] = RedisPriorityQueue()
    line: Line = Line()


@pytest.fixture
async def box(on_host: Host) -> Any:
    return await Box(id="1", n=100, items=[3, 1, 2], names={"a": 1}, members={"x", "y"}).asave()


async def stored(host: Host, key: str) -> Any:
    text = await host.call("MODEL.GET_RO", key)
    return None if text is None else json.loads(text)  # type: ignore[arg-type]


async def test_readers_see_what_the_block_did(box: Any) -> None:
    other: Any = await Box(id="2", members={"y", "z"}).asave()
    async with rapyer.apipeline():
        box.items.append(9)
        assert await box.items.alen() == 4
        assert await box.items.acontains(9)
        assert await box.items.aget(-1) == 9
        await box.names.aset_item("b", 2)
        assert await box.names.aget("b") == 2
        await box.members.aadd("new")
        assert await box.members.amembers() == {"x", "y", "new"}
        assert await box.members.aintersect(other.members) == {"y"}
        await other.members.aadd("new")
        assert await box.members.aintersect(other.members) == {"y", "new"}
        await box.queue.apush("job", 1)
        assert (await box.queue.apeek()).value == "job"
        assert await box.queue.asize() == 1
        box.line.count += 5
        await box.line.aload()
        assert box.line.count == 5
        await box.aload()
        assert box.items == [3, 1, 2, 9]
        # Nobody else sees any of it before the end.
        assert (await Box.aget("1")).items == [3, 1, 2]
    assert (await Box.aget("1")) == box


async def test_a_block_without_a_load_is_one_round_trip(on_host: Host, box: Any) -> None:
    theirs: Any = await Box.aget("1")
    await theirs.n.aincrease(5)
    async with box.apipeline(fresh=False):
        # What is known is what was loaded.
        assert box.n == 100
        box.n += 1
    assert box.n == 106
    async with box.apipeline():
        assert box.n == 106


async def test_a_document_that_is_gone_is_saved_again_with_the_rest_of_the_block(
    on_host: Host, box: Any
) -> None:
    box.name = "kept"
    await on_host.call("MODEL.DEL", box.key)
    async with rapyer.apipeline():
        await box.asave()
        box.n += 1
    assert await stored(on_host, box.key) == json.loads(box.redis_dump_json())
    assert (box.name, box.n) == ("kept", 101)
    assert unsaved(box) == []


async def test_a_document_that_is_gone_refuses_a_block_that_does_not_save_it(on_host: Host, box: Any) -> None:
    await on_host.call("MODEL.DEL", box.key)
    with pytest.raises(KeyNotFound):
        async with rapyer.apipeline():
            box.n += 1
    with pytest.raises(KeyNotFound):
        async with rapyer.apipeline():
            box.name = "x"
            await box.asave(only_existing=True)
    assert await stored(on_host, box.key) is None
    assert (box.n, box.name) == (100, "")


async def test_an_inner_block_is_a_batch_of_its_own(on_host: Host, box: Any) -> None:
    async with rapyer.apipeline():
        box.n -= 50
        async with rapyer.apipeline():
            box.n -= 1
        assert (box.n, (await stored(on_host, box.key))["n"]) == (49, 99)
    assert (box.n, (await stored(on_host, box.key))["n"]) == (49, 49)
    assert unsaved(box) == []


async def test_an_inner_block_stays_when_the_outer_one_fails(on_host: Host, box: Any) -> None:
    with pytest.raises(RuntimeError, match="outer"):
        async with rapyer.apipeline():
            box.n -= 50
            async with rapyer.apipeline():
                box.n -= 1
                box.items.append(7)
            raise RuntimeError("outer")
    assert (box.n, box.items) == (99, [3, 1, 2, 7])
    await (await Box.aget("1")).n.aincrease(1000)  # type: ignore[attr-defined]
    box.name = "saved"
    await box.asave()
    assert (await stored(on_host, box.key))["n"] == 1099


async def test_a_failed_inner_block_leaves_the_outer_ones_changes(on_host: Host, box: Any) -> None:
    async with rapyer.apipeline():
        box.n -= 50
        with pytest.raises(RuntimeError, match="inner"):
            async with rapyer.apipeline():
                box.n -= 1
                raise RuntimeError("inner")
        assert box.n == 50
    assert (await stored(on_host, box.key))["n"] == 50


async def test_what_cannot_be_told_apart_is_refused_before_anything_is_sent(on_host: Host, box: Any) -> None:
    async with rapyer.apipeline():
        box.items.append(0)
        with pytest.raises(StaleModelError, match="use_existing_pipe"):
            async with rapyer.apipeline():
                box.items.sort()
        assert box.items == [3, 1, 2, 0]
    assert (await stored(on_host, box.key))["items"] == [3, 1, 2, 0]


async def test_one_model_is_in_the_block_of_one_task(on_host: Host, box: Any) -> None:
    entered, done = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with rapyer.apipeline():
            box.n -= 10
            entered.set()
            await done.wait()

    async def second() -> None:
        await entered.wait()
        try:
            with pytest.raises(ConcurrentTransactionError):
                async with rapyer.apipeline():
                    box.n -= 1
            with pytest.raises(ConcurrentTransactionError):
                async with rapyer.apipeline():
                    await box.items.aappend(5)
        finally:
            done.set()

    await asyncio.gather(first(), second())
    assert (await stored(on_host, box.key))["n"] == 90
    assert (await stored(on_host, box.key))["items"] == [3, 1, 2]


async def test_a_task_started_in_a_block_does_not_use_its_models(on_host: Host, box: Any) -> None:
    with pytest.raises(RuntimeError, match="taken back"):
        async with rapyer.apipeline():
            box.n -= 10
            for use in (
                box.items.aappend(5),
                box.n.aincrease(1),
                box.asave(),
                box.adelete(),
                box.items.alen(),
            ):
                with pytest.raises(ConcurrentTransactionError):
                    await asyncio.create_task(use)
            raise RuntimeError("taken back")
    assert await stored(on_host, box.key) == json.loads(box.redis_dump_json())


async def test_an_unrelated_tasks_operation_goes_to_the_server_and_stays(on_host: Host, box: Any) -> None:
    entered, done = asyncio.Event(), asyncio.Event()

    async def unrelated() -> None:
        await entered.wait()
        assert await box.n.aincrease(1000) == 1100
        await box.items.aappend(8)
        done.set()

    task = asyncio.create_task(unrelated())
    with pytest.raises(RuntimeError, match="failed"):
        async with rapyer.apipeline():
            box.n -= 10
            box.items.append(4)
            entered.set()
            await done.wait()
            assert (box.n, box.items) == (1090, [3, 1, 2, 8, 4])
            raise RuntimeError("failed")
    await task
    assert (box.n, box.items) == (1100, [3, 1, 2, 8])
    assert unsaved(box) == []


async def test_a_block_is_entered_once_and_made_anew_for_each_call_it_decorates(
    on_host: Host, box: Any
) -> None:
    block = rapyer.apipeline()
    async with block:
        with pytest.raises(RuntimeError, match="entered already"):
            await block.__aenter__()
        box.n += 1

    @rapyer.apipeline()
    async def increase() -> None:
        box.n += 1

    await increase()
    await increase()
    assert (await stored(on_host, box.key))["n"] == 103


class Even(AtomicRedisModel):
    id: Key[str]
    n: int = 0
    low: int = 0
    high: int = 10

    @field_validator("n")
    @classmethod
    def is_even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("odd")
        return n

    @model_validator(mode="after")
    def is_ordered(self) -> Even:
        if self.low > self.high:
            raise ValueError("not in order")
        return self


async def test_an_operation_that_a_fields_validator_refuses_is_not_recorded(on_host: Host) -> None:
    even: Any = await Even(id="1").asave()
    async with even.apipeline():
        with pytest.raises(ValidationError, match="odd"):
            await even.n.aincrease(1)
        await even.n.aincrease(4)
        # What the model's validators see is the end of the block.
        await even.low.aincrease(20)
        await even.high.aincrease(20)
    assert (even.n, even.low, even.high) == (4, 20, 30)
    assert await Even.aget("1") == even
