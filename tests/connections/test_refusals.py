"""A server that refuses commands because of a state it is in: each has its error, and nothing is applied."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import pytest
import redis

from _load import Counter
from _servers import KINDS, Kind, Server, ServerMissing
from _wire import wait_for, wait_until_linked
from rapyer import init_rapyer
from rapyer._connection import execute
from rapyer.errors import (
    ClusterDownError,
    CommandError,
    NotAppliedError,
    PermissionDeniedError,
    PrimaryDownError,
    RapyerError,
    ReadOnlyReplicaError,
    ServerBusyError,
    ServerMemoryError,
    SnapshotFailedError,
    TooFewReplicasError,
)

Start = Callable[..., Server]


@pytest.fixture
def start(left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Start]:
    """Starts servers that end with the test."""
    with ExitStack() as running:

        def start(kind: Kind, *arguments: str) -> Server:
            try:
                server = Server.start(kind, arguments)
            except ServerMissing as missing:
                left_out(missing)
            running.callback(server.stop)
            return server

        yield start


@pytest.fixture(params=KINDS)
def own(request: pytest.FixtureRequest, start: Start) -> Server:
    """A server that the test may bring into any state."""
    return start(request.param)


@contextmanager
def short_of_memory(server: Server) -> Iterator[None]:
    with server.client() as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


@contextmanager
def short_of_replicas(server: Server) -> Iterator[None]:
    with server.client() as admin:
        admin.config_set("min-replicas-to-write", 1)
        yield
        admin.config_set("min-replicas-to-write", 0)


@contextmanager
def unable_to_save(server: Server) -> Iterator[None]:
    # A folder cannot be replaced by a file, not even by root.
    in_the_way = server.dir / "dump.rdb"
    in_the_way.mkdir()
    with server.client() as admin:
        admin.config_set("save", "3600 1")
        admin.bgsave()
        wait_for(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        in_the_way.rmdir()
        admin.bgsave()
        wait_for(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "ok")


@contextmanager
def busy_with_a_script(server: Server) -> Iterator[None]:
    def loop() -> None:
        with server.client(socket_timeout=60) as caller, contextlib.suppress(redis.ResponseError):
            caller.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            return not admin.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)

    with server.client() as admin, ThreadPoolExecutor(1) as thread:
        admin.config_set("busy-reply-threshold", 1)
        looping = thread.submit(loop)
        try:
            wait_for(is_busy)
            yield
        finally:
            admin.script_kill()
        looping.result(20)


@contextmanager
def a_replica(server: Server) -> Iterator[None]:
    primary = Server.start(server.kind)
    try:
        with server.client() as admin, primary.client() as there:
            counter: Any = admin.execute_command("MODEL.GET_RO", "Counter:1")
            there.execute_command("MODEL.CREATE", "Counter:1", counter)
            admin.replicaof("127.0.0.1", primary.port)
            wait_until_linked(server)
            yield
            admin.replicaof("no", "one")
    finally:
        primary.stop()


@contextmanager
def a_replica_without_its_primary(server: Server) -> Iterator[None]:
    with server.client() as admin:
        admin.config_set("replica-serve-stale-data", "no")
        admin.replicaof("127.0.0.1", 1)
        yield
        admin.replicaof("no", "one")


@contextmanager
def forbidden(server: Server) -> Iterator[None]:
    with server.client() as admin:
        admin.acl_setuser("default", enabled=True, commands=["-model.incrby"])
        yield
        admin.acl_setuser("default", enabled=True, commands=["+model.incrby"])


State = Callable[[Server], contextlib.AbstractContextManager[None]]
STATES: list[tuple[State, type[RapyerError], type[RapyerError] | None]] = [
    (short_of_memory, ServerMemoryError, None),
    (short_of_replicas, TooFewReplicasError, None),
    (unable_to_save, SnapshotFailedError, None),
    (busy_with_a_script, ServerBusyError, ServerBusyError),
    (a_replica, ReadOnlyReplicaError, None),
    (a_replica_without_its_primary, ReadOnlyReplicaError, PrimaryDownError),
    (forbidden, PermissionDeniedError, None),
]
"""Each with the errors of writes and of reads; None: reads are answered."""

TRANSIENT = {ServerBusyError, PrimaryDownError, TooFewReplicasError}


async def is_refused(doing: Awaitable[object], error: type[RapyerError]) -> None:
    with pytest.raises(error, match="was not applied") as refused:
        await doing
    assert isinstance(refused.value, NotAppliedError) == (error in TRANSIENT)
    assert isinstance(refused.value, CommandError) == (error not in TRANSIENT)


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "connecting"])
@pytest.mark.parametrize(("state", "write", "read"), STATES, ids=[state.__name__ for state, *_ in STATES])
async def test_a_state_has_its_error_applies_nothing_and_leaves_the_connection_in_order(
    own: Server, state: State, write: type[RapyerError], read: type[RapyerError] | None, connected: bool
) -> None:
    await init_rapyer(redis=own.url, timeout=20)
    counter: Any = await Counter(name="1").asave()
    with state(own):
        if not connected:
            # Another URL of the same server: it is connected to, and told the policies, in this state.
            await init_rapyer(redis=own.url + "?client_name=late")
        await is_refused(counter.count.aincrease(), write)
        if read is None:
            assert (await Counter.aget("1")).count == 0
        else:
            await is_refused(Counter.aget("1"), read)
    assert (await Counter.aget("1")).count == 0
    assert await counter.count.aincrease() == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_node_without_slots_says_that_its_cluster_is_down(kind: Kind, start: Start) -> None:
    node = start(kind, "--cluster-enabled", "yes")
    await init_rapyer(redis=node.url)
    with pytest.raises(ClusterDownError, match="CLUSTERDOWN"):
        await Counter(name="1").asave()


async def test_a_command_that_waited_while_a_role_changed_is_transient(own: Server) -> None:
    await init_rapyer(redis=own.url)
    await Counter(name="1").asave()
    waiting = asyncio.create_task(execute(Counter.Meta.route("Counter:"), ("BLPOP", "never", 0)))
    with own.client() as admin:

        def blocked() -> list[Any]:
            return [row for row in admin.client_list() if row["cmd"] == "blpop"]

        await asyncio.to_thread(wait_for, lambda: bool(blocked()))
        admin.client_unblock(blocked()[0]["id"], error=True)
    with pytest.raises(NotAppliedError, match="UNBLOCKED"):
        await waiting
