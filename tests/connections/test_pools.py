"""A client or a pool that the user gave: its settings are used, and it stays the user's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis

from _load import Counter
from _servers import Server
from _wire import wait_for
from rapyer import init_rapyer, teardown_rapyer
from rapyer.errors import NotAppliedError

Pool = Callable[..., ConnectionPool]


@pytest.fixture(params=[ConnectionPool, BlockingConnectionPool])
def pool(request: pytest.FixtureRequest, server: Server) -> Pool:
    """A function that makes a pool of one connection to the server."""

    def pool(**settings: Any) -> ConnectionPool:
        made: ConnectionPool = request.param.from_url(server.url, max_connections=1, **settings)
        return made

    return pool


def clients_of(server: Server) -> list[dict[str, str]]:
    """The server's clients, without the one that asks."""
    with server.client() as admin:
        own = admin.client_id()
        return [row for row in admin.client_list() if int(row["id"]) != own]


async def test_a_thousand_awaits_wait_for_nothing_while_the_pools_only_connection_is_taken(
    server: Server, pool: Pool
) -> None:
    taken = pool(client_name="pooled")
    client: Any = Redis(connection_pool=taken)
    await init_rapyer(redis=client)
    waiting = asyncio.ensure_future(client.blpop(["never"], timeout=0))
    await asyncio.sleep(0.05)
    counter: Any = await Counter(name="1").asave()
    results = await asyncio.wait_for(asyncio.gather(*(counter.count.aincrease() for _ in range(1000))), 10)
    assert sorted(results) == list(range(1, 1001))
    # The pool's one, and one for this event loop.
    assert len(clients_of(server)) == 2
    with server.client() as admin:
        admin.rpush("never", "now")
    assert await waiting == (b"never", b"now")
    await teardown_rapyer()
    await taken.aclose()


async def test_the_user_never_waits_for_the_package(server: Server, pool: Pool) -> None:
    taken = pool()
    client = Redis(connection_pool=taken)
    await init_rapyer(redis=client)
    counter: Any = await Counter(name="1").asave()
    with server.client() as admin:
        admin.client_pause(300, all=False)
        slow = asyncio.create_task(counter.count.aincrease())
        await asyncio.sleep(0.01)
        assert await asyncio.wait_for(client.exists(counter.key), 0.2) == 1
        assert not slow.done()
        admin.client_unpause()
    assert await slow == 1
    await taken.aclose()


async def test_a_pools_settings_are_used(server: Server) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
    settings: Any = {"username": "app", "client_name": "models", "db": 1}
    pool = ConnectionPool.from_url(server.url.removesuffix("/0"), password="secret", **settings)
    await init_rapyer(redis=Redis(connection_pool=pool))
    counter = await Counter(name="1").asave()
    (row,) = [row for row in clients_of(server) if row["cmd"].startswith("model.")]
    assert (row["user"], row["name"], row["db"]) == ("app", "models", "1")
    with server.client(db=1) as admin:
        assert admin.exists(counter.key) == 1
    await teardown_rapyer()
    pool = ConnectionPool.from_url(server.url, username="app", password="wrong")
    await init_rapyer(redis=Redis(connection_pool=pool))
    with pytest.raises(NotAppliedError, match="cannot connect"):
        await Counter(name="1").asave()


async def test_teardown_closes_what_the_package_opened_and_nothing_else(server: Server, pool: Pool) -> None:
    taken = pool(client_name="pooled")
    client = Redis(connection_pool=taken)
    await client.ping()
    (before,) = clients_of(server)
    await init_rapyer(redis=client)
    await Counter(name="1").asave()
    assert len(clients_of(server)) == 2
    await teardown_rapyer()
    await asyncio.to_thread(wait_for, lambda: len(clients_of(server)) == 1)
    (after,) = clients_of(server)
    assert after["id"] == before["id"]
    assert await client.ping()
    (used,) = clients_of(server)
    assert used["id"] == before["id"]
    await taken.aclose()


async def test_a_client_that_the_user_closes_does_not_close_the_package(server: Server, pool: Pool) -> None:
    taken = pool()
    client = Redis(connection_pool=taken)
    await init_rapyer(redis=client)
    counter = await Counter(name="1").asave()
    await client.aclose()
    await taken.aclose()
    assert await Counter.aget("1") == counter


async def test_a_client_that_is_dropped_leaves_its_connection_to_teardown(server: Server) -> None:
    client = Redis.from_url(server.url)
    await init_rapyer(redis=client)
    await Counter(name="1").asave()
    await init_rapyer(redis=server.url)
    del client
    gc.collect()
    await Counter(name="1").asave()
    assert len(clients_of(server)) == 2
    await teardown_rapyer()
    await asyncio.to_thread(wait_for, lambda: clients_of(server) == [])
