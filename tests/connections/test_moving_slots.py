"""Clients whose map of a cluster is old: everything they do goes where the keys are now, once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import pytest

import rapyer
from _clusters import Cluster, Move, Node
from _servers import EVERY_KIND, KINDS, Kind, ServerMissing
from _wire import CommandFailed, wait_for
from rapyer import AtomicRedisModel, Key, init_rapyer, teardown_rapyer
from rapyer.errors import (
    ClusterDownError,
    NotAppliedError,
    RapyerConnectionError,
    SlotMovingError,
)
from rapyer.types import RedisInt, RedisSet


class Basket(AtomicRedisModel):
    name: Key[str]
    count: RedisInt = RedisInt(0)
    tags: RedisSet[str] = RedisSet()


Baskets = tuple[Basket, Basket]


@pytest.fixture(scope="module", params=KINDS)
def cluster(
    request: pytest.FixtureRequest, left_out: Callable[[ServerMissing], NoReturn]
) -> Iterator[Cluster]:
    """For tests that move slots of their own, and leave every node what it is."""
    try:
        cluster = Cluster(request.param)
    except ServerMissing as missing:
        left_out(missing)
    yield cluster
    cluster.stop()


@asynccontextmanager
async def used(cluster: Cluster, timeout: float = 20) -> AsyncIterator[None]:
    async with cluster.client() as client:
        await init_rapyer(redis=client, ttl=600, timeout=timeout)
        yield
        await teardown_rapyer()


@pytest.fixture
async def on_cluster(cluster: Cluster) -> AsyncIterator[Cluster]:
    async with used(cluster):
        yield cluster


async def baskets(tag: str) -> Baskets:
    """Two models in one slot, whose node the client knows from now on."""
    one = Basket(name=f"{{{tag}}}1", tags=RedisSet({"a", "b"}))
    two = Basket(name=f"{{{tag}}}2", tags=RedisSet({"b", "c"}))
    await Basket.ainsert(one, two)
    return one, two


# -- what is done with the old map; each tells the counts that it leaves, and the names it adds


async def transaction(one: Basket, two: Basket) -> tuple[int, int]:
    async with rapyer.apipeline():
        one.count += 1
        two.count -= 1
    return 1, -1


async def lock(one: Basket, two: Basket) -> tuple[int, int]:
    async with one.alock("payout", save_at_end=True, timeout=20):
        one.count = RedisInt(5)
    return 5, 0


async def set_operation(one: Basket, two: Basket) -> tuple[int, int]:
    assert await one.tags.aunion(two.tags) == {"a", "b", "c"}
    assert await one.tags.aintersect(two.tags) == {"b"}
    assert await one.tags.adifference(two.tags) == {"a"}
    return 0, 0


async def inserting_many(one: Basket, two: Basket) -> tuple[int, int]:
    await Basket.ainsert(Basket(name=one.name, count=RedisInt(7)), Basket(name=two.name, count=RedisInt(8)))
    return 7, 8


async def saving_several(one: Basket, two: Basket) -> tuple[int, int]:
    one.count, two.count = RedisInt(3), RedisInt(4)
    async with rapyer.apipeline():
        await one.asave()
        await two.asave()
    return 3, 4


async def finding(one: Basket, two: Basket) -> tuple[int, int]:
    assert await Basket.afind(one.name, two.name) == [one, two]
    missing = one.name + "missing"
    assert await Basket.afind(one.name, missing, two.name, skip_missing=True) == [one, two]
    assert await Basket.afind(missing, missing + "too", skip_missing=True) == []
    return 0, 0


async def deleting_others(one: Basket, two: Basket) -> tuple[int, int]:
    missing = one.name + "missing"
    assert (await Basket.adelete_many(missing, missing + "too")).models_deleted == 0
    return 0, 0


async def increasing(one: Basket, two: Basket) -> tuple[int, int]:
    await asyncio.gather(*(one.count.aincrease() for _ in range(50)))
    return 50, 0


Operation = Callable[[Basket, Basket], Awaitable[tuple[int, int]]]
OPERATIONS: list[Operation] = [
    transaction,
    lock,
    set_operation,
    inserting_many,
    saving_several,
    finding,
    deleting_others,
    increasing,
]
AS_ONE = [transaction, set_operation, inserting_many, saving_several]
"""Those that need all of their keys on one node."""

operations = pytest.mark.parametrize("operate", OPERATIONS, ids=[each.__name__ for each in OPERATIONS])
tags = map(str, range(1_000_000))


def holds(cluster: Cluster, node: Node, models: Baskets, counts: tuple[int, int]) -> bool:
    """Whether a node, and no other primary, has the models with these counts."""
    for model, count in zip(models, counts, strict=True):
        if node("MODEL.GET_RO", model.key, "$.count") != str(count).encode():
            return False
    slot = int(node("CLUSTER", "KEYSLOT", models[0].key))
    return all(other("CLUSTER", "COUNTKEYSINSLOT", slot) == 0 for other in cluster.other_primaries(node))


@operations
async def test_a_slot_that_has_moved_is_followed(on_cluster: Cluster, operate: Operation) -> None:
    models = await baskets(next(tags))
    move = Move(on_cluster, models[0].key)
    move.begin()
    move.carry(*move.keys())
    move.end()
    counts = await operate(*models)
    assert holds(on_cluster, move.target, models, counts)


@operations
async def test_keys_that_have_left_are_followed_while_the_slot_is_under_way(
    on_cluster: Cluster, operate: Operation
) -> None:
    models = await baskets(next(tags))
    move = Move(on_cluster, models[0].key)
    move.begin()
    move.carry(*move.keys())
    counts = await operate(*models)
    move.end()
    assert holds(on_cluster, move.target, models, counts)


@operations
async def test_keys_that_have_not_left_are_found_while_the_slot_is_under_way(
    on_cluster: Cluster, operate: Operation
) -> None:
    models = await baskets(next(tags))
    if operate is lock:
        # Taken now, a lock is where the slot will be: one batch with its document is waited for in vain.
        await init_rapyer(timeout=0.3)
        await Basket.aget(models[0].name)
    move = Move(on_cluster, models[0].key)
    move.begin()
    counts = await operate(*models)
    # What is new is where the slot will be.
    move.carry(*move.keys())
    move.end()
    assert holds(on_cluster, move.target, models, counts)


@operations
async def test_keys_of_which_one_has_left_are_waited_for_only_where_they_are_needed_as_one(
    on_cluster: Cluster, operate: Operation
) -> None:
    models = await baskets(next(tags))
    move = Move(on_cluster, models[0].key)
    move.begin()
    move.carry(models[0].key.encode())
    operating = asyncio.ensure_future(operate(*models))
    if operate in AS_ONE:
        await asyncio.sleep(0.2)
        assert not operating.done()
        move.carry(models[1].key.encode())
    counts = await operating
    move.carry(*move.keys())
    move.end()
    assert holds(on_cluster, move.target, models, counts)


@pytest.mark.parametrize("operate", AS_ONE, ids=[each.__name__ for each in AS_ONE])
async def test_a_slot_that_stays_under_way_is_an_error_that_says_so_and_nothing_is_applied(
    on_cluster: Cluster, operate: Operation
) -> None:
    models = await baskets(next(tags))
    await init_rapyer(timeout=0.3)
    await Basket.aget(models[0].name)
    move = Move(on_cluster, models[0].key)
    move.begin()
    move.carry(models[0].key.encode())
    with pytest.raises(SlotMovingError, match="slot") as refused:
        await operate(*models)
    assert isinstance(refused.value, NotAppliedError)
    assert "give init_rapyer" not in str(refused.value)
    move.carry(models[1].key.encode())
    move.end()
    assert holds(on_cluster, move.target, models, (0, 0))


async def test_new_models_of_a_slot_that_stays_under_way_are_refused_together_and_stored_one_by_one(
    on_cluster: Cluster,
) -> None:
    models = await baskets(next(tags))
    await init_rapyer(timeout=0.3)
    await Basket.aget(models[0].name)
    move = Move(on_cluster, models[0].key)
    move.begin()
    new = [Basket(name=f"{models[0].name}new{n}") for n in range(2)]
    # The node that they belong to cannot tell whether the other one has them.
    with pytest.raises(SlotMovingError, match=f"slot {move.slot}"):
        await Basket.ainsert(*new)
    for each in new:
        await each.asave()
    assert await Basket.afind(*(each.name for each in new)) == new
    move.carry(*move.keys())
    move.end()
    assert holds(on_cluster, move.target, models, (0, 0))


@operations
async def test_a_replica_that_was_promoted_is_followed(on_cluster: Cluster, operate: Operation) -> None:
    models = await baskets(next(tags))
    replica = on_cluster.replica_of(on_cluster.owner(models[0].key))
    await asyncio.to_thread(on_cluster.promote, replica)
    counts = await operate(*models)

    def holds_on_owner() -> bool:
        # The old primary may learn of it a moment later, and until then the two disagree.
        with suppress(CommandFailed, LookupError):
            return holds(on_cluster, on_cluster.owner(models[0].key), models, counts)
        return False

    await asyncio.to_thread(wait_for, holds_on_owner)
    await asyncio.to_thread(on_cluster.wait_until_whole)


async def test_a_slot_that_nobody_has_is_waited_for(cluster: Cluster) -> None:
    async with used(cluster):
        models = await baskets(next(tags))
        node = cluster.owner(models[0].key)
        slot = int(node("CLUSTER", "KEYSLOT", models[0].key))
        node("CLUSTER", "DELSLOTS", slot)
        waiting = asyncio.ensure_future(transaction(*models))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        node("CLUSTER", "ADDSLOTS", slot)
        counts = await waiting
        assert holds(cluster, node, models, counts)
        await init_rapyer(timeout=0.3)
        await Basket.aget(models[0].name)
        node("CLUSTER", "DELSLOTS", slot)
        with pytest.raises(NotAppliedError, match=r"CLUSTERDOWN|slots") as refused:
            await transaction(*models)
        assert isinstance(refused.value, ClusterDownError) or "cannot learn" in str(refused.value)
        node("CLUSTER", "ADDSLOTS", slot)
        await asyncio.to_thread(cluster.wait_until_whole)


# -- everything at the same time


class Ledger:
    """Tasks that write as long as the block lasts, and what was acknowledged of it."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.inserted: set[str] = set()
        self.transfers = 0
        self.unknown = 0
        self.refused = 0

    async def insert(self, task: int, until: float) -> None:
        number = 0
        while time.monotonic() < until:
            names = [f"{{{self._tag}}}{task}.{number}.{n}" for n in range(3)]
            number += 1
            if await self._is_acknowledged(Basket.ainsert(*(Basket(name=name) for name in names))):
                self.inserted.update(names)

    async def transfer(self, until: float) -> None:
        one, two = await Basket.aget(f"{{{self._tag}}}1"), await Basket.aget(f"{{{self._tag}}}2")
        while time.monotonic() < until:
            if await self._is_acknowledged(transaction(one, two)):
                self.transfers += 1

    async def _is_acknowledged(self, writing: Awaitable[object]) -> bool:
        try:
            await writing
        except NotAppliedError:
            self.refused += 1
        except RapyerConnectionError:
            self.unknown += 1
        else:
            return True
        return False


def move_back_and_forth(cluster: Cluster, keys: list[str], until: float, chance: random.Random) -> int:
    """Moves the slots of some keys from node to node, a few keys at a time; how often."""
    moves = 0
    while time.monotonic() < until:
        move = Move(cluster, chance.choice(keys), chance)
        move.begin()
        while carried := move.keys():
            move.carry(*carried[: chance.randint(1, 20)])
        move.end()
        moves += 1
    return moves


async def writes_while_slots_move(cluster: Cluster, seconds: float) -> None:
    chance = random.Random(1)
    ledgers = [Ledger(f"chaos{n}") for n in range(4)]
    keys: list[str] = [(await baskets(ledger._tag))[0].key for ledger in ledgers]
    until = time.monotonic() + seconds
    moving = asyncio.create_task(asyncio.to_thread(move_back_and_forth, cluster, keys, until, chance))
    writing = [
        task
        for ledger in ledgers
        for task in (ledger.insert(1, until), ledger.insert(2, until), ledger.transfer(until))
    ]
    await asyncio.gather(*writing)
    assert await moving > 5
    for ledger in ledgers:
        names = sorted(ledger.inserted)
        found = {basket.name for basket in await Basket.afind(*names, skip_missing=True)}
        assert found == set(names), f"{len(names) - len(found)} acknowledged models are gone"
        one, two = await Basket.aget(f"{{{ledger._tag}}}1"), await Basket.aget(f"{{{ledger._tag}}}2")
        assert (int(one.count), int(two.count)) == (ledger.transfers, -ledger.transfers)
        assert ledger.transfers > 5
        assert len(names) > 5
        assert ledger.unknown == 0
        # Each name is on one node, the one that has its slot.
        owner = cluster.owner(one.key)
        slot = int(owner("CLUSTER", "KEYSLOT", one.key))
        others = cluster.other_primaries(owner)
        assert all(other("CLUSTER", "COUNTKEYSINSLOT", slot) == 0 for other in others)


async def test_what_is_acknowledged_while_slots_move_back_and_forth_is_there(on_cluster: Cluster) -> None:
    await writes_while_slots_move(on_cluster, 8)


@pytest.mark.soak
@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_minutes_of_moving_slots_lose_nothing(
    kind: Kind, left_out: Callable[[ServerMissing], NoReturn]
) -> None:
    try:
        cluster = Cluster(kind)
    except ServerMissing as missing:
        left_out(missing)
    async with used(cluster):
        await writes_while_slots_move(cluster, 120)
    cluster.stop()
