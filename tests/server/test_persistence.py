"""What outlives a restart, and what becomes of payloads that are damaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from _servers import Server
from _wire import Client, CommandFailed

Start = Callable[..., Server]

FORMS = {
    "snapshot": ("--dbfilename", "dump.rdb"),
    "append-only": ("--appendonly", "yes"),
    "rewritten with preamble": ("--appendonly", "yes", "--aof-use-rdb-preamble", "yes"),
    "rewritten without preamble": ("--appendonly", "yes", "--aof-use-rdb-preamble", "no"),
}
DEBUGGING = ("--enable-debug-command", "yes")
FOOTER = 10
"""Bytes at the end of a payload that are the server's: its version and a checksum."""


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


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


def payload_of(client: Client, document: str) -> bytes:
    client("MODEL.CREATE", "S:1", document)
    client("MODEL.TTL", "SET", "S:1", "PX", 5_000_000)
    payload = client("DUMP", "S:1")
    assert isinstance(payload, bytes)
    return payload


def restores(client: Client, payload: bytes) -> bool:
    """Whether the payload is taken; then it is a document, else the server says that it is none."""
    try:
        client("RESTORE", "S:2", 0, payload, "REPLACE")
    except CommandFailed as error:
        if "Bad data format" in str(error):
            return False
        raise
    return client("MODEL.GET_RO", "S:2") is not None


def test_a_damaged_payload_is_refused_or_a_document_never_a_crash(client: Client) -> None:
    client("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1)
    whole = payload_of(client, '{"a":[1,2,{"b":"text"}],"c":null}')
    footer = whole[-FOOTER:]
    damaged = [whole[:end] + footer for end in range(1, len(whole) - FOOTER)]
    for at in range(1, len(whole) - FOOTER):
        damaged += [
            whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :] for flip in (1, 0x20, 0x80, 0xFF)
        ]
    refused = sum(not restores(client, payload) for payload in damaged)
    assert refused > len(damaged) // 2
    assert client("PING")


@pytest.mark.parametrize("text", [b"[1,]", b"[" * 129 + b"]" * 129, b"\xff", b'"\\ud800"', b""])
def test_a_payload_whose_text_is_no_document_is_refused(server: Server, client: Client, text: bytes) -> None:
    client("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1)
    client("CONFIG", "SET", "rdbcompression", "no")
    held = b'"held"'
    before, after = payload_of(client, held.decode()).split(held)
    # A length is one byte up to 63, two beyond.
    length = bytes([len(text)]) if len(text) < 64 else bytes([0x40 | len(text) >> 8, len(text) & 0xFF])
    payload = before[:-1] + length + text + after
    with pytest.raises(CommandFailed, match="Bad data format"):
        client("RESTORE", "S:2", 0, payload)
    assert "a document's payload is damaged" in server.log()


def test_a_payload_of_a_later_version_is_refused_with_a_clear_line_in_the_log(
    server: Server, client: Client
) -> None:
    client("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1)
    whole = payload_of(client, "1")
    # A type byte, a marker, and eight bytes that name the module's type; the last ten bits are the version.
    later = whole[:9] + bytes([whole[9] + 1]) + whole[10:]
    with pytest.raises(CommandFailed, match="Bad data format"):
        client("RESTORE", "S:2", 0, later)
    assert "a document of payload version 2 cannot be loaded: this module reads version 1" in server.log()


def test_documents_count_as_memory_and_a_large_one_is_freed_in_the_background(client: Client) -> None:
    client("MODEL.CREATE", "S:1", '"' + "x" * 20_000_000 + '"')
    assert client("MEMORY", "USAGE", "S:1") > 20_000_000
    assert int(client.info("memory")["used_memory"]) > 20_000_000
    client("CONFIG", "RESETSTAT")
    client("UNLINK", "S:1")
    wait_for(lambda: client.info("memory")["lazyfreed_objects"] == "1")
    wait_for(lambda: int(client.info("memory")["used_memory"]) < 20_000_000)
