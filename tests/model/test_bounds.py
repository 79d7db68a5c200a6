"""Bounds of fields: the server holds operations to them, and no save breaks them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Optional, cast

import pytest
from annotated_types import Len
from pydantic import BaseModel, Field, PositiveInt, conint

import rapyer
from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel
from rapyer._codec import Codec
from rapyer.errors import (
    CantSerializeRedisValueError,
    CommandError,
    ConstraintError,
    KeyNotFound,
    StaleModelError,
)
from rapyer.types import (
    PriorityQueueItem,
    RedisBytes,
    RedisDict,
    RedisFloat,
    RedisInt,
    RedisList,
    RedisPriorityQueue,
    RedisSet,
    RedisStr,
)


class Seat(BaseModel):
    number: Annotated[RedisInt, Field(ge=0, le=10)] = RedisInt(1)


class Shop(AtomicRedisModel):
    stock: Annotated[RedisInt, Field(ge=0, le=10)] = RedisInt(5)
    even: Annotated[RedisInt, Field(multiple_of=2)] = RedisInt(2)
    ratio: Annotated[RedisFloat, Field(gt=0, lt=1)] = RedisFloat(0.5)
    code: Annotated[RedisStr, Field(max_length=4)] = RedisStr("ab")
    blob: Annotated[RedisBytes, Field(max_length=4)] = RedisBytes(b"ab")
    items: Annotated[RedisList[PositiveInt], Len(1, 3)] = RedisList([1, 2])
    labels: Annotated[RedisSet[str], Field(min_length=1, max_length=2)] = RedisSet({"a"})
    counts: Annotated[RedisDict[str, conint(le=5)], Len(1, 2)] = RedisDict({"a": 1})  # type: ignore[valid-type]
    queue: Annotated[RedisPriorityQueue[str], Field(max_length=1)] = RedisPriorityQueue()
    seat: Seat = Seat()
    seats: list[Seat] = []
    maybe: Annotated[int, Field(le=3)] | None = None


AWAITED: dict[str, Callable[[Any], Awaitable[object]]] = {
    "aincrease above": lambda one: one.stock.aincrease(6),
    "aincrease below": lambda one: one.stock.aincrease(-6),
    "aincrease of another multiple": lambda one: one.even.aincrease(1),
    "aincrease of a float": lambda one: one.ratio.aincrease(0.5),
    "aincrease nested": lambda one: one.seat.number.aincrease(10),
    "aextend": lambda one: one.items.aextend([3, 4]),
    "aremove_range": lambda one: one.items.aremove_range(0, 2),
    "aclear of a list": lambda one: one.items.aclear(),
    "aadd_many": lambda one: one.labels.aadd_many(["b", "c"]),
    "aremove of a set": lambda one: one.labels.aremove("a"),
    "aclear of a set": lambda one: one.labels.aclear(),
    "aclear of a dict": lambda one: one.counts.aclear(),
    "apop of a dict": lambda one: one.counts.apop("a"),
    "apopitem": lambda one: one.counts.apopitem(),
    "adel_item": lambda one: one.counts.adel_item("a"),
    "aupdate of a dict": lambda one: one.counts.aupdate({"b": 1, "c": 1}),
    "aincrease of an entry": lambda one: one.counts.aincrease("a", 5),
    "apush_many": lambda one: one.queue.apush_many([PriorityQueueItem("a", 1), PriorityQueueItem("b", 2)]),
}


RECORDED: dict[str, Callable[[Any], object]] = {
    "extend": lambda one: one.items.extend([3, 4]),
    "insert": lambda one: (one.items.append(3), one.items.insert(0, 4)),
    "clear": lambda one: one.items.clear(),
    "remove_range": lambda one: one.items.remove_range(0, 2),
    "slice": lambda one: one.items.__setitem__(slice(0, 0), [3, 4]),
    "imul": lambda one: one.items.__imul__(2),
    "del": lambda one: (one.items.__delitem__(0), one.items.__delitem__(-1)),
    "pop": lambda one: (one.items.pop(), one.items.pop()),
    "set update": lambda one: one.labels.update(["b", "c"]),
    "set clear": lambda one: one.labels.clear(),
    "set discard": lambda one: one.labels.discard("a"),
    "dict update": lambda one: one.counts.update({"b": 1, "c": 1}),
    "dict del": lambda one: one.counts.__delitem__("a"),
    "dict pop": lambda one: one.counts.pop("a"),
    "dict clear": lambda one: one.counts.clear(),
}


async def stored(host: Host, one: AtomicRedisModel) -> Any:
    return json.loads(cast("bytes", await host.call("MODEL.GET_RO", one.key)))


@pytest.mark.parametrize("name", AWAITED)
async def test_the_server_refuses_an_operation_that_breaks_a_bound(on_host: Host, name: str) -> None:
    shop = await Shop().asave()
    before, held = await stored(on_host, shop), shop.model_copy(deep=True)
    with pytest.raises(ConstraintError, match=r"Shop:.* path '\$\..*REQUIRE") as refused:
        await AWAITED[name](shop)
    assert isinstance(refused.value, CommandError)
    assert isinstance(refused.value, ValueError)
    assert await stored(on_host, shop) == before
    assert shop == held
    assert not unsaved(shop)
    assert await Shop.aget(shop.key) == shop


@pytest.mark.parametrize("name", AWAITED)
async def test_in_a_block_it_is_refused_where_it_is_done(on_host: Host, name: str) -> None:
    shop = await Shop().asave()
    before, held = await stored(on_host, shop), shop.model_copy(deep=True)
    async with rapyer.apipeline():
        with pytest.raises(ConstraintError, match=rf"{shop.key} "):
            await AWAITED[name](shop)
        shop.maybe = 1
    held.maybe = 1
    assert await stored(on_host, shop) == {**before, "maybe": 1}
    assert shop == held
    assert await Shop.aget(shop.key) == shop


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_operation_is_refused_where_it_is_done(on_host: Host, name: str) -> None:
    shop = await Shop().asave()
    before, held = await stored(on_host, shop), shop.model_copy(deep=True)
    with pytest.raises(ConstraintError, match=r"Shop.*\."):
        async with rapyer.apipeline():
            RECORDED[name](shop)
    assert await stored(on_host, shop) == before
    assert shop == held
    assert not unsaved(shop)


async def test_a_batch_that_breaks_a_bound_on_the_server_is_refused_as_a_whole(on_host: Host) -> None:
    shop, other = await Shop().asave(), await Shop().asave()

    async def others() -> None:
        theirs = await Shop.aget(shop.key)
        await theirs.stock.aincrease(5)
        await theirs.items.aappend(3)
        await theirs.counts.aset_item("x", 1)

    changes: list[tuple[str, Callable[[], object]]] = [
        (r"MODEL.INCRBY Shop:.* \$\.stock", lambda: setattr(shop, "stock", shop.stock + 0)),
        (r"MODEL.APPEND Shop:.* \$\.items", lambda: shop.items.append(4)),
        (r"MODEL.EXPECT Shop:.* \$\.counts", lambda: shop.counts.__setitem__("b", 1)),
    ]
    for at, (what, act) in enumerate(changes):
        shop = await Shop().asave()
        with pytest.raises(ConstraintError, match=what):
            async with rapyer.apipeline():
                other.maybe = 2
                if at == 0:
                    shop.stock += 1
                else:
                    act()
                await asyncio.create_task(others())
        assert other.maybe is None
        assert (await Shop.aget(other.key)).maybe is None
        await shop.aload()
        assert (shop.stock, shop.items, shop.counts) == (10, [1, 2, 3], {"a": 1, "x": 1})


async def test_within_bounds_everything_works_as_without(on_host: Host) -> None:
    shop = await Shop().asave()
    assert await shop.stock.aincrease(5) == 10
    assert await shop.even.aincrease(-4) == -2
    assert await shop.items.aappend(3) == 3
    assert await shop.items.aappend(4, maxlen=3) == 3
    assert await shop.items.apop() == 4
    assert await shop.labels.aadd("b")
    assert await shop.labels.aremove("a")
    await shop.counts.aset_item("b", 2)
    await shop.counts.aset_item("b", 3)
    assert await shop.counts.aincrease("b", 2) == 5
    assert await shop.counts.adel_item("a") == 1
    assert await shop.queue.apush("a", 1)
    async with rapyer.apipeline():
        shop.stock -= 10
        shop.code += "cd"
        shop.blob += b"cd"
        shop.items.append(4)
        shop.counts["z"] = 1
        del shop.items[0]
        await shop.items.aappend(5)
    assert (shop.items, shop.code, shop.blob) == ([3, 4, 5], "abcd", b"abcd")
    assert await Shop.aget(shop.key) == shop
    assert not unsaved(shop)


async def test_of_many_at_once_as_many_succeed_as_the_bound_allows(on_host: Host) -> None:
    shop = await Shop().asave()
    copies = [await Shop.aget(shop.key) for _ in range(20)]
    outcomes = await asyncio.gather(*(one.stock.aincrease(-1) for one in copies), return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 5
    assert all(isinstance(outcome, (int, ConstraintError)) for outcome in outcomes)
    assert (await Shop.aget(shop.key)).stock == 0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda one: one.items.extend([3, 4]), "items"),
        (lambda one: one.items.clear(), "items"),
        (lambda one: one.labels.update({"b", "c"}), "labels"),
        (lambda one: one.counts.update({"b": 1, "c": 2}), "counts"),
        (lambda one: one.counts.clear(), "counts"),
    ],
)
async def test_a_change_in_place_that_breaks_a_bound_is_not_saved(
    on_host: Host, change: Callable[[Any], object], place: str
) -> None:
    shop = await Shop().asave()
    before = await stored(on_host, shop)
    change(shop)
    for save in (shop.asave, getattr(shop, place).asave):
        with pytest.raises(ConstraintError, match=rf"Shop\.{place}: .*at (most|least)"):
            await save()
    with pytest.raises(ConstraintError, match=rf"Shop\.{place}"):
        async with rapyer.apipeline():
            await shop.asave()
    assert await stored(on_host, shop) == before

    new = Shop()
    change(new)
    for store in (new.asave, lambda: Shop.ainsert(new), lambda: Shop.aget_or_create(new)):
        with pytest.raises(ConstraintError, match=rf"Shop\.{place}"):
            await store()
    assert not await Shop.aexists(new)


async def test_what_changed_in_values_that_nobody_watches_is_not_saved_where_it_would_not_load(
    on_host: Host,
) -> None:
    @dataclass
    class Point:
        x: int = 0

    class Inner(BaseModel):
        n: int = 0
        tags: Annotated[list[int], Field(max_length=2)] = []

    class Odd(AtomicRedisModel):
        name: str = ""
        point: Point = Point()
        inner: Inner = Inner()
        last: deque[int] = deque()

    def broken(odd: Odd) -> None:
        odd.point.x = cast("Any", "far")

    odd = await Odd().asave()
    before = await stored(on_host, odd)
    broken(odd)
    with pytest.raises(CantSerializeRedisValueError):
        await odd.asave()
    assert await stored(on_host, odd) == before
    odd.point.x = 1
    odd.inner.tags.extend([1, 2, 3])
    with pytest.raises(ConstraintError, match=r"Odd\.inner\.tags: List should have at most 2 items"):
        await odd.asave()
    with pytest.raises(ConstraintError, match=r"Inner\.tags"):
        await odd.inner.asave()  # type: ignore[attr-defined]
    del odd.inner.tags[0]
    await odd.asave()
    assert await Odd.aget(odd.key) == odd


def test_only_what_can_become_invalid_is_looked_at() -> None:
    class Ordinary(AtomicRedisModel):
        n: PositiveInt = 1
        tags: RedisList[str] = RedisList()
        scores: dict[str, int] = {}
        labels: set[str] = set()
        note: str | None = None

    assert Ordinary.__rapyer_codec__.is_safe
    fields = {name for name in Shop.model_fields if not Shop.__rapyer_codec__.field(name).is_safe}
    assert fields == {"items", "labels", "counts"}


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        (Annotated[int, Field(ge=0, le=5)], {("GE", "0"), ("LE", "5")}),
        (Optional[Annotated[int, Field(gt=0)]], {("GT", "0")}),  # noqa: UP045
        (Annotated[float, Field(lt=1, multiple_of=0.25)], {("LT", "1"), ("MULTIPLE", "0.25")}),
        (Annotated[list[PositiveInt], Len(1, 3)], {("MINLEN", "1"), ("MAXLEN", "3")}),
        (Annotated[RedisPriorityQueue[int], Field(max_length=3)], {("MAXLEN", "3")}),
        (Annotated[int | str, Field(ge=3)], set()),
        (int, set()),
    ],
)
def test_bounds_are_those_of_the_field(kind: Any, bounds: set[tuple[str, str]]) -> None:
    model: Any = type("Bound", (BaseModel,), {"__annotations__": {"field": kind}})
    assert set(Codec.of_model(model, lambda: False).field("field").bounds) == bounds


async def test_an_unmet_condition_of_a_block_names_operation_model_key_path_and_condition(
    on_host: Host,
) -> None:
    shop = await Shop().asave()
    with pytest.raises(StaleModelError, match=rf"MODEL.INCRBY {shop.key} \$\.stock: MAX 6 is not met"):
        async with rapyer.apipeline():
            await shop.stock.aincrease(3, maximum=6)

    async def others() -> None:
        theirs = await Shop.aget(shop.key)
        await theirs.stock.aincrease(1)
        await theirs.items.aappend(3)

    with pytest.raises(StaleModelError, match=rf"MODEL.INCRBY {shop.key} \$\.stock: operation .*MAX 6"):
        async with rapyer.apipeline():
            await shop.stock.aincrease(1, maximum=6)
            await asyncio.create_task(others())
    shop = await Shop().asave()
    with pytest.raises(StaleModelError, match=rf"MODEL.APPEND {shop.key} \$\.items: operation .*UNIQUE"):
        async with rapyer.apipeline():
            assert await shop.items.aappend(3, unique=True) == 3
            await asyncio.create_task(others())
    assert shop.items == [1, 2]
    async with rapyer.apipeline():
        # What is there is left out, as without a block.
        assert await shop.items.aappend(1, unique=True) == 2
    await on_host.call("MODEL.DEL", shop.key)
    with pytest.raises(KeyNotFound, match=shop.key):
        async with rapyer.apipeline():
            shop.maybe = 2
            await shop.asave(only_existing=True)
