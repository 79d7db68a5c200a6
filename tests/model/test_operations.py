"""Every operation of the package against what all of them promise, on every host.

The operations are read from the classes: one that is declared, and has no row here, fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from pydantic import BaseModel

import rapyer
from _hosts import Host
from _package import moves_deadline
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig
from rapyer.actions import groups_of
from rapyer.errors import KeyNotFound, RapyerError
from rapyer.types import (
    PriorityQueueItem,
    RedisDict,
    RedisFloat,
    RedisInt,
    RedisList,
    RedisPriorityQueue,
    RedisSet,
)


class Part(BaseModel):
    n: int = 0


class Doc(AtomicRedisModel):
    n: RedisInt = RedisInt(1)
    ratio: RedisFloat = RedisFloat(1.5)
    items: RedisList[int] = RedisList([1, 2, 3])
    names: RedisDict[str, int] = RedisDict({"a": 1, "b": 2})
    members: RedisSet[str] = RedisSet({"x", "y"})
    queue: RedisPriorityQueue[str] = RedisPriorityQueue([PriorityQueueItem("first", 1.0)])
    part: Part = Part()
    other: str = ""
    later: int | None = None


GROUPS: list[ActionGroup] = [
    group for group in ActionGroup.__members__.values() if group is not ActionGroup.DELETE
]
OWNERS = {
    "model": AtomicRedisModel,
    "list": RedisList,
    "dict": RedisDict,
    "set": RedisSet,
    "queue": RedisPriorityQueue,
    "int": RedisInt,
    "float": RedisFloat,
}
OPERATIONS = {
    f"{owner}.{name}": groups
    for owner, kind in OWNERS.items()
    for name, method in inspect.getmembers(kind)
    if (groups := groups_of(method)) is not None
}


@dataclass(frozen=True)
class Row:
    """How an operation is used on a stored document."""

    act: Callable[[Doc], Awaitable[object]]
    fifty: Callable[[Any], bool] | None = None
    """What must be true of the document after fifty writers did it, each on a copy of its own."""
    makes: bool = False
    """Whether it stores a document where there is none."""
    looks: bool = False
    """Whether a missing document is an answer, and no error."""
    sets_lifetime: bool = False


async def _enter(manager: contextlib.AbstractAsyncContextManager[object]) -> None:
    async with manager:
        pass


async def _assign(doc: Doc) -> None:
    doc.part.n = 9
    await doc.part.asave()  # type: ignore[attr-defined]


NUMBER = count(1)

ROWS: dict[str, Row] = {
    "model.asave": Row(lambda doc: _change(doc).asave(), lambda d: d["n"] == 99, makes=True),
    "model.ainsert": Row(lambda doc: Doc.ainsert(doc), lambda d: d["n"] == 1, makes=True),
    "model.aget_or_create": Row(lambda doc: Doc.aget_or_create(doc), lambda d: d["n"] == 1, makes=True),
    "model.aduplicate": Row(lambda doc: doc.aduplicate(), lambda d: d["n"] == 1),
    "model.aduplicate_many": Row(lambda doc: doc.aduplicate_many(2), lambda d: d["n"] == 1),
    "model.aget": Row(lambda doc: Doc.aget(doc.key)),
    "model.afind": Row(lambda doc: Doc.afind(doc.key)),
    "model.afind_keys": Row(lambda doc: Doc.afind_keys(), looks=True),
    "model.afind_one": Row(lambda doc: Doc.afind_one(doc.key), looks=True),
    "model.aexists": Row(lambda doc: Doc.aexists(doc.key), looks=True),
    "model.aload": Row(lambda doc: doc.aload()),
    "model.aupdate": Row(lambda doc: doc.aupdate(n=7), lambda d: d["n"] == 7),
    "model.aset_default": Row(
        lambda doc: doc.aset_default("later", next(NUMBER)), lambda d: isinstance(d["later"], int)
    ),
    "model.aincrease": Row(lambda doc: Doc.aincrease(doc.key, "n", 2), lambda d: d["n"] == 101, makes=True),
    "model.adelete": Row(lambda doc: doc.adelete(), lambda d: d is None, looks=True),
    "model.adelete_by_key": Row(lambda doc: Doc.adelete_by_key(doc.key), lambda d: d is None, looks=True),
    "model.adelete_many": Row(lambda doc: Doc.adelete_many(doc), lambda d: d is None, looks=True),
    "model.aset_ttl": Row(lambda doc: doc.aset_ttl(77), sets_lifetime=True),
    "model.apersist": Row(lambda doc: doc.apersist(), sets_lifetime=True),
    "model.atouch": Row(lambda doc: doc.atouch(), sets_lifetime=True),
    "model.aexpires_at": Row(lambda doc: doc.aexpires_at()),
    "model.attl": Row(lambda doc: doc.attl()),
    "model.apipeline": Row(lambda doc: _enter(doc.apipeline())),
    "model.alock": Row(lambda doc: _enter(doc.alock())),
    "model.alock_from_key": Row(lambda doc: _enter(Doc.alock_from_key(doc.key)), looks=True),
    "list.asave": Row(lambda doc: doc.items.asave(), lambda d: d["items"] == [1, 2, 3]),
    "list.aload": Row(lambda doc: doc.items.aload()),
    "list.aget": Row(lambda doc: doc.items.aget(0)),
    "list.alen": Row(lambda doc: doc.items.alen()),
    "list.acontains": Row(lambda doc: doc.items.acontains(1)),
    "list.aappend": Row(lambda doc: doc.items.aappend(4), lambda d: d["items"] == [1, 2, 3] + 50 * [4]),
    "list.aextend": Row(
        lambda doc: doc.items.aextend([4, 5]), lambda d: d["items"] == [1, 2, 3] + 50 * [4, 5]
    ),
    "list.ainsert": Row(lambda doc: doc.items.ainsert(0, 9), lambda d: d["items"] == 50 * [9] + [1, 2, 3]),
    "list.apop": Row(lambda doc: doc.items.apop(), lambda d: d["items"] == []),
    "list.aremove": Row(lambda doc: doc.items.aremove(2), lambda d: d["items"] == [1, 3]),
    "list.aremove_range": Row(lambda doc: doc.items.aremove_range(0, 1), lambda d: d["items"] == []),
    "list.aclear": Row(lambda doc: doc.items.aclear(), lambda d: d["items"] == []),
    "list.aset_item": Row(lambda doc: doc.items.aset_item(1, 9), lambda d: d["items"] == [1, 9, 3]),
    "dict.asave": Row(lambda doc: doc.names.asave(), lambda d: d["names"] == {"a": 1, "b": 2}),
    "dict.aload": Row(lambda doc: doc.names.aload()),
    "dict.aget": Row(lambda doc: doc.names.aget("a")),
    "dict.alen": Row(lambda doc: doc.names.alen()),
    "dict.acontains": Row(lambda doc: doc.names.acontains("a")),
    "dict.aincrease": Row(lambda doc: doc.names.aincrease("c"), lambda d: d["names"]["c"] == 50),
    "dict.aset_item": Row(
        lambda doc: doc.names.aset_item(str(next(NUMBER)), 1), lambda d: len(d["names"]) == 52
    ),
    "dict.aupdate": Row(
        lambda doc: doc.names.aupdate({str(next(NUMBER)): 1}, a=5),
        lambda d: len(d["names"]) == 52 and d["names"]["a"] == 5,
    ),
    "dict.adel_item": Row(lambda doc: doc.names.adel_item("a"), lambda d: d["names"] == {"b": 2}),
    "dict.aclear": Row(lambda doc: doc.names.aclear(), lambda d: d["names"] == {}),
    "dict.apop": Row(lambda doc: doc.names.apop("a"), lambda d: d["names"] == {"b": 2}),
    "dict.apopitem": Row(lambda doc: _but_key_errors(doc.names.apopitem()), lambda d: d["names"] == {}),
    "set.asave": Row(lambda doc: doc.members.asave(), lambda d: sorted(d["members"]) == ["x", "y"]),
    "set.aload": Row(lambda doc: doc.members.aload()),
    "set.alen": Row(lambda doc: doc.members.alen()),
    "set.aadd": Row(lambda doc: doc.members.aadd(str(next(NUMBER))), lambda d: len(d["members"]) == 52),
    "set.aadd_many": Row(
        lambda doc: doc.members.aadd_many(["x", "z", str(next(NUMBER))]), lambda d: len(d["members"]) == 53
    ),
    "set.aremove": Row(lambda doc: doc.members.aremove("x"), lambda d: d["members"] == ["y"]),
    "set.apop": Row(lambda doc: doc.members.apop(), lambda d: d["members"] == []),
    "set.aclear": Row(lambda doc: doc.members.aclear(), lambda d: d["members"] == []),
    "set.acontains": Row(lambda doc: doc.members.acontains("x")),
    "set.amembers": Row(lambda doc: doc.members.amembers()),
    "set.asize": Row(lambda doc: doc.members.asize()),
    "set.aunion": Row(lambda doc: doc.members.aunion(doc.members), looks=True),
    "set.aintersect": Row(lambda doc: doc.members.aintersect(doc.members), looks=True),
    "set.adifference": Row(lambda doc: doc.members.adifference(), looks=True),
    "queue.asave": Row(lambda doc: doc.queue.asave(), lambda d: d["queue"] == [[1.0, "first"]]),
    "queue.aload": Row(lambda doc: doc.queue.aload()),
    "queue.apush": Row(lambda doc: doc.queue.apush(str(next(NUMBER)), 0), lambda d: len(d["queue"]) == 51),
    "queue.apush_many": Row(
        lambda doc: doc.queue.apush_many([PriorityQueueItem("first", 0), PriorityQueueItem("z", 2)]),
        lambda d: d["queue"] == [[0.0, "first"], [2.0, "z"]],
    ),
    "queue.apop": Row(lambda doc: doc.queue.apop(), lambda d: d["queue"] == []),
    "queue.apeek": Row(lambda doc: doc.queue.apeek()),
    "queue.asize": Row(lambda doc: doc.queue.asize()),
    "queue.aitems": Row(lambda doc: doc.queue.aitems()),
    "queue.aremove": Row(lambda doc: doc.queue.aremove("first"), lambda d: d["queue"] == []),
    "queue.aclear": Row(lambda doc: doc.queue.aclear(), lambda d: d["queue"] == []),
    "int.asave": Row(lambda doc: doc.n.asave(), lambda d: d["n"] == 1),
    "int.aload": Row(lambda doc: doc.n.aload()),
    "int.aincrease": Row(lambda doc: doc.n.aincrease(2), lambda d: d["n"] == 101),
    "float.asave": Row(lambda doc: doc.ratio.asave(), lambda d: d["ratio"] == 1.5),
    "float.aload": Row(lambda doc: doc.ratio.aload()),
    "float.aincrease": Row(lambda doc: doc.ratio.aincrease(0.5), lambda d: d["ratio"] == 26.5),
}
WRITES = ActionGroup.UPDATE | ActionGroup.APPEND | ActionGroup.ERASE | ActionGroup.ARITHMETIC
CREATES = {"model.aduplicate", "model.aduplicate_many", "model.ainsert"}


def each(which: Callable[[str], object] = lambda name: True) -> pytest.MarkDecorator:
    """The operations for which this is true."""
    return pytest.mark.parametrize("name", [name for name in ROWS if which(name)])


def _change(doc: Doc) -> Doc:
    doc.n = 99
    return doc


async def _but_key_errors(awaitable: Awaitable[object]) -> None:
    with contextlib.suppress(KeyError):
        await awaitable


@pytest.fixture(autouse=True)
async def own_settings() -> AsyncIterator[None]:
    yield
    Doc.Meta = RedisConfig()


@pytest.fixture
async def doc(on_host: Host) -> Doc:
    Doc.Meta = RedisConfig(ttl=1000)
    return await Doc().asave()


async def stored(host: Host, doc: Doc) -> Any:
    text = await host.call("MODEL.GET_RO", str(doc.key))
    assert text is None or isinstance(text, bytes)
    return None if text is None else json.loads(text)


def test_every_operation_has_a_row() -> None:
    assert set(OPERATIONS) == set(ROWS)


def test_every_awaited_method_is_declared() -> None:
    for owner, kind in OWNERS.items():
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if inspect.iscoroutinefunction(method) and not name.startswith("_"):
                assert groups_of(method) is not None, f"{owner}.{name}"


@each(lambda name: OPERATIONS[name] and name not in CREATES and OPERATIONS[name] != ActionGroup.DELETE)
async def test_it_refreshes_under_each_of_its_groups(on_host: Host, doc: Doc, name: str) -> None:
    for group in [group for group in GROUPS if group in OPERATIONS[name]]:
        Doc.Meta.refresh_ttl = group
        doc = await Doc().asave()
        assert await moves_deadline(on_host, doc.key, lambda: ROWS[name].act(doc)), group  # noqa: B023


@each(lambda name: not ROWS[name].sets_lifetime and OPERATIONS[name] != ActionGroup.DELETE)
async def test_it_refreshes_under_no_other(on_host: Host, doc: Doc, name: str) -> None:
    Doc.Meta.refresh_ttl = ActionGroup.all(for_ttl=True) & ~OPERATIONS[name]
    await on_host.call("MODEL.TTL", "TOUCH", doc.key)
    assert not await moves_deadline(on_host, doc.key, lambda: ROWS[name].act(doc))


@each(
    lambda name: (
        OPERATIONS[name] & WRITES
        and ActionGroup.CREATE not in OPERATIONS[name]
        # It has no model to follow it, and is done at once.
        and name != "model.aincrease"
    )
)
async def test_in_a_transaction_it_does_the_same(on_host: Host, doc: Doc, name: str) -> None:
    global NUMBER
    twin = await Doc().asave()
    NUMBER = count(1)
    alone = await ROWS[name].act(twin)
    for group in GROUPS:
        Doc.Meta.refresh_ttl = group
        doc = await Doc().asave()
        # What is new each time is the same as it was alone.
        NUMBER = count(1)
        answers = []

        async def act() -> None:
            async with rapyer.apipeline():
                answers.append(await ROWS[name].act(doc))  # noqa: B023

        assert await moves_deadline(on_host, doc.key, act) is bool(group & OPERATIONS[name]), group
        assert await Doc.aget(doc.key) == doc
        # Any item of a set may be the one that is taken.
        if name != "set.apop":
            assert answers == [alone]
            assert await stored(on_host, doc) == await stored(on_host, twin)


@each()
async def test_stale_local_state_overwrites_nothing(on_host: Host, doc: Doc, name: str) -> None:
    await on_host.call("MODEL.UPDATE", doc.key, "$.other", '"theirs"', "$.part.n", "5")
    await ROWS[name].act(doc)
    found = await stored(on_host, doc)
    if OPERATIONS[name] == ActionGroup.DELETE:
        assert found is None
    elif name != "model.ainsert":
        assert (found["other"], found["part"]) == ("theirs", {"n": 5})


@each()
async def test_an_error_leaves_all_as_it_was(on_host: Host, doc: Doc, name: str) -> None:
    await on_host.call("MODEL.DEL", doc.key)
    before = doc.model_copy(deep=True)
    if ROWS[name].makes:
        await ROWS[name].act(doc)
        assert await stored(on_host, doc) is not None
        return
    if ROWS[name].looks:
        await ROWS[name].act(doc)
    else:
        with pytest.raises((KeyNotFound, IndexError)):
            await ROWS[name].act(doc)
        assert doc == before
    assert await on_host.call("EXISTS", doc.key) == 0


@each(lambda name: OPERATIONS[name] & (WRITES | ActionGroup.CREATE | ActionGroup.DELETE))
async def test_fifty_writers_at_once_lose_nothing(on_host: Host, doc: Doc, name: str) -> None:
    copies = [await Doc.aget(doc.key) for _ in range(50)]
    outcomes = await asyncio.gather(*map(ROWS[name].act, copies), return_exceptions=True)
    assert not [outcome for outcome in outcomes if isinstance(outcome, RapyerError)]
    found = await stored(on_host, doc)
    check = ROWS[name].fifty
    assert check is not None, "what must be true afterwards is missing from the row"
    assert check(found), found
