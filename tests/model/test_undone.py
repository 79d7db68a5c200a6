"""What others did stays, whatever failed, was cancelled or went on at once here in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

import rapyer
from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel
from rapyer.errors import ConcurrentTransactionError, KeyNotFound
from rapyer.types import RedisPriorityQueue


class Owner(BaseModel):
    name: str = ""
    city: str = ""


class Account(AtomicRedisModel):
    balance: int = 100
    note: str = ""
    tags: set[str] = {"a"}
    log: list[str] = []
    counts: dict[str, int] = {"x": 1}
    owner: Owner = Owner()
    owners: list[Owner] = []
    moments: list[datetime] = []
    days: set[datetime] = set()
    prices: set[Decimal] = set()
    amounts: list[Decimal] = []
    queue: RedisPriorityQueue[str] = RedisPriorityQueue()


class OldOwner(BaseModel):
    name: str = ""


class OldAccount(AtomicRedisModel):
    """An older release of the same documents."""

    balance: int = 100
    owner: OldOwner = OldOwner()
    owners: list[OldOwner] = []

    @classmethod
    def class_key_initials(cls) -> str:
        return "Account"


@pytest.fixture
async def account(on_host: Host) -> Any:
    return await Account().asave()


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    assert isinstance(text, bytes)
    return json.loads(text)


# -- blocks in blocks


async def test_a_fee_inside_a_transfer_is_taken_once(on_host: Host, account: Any) -> None:
    async with account.apipeline():
        account.balance -= 50
        async with account.apipeline():
            account.balance -= 1
        assert account.balance == 49
        assert (await stored(on_host, account))["balance"] == 99
    assert (account.balance, (await stored(on_host, account))["balance"]) == (49, 49)
    assert not unsaved(account)


async def test_three_blocks_within_one_another_add_up(on_host: Host, account: Any) -> None:
    account.balance = 0
    await account.asave()
    async with account.apipeline():
        account.balance += 100
        async with account.apipeline():
            account.balance += 10
            async with account.apipeline():
                account.balance += 1
            assert account.balance == 111
            assert (await stored(on_host, account))["balance"] == 1
        assert account.balance == 111
        assert (await stored(on_host, account))["balance"] == 11
    assert (account.balance, (await stored(on_host, account))["balance"]) == (111, 111)


async def test_a_failed_transfer_leaves_the_fee_that_was_taken(on_host: Host, account: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with account.apipeline():
            account.balance -= 50
            async with account.apipeline():
                account.balance -= 1
            raise ZeroDivisionError
    assert account.balance == 99
    account.note = "mine"
    await account.asave()
    found = await stored(on_host, account)
    assert (found["balance"], found["note"]) == (99, "mine")


async def test_an_inner_block_that_loads_moves_the_outer_one(on_host: Host, account: Any) -> None:
    async with rapyer.apipeline():
        account.balance += 50
        await on_host.call("MODEL.SET", account.key, "$.balance", "1000")
        async with account.apipeline():
            assert account.balance == 1050
            account.balance += 1
        assert account.balance == 1051
    assert (account.balance, (await stored(on_host, account))["balance"]) == (1051, 1051)


async def test_a_block_that_joins_and_cannot_begin_leaves_the_one_around_it(
    on_host: Host, account: Any
) -> None:
    gone: Any = Account()
    async with rapyer.apipeline():
        account.balance += 1
        with pytest.raises(KeyNotFound):
            async with gone.apipeline(use_existing_pipe=True):
                raise AssertionError("not entered")
        assert account.balance == 101
        account.balance += 1
    assert (account.balance, (await stored(on_host, account))["balance"]) == (102, 102)


# -- failures, cancellations, other tasks


async def test_after_a_failed_block_a_save_undoes_nothing(on_host: Host, account: Any) -> None:
    account.note = "mine"
    with pytest.raises(ZeroDivisionError):
        async with account.apipeline():
            account.balance -= 50
            account.tags.add("mine")
            await on_host.call("MODEL.UPDATE", account.key, "$.balance", "7", "$.log", '["theirs"]')
            await on_host.call("MODEL.ADD", account.key, "$.tags", '"theirs"')
            raise ZeroDivisionError
    await account.asave()
    found = await stored(on_host, account)
    assert (found["balance"], found["log"], sorted(found["tags"])) == (7, ["theirs"], ["a", "theirs"])
    assert found["note"] == "mine"


async def test_a_failed_block_keeps_what_another_task_did_to_its_model(on_host: Host, account: Any) -> None:
    entered, done = asyncio.Event(), asyncio.Event()

    async def other() -> None:
        await entered.wait()
        await account.balance.aincrease(5)
        await account.log.aappend("theirs")
        done.set()

    task = asyncio.create_task(other())
    with pytest.raises(ZeroDivisionError):
        async with rapyer.apipeline():
            account.balance -= 50
            entered.set()
            await done.wait()
            assert (account.balance, account.log) == (55, ["theirs"])
            raise ZeroDivisionError
    await task
    assert (account.balance, account.log) == (105, ["theirs"])
    await account.asave()
    found = await stored(on_host, account)
    assert (found["balance"], found["log"]) == (105, ["theirs"])


async def test_another_tasks_block_neither_sends_nor_takes_what_is_pending(
    on_host: Host, account: Any
) -> None:
    async def other() -> None:
        with pytest.raises(ConcurrentTransactionError):
            async with rapyer.apipeline():
                account.balance = 1
        with pytest.raises(ConcurrentTransactionError):
            async with account.apipeline():
                raise AssertionError("not entered")

    entered, done = asyncio.Event(), asyncio.Event()

    async def waiting() -> None:
        await entered.wait()
        await other()
        done.set()

    task = asyncio.create_task(waiting())
    async with rapyer.apipeline():
        account.balance -= 50
        entered.set()
        await done.wait()
        assert (account.balance, (await stored(on_host, account))["balance"]) == (50, 100)
    await task
    assert (account.balance, (await stored(on_host, account))["balance"]) == (50, 50)


async def test_a_set_saved_during_an_operation_is_not_saved_again(on_host: Host, account: Any) -> None:
    account.tags.add("mine")
    await asyncio.gather(account.asave(), account.balance.aincrease(1), account.asave())
    await on_host.call("MODEL.DISCARD", account.key, "$.tags", '"mine"')
    await on_host.call("MODEL.ADD", account.key, "$.tags", '"theirs"')
    await on_host.call("MODEL.SET", account.key, "$.balance", "7")
    account.note = "later"
    await account.asave()
    found = await stored(on_host, account)
    assert (sorted(found["tags"]), found["balance"]) == (["a", "theirs"], 7)


async def _block(account: Any) -> None:
    async with account.apipeline():
        account.balance += 1
        account.log.append("mine")


CANCELLED: list[Callable[[Any], Awaitable[object]]] = [
    lambda account: account.balance.aincrease(1),
    lambda account: account.log.aappend("mine"),
    lambda account: account.aload(),
    lambda account: account.asave(),
    lambda account: account.tags.amembers(),
    _block,
]


@pytest.mark.parametrize("act", CANCELLED)
@pytest.mark.parametrize("turns", [0, 1, 2, 4, 8])
async def test_a_save_after_a_cancelled_await_undoes_nothing(
    on_host: Host, account: Any, act: Callable[[Any], Awaitable[object]], turns: int
) -> None:
    async def run() -> None:
        await act(account)

    task = asyncio.create_task(run())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    # What is on its way is applied all the same, and the model may still follow it.
    await asyncio.sleep(0.05)
    await on_host.call("MODEL.UPDATE", account.key, "$.balance", "7", "$.log", '["theirs"]')
    account.note = "mine"
    await account.asave()
    found = await stored(on_host, account)
    assert (found["balance"], found["log"], found["note"]) == (7, ["theirs"], "mine")


# -- members of nested values


async def test_changes_of_different_members_of_nested_values_both_stay(on_host: Host, account: Any) -> None:
    theirs: Any = await Account.aget(account.key)
    account.owner.name, theirs.owner.city = "ada", "paris"
    account.counts["x"], theirs.counts["y"] = 2, 3
    await asyncio.gather(account.asave(), theirs.asave())
    found = await stored(on_host, account)
    assert (found["owner"], found["counts"]) == ({"name": "ada", "city": "paris"}, {"x": 2, "y": 3})


async def test_saving_a_nested_value_sends_what_changed_of_it(on_host: Host, account: Any) -> None:
    theirs: Any = await Account.aget(account.key)
    theirs.owner.city, theirs.counts["y"] = "paris", 3
    theirs.tags.add("theirs")
    await theirs.asave()
    account.owner.name, account.counts["x"], account.note = "ada", 2, "unsaved"
    account.tags.add("mine")
    await account.owner.asave()
    await account.counts.asave()
    await account.tags.asave()
    found = await stored(on_host, account)
    assert (found["owner"], found["counts"]) == ({"name": "ada", "city": "paris"}, {"x": 2, "y": 3})
    assert (sorted(found["tags"]), found["note"]) == (["a", "mine", "theirs"], "")
    assert [part.steps for part in unsaved(account)] == [("note",)]


@pytest.mark.parametrize("in_block", [False, True], ids=["saved", "in a block"])
async def test_members_that_a_release_does_not_know_stay_at_any_depth(
    on_host: Host, account: Any, in_block: bool
) -> None:
    account.owner.city = "paris"
    account.owners = [Owner(name=name, city=name.upper()) for name in "abc"]
    await account.asave()
    old: Any = await OldAccount.aget(account.key)

    def change() -> None:
        old.owner = OldOwner(name="new")
        old.owners.reverse()
        old.owners.pop(1)
        old.owners.append(OldOwner(name="d"))

    if in_block:
        async with old.apipeline():
            change()
    else:
        change()
        await old.asave()
    found = await Account.aget(account.key)
    assert found.owner == Owner(name="new", city="paris")
    assert found.owners == [Owner(name="c", city="C"), Owner(name="a", city="A"), Owner(name="d")]
    old.owners[0].name = "changed"
    await old.asave()
    assert (await Account.aget(account.key)).owners[0] == Owner(name="changed", city="C")


async def test_what_a_change_was_in_is_made_again_and_nothing_around_it(on_host: Host, account: Any) -> None:
    class Shelf(AtomicRedisModel):
        boxes: dict[str, Owner] = {}

    shelf: Any = await Shelf(boxes={"a": Owner(name="a"), "b": Owner(name="b")}).asave()
    shelf.boxes["a"].name = "mine"
    await on_host.call("MODEL.UNSET", shelf.key, "$.boxes.a")
    await on_host.call("MODEL.SET", shelf.key, "$.boxes.b.name", '"theirs"')
    await shelf.asave()
    assert (await stored(on_host, shelf))["boxes"] == {
        "b": {"name": "theirs", "city": ""},
        "a": {"name": "mine", "city": ""},
    }


async def test_an_entry_that_was_moved_to_the_end_is_sent_alone(on_host: Host, account: Any) -> None:
    await on_host.call("MODEL.SET", account.key, "$.counts", '{"x":1,"y":2}')
    await account.aload()
    account.counts["x"] = account.counts.pop("x") + 4
    await on_host.call("MODEL.SET", account.key, "$.counts.z", "3")
    await account.asave()
    assert list((await stored(on_host, account))["counts"].items()) == [("y", 2), ("z", 3), ("x", 5)]


async def test_entries_in_another_order_here_are_no_change(on_host: Host, account: Any) -> None:
    account.counts["mine"] = 2
    await account.counts.aset_item("awaited", 3)
    await account.asave()
    await on_host.call("MODEL.SET", account.key, "$.counts.awaited", "30")
    account.note = "later"
    await account.asave()
    assert (await stored(on_host, account))["counts"] == {"x": 1, "awaited": 30, "mine": 2}


async def test_equal_elements_of_a_saved_list_are_told_by_their_places(on_host: Host, account: Any) -> None:
    await account.log.aextend(["x", "y", "x"])
    account.log.insert(0, "first")
    await account.asave()
    assert await account.log.apop() == "x"
    assert account.log == (await stored(on_host, account))["log"] == ["first", "x", "y"]
    assert not unsaved(account)


# -- one idea of equality


_MOMENT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("field", "held", "same"),
    [
        ("moments", _MOMENT, _MOMENT.astimezone(timezone(timedelta(hours=5)))),
        ("amounts", Decimal("1.0"), Decimal("1.00")),
    ],
)
async def test_what_the_server_answers_is_what_the_list_does(
    on_host: Host, account: Any, field: str, held: Any, same: Any
) -> None:
    setattr(account, field, [held, held])
    await account.asave()
    values = getattr(account, field)
    assert await values.aappend(same, unique=True) == len(values)
    assert await values.acontains(same) is await values.aremove(same)
    found = await stored(on_host, account)
    assert len(found[field]) == len(values)
    assert not unsaved(account)
    await account.asave()
    assert await stored(on_host, account) == found


async def test_awaited_readers_in_a_block_see_it_and_reset_nothing(on_host: Host, account: Any) -> None:
    await account.queue.apush("later", 2)
    async with account.apipeline():
        account.log.append("mine")
        account.tags.add("mine")
        account.counts["mine"] = 5
        await account.queue.apush("first", 1)
        assert (await account.log.alen(), await account.log.acontains("mine")) == (1, True)
        assert (await account.tags.amembers(), await account.tags.asize()) == ({"a", "mine"}, 2)
        assert (await account.counts.aget("mine"), await account.counts.alen()) == (5, 2)
        assert (await account.queue.apeek()).value == "first"
        assert [item.value for item in await account.queue.aitems()] == ["first", "later"]
        assert (await account.aload()).log == ["mine"]
        assert await account.log.aload() == ["mine"]
    found = await stored(on_host, account)
    assert (found["log"], sorted(found["tags"]), found["counts"]) == (
        ["mine"],
        ["a", "mine"],
        {"x": 1, "mine": 5},
    )
    assert not unsaved(account)
