"""What documents of an older release lack, and what is made where there is nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, Field, ValidationError

import rapyer
from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, _connection, _transaction
from rapyer.errors import (
    ConstraintError,
    KeyNotFound,
    StaleModelError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)
from rapyer.fields import Key
from rapyer.types import (
    RedisDict,
    RedisFloat,
    RedisInt,
    RedisList,
    RedisPriorityQueue,
    RedisSet,
)


class Profile(BaseModel):
    name: str = ""
    visits: RedisInt = RedisInt(7)


class Account(AtomicRedisModel):
    name: str = ""
    visits: RedisInt = RedisInt(40)
    ratio: RedisFloat = RedisFloat(0.5)
    tags: RedisList[str] = RedisList(["new"])
    labels: RedisSet[str] = RedisSet({"new"})
    counts: RedisDict[str, int] = RedisDict({"a": 1})
    queue: RedisPriorityQueue[str] = RedisPriorityQueue()
    profile: Profile = Profile()
    note: str | None = None


class Window(AtomicRedisModel):
    name: Annotated[str, Key] = ""
    hits: RedisInt = Field(default=RedisInt(0), le=100)
    limit: int = 5


ACTS: dict[str, tuple[Any, str, Any]] = {
    "aincrease": (lambda one: one.visits.aincrease(2), "visits", 42),
    "float aincrease": (lambda one: one.ratio.aincrease(1), "ratio", 1.5),
    "aappend": (lambda one: one.tags.aappend("x"), "tags", ["new", "x"]),
    "ainsert": (lambda one: one.tags.ainsert(0, "x"), "tags", ["x", "new"]),
    "apop": (lambda one: one.tags.apop(), "tags", []),
    "aremove": (lambda one: one.tags.aremove("new"), "tags", []),
    "aremove_range": (lambda one: one.tags.aremove_range(0, 1), "tags", []),
    "aset_item of a list": (lambda one: one.tags.aset_item(0, "x"), "tags", ["x"]),
    "aclear": (lambda one: one.tags.aclear(), "tags", []),
    "aadd": (lambda one: one.labels.aadd("x"), "labels", ["new", "x"]),
    "aremove of a set": (lambda one: one.labels.aremove("new"), "labels", []),
    "aset_item": (lambda one: one.counts.aset_item("b", 2), "counts", {"a": 1, "b": 2}),
    "adel_item": (lambda one: one.counts.adel_item("a"), "counts", {}),
    "apop of a dict": (lambda one: one.counts.apop("a"), "counts", {}),
    "apopitem": (lambda one: one.counts.apopitem(), "counts", {}),
    "entry aincrease": (lambda one: one.counts.aincrease("b", 3), "counts", {"a": 1, "b": 3}),
    "apush": (lambda one: one.queue.apush("b", 2), "queue", [[2.0, "b"]]),
    "nested aincrease": (lambda one: one.profile.visits.aincrease(1), "profile", {"name": "", "visits": 8}),
    "nested aupdate": (lambda one: one.profile.aupdate(name="x"), "profile", {"name": "x", "visits": 7}),
}


async def stored(host: Host, key: str) -> Any:
    text = await host.call("MODEL.GET_RO", key)
    return None if text is None else json.loads(cast("bytes", text))


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("block", [False, True], ids=["awaited", "block"])
async def test_an_operation_starts_from_the_default_of_a_field_added_since(
    on_host: Host, name: str, block: bool
) -> None:
    act, field, expected = ACTS[name]
    await on_host.call("MODEL.CREATE", "Account:1", '{"name":"ada"}')
    account = await Account.aget("1")
    if block:
        async with rapyer.apipeline():
            await act(account)
    else:
        await act(account)
    found = await stored(on_host, "Account:1")
    assert found == {"name": "ada", field: expected}
    assert await Account.aget("1") == account
    assert not unsaved(account)


async def test_two_instances_add_to_a_new_field_and_to_a_new_member_of_a_nested_model(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Account:1", '{"profile":{"name":"ada"}}')
    one, other = await Account.aget("1"), await Account.aget("1")
    assert [await one.visits.aincrease(), await other.visits.aincrease()] == [41, 42]
    assert [await one.profile.visits.aincrease(), await other.profile.visits.aincrease()] == [8, 9]
    async with rapyer.apipeline():
        one.visits += 1
        one.counts["b"] = 1
        one.tags.append("x")
    assert (await stored(on_host, "Account:1"))["visits"] == 43
    third = await Account.aget("1")
    await on_host.call("MODEL.SET", "Account:1", "$.labels", '["theirs"]')
    await third.asave()
    async with rapyer.apipeline():
        third.labels.add("x")
    assert third.labels == {"theirs", "x"}


async def test_recorded_operations_of_a_block_join_what_others_made_of_a_new_field(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Account:1", "{}")
    one, other = await Account.aget("1"), await Account.aget("1")
    async with rapyer.apipeline():
        one.visits += 1
        await other.visits.aincrease(10)
    assert (await stored(on_host, "Account:1"))["visits"] == 51
    assert (await Account.aget("1")).visits == 51


async def test_nothing_is_sent_for_a_field_that_is_stored(
    on_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await Account().asave()
    sent: list[tuple[Any, ...]] = []
    run = _connection.execute

    async def noting(route: Any, words: Any, **options: Any) -> Any:
        sent.append(words)
        return await run(route, words, **options)

    monkeypatch.setattr(_transaction, "execute", noting)
    await account.visits.aincrease()
    assert sent == [("MODEL.INCRBY", account.key, "$.visits", "1")]


async def test_a_default_is_set_once_and_what_is_there_is_returned(on_host: Host) -> None:
    account = await Account(note=None).asave()
    assert await account.aset_default("note", "first") == "first"
    other = await Account.aget(account.key)
    assert await other.aset_default("note", "second") == "first"
    assert other.note == "first"
    account.note = "unsaved"
    assert await account.aset_default("note", "third") == "first"
    assert account.note == "first"
    assert not unsaved(account)

    await on_host.call("MODEL.CREATE", "Account:old", "{}")
    old = await Account.aget("old")
    assert await old.aset_default("visits", 3) == 3
    assert await stored(on_host, "Account:old") == {"visits": 3}
    await on_host.call("MODEL.SET", "Account:old", "$.profile", "{}")
    assert await old.profile.aset_default("visits", 4) == 4  # type: ignore[attr-defined]
    assert await stored(on_host, "Account:old") == {"visits": 3, "profile": {"visits": 4}}


async def test_of_many_who_set_a_default_one_does(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Account:1", "{}")
    copies = [await Account.aget("1") for _ in range(10)]
    values = await asyncio.gather(*(one.aset_default("note", str(at)) for at, one in enumerate(copies)))
    assert len(set(values)) == 1


async def test_a_default_in_a_block_is_what_the_block_found_or_the_block_is_refused(on_host: Host) -> None:
    account = await Account().asave()
    async with rapyer.apipeline():
        assert await account.aset_default("note", "mine") == "mine"
    assert (await Account.aget(account.key)).note == "mine"
    other = await Account().asave()
    with pytest.raises(StaleModelError, match="note"):
        async with rapyer.apipeline():
            assert await other.aset_default("note", "mine") == "mine"
            await on_host.call("MODEL.SET", other.key, "$.note", '"theirs"')
    assert other.note is None


async def test_a_default_needs_a_field_a_valid_value_and_a_document(on_host: Host) -> None:
    account = await Account().asave()
    with pytest.raises(UnsupportedArgumentValueError, match="no field 'other'"):
        await account.aset_default("other", 1)
    with pytest.raises(ValidationError):
        await account.aset_default("visits", "many")
    await account.adelete()
    with pytest.raises(KeyNotFound, match=r"Account:.*\$\.note"):
        await account.aset_default("note", "x")


async def test_an_entry_of_a_dict_is_created_by_adding_to_it(on_host: Host) -> None:
    account = await Account().asave()
    assert await account.counts.aincrease("b", 2) == 2
    assert await account.counts.aincrease("a") == 2
    assert await account.counts.aincrease("a", 5, maximum=3) is None
    assert account.counts == {"a": 2, "b": 2}
    assert await Account.aget(account.key) == account
    copies = [await Account.aget(account.key) for _ in range(10)]
    assert sorted(await asyncio.gather(*(one.counts.aincrease("c") for one in copies))) == list(range(1, 11))
    with pytest.raises(StaleModelError, match=r"counts\.a"):
        async with rapyer.apipeline():
            await account.counts.aincrease("d")
            await account.counts.aincrease("a", 5, maximum=3)
    assert "d" not in account.counts

    class Named(AtomicRedisModel):
        names: RedisDict[str, str] = RedisDict()
        rates: RedisDict[int, float] = RedisDict()

    named = await Named().asave()
    with pytest.raises(UnsupportedArgumentTypeError, match="no numbers"):
        await named.names.aincrease("a")
    assert await named.rates.aincrease(3, 1) == 1.0
    assert named.rates == {3: 1.0}
    with pytest.raises(UnsupportedArgumentTypeError, match="amount of a whole number"):
        await account.counts.aincrease("a", 0.5)


async def test_a_counter_is_made_with_its_document_and_its_ttl(on_host: Host) -> None:
    Window.Meta.ttl = 60
    assert await Window.aincrease("ada", "hits", 2, limit=9) == 2
    assert await Window.aincrease("Window:ada", "hits") == 3
    window = await Window.aget("ada")
    assert (window.name, window.hits, window.limit) == ("ada", 3, 9)
    assert 0 < (await window.attl() or 0) <= 60
    assert await Window.aincrease("ada", "hits", 3, maximum=5) is None
    assert await Window.aincrease("eve", "hits", 3, maximum=2) is None
    assert not await Window.aexists("eve")
    assert await Window.aincrease("ada", "hits", -4, minimum=0) is None
    with pytest.raises(ConstraintError, match="100"):
        await Window.aincrease("ada", "hits", 98)
    assert (await Window.aget("ada")).hits == 3
    await on_host.call("MODEL.CREATE", "Window:old", '{"name":"old"}')
    assert await Window.aincrease("old", "hits") == 1


async def test_of_many_calls_at_once_a_limiter_lets_pass_as_many_as_it_says(on_host: Host) -> None:
    answers = await asyncio.gather(*(Window.aincrease("ada", "hits", maximum=7) for _ in range(20)))
    assert sorted(answer for answer in answers if answer is not None) == list(range(1, 8))


async def test_a_counter_needs_a_field_that_is_a_number(on_host: Host) -> None:
    with pytest.raises(UnsupportedArgumentTypeError, match=r"Account\.name is no number"):
        await Account.aincrease("1", "name")
    with pytest.raises(UnsupportedArgumentValueError, match="no field 'other'"):
        await Account.aincrease("1", "other")
    with pytest.raises(UnsupportedArgumentTypeError, match="amount of a whole number"):
        await Account.aincrease("1", "visits", 0.5)
    with pytest.raises(ValidationError):
        await Account.aincrease("1", "visits", name=3)
