"""Copies of models that are made in a block: they know what the block has made, and are none of it."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

import rapyer
from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, Key
from rapyer.types import RedisInt


class Box(AtomicRedisModel):
    name: Key[str]
    count: RedisInt = RedisInt(0)
    items: list[int] = [1, 2]


def pickled(box: Box) -> Box:
    found: Box = pickle.loads(pickle.dumps(box))
    return found


COPIES: dict[str, Callable[[Box], Any]] = {
    "copy": lambda box: box.model_copy(),
    "deep copy": copy.deepcopy,
    "pickle": pickled,
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", COPIES)
async def test_what_is_pending_is_not_unsaved_in_a_copy(on_host: Host, name: str, fails: bool) -> None:
    async def others() -> None:
        await (await Box.aget("b")).count.aincrease(100)

    box = await Box(name="b").asave()
    made: list[Box] = []
    with pytest.raises(ZeroDivisionError) if fails else nullcontext():
        async with box.apipeline():
            box.count += 1
            box.items.append(3)
            made.append(COPIES[name](box))
            await asyncio.create_task(others())
            if fails:
                raise ZeroDivisionError
    (copied,) = made
    assert (copied.count, copied.items) == (1, [1, 2, 3])
    assert unsaved(copied) == []
    await copied.asave()
    found = await Box.aget("b")
    assert (found.count, found.items) == ((100, [1, 2]) if fails else (101, [1, 2, 3]))


async def test_a_copy_is_changed_in_a_block_by_itself(on_host: Host) -> None:
    box = await Box(name="b").asave()
    async with rapyer.apipeline():
        box.count += 1
        copied: Any = box.model_copy()
        copied.count += 10
        box.count += 5
    assert (box.count, copied.count, (await Box.aget("b")).count) == (16, 16, 16)
