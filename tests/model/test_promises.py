"""What users of Redis models were let down by elsewhere, and may rely on here."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field, ValidationError
from redis.asyncio import Redis

import rapyer
from _hosts import Host
from _servers import KINDS, Kind, Server
from rapyer import AtomicRedisModel, Key, RedisConfig, init_rapyer, teardown_rapyer
from rapyer.errors import DetachedValueError, KeyNotFound
from rapyer.types import RedisInt, RedisList

T = TypeVar("T")


class Inner(BaseModel):
    n: int = 0
    deep: list[list[int]] = []


class Base(AtomicRedisModel):
    name: str = "base"


class Marked(AtomicRedisModel):
    id: Annotated[str, Key]
    n: int = 0


class Things(AtomicRedisModel):
    flag: bool = False
    maybe: bool | None = None
    floats: dict[str, float] = {}
    inners: dict[str, Inner] = {}
    lists: dict[str, list[Any]] = {}
    mixed: list[Any] = []
    count: int = 0
    inner: Inner = Inner()
    tags: list[str] = []


class Slice(AtomicRedisModel, Generic[T]):
    items: list[T] = []
    total: int = Field(default=0, alias="Total")


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    assert isinstance(text, bytes)
    return json.loads(text)


async def test_what_is_popped_from_a_dict_is_exactly_what_was_there(on_host: Host) -> None:
    things: Any = await Things(
        floats={"a": 3.7, "b": 1e20},
        inners={"x": Inner(n=2**60 + 1, deep=[[], [1]])},
        lists={"y": [12345678901234567, [], {}]},
    ).asave()
    assert await things.floats.apop("a") == 3.7
    assert await things.floats.apopitem() == ("b", 1e20)
    assert await things.inners.apop("x") == Inner(n=2**60 + 1, deep=[[], [1]])
    assert await things.lists.apopitem() == ("y", [12345678901234567, [], {}])


async def test_removing_a_range_leaves_the_others_as_they_are(on_host: Host) -> None:
    things: Any = await Things(mixed=["gone", 12345678901234567, [], {}, 1.5, "1.10"]).asave()
    await things.mixed.aremove_range(0, 1)
    assert (await stored(on_host, things))["mixed"] == [12345678901234567, [], {}, 1.5, "1.10"]


async def test_booleans_and_what_may_be_missing_are_plain_json(on_host: Host) -> None:
    things = await Things(flag=True).asave()
    found = await stored(on_host, things)
    assert (found["flag"], found["maybe"]) == (True, None)


async def test_a_key_may_be_marked_by_the_class_or_by_an_instance(on_host: Host) -> None:
    marked = await Marked(id="a@b:c", n=1).asave()
    assert (marked.key, await Marked.aget("a@b:c")) == ("Marked:a@b:c", marked)


async def test_a_class_defined_after_init_has_its_parents_fields_and_defaults(on_host: Host) -> None:
    class Late(Base):
        more: int = 1

    late = await Late().asave()
    assert (await Late.aget(late.key)) == Late(name="base", more=1)
    assert type(await rapyer.aget(late.key)) is Late


async def test_a_class_may_be_defined_again(on_host: Host) -> None:
    def define() -> type[AtomicRedisModel]:
        class Notebook(AtomicRedisModel):
            n: int = 0

        return Notebook

    first, second = define(), define()
    model = await first.model_validate({"n": 1}).asave()
    assert (await second.aget(model.key)).model_dump() == {"n": 1}


async def test_every_model_has_settings_of_its_own(on_host: Host) -> None:
    assert Base.Meta is not Marked.Meta is not AtomicRedisModel.Meta
    Base.Meta.ttl = 100
    assert Marked.Meta.ttl is None
    base = await Base().asave()
    assert await base.attl() is not None
    Base.Meta = RedisConfig()


async def test_nested_models_are_stored_where_their_document_is(on_host: Host) -> None:
    Things.Meta.redis = "embedded://of-things-only"
    things: Any = await Things().asave()
    await things.inner.n.aincrease()
    assert (await Things.aget(things.key)).inner.n == 1
    assert await on_host.call("EXISTS", things.key) == 0
    Things.Meta = RedisConfig()


async def test_a_list_that_was_replaced_does_not_write(on_host: Host) -> None:
    things: Any = await Things(tags=["a"]).asave()
    old = things.tags
    things.tags = ["b"]
    with pytest.raises(DetachedValueError):
        await old.aappend("c")
    assert (await stored(on_host, things))["tags"] == ["a"]


async def test_an_operation_on_nothing_changes_nothing_here(on_host: Host) -> None:
    things: Any = Things(tags=["a"])
    for act in (lambda: things.tags.aappend("b"), lambda: things.count.aincrease(), things.aload):
        with pytest.raises(KeyNotFound):
            await act()
    assert things == Things(tags=["a"])
    assert not await Things.aexists(things)


async def test_aliases_and_generics_come_back(on_host: Host) -> None:
    page = await Slice[int](items=[1], Total=5).asave()
    assert (await stored(on_host, page)) == {"items": [1], "total": 5}
    assert await Slice[int].aget(page.key) == page


def test_a_model_is_a_good_citizen_of_apis() -> None:
    schema = Things.model_json_schema()
    assert "Inner" in schema["$defs"]
    assert not [name for name in schema["$defs"] if name.startswith("Redis")]
    things = Things(tags=["a"])
    assert things.tags.json_path == "$.tags"  # type: ignore[attr-defined]
    assert json.loads(things.model_dump_json()) == things.model_dump(mode="json")
    assert Things.model_validate_json(things.model_dump_json()) == things
    assert "pk" not in things.model_dump()


def test_a_dump_is_what_is_stored() -> None:
    things = Things(tags=["a"], inners={"x": Inner(n=1)})
    assert things.redis_dump() == json.loads(things.redis_dump_json())
    assert things.redis_dump()["inners"] == {"x": {"n": 1, "deep": []}}
    assert things.key == f"{things.key_initials}:{things.pk}"


def test_an_update_without_await_is_local_and_all_or_none() -> None:
    things = Things(tags=["a"])
    things.update(tags=["b"], inners={"x": Inner(n=2)})
    assert (things.tags, things.inners) == (["b"], {"x": Inner(n=2)})
    with pytest.raises(ValidationError):
        things.update(tags=["c"], inners=5)
    assert things.tags == ["b"]


def test_models_are_copied_and_pickled() -> None:
    things = Things(tags=["a"], inners={"x": Inner(n=1)})
    key = things.key
    for twin in (copy.copy(things), copy.deepcopy(things), pickle.loads(pickle.dumps(things))):
        assert (twin, twin.key) == (things, key)


@pytest.mark.parametrize("kind", KINDS)
async def test_everything_is_one_round_trip(kind: Kind, server_of: Callable[[Kind], Server]) -> None:
    """Commands of the package, as the server counts them: one for each operation, and none besides."""

    class Counted(AtomicRedisModel):
        Meta = RedisConfig(ttl=100)
        n: RedisInt = RedisInt(0)
        items: RedisList[int] = RedisList()

    await init_rapyer(redis=server_of(kind).url)
    counted = await Counted().asave()

    async def total() -> int:
        # Asking costs one command, and counts itself only the next time.
        return int((await counting.info("stats"))["total_commands_processed"])

    async with Redis.from_url(server_of(kind).url, decode_responses=True) as counting:
        await total()
        acts: list[Callable[[], Awaitable[object]]] = [
            counted.asave,
            counted.aload,
            lambda: Counted.aget(counted.key),
            lambda: Counted.aget_or_create(counted),
            lambda: counted.n.aincrease(),
            lambda: counted.items.aextend([1, 2, 3]),
            lambda: counted.items.apop(),
            lambda: Counted.afind(counted.key, counted.key),
            lambda: counted.aset_ttl(50),
        ]
        for act in acts:
            before = await total()
            await act()
            assert await total() - before == 2
        before = await total()
        async with rapyer.apipeline():
            counted.n += 1
            counted.items.append(4)
            await counted.aset_ttl(60)
        assert await total() - before == 2
    await teardown_rapyer()
    AtomicRedisModel.Meta = RedisConfig()


async def test_sixty_at_once_need_no_pool_of_sixty(on_host: Host) -> None:
    base = await Base().asave()
    assert len(await asyncio.gather(*(Base.aget(base.key) for _ in range(60)))) == 60
