"""What blocks promise: forks of what is known, batches inside batches, and one task at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator, model_validator

import rapyer
from _hosts import Host, ServerHost
from _package import unsaved
from _servers import Kind, Server
from rapyer import AtomicRedisModel, Key, init_rapyer, teardown_rapyer
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
    anything: Any = None


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


# -- batches that nobody waits for any more


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """The server takes what is sent to it, and answers when this is over."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.fixture
async def server(server_of: Callable[[Kind], Server]) -> AsyncIterator[Server]:
    """A server that can be paused, with all models stored there."""
    server = server_of("redis")
    host = ServerHost(server)
    await host.reset()
    host.close()
    await init_rapyer(redis=server.url)
    yield server
    await teardown_rapyer()


async def cancelled(work: Coroutine[Any, Any, None]) -> None:
    """Cancels work when what it sends is under way."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def heard() -> Any:
    """The stored box, when what was sent before has been answered and models have followed."""
    found = await Box.aget("1")
    await asyncio.sleep(0.02)
    return found


async def follows(box: Any) -> Any:
    """What is stored, when the model has heard what became of its batches and has been saved."""
    await heard()
    assert unsaved(box) == []
    before = (await Box.aget("1")).redis_dump()
    await box.asave()
    assert (await Box.aget("1")).redis_dump() == before == box.redis_dump()
    return before


async def paused_box(**values: Any) -> Any:
    return await Box(id="1", n=100, items=[1], **values).asave()


async def test_a_nested_block_cancelled_while_it_is_sent_is_followed_without_the_outer_one(
    server: Server,
) -> None:
    box = await paused_box()

    async def transfer() -> None:
        async with box.apipeline(fresh=False):
            box.n -= 50
            box.name = "taken back"
            async with box.apipeline(fresh=False):
                box.n += 1
                box.items.append(2)

    with paused(server):
        await cancelled(transfer())
        assert (box.n, box.name, box.items) == (100, "", [1])
        save = asyncio.create_task(box.asave())
        await asyncio.sleep(0.01)
    await save
    found = await follows(box)
    assert (found["n"], found["name"], found["items"]) == (101, "", [1, 2])


@pytest.mark.parametrize("fails", [False, True])
async def test_an_outer_block_that_goes_on_has_what_its_cancelled_inner_one_did(
    server: Server, fails: bool
) -> None:
    box = await paused_box(anything=[1])
    box.anything.append(5)
    box.items.append(6)

    async def transfer() -> None:
        async with box.apipeline(fresh=False):
            box.n -= 50
            with paused(server), pytest.raises(asyncio.CancelledError):
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_later(0.05, task.cancel)
                async with box.apipeline(fresh=False):
                    box.n += 1
                    box.items.append(2)
                    box.anything.append(2)
            assert (box.n, box.items, box.anything) == (50, [1, 6], [1, 5])
            await heard()
            assert (box.n, box.items, box.anything) == (51, [1, 6, 2], [1, 5, 2])
            box.items.append(3)
            if fails:
                raise ZeroDivisionError

    task = asyncio.create_task(transfer())
    await asyncio.wait([task])
    assert isinstance(task.exception(), ZeroDivisionError) is fails
    found = await follows(box)
    assert (found["n"], found["anything"]) == (101 if fails else 51, [1, 5, 2])
    assert found["items"] == ([1, 6, 2] if fails else [1, 6, 2, 3])


@pytest.mark.parametrize("step", range(12))
async def test_a_nested_block_may_be_cancelled_anywhere(on_host: Host, box: Any, step: int) -> None:
    async def transfer() -> None:
        async with box.apipeline(fresh=False):
            box.n -= 50
            async with box.apipeline(fresh=False):
                box.n += 1
            box.n -= 1

    task = asyncio.create_task(transfer())
    for _ in range(step):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.02)
    assert (await follows(box))["n"] in ((50,) if not task.cancelled() else (100, 101, 50))


async def test_a_nested_block_refused_after_it_was_cancelled_leaves_nothing(server: Server) -> None:
    box = await paused_box()
    await (await Box.aget("1")).n.aincrease(1)  # type: ignore[attr-defined]

    async def transfer() -> None:
        async with box.apipeline(fresh=False):
            box.name = "taken back"
            async with box.apipeline(fresh=False):
                box.items.append(2)
                await box.n.aincrease(1, maximum=101)

    with paused(server):
        await cancelled(transfer())
    found = await heard()
    assert (found.n, found.items, found.name) == (101, [1], "")
    assert (box.n, box.items, box.name) == (100, [1], "")
    assert unsaved(box) == []


async def test_changes_made_after_a_block_was_cancelled_stay_beside_what_it_did(server: Server) -> None:
    box = await paused_box(names={"a": 1})
    box.names["unsaved"] = 1

    async def block() -> None:
        async with box.apipeline(fresh=False):
            box.n += 1
            box.items.append(2)
            box.names["b"] = 2

    with paused(server):
        await cancelled(block())
        assert (box.n, box.items, box.names) == (100, [1], {"a": 1, "unsaved": 1})
        box.name = "mine"
        box.items.append(3)
        box.names["c"] = 3
    await heard()
    assert (box.n, sorted(box.items), box.name) == (101, [1, 2, 3], "mine")
    assert box.names == {"a": 1, "unsaved": 1, "b": 2, "c": 3}
    # What the block sent is saved.
    assert {part.steps for part in unsaved(box)} == {("name",), ("items",), ("names", "c")}
    await box.asave()
    await follows(box)


async def test_a_document_saved_in_a_cancelled_block_is_known_when_it_is_there(server: Server) -> None:
    box: Any = Box(id="1", n=1)

    async def block() -> None:
        async with rapyer.apipeline():
            await box.asave()
            box.n += 1

    await Box.afind()
    with paused(server):
        await cancelled(block())
        assert box.n == 1
        box.name = "later"
    await heard()
    assert (box.n, box.name) == (2, "later")
    assert [part.steps for part in unsaved(box)] == [("name",)]
    await box.asave()
    await follows(box)


async def test_after_a_block_that_timed_out_the_next_one_waits_its_turn(server: Server) -> None:
    box = await paused_box()

    async def increase() -> None:
        async with box.apipeline(fresh=False):
            box.n += 1

    with paused(server):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(increase(), 0.05)
        second = asyncio.create_task(increase())
        await asyncio.sleep(0.01)
        assert not second.done()
    await second
    assert (await follows(box))["n"] == 102


async def test_changes_that_another_task_made_while_a_batch_was_refused_stay(server: Server) -> None:
    box = await paused_box()
    await (await Box.aget("1")).n.aincrease(1)  # type: ignore[attr-defined]

    async def block() -> None:
        async with box.apipeline(fresh=False):
            await box.n.aincrease(1, maximum=101)
            box.items.append(2)

    with paused(server):
        task = asyncio.create_task(block())
        await asyncio.sleep(0.05)
        box.name = "mine"
        box.names["mine"] = 1
    with pytest.raises(StaleModelError):
        await task
    assert (box.n, box.items, box.name, box.names) == (100, [1], "mine", {"mine": 1})
    await box.asave()
    await box.aload()
    found = await follows(box)
    assert (found["n"], found["items"], found["name"], found["names"]) == (101, [1], "mine", {"mine": 1})


async def test_another_task_does_not_save_the_changes_of_a_block(on_host: Host, box: Any) -> None:
    entered, done = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        async with box.apipeline():
            box.n -= 10
            entered.set()
            await done.wait()
            raise RuntimeError("taken back")

    task = asyncio.create_task(block())
    await entered.wait()
    for save in (box.asave, box.line.asave):
        with pytest.raises(ConcurrentTransactionError, match="another task's block"):
            await save()
    done.set()
    await asyncio.wait([task])
    assert (await stored(on_host, box.key))["n"] == box.n == 100
    box.name = "saved"
    await box.asave()
    assert (await follows(box))["name"] == "saved"


# -- what an inner block saved


async def test_an_unsaved_change_that_an_inner_block_sent_is_saved_when_the_outer_one_fails(
    on_host: Host, box: Any
) -> None:
    box.anything = [1]
    await box.asave()
    box.anything.append(5)
    box.items.append(4)
    box.names["b"] = 2
    box.name = "unsaved"
    with pytest.raises(RuntimeError, match="outer"):
        async with box.apipeline():
            box.n += 1
            async with box.apipeline():
                box.anything.append(2)
                box.items.append(6)
                box.names["c"] = 3
            raise RuntimeError("outer")
    assert (box.n, box.anything, box.items) == (100, [1, 5, 2], [3, 1, 2, 4, 6])
    assert (box.names, box.name) == ({"a": 1, "b": 2, "c": 3}, "unsaved")
    assert [part.steps for part in unsaved(box)] == [("name",)]
    await box.asave()
    await follows(box)


async def test_an_unsaved_change_that_the_outer_block_sends_is_unsaved_again_when_it_fails(
    on_host: Host, box: Any
) -> None:
    box.items.append(4)
    with pytest.raises(RuntimeError, match="outer"):
        async with rapyer.apipeline():
            box.items.append(5)
            async with rapyer.apipeline():
                box.n += 1
            raise RuntimeError("outer")
    assert (box.n, box.items) == (101, [3, 1, 2, 4])
    assert [part.steps for part in unsaved(box)] == [("items",)]
    await box.asave()
    assert (await follows(box))["items"] == [3, 1, 2, 4]


# -- blocks that end elsewhere, and errors


async def test_a_block_that_another_task_closes_is_nobodys_any_more(on_host: Host, box: Any) -> None:
    async def opened() -> AsyncIterator[Any]:
        async with box.apipeline():
            box.n += 5
            yield box

    held: Any = opened()
    await anext(held)
    assert (box.n, unsaved(box) != []) == (105, True)
    await asyncio.create_task(held.aclose())
    assert (box.n, unsaved(box)) == (100, [])
    assert await box.n.aincrease() == 101
    await asyncio.create_task(box.items.aappend(1))
    async with box.apipeline():
        box.n += 1
    assert (await follows(box))["n"] == 102


async def test_a_block_that_another_task_ends_is_sent(on_host: Host, box: Any) -> None:
    async with rapyer.apipeline():
        box.n += 1000
        inner = rapyer.apipeline()
        await inner.__aenter__()
        box.n += 5
        await asyncio.create_task(inner.__aexit__(None, None, None))
        assert (await stored(on_host, box.key))["n"] == 105
        # The block around is this task's again.
        box.n += 1
        assert (await stored(on_host, box.key))["n"] == 105
    assert (await follows(box))["n"] == 1106


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


class Maybe(AtomicRedisModel):
    id: Key[str]
    n: int = 0
    line: Line | None = None


async def test_a_nested_model_that_others_set_to_null_makes_a_block_stale(on_host: Host) -> None:
    held: Any = await Maybe(id="1", line=Line()).asave()
    with pytest.raises(StaleModelError, match=r"\$\.line\.count"):
        async with held.apipeline():
            held.n += 1
            held.line.count = 5
            await on_host.call("MODEL.SET", held.key, "$.line", "null")
    assert (held.n, held.line.count) == (0, 0)
    await held.aload()
    assert (held.n, held.line) == (0, None)


async def test_a_model_that_cannot_be_restored_leaves_no_other_as_it_is(
    on_host: Host, box: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other: Any = await Even(id="1").asave()

    def fail(*_: object) -> None:
        raise OSError("no way back")

    with pytest.raises(RuntimeError, match="of the block"):
        async with rapyer.apipeline():
            other.low += 1
            box.n += 1
            monkeypatch.setattr(type(other), "__pydantic_fields_set__", property(fset=fail), raising=False)
            raise RuntimeError("of the block")
    monkeypatch.undo()
    assert box.n == 100
    assert "'Even:1' could not be made what it was" in caplog.text
    async with box.apipeline():
        box.n += 1
    assert (await stored(on_host, box.key))["n"] == 101
