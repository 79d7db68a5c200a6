"""What crashes, lost links and new primaries leave: every write that was acknowledged."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from _servers import Server
from _wire import Client, CommandFailed, wait_for, wait_until_linked

Start = Callable[..., Server]

POLICY = ("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "ALL")
SPAN = 1_000_000


def fill(client: Client, documents: int = 20) -> None:
    client(*POLICY, "ABSOLUTE", 9_000_000)
    for at in range(documents):
        client("MODEL.CREATE", f"S:{at}", json.dumps({"at": at, "list": []}))
        client("MODEL.APPEND", f"S:{at}", "$.list", at)
    client("MODEL.TTL", "SET", "S:0", "PX", 7_200_000)
    client("MODEL.CREATE", "S:large", json.dumps(list(range(5000))))
    client("MODEL.CREATE", "Other:1", "1.10")
    client("SELECT", 3)
    client(*POLICY)
    client("MODEL.CREATE", "S:elsewhere", "{}")
    client("SELECT", 0)


def state(client: Client) -> list[Any]:
    found: list[Any] = []
    for database in (0, 3):
        client("SELECT", database)
        found.append(client("MODEL.POLICY", "LIST"))
        for key in sorted(client("KEYS", "*")):
            found += [
                key,
                client("MODEL.GET_RO", key),
                client("MODEL.TTL", "GET", key),
                client("PEXPIRETIME", key),
            ]
    client("SELECT", 0)
    return found


def synced(primary: Client, replica: Client) -> bool:
    told, heard = (server.info("replication")["master_repl_offset"] for server in (primary, replica))
    return told == heard


class Writer(threading.Thread):
    """Writes to a document of its own, counting from 1, until its server is gone."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__()
        self.key, self.prefix = f"S:{name}", f"{name}:"
        self.acknowledged = 0
        self._client = Client(server)

    def run(self) -> None:
        client, key = self._client, self.key
        with client, contextlib.suppress(ConnectionError):
            client("MODEL.CREATE", key, '{"n":0,"log":[],"text":"' + "x" * 5000 + '"}')
            while True:
                number = self.acknowledged + 1
                client("MODEL.INCRBY", key, "$.n", 1)
                client("MODEL.APPEND", key, "$.log", number)
                client("MODEL.TTL", "SET", key, "PX", SPAN + number)
                client("MODEL.POLICY", "SET", self.prefix, "TTL", SPAN + number)
                self.acknowledged = number

    def check(self, client: Client) -> None:
        """Nothing acknowledged is missing; of the round under way there may be a part, from its start."""
        number, log = (json.loads(client("MODEL.GET_RO", self.key, path)) for path in ("$.n", "$.log"))
        lifetime = dict(zip(*[iter(client("MODEL.TTL", "GET", self.key))] * 2, strict=True))
        policy = dict(zip(*[iter(client("MODEL.POLICY", "GET", self.prefix))] * 2, strict=True))
        assert log == list(range(1, len(log) + 1))
        rounds = (number, len(log), lifetime[b"window"] - SPAN, policy[b"ttl"] - SPAN)
        assert self.acknowledged + 1 >= rounds[0]
        assert list(rounds) == sorted(rounds, reverse=True)
        assert rounds[-1] >= self.acknowledged
        assert lifetime[b"version"] == 1 + number + len(log)
        assert 0 <= client.now() - (lifetime[b"deadline"] - lifetime[b"window"]) < 60_000


def all_reached(writers: list[Writer], rounds: int) -> bool:
    return all(writer.acknowledged >= rounds for writer in writers)


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_every_acknowledged_write_is_there_after_a_crash_under_load(start: Start, preamble: str) -> None:
    server = start("--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble)
    writers = [Writer(server, name) for name in ("first", "second")]
    for writer in writers:
        writer.start()
    with Client(server) as client:
        for rounds in (50, 100):
            wait_for(partial(all_reached, writers, rounds))
            wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
            client("BGREWRITEAOF")
    server.kill()
    for writer in writers:
        writer.join()
    server.restart()
    with Client(server) as client:
        for writer in writers:
            writer.check(client)


@pytest.mark.parametrize("load", ["disabled", "swapdb"])
@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_full_sync_brings_everything(start: Start, diskless: str, load: str) -> None:
    primary = start("--repl-diskless-sync", diskless)
    with Client(primary) as client:
        fill(client)
        replica = start("--repl-diskless-load", load, of=primary)
        with Client(replica) as at_replica:
            wait_for(lambda: synced(client, at_replica))
            assert state(at_replica) == state(client)


def test_a_partial_sync_brings_what_was_missed(start: Start) -> None:
    primary = start()
    with Client(primary) as client, Client(start(of=primary)) as at_replica:
        fill(client)
        wait_for(lambda: synced(client, at_replica))
        resumed = int(client.info("stats")["sync_partial_ok"])
        at_replica("CLIENT", "KILL", "TYPE", "master")
        for at in range(20):
            client("MODEL.APPEND", f"S:{at}", "$.list", '"missed"')
            client("MODEL.GET", f"S:{at}")
        client("MODEL.TTL", "SET", "S:1", "PX", 5_000_000)
        client("MODEL.POLICY", "SET", "S:", "TTL", 1_200_000)
        wait_for(lambda: int(client.info("stats")["sync_partial_ok"]) > resumed)
        wait_for(lambda: synced(client, at_replica))
        assert state(at_replica) == state(client)
        assert client.info("stats")["sync_full"] == "1"


def what_is_served(client: Client) -> list[Any]:
    """A part of it, in few round trips: a server that loads has little time for its clients."""
    return [client("MODEL.POLICY", "LIST"), client("MODEL.GET", "S:1")]


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "broken off"])
def test_a_replica_serves_what_it_has_until_what_it_loads_beside_it_is_complete(
    start: Start, complete: bool
) -> None:
    primary = start("--repl-diskless-sync", "yes", "--repl-backlog-size", "16kb", "--rdbcompression", "no")
    every_kilobyte = ("--loading-process-events-interval-bytes", "1024")
    replica = start("--repl-diskless-load", "swapdb", *every_kilobyte, of=primary)
    with Client(primary) as client, Client(replica) as at_replica:
        fill(client)
        for at in range(40):
            client("MODEL.CREATE", f"Padding:{at}", '"' + "x" * 20_000 + '"')
        wait_for(lambda: synced(client, at_replica))
        before, told = state(at_replica), what_is_served(at_replica)
        # More than the backlog holds is missed, so everything is sent once more, and slowly.
        os.kill(replica.pid, signal.SIGSTOP)
        client("CLIENT", "KILL", "TYPE", "replica")
        client("MODEL.POLICY", "SET", "S:", "TTL", 1_200_000)
        client("MODEL.POLICY", "SET", "New:", "TTL", 1_000)
        client("MODEL.SET", "S:1", "$.at", '"' + "new" * 20_000 + '"')
        client("CONFIG", "SET", "rdb-key-save-delay", 50_000)
        os.kill(replica.pid, signal.SIGCONT)
        wait_for(lambda: at_replica.info("persistence")["async_loading"] == "1")
        assert what_is_served(at_replica) == told
        assert at_replica.info("persistence")["async_loading"] == "1"
        if complete:
            wait_for(lambda: at_replica.info("persistence")["async_loading"] == "0")
            wait_until_linked(replica)
            wait_for(lambda: synced(client, at_replica))
            assert state(at_replica) == state(client)
            assert what_is_served(at_replica) != told
        else:
            primary.kill()
            wait_for(lambda: at_replica.info("persistence")["async_loading"] == "0")
            assert state(at_replica) == before
            # What it loads next goes where it belongs.
            at_replica("REPLICAOF", "NO", "ONE")
            at_replica("MODEL.POLICY", "SET", "Own:", "TTL", 1_000)
            assert at_replica("MODEL.POLICY", "MATCH", "Own:1") is not None


def test_a_promoted_replica_has_what_it_acknowledged_and_decides_from_then_on(start: Start) -> None:
    primary = start()
    replica = start(of=primary)
    with Client(primary) as client, Client(replica) as promoted:
        fill(client)
        for at in range(100):
            client("MODEL.APPEND", "S:1", "$.list", at)
        assert client("WAIT", 1, 5000) == 1
        before = state(client)
        primary.kill()
        promoted("REPLICAOF", "NO", "ONE")
        assert state(promoted) == before
        deadline = promoted("PEXPIRETIME", "S:1")
        wait_for(lambda: promoted("MODEL.GET", "S:1") and promoted("PEXPIRETIME", "S:1") > deadline)
        promoted("MODEL.CREATE", "S:new", "1")
        assert 0 < promoted("PTTL", "S:new") <= 600_000


def test_after_a_failover_the_new_primary_decides_and_the_old_one_follows(start: Start) -> None:
    primary = start()
    replica = start(of=primary)
    with Client(primary) as client, Client(replica) as promoted:
        fill(client)
        wait_for(lambda: synced(client, promoted))
        before = state(client)
        client("FAILOVER")
        wait_for(lambda: promoted.info("replication")["role"] == "master")
        wait_until_linked(primary)
        assert state(promoted) == state(client) == before
        deadline = promoted("PEXPIRETIME", "S:1")
        wait_for(lambda: promoted("MODEL.GET", "S:1") and promoted("PEXPIRETIME", "S:1") > deadline)
        promoted("MODEL.POLICY", "SET", "S:", "TTL", 700_000)
        wait_for(lambda: synced(promoted, client))
        assert state(client) == state(promoted)
        with pytest.raises(CommandFailed, match="READONLY"):
            client("MODEL.SET", "S:1", "$.at", "0")


def test_a_replica_cut_off_answers_no_expired_document_and_deletes_none(start: Start) -> None:
    primary = start()
    replica = start(of=primary)
    with Client(primary) as client, Client(replica) as at_replica:
        client("MODEL.CREATE", "S:1", "1")
        client("MODEL.TTL", "SET", "S:1", "PX", 300)
        assert client("WAIT", 1, 5000) == 1
        os.kill(primary.pid, signal.SIGSTOP)
        assert at_replica("MODEL.GET", "S:1") == b"1"
        wait_for(lambda: at_replica("MODEL.GET", "S:1") is None)
        assert at_replica("MODEL.MGET", "S:1") == [None]
        assert at_replica("MODEL.TTL", "GET", "S:1") is None
        assert at_replica("DBSIZE") == 1
        os.kill(primary.pid, signal.SIGCONT)
        wait_for(lambda: at_replica("DBSIZE") == 0)


def test_databases_change_places_and_leave_their_policies(start: Start) -> None:
    with Client(start()) as client:
        fill(client)
        before = state(client)
        client("SWAPDB", 0, 3)
        assert client("MODEL.GET_RO", "S:elsewhere") == b"{}"
        assert client("MODEL.POLICY", "LIST") == before[0]
        client("SWAPDB", 0, 3)
        assert state(client) == before


def test_a_document_that_expired_while_its_server_was_down_is_gone(start: Start) -> None:
    server = start("--appendonly", "yes", "--appendfsync", "always")
    with Client(server) as client:
        client("MODEL.CREATE", "S:short", "1")
        client("MODEL.TTL", "SET", "S:short", "PX", 100)
        client("MODEL.CREATE", "S:long", "1")
    server.kill()
    time.sleep(0.15)
    server.restart()
    with Client(server) as client:
        assert client("MODEL.MGET", "S:short", "S:long") == [None, b"1"]
