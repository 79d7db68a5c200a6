"""Documents that move from server to server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from _servers import Server
from _wire import Client, CommandFailed, wait_for

Start = Callable[..., Server]

KEYS = ("S:{tag}:1", "S:{tag}:2", "S:{tag}:large")


def fill(client: Client) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "ALL", "ABSOLUTE", 9_000_000)
    client("MODEL.CREATE", KEYS[0], '{"n":0,"list":[1.10]}')
    client("MODEL.CREATE", KEYS[1], "{}")
    client("MODEL.TTL", "SET", KEYS[1], "PX", 5_000_000)
    client("MODEL.CREATE", KEYS[2], "[" + "[1],2," * 100_000 + "3]")
    client("MODEL.APPEND", KEYS[2], "$[0]", "4")


def states(client: Client) -> list[Any]:
    return [(client("MODEL.GET_RO", key), client("MODEL.TTL", "GET", key)) for key in KEYS]


def test_a_document_migrates_with_everything_it_has(start: Start) -> None:
    source, target = start(), start()
    with Client(source) as client, Client(target) as at_target:
        fill(client)
        at_target("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "ALL", "ABSOLUTE", 9_000_000)
        before = states(client)
        assert client("MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *KEYS) == b"OK"
        assert client("DBSIZE") == 0
        after = states(at_target)
        for (text, lifetime), (text_there, lifetime_there) in zip(before, after, strict=True):
            assert text_there == text
            # MIGRATE sends what is left of the time, not the moment: it is as late as the way takes.
            assert lifetime_there[2:] == lifetime[2:]
            assert 0 <= lifetime_there[1] - lifetime[1] < 2000


class Cluster:
    """Two servers; the first has every slot."""

    def __init__(self, start: Start) -> None:
        self.servers = [start("--cluster-enabled", "yes", "--appendonly", "yes") for _ in range(2)]
        self.first, self.second = (Client(server) for server in self.servers)
        self.first("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        self.first("CLUSTER", "MEET", "127.0.0.1", self.servers[1].port)
        wait_for(lambda: all(b"state:ok" in node("CLUSTER", "INFO") for node in (self.first, self.second)))

    def close(self) -> None:
        self.first.close()
        self.second.close()


@pytest.fixture
def cluster(start: Start) -> Iterator[Cluster]:
    cluster = Cluster(start)
    yield cluster
    cluster.close()


# The one that moves slots by itself and asks modules whether they can stand it.
@pytest.mark.parametrize("kind", ["valkey-9"])
def test_slots_move_while_their_documents_are_written(cluster: Cluster) -> None:
    fill(cluster.first)
    cluster.second("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "ALL", "ABSOLUTE", 9_000_000)
    acknowledged = 0

    def write() -> None:
        nonlocal acknowledged
        with Client(cluster.servers[0]) as client, contextlib.suppress(CommandFailed):
            while True:
                acknowledged = int(client("MODEL.INCRBY", KEYS[0], "$.n", 1))
                client("MODEL.GET", KEYS[1])

    writing = threading.Thread(target=write)
    writing.start()
    wait_for(lambda: acknowledged > 10)
    created = [lifetime[2:] for _, lifetime in states(cluster.first)]
    slot, node = cluster.first("CLUSTER", "KEYSLOT", KEYS[0]), cluster.second("CLUSTER", "MYID")
    cluster.first("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node)
    writing.join(20)
    assert not writing.is_alive(), str(cluster.first("CLUSTER", "GETSLOTMIGRATIONS"))
    assert acknowledged > 10
    assert int(cluster.second("MODEL.GET_RO", KEYS[0], "$.n")) == acknowledged
    there = states(cluster.second)
    # Created, cap and policy; the version counts the writes.
    assert [lifetime[2:10] for _, lifetime in there] == [lifetime[:8] for lifetime in created]
    assert there[0][1][11] == acknowledged + 1
    assert there[2][0].startswith(b"[[1,4],2,[1],2,")
    with pytest.raises(CommandFailed, match="MOVED"):
        cluster.first("MODEL.GET", KEYS[0])
    for key in KEYS:
        assert cluster.second("MODEL.GET", key) is not None
