"""The limits as settings of a server, and whom they bind."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from _servers import Server
from _wire import Client, CommandFailed, wait_for

Start = Callable[..., Server]

MIB = 1 << 20
DEFAULTS = {
    "rapyer.max-document": 512 * MIB,
    "rapyer.max-depth": 128,
    "rapyer.max-batch": 512 * MIB,
    "rapyer.max-reply": 512 * MIB,
}


def settings(client: Client) -> dict[str, int]:
    reply = client("CONFIG", "GET", "rapyer.*")
    return {name.decode(): int(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}


def batch(key: str, *operations: tuple[str | int, ...]) -> tuple[str | int, ...]:
    words = [word for operation in operations for word in (len(operation), *operation)]
    return ("MODEL.EXEC", 1, key, *words)


def test_the_limits_are_settings_with_defaults(client: Client) -> None:
    assert settings(client) == DEFAULTS


def test_limits_are_set_at_run_time_and_kept_by_the_configuration_file(start: Start) -> None:
    server = start()
    with Client(server) as client:
        client("CONFIG", "SET", "rapyer.max-document", "1mb", "rapyer.max-depth", "16")
        assert settings(client) == DEFAULTS | {"rapyer.max-document": MIB, "rapyer.max-depth": 16}
        client("CONFIG", "REWRITE")
    server.restart()
    with Client(server) as client:
        assert settings(client) == DEFAULTS | {"rapyer.max-document": MIB, "rapyer.max-depth": 16}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rapyer.max-document", 512 * MIB + 1),
        ("rapyer.max-document", 1023),
        ("rapyer.max-depth", 129),
        ("rapyer.max-depth", 0),
        ("rapyer.max-batch", 0),
        ("rapyer.max-reply", -1),
    ],
)
def test_a_limit_out_of_its_range_is_refused(client: Client, name: str, value: int) -> None:
    with pytest.raises(CommandFailed):
        client("CONFIG", "SET", name, value)
    assert settings(client) == DEFAULTS


def test_limits_bind_clients_and_neither_replicas_nor_what_was_saved(
    start: Start, primary: Server, client: Client, replica: Server
) -> None:
    deep = "[" * 100 + "]" * 100
    large = json.dumps(["x" * 100] * 100)
    with Client(replica) as at_replica:
        at_replica(
            "CONFIG", "SET", "rapyer.max-document", 2048, "rapyer.max-depth", 4, "rapyer.max-batch", 1024
        )
        client("MODEL.CREATE", "large", large)
        client("MODEL.CREATE", "deep", deep)
        client("MODEL.CREATE", "batch", "[]")
        # Sent in the client's words, the others with their time.
        client("MODEL.CREATE", "plain", "[]")
        client("MODEL.SET", "plain", "$", large)
        client("MODEL.APPEND", "plain", "$", deep)
        client(
            *batch("batch", ("MODEL.APPEND", "batch", "$", large), ("MODEL.CALC", "batch", "$", "REPEAT", 5))
        )
        assert client("WAIT", 1, 5000) == 1
        for key in ("large", "deep", "batch", "plain"):
            assert at_replica("MODEL.GET_RO", key) == client("MODEL.GET_RO", key)
        payload = client("DUMP", "large")
        at_replica("REPLICAOF", "NO", "ONE")
        wait_for(lambda: at_replica("ROLE")[0] == b"master")
        at_replica("RESTORE", "restored", 0, payload)
        assert at_replica("MODEL.GET", "restored") == large.replace(" ", "").encode()
        with pytest.raises(CommandFailed, match=r"^LIMIT .*rapyer.max-document is 2048 bytes"):
            at_replica("MODEL.CREATE", "new", large)
        # What is too large already may shrink.
        at_replica("MODEL.POP", "large", "$")
        with pytest.raises(CommandFailed, match=r"^LIMIT .*rapyer.max-document is 2048 bytes"):
            at_replica("MODEL.APPEND", "large", "$", "1")


def test_an_append_only_file_is_loaded_whatever_the_limits_are(start: Start) -> None:
    server = start("--appendonly", "yes", "--aof-use-rdb-preamble", "no")
    large = json.dumps(["x" * 100] * 100)
    with Client(server) as client:
        client("MODEL.CREATE", "large", large)
        client("MODEL.CREATE", "deep", "[[[[[[1]]]]]]")
        # Written in the client's words, the others with their time.
        client("MODEL.CREATE", "plain", "[]")
        client("MODEL.SET", "plain", "$", large)
        client("MODEL.SET", "plain", "$", "[[[[[[1]]]]]]")
        client("CONFIG", "SET", "rapyer.max-document", 2048, "rapyer.max-depth", 2)
        client("CONFIG", "REWRITE")
    server.restart()
    with Client(server) as client:
        assert settings(client)["rapyer.max-depth"] == 2
        assert client("MODEL.GET", "large") == large.replace(" ", "").encode()
        assert client("MODEL.GET", "deep") == client("MODEL.GET", "plain") == b"[[[[[[1]]]]]]"
