"""Event loops, threads and child processes: each has connections of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.asyncio import Redis

from _load import Counter
from _servers import Server
from rapyer import init_rapyer, teardown_rapyer


def value_at(server: Server) -> int:
    with server.client() as client:
        value: Any = client.execute_command("MODEL.GET_RO", "Counter:1", "$.count")
        return int(value)


def model_clients(server: Server) -> int:
    with server.client() as client:
        return sum(row["cmd"].startswith("model.") for row in client.client_list())


async def increase(times: int) -> None:
    counter: Any = await Counter.aget("1")
    await asyncio.gather(*(counter.count.aincrease() for _ in range(times)))


@pytest.fixture(params=["url", "client"])
def source(request: pytest.FixtureRequest, server: Server) -> Any:
    """All models stored on the server, by its URL or by one client for all loops."""
    source = server.url if request.param == "url" else Redis.from_url(server.url)

    async def begin() -> None:
        await init_rapyer(redis=source)
        await Counter(name="1").asave()
        await teardown_rapyer()

    asyncio.run(begin())
    return source


@pytest.mark.usefixtures("source")
def test_loops_one_after_the_other_with_teardown_and_without(server: Server) -> None:
    async def torn_down() -> None:
        await increase(100)
        await teardown_rapyer()

    for _ in range(5):
        asyncio.run(increase(100))
        asyncio.run(torn_down())
    assert value_at(server) == 1000
    assert model_clients(server) == 0


@pytest.mark.usefixtures("source")
def test_loops_in_threads_at_the_same_time(server: Server) -> None:
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(asyncio.run, increase(100)) for _ in range(40)]:
            done.result(30)
    assert value_at(server) == 4000
    assert model_clients(server) == 0


FORKS = '''
import asyncio, gc, json, multiprocessing, os, sys
from _load import Counter
from rapyer import init_rapyer, teardown_rapyer
from redis.asyncio import Redis

url, way, source = sys.argv[1:]

async def connected():
    """The ids that the server has for the connections of this test's processes."""
    async with Redis.from_url(url, client_name="asks") as client:
        return sorted(row["id"] for row in await client.client_list() if row["name"] == "models")

async def increase(times):
    counter = await Counter.aget("1")
    for _ in range(times):
        await asyncio.gather(*(counter.count.aincrease() for _ in range(10)))

async def child():
    await increase(20)
    assert len(await connected()) > 1, "it uses its parent's"
    gc.collect()
    await teardown_rapyer()

def in_child():
    asyncio.run(child())

async def parent():
    named = f"{url}?client_name=models"
    await init_rapyer(redis=named if source == "url" else Redis.from_url(named))
    await Counter(name="1").asave()
    before = await connected()
    busy = asyncio.create_task(increase(20))
    await asyncio.sleep(0.01)
    if way == "multiprocessing":
        children = [multiprocessing.get_context("fork").Process(target=in_child) for _ in range(3)]
        for process in children:
            process.start()
        while any(process.is_alive() for process in children):
            await asyncio.sleep(0.01)
        codes = [process.exitcode for process in children]
    else:
        children = []
        for _ in range(3):
            if (pid := os.fork()) == 0:
                in_child()
                os._exit(0)
            children.append(pid)
        codes = [await asyncio.to_thread(os.waitpid, pid, 0) for pid in children]
        codes = [os.waitstatus_to_exitcode(status) for _, status in codes]
    await busy
    await increase(20)
    after = await connected()
    await teardown_rapyer()
    return {"before": before, "after": after, "codes": codes}

if way in ("between", "same loop"):
    loop = asyncio.new_event_loop()
    named = f"{url}?client_name=models"
    async def begin():
        await init_rapyer(redis=named if source == "url" else Redis.from_url(named))
        await Counter(name="1").asave()
        await increase(20)
        return await connected()
    async def end():
        await increase(20)
        return await connected()
    before = loop.run_until_complete(begin())
    codes = []
    for _ in range(3):
        if (pid := os.fork()) == 0:
            loop.run_until_complete(child()) if way == "same loop" else in_child()
            # With everything that the interpreter does at its end.
            sys.exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    after = loop.run_until_complete(end())
    loop.run_until_complete(teardown_rapyer())
    loop.close()
    print(json.dumps({"before": before, "after": after, "codes": codes}))
else:
    print(json.dumps(asyncio.run(parent())))
'''


@pytest.mark.parametrize("source", ["url", "client"])
@pytest.mark.parametrize("way", ["fork", "multiprocessing", "between", "same loop"])
def test_a_child_process_has_its_own_connection_and_leaves_its_parents_alone(
    server: Server, way: str, source: str
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", FORKS, server.url, way, source],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["codes"] == [0, 0, 0], run.stderr
    assert len(report["before"]) == 1
    assert report["after"] == report["before"]
    # 400 in the parent, 200 in each child.
    assert value_at(server) == 1000
    assert run.stderr == ""
