"""Servers that a test has for itself, of both kinds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from _servers import KINDS, Server, ServerMissing
from _wire import Client, ReplicationStream, wait_until_linked

Start = Callable[..., Server]

_FAST_SYNC = ("--repl-diskless-sync", "no", "--repl-diskless-sync-delay", "0", "--repl-timeout", "10")


@pytest.fixture(params=KINDS)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """A function that starts a server with these arguments; all end with the test."""
    with contextlib.ExitStack() as running:

        def start(*arguments: str, of: Server | None = None, module: bool = True) -> Server:
            replica = ("--replicaof", "127.0.0.1", str(of.port)) if of else ()
            try:
                server = Server.start(request.param, [*_FAST_SYNC, *replica, *arguments], module)
            except ServerMissing as missing:
                if os.environ.get("RAPYER_REQUIRE_SERVERS") == "1":
                    pytest.fail(str(missing), pytrace=False)
                pytest.skip(str(missing))
            running.callback(server.stop)
            if of:
                wait_until_linked(server)
            return server

        yield start


@pytest.fixture
def primary(start: Start) -> Server:
    return start()


@pytest.fixture
def replica(start: Start, primary: Server) -> Server:
    return start(of=primary)


@pytest.fixture
def client(primary: Server) -> Iterator[Client]:
    with Client(primary) as client:
        yield client


@pytest.fixture
def stream(primary: Server) -> Iterator[ReplicationStream]:
    stream = ReplicationStream(primary)
    yield stream
    stream.close()
