"""What is lost is reported as what it is, and nothing is ever done twice."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from redis.asyncio import Connection, ConnectionPool, Redis

from _load import Counter, Load
from _proxy import Proxy
from _servers import KINDS, Kind, Server, ServerMissing
from rapyer import AtomicRedisModel, init_rapyer
from rapyer.errors import NotAppliedError, RapyerConnectionError, ServerLoadingError


async def value_of(counter: Counter) -> int:
    return int((await Counter.aget(counter.name)).count)


async def test_a_command_whose_reply_is_lost_was_done_once_and_is_not_done_again(server: Server) -> None:
    async with Proxy(server.port) as proxy:
        await init_rapyer(redis=f"redis://127.0.0.1:{proxy.port}")
        counter: Any = await Counter(name="1").asave()
        for done in range(1, 20):
            proxy.loses = "nothing"
            assert await value_of(counter) == done - 1
            proxy.loses = "replies"
            with pytest.raises(RapyerConnectionError, match="may or may not have been applied") as error:
                await counter.count.aincrease()
            assert not isinstance(error.value, NotAppliedError)
        proxy.loses = "nothing"
        assert await value_of(counter) == 19


async def test_a_command_that_is_lost_itself_is_not_sent_again_either(server: Server) -> None:
    async with Proxy(server.port) as proxy:
        await init_rapyer(redis=f"redis://127.0.0.1:{proxy.port}")
        counter: Any = await Counter(name="1").asave()
        proxy.loses = "requests"
        with pytest.raises(RapyerConnectionError, match="may or may not have been applied"):
            await counter.count.aincrease()
        proxy.loses = "nothing"
        assert await value_of(counter) == 0


async def test_everything_under_way_on_a_lost_connection_is_accounted_for(server: Server) -> None:
    async with Proxy(server.port) as proxy:
        await init_rapyer(redis=f"redis://127.0.0.1:{proxy.port}")
        counter: Any = await Counter(name="1").asave()
        await asyncio.gather(*(counter.count.aincrease() for _ in range(1000)))
        proxy.loses = "replies"
        under_way = (counter.count.aincrease() for _ in range(5000))
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        proxy.loses = "nothing"
        lost = [outcome for outcome in outcomes if isinstance(outcome, RapyerConnectionError)]
        assert len(lost) == 5000
        refused = sum(isinstance(outcome, NotAppliedError) for outcome in lost)
        assert 1000 < await value_of(counter) <= 6000 - refused


async def test_restarts_under_load_lose_nothing_and_do_nothing_twice(durable: Server) -> None:
    await init_rapyer(redis=durable.url)
    counter = await Counter(name="1").asave()
    async with Load(counter, tasks=50) as load:
        for _ in range(3):
            await load.goes_on(500)
            await asyncio.to_thread(durable.restart)
        await load.goes_on(500)
    assert await load.is_accounted_for()
    assert load.acknowledged >= 2000
    assert load.unknown <= 3 * 50
    assert load.refused > 0


async def test_crashes_under_load_lose_nothing_and_do_nothing_twice(durable: Server) -> None:
    await init_rapyer(redis=durable.url)
    counter = await Counter(name="1").asave()
    async with Load(counter, tasks=50) as load:
        for _ in range(3):
            await load.goes_on(500)
            durable.kill()
            await asyncio.to_thread(durable.restart)
        await load.goes_on(500)
    assert await load.is_accounted_for()
    assert 0 < load.unknown <= 3 * 50


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_loads_its_files_refuses_commands_for_now(
    kind: Kind, left_out: Callable[[ServerMissing], NoReturn]
) -> None:
    slow = ("--key-load-delay", "50", "--loading-process-events-interval-bytes", "1024")
    try:
        server = Server.start(kind, ["--appendonly", "yes", *slow])
    except ServerMissing as missing:
        left_out(missing)
    await init_rapyer(redis=server.url)
    counter: Any = await Counter(name="1").asave()
    with server.client() as admin, admin.pipeline(transaction=False) as pipe:
        for n in range(20_000):
            pipe.set(f"filler:{n}", "")
        pipe.execute()
    restarting = asyncio.create_task(asyncio.to_thread(server.restart))
    refusals: list[str] = []
    while not restarting.done():
        try:
            await counter.count.aincrease()
        except ServerLoadingError as error:
            refusals.append(str(error))
        except RapyerConnectionError:
            continue
        await asyncio.sleep(0.01)
    await restarting
    assert any("LOADING" in refusal for refusal in refusals), refusals
    assert await counter.count.aincrease() == await value_of(counter)
    server.stop()


async def test_ten_thousand_awaits_share_one_connection_and_each_has_its_own_reply(server: Server) -> None:
    await init_rapyer(redis=server.url)
    counter: Any = await Counter(name="1").asave()
    results = await asyncio.gather(*(counter.count.aincrease() for _ in range(10_000)))
    assert sorted(results) == list(range(1, 10_001))
    async with Redis.from_url(server.url) as client:
        rows = [row for row in await client.client_list() if row["cmd"].startswith("model.")]
    assert len(rows) == 1


async def test_tasks_that_are_cancelled_take_no_reply_from_others(server: Server) -> None:
    await init_rapyer(redis=server.url)
    counter: Any = await Counter(name="1").asave()
    others = await asyncio.gather(*(Counter(name=f"n{n}", count=n).asave() for n in range(500)))
    increments = [asyncio.create_task(counter.count.aincrease()) for _ in range(500)]
    reads = [asyncio.create_task(Counter.aget(other.name)) for other in others]
    chance = random.Random(1)
    for task in chance.sample(increments, 250):
        await asyncio.sleep(0)
        task.cancel()
    outcomes = await asyncio.gather(*increments, return_exceptions=True)
    assert await asyncio.gather(*reads) == list(others)
    done = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(set(done)) == len(done) >= 250
    assert len(done) <= await value_of(counter) <= 500


async def test_a_command_cancelled_while_the_server_is_slow_leaves_the_connection_in_order(
    server: Server,
) -> None:
    await init_rapyer(redis=server.url)
    counters = await asyncio.gather(*(Counter(name=str(n), count=n).asave() for n in range(20)))
    async with Redis.from_url(server.url) as admin:
        for _ in range(10):
            await admin.client_pause(100, all=False)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(counters[0].asave(), 0.01)
            await admin.client_unpause()
            assert await Counter.afind(*(str(n) for n in range(20))) == list(counters)


async def test_a_task_cancelled_on_a_connection_that_just_broke_leaves_nothing_behind(
    server: Server,
) -> None:
    made: list[Any] = []

    class Recorded(Connection):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            made.append(self)

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    pool = ConnectionPool(connection_class=Recorded, port=server.port)
    await init_rapyer(redis=Redis(connection_pool=pool))
    counters = await Counter.ainsert(*(Counter(name=str(n), count=n) for n in range(10)))
    for _ in range(20):
        made[-1]._writer.transport.abort()
        cancelled = asyncio.create_task(Counter.aget("0"))
        await asyncio.sleep(0)
        cancelled.cancel()
        others = [asyncio.create_task(Counter.aget(counter.name)) for counter in counters]
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        for counter, outcome in zip(counters, outcomes, strict=True):
            assert outcome == counter or isinstance(outcome, RapyerConnectionError)
        assert cancelled.cancelled()
        assert await Counter.aget("0") == counters[0]
    gc.collect()
    assert complaints == []


async def test_a_server_that_lost_the_policy_in_a_restart_is_told_it_again(durable: Server) -> None:
    class Short(AtomicRedisModel):
        text: str = ""

    Short.Meta.ttl = 60
    await init_rapyer(redis=durable.url)
    await Short().asave()
    with durable.client() as admin:
        admin.execute_command("MODEL.POLICY", "DEL", "Short:")
    await asyncio.to_thread(durable.restart)
    again = await Short().asave()
    assert 59 < (await again.attl() or 0) <= 60
