"""What a server makes of a batch: one replicated command, permissions of every operation, one event a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from _servers import Server
from _wire import Client, CommandFailed, ReplicationStream

Start = Callable[..., Server]

ONE, TWO = "S:1", "S:2"
WINDOW = 1_800_000


def batch(*operations: tuple[str | int, ...], keys: tuple[str, ...] = (ONE, TWO)) -> tuple[str | int, ...]:
    words = [word for operation in operations for word in (len(operation), *operation)]
    return ("MODEL.EXEC", len(keys), *keys, *words)


@pytest.fixture(autouse=True)
def policy(client: Client) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", WINDOW, "REFRESH", "ALL")


def held(client: Client, key: str) -> list[Any]:
    return [client("MODEL.GET_RO", key), client("PEXPIRETIME", key), client("MODEL.TTL", "GET", key)]


def test_a_batch_is_one_replicated_command_and_the_replica_holds_the_same(
    client: Client, stream: ReplicationStream, replica: Server
) -> None:
    client("MODEL.CREATE", TWO, '{"n":1}')
    steps = [
        batch(("MODEL.CREATE", ONE, "[1]"), ("MODEL.INCRBY", TWO, "$.n", 1), ("MODEL.APPEND", ONE, "$", 2)),
        batch(("MODEL.DEL", ONE), ("MODEL.TTL", "SET", TWO, "PX", 5_000_000)),
        batch(("MODEL.CREATE", ONE, "[]"), ("MODEL.DEL", TWO), ("MODEL.CREATE", TWO, '{"n":7}')),
        batch(("MODEL.TTL", "SET", ONE, "PX", 9_000_000), ("MODEL.APPEND", ONE, "$", 5)),
        batch(("MODEL.DEL", ONE), ("MODEL.CREATE", ONE, "[0]"), ("MODEL.GET", TWO)),
    ]
    stream.commands()
    with Client(replica) as at_replica:
        for step in steps:
            client(*step)
            (replicated,) = stream.commands()
            name, header, *arguments = (word.decode() for word in replicated)
            assert (name, header.split()[0], arguments) == ("MODEL._REPLAY", "exec", [*map(str, step[1:])])
            assert client("WAIT", 1, 5000) == 1
            time.sleep(0.02)
            for key in (ONE, TWO):
                assert held(at_replica, key) == held(client, key)


def test_a_batch_that_only_refreshes_is_replicated_as_a_refresh(
    client: Client, stream: ReplicationStream
) -> None:
    for key in (ONE, TWO):
        client("MODEL.CREATE", key, "{}")
    time.sleep(0.005)
    stream.commands()
    client(*batch(("MODEL.GET", ONE), ("MODEL.GET", TWO)))
    (replicated,) = stream.commands()
    deadlines = [str(client("PEXPIRETIME", key)).encode() for key in (ONE, TWO)]
    assert replicated == [b"MODEL._EXPIREAT", ONE.encode(), deadlines[0], TWO.encode(), deadlines[1]]


def test_a_failed_batch_replicates_nothing(client: Client, stream: ReplicationStream) -> None:
    client("MODEL.CREATE", ONE, "{}")
    time.sleep(0.005)
    stream.commands()
    with pytest.raises(CommandFailed, match=r"^NOPATH operation 2 \(MODEL.INCRBY\): "):
        client(*batch(("MODEL.SET", ONE, "$.a", 1), ("MODEL.INCRBY", ONE, "$.b", 1)))
    assert stream.commands() == []


@pytest.mark.parametrize("how", ["plain", "transaction", "script"])
def test_every_operation_needs_its_own_permission(primary: Server, client: Client, how: str) -> None:
    client("MODEL.CREATE", ONE, '{"n":1}')
    client("ACL", "SETUSER", "limited", "on", "nopass", "+@all", "-model.del", "-model.ttl|set", "~S:*")

    def run(limited: Client, words: tuple[str | int, ...]) -> Any:
        if how == "script":
            return limited("EVAL", "return redis.call(unpack(ARGV))", 2, ONE, TWO, *words)
        if how == "plain":
            return limited(*words)
        limited("MULTI")
        limited(*words)
        (reply,) = limited("EXEC")
        if isinstance(reply, Exception):
            raise CommandFailed(str(reply))
        return reply

    with Client(primary) as limited:
        limited("AUTH", "limited", "any")
        assert run(limited, batch(("MODEL.INCRBY", ONE, "$.n", 1), ("MODEL.TTL", "GET", TWO)))[0] == b"2"
        for refused in (("MODEL.DEL", ONE), ("MODEL.TTL", "SET", ONE, "PX", 1)):
            with pytest.raises(CommandFailed, match=rf"NOPERM operation 2 \({refused[0]}\): "):
                run(limited, batch(("MODEL.INCRBY", ONE, "$.n", 1), refused))
    assert client("MODEL.GET_RO", ONE) == b'{"n":2}'


def test_a_user_of_other_keys_cannot_batch(primary: Server, client: Client) -> None:
    client("ACL", "SETUSER", "reader", "on", "nopass", "+@all", "%R~S:*", "~T:*")
    with Client(primary) as reader:
        reader("AUTH", "reader", "any")
        with pytest.raises(CommandFailed, match="NOPERM"):
            reader(*batch(("MODEL.GET", ONE)))
        assert reader(*batch(("MODEL.GET", "T:1"), keys=("T:1",))) == [None]


def test_a_batch_is_one_event_a_key_and_aborts_those_who_watch(primary: Server, client: Client) -> None:
    client("CONFIG", "SET", "notify-keyspace-events", "KEA")
    client("MODEL.CREATE", TWO, "{}")
    with Client(primary) as listener, Client(primary) as watcher:
        listener("PSUBSCRIBE", "__keyspace@0__:*")
        watcher("WATCH", ONE)
        watcher("MULTI")
        client(*batch(("MODEL.CREATE", ONE, "[]"), ("MODEL.APPEND", ONE, "$", 1), ("MODEL.DEL", TWO)))
        events = {(event[2].decode().partition(":")[2], event[3]) for event in listener.pushed()}
        assert events >= {(ONE, b"model.exec"), (TWO, b"del")}
        watcher("GET", "x")
        assert watcher("EXEC") is None


@pytest.mark.parametrize("count", ["+1", "01", " 1", "1 ", "1.0", "-0", "0", "-1", "18446744073709551617"])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a batch"])
def test_no_spelling_of_a_count_reads_keys_that_permissions_do_not_see(
    primary: Server, client: Client, count: str, inside: bool
) -> None:
    client("MODEL.CREATE", "secret:1", '{"password":["hunter2"]}')
    client("ACL", "SETUSER", "limited", "on", "nopass", "+@all", "~S:*")
    words: tuple[str | int, ...] = ("MODEL.SETOP", count, "secret:1", "$.password", "UNION")
    with Client(primary) as limited:
        limited("AUTH", "limited", "")
        with pytest.raises(CommandFailed, match=r"^(NOPERM|OUTOFRANGE|BADARG) "):
            limited(*(batch(words, keys=(ONE,)) if inside else words))
    with pytest.raises(CommandFailed, match=r"OUTOFRANGE '.*SETOP takes the number of keys"):
        client(*words)
