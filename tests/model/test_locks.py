"""Locks: one holder at a time, whoever dies, and however the document is addressed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import rapyer
from _hosts import EmbeddedHost, Host
from rapyer import AtomicRedisModel
from rapyer.errors import (
    KeyNotFound,
    LockLostError,
    LockTimeoutError,
    NestedModelError,
    UnsupportedArgumentValueError,
)


class Inner(AtomicRedisModel):
    n: int = 0


class Account(AtomicRedisModel):
    balance: int = 0
    name: str = ""
    inner: Inner = Inner()


@pytest.fixture
async def account(on_host: Host) -> Any:
    return await Account(balance=1).asave()


async def test_fifty_waiters_hold_it_one_after_the_other(on_host: Host, account: Any) -> None:
    inside = 0
    numbers: list[int] = []

    async def work() -> None:
        nonlocal inside
        mine = await Account.aget(account.key)
        lock = mine.alock()
        async with lock as same:
            assert same is mine
            inside += 1
            assert inside == 1
            # Reads, thinks, writes: without the lock, increments would be lost.
            balance = mine.balance
            await asyncio.sleep(0)
            mine.balance = balance + 1
            await mine.asave()
            numbers.append(lock.fencing_number)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(50)))
    assert (await Account.aget(account.key)).balance == 51
    assert numbers == sorted(set(numbers))
    assert await on_host.call("MODEL.LOCK", f"lock:default:{account.key}", "t", "PX", 1000)


async def test_a_document_has_one_lock_for_each_action(on_host: Host, account: Any) -> None:
    others = (
        lambda action: account.alock(action, timeout=0),
        lambda action: Account.alock_from_key(account.key, action, timeout=0),
        lambda action: Account.alock_from_key(account.pk, action, timeout=0),
        lambda action: rapyer.alock_from_key(account.key, action, timeout=0),
    )

    async def take(lock: Any) -> None:
        async with lock:
            pass

    async with Account.alock_from_key(account.pk, "a:b"):
        for other in others:
            with pytest.raises(LockTimeoutError, match="was not free within 0 s"):
                await asyncio.create_task(take(other("a:b")))
            await asyncio.create_task(take(other("another")))
    for other in others:
        await asyncio.create_task(take(other("a:b")))
    assert await Account.afind_keys() == [account.key]


async def test_a_task_may_take_a_lock_it_holds(account: Any) -> None:
    async def elsewhere() -> None:
        async with account.alock(timeout=0):
            raise AssertionError("not entered")

    async with account.alock(), account.alock(timeout=0):
        async with Account.alock_from_key(account.key, timeout=0) as again:
            assert again == account
        with pytest.raises(LockTimeoutError):
            await asyncio.create_task(elsewhere())
    async with account.alock(timeout=0):
        pass


async def test_entering_loads_what_has_no_unsaved_changes_and_saving_is_asked_for(
    on_host: Host, account: Any
) -> None:
    await on_host.call("MODEL.SET", account.key, "$.balance", "7")
    account.name = "unsaved"
    async with account.alock() as same:
        assert same is account
        assert (account.balance, account.name) == (7, "unsaved")
        account.balance += 1
    assert (await Account.aget(account.key)).balance == 7
    async with account.alock(save_at_end=True):
        account.balance = 9
    async with Account.alock_from_key(account.pk, save_at_end=True) as other:
        assert other is not None
        assert (other.balance, other.name) == (9, "unsaved")
        other.name = "b"
    assert (await Account.aget(account.key)).name == "b"
    with pytest.raises(ZeroDivisionError):
        async with Account.alock_from_key(account.pk, save_at_end=True) as other:
            assert other is not None
            other.name = "c"
            raise ZeroDivisionError
    assert (await Account.aget(account.key)).name == "b"


async def test_a_missing_document(on_host: Host, account: Any) -> None:
    await account.adelete()
    with pytest.raises(KeyNotFound):
        async with account.alock():
            raise AssertionError("not entered")
    async with Account.alock_from_key(account.key, timeout=0, save_at_end=True) as none:
        assert none is None
    assert not await Account.aexists(account)


async def test_a_lock_outlives_a_holder_that_died_by_its_lease_only(on_host: Host, account: Any) -> None:
    await on_host.call("MODEL.LOCK", f"lock:default:{account.key}", "somebody who died", "PX", 300)
    started = time.monotonic()
    if isinstance(on_host, EmbeddedHost):
        with pytest.raises(LockTimeoutError):
            async with account.alock(timeout=0.02):
                pass
        await on_host.pass_time(0.3)
    async with account.alock(timeout=5):
        assert isinstance(on_host, EmbeddedHost) or time.monotonic() - started > 0.25


async def test_a_lock_is_renewed_while_it_is_held(on_host: Host, account: Any) -> None:
    async def steal() -> None:
        async with account.alock(timeout=0):
            raise AssertionError("not entered")

    async with account.alock(lease=0.09):
        for _ in range(8):
            # Each step within the lease, all of them far beyond it.
            if isinstance(on_host, EmbeddedHost):
                await on_host.pass_time(0.04)
            await asyncio.sleep(0.04)
            with pytest.raises(LockTimeoutError):
                await asyncio.create_task(steal())


async def test_a_lease_that_was_lost_is_told(on_host: Host, account: Any) -> None:
    name = f"lock:default:{account.key}"
    with pytest.raises(LockLostError, match="somebody else may have held"):
        async with account.alock(save_at_end=True):
            account.balance = 100
            await on_host.call("DEL", name)
            await on_host.call("MODEL.LOCK", name, "thief", "PX", 60_000)
    assert await on_host.call("MODEL.UNLOCK", name, "thief") == 1


async def test_a_cancelled_holder_gives_it_back(account: Any) -> None:
    entered = asyncio.Event()

    async def hold() -> None:
        async with account.alock():
            entered.set()
            await asyncio.sleep(60)

    holder = asyncio.create_task(hold())
    await entered.wait()
    holder.cancel()
    await asyncio.wait([holder])
    async with account.alock(timeout=1):
        pass


async def test_what_cannot_be_locked(account: Any) -> None:
    with pytest.raises(NestedModelError):
        account.inner.alock()
    for lease in (0, -1, 86_401):
        with pytest.raises(UnsupportedArgumentValueError, match="lease must be"):
            account.alock(lease=lease)
    lock = account.alock()
    with pytest.raises(LockLostError, match="is not held"):
        _ = lock.fencing_number


async def test_locks_work_inside_and_around_transactions(on_host: Host, account: Any) -> None:
    async with account.apipeline():
        account.balance += 1
        async with account.alock("inside", timeout=1):
            account.balance += 1
    assert (await Account.aget(account.key)).balance == 3
    async with account.alock(timeout=1), account.apipeline():
        account.balance += 1
    assert (await Account.aget(account.key)).balance == 4
