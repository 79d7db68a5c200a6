"""Commands as guests of a server: permissions, scripts, functions, transactions, and its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from _servers import Server
from _wire import Client, CommandFailed, wait_for

KEY = "S:1"


@pytest.fixture
def stored(client: Client) -> int:
    """A document whose deadline a refresh moves; that deadline."""
    client("MODEL.POLICY", "SET", "S:", "TTL", 60_000, "REFRESH", "ALL")
    client("MODEL.CREATE", KEY, '{"n":1}')
    time.sleep(0.005)
    deadline = client("PEXPIRETIME", KEY)
    assert isinstance(deadline, int)
    return deadline


def user(server: Server, client: Client, *rules: str) -> Client:
    client("ACL", "SETUSER", "limited", "reset", "on", ">secret", *rules)
    limited = Client(server)
    limited("AUTH", "limited", "secret")
    return limited


def refuses(client: Client, *words: str | int) -> None:
    with pytest.raises(CommandFailed, match=r"^NOPERM "):
        client(*words)


def test_permissions_are_given_for_commands_and_subcommands(
    primary: Server, client: Client, stored: int
) -> None:
    with user(primary, client, "~S:*", "+model.get", "+model.ttl|get") as limited:
        assert limited("MODEL.GET", KEY) == b'{"n":1}'
        assert limited("MODEL.TTL", "GET", KEY)
        refuses(limited, "MODEL.GET_RO", KEY)
        refuses(limited, "MODEL.TTL", "SET", KEY, "PX", 5)
        refuses(limited, "MODEL.SET", KEY, "$.n", "2")
        refuses(limited, "MODEL.POLICY", "LIST")
    assert client("MODEL.GET_RO", KEY) == b'{"n":1}'


def test_permissions_are_given_for_keys(primary: Server, client: Client, stored: int) -> None:
    client("MODEL.CREATE", "T:1", "1")
    with user(primary, client, "+@all", "%R~S:*", "%W~T:*") as limited:
        assert limited("MODEL.MGET", KEY) == [b'{"n":1}']
        refuses(limited, "MODEL.MGET", KEY, "T:1")
        refuses(limited, "MODEL.INCRBY", KEY, "$.n", 1)
        refuses(limited, "MODEL.DEL", KEY, "T:1")
        refuses(limited, "MODEL.GET", "T:1")
        # What a write answers may be what was there: it needs both rights, as the server's own GETSET does.
        refuses(limited, "MODEL.POP", "T:1", "$")
    assert client("MODEL.GET_RO", "T:1") == b"1"


def test_scripts_read_refresh_write_and_catch_errors(client: Client, stored: int) -> None:
    assert client("EVAL", "return redis.call('MODEL.GET', KEYS[1])", 1, KEY) == b'{"n":1}'
    assert client("PEXPIRETIME", KEY) > stored
    change = (
        "redis.call('MODEL.INCRBY', KEYS[1], '$.n', ARGV[1]) return redis.call('MODEL.GET', KEYS[1], '$.n')"
    )
    assert client("EVAL", change, 1, KEY, 4) == b"5"
    caught = client("EVAL", "return redis.pcall('MODEL.SET', KEYS[1], '$.x.y', '1')['err']", 1, KEY)
    assert caught.startswith(b"NOPATH ")
    with pytest.raises(CommandFailed, match="NOPATH "):
        client("EVAL", "return redis.call('MODEL.SET', KEYS[1], '$.x.y', '1')", 1, KEY)
    with pytest.raises(CommandFailed, match="Write commands are not allowed"):
        client("EVAL_RO", "return redis.call('MODEL.SET', KEYS[1], '$.n', '9')", 1, KEY)
    assert client("MODEL.GET_RO", KEY) == b'{"n":5}'


def test_functions_that_may_not_write_refresh_all_the_same(client: Client, stored: int) -> None:
    client(
        "FUNCTION",
        "LOAD",
        "#!lua name=models\n"
        "redis.register_function{function_name='read', flags={'no-writes'},"
        " callback=function(keys) return redis.call('MODEL.GET', keys[1]) end}\n"
        "redis.register_function('add', function(keys, args)"
        " return redis.call('MODEL.INCRBY', keys[1], '$.n', args[1]) end)",
    )
    for call in ("FCALL", "FCALL_RO"):
        before = client("PEXPIRETIME", KEY)
        time.sleep(0.003)
        assert client(call, "read", 1, KEY) == b'{"n":1}'
        assert client("PEXPIRETIME", KEY) > before
    assert client("FCALL", "add", 1, KEY, 2) == b"3"


def test_transactions_of_the_server_hold_commands(primary: Server, client: Client, stored: int) -> None:
    client("MULTI")
    for command in (("MODEL.INCRBY", KEY, "$.n", 1), ("MODEL.POP", KEY, "$.n"), ("MODEL.GET", KEY)):
        assert client(*command) == b"QUEUED"
    increased, failed, read = client("EXEC")
    assert (increased, read) == (b"2", b'{"n":2}')
    assert str(failed).startswith("BADTYPE ")
    with Client(primary) as other:
        client("WATCH", KEY)
        other("MODEL.GET", KEY)
        client("MULTI")
        client("MODEL.INCRBY", KEY, "$.n", 1)
        assert client("EXEC") == [b"3"]


def test_tracking_clients_hear_of_expiry(primary: Server, client: Client) -> None:
    client("MODEL.CREATE", KEY, "1")
    with Client(primary) as caching:
        caching("HELLO", 3)
        caching("CLIENT", "TRACKING", "ON")
        caching("MODEL.GET", KEY)
        client("MODEL.TTL", "SET", KEY, "PX", 400)
        assert caching.pushed()
        caching("MODEL.GET", KEY)
        wait_for(lambda: client("EXISTS", KEY) == 0)
        assert caching.pushed() == [[b"invalidate", [KEY.encode()]]]


LARGE = b'{"list":[' + b",".join([b'{"some":"thing","n":12345678}'] * 1_700_000) + b"]}"


def longest_gap(server: Server, act: Callable[[], None]) -> float:
    """The longest that a PING waited while something was done."""
    longest, ended = 0.0, threading.Event()

    def ping() -> None:
        nonlocal longest
        with Client(server) as other:
            while not ended.is_set():
                sent = time.perf_counter()
                other("PING")
                longest = max(longest, time.perf_counter() - sent)

    thread = threading.Thread(target=ping)
    thread.start()
    time.sleep(0.05)
    act()
    time.sleep(0.3)
    ended.set()
    thread.join()
    return longest


@pytest.mark.parametrize("how", ["UNLINK", "expiry", "FLUSHALL"])
def test_a_document_of_fifty_megabytes_goes_without_stopping_the_server(
    primary: Server, client: Client, how: str
) -> None:
    client("CONFIG", "SET", "lazyfree-lazy-expire", "yes")

    remove = {"UNLINK": ("UNLINK", KEY), "expiry": ("PEXPIRE", KEY, 1), "FLUSHALL": ("FLUSHALL", "ASYNC")}[
        how
    ]

    def gap() -> float:
        client("MODEL.CREATE", KEY, LARGE)
        # Below the root it is in parts, hundreds of thousands of allocations.
        assert client("MODEL.GET", KEY, "$.list[-1].n") == b"12345678"
        found = longest_gap(primary, lambda: client(*remove))
        wait_for(lambda: client("EXISTS", KEY) == 0)
        return found

    # The machine's own pauses are no fault of ours: the best of a few.
    assert min(gap() for _ in range(3)) < 0.02
