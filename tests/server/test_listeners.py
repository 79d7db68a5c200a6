"""Writes are put into words only where somebody gets them, and whoever comes later misses none."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from _servers import Server
from _wire import Client, wait_for, wait_until_linked

Start = Callable[..., Server]

WINDOW = 1_800_000
KEYS = [f"S:{n}" for n in range(8)]


def write(client: Client, number: int) -> None:
    """One change of each kind of replicated command: a creation, a write, a refresh by a read, a deletion."""
    key = KEYS[number % len(KEYS)]
    client("MODEL.GETORCREATE", key, '{"n":0,"list":[]}')
    client("MODEL.APPEND", key, "$.list", number, "MAXLEN", 20)
    client("MODEL.GET", key)
    client("MODEL.EXEC", 1, key, 4, "MODEL.INCRBY", key, "$.n", 1)
    if number % 7 == 0:
        client("MODEL.DEL", key)


def set_policy(client: Client) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", WINDOW, "REFRESH", "ALL")


def held(client: Client) -> list[object]:
    """Every document with its deadline and header, and the policies."""
    documents = [
        (client("MODEL.GET_RO", key), client("PEXPIRETIME", key), client("MODEL.TTL", "GET", key))
        for key in KEYS
    ]
    return [*documents, client("MODEL.POLICY", "LIST")]


def agree(client: Client, other: Client) -> bool:
    """Whether both hold the same, once the other one has caught up."""
    offset = int(client.info("replication")["master_repl_offset"])
    wait_for(lambda: int(other.info("replication").get("slave_repl_offset", 0)) >= offset)
    return held(client) == held(other)


@contextmanager
def writing(server: Server) -> Iterator[None]:
    """Writes all the while."""
    ended = threading.Event()

    def go_on() -> None:
        with Client(server) as client:
            for number in itertools.count():
                if ended.is_set():
                    return
                write(client, number)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_a_replica_that_comes_amid_writes_holds_what_its_primary_holds(
    start: Start, primary: Server, client: Client
) -> None:
    set_policy(client)
    for _ in range(3):
        with writing(primary):
            replica = start(of=primary)
        with Client(replica) as at_replica:
            assert agree(client, at_replica)
        replica.stop()


def test_a_replica_fed_without_a_file_after_a_delay_misses_nothing(
    start: Start, primary: Server, client: Client
) -> None:
    set_policy(client)
    client("CONFIG", "SET", "repl-diskless-sync", "yes", "repl-diskless-sync-delay", "1")
    with writing(primary):
        replica = start(of=primary)
    with Client(replica) as at_replica:
        assert agree(client, at_replica)


def test_a_replica_that_comes_back_gets_what_it_missed(start: Start, primary: Server, client: Client) -> None:
    set_policy(client)
    replica = start(of=primary)
    before = client.info("stats")["sync_full"]
    os.kill(replica.pid, signal.SIGSTOP)
    client("CLIENT", "KILL", "TYPE", "replica")
    wait_for(lambda: client.info("replication")["connected_slaves"] == "0")
    # Longer than the presence of a replica is taken for granted.
    time.sleep(1.1)
    for number in range(20):
        write(client, number)
    os.kill(replica.pid, signal.SIGCONT)
    with Client(replica) as at_replica:
        wait_until_linked(replica)
        assert agree(client, at_replica)
    assert client.info("stats")["sync_full"] == before


def test_a_promoted_replica_feeds_its_own_replica(start: Start, primary: Server, client: Client) -> None:
    set_policy(client)
    replica = start(of=primary)
    with Client(replica) as promoted:
        promoted("REPLICAOF", "NO", "ONE")
        for number in range(10):
            write(promoted, number)
        with writing(replica):
            last = start(of=replica)
        with Client(last) as at_last:
            assert agree(promoted, at_last)


def test_an_append_only_file_that_is_switched_on_amid_writes_holds_everything(
    start: Start,
) -> None:
    server = start("--enable-debug-command", "yes")
    with Client(server) as client:
        set_policy(client)
        for number in range(20):
            write(client, number)
        with writing(server):
            client("CONFIG", "SET", "appendonly", "yes")
            wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
        for number in range(20):
            write(client, number)
        before = held(client)
        client("DEBUG", "LOADAOF")
        assert held(client) == before


def test_what_nobody_listens_to_still_counts_as_changes_to_be_saved(client: Client) -> None:
    set_policy(client)
    for command in (
        ("MODEL.CREATE", "S:1", '{"n":1}'),
        ("MODEL.INCRBY", "S:1", "$.n", 1),
        ("MODEL.DEL", "S:1"),
        ("MODEL.POLICY", "DEL", "S:"),
    ):
        before = changes(client)
        client(*command)
        assert changes(client) > before


def changes(client: Client) -> int:
    return int(client.info("persistence")["rdb_changes_since_last_save"])
