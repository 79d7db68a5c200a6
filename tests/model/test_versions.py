"""Saving insists on the version that was last seen, where that is asked for."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import Field

from _hosts import Host
from rapyer import AtomicRedisModel, Key, RedisConfig, apipeline
from rapyer._state import state_of
from rapyer.errors import KeyNotFound, NestedModelError, StaleModelError


class Inner(AtomicRedisModel):
    n: int = 0


class Plain(AtomicRedisModel):
    id: Key[str] = Field(default_factory=lambda: "1")  # type: ignore[arg-type]
    n: int = 0
    m: int = 0
    tags: list[str] = []
    inner: Inner = Inner()


class Optimistic(Plain):
    Meta = RedisConfig(optimistic=True)


STORED = '{"id":"1","n":0,"m":0,"tags":[],"inner":{"n":0}}'


async def save(model: Any) -> None:
    """A save that insists on the version: by the class's setting, or by the argument."""
    await model.asave(**({} if type(model) is Optimistic else {"if_unchanged": True}))


@pytest.fixture(params=[Plain, Optimistic])
async def kind(request: pytest.FixtureRequest, on_host: Host) -> Any:
    await on_host.call("MODEL.CREATE", f"{request.param.__name__}:1", STORED)
    return request.param


async def test_a_save_is_refused_once_others_changed_anything(kind: Any, on_host: Host) -> None:
    mine, theirs = await kind.aget("1"), await kind.aget("1")
    mine.n = 1
    await theirs.m.aincrease()
    with pytest.raises(StaleModelError):
        await save(mine)
    assert (mine.n, (await kind.aget("1")).n) == (1, 0)

    await mine.aload()
    mine.n = 2
    await save(mine)
    mine.n = 3
    await save(mine)
    assert ((await kind.aget("1")).n, (await kind.aget("1")).m) == (3, 1)


async def test_a_save_without_changes_looks_at_the_version_too(kind: Any) -> None:
    mine, theirs = await kind.aget("1"), await kind.aget("1")
    await save(mine)
    await theirs.m.aincrease()
    with pytest.raises(StaleModelError):
        await save(mine)


async def test_a_save_that_does_not_insist_is_one_as_ever(kind: Any) -> None:
    mine, theirs = await kind.aget("1"), await kind.aget("1")
    await theirs.m.aincrease()
    mine.n = 1
    await mine.asave(if_unchanged=False)
    assert ((await kind.aget("1")).n, (await kind.aget("1")).m) == (1, 1)
    mine.n = 2
    with pytest.raises(StaleModelError):
        await save(mine)


OWN: list[Callable[[Any], Awaitable[object]]] = [
    lambda model: model.m.aincrease(),
    lambda model: model.tags.aappend("a"),
    lambda model: model.tags.aextend(["a", "b"]),
    lambda model: model.aupdate(m=5),
    lambda model: model.inner.n.aincrease(),
    lambda model: model.inner.asave(),
    lambda model: model.m.asave(),
    lambda model: model.tags.apop(),
    lambda model: model.m.aload(),
    lambda model: model.aset_ttl(100),
    lambda model: model.apersist(),
    lambda model: model.asave(if_unchanged=False),
    lambda model: asyncio.gather(model.m.aincrease(), model.n.aincrease(), model.tags.aappend("x")),
]


@pytest.mark.parametrize("act", OWN)
async def test_what_was_done_here_is_nobody_elses_change(
    kind: Any, act: Callable[[Any], Awaitable[object]]
) -> None:
    mine = await kind.aget("1")
    await save(mine)
    await act(mine)
    mine.n = 7
    await save(mine)
    assert (await kind.aget("1")).n == 7


@pytest.mark.parametrize("act", OWN[:7])
async def test_what_was_done_here_hides_nobody_elses_change(
    kind: Any, act: Callable[[Any], Awaitable[object]]
) -> None:
    mine, theirs = await kind.aget("1"), await kind.aget("1")
    await save(mine)
    await theirs.n.aincrease()
    await act(mine)
    await act(mine)
    with pytest.raises(StaleModelError):
        await save(mine)


async def test_a_successor_under_the_key_is_another_document(kind: Any, on_host: Host) -> None:
    mine = await kind.aget("1")
    await save(mine)
    text = await on_host.call("MODEL.GET_RO", mine.key)
    await on_host.pass_time(0.005)
    await on_host.call("MODEL.DEL", mine.key)
    await on_host.call("MODEL.CREATE", mine.key, text)  # type: ignore[arg-type]
    with pytest.raises(StaleModelError):
        await save(mine)


async def test_a_document_that_is_gone_is_not_made_again(kind: Any, on_host: Host) -> None:
    for seen in (False, True):
        mine = await kind.aget("1")
        if seen:
            await save(mine)
        text = await on_host.call("MODEL.GET_RO", mine.key)
        await on_host.call("MODEL.DEL", mine.key)
        mine.n = 5
        with pytest.raises(StaleModelError, match="gone"):
            await save(mine)
        with pytest.raises(StaleModelError, match="gone"):
            async with apipeline():
                await save(mine)
        assert await on_host.call("EXISTS", mine.key) == 0
        await on_host.call("MODEL.CREATE", mine.key, text)  # type: ignore[arg-type]


async def test_a_new_model_is_in_nobodys_place(kind: Any, on_host: Host) -> None:
    for block in (False, True):
        for there in (True, False):
            new = kind(id="1" if there else f"new-{block}", n=5)
            if not there:
                async with apipeline() if block else nullcontext():
                    await save(new)
                new.n = 6
                await save(new)
                assert (await kind.aget(new.id)).n == 6
                continue
            with pytest.raises(StaleModelError):
                async with apipeline() if block else nullcontext():
                    await save(new)
            assert (await kind.aget("1")).n == 0
    with pytest.raises(StaleModelError, match="no version"):
        await kind(id="other").asave(only_existing=True, if_unchanged=True)


WAYS: list[Callable[[], Awaitable[Any]]] = [
    lambda: Optimistic.aget("1"),
    lambda: Optimistic.afind_one("1"),
    lambda: _first(Optimistic.afind("1")),
    lambda: _first(Optimistic.afind()),
    lambda: _first(Optimistic.afind(Optimistic.n == 0)),
    lambda: _first(Optimistic.aget_or_create(Optimistic())),
    lambda: _first(Optimistic.aget_or_create(Optimistic(id="2"))),
    lambda: Optimistic(id="2").asave(),
    lambda: Optimistic(id="2").asave(if_unchanged=False),
    lambda: _first(Optimistic.ainsert(Optimistic())),
]


async def _first(found: Awaitable[Any]) -> Any:
    return (await found)[0]


@pytest.mark.parametrize("way", WAYS)
async def test_however_it_was_loaded_the_version_is_known(
    on_host: Host, way: Callable[[], Awaitable[Any]]
) -> None:
    await on_host.call("MODEL.CREATE", "Optimistic:1", STORED)
    model = await way()
    assert state_of(model).version is not None
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert state_of(twin).version == state_of(model).version
    model.n = 3
    await model.asave()
    await on_host.call("MODEL.INCRBY", model.key, "$.m", "1")
    with pytest.raises(StaleModelError):
        await model.asave()
    async with model.alock():
        await model.asave()
    await on_host.call("MODEL.INCRBY", model.key, "$.m", "1")
    async with model.apipeline():
        model.n = 4
    await model.asave()


async def test_a_class_that_does_not_insist_asks_for_no_versions(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Plain:1", STORED)
    model = await Plain.aget("1")
    await model.asave()
    assert state_of(model).version is None
    await model.asave(if_unchanged=True)
    assert state_of(model).version is not None


async def test_a_block_that_saves_insists_as_a_whole(kind: Any) -> None:
    mine, theirs = await kind.aget("1"), await kind.aget("1")
    async with apipeline():
        await mine.tags.aappend("a")
        mine.n = 1
        await save(mine)
        await mine.m.aincrease()
    async with apipeline():
        mine.n = 2
        mine.tags.append("b")
        await save(mine)
    mine.n = 3
    await save(mine)

    await theirs.m.aincrease()
    with pytest.raises(StaleModelError):
        async with apipeline():
            await mine.tags.aappend("lost")
            await save(mine)
    assert (await kind.aget("1")).tags == mine.tags == ["a", "b"]


async def test_a_block_that_does_not_save_is_followed_like_an_operation(kind: Any) -> None:
    mine, theirs = await kind.aget("1"), await kind.aget("1")
    await save(mine)
    async with apipeline():
        mine.n += 1
        await mine.tags.aappend("a")
    await save(mine)
    await theirs.m.aincrease()
    async with apipeline():
        mine.n += 1
    with pytest.raises(StaleModelError):
        await save(mine)


async def test_an_inner_block_moves_what_the_outer_one_insists_on(kind: Any) -> None:
    mine = await kind.aget("1")
    await save(mine)
    async with apipeline():
        mine.n += 1
        async with apipeline():
            mine.m += 1
        await save(mine)
    assert ((await kind.aget("1")).n, (await kind.aget("1")).m) == (1, 1)
    mine.n += 1
    await save(mine)


async def test_many_read_decide_and_write_and_nothing_is_lost(kind: Any) -> None:
    async def add() -> None:
        while True:
            model = await kind.aget("1")
            model.n = model.n + 1
            await asyncio.sleep(0)
            try:
                await save(model)
            except StaleModelError:
                continue
            return

    await asyncio.gather(*(add() for _ in range(8)))
    assert (await kind.aget("1")).n == 8


async def test_only_whole_documents_have_versions(kind: Any) -> None:
    model = await kind.aget("1")
    with pytest.raises(NestedModelError, match="if_unchanged"):
        await model.inner.asave(if_unchanged=True)
    with pytest.raises(KeyNotFound):
        await kind(id="nobody").asave(only_existing=True, if_unchanged=False)
