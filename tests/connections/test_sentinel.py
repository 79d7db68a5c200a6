"""Models behind a Sentinel: they follow the primary."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ConstantBackoff

from _load import Counter, Load
from _sentinels import Watched, at
from _servers import KINDS, Kind, Server, ServerMissing
from _wire import CommandFailed, wait_for
from rapyer import init_rapyer, teardown_rapyer
from rapyer.errors import CommandError, NotAppliedError, RapyerConnectionError, TooFewReplicasError


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """What ends the servers of a test."""
    with ExitStack() as running:
        yield running


def started(
    kind: Kind, running: ExitStack, left_out: Callable[[ServerMissing], NoReturn], sentinels: int
) -> Watched:
    try:
        watched = Watched(kind, running, sentinels)
    except ServerMissing as missing:
        left_out(missing)
    wait_for(watched.could_fail_over)
    return watched


@pytest.fixture
def watched(kind: Kind, running: ExitStack, left_out: Callable[[ServerMissing], NoReturn]) -> Watched:
    return started(kind, running, left_out, 1)


@pytest.fixture
def by_three(kind: Kind, running: ExitStack, left_out: Callable[[ServerMissing], NoReturn]) -> Watched:
    """Watched by three Sentinels."""
    return started(kind, running, left_out, 3)


def asking(*ports: int) -> Any:
    """A client of the primary that the Sentinels at these ports name."""
    untyped: Any = Sentinel
    return untyped([("127.0.0.1", port) for port in ports], socket_timeout=2).master_for("main")


def sentinel_of(watched: Watched) -> Any:
    untyped: Any = Sentinel
    return untyped(
        [("127.0.0.1", watched.sentinel.port)], socket_timeout=2, retry=Retry(ConstantBackoff(0.05), 3)
    )


def lost(primary: Server, load: Load) -> int:
    """How many increments were acknowledged and are not on the primary, at least; none is there twice."""
    value = int(at(primary, "MODEL.GET_RO", "Counter:1", "$.count"))
    assert value <= load.acknowledged + load.unknown
    return max(0, load.acknowledged - value)


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
    # Those that could not be sent waited for the new primary.
    assert load.refused == 0
    assert 590_000 < watched.at_replica("PTTL", created.key) <= 600_000


def is_demoted(server: Server) -> bool:
    try:
        return b"slave" in at(server, "ROLE")
    except ConnectionError:
        # Whoever demotes it ends all its connections.
        return False


async def test_an_ordered_failover_is_followed_at_once(
    watched: Watched, on_primary: None, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = await Counter(name="1").asave()
    async with Load(counter) as load:
        await load.goes_on()
        await asyncio.to_thread(watched.fail_over)
        await load.goes_on()
        switched, pause = time.monotonic(), load.longest_pause
        # Until then a client that nobody tells goes on with it.
        await asyncio.to_thread(wait_for, lambda: is_demoted(watched.primary))
        demoted = time.monotonic() - switched
        await load.goes_on()
    missing = lost(watched.replica, load)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{watched.primary.kind}: {load}; {missing} lost; {pause:.2f} s from the old primary's last "
            f"reply to the new one's first; the old one was demoted {demoted:.1f} s later\n"
        )
    assert missing <= 20
    assert load.longest_pause < 8
    assert load.refused == 0
    assert load.unknown <= 8


async def test_any_of_several_sentinels_may_carry_out_the_failover(by_three: Watched) -> None:
    # It is the last that the client is told of.
    by_three.sentinel = by_three.sentinels[-1]
    wait_for(by_three.could_fail_over)
    await init_rapyer(redis=asking(*by_three.ports), ttl=600)
    counter = await Counter(name="1").asave()
    async with Load(counter) as load:
        await load.goes_on()
        await asyncio.to_thread(by_three.fail_over)
        await load.goes_on()
    assert lost(by_three.replica, load) <= 20
    assert load.refused == 0
    assert load.unknown <= 8
    assert load.longest_pause < 8


async def test_sentinels_that_die_take_nothing_with_them(by_three: Watched) -> None:
    first, second, third = by_three.sentinels
    await init_rapyer(redis=asking(*by_three.ports), ttl=600)
    counter = await Counter(name="1").asave()
    async with Load(counter) as load:
        await load.goes_on()
        first.kill()
        second.kill()
        by_three.sentinel = third
        await asyncio.to_thread(wait_for, by_three.could_fail_over)
        await asyncio.to_thread(by_three.fail_over)
        await load.goes_on()
        # Without any, the primary that is connected goes on.
        third.kill()
        await load.goes_on()
        # One that comes back names the primary from before.
        await asyncio.to_thread(first.restart)
        await asyncio.to_thread(wait_for, lambda: b"cmd=subscribe" in at(first, "CLIENT", "LIST"))
        await load.goes_on()
    assert lost(by_three.replica, load) <= 20
    assert load.refused == 0
    assert load.unknown <= 8


async def test_a_sentinel_that_has_not_heard_of_the_failover_is_not_believed(
    watched: Watched, running: ExitStack
) -> None:
    dark = watched.watch_in_the_dark(running)
    await init_rapyer(redis=asking(dark.port, watched.sentinel.port), timeout=1)
    counter: Any = await Counter(name="1").asave()
    async with Load(counter) as load:
        await load.goes_on()
        await asyncio.to_thread(watched.fail_over)
        await load.goes_on()
        assert int(at(dark, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1]) == watched.primary.port
        watched.at_replica("CLIENT", "KILL", "TYPE", "normal")
        await load.goes_on()
    assert lost(watched.replica, load) <= 20
    # With no other left, nothing is written to the server it names: that one says that it is a replica.
    watched.sentinel.kill()
    watched.at_primary("REPLICAOF", "127.0.0.1", watched.replica.port)
    watched.at_replica("CLIENT", "KILL", "TYPE", "normal")
    with pytest.raises(RapyerConnectionError):
        await counter.count.aincrease()
    with pytest.raises(NotAppliedError, match="is a replica"):
        await counter.count.aincrease()


def test_several_event_loops_follow_a_failover_one_of_which_ends_in_the_middle(watched: Watched) -> None:
    client = asking(*watched.ports)

    async def begin() -> None:
        await init_rapyer(redis=client)
        await Counter.ainsert(*(Counter(name=name) for name in ("1", "2", "3", "4")))
        # Without a teardown: what listens ends with its event loop.

    async def use(name: str, until: threading.Event) -> tuple[Load, int]:
        counter = await Counter.aget(name)
        async with Load(counter) as load:
            while not until.is_set():
                await load.goes_on()
            if until is done:
                await load.goes_on()
        return load, int((await Counter.aget(name)).count) if until is done else 0

    done, middle = threading.Event(), threading.Event()
    asyncio.run(begin())
    with ThreadPoolExecutor(4) as threads:
        ending = threads.submit(asyncio.run, use("4", middle))
        lasting = [threads.submit(asyncio.run, use(name, done)) for name in ("1", "2", "3")]
        watched.at_sentinel("SENTINEL", "FAILOVER", "main")
        middle.set()
        wait_for(lambda: watched.names() == watched.replica.port)
        done.set()
        ending.result(30)
        for load, value in [thread.result(30) for thread in lasting]:
            assert load.acknowledged - 20 <= value <= load.acknowledged + load.unknown
            assert load.refused == 0
    # Neither a connection nor a subscription is left of any of them.
    wait_for(lambda: set(names_of_commands(watched)) <= {b"client|list", b"ping", b"publish", b"subscribe"})


def names_of_commands(watched: Watched) -> list[bytes]:
    """What the Sentinel's clients did last, of those that are no Sentinels."""
    rows = watched.at_sentinel("CLIENT", "LIST").splitlines()
    facts = [dict(fact.split(b"=", 1) for fact in row.split()) for row in rows]
    return [fact[b"cmd"] for fact in facts if not fact[b"name"].startswith(b"sentinel-")]


async def test_teardown_ends_the_subscriptions(by_three: Watched) -> None:
    def subscribed() -> int:
        lists = [at(sentinel, "CLIENT", "LIST") for sentinel in by_three.sentinels]
        return sum(b"sub=3" in row for rows in lists for row in rows.splitlines())

    await init_rapyer(redis=asking(*by_three.ports))
    await Counter(name="1").asave()
    await asyncio.to_thread(wait_for, lambda: subscribed() == 3)
    await teardown_rapyer()
    await asyncio.to_thread(wait_for, lambda: subscribed() == 0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_primary_short_of_replicas_is_waited_for(watched: Watched) -> None:
    await init_rapyer(redis=asking(*watched.ports), timeout=10)
    counter: Any = await Counter(name="1").asave()
    watched.at_primary("CONFIG", "SET", "min-replicas-to-write", 2)
    waiting = asyncio.create_task(counter.count.aincrease())
    await asyncio.sleep(0.3)
    assert not waiting.done()
    watched.at_primary("CONFIG", "SET", "min-replicas-to-write", 0)
    assert await waiting == 1
    await init_rapyer(timeout=0.3)
    await Counter(name="2").asave()
    watched.at_primary("CONFIG", "SET", "min-replicas-to-write", 2)
    with pytest.raises(TooFewReplicasError, match="NOREPLICAS"):
        await counter.count.aincrease()


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
    await init_rapyer(timeout=0.3)
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
