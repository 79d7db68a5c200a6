"""Clients that cache hear of every change to what they read, by whatever command, and of nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
import pytest

from _calls import DOCUMENT, LOCKS, TABLE, call, keys_of
from _servers import EVERY_KIND, Kind, Server
from _wire import Client, CommandFailed

READERS = [name for name in TABLE if TABLE[name]["access"] == "read" and keys_of(name)]
WRITERS = [name for name in TABLE if TABLE[name]["access"] in {"grow", "write"}]
READ, OTHER, UNREAD = "Doc:1", "Doc:2", "Doc:3"


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def server(kind: Kind, server_of: Callable[[Kind], Server]) -> Server:
    return server_of(kind)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client that changes what others have read, on documents that a refresh moves."""
    with Client(server) as client:
        fill(client)
        yield client


def fill(client: Client) -> None:
    client("FLUSHALL")
    client("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "ALL")
    for key in (READ, OTHER, UNREAD):
        client("MODEL.CREATE", key, DOCUMENT)


class Cache:
    """A client that caches: what it reads, and the keys that the server then says are out of date."""

    def __init__(self, server: Server, how: str) -> None:
        self.reader = Client(server)
        self._listener = self.reader
        self._outdated: set[str] = set()
        mode = {"BCAST": ["BCAST", "PREFIX", "Doc:"], "OPTIN": ["OPTIN"]}.get(how, [])
        self._asks = how == "OPTIN"
        if how == "REDIRECT":
            self._listener = Client(server)
            listener = self._listener("CLIENT", "ID")
            self._listener("SUBSCRIBE", "__redis__:invalidate")
            mode = ["REDIRECT", str(listener)]
        else:
            self.reader("HELLO", 3)
        self.reader("CLIENT", "TRACKING", "ON", *mode)

    def read(self, words: list[str]) -> Any:
        if self._asks:
            self._call(self.reader, "CLIENT", "CACHING", "YES")
        return self._call(self.reader, *words)

    def outdated(self) -> set[str]:
        """The keys that became out of date since the last call."""
        self._call(self._listener, "PING")
        keys, self._outdated = self._outdated, set()
        return keys

    def _call(self, client: Client, *words: str) -> Any:
        """The reply; whatever the server tells before it is kept."""
        client.send(words)
        while True:
            match client.receive():
                case [b"invalidate", keys] | [b"message", b"__redis__:invalidate", keys]:
                    self._outdated.update(key.decode() for key in keys or [])
                case reply:
                    if isinstance(reply, hiredis.ReplyError):
                        raise CommandFailed(str(reply))
                    return reply

    def close(self) -> None:
        self.reader.close()
        self._listener.close()


@pytest.fixture(params=["RESP3", "REDIRECT", "BCAST", "OPTIN"])
def cache(server: Server, client: Client, request: pytest.FixtureRequest) -> Iterator[Cache]:
    cache = Cache(server, request.param)
    yield cache
    cache.close()


def test_whoever_read_hears_of_a_change_once(client: Client, cache: Cache) -> None:
    heard = {}
    for name in READERS:
        keys = [READ, OTHER][: keys_of(name)]
        cache.read(call(name, keys))
        for key in keys:
            client("MODEL.SET", key, "$.n", 5)
        heard[name] = cache.outdated()
    assert heard == {name: {READ, OTHER} if keys_of(name) == 2 else {READ} for name in READERS}


def test_every_writer_is_heard_of(client: Client, cache: Cache) -> None:
    for name in WRITERS:
        if name in LOCKS or name == "MODEL.TTL TOUCH":
            continue
        fill(client)
        keys = [OTHER, READ][-keys_of(name) :]
        if name == "MODEL.GETORCREATE":
            client("DEL", READ)
        cache.read(["MODEL.MGET", *keys])
        cache.outdated()
        cache.read(["MODEL.MGET", *keys])
        cache.outdated()
        client(*call(name, keys))
        assert cache.outdated() == ({READ} if TABLE[name]["keys"] == "from-to" else set(keys)), name


def test_whoever_read_a_key_hears_of_it_when_a_batch_writes_it(client: Client, cache: Cache) -> None:
    cache.read(["MODEL.MGET", READ, OTHER])
    client(*["MODEL.EXEC", "2", READ, OTHER, "4", "MODEL.SET", READ, "$.n", "3", "2", "MODEL.GET", OTHER])
    assert cache.outdated() == {READ}
    cache.read(call("MODEL.SETOP", [READ, OTHER]))
    client(
        *["MODEL.EXEC", "2", READ, OTHER, "2", "MODEL.DEL", READ, "4", "MODEL.APPEND", OTHER, "$.list", "3"]
    )
    assert cache.outdated() == {READ, OTHER}


def test_a_failed_batch_is_not_heard_of(client: Client, cache: Cache) -> None:
    cache.read(["MODEL.GET", READ])
    with pytest.raises(CommandFailed, match="NOPATH"):
        client(*["MODEL.EXEC", "1", READ, "4", "MODEL.SET", READ, "$.n", "3", "3", "MODEL.POP", READ, "$.x"])
    assert cache.outdated() == set()


def test_a_refresh_is_not_heard_of(client: Client, cache: Cache) -> None:
    for name in READERS:
        keys = [READ, OTHER][: keys_of(name)]
        cache.read(call(name, keys))
    cache.outdated()
    before = client("PEXPIRETIME", READ)
    time.sleep(0.003)
    for name in READERS:
        client(*call(name, [READ, OTHER][: keys_of(name)]))
    client("MODEL.TTL", "TOUCH", READ)
    client(*["MODEL.EXEC", "2", READ, OTHER, "2", "MODEL.GET", READ, "2", "MODEL.GET", OTHER])
    assert client("PEXPIRETIME", READ) > before
    assert cache.outdated() == set()
