"""What a server tells of the commands: all of it is the command table's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from _servers import MODULE, Kind, Server
from _wire import Client, CommandFailed
from rapyer import _native

TABLE = {"|".join(filter(None, (row["name"], row["subcommand"]))).lower(): row for row in _native.commands()}
CONTAINERS = {row["name"].lower() for row in TABLE.values() if row["subcommand"]}
FLAGS = {
    "read": {"readonly"},
    "inspect": {"readonly"},
    "grow": {"write", "denyoom"},
    "write": {"write"},
    "configure": {"write", "admin"},
}


@pytest.fixture
def primary(kind: Kind, server_of: Callable[[Kind], Server]) -> Server:
    """One server for all tests of a kind: what they ask changes nothing."""
    return server_of(kind)


def text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple, set)):
        return [text(item) for item in value]
    return value


def pairs(reply: list[Any]) -> dict[str, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def ask(client: Client, *words: str) -> Any:
    return text(client(*words))


def info(client: Client, name: str) -> list[Any]:
    (reply,) = ask(client, "COMMAND", "INFO", name)
    assert isinstance(reply, list)
    return reply


def test_the_server_knows_every_row_and_nothing_else(client: Client) -> None:
    listed = {
        name for name in ask(client, "COMMAND", "LIST", "FILTERBY", "MODULE", "rapyer") if "._" not in name
    }
    assert listed == set(TABLE) | CONTAINERS


@pytest.mark.parametrize("name", TABLE)
def test_arity_flags_and_keys_are_the_tables(client: Client, name: str) -> None:
    row = TABLE[name]
    _, arity, flags, first, last, step, _, _, key_specs, _ = info(client, name)
    assert arity == row["arity"]
    assert FLAGS[row["access"]] <= set(flags) <= FLAGS[row["access"]] | {"module", "movablekeys"}
    position = 2 if row["subcommand"] else 1
    ranges = {
        "first": (position, position, 1),
        "from-to": (position, position + 1, 1),
        "all": (position, -1, 1),
    }
    assert (first, last, step) == ranges.get(row["keys"], (0, 0, 0))
    one: list[str | int] = ["lastkey", 0, "keystep", 1, "limit", 0]
    rest: list[str | int] = ["lastkey", -1, "keystep", 1, "limit", 0]
    specs: dict[str, list[tuple[int, list[str | int]]]] = {
        "none": [],
        "first": [(position, one)],
        "from-to": [(position, one), (position + 1, one)],
        "all": [(position, rest)],
        "counted": [(position, ["keynumidx", 0, "firstkey", 1, "keystep", 1])],
    }
    for spec, (begin, find) in zip(map(pairs, key_specs), specs[str(row["keys"])], strict=True):
        assert pairs(spec["begin_search"])["spec"] == ["index", begin]
        assert pairs(spec["find_keys"])["spec"] == find
        if row["keys"] == "from-to":
            assert spec["flags"] == (["RO", "access"] if begin == position else ["OW", "update"])
            continue
        access = {"RO"} if row["access"] == "read" else {"RW", "RM"}
        assert len(access & set(spec["flags"])) == 1
        if row["access"] == "read":
            assert spec["flags"] == ["RO", "access"]


@pytest.mark.parametrize("name", TABLE)
def test_the_docs_are_the_tables(client: Client, name: str) -> None:
    docs = pairs(pairs(ask(client, "COMMAND", "DOCS", name))[name])
    assert docs["summary"] == TABLE[name]["summary"]
    assert docs["module"] == "rapyer"
    arguments = [pairs(argument) for argument in docs.get("arguments", [])]
    named = {argument["name"] for argument in arguments}
    assert ("norefresh" in named) == (TABLE[name]["norefresh"] and not TABLE[name]["twin"])
    assert ("expect-policy" in named) == TABLE[name]["creates"]
    assert (TABLE[name]["keys"] != "none") == any(argument["type"] == "key" for argument in arguments)


@pytest.mark.parametrize("name", TABLE)
def test_a_command_is_in_acl_categories_where_modules_can_have_them(client: Client, name: str) -> None:
    access = "@read" if TABLE[name]["access"] in {"read", "inspect"} else "@write"
    expected = {"@model", "@slow", access} | (
        {"@admin", "@dangerous"} if TABLE[name]["access"] == "configure" else set()
    )
    modules_have_categories = "model" in ask(client, "ACL", "CAT")
    assert set(info(client, name)[6]) == (expected if modules_have_categories else set())


def test_a_user_who_may_only_read_keys_may_read_and_refresh_documents(
    primary: Server, client: Client
) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", 60_000, "REFRESH", "ALL")
    client("MODEL.CREATE", "S:1", "1")
    client("ACL", "SETUSER", "reader", "on", "nopass", "+@all", "%R~S:*")
    with Client(primary) as reader:
        reader("AUTH", "reader", "any")
        assert reader("MODEL.GET", "S:1") == b"1"
        for refused in (("MODEL.SET", "S:1", "$", "2"), ("MODEL.GET", "T:1"), ("MODEL.TTL", "TOUCH", "S:1")):
            with pytest.raises(CommandFailed, match="NOPERM"):
                reader(*refused)


def test_the_keys_of_replicated_commands_are_found(client: Client) -> None:
    def keys(*words: str) -> Any:
        return ask(client, "COMMAND", "GETKEYS", *words)

    assert keys("MODEL._REPLAY", "append 1 -", "k", "$", "1") == ["k"]
    assert keys("MODEL._REPLAY", "ttl|set 1 -", "k", "PX", "1") == ["k"]
    assert keys("MODEL._REPLAY", "exec 1 -,-", "2", "k", "j", "2", "MODEL.DEL", "k") == ["k", "j"]
    assert keys("MODEL._APPLY", "1", "-", "APPEND", "k", "$", "1") == ["k"]
    assert keys("MODEL._APPLY", "1", "-", "TTL|SET", "k", "PX", "1") == ["k"]
    assert keys("MODEL._APPLY", "1", "-,-", "DEL", "k", "j") == ["k", "j"]
    assert keys("MODEL._APPLY", "1", "-,-", "EXEC", "2", "k", "j", "2", "MODEL.DEL", "k") == ["k", "j"]
    assert keys("MODEL._EXPIREAT", "k", "1", "j", "2") == ["k", "j"]


def test_the_keys_of_a_batch_are_found(client: Client) -> None:
    batch = ("MODEL.EXEC", "2", "k", "j", "2", "MODEL.DEL", "k")
    assert ask(client, "COMMAND", "GETKEYS", *batch) == ["k", "j"]


def test_the_module_takes_no_arguments(start: Any) -> None:
    with pytest.raises(RuntimeError, match="rapyer is not loaded: it takes no arguments"):
        start("--loadmodule", str(MODULE), "word", module=False)
