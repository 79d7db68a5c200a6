"""Fixtures for every suite: a clean host of each kind, servers that live for the session."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NoReturn

import pytest

from _hosts import EmbeddedHost, Host, ServerHost
from _servers import KINDS, Kind, Server, ServerMissing

ON_CI = os.environ.get("CI") == "true"
SERVERS_REQUIRED = ON_CI or os.environ.get("RAPYER_REQUIRE_SERVERS") == "1"


@pytest.fixture(scope="session")
def left_out() -> Callable[[ServerMissing], NoReturn]:
    """A function that ends a test without its server: skipped, or failed where servers are required."""

    def left_out(missing: ServerMissing) -> NoReturn:
        if SERVERS_REQUIRED:
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))

    return left_out


@pytest.fixture(scope="session")
def server_of(left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Callable[[Kind], Server]]:
    """A function that gives the session's server of a kind, started when it is first asked for."""
    started: dict[Kind, Server] = {}

    def server(kind: Kind) -> Server:
        if kind not in started:
            try:
                started[kind] = Server.start(kind)
            except ServerMissing as missing:
                left_out(missing)
        return started[kind]

    yield server
    for running in started.values():
        running.stop()


@pytest.fixture(params=["embedded", *KINDS])
async def host(request: pytest.FixtureRequest, server_of: Callable[[Kind], Server]) -> AsyncIterator[Host]:
    """A clean host of each kind in turn."""
    if request.param == "embedded":
        yield EmbeddedHost()
        return
    server = ServerHost(server_of(request.param))
    await server.reset()
    yield server
    server.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """On CI everything must run: a skipped test is a failed run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if ON_CI and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("ERROR: tests were skipped, and on CI none may be.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
