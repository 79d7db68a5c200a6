"""Locks: one holder at a time, whoever dies, and however the document is addressed."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import Self

import rapyer
from _hosts import EmbeddedHost, Host
from _proxy import Proxy
from _servers import KINDS, Kind, Server
from rapyer import AtomicRedisModel, RedisConfig, init_rapyer, teardown_rapyer
from rapyer.errors import (
    KeyNotFound,
    LockLostError,
    LockTimeoutError,
    NestedModelError,
    RapyerConnectionError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)


class Inner(AtomicRedisModel):
    n: int = 0


class Account(AtomicRedisModel):
    balance: int = 0
    name: str = ""
    inner: Inner = Inner()


class Checked(AtomicRedisModel):
    """Sees to something else whenever it is saved."""

    balance: int = 0
    saves: int = 0

    async def asave(self, *args: Any, **options: Any) -> Self:
        self.saves += 1
        return await super().asave(*args, **options)


@pytest.fixture
async def account(on_host: Host) -> Any:
    return await Account(balance=1).asave()


@pytest.fixture(params=KINDS)
async def server(
    request: pytest.FixtureRequest, server_of: Callable[[Kind], Server]
) -> AsyncIterator[Server]:
    """An empty server that may be silent for a while, with no models set up on it."""
    running = server_of(request.param)
    with running.client() as client:
        client.flushall()
    yield running
    await teardown_rapyer()
    AtomicRedisModel.Meta = RedisConfig()


@contextmanager
def silence(server: Server) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def is_free(document: Any, action: str, within: float = 2) -> bool:
    """Whether a lock with the usual lease can be had long before a lease left behind would be over."""

    async def take() -> None:
        async with document.alock(action, timeout=within):
            pass

    try:
        await asyncio.create_task(take())
    except LockTimeoutError:
        return False
    return True


async def stored(host: Host, key: str) -> Any:
    text = await host.call("MODEL.GET_RO", key)
    assert text is None or isinstance(text, bytes)
    return None if text is None else json.loads(text)


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


async def test_an_acquire_that_is_cancelled_leaves_no_lock_behind(on_host: Host, account: Any) -> None:
    async def hold(action: str) -> None:
        async with account.alock(action):
            await asyncio.sleep(0.001)

    for steps in range(30):
        action = f"a{steps}"
        task = asyncio.create_task(hold(action))
        for _ in range(steps):
            await asyncio.sleep(0 if steps < 15 else 0.0002)
        task.cancel()
        await asyncio.wait([task])
        assert await is_free(account, action), steps


async def test_an_acquire_whose_answer_is_lost_leaves_no_lock_behind(server: Server) -> None:
    async with Proxy(server.port) as proxy:
        await init_rapyer(redis=f"redis://127.0.0.1:{proxy.port}")
        account = await Account().asave()
        proxy.loses = "replies"
        with pytest.raises(RapyerConnectionError):
            async with account.alock("a"):
                raise AssertionError("not entered")
        proxy.loses = "nothing"
        assert await is_free(account, "a")
        async with account.alock("b"):
            proxy.loses = "requests"
        proxy.loses = "nothing"
        assert await is_free(account, "b")


async def test_time_to_wait_is_bounded_also_where_the_server_is_silent(server: Server) -> None:
    await init_rapyer(redis=server.url)
    account = await Account().asave()
    started = time.monotonic()
    with silence(server):
        with pytest.raises(LockTimeoutError, match="did not say within"):
            async with account.alock("a", timeout=0.3):
                raise AssertionError("not entered")
        assert 0.25 < time.monotonic() - started < 2
        task = asyncio.create_task(account.alock("b").__aenter__())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    # What was taken after all is given back.
    assert await is_free(account, "a")
    assert await is_free(account, "b")


async def test_a_lock_object_is_in_one_block_at_a_time(on_host: Host, account: Any) -> None:
    lock = account.alock()
    async with lock:
        for enter in (lock.__aenter__, lambda: asyncio.create_task(lock.__aenter__())):
            with pytest.raises(RuntimeError, match="was entered already: call alock"):
                await enter()
        assert lock.fencing_number > 0
        async with account.alock():
            pass
    assert await is_free(account, "default")
    async with lock:
        pass
    assert await is_free(account, "default")


async def test_nothing_is_saved_once_the_lease_is_over(on_host: Host, account: Any) -> None:
    key = account.key
    for end in ("over", "taken", "gone"):
        name = f"lock:{end}:{key}"
        with pytest.raises(LockLostError, match="was over before"):
            async with account.alock(end, save_at_end=True, lease=0.2):
                account.balance = 5
                if end == "gone":
                    await on_host.call("DEL", name)
                elif isinstance(on_host, EmbeddedHost):
                    await on_host.pass_time(0.3)
                else:
                    # As a loop that is busy: the lease is not renewed.
                    time.sleep(0.3)  # noqa: ASYNC251
                if end == "taken":
                    assert await on_host.call("MODEL.LOCK", name, "another", "PX", 1)
                await on_host.call("MODEL.SET", key, "$.balance", "7")
        assert (await stored(on_host, key))["balance"] == 7
        await account.aload()


async def test_saving_at_the_end_looks_at_the_lock_in_the_same_step(on_host: Host, account: Any) -> None:
    class Late(Account):
        async def asave(self, *args: Any, **options: Any) -> Self:
            # After the block, before what it saves is sent.
            await on_host.call("DEL", f"lock:default:{self.key}")
            await on_host.call("MODEL.LOCK", f"lock:default:{self.key}", "another", "PX", 60_000)
            return await super().asave(*args, **options)

    late = Late(balance=1)
    await Account.asave(late)
    with pytest.raises(LockLostError):
        async with late.alock(save_at_end=True):
            late.balance = 5
    assert (await stored(on_host, late.key))["balance"] == 1


async def test_saving_at_the_end_is_how_the_model_saves(on_host: Host) -> None:
    checked = await Checked().asave()
    async with checked.alock(save_at_end=True):
        checked.balance = 3
    assert await stored(on_host, checked.key) == {"balance": 3, "saves": 2}
    async with Checked.alock_from_key(checked.key, save_at_end=True) as again:
        assert again is not None
        await on_host.call("MODEL.SET", checked.key, "$.balance", "4")
    assert await stored(on_host, checked.key) == {"balance": 4, "saves": 3}


async def test_a_document_that_was_deleted_under_a_lock_stays_so(on_host: Host, account: Any) -> None:
    for number, delete in enumerate((account.adelete, lambda: Account.adelete_by_key(account.key))):
        await account.asave()
        with pytest.raises(KeyNotFound):
            async with account.alock(save_at_end=True):
                account.balance = 9 + number
                await delete()
        assert await stored(on_host, account.key) is None
    await account.asave()
    with pytest.raises(KeyNotFound):
        async with account.alock("other", save_at_end=True), rapyer.apipeline():
            account.balance = 20
            await Account.adelete_by_key(account.key)
    assert await stored(on_host, account.key) is None


async def test_locks_keep_nothing_of_those_before(account: Any) -> None:
    def tracked() -> Counter[str]:
        gc.collect()
        return Counter(type(thing).__name__ for thing in gc.get_objects())

    async def take() -> None:
        for number in range(200):
            async with account.alock(), account.alock(str(number)):
                pass

    await take()
    before = tracked()
    await take()
    more = {name: by for name, by in (tracked() - before).items() if by > 100}
    assert not more


async def test_durations_are_numbers_of_seconds_or_timedeltas(on_host: Host, account: Any) -> None:
    for duration in (0.5, 1, timedelta(seconds=0.5)):
        async with account.alock(lease=duration, timeout=duration):
            assert await on_host.call("MODEL.LOCK", f"lock:default:{account.key}", "t", "PX", 1) is None
        async with rapyer.alock_from_key(account.key, lease=duration, timeout=duration):
            pass
    async with account.alock():
        started = time.monotonic()
        assert not await is_free(account, "default", timedelta(milliseconds=30))  # type: ignore[arg-type]
        assert time.monotonic() - started < 2
    for wrong in ("1", True, b"1", [1]):
        for name in ("lease", "timeout"):
            with pytest.raises(UnsupportedArgumentTypeError, match=f"{name} must be a number of seconds or"):
                account.alock(**{name: wrong})
    with pytest.raises(UnsupportedArgumentTypeError, match="lease must be"):
        account.alock(lease=None)
    with pytest.raises(UnsupportedArgumentValueError, match="timeout must be"):
        account.alock(timeout=float("nan"))
    for action in (None, b"a", 1):
        with pytest.raises(UnsupportedArgumentTypeError, match="action must be a text"):
            account.alock(action)


async def test_what_cannot_be_locked(account: Any) -> None:
    with pytest.raises(NestedModelError):
        account.inner.alock()
    for lease in (0, -1, 86_401, float("nan"), timedelta(0), timedelta(days=2)):
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
