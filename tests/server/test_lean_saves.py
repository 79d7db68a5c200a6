"""What a model's save costs on the wire, in the append-only file and to a replica: its edits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from _servers import Server
from _wire import Client, wait_for
from rapyer import AtomicRedisModel, RedisConfig, init_rapyer, teardown_rapyer

Start = Callable[..., Server]

MOST = 200
"""Bytes that a save of one number may cost anywhere, however large its document is."""


class Archive(AtomicRedisModel):
    visits: int = 0
    pages: dict[str, str] = {}
    rows: list[str] = []


@pytest.fixture
def logging_primary(start: Start) -> Server:
    return start("--appendonly", "yes", "--appendfsync", "always")


def sizes(server: Server, client: Client) -> tuple[int, int, int]:
    """Bytes received from clients, in the append-only file, and to replicas, so far."""
    log = sum(path.stat().st_size for path in (server.dir / "appendonlydir").iterdir())
    received = int(client.info("stats")["total_net_input_bytes"])
    return received, log, int(client.info("replication")["master_repl_offset"])


def test_one_changed_number_of_a_large_document_costs_a_few_bytes(
    logging_primary: Server, start: Start
) -> None:
    replica = start(of=logging_primary)

    async def save(change: Callable[[Archive], object]) -> tuple[int, ...]:
        await init_rapyer(redis=logging_primary.url, ttl=1800)
        try:
            archive = await Archive(
                pages={f"page {n}": "x" * 500 for n in range(1_000)}, rows=["y" * 500] * 1_000
            ).asave()
            change(archive)
            with Client(logging_primary) as client:
                before = sizes(logging_primary, client)
                await archive.asave()
                # Each look costs its own words; both are the same ones.
                between = sizes(logging_primary, client)
                after = sizes(logging_primary, client)
            assert await Archive.aget(archive.key) == archive
            key = str(archive.key)
            with Client(logging_primary) as client, Client(replica) as follower:
                wait_for(lambda: follower("MODEL.GET_RO", key) == client("MODEL.GET_RO", key))
        finally:
            await teardown_rapyer()
            AtomicRedisModel.Meta = RedisConfig()
        looking = [now - then for now, then in zip(after, between, strict=True)]
        return tuple(now - then - look for now, then, look in zip(between, before, looking, strict=True))

    def assign(archive: Archive) -> None:
        archive.visits = 7

    def put(archive: Archive) -> None:
        archive.pages["page 7"] = "z"

    for change in (assign, put):
        received, logged, replicated = asyncio.run(save(change))
        assert 0 < received < MOST
        assert 0 < logged < MOST
        assert 0 < replicated < MOST
