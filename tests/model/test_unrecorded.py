"""Changes inside values that have no operations: dataclasses, typed dicts, root models and so on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pytest
from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypedDict

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, apipeline
from rapyer.errors import CantSerializeRedisValueError, StaleModelError
from rapyer.types import RedisDict, RedisInt, RedisList


class Size(TypedDict):
    width: int
    price: Decimal


@dataclass
class Point:
    x: int = 0
    trail: list[int] = field(default_factory=lambda: [1])


class Numbers(RootModel[list[int]]):
    pass


class Inner(BaseModel):
    point: Point = Field(default_factory=Point)
    n: int = 0


def _size(width: int = 1) -> Size:
    return {"width": width, "price": Decimal("1.50")}


class Shape(AtomicRedisModel):
    n: RedisInt = RedisInt(0)
    typed: Size = Field(default_factory=_size)
    plain: Point = Field(default_factory=Point)
    root: Numbers = Field(default_factory=lambda: Numbers([1]))
    queue: deque[int] = Field(default_factory=lambda: deque([1]))
    pair: tuple[list[int], Size] = Field(default_factory=lambda: ([1], _size()))
    anything: Any = Field(default_factory=lambda: {"a": [1], "b": 1})
    sizes: RedisList[Size] = Field(default_factory=lambda: [_size(1), _size(2)])  # type: ignore[arg-type]
    points: list[Point] = Field(default_factory=lambda: [Point(), Point(1)])
    by_name: RedisDict[str, Size] = Field(default_factory=lambda: {"a": _size(), "b": _size()})  # type: ignore[arg-type]
    inner: Inner = Field(default_factory=Inner)


CHANGES: dict[str, tuple[Callable[[Any], Any], str, Callable[[Any], Any]]] = {
    "typed": (lambda s: s.typed.update(width=5), "$.typed.width", lambda s: s.typed["width"]),
    "plain": (lambda s: setattr(s.plain, "x", 5), "$.plain.x", lambda s: s.plain.x),
    "plain list": (lambda s: s.plain.trail.append(5), "$.plain.trail", lambda s: s.plain.trail),
    "root": (lambda s: s.root.root.append(5), "$.root", lambda s: s.root.root),
    "queue": (lambda s: s.queue.append(5), "$.queue", lambda s: list(s.queue)),
    "pair": (lambda s: s.pair[0].append(5), "$.pair", lambda s: s.pair[0]),
    "typed in pair": (lambda s: s.pair[1].update(width=5), "$.pair", lambda s: s.pair[1]["width"]),
    "anything": (lambda s: s.anything.update(b=5), "$.anything.b", lambda s: s.anything["b"]),
    "sizes": (lambda s: s.sizes[1].update(width=5), "$.sizes", lambda s: s.sizes[1]["width"]),
    "points": (lambda s: setattr(s.points[1], "x", 5), "$.points", lambda s: s.points[1].x),
    "by name": (
        lambda s: s.by_name["a"].update(width=5),
        "$.by_name.a.width",
        lambda s: s.by_name["a"]["width"],
    ),
    "inner": (lambda s: setattr(s.inner.point, "x", 5), "$.inner.point.x", lambda s: s.inner.point.x),
}

kinds = pytest.mark.parametrize("kind", CHANGES)


@kinds
async def test_a_block_sends_a_change_inside_a_value_without_operations(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape = await Shape().asave()
    async with apipeline():
        await shape.n.aincrease()
        change(shape)
    stored = await Shape.aget(shape.key)
    assert look(stored) == look(shape) != look(Shape())
    assert (stored.n, shape.n) == (1, 1)
    assert unsaved(shape) == []
    assert stored == shape


@kinds
async def test_a_change_before_a_block_stays_unsaved_beside_it(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape = await Shape().asave()
    change(shape)
    async with apipeline():
        await shape.n.aincrease()
    stored = await Shape.aget(shape.key)
    assert look(stored) == look(Shape())
    assert stored.n == 1
    assert unsaved(shape) != []
    await shape.asave()
    assert look(await Shape.aget(shape.key)) == look(shape)


@kinds
async def test_a_change_in_a_model_that_takes_no_part_stays_unsaved(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape, other = await Shape().asave(), await Shape().asave()
    async with apipeline():
        await other.n.aincrease()
        change(shape)
    assert look(await Shape.aget(shape.key)) == look(Shape())
    assert look(shape) != look(Shape())
    await shape.asave()
    assert look(await Shape.aget(shape.key)) == look(shape)


@kinds
async def test_a_block_that_fails_takes_it_back(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape = await Shape().asave()
    with pytest.raises(ZeroDivisionError):
        async with apipeline():
            await shape.n.aincrease()
            change(shape)
            raise ZeroDivisionError
    assert look(shape) == look(Shape())
    assert unsaved(shape) == []


@kinds
async def test_it_is_guarded_by_what_was_there(on_host: Host, kind: str) -> None:
    change, path, look = CHANGES[kind]
    shape = await Shape().asave()
    other = await Shape.aget(shape.key)
    with pytest.raises(StaleModelError):
        async with apipeline():
            await shape.n.aincrease()
            change(shape)
            text = await on_host.call("MODEL.GET_RO", shape.key, path)
            changed = b"7" if text.isdigit() else text.replace(b"1", b"7", 1)  # type: ignore[union-attr]
            await on_host.call("MODEL.SET", shape.key, path, changed)
    assert (await Shape.aget(shape.key)).n == 0
    assert look(shape) == look(other)
    await shape.aload()
    assert shape == await Shape.aget(shape.key)


@kinds
async def test_what_others_did_beside_it_stays(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape = await Shape().asave()
    async with apipeline():
        await shape.n.aincrease()
        change(shape)
        await on_host.call("MODEL.INCRBY", shape.key, "$.inner.n", "3")
    stored = await Shape.aget(shape.key)
    assert (stored.inner.n, stored.n) == (3, 1)
    assert look(stored) == look(shape)


@kinds
async def test_it_is_part_of_the_block_of_its_own_model(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape = await Shape().asave()
    async with shape.apipeline():
        change(shape)
    stored = await Shape.aget(shape.key)
    assert look(stored) == look(shape) != look(Shape())
    assert unsaved(shape) == []


@kinds
async def test_an_inner_block_sends_it_with_its_own(on_host: Host, kind: str) -> None:
    change, _, look = CHANGES[kind]
    shape = await Shape().asave()
    with pytest.raises(ZeroDivisionError):
        async with apipeline():
            await shape.n.aincrease()
            async with apipeline():
                await cast("Any", shape.inner).aupdate(n=4)
                change(shape)
            raise ZeroDivisionError
    stored = await Shape.aget(shape.key)
    assert (stored.n, stored.inner.n) == (0, 4)
    assert look(stored) == look(shape) != look(Shape())
    assert stored == shape


async def test_items_of_typed_dicts_keep_their_type_and_are_validated(on_host: Host) -> None:
    shape = await Shape().asave()
    assert type(shape.sizes[0]) is dict
    assert type(shape.by_name["a"]) is dict
    assert [type(size) for size in shape.sizes] == [dict, dict]
    assert [type(size) for size in shape.by_name.values()] == [dict, dict]
    stored = await Shape.aget(shape.key)
    assert stored.sizes[0]["price"] == Decimal("1.50")
    await stored.sizes.aappend({"width": 3, "price": "2.50"})  # type: ignore[typeddict-item]
    assert repr(stored.sizes[2]["price"]) == "Decimal('2.50')"
    stored.sizes[0]["width"] = "wide"  # type: ignore[typeddict-item]
    with pytest.raises(CantSerializeRedisValueError, match=r"Shape\.sizes"):
        await stored.asave()
    with pytest.raises(CantSerializeRedisValueError, match=r"Shape\.sizes"):
        async with apipeline():
            shape.n += 1
            shape.sizes[0]["width"] = "wide"  # type: ignore[typeddict-item]
    assert shape.sizes[0]["width"] == 1
    assert unsaved(shape) == []


async def test_recorded_operations_and_changes_inside_of_one_value_are_sent_together(on_host: Host) -> None:
    shape = await Shape().asave()
    async with apipeline():
        shape.sizes.append(_size(3))
        shape.sizes[0]["width"] = 5
        await shape.by_name.aset_item("c", _size(7))
        shape.by_name["c"]["width"] = 8
        shape.typed = _size(9)
        shape.typed["width"] = 10
    stored = await Shape.aget(shape.key)
    assert [size["width"] for size in stored.sizes] == [5, 2, 3]
    assert (stored.by_name["c"]["width"], stored.typed["width"]) == (8, 10)
    assert stored == shape
    assert unsaved(shape) == []


@kinds
async def test_a_change_on_top_of_an_unsaved_one_is_sent_with_it(on_host: Host, kind: str) -> None:
    change, _, _ = CHANGES[kind]
    shape = await Shape().asave()
    change(shape)
    async with apipeline():
        await shape.n.aincrease()
        shape.typed["width"] = 11
        shape.plain.x = 11
        shape.plain.trail.append(11)
        shape.root.root.append(11)
        shape.queue.append(11)
        shape.pair[0].append(11)
        shape.anything["c"] = 11
        shape.sizes[0]["width"] = 11
        shape.points[0].x = 11
        shape.by_name["b"]["width"] = 11
        shape.inner.point.x = 11
    stored = await Shape.aget(shape.key)
    assert stored.typed["width"] == stored.plain.x == stored.by_name["b"]["width"] == 11
    await shape.asave()
    assert await Shape.aget(shape.key) == shape
