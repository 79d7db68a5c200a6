"""What checkers make of the package. They read this file; nothing runs it.

The ignored errors are part of the check: mypy reports an ignore that nothing needs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel
from typing_extensions import assert_type

import rapyer
from rapyer import (
    ActionGroup,
    AtomicRedisModel,
    DeleteResult,
    GetOrCreateResult,
    GetOrCreateStatus,
    Key,
    RapyerDeleteResult,
    RapyerKey,
    RedisConfig,
    init_rapyer,
)
from rapyer.fields import Index, SafeLoad
from rapyer.query import Condition, FieldExpression
from rapyer.result import Found
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


class Team(AtomicRedisModel):
    lead: Reference[Thing]
    members: RedisSet[str] = RedisSet()
    jobs: RedisPriorityQueue[str] = RedisPriorityQueue()
    at: RedisDatetimeTimestamp


async def operations(thing: Thing, team: Team, moment: datetime) -> None:
    assert_type(await thing.count.aincrease(1, minimum=0), int | None)
    assert_type(await thing.score.aincrease(1, maximum=9.5), float | None)
    assert_type(await thing.tags.aget(0), str)
    assert_type(await thing.tags.aextend(["a"], maxlen=5, unique=True), int)
    assert_type(await thing.tags.aremove("a"), bool)
    assert_type(await thing.tags.aclear(), int)
    assert_type(await thing.limits.apopitem(), tuple[str, int])
    assert_type(await thing.limits.adel_item("a"), int)

    team.lead = thing
    team.lead = "Thing:1"
    team.members = {"a"}
    team.at = moment
    assert_type(await team.lead.afetch(), Thing)
    assert_type(team.lead.target_key, RapyerKey)
    assert_type(await team.members.aadd("a"), bool)
    assert_type(await team.members.apop(), str | None)
    assert_type(await team.members.aunion(team.members), set[str])
    assert_type(await team.jobs.apush("a", 1.5), bool)
    assert_type(await team.jobs.apop(), PriorityQueueItem[str] | None)
    assert_type(await team.jobs.aitems(), list[PriorityQueueItem[str]])

    assert_type(await Thing.afind_keys(5), list[RapyerKey])
    assert_type(await Thing.afind(max_results=1), Found[Thing])
    assert_type(await Thing.aexists(thing), bool)
    assert_type(await Thing.adelete_many(thing, "2"), DeleteResult)
    assert_type(await Thing.aget_or_create(thing), GetOrCreateResult[Thing])
    found, status = await Thing.aget_or_create(thing)
    assert_type(found, Thing)
    assert_type(status, GetOrCreateStatus)
    assert_type(await thing.aduplicate_many(2), list[Thing])
    assert_type(await thing.aexpires_at(), datetime | None)
    assert_type(await thing.atouch(), bool)

    assert_type(await rapyer.aget("Thing:1"), AtomicRedisModel)
    assert_type(await rapyer.aget_or_create(thing), GetOrCreateResult[Thing])
    assert_type(await rapyer.adelete_many(thing, "Team:1"), RapyerDeleteResult)
    assert_type(rapyer.find_redis_models(), list[type[AtomicRedisModel]])


class Mixed(Part, AtomicRedisModel):
    lead: Reference[Thing]


def mixed(thing: Thing) -> None:
    assert_type(Mixed(n=1, lead=thing).key, RapyerKey)
    Mixed(n=1, lead="Thing:1")
    Mixed(n=1, lead=5)  # type: ignore[arg-type]


class Flat(AtomicRedisModel):
    age: int = 0
    size: Index[int] = 0
    weight: Index[RedisFloat] = RedisFloat(0)
    part: Part = Part()
    note: SafeLoad[str] = ""


class Perhaps(AtomicRedisModel):
    count: RedisInt | None = None
    tags: RedisList[str] | None = None


async def may_be_none(model: Perhaps) -> None:
    if model.count is not None:
        assert_type(await model.count.aincrease(), int)
    if model.tags is not None:
        assert_type(await model.tags.aappend("b"), int)
    model.tags = RedisList(["a"])
    Perhaps(count=RedisInt(1))
    Perhaps(count=1)  # type: ignore[arg-type]


async def marked(flat: Flat) -> None:
    assert_type(flat.size, int)
    assert_type(await flat.weight.aincrease(), float)
    assert_type(await Flat.afind(Flat.size > 1, Flat.weight > 1.5), Found[Flat])


async def loads_safely(flat: Flat) -> None:
    assert_type(flat.note, str | None)
    assert_type(flat.failed_fields, frozenset[str])
    flat.note = "x"


async def queries(moment: datetime) -> None:
    assert_type(Thing.id, FieldExpression[str])
    assert_type(Thing.name, FieldExpression[str])
    assert_type(Thing.count, FieldExpression[int])
    assert_type(Thing.born, FieldExpression[datetime])
    assert_type(Thing.tags, FieldExpression[list[str]])
    assert_type(Thing.limits, FieldExpression[dict[str, int]])
    assert_type(Team.members, FieldExpression[set[str]])
    assert_type(Team.lead, FieldExpression[str])
    adult = Thing.count >= 18
    assert_type(adult, Condition)
    assert_type((Thing.name == "a") & ~adult | (Thing.born < moment), Condition)
    assert_type(await Thing.afind(adult, Thing.tags == ["a"], max_results=5), Found[Thing])
    assert_type(await Thing.afind_one(Thing.score > 1), Thing | None)
    assert_type(await Thing.adelete_many(adult), DeleteResult)
    # With plain annotations these are Conditions that a checker takes for bools.
    assert_type(await Flat.afind(Flat.age > 3, Flat.part.n == 1), Found[Flat])


async def blocks(thing: Thing) -> None:
    async with thing.apipeline() as same:
        assert_type(same, Thing)
        thing.count += 1
        thing.tags += ["b"]
        thing.limits["a"] = 2
    async with rapyer.apipeline(ignore_redis_error=True):
        thing.name += "b"
    lock = thing.alock("pay", save_at_end=True, timeout=1.5)
    async with lock as same:
        assert_type(same, Thing)
        assert_type(lock.fencing_number, int)
    async with Thing.alock_from_key("1", lease=timedelta(minutes=1), timeout=timedelta(seconds=1)) as maybe:
        assert_type(maybe, Thing | None)


async def mistakes(thing: Thing, team: Team, moment: datetime) -> None:
    team.members = {1}  # type: ignore[arg-type]
    await team.members.aadd(1)  # type: ignore[arg-type]
    await team.jobs.apush("a", "b")  # type: ignore[arg-type]
    team.lead = team  # type: ignore[assignment]
    await Thing.aget_or_create(team)  # type: ignore[arg-type]

    await Thing.afind(Thing.count)  # type: ignore[arg-type]
    await Thing.afind(Thing.count > "x")  # type: ignore[operator]
    Thing(id="1", name="a")  # type: ignore[call-arg]
    Thing(id="1", name="a", born=moment, nam="b")  # type: ignore[call-arg]
    Thing(id=1, name="a", born=moment)  # type: ignore[arg-type]
    Thing(id="1", name="a", born=moment, tags=[1])  # type: ignore[list-item]
    thing.count = "x"  # type: ignore[assignment]
    thing.tags = [1]  # type: ignore[list-item]
    await thing.tags.aappend(1)  # type: ignore[arg-type]
    await thing.count.aincrease("1")  # type: ignore[call-overload]
    await thing.plain.aincrease()  # type: ignore[attr-defined]
    Thing.Meta.ttl = "60"  # type: ignore[assignment]
    Thing.Meta.tll = 60  # type: ignore[attr-defined]
    await init_rapyer(policies="never")  # type: ignore[arg-type]
