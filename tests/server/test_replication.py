"""What replicas are told, what they hold afterwards, and whom a refresh leaves undisturbed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from _servers import Server
from _stream import ReplicationStream

Start = Callable[..., Server]

KEY = "S:1"
WINDOW = 1_800_000
DOCUMENT = '{"n":1,"list":[1,2]}'


@pytest.fixture
def at_replica(replica: Server) -> Iterator[redis.Redis]:
    with replica.client() as client:
        yield client


def set_policy(client: redis.Redis, *rest: str | int, window: int | str = WINDOW) -> None:
    client.execute_command("MODEL.POLICY", "SET", "S:", "TTL", window, *(rest or ("REFRESH", "ALL")))


def settle(client: redis.Redis) -> None:
    """Waits until the replica has everything and the clock has moved on, so that a refresh is due."""
    assert client.execute_command("WAIT", 1, 5000) == 1
    time.sleep(0.005)


def lifetime(client: redis.Redis) -> list[object]:
    reply = client.execute_command("MODEL.TTL", "GET", KEY)
    assert isinstance(reply, list)
    return reply


WRITES = {
    "CREATE": ("MODEL.CREATE", KEY, DOCUMENT, "EXPECT-POLICY"),
    "SAVE": ("MODEL.SAVE", KEY, '{"n":2}'),
    "SAVE ONLY": ("MODEL.SAVE", KEY, '{"n":3}', "ONLY", 1, '"n"'),
    "SET": ("MODEL.SET", KEY, "$.n", "4"),
    "UPDATE": ("MODEL.UPDATE", KEY, "$.n", "5", "$.m", "6"),
    "APPEND": ("MODEL.APPEND", KEY, "$.list", "3", "4"),
    "POP": ("MODEL.POP", KEY, "$.list", "0"),
    "INCRBY": ("MODEL.INCRBY", KEY, "$.n", "0.5"),
    "TTL SET": ("MODEL.TTL", "SET", KEY, "PX", 5_000_000),
    "TTL INHERIT": ("MODEL.TTL", "INHERIT", KEY),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_one_command_with_its_time_and_its_deadline(
    client: redis.Redis, stream: ReplicationStream, write: str
) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    time.sleep(0.003)

    name, *arguments = WRITES[write]
    client.execute_command(name, *arguments)

    (command,) = stream.commands()
    deadline = client.pexpiretime(KEY)
    words = [str(argument).encode() for argument in arguments]
    if name == "MODEL.TTL":
        name, words = f"{name}|{arguments[0]}", words[1:]
    created = lifetime(client)[5]
    told = b"-" if write == "CREATE" and deadline == created + WINDOW else str(deadline).encode()
    assert command[0] == b"MODEL._APPLY"
    assert command[2] in {told, str(deadline).encode()}
    assert command[3:] == [name.removeprefix("MODEL.").encode(), *words]
    if write not in {"TTL SET", "CREATE"}:
        assert int(command[1]) + WINDOW == deadline


def test_a_deletion_names_no_deadlines(client: redis.Redis, stream: ReplicationStream) -> None:
    client.execute_command("MODEL.CREATE", "S:1", "1")
    client.execute_command("MODEL.CREATE", "S:2", "1")
    stream.commands()
    assert client.execute_command("MODEL.DEL", "S:1", "S:3", "S:2") == 2
    (command,) = stream.commands()
    assert command[2:] == [b"-,-", b"DEL", b"S:1", b"S:3", b"S:2"]


def test_a_change_of_policies_is_one_command(client: redis.Redis, stream: ReplicationStream) -> None:
    set_policy(client)
    (command,) = stream.commands()
    assert command[2:] == [b"", b"POLICY|SET", b"S:", b"TTL", b"1800000", b"REFRESH", b"ALL"]
    set_policy(client)
    assert stream.commands() == []


def test_a_refreshing_read_is_one_command_with_the_deadline(
    client: redis.Redis, stream: ReplicationStream
) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    time.sleep(0.003)
    client.execute_command("MODEL.GET", KEY)
    assert stream.commands() == [[b"MODEL._EXPIREAT", KEY.encode(), b"%d" % client.pexpiretime(KEY)]]
    time.sleep(0.003)
    client.execute_command("MODEL.TTL", "TOUCH", KEY)
    assert stream.commands() == [[b"MODEL._EXPIREAT", KEY.encode(), b"%d" % client.pexpiretime(KEY)]]


def test_a_read_of_many_documents_is_one_command(client: redis.Redis, stream: ReplicationStream) -> None:
    set_policy(client)
    for key in ("S:1", "S:2", "T:1"):
        client.execute_command("MODEL.CREATE", key, DOCUMENT)
    stream.commands()
    time.sleep(0.003)
    client.execute_command("MODEL.MGET", "S:2", "T:1", "S:none", "S:1", "S:2")
    ((name, *pairs),) = stream.commands()
    told = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))
    assert name == b"MODEL._EXPIREAT"
    assert told == {b"S:2": client.pexpiretime("S:2"), b"S:1": client.pexpiretime("S:1")}


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
    client: redis.Redis, stream: ReplicationStream, policy: tuple[str, ...], read: tuple[str, ...]
) -> None:
    set_policy(client, *policy)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    time.sleep(0.003)
    client.execute_command(*read)
    assert stream.commands() == []


def test_what_fails_or_misses_replicates_nothing(client: redis.Redis, stream: ReplicationStream) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    for failing in (
        ("MODEL.SET", KEY, "$.n", "{"),
        ("MODEL.APPEND", KEY, "$.n", "1"),
        ("MODEL.INCRBY", "S:none", "$.n", "1"),
        ("MODEL.TTL", "SET", KEY, "PX", 0),
        ("MODEL.POLICY", "SET", "S:", "TTL", 0),
    ):
        with pytest.raises(redis.ResponseError):
            client.execute_command(*failing)
    assert client.execute_command("MODEL.CREATE", KEY, DOCUMENT, "NX") is None
    assert client.execute_command("MODEL.DEL", "S:none") == 0
    assert stream.commands() == []


def test_clients_cannot_run_the_commands_of_servers(client: redis.Redis) -> None:
    for command in (
        ("MODEL._APPLY", 1, "-", "APPEND", KEY, "$", "1"),
        ("MODEL._EXPIREAT", KEY, 1),
        ("MODEL._LOAD", KEY, 1, 1, 0, "1"),
        ("MODEL._POLICIES", 0, b"\x01" + bytes(8)),
    ):
        with pytest.raises(redis.ResponseError, match="servers use this command among themselves"):
            client.execute_command(*command)
    assert client.dbsize() == 0


def test_a_replica_holds_the_same_document_and_deadline_after_every_command(
    start: Start, client: redis.Redis, replica: Server, at_replica: redis.Redis
) -> None:
    last = start("--appendonly", "yes", of=replica)
    set_policy(client)
    with last.client() as at_last:
        for name, command in {
            **WRITES,
            "GET": ("MODEL.GET", KEY),
            "TTL TOUCH": ("MODEL.TTL", "TOUCH", KEY),
            "TTL SET ONCE": ("MODEL.TTL", "SET", KEY, "PXAT", 4_000_000_000_000, "ONCE"),
            "GET again": ("MODEL.GET", KEY),
        }.items():
            client.execute_command(*command)
            settle(client)
            time.sleep(0.02)
            expected = (client.pexpiretime(KEY), lifetime(client), client.execute_command("MODEL.GET_RO", KEY))
            for place in (at_replica, at_last):
                held = (place.pexpiretime(KEY), lifetime(place), place.execute_command("MODEL.GET_RO", KEY))
                assert held == expected, name
        digest = client.execute_command("MODEL.POLICY", "DIGEST")
        assert at_last.execute_command("MODEL.POLICY", "DIGEST") == digest
        client.execute_command("MODEL.DEL", KEY)
        settle(client)
        time.sleep(0.02)
        assert at_last.exists(KEY) == 0
    # What came down the chain is in the last one's own file, and is replayed from it.
    last.kill()
    last.restart()


def test_a_replica_follows_a_shortened_policy(client: redis.Redis, at_replica: redis.Redis) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    set_policy(client, window=60_000)
    settle(client)
    client.execute_command("MODEL.GET", KEY)
    settle(client)
    assert 0 < client.pttl(KEY) <= 60_000
    assert at_replica.pexpiretime(KEY) == client.pexpiretime(KEY)


def test_a_replica_follows_back_to_a_policy_without_a_window(
    client: redis.Redis, at_replica: redis.Redis
) -> None:
    set_policy(client, window="NONE")
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    client.execute_command("MODEL.TTL", "SET", KEY, "PX", 60_000)
    client.execute_command("MODEL.TTL", "INHERIT", KEY)
    settle(client)
    assert at_replica.pexpiretime(KEY) == client.pexpiretime(KEY) == -1


def test_a_moment_that_is_past_deletes_on_the_replica_too(
    client: redis.Redis, stream: ReplicationStream, at_replica: redis.Redis
) -> None:
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    stream.commands()
    client.execute_command("MODEL.TTL", "SET", KEY, "PXAT", 1)
    assert len(stream.commands()) == 1
    settle(client)
    assert client.dbsize() == at_replica.dbsize() == 0


def test_a_read_on_a_replica_moves_nothing_and_a_write_is_refused(
    client: redis.Redis, at_replica: redis.Redis
) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    assert at_replica.execute_command("MODEL.GET", KEY) == client.execute_command("MODEL.GET_RO", KEY)
    assert at_replica.pexpiretime(KEY) == client.pexpiretime(KEY)
    with pytest.raises(redis.ReadOnlyError):
        at_replica.execute_command("MODEL.SET", KEY, "$.n", "2")


@pytest.mark.parametrize("policies_at_primary", [0, 1])
def test_a_full_sync_replaces_every_policy_of_the_replica(start: Start, policies_at_primary: int) -> None:
    primary, other = start(), start()
    with primary.client() as client, other.client() as becoming_replica:
        becoming_replica.execute_command("MODEL.POLICY", "SET", "Stale:", "TTL", 1000)
        if policies_at_primary:
            set_policy(client)
        becoming_replica.replicaof("127.0.0.1", str(primary.port))
        until = time.monotonic() + 10
        while becoming_replica.info("replication")["master_link_status"] != "up":
            assert time.monotonic() < until
            time.sleep(0.02)
        listed = becoming_replica.execute_command("MODEL.POLICY", "LIST")
        assert len(listed) == policies_at_primary
        assert listed == client.execute_command("MODEL.POLICY", "LIST")


def test_reads_during_a_pause_answer_at_once_and_refresh_afterwards(
    start: Start, primary: Server, client: redis.Redis, at_replica: redis.Redis
) -> None:
    client.config_set("appendonly", "yes")
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    before = client.pexpiretime(KEY)
    client.execute_command("CLIENT", "PAUSE", 800, "WRITE")
    started = time.monotonic()
    for _ in range(50):
        assert client.execute_command("MODEL.GET", KEY) is not None
    assert client.execute_command("EVAL", "#!lua flags=no-writes\nreturn redis.call('MODEL.GET', KEYS[1])", 1, KEY)
    assert time.monotonic() - started < 0.5
    assert client.pexpiretime(KEY) == before
    client.execute_command("CLIENT", "UNPAUSE")
    client.execute_command("MODEL.GET", KEY)
    settle(client)
    assert client.pexpiretime(KEY) > before
    assert at_replica.pexpiretime(KEY) == client.pexpiretime(KEY)


def test_a_read_in_a_read_only_script_refreshes(client: redis.Redis, at_replica: redis.Redis) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    before = client.pexpiretime(KEY)
    read = "return redis.call('MODEL.GET', KEYS[1])"
    assert client.execute_command("EVAL_RO", read, 1, KEY) == client.execute_command("MODEL.GET_RO", KEY)
    settle(client)
    assert client.pexpiretime(KEY) > before
    assert at_replica.pexpiretime(KEY) == client.pexpiretime(KEY)


def watched(place: redis.Redis, act: Callable[[], object]) -> bool:
    """Whether a transaction that watched the key while `act` ran was aborted."""
    with place.client() as single:
        single.execute_command("WATCH", KEY)
        act()
        single.execute_command("MULTI")
        single.execute_command("PING")
        return single.connection is not None and single.execute_command("EXEC") is None


class Listener:
    """A client that caches the key and hears of every event."""

    def __init__(self, server: Server) -> None:
        self._client = server.client(protocol=3)
        connection = self._client.connection_pool.get_connection()
        self._connection = connection
        for command in (("CONFIG", "SET", "notify-keyspace-events", "KEA"), ("HELLO", 3), ("CLIENT", "TRACKING", "ON")):
            connection.send_command(*command)
            connection.read_response()
        self.cache()
        self._events = server.client().pubsub()
        self._events.psubscribe("__keyevent@0__:*")
        assert self._events.get_message(timeout=5)

    def cache(self) -> None:
        self._connection.send_command("MODEL.GET_RO", KEY)
        self._connection.read_response()

    def heard(self) -> list[str]:
        time.sleep(0.05)
        events = []
        while message := self._events.get_message(timeout=0.05):
            events.append(message["channel"].decode().removeprefix("__keyevent@0__:"))
        return events

    def invalidated(self) -> bool:
        return self._connection.can_read(timeout=0.1)

    def close(self) -> None:
        self._events.close()
        self._client.connection_pool.release(self._connection)
        self._client.close()


@pytest.fixture(params=["primary", "replica"])
def place(request: pytest.FixtureRequest, primary: Server, replica: Server) -> Server:
    return {"primary": primary, "replica": replica}[request.param]


def test_a_refresh_disturbs_nobody(client: redis.Redis, place: Server) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    listener = Listener(place)
    before = client.pexpiretime(KEY)

    def refresh() -> None:
        client.execute_command("MODEL.GET", KEY)
        settle(client)

    with place.client() as at_place:
        assert not watched(at_place, refresh)
        assert at_place.pexpiretime(KEY) > before
    assert not listener.invalidated()
    assert listener.heard() == []
    listener.close()


def test_a_shortened_deadline_is_told_to_everybody(client: redis.Redis, place: Server) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    set_policy(client, window=60_000)
    settle(client)
    listener = Listener(place)

    def shorten() -> None:
        client.execute_command("MODEL.GET", KEY)
        settle(client)

    with place.client() as at_place:
        assert watched(at_place, shorten)
    assert listener.invalidated()
    assert listener.heard() == ["expire"]
    listener.close()


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
    client: redis.Redis, place: Server, command: tuple[str, ...], events: list[str]
) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    settle(client)
    listener = Listener(place)

    def change() -> None:
        client.execute_command(*command)
        settle(client)

    with place.client() as at_place:
        assert watched(at_place, change)
    assert listener.invalidated()
    assert listener.heard() == events
    listener.close()


def test_reads_count_as_hits_and_misses_once(client: redis.Redis) -> None:
    set_policy(client)
    client.execute_command("MODEL.CREATE", KEY, DOCUMENT)
    client.config_resetstat()
    for _ in range(3):
        time.sleep(0.003)
        client.execute_command("MODEL.GET", KEY)
    client.execute_command("MODEL.MGET", KEY, "S:none", KEY)
    stats = client.info("stats")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == (5, 1)
