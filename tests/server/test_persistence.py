"""What outlives a restart, and what becomes of payloads that are damaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from _servers import Server
from _wire import Client, wait_for

Start = Callable[..., Server]

# A server that syncs every second may answer before it writes, and lose that second when it is killed.
APPEND_ONLY = ("--appendonly", "yes", "--appendfsync", "always")
FORMS = {
    "snapshot": ("--dbfilename", "dump.rdb"),
    "append-only": APPEND_ONLY,
    "rewritten with preamble": (*APPEND_ONLY, "--aof-use-rdb-preamble", "yes"),
    "rewritten without preamble": (*APPEND_ONLY, "--aof-use-rdb-preamble", "no"),
}
DEBUGGING = ("--enable-debug-command", "yes")


def rewrite(client: Client) -> None:
    wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
    client("BGREWRITEAOF")
    wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
    assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"


def state(client: Client) -> list[object]:
    found: list[object] = []
    for database in (0, 3):
        client("SELECT", database)
        found.append(client("MODEL.POLICY", "LIST"))
        for key in sorted(client("KEYS", "*")):
            found += [
                key,
                client("MODEL.GET_RO", key),
                client("MODEL.TTL", "GET", key),
            ]
            found.append(client("PEXPIRETIME", key))
    client("SELECT", 0)
    return found


def fill(client: Client) -> None:
    client("MODEL.CREATE", "S:plain", '{"n":1.10,"ids":[9007199254740993]}')
    client("MODEL.APPEND", "S:plain", "$.ids", '"\\u00e9\\u0000"')
    client("MODEL.CREATE", "S:own", "[]")
    client("MODEL.TTL", "SET", "S:own", "PX", 7_200_000)
    client("MODEL.CREATE", "Other:endless", "null")
    client("SELECT", 3)
    client("MODEL.CREATE", "S:elsewhere", "{}")
    client("SELECT", 0)


def set_policies(client: Client) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", 900_000, "REFRESH", "ALL", "ABSOLUTE", 9_000_000)
    client("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "READ,FETCH")
    client("MODEL.POLICY", "SET", "Other:", "TTL", "NONE")
    client("SELECT", 3)
    client("MODEL.POLICY", "SET", "S:", "TTL", 1_000_000, "READ-TOUCH-PCT", "50")
    client("SELECT", 0)


@pytest.mark.parametrize("documents", [True, False], ids=["documents", "policies only"])
@pytest.mark.parametrize("form", FORMS)
def test_documents_lifetimes_and_policies_outlive_a_restart(start: Start, form: str, documents: bool) -> None:
    server = start(*FORMS[form])
    with Client(server) as client:
        set_policies(client)
        if documents:
            fill(client)
        if form == "snapshot":
            client("SAVE")
        elif form != "append-only":
            rewrite(client)
        if documents:
            client("MODEL.INCRBY", "S:plain", "$.n", "1")
            client("MODEL.GET", "S:own")
            client("MODEL.GET", "S:plain")
        if form == "snapshot":
            client("SAVE")
        before = state(client)
    server.kill()
    server.restart()
    with Client(server) as client:
        assert state(client) == before


def test_policies_outlive_a_rewrite_during_a_pause(start: Start) -> None:
    server = start(*FORMS["rewritten without preamble"])
    with Client(server) as client:
        set_policies(client)
        before = state(client)
        client("CLIENT", "PAUSE", 1000, "WRITE")
        rewrite(client)
        time.sleep(1.3)
        assert client("PING")
    server.kill()
    server.restart()
    with Client(server) as client:
        assert state(client) == before


def test_a_snapshot_without_policies_leaves_no_trace_where_the_server_lets_it(start: Start) -> None:
    server = start()
    with Client(server) as client:
        client("SET", "key", "value")
        client("SAVE")
        version = client.info("server")["redis_version"]
    snapshot = (server.dir / "dump.rdb").read_bytes()
    assert b"key" in snapshot
    assert version.startswith("7.0") or b"rapyermdl" not in snapshot


@pytest.fixture
def server(start: Start) -> Server:
    return start(*DEBUGGING)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server) as client:
        yield client


@pytest.mark.parametrize("how", ["RENAME", "COPY", "DUMP", "MOVE"])
def test_the_servers_own_commands_carry_everything(client: Client, how: str) -> None:
    set_policies(client)
    client("MODEL.CREATE", "S:1", '{"a":1}')
    client("MODEL.TTL", "SET", "S:1", "PX", 5_000_000)
    before = [
        client("MODEL.TTL", "GET", "S:1"),
        client("MODEL.GET_RO", "S:1"),
    ]
    if how == "RENAME":
        client("RENAME", "S:1", "S:2")
    elif how == "COPY":
        client("COPY", "S:1", "S:2")
        client("MODEL.SET", "S:1", "$.a", "2")
    elif how == "DUMP":
        payload = client("DUMP", "S:1")
        client("RESTORE", "S:2", client("PEXPIRETIME", "S:1"), payload, "ABSTTL")
    else:
        client("RENAME", "S:1", "S:2")
        client("MOVE", "S:2", 3)
        client("SELECT", 3)
    after = [client("MODEL.TTL", "GET", "S:2"), client("MODEL.GET_RO", "S:2")]
    assert after == before


def test_a_reload_keeps_the_servers_digest(client: Client) -> None:
    fill(client)
    digest = client("DEBUG", "DIGEST")
    assert digest != b"0" * 40
    client("DEBUG", "RELOAD")
    assert client("DEBUG", "DIGEST") == digest
    client("MODEL.SET", "S:plain", "$.n", "0")
    assert client("DEBUG", "DIGEST") != digest


def test_flushing_leaves_the_policies(client: Client) -> None:
    set_policies(client)
    before = state(client)
    fill(client)
    client("FLUSHALL")
    assert state(client) == before
