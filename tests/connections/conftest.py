"""Servers for tests that break them, and models that leave no setting and no connection behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import NoReturn

import pytest

from _servers import KINDS, Kind, Server, ServerMissing
from rapyer import AtomicRedisModel, RedisConfig, teardown_rapyer


@pytest.fixture(autouse=True)
async def no_settings() -> AsyncIterator[None]:
    yield
    await teardown_rapyer()
    AtomicRedisModel.Meta = RedisConfig()


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, server_of: Callable[[Kind], Server]) -> Server:
    """A server that stays as it is, empty."""
    running = server_of(request.param)
    with running.client() as client:
        client.flushall()
    return running


@pytest.fixture(params=KINDS)
def durable(
    request: pytest.FixtureRequest, left_out: Callable[[ServerMissing], NoReturn]
) -> Iterator[Server]:
    """A server of its own that has on disk what it acknowledges."""
    try:
        server = Server.start(request.param, ["--appendonly", "yes", "--appendfsync", "always"])
    except ServerMissing as missing:
        left_out(missing)
    yield server
    server.stop()
