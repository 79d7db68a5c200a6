"""No call waits for ever: a server that swallows everything costs a time limit, and no more than that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.sentinel import Sentinel

from _load import Counter
from _proxy import Proxy, black_hole
from _servers import Server
from rapyer import init_rapyer
from rapyer.errors import (
    NotAppliedError,
    RapyerConnectionError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)

# Far above the limits of a fraction of a second that are set, far below what waits for ever.
BOUND = 10.0


@pytest.fixture
def hole() -> Iterator[int]:
    with black_hole() as port:
        yield port


def sentinel_at(*ports: int, **options: Any) -> Any:
    untyped: Any = Sentinel
    return untyped([("127.0.0.1", port) for port in ports], **options).master_for("main")


SOURCES: dict[str, Callable[[int], Any]] = {
    "url": lambda port: f"redis://127.0.0.1:{port}",
    "client": lambda port: Redis(port=port),
    "sentinel": sentinel_at,
    "cluster": lambda port: RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", port)]),
}


@asynccontextmanager
async def bounded(seconds: float = BOUND) -> AsyncIterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize("source", SOURCES)
async def test_a_server_that_answers_no_attempt_to_connect_is_given_up(hole: int, source: str) -> None:
    await init_rapyer(redis=SOURCES[source](hole), timeout=0.2)
    async with bounded():
        with pytest.raises(NotAppliedError):
            await Counter(name="1").asave()


@pytest.mark.parametrize("source", SOURCES)
async def test_a_server_that_accepts_and_never_speaks_is_given_up(server: Server, source: str) -> None:
    async with Proxy(server.port) as proxy:
        proxy.loses = "everything"
        await init_rapyer(redis=SOURCES[source](proxy.port), timeout=0.2)
        async with bounded():
            with pytest.raises(RapyerConnectionError):
                await Counter(name="1").asave()


@pytest.mark.parametrize("source", ["url", "client"])
async def test_a_reply_that_does_not_come_is_given_up_and_the_next_command_connects_anew(
    server: Server, source: str
) -> None:
    async with Proxy(server.port) as proxy:
        await init_rapyer(redis=SOURCES[source](proxy.port), timeout=0.3)
        counter: Any = await Counter(name="1").asave()
        proxy.loses = "everything"
        async with bounded():
            under_way = (counter.count.aincrease() for _ in range(100))
            outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        for outcome in outcomes:
            assert isinstance(outcome, RapyerConnectionError), outcome
            assert not isinstance(outcome, NotAppliedError)
            assert "no reply within 0.3 s" in str(outcome)
        proxy.loses = "nothing"
        assert await counter.count.aincrease() == 1


async def test_a_command_too_long_for_a_server_that_stopped_reading_is_given_up(server: Server) -> None:
    async with Proxy(server.port) as proxy:
        await init_rapyer(redis=f"redis://127.0.0.1:{proxy.port}", timeout=0.5)
        counter: Any = await Counter(name="1").asave()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            async with bounded():
                with pytest.raises(RapyerConnectionError, match=r"no reply within 0\.5 s"):
                    await Counter(name="x" * 50_000_000).asave()
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await counter.count.aincrease() == 1


@pytest.mark.parametrize("source", SOURCES)
async def test_without_a_word_about_it_calls_are_bounded_too(
    hole: int, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rapyer._transport.limits.TIMEOUT", 0.2)
    unsaid: dict[str, Callable[[int], Any]] = SOURCES | {
        # As redis-py 6 has it.
        "client": lambda port: Redis(port=port, socket_timeout=None, socket_connect_timeout=None),
        "cluster": lambda port: RedisCluster(
            startup_nodes=[ClusterNode("127.0.0.1", port)], socket_timeout=None, socket_connect_timeout=None
        ),
    }
    await init_rapyer(redis=unsaid[source](hole))
    async with bounded():
        with pytest.raises(NotAppliedError):
            await Counter(name="1").asave()


@pytest.mark.parametrize(
    ("said", "timeout", "limit"),
    [
        ("?socket_timeout=0.3", None, 0.3),
        ("?socket_timeout=0.3", 20, 0.3),
        ("", 0.3, 0.3),
    ],
)
async def test_what_a_url_says_holds_before_what_is_said_to_init_rapyer(
    server: Server, said: str, timeout: float | None, limit: float
) -> None:
    await init_rapyer(redis=server.url + said, timeout=timeout)
    counter: Any = await Counter(name="1").asave()
    with server.client() as admin:
        admin.client_pause(60_000, all=False)
        with pytest.raises(RapyerConnectionError, match=f"no reply within {limit} s"):
            await counter.count.aincrease()
        admin.client_unpause()


@pytest.mark.parametrize(("own", "timeout", "limit"), [(0.3, None, 0.3), (20, 0.3, 0.3)])
async def test_what_is_said_to_init_rapyer_holds_before_what_a_client_is_set_to(
    server: Server, own: float, timeout: float | None, limit: float
) -> None:
    client = Redis.from_url(server.url, socket_timeout=own)
    await init_rapyer(redis=client, timeout=timeout)
    counter: Any = await Counter(name="1").asave()
    with server.client() as admin:
        admin.client_pause(60_000, all=False)
        with pytest.raises(RapyerConnectionError, match=f"no reply within {limit} s"):
            await counter.count.aincrease()
        admin.client_unpause()
    await client.aclose()


async def test_the_environments_server_has_the_timeout_of_init_rapyer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPYER_URL", server.url)
    await init_rapyer(timeout=0.3)
    counter: Any = await Counter(name="1").asave()
    with server.client() as admin:
        admin.client_pause(60_000, all=False)
        with pytest.raises(RapyerConnectionError, match=r"no reply within 0\.3 s"):
            await counter.count.aincrease()
        admin.client_unpause()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 86_401])
async def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(UnsupportedArgumentValueError, match="timeout"):
        await init_rapyer(timeout=timeout)


@pytest.mark.parametrize("timeout", [True, "5", b"5"])
async def test_a_timeout_of_another_type_is_refused(timeout: Any) -> None:
    with pytest.raises(UnsupportedArgumentTypeError, match="timeout"):
        await init_rapyer(timeout=timeout)


async def test_a_sentinel_that_swallows_everything_costs_a_moment(server: Server) -> None:
    with ExitStack() as running:
        hole = running.enter_context(black_hole())
        sentinel = Server.start(server.kind, ["--sentinel"], module=False)
        running.callback(sentinel.stop)
        with sentinel.client() as admin:
            admin.execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", server.port, 1)
        await init_rapyer(redis=sentinel_at(hole, sentinel.port), timeout=20)
        async with bounded():
            await Counter(name="1").asave()
            for _ in range(5):
                with server.client() as admin:
                    admin.client_kill_filter(_type="normal", skipme=True)
                # The first may have been under way.
                with contextlib.suppress(RapyerConnectionError):
                    await Counter(name="1").asave()
                await Counter(name="1").asave()
