"""A document that is gone is not an empty one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

import rapyer
from _hosts import Host
from rapyer import AtomicRedisModel
from rapyer.errors import CorruptedModelError, KeyNotFound
from rapyer.types import RedisDict, RedisInt, RedisList, RedisPriorityQueue, RedisSet


class Part(BaseModel):
    n: int = 0


class Basket(AtomicRedisModel):
    n: RedisInt = RedisInt(0)
    items: RedisList[int] = RedisList([1])
    members: RedisSet[int] = RedisSet({1})
    names: RedisDict[str, int] = RedisDict({"a": 1})
    queue: RedisPriorityQueue[int] = RedisPriorityQueue()
    part: Part | None = Part()
    sure: Part = Part()


READERS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "list.alen": lambda one: one.items.alen(),
    "list.aget": lambda one: one.items.aget(0),
    "list.acontains": lambda one: one.items.acontains(1),
    "list.aload": lambda one: one.items.aload(),
    "set.alen": lambda one: one.members.alen(),
    "set.asize": lambda one: one.members.asize(),
    "set.acontains": lambda one: one.members.acontains(1),
    "set.amembers": lambda one: one.members.amembers(),
    "dict.alen": lambda one: one.names.alen(),
    "dict.aget": lambda one: one.names.aget("a"),
    "dict.acontains": lambda one: one.names.acontains("a"),
    "queue.asize": lambda one: one.queue.asize(),
    "queue.apeek": lambda one: one.queue.apeek(),
    "queue.aitems": lambda one: one.queue.aitems(),
    "int.aload": lambda one: one.n.aload(),
    "model.aload": lambda one: one.aload(),
    "nested.aload": lambda one: one.part.aload(),
}


@pytest.mark.parametrize("name", READERS)
async def test_a_reader_says_that_its_document_is_gone(on_host: Host, name: str) -> None:
    basket = await Basket().asave()
    before = basket.model_copy(deep=True)
    await on_host.call("MODEL.DEL", basket.key)
    with pytest.raises(KeyNotFound, match=basket.key):
        await READERS[name](basket)
    with pytest.raises(KeyNotFound, match=basket.key):
        async with rapyer.apipeline():
            await basket.adelete()
            await READERS[name](basket)
    assert basket == before


@pytest.mark.parametrize("name", READERS)
async def test_a_reader_says_that_its_document_expired(on_host: Host, name: str) -> None:
    basket = await Basket().asave()
    await on_host.call("MODEL.TTL", "SET", basket.key, "PX", "1")
    await on_host.pass_time(0.05)
    with pytest.raises(KeyNotFound, match=basket.key):
        await READERS[name](basket)


async def test_other_sets_of_a_set_operation_may_be_gone(on_host: Host) -> None:
    one, other = await Basket().asave(), await Basket(members=RedisSet({2})).asave()
    await other.adelete()
    assert await one.members.aunion(other.members) == {1}
    assert await one.members.adifference(other.members) == {1}
    assert await one.members.aintersect(other.members) == set()


async def test_null_in_the_place_of_a_nested_model_is_none(on_host: Host) -> None:
    basket = await Basket().asave()
    part, sure = basket.part, basket.sure
    assert part is not None
    await on_host.call("MODEL.SET", basket.key, "$.part", "null")
    await on_host.call("MODEL.SET", basket.key, "$.sure", "null")
    assert await part.aload() is None  # type: ignore[attr-defined]
    assert basket.part is None
    with pytest.raises(CorruptedModelError, match=r"\$\.sure"):
        await sure.aload()  # type: ignore[attr-defined]
    with pytest.raises(CorruptedModelError, match=r"\$\.n\b"):
        await on_host.call("MODEL.SET", basket.key, "$.n", "null")
        await basket.n.aload()
