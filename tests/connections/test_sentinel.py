"""Models behind a Sentinel: they follow the primary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ConstantBackoff

from _load import Counter, Load
from _sentinels import Watched
from _servers import KINDS, ServerMissing
from _wire import CommandFailed, wait_for
from rapyer import init_rapyer, teardown_rapyer
from rapyer.errors import CommandError, NotAppliedError


@pytest.fixture(params=KINDS)
def watched(
    request: pytest.FixtureRequest, left_out: Callable[[ServerMissing], NoReturn]
) -> Iterator[Watched]:
    with ExitStack() as running:
        try:
            watched = Watched(request.param, running)
        except ServerMissing as missing:
            left_out(missing)
        wait_for(watched.could_fail_over)
        yield watched


def sentinel_of(watched: Watched) -> Any:
    untyped: Any = Sentinel
    return untyped(
        [("127.0.0.1", watched.sentinel.port)], socket_timeout=2, retry=Retry(ConstantBackoff(0.05), 3)
    )


@pytest.fixture
async def on_primary(watched: Watched) -> AsyncIterator[None]:
    await init_rapyer(redis=sentinel_of(watched).master_for("main"), ttl=600)
    yield
    await teardown_rapyer()


async def test_models_are_on_the_primary_that_sentinel_names(watched: Watched, on_primary: None) -> None:
    counter = await Counter(name="1", count=3).asave()
    assert (await Counter.aget("1")).count == 3
    assert 590_000 < watched.at_primary("PTTL", counter.key) <= 600_000


async def test_the_primary_that_takes_over_is_found_and_told_the_policies(
    watched: Watched, on_primary: None
) -> None:
    counter = await Counter(name="1").asave()
    async with Load(counter) as load:
        await load.goes_on()
        watched.primary.kill()
        await asyncio.to_thread(wait_for, lambda: watched.names() == watched.replica.port)
        await load.goes_on()
        watched.at_replica("MODEL.POLICY", "DEL", "Counter:")
        created = await Counter(name="new").asave()
    # A primary acknowledges before its replica has it, so what was under way at its end may be lost.
    assert await load.is_accounted_for(lost=4)
    assert load.unknown <= 4
    assert load.refused > 0
    assert 590_000 < watched.at_replica("PTTL", created.key) <= 600_000


async def test_an_ordered_failover_is_followed_and_does_no_increment_twice(
    watched: Watched, on_primary: None
) -> None:
    counter = await Counter(name="1").asave()
    async with Load(counter) as load:
        await load.goes_on()
        watched.at_sentinel("SENTINEL", "FAILOVER", "main")
        await asyncio.to_thread(wait_for, lambda: watched.names() == watched.replica.port)
        await load.goes_on()
    # Sentinel lets the old primary take writes until the new one is there: those it acknowledged are gone.
    value = int((await Counter.aget("1")).count)
    assert 0 < value <= load.acknowledged + load.unknown


async def test_a_primary_that_was_demoted_is_left_and_the_command_repeated(
    watched: Watched, on_primary: None
) -> None:
    counter: Any = await Counter(name="1").asave()
    assert await counter.count.aincrease() == 1
    wait_for(lambda: watched.at_replica("MODEL.GET_RO", counter.key, "$.count") == b"1")
    # By hand, for Sentinel would also end the connections to it.
    watched.forget()
    watched.at_replica("REPLICAOF", "NO", "ONE")
    watched.at_replica("MODEL.POLICY", "DEL", "Counter:")
    watched.at_primary("REPLICAOF", "127.0.0.1", watched.replica.port)
    with pytest.raises(CommandFailed, match="READONLY"):
        watched.at_primary("MODEL.INCRBY", counter.key, "$.count", 1)
    watched.watch(watched.replica)
    assert await counter.count.aincrease() == 2
    assert watched.at_replica("MODEL.GET_RO", counter.key, "$.count") == b"2"
    assert 600_000 in watched.at_replica("MODEL.POLICY", "GET", "Counter:")


async def test_a_sentinel_that_names_no_primary_is_reported(watched: Watched, on_primary: None) -> None:
    watched.forget()
    with pytest.raises(NotAppliedError, match="Sentinel's 'main'"):
        await Counter(name="1").asave()


def test_one_sentinel_serves_many_event_loops(watched: Watched) -> None:
    client = sentinel_of(watched).master_for("main")

    async def begin() -> None:
        await init_rapyer(redis=client)
        await Counter(name="1").asave()

    async def increase() -> None:
        counter: Any = await Counter.aget("1")
        await asyncio.gather(*(counter.count.aincrease() for _ in range(100)))

    asyncio.run(begin())
    asyncio.run(increase())
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(asyncio.run, increase()) for _ in range(8)]:
            done.result(30)
    assert watched.at_primary("MODEL.GET_RO", "Counter:1", "$.count") == b"900"
    wait_for(lambda: watched.at_sentinel("CLIENT", "LIST").count(b"cmd=sentinel") == 0)


async def test_a_replica_that_sentinel_names_is_read(watched: Watched, on_primary: None) -> None:
    counter = await Counter(name="1", count=3).asave()
    wait_for(lambda: watched.at_replica("EXISTS", counter.key) == 1)
    await init_rapyer(redis=sentinel_of(watched).slave_for("main"))
    read: Any = await Counter.aget("1")
    assert read == counter
    with pytest.raises(CommandError, match="READONLY"):
        await read.count.aincrease()
    assert await Counter.aget("1") == counter
