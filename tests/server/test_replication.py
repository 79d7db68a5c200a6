"""What replicas are told, what they hold afterwards, and whom a refresh leaves undisturbed."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from _servers import Server
from _wire import Client, CommandFailed, ReplicationStream, wait_for, wait_until_linked

Start = Callable[..., Server]

KEY = "S:1"
WINDOW = 1_800_000
DOCUMENT = '{"n":1,"list":[1,2],"queue":[[1,"a"]],"rows":[{"id":1},{"id":2}]}'


@pytest.fixture
def at_replica(replica: Server) -> Iterator[Client]:
    with Client(replica) as client:
        yield client


def set_policy(client: Client, *rest: str | int, window: int | str = WINDOW) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", window, *(rest or ("REFRESH", "ALL")))


def settle(client: Client) -> None:
    """Waits until the replica has everything and the clock has moved on, so that a refresh is due."""
    assert client("WAIT", 1, 5000) == 1
    time.sleep(0.005)


def lifetime(client: Client) -> list[Any]:
    reply = client("MODEL.TTL", "GET", KEY)
    assert isinstance(reply, list)
    return reply


WRITES = {
    "CREATE": ("MODEL.CREATE", KEY, DOCUMENT, "EXPECT-POLICY"),
    "SAVE": ("MODEL.SAVE", KEY, DOCUMENT.replace("1", "2", 1)),
    "SAVE ONLY": ("MODEL.SAVE", KEY, '{"n":3}', "ONLY", 1, '"n"'),
    "EDIT": (
        "MODEL.EDIT",
        KEY,
        "SET",
        "$.n",
        "3.5",
        "ADD",
        "$.list",
        1,
        "3",
        "UNSET",
        "$.queue[0]",
        "WITHVERSION",
    ),
    "EDIT by a filter": ("MODEL.EDIT", KEY, "SET", "$.rows[?@.id==2].n", "9", "UNSET", "$.rows[?@.id==1]"),
    "SET": ("MODEL.SET", KEY, "$.n", "4"),
    "UPDATE": ("MODEL.UPDATE", KEY, "$.n", "5", "$.m", "6"),
    "APPEND": ("MODEL.APPEND", KEY, "$.list", "3", "4"),
    "POP": ("MODEL.POP", KEY, "$.list", "0"),
    "INCRBY": ("MODEL.INCRBY", KEY, "$.n", "0.5"),
    "INCRBY DEFAULT": ("MODEL.INCRBY", KEY, "$.x", "0.5", "DEFAULT", "$.x", "1"),
    "CALC": ("MODEL.CALC", KEY, "$.n", "POW", "7"),
    "INCRBY REQUIRE": ("MODEL.INCRBY", KEY, "$.n", "0.5", "REQUIRE", "GE", "0", "REQUIRE", "LT", "1e9"),
    "INSERT": ("MODEL.INSERT", KEY, "$.list", "0", "7"),
    "UNSET": ("MODEL.UNSET", KEY, "$.list[0]"),
    "REMOVE": ("MODEL.REMOVE", KEY, "$.list", "2"),
    "MERGE": ("MODEL.MERGE", KEY, "$", '{"list":[8,9],"m":null}'),
    "CUT": ("MODEL.CUT", KEY, "$.list", "0", "1"),
    "CLEAR": ("MODEL.CLEAR", KEY, "$.list"),
    "ADD": ("MODEL.ADD", KEY, "$.list", "5", "6"),
    "EDIT AS": ("MODEL.EDIT", KEY, "ADD", "$.list", "1", '"8.00"', "AS", "NUMBER"),
    "ADD AS": ("MODEL.ADD", KEY, "$.list", '"5.0"', '"7.00"', "AS", "NUMBER"),
    "DISCARD": ("MODEL.DISCARD", KEY, "$.list", "1", "5"),
    "PUSH": ("MODEL.PUSH", KEY, "$.queue", "0.5", '"b"', "9", '"c"'),
    "UNPUSH": ("MODEL.UNPUSH", KEY, "$.queue", '"a"'),
    "POPMIN": ("MODEL.POPMIN", KEY, "$.queue", "1"),
    "TTL SET": ("MODEL.TTL", "SET", KEY, "PX", 5_000_000),
    "TTL INHERIT": ("MODEL.TTL", "INHERIT", KEY),
    "EXEC": ("MODEL.EXEC", 1, KEY, 4, "MODEL.INCRBY", KEY, "$.n", 2, 4, "MODEL.APPEND", KEY, "$.list", 9),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_one_command_with_its_time_and_its_deadline(
    client: Client, stream: ReplicationStream, write: str
) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    time.sleep(0.003)

    words = [str(word).encode() for word in WRITES[write]]
    client(*words)

    (command,) = stream.commands()
    replayed, now, deadline = command[1].split(b" ")
    name, *arguments = words
    if name == b"MODEL.TTL":
        name += b"|" + arguments.pop(0)
    assert command == [b"MODEL._REPLAY", command[1], *arguments]
    assert replayed == name.removeprefix(b"MODEL.").lower()
    assert int(deadline) == client("PEXPIRETIME", KEY)
    assert int(deadline) == int(now) + (5_000_000 if write == "TTL SET" else WINDOW)


def test_an_edit_of_a_large_document_costs_its_own_bytes_in_the_log_and_at_the_replica(start: Start) -> None:
    primary = start("--appendonly", "yes", "--enable-debug-command", "local")
    with Client(primary) as client, Client(start(of=primary)) as at_replica:
        wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
        set_policy(client)
        client("MODEL.CREATE", KEY, json.dumps({"n": 1, "text": "x" * 2000, "rest": list(range(150_000))}))

        def written() -> tuple[int, int]:
            log = int(client.info("persistence")["aof_current_size"])
            return log, int(client.info("replication")["master_repl_offset"])

        settle(client)
        before = written()
        assert client("MODEL.EDIT", KEY, "SET", "$.n", 2) == b"OK"
        costs = [now - then for now, then in zip(written(), before, strict=True)]
        assert max(costs) < 200
        assert min(costs) > 0
        settle(client)
        state = [client("MODEL.GET_RO", KEY, "$.n"), lifetime(client), client("PEXPIRETIME", KEY)]
        assert state == [b"2", lifetime(at_replica), at_replica("PEXPIRETIME", KEY)]
        text = client("MODEL.GET_RO", KEY)
        assert at_replica("MODEL.GET_RO", KEY) == text
        client("DEBUG", "LOADAOF")
        assert client("MODEL.GET_RO", KEY) == text


TOLD = {"CREATE", "TTL SET", "TTL INHERIT", "EXEC"}
"""The writes that say something of the time, or run others that may."""


@pytest.mark.parametrize("write", sorted(WRITES.keys() - TOLD))
def test_a_write_that_moves_no_deadline_is_sent_in_its_clients_words(
    client: Client, stream: ReplicationStream, write: str
) -> None:
    set_policy(client, "REFRESH", "READ")
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    name, *arguments = WRITES[write]
    # READ is among the groups of those that answer what they remove.
    quiet = ("NOREFRESH",) if write in ("POP", "POPMIN") else ()
    words = [str(word).encode() for word in (name, *arguments, *quiet)]
    client(*words)
    assert stream.commands() == [words]


def test_a_deletion_is_sent_in_its_clients_words(client: Client, stream: ReplicationStream) -> None:
    set_policy(client)
    client("MODEL.CREATE", "S:1", "1")
    client("MODEL.CREATE", "S:2", "1")
    stream.commands()
    assert client("MODEL.DEL", "S:1", "S:3", "S:2") == 2
    assert stream.commands() == [[b"MODEL.DEL", b"S:1", b"S:3", b"S:2"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("MODEL.SAVE", "S:new", "1"), rb"save \d+ -"),
        (("MODEL.COPY", KEY, "S:new"), rb"copy \d+ -"),
        (("MODEL.GETORCREATE", "S:new", "1"), rb"getorcreate \d+ -"),
        (("MODEL.LOCK", "S:lock", "me", "PX", 10_000), rb"lock \d+,\d+ \d+"),
        (("MODEL.EXEC", 1, KEY, 4, "MODEL.SET", KEY, "$.n", 2), rb"exec \d+ -"),
    ],
)
def test_a_write_that_says_when_it_was_is_sent_with_its_time(
    client: Client, stream: ReplicationStream, words: tuple[str | int, ...], told: bytes
) -> None:
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    client(*words)
    (command,) = stream.commands()
    assert (command[0], command[2:]) == (b"MODEL._REPLAY", [str(word).encode() for word in words[1:]])
    assert re.fullmatch(told, command[1])


def test_a_change_of_policies_is_one_command(client: Client, stream: ReplicationStream) -> None:
    set_policy(client)
    (command,) = stream.commands()
    assert re.fullmatch(rb"policy\|set \d+ ", command[1])
    assert command[2:] == [b"S:", b"TTL", b"1800000", b"REFRESH", b"ALL"]
    set_policy(client)
    assert stream.commands() == []


def test_a_command_that_starts_a_rewrite_stays_on_its_server(
    client: Client, stream: ReplicationStream
) -> None:
    set_policy(client)
    stream.commands()
    for command in (
        ("CONFIG", "SET", "appendonly", "yes", "maxmemory", "1gb"),
        ("BGREWRITEAOF",),
    ):
        client(*command)
        wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
        # What goes to the file alone leaves its brackets in the stream.
        assert [words for words in stream.commands() if words not in ([b"MULTI"], [b"EXEC"])] == []
    client("CONFIG", "SET", "appendonly", "no")


def test_a_refreshing_read_is_one_command_with_the_deadline(
    client: Client, stream: ReplicationStream
) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    time.sleep(0.003)
    client("MODEL.GET", KEY)
    assert stream.commands() == [[b"MODEL._EXPIREAT", KEY.encode(), b"%d" % client("PEXPIRETIME", KEY)]]
    time.sleep(0.003)
    client("MODEL.TTL", "TOUCH", KEY)
    assert stream.commands() == [[b"MODEL._EXPIREAT", KEY.encode(), b"%d" % client("PEXPIRETIME", KEY)]]


def test_a_read_of_many_documents_is_one_command(client: Client, stream: ReplicationStream) -> None:
    set_policy(client)
    for key in ("S:1", "S:2", "T:1"):
        client("MODEL.CREATE", key, DOCUMENT)
    stream.commands()
    time.sleep(0.003)
    client("MODEL.MGET", "S:2", "T:1", "S:none", "S:1", "S:2")
    ((name, *pairs),) = stream.commands()
    told = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))
    assert name == b"MODEL._EXPIREAT"
    assert told == {b"S:2": client("PEXPIRETIME", "S:2"), b"S:1": client("PEXPIRETIME", "S:1")}


@pytest.mark.parametrize(
    ("policy", "read"),
    [
        (("REFRESH", "ALL"), ("MODEL.GET_RO", KEY)),
        (("REFRESH", "ALL"), ("MODEL.MGET_RO", KEY)),
        (("REFRESH", "ALL"), ("MODEL.GET", KEY, "NOREFRESH")),
        (("REFRESH", "NONE"), ("MODEL.GET", KEY)),
        (("REFRESH", "UPDATE"), ("MODEL.GET", KEY)),
        (("REFRESH", "ALL", "READ-TOUCH-PCT", "50"), ("MODEL.GET", KEY)),
        (("REFRESH", "ALL"), ("MODEL.GET", "S:none")),
        (("REFRESH", "ALL"), ("MODEL.TTL", "GET", KEY)),
    ],
)
def test_a_read_that_needs_no_refresh_replicates_nothing(
    client: Client, stream: ReplicationStream, policy: tuple[str, ...], read: tuple[str, ...]
) -> None:
    set_policy(client, *policy)
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    time.sleep(0.003)
    client(*read)
    assert stream.commands() == []


def test_what_fails_or_misses_replicates_nothing(client: Client, stream: ReplicationStream) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    for failing in (
        ("MODEL.SET", KEY, "$.n", "{"),
        ("MODEL.APPEND", KEY, "$.n", "1"),
        ("MODEL.INCRBY", "S:none", "$.n", "1"),
        ("MODEL.INCRBY", KEY, "$.x", "1", "DEFAULT", "$.x", "[]"),
        ("MODEL.TTL", "SET", KEY, "PX", 0),
        ("MODEL.POLICY", "SET", "S:", "TTL", 0),
    ):
        with pytest.raises(CommandFailed):
            client(*failing)
    assert client("MODEL.CREATE", KEY, DOCUMENT, "NX") is None
    assert client("MODEL.INCRBY", KEY, "$.x", "1", "MAX", "1", "DEFAULT", "$.x", "1") is None
    assert client("MODEL.INCRBY", "S:none", "$.n", "1", "MAX", "0", "ELSE", DOCUMENT) is None
    assert client("MODEL.DEL", "S:none") == 0
    assert stream.commands() == []


def test_clients_cannot_run_the_commands_of_servers(client: Client) -> None:
    for command in (
        ("MODEL._REPLAY", "append 1 -", KEY, "$", "1"),
        ("MODEL._APPLY", 1, "-", "APPEND", KEY, "$", "1"),
        ("MODEL._EXPIREAT", KEY, 1),
        ("MODEL._LOAD", KEY, 1, 1, 0, "1"),
        ("MODEL._POLICIES", 0, b"\x01" + bytes(8)),
    ):
        with pytest.raises(CommandFailed, match="servers use this command among themselves"):
            client(*command)
    assert client("DBSIZE") == 0


@pytest.mark.parametrize("groups", ["ALL", "NONE"])
def test_a_replica_holds_the_same_document_and_deadline_after_every_command(
    start: Start, client: Client, replica: Server, at_replica: Client, groups: str
) -> None:
    last = start("--appendonly", "yes", of=replica)
    set_policy(client, "REFRESH", groups)
    with Client(last) as at_last:
        for name, command in {
            **WRITES,
            "GET": ("MODEL.GET", KEY),
            "TTL TOUCH": ("MODEL.TTL", "TOUCH", KEY),
            "TTL SET ONCE": ("MODEL.TTL", "SET", KEY, "PXAT", 4_000_000_000_000, "ONCE"),
            "GET again": ("MODEL.GET", KEY),
            "TTL PERSIST": ("MODEL.TTL", "PERSIST", KEY),
        }.items():
            client(*command)
            settle(client)
            time.sleep(0.02)
            expected = (
                client("PEXPIRETIME", KEY),
                lifetime(client),
                client("MODEL.GET_RO", KEY),
            )
            for place in (at_replica, at_last):
                held = (place("PEXPIRETIME", KEY), lifetime(place), place("MODEL.GET_RO", KEY))
                assert held == expected, name
        digest = client("MODEL.POLICY", "DIGEST")
        assert at_last("MODEL.POLICY", "DIGEST") == digest
        client("MODEL.DEL", KEY)
        settle(client)
        time.sleep(0.02)
        assert at_last("EXISTS", KEY) == 0
    # What came down the chain is in the last one's own file, and is replayed from it.
    last.kill()
    last.restart()


def test_a_document_that_an_increment_creates_is_the_same_on_the_replica(
    client: Client, at_replica: Client
) -> None:
    set_policy(client)
    for _ in range(2):
        client("MODEL.INCRBY", KEY, "$.n.x", 1, "ELSE", '{"n":{}}', "DEFAULT", "$.n.x", 0)
        settle(client)
        for ask in (("MODEL.GET_RO", KEY), ("MODEL.TTL", "GET", KEY), ("PEXPIRETIME", KEY)):
            assert at_replica(*ask) == client(*ask)
    assert client("MODEL.GET_RO", KEY) == b'{"n":{"x":2}}'


def test_a_replica_follows_a_shortened_policy(client: Client, at_replica: Client) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    set_policy(client, window=60_000)
    settle(client)
    client("MODEL.GET", KEY)
    settle(client)
    assert 0 < client("PTTL", KEY) <= 60_000
    assert at_replica("PEXPIRETIME", KEY) == client("PEXPIRETIME", KEY)


def test_a_replica_follows_back_to_a_policy_without_a_window(client: Client, at_replica: Client) -> None:
    set_policy(client, window="NONE")
    client("MODEL.CREATE", KEY, DOCUMENT)
    client("MODEL.TTL", "SET", KEY, "PX", 60_000)
    client("MODEL.TTL", "INHERIT", KEY)
    settle(client)
    assert at_replica("PEXPIRETIME", KEY) == client("PEXPIRETIME", KEY) == -1


def test_a_moment_that_is_past_deletes_on_the_replica_too(
    client: Client, stream: ReplicationStream, at_replica: Client
) -> None:
    client("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    client("MODEL.TTL", "SET", KEY, "PXAT", 1)
    assert len(stream.commands()) == 1
    settle(client)
    assert client("DBSIZE") == at_replica("DBSIZE") == 0


def test_a_read_on_a_replica_moves_nothing_and_a_write_is_refused(client: Client, at_replica: Client) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    assert at_replica("MODEL.GET", KEY) == client("MODEL.GET_RO", KEY)
    assert at_replica("PEXPIRETIME", KEY) == client("PEXPIRETIME", KEY)
    with pytest.raises(CommandFailed, match="READONLY"):
        at_replica("MODEL.SET", KEY, "$.n", "2")


@pytest.mark.parametrize("policies_at_primary", [0, 1])
def test_a_full_sync_replaces_every_policy_of_the_replica(start: Start, policies_at_primary: int) -> None:
    primary, other = start(), start()
    with Client(primary) as client, Client(other) as becoming_replica:
        becoming_replica("MODEL.POLICY", "SET", "Stale:", "TTL", 1000)
        if policies_at_primary:
            set_policy(client)
        becoming_replica("REPLICAOF", "127.0.0.1", str(primary.port))
        wait_until_linked(other)
        listed = becoming_replica("MODEL.POLICY", "LIST")
        assert len(listed) == policies_at_primary
        assert listed == client("MODEL.POLICY", "LIST")


def test_reads_during_a_pause_answer_at_once_and_refresh_afterwards(
    client: Client, at_replica: Client
) -> None:
    client("CONFIG", "SET", "appendonly", "yes")
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    before = client("PEXPIRETIME", KEY)
    client("CLIENT", "PAUSE", 800, "WRITE")
    started = time.monotonic()
    for _ in range(50):
        assert client("MODEL.GET", KEY) is not None
    assert client("EVAL", "#!lua flags=no-writes\nreturn redis.call('MODEL.GET', KEYS[1])", 1, KEY)
    assert time.monotonic() - started < 0.5
    assert client("PEXPIRETIME", KEY) == before
    client("CLIENT", "UNPAUSE")
    client("MODEL.GET", KEY)
    settle(client)
    assert client("PEXPIRETIME", KEY) > before
    assert at_replica("PEXPIRETIME", KEY) == client("PEXPIRETIME", KEY)


def test_reads_during_a_failover_answer_and_the_server_lives(
    primary: Server, client: Client, replica: Server, at_replica: Client
) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    os.kill(replica.pid, signal.SIGSTOP)
    client("SET", "not acknowledged", "yet")
    with Client(primary) as failing_over:
        failing_over("FAILOVER", "TIMEOUT", 300)
        for _ in range(100):
            time.sleep(0.001)
            assert client("MODEL.GET", KEY) is not None
    os.kill(replica.pid, signal.SIGCONT)
    settle(client)
    client("MODEL.GET", KEY)
    settle(client)
    assert at_replica("PEXPIRETIME", KEY) == client("PEXPIRETIME", KEY)


def test_a_read_in_a_read_only_script_refreshes(client: Client, at_replica: Client) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    before = client("PEXPIRETIME", KEY)
    read = "return redis.call('MODEL.GET', KEYS[1])"
    assert client("EVAL_RO", read, 1, KEY) == client("MODEL.GET_RO", KEY)
    settle(client)
    assert client("PEXPIRETIME", KEY) > before
    assert at_replica("PEXPIRETIME", KEY) == client("PEXPIRETIME", KEY)


class Bystanders:
    """Clients that watch the key, cache it and listen to events."""

    def __init__(self, server: Server) -> None:
        self._watching, self._caching, self._listening = Client(server), Client(server), Client(server)
        self._watching("CONFIG", "SET", "notify-keyspace-events", "KEA")
        self._watching("WATCH", KEY)
        self._caching("HELLO", 3)
        self._caching("CLIENT", "TRACKING", "ON")
        self._caching("MODEL.GET_RO", KEY)
        self._listening("PSUBSCRIBE", "__keyevent@0__:*")

    def noticed(self) -> tuple[bool, bool, list[str]]:
        """Whether a transaction is aborted, whether the cache is invalidated, and the events."""
        events = [message[2].decode().split(":", 1)[1] for message in self._listening.pushed()]
        self._watching("MULTI")
        self._watching("PING")
        aborted = self._watching("EXEC") is None
        invalidated = bool(self._caching.pushed())
        for client in (self._watching, self._caching, self._listening):
            client.close()
        return aborted, invalidated, events


@pytest.fixture(params=["primary", "replica"])
def place(request: pytest.FixtureRequest, primary: Server, replica: Server) -> Server:
    return {"primary": primary, "replica": replica}[request.param]


def test_a_refresh_disturbs_nobody(client: Client, place: Server) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    bystanders = Bystanders(place)
    before = client("PEXPIRETIME", KEY)
    client("MODEL.GET", KEY)
    settle(client)
    assert client("PEXPIRETIME", KEY) > before
    assert bystanders.noticed() == (False, False, [])


def test_a_shortened_deadline_is_told_to_everybody(client: Client, place: Server) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    set_policy(client, window=60_000)
    settle(client)
    bystanders = Bystanders(place)
    client("MODEL.GET", KEY)
    settle(client)
    assert bystanders.noticed() == (True, True, ["expire"])


@pytest.mark.parametrize(
    ("command", "events"),
    [
        (("MODEL.APPEND", KEY, "$.list", "3"), ["model.append"]),
        (("MODEL.SAVE", KEY, "{}"), ["model.save"]),
        (("MODEL.TTL", "SET", KEY, "PX", 1000), ["expire"]),
        (("MODEL.TTL", "SET", KEY, "PXAT", 1), ["del"]),
        (("MODEL.DEL", KEY), ["del"]),
    ],
)
def test_a_change_is_told_to_everybody(
    client: Client, place: Server, command: tuple[str, ...], events: list[str]
) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    bystanders = Bystanders(place)
    client(*command)
    settle(client)
    assert bystanders.noticed() == (True, True, events)


@pytest.mark.parametrize("write", WRITES)
def test_every_write_aborts_those_who_watch_and_fires_one_event(
    client: Client, primary: Server, write: str
) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    bystanders = Bystanders(primary)
    client(*WRITES[write])
    command = str(WRITES[write][0]).lower()
    name = "expire" if command == "model.ttl" else command
    assert bystanders.noticed() == (True, True, [name])


def test_reads_count_as_hits_and_misses_once(client: Client) -> None:
    set_policy(client)
    client("MODEL.CREATE", KEY, DOCUMENT)
    client("CONFIG", "RESETSTAT")
    for _ in range(3):
        time.sleep(0.003)
        client("MODEL.GET", KEY)
    client("MODEL.MGET", KEY, "S:none", KEY)
    stats = client.info("stats")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == ("5", "1")


def test_a_read_that_refreshes_counts_as_one_use_of_the_key(start: Start) -> None:
    # With this factor the server counts every use, which it otherwise does by chance.
    with Client(start("--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0")) as client:
        client("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW, "REFRESH", "ALL")
        for key in ("Doc:1", "Doc:2"):
            client("MODEL.CREATE", key, "{}")
        client("SET", "string", "{}")
        before = {key: client("OBJECT", "FREQ", key) for key in ("Doc:1", "Doc:2", "string")}
        for _ in range(5):
            client("GETEX", "string", "PX", WINDOW)
            client("MODEL.GET", "Doc:1")
            client("MODEL.MGET", "Doc:1", "Doc:2")
        used = {key: client("OBJECT", "FREQ", key) - freq for key, freq in before.items()}
    assert used == {"Doc:1": 10, "Doc:2": 5, "string": 5}


def test_a_replica_knows_who_holds_a_lock(client: Client, replica: Server, at_replica: Client) -> None:
    lock = "lock:S:1"
    for command in (
        ("MODEL.LOCK", lock, "one", "PX", 50_000),
        ("MODEL.RENEW", lock, "one", "PX", 90_000),
        ("MODEL.UNLOCK", lock, "one"),
        ("MODEL.LOCK", lock, "two", "PX", 60_000),
    ):
        client(*command)
        settle(client)
        held = [(place("MODEL.GET_RO", lock), place("PEXPIRETIME", lock)) for place in (client, at_replica)]
        assert held[0] == held[1]
    at_replica("REPLICAOF", "NO", "ONE")
    assert at_replica("MODEL.LOCK", lock, "three", "PX", 1_000) is None
    assert at_replica("MODEL.RENEW", lock, "two", "PX", 1_000) == 1
