"""Models of every shape: fields that may be None, of each type; abstract bases; bases of several models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

import pytest
from pydantic import BaseModel, Field

from _hosts import Host
from rapyer import AtomicRedisModel, Key, RedisConfig
from rapyer.errors import CorruptedModelError
from rapyer.types import (
    PriorityQueueItem,
    RedisBytes,
    RedisDatetime,
    RedisDatetimeTimestamp,
    RedisDict,
    RedisFloat,
    RedisInt,
    RedisList,
    RedisPriorityQueue,
    RedisSet,
    RedisStr,
    Reference,
)

NOON = datetime(2026, 1, 2, 12, 0, 0, 7, tzinfo=timezone(timedelta(hours=2)))


class Inner(AtomicRedisModel):
    n: RedisInt = RedisInt(0)


class Plain(BaseModel):
    n: int = 0


class Perhaps(AtomicRedisModel):
    text: RedisStr | None = None
    whole: RedisInt | None = None
    number: Optional[RedisFloat] = None  # noqa: UP045 - both ways to write it are checked
    raw: RedisBytes | None = None
    moment: RedisDatetime | None = None
    epoch: RedisDatetimeTimestamp | None = None
    items: RedisList[int] | None = None
    limits: RedisDict[str, int] | None = None
    tags: RedisSet[str] | None = None
    jobs: RedisPriorityQueue[str] | None = None
    inner: Inner | None = None
    plain: Plain | None = None
    other: Reference[Inner] | None = None
    plainly: int | None = None
    many: list[int | None] | None = None


def assigned(value: Any) -> Callable[[Any], Any]:
    return lambda model: value


def added(name: str, value: Any) -> Callable[[Any], None]:
    def add(model: Any) -> None:
        held = getattr(model, name)
        held += value
        setattr(model, name, held)

    return add


async def _increase_inner(model: Any) -> None:
    await model.inner.n.aincrease(2)


async def _increase_plain(model: Any) -> None:
    await model.plain.n.aincrease(2)


async def _push(model: Any) -> None:
    await model.jobs.apush("b", 1)


CASES: dict[str, tuple[Any, Callable[[Any], Any], Any]] = {
    "text": ("a", added("text", "b"), "ab"),
    "whole": (1, lambda model: model.whole.aincrease(2), 3),
    "number": (1.5, lambda model: model.number.aincrease(1), 2.5),
    "raw": (b"\xff", added("raw", b"\x00"), b"\xff\x00"),
    "moment": (NOON, added("moment", timedelta(hours=1)), NOON + timedelta(hours=1)),
    "epoch": (NOON, added("epoch", timedelta(hours=1)), NOON + timedelta(hours=1)),
    "items": ([1], lambda model: model.items.aappend(2), [1, 2]),
    "limits": ({"a": 1}, lambda model: model.limits.aset_item("b", 2), {"a": 1, "b": 2}),
    "tags": ({"a"}, lambda model: model.tags.aadd("b"), {"a", "b"}),
    "jobs": (RedisPriorityQueue([PriorityQueueItem("a", 2)]), _push, [("b", 1), ("a", 2)]),
    "inner": (Inner(n=1), _increase_inner, Inner(n=3)),
    "plain": (Plain(n=1), _increase_plain, Plain(n=3)),
    "other": ("Inner:1", lambda model: None, "Inner:1"),
    "plainly": (1, lambda model: model.plainly.aincrease(2), 3),
    "many": ([1, None], lambda model: model.many.aappend(None), [1, None, None]),
}


def plain(value: Any) -> Any:
    """What is compared: a reference is its key, a queue its items."""
    if isinstance(value, Reference):
        return str(value.target_key)
    if isinstance(value, RedisPriorityQueue):
        return [tuple(item) for item in value]
    return value


def test_every_field_is_tried() -> None:
    assert CASES.keys() == Perhaps.model_fields.keys()


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("name", CASES)
async def test_what_may_be_none_comes_and_goes(on_host: Host, name: str, in_transaction: bool) -> None:
    given, change, expected = CASES[name]
    value = deepcopy(given)
    model = await Perhaps().asave()
    assert getattr(await Perhaps.aget(model.key), name) is None

    async def do(act: Callable[[], Any]) -> None:
        async def acted() -> None:
            result = act()
            if isinstance(result, Awaitable):
                await result

        if in_transaction:
            async with model.apipeline():
                await acted()
        else:
            await acted()
            await model.asave()

    await do(lambda: setattr(model, name, value))
    assert plain(getattr(await Perhaps.aget(model.key), name)) == plain(value)
    await do(lambda: change(model))
    assert plain(getattr(model, name)) == expected
    assert plain(getattr(await Perhaps.aget(model.key), name)) == expected
    await do(lambda: setattr(model, name, None))
    assert getattr(model, name) is None
    assert getattr(await Perhaps.aget(model.key), name) is None
    untouched = {other: getattr(model, other) for other in CASES if other != name}
    assert set(untouched.values()) == {None}


class Shape(AtomicRedisModel, ABC):
    id: Key[str]
    scale: RedisInt = RedisInt(1)
    secret: str = Field(default="", exclude=True)

    Meta = RedisConfig(ttl=60)

    @abstractmethod
    def area(self) -> int: ...


class Square(Shape):
    side: int = 2

    def area(self) -> int:
        return self.side**2 * self.scale


class Disc(Shape):
    radius: int = 1

    def area(self) -> int:
        return 3 * self.radius**2 * self.scale


class Named(BaseModel):
    """A base that is no stored model."""

    name: str = "?"
    visits: int = 0


class NamedSquare(Named, Square):
    pass


async def test_an_abstract_base_has_models_but_no_documents(on_host: Host) -> None:
    with pytest.raises(TypeError, match="abstract"):
        Shape(id="1")  # type: ignore[abstract]
    square = await Square(id="1", secret="s").asave()
    disc = await Disc(id="1").asave()
    assert (square.key, disc.key) == ("Square:1", "Disc:1")
    await square.scale.aincrease(2)
    loaded = await Square.aget("1")
    assert (loaded.area(), loaded.secret) == (12, "")
    assert await on_host.pttl("Square:1") > 0
    Disc.Meta.ttl = 5
    assert (Square.Meta.ttl, Shape.Meta.ttl) == (60, 60)
    Disc.Meta.ttl = 60


async def test_a_model_of_several_bases_has_the_fields_of_all(on_host: Host) -> None:
    model = await NamedSquare(id="1", name="n").asave()
    await model.visits.aincrease()  # type: ignore[attr-defined]
    await model.scale.aincrease()
    assert await NamedSquare.aget("1") == NamedSquare(id="1", name="n", visits=1, scale=2)
    with pytest.raises(CorruptedModelError):
        await on_host.call("MODEL.SET", "NamedSquare:1", "$.side", '"x"')
        await NamedSquare.aget("1")
