"""Models in a cluster: found on their nodes, while slots move, replicas take over and nodes restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, NoReturn

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode

from _clusters import Cluster, Move, Node
from _load import Counter, Load
from _proxy import Proxy
from _servers import KINDS, Kind, ServerMissing
from _wire import wait_for
from rapyer import AtomicRedisModel, Key, init_rapyer, teardown_rapyer
from rapyer._connection import execute, scan
from rapyer.errors import (
    KeyNotFound,
    LockLostError,
    NotAppliedError,
    RapyerConnectionError,
    UnsupportedArgumentValueError,
)


class Session(AtomicRedisModel):
    name: Key[str]
    text: str = ""


NAMES = [f"s{n}" for n in range(60)]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@contextmanager
def started(kind: Kind, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Cluster]:
    try:
        cluster = Cluster(kind)
    except ServerMissing as missing:
        left_out(missing)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def cluster(kind: Kind, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Cluster]:
    """For tests that leave every slot where it is."""
    with started(kind, left_out) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(kind: Kind, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Cluster]:
    with started(kind, left_out) as cluster:
        yield cluster


@asynccontextmanager
async def used(cluster: Cluster, **options: Any) -> AsyncIterator[RedisCluster]:
    """All models stored in a cluster."""
    async with cluster.client(**options) as client:
        await init_rapyer(redis=client, ttl=600)
        yield client
        await teardown_rapyer()


@pytest.fixture
async def on_cluster(cluster: Cluster) -> AsyncIterator[RedisCluster]:
    """All models stored in the cluster, which is empty."""
    for node in cluster.primaries:
        node("FLUSHALL")
    async with used(cluster) as client:
        yield client


@pytest.fixture
async def on_own_cluster(own_cluster: Cluster) -> AsyncIterator[RedisCluster]:
    async with used(own_cluster) as client:
        yield client


async def counters_on(cluster: Cluster) -> dict[Node, Counter]:
    """A counter on each primary."""
    counters: dict[Node, Counter] = {}
    for n in range(100):
        counter = Counter(name=str(n))
        counters.setdefault(cluster.owner(counter.key), counter)
    assert len(counters) == len(cluster.primaries)
    await asyncio.gather(*(counter.asave() for counter in counters.values()))
    return counters


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode_responses", [False, True])
async def test_models_are_on_every_node_with_their_policy_whatever_the_client_makes_of_replies(
    cluster: Cluster, decode_responses: bool, protocol: int
) -> None:
    for node in cluster.primaries:
        node("FLUSHALL")
        node("MODEL.POLICY", "DEL", "Session:")
    async with used(cluster, decode_responses=decode_responses, protocol=protocol) as client:
        sessions = await Session.ainsert(*(Session(name=name, text=name * 3) for name in NAMES))
        for node in cluster.primaries:
            keys = node("KEYS", "Session:*")
            assert len(keys) > 5
            assert all(590_000 < node("PTTL", key) <= 600_000 for key in keys)
            assert 600_000 in node("MODEL.POLICY", "GET", "Session:")
        assert [await Session.aget(name) for name in NAMES] == list(sessions)
        assert await client.ping()


async def test_keys_on_several_nodes_are_read_together_in_their_order(on_cluster: RedisCluster) -> None:
    sessions = await Session.ainsert(*(Session(name=name) for name in NAMES))
    assert await Session.afind(*NAMES) == list(sessions)
    assert await Session.afind(*reversed(NAMES), "none", skip_missing=True) == list(reversed(sessions))
    with pytest.raises(KeyNotFound, match="Session:none"):
        await Session.afind("none", *NAMES)


async def test_keys_on_several_nodes_are_deleted_together_and_counted(on_cluster: RedisCluster) -> None:
    await Session.ainsert(*(Session(name=name) for name in NAMES))
    keys = [f"Session:{name}" for name in NAMES]
    route = Session.Meta.route("Session:")
    assert await execute(route, ("MODEL.DEL", *keys[10:], "Session:none")) == 50
    assert {key.decode() async for key in scan(route, "Session:*")} == set(keys[:10])


async def test_a_scan_meets_the_keys_of_every_primary_once(on_cluster: RedisCluster) -> None:
    await Session.ainsert(*(Session(name=name) for name in NAMES))
    await Counter(name="1").asave()
    found = [key async for key in scan(Session.Meta.route("Session:"), "Session:*", 7)]
    assert sorted(found) == sorted(f"Session:{name}".encode() for name in NAMES)


async def test_conditions_find_and_delete_on_every_node(on_cluster: RedisCluster) -> None:
    await Session.ainsert(*(Session(name=name, text=name) for name in NAMES))
    half = (Session.text >= NAMES[20]) & (Session.text < NAMES[40])
    expected = {name for name in NAMES if NAMES[20] <= name < NAMES[40]}
    assert {session.name for session in await Session.afind(half)} == expected
    assert (await Session.adelete_many(half)).models_deleted == len(expected)
    assert {session.name for session in await Session.afind()} == set(NAMES) - expected


async def test_what_is_done_as_one_needs_one_slot_and_says_so_before_anything_is_sent(
    on_cluster: RedisCluster,
) -> None:
    await Session.ainsert(Session(name="a"), Session(name="b"), Session(name="{u}a"))
    route = Session.Meta.route("Session:")
    increase = (3, "MODEL.CLEAR", "Session:a", "$.text")
    for words in (
        ("MODEL.EXEC", 2, "Session:a", "Session:b", *increase),
        ("MODEL.COPY", "Session:a", "Session:b"),
    ):
        with pytest.raises(UnsupportedArgumentValueError, match=r"'Session:a', 'Session:b'.*\{user1\}"):
            await execute(route, words)
    assert await execute(route, ("MODEL.COPY", "Session:{u}a", "Session:{u}b", "EXPECT-POLICY")) == 1
    deleting = (2, "MODEL.DEL", "Session:{u}a")
    assert await execute(route, ("MODEL.EXEC", 2, "Session:{u}a", "Session:{u}b", *deleting)) == [1]
    assert (await Session.aget("{u}b")).name == "{u}a"


async def test_nothing_is_saved_under_a_lost_lock_whichever_node_has_the_lock(
    on_cluster: RedisCluster,
) -> None:
    async def end(session: Session, text: str, *gone: str) -> None:
        async with session.alock(save_at_end=True):
            session.text = text
            for key in gone:
                await on_cluster.delete(key)

    for name in ("{one}", "another"):
        session = await Session(name=name).asave()
        await end(session, "saved")
        with pytest.raises(LockLostError):
            await end(session, "late", session.alock().name)
        assert (await Session.aget(name)).text == "saved"
        with pytest.raises(KeyNotFound):
            await end(session, "back again", session.key)
        assert not await Session.aexists(name)


async def test_many_tasks_share_one_connection_to_each_primary(
    cluster: Cluster, on_cluster: RedisCluster
) -> None:
    await asyncio.gather(*(Session(name=str(n)).asave() for n in range(3000)))
    for node in cluster.primaries:
        clients = node("CLIENT", "LIST").decode().splitlines()
        assert sum("cmd=model." in client for client in clients) == 1
    assert sum(node("DBSIZE") for node in cluster.primaries) == 3000


async def test_teardown_closes_what_was_opened_and_leaves_the_client_open(cluster: Cluster) -> None:
    client = cluster.client()
    await init_rapyer(redis=client)
    await client.ping()
    await asyncio.gather(*(Session(name=name).asave() for name in NAMES))
    await teardown_rapyer()
    assert await client.ping()
    for node in cluster.nodes:
        wait_for(lambda node=node: b"cmd=model." not in node("CLIENT", "LIST"))  # type: ignore[misc]
    await client.aclose()


def test_every_event_loop_has_its_own_connections(cluster: Cluster) -> None:
    client = cluster.client()

    async def use() -> None:
        await init_rapyer(redis=client)
        await asyncio.gather(*(Session(name=name).asave() for name in NAMES))
        await teardown_rapyer()

    asyncio.run(use())
    asyncio.run(use())


def test_loops_in_threads_use_one_client_at_the_same_time(cluster: Cluster) -> None:
    client = cluster.client()
    names = ["1", "2", "3"]

    async def begin() -> None:
        await init_rapyer(redis=client)
        await Counter.ainsert(*(Counter(name=name) for name in names))

    async def increase() -> None:
        counters: Any = await Counter.afind(*names)
        await asyncio.gather(*(counter.count.aincrease() for counter in counters for _ in range(50)))

    async def values() -> list[int]:
        return [int(counter.count) for counter in await Counter.afind(*names)]

    asyncio.run(begin())
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(asyncio.run, increase()) for _ in range(8)]:
            done.result(30)
    assert asyncio.run(values()) == [400, 400, 400]


async def test_an_increment_whose_reply_is_lost_was_done_once_and_is_not_done_again(
    cluster: Cluster,
) -> None:
    node = cluster.owner("Counter:1")
    async with Proxy(node.server.port) as proxy:

        def by_proxy(address: tuple[str, int]) -> tuple[str, int]:
            return ("127.0.0.1", proxy.port) if address == node.address else address

        async with used(cluster, address_remap=by_proxy):
            counter: Any = await Counter(name="1").asave()
            for done in range(10):
                assert (await Counter.aget("1")).count == done
                proxy.loses = "replies"
                with pytest.raises(RapyerConnectionError, match="may or may not have been applied"):
                    await counter.count.aincrease()
                proxy.loses = "nothing"


async def test_a_client_of_one_node_is_told_to_use_one_of_the_cluster(cluster: Cluster) -> None:
    await init_rapyer(redis=cluster.primaries[0].server.url)
    elsewhere = next(name for name in NAMES if cluster.owner(f"Session:{name}") is not cluster.primaries[0])
    with pytest.raises(RapyerConnectionError, match="RedisCluster"):
        await Session(name=elsewhere).asave()


async def test_a_cluster_that_is_down_is_reported_with_its_nodes() -> None:
    await init_rapyer(redis=RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", 1)]))
    with pytest.raises(NotAppliedError, match=r"127\.0\.0\.1:1"):
        await asyncio.wait_for(Session(name="a").asave(), 20)


async def test_a_slot_moves_and_no_increment_is_lost_or_done_twice(
    own_cluster: Cluster, on_own_cluster: RedisCluster
) -> None:
    counter = await Counter(name="{moving}1").asave()
    move = Move(own_cluster, counter.key)
    async with Load(counter) as load:
        await load.goes_on()
        move.begin()
        await load.goes_on()
        # What is created now is created where the slot will be, under the policy there.
        created = await Session(name="{moving}2").asave()
        assert move.target("DBSIZE") == 1
        assert 590 < (await created.attl() or 0) <= 600
        move.carry(*move.keys())
        await load.goes_on()
        move.end()
        await load.goes_on()
    assert (load.unknown, load.refused) == (0, 0)
    assert await load.is_accounted_for()
    assert move.target("EXISTS", counter.key) == 1
    assert own_cluster.owner(counter.key) is move.target


async def test_slots_that_a_server_moves_by_itself_lose_no_increment(
    left_out: Callable[[ServerMissing], NoReturn],
) -> None:
    with started("valkey-9", left_out) as cluster:
        async with used(cluster):
            counter = await Counter(name="1").asave()
            move = Move(cluster, counter.key)
            async with Load(counter) as load:
                await load.goes_on()
                slots = ("SLOTSRANGE", move.slot, move.slot)
                assert move.source("CLUSTER", "MIGRATESLOTS", *slots, "NODE", move.target.id) == b"OK"
                await asyncio.to_thread(wait_for, lambda: cluster.owner(counter.key) is move.target)
                await load.goes_on()
            assert (load.unknown, load.refused) == (0, 0)
            assert await load.is_accounted_for()


async def test_a_replica_takes_over_in_order_and_no_increment_fails(
    own_cluster: Cluster, on_own_cluster: RedisCluster
) -> None:
    counter = await Counter(name="1").asave()
    primary = own_cluster.owner(counter.key)
    replica = own_cluster.replicas[own_cluster.primaries.index(primary)]
    async with Load(counter) as load:
        await load.goes_on()
        assert replica("CLUSTER", "FAILOVER") == b"OK"
        await asyncio.to_thread(wait_for, lambda: replica.role() == "master")
        await load.goes_on()
    assert (load.unknown, load.refused) == (0, 0)
    assert await load.is_accounted_for()
    assert own_cluster.owner(counter.key) is replica


async def test_a_replica_takes_over_from_a_primary_that_died(
    own_cluster: Cluster, on_own_cluster: RedisCluster
) -> None:
    counters = await counters_on(own_cluster)
    dead, counter = next(iter(counters.items()))
    replica = own_cluster.replicas[own_cluster.primaries.index(dead)]
    loads = [Load(counter) for counter in counters.values()]
    async with AsyncExitStack() as running:
        for load in loads:
            await running.enter_async_context(load)
            await load.goes_on()
        dead.kill()
        for load in loads:
            await load.goes_on(200)
    # A primary acknowledges before its replica has it, so what was under way at its end may be lost.
    assert await loads[0].is_accounted_for(lost=4)
    assert loads[0].unknown <= 4
    for load in loads[1:]:
        assert load.unknown == 0
        assert await load.is_accounted_for()
    assert replica.role() == "master"
    # It has the policy: what is created there does not live for ever.
    replica("MODEL.POLICY", "DEL", "Counter:")
    await Counter(name=f"{{{counter.key}}}new").asave()
    assert 600_000 in replica("MODEL.POLICY", "GET", "Counter:")


async def test_a_node_restarts_and_no_increment_is_lost_or_done_twice(
    own_cluster: Cluster, on_own_cluster: RedisCluster
) -> None:
    counters = await counters_on(own_cluster)
    restarted, counter = next(iter(counters.items()))
    async with Load(counter) as load:
        await load.goes_on()
        await asyncio.to_thread(restarted.restart)
        await load.goes_on()
    assert await load.is_accounted_for()
    assert load.unknown <= 4
    # Its policies went with it, or came back from its own files; what is created there has a deadline.
    created = await Counter(name=f"{{{counter.key}}}new").asave()
    assert 590_000 < own_cluster.owner(created.key)("PTTL", created.key) <= 600_000
