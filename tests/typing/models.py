"""What checkers make of the package. They read this file; nothing runs it.

The ignored errors are part of the check: mypy reports an ignore that nothing needs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel
from typing_extensions import assert_type

from rapyer import ActionGroup, AtomicRedisModel, Key, RapyerKey, RedisConfig, init_rapyer
from rapyer.result import Found
from rapyer.types import RedisBytes, RedisDatetime, RedisDict, RedisFloat, RedisInt, RedisList, RedisStr


class Part(BaseModel):
    n: int = 0


class Thing(AtomicRedisModel):
    id: Key[str]
    name: RedisStr
    born: RedisDatetime
    photo: RedisBytes = RedisBytes()
    count: RedisInt = RedisInt(0)
    score: RedisFloat = RedisFloat(0)
    tags: RedisList[str] = RedisList()
    limits: RedisDict[str, int] = RedisDict()
    parts: list[Part] = []
    plain: int = 0

    Meta = RedisConfig(ttl=1800, refresh_ttl=ActionGroup.READ | ActionGroup.UPDATE)


async def uses(moment: datetime) -> None:
    thing = Thing(id="1", name="a", born=moment, photo=b"x", count=1, score=1.5, tags=["a"], limits={"a": 1})
    assert_type(thing.name, RedisStr)
    assert_type(thing.count, RedisInt)
    assert_type(thing.tags, RedisList[str])
    assert_type(thing.tags[0], str)
    assert_type(thing.limits["a"], int)
    assert_type(thing.id, str)
    assert_type(thing.key, RapyerKey)

    thing.name = "b"
    thing.count = 2
    thing.tags = ["b"]
    thing.limits = {"b": 2}
    thing.born = moment
    thing.count += 1

    assert_type(await thing.count.aincrease(2), int)
    assert_type(await thing.score.aincrease(0.5), float)
    assert_type(await thing.tags.aappend("c"), int)
    assert_type(await thing.tags.apop(), str | None)
    assert_type(await thing.limits.apop("a"), int | None)
    assert_type(await thing.limits.apop("a", "none"), int | str)
    await thing.limits.aupdate({"a": 1}, b=2)

    assert_type(await thing.asave(), Thing)
    assert_type(await thing.aload(), Thing)
    assert_type(await Thing.aget("1"), Thing)
    assert_type(await Thing.afind_one("1"), Thing | None)
    assert_type(await Thing.afind("1", skip_missing=True), Found[Thing])
    assert_type((await Thing.afind("1"))[0], Thing)
    assert_type(await Thing.ainsert(thing), tuple[Thing, ...])
    assert_type(await thing.adelete(), bool)
    assert_type(await thing.attl(), float | None)
    await thing.aset_ttl(timedelta(minutes=5), once=True)

    assert_type(Thing.Meta.refresh_ttl, bool | ActionGroup)
    Thing.Meta.ttl = timedelta(hours=1)
    Thing.Meta.refresh_ttl = False
    await init_rapyer(redis="redis://localhost", ttl=60, refresh_ttl=ActionGroup.all(for_ttl=True))


async def mistakes(thing: Thing) -> None:
    thing.count = "x"  # type: ignore[assignment]
    thing.tags = [1]  # type: ignore[list-item]
    await thing.tags.aappend(1)  # type: ignore[arg-type]
    await thing.count.aincrease("1")  # type: ignore[call-overload]
    await thing.plain.aincrease()  # type: ignore[attr-defined]
    Thing.Meta.ttl = "60"  # type: ignore[assignment]
    Thing.Meta.tll = 60  # type: ignore[attr-defined]
    await init_rapyer(policies="never")  # type: ignore[arg-type]
