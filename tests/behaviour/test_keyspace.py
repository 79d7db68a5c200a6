"""The server's own key commands: the embedded engine answers about documents what servers answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from _hosts import Host

KEY = "Doc:1"


async def scan(host: Host, *options: str | int) -> list[bytes]:
    """All keys of a whole walk, those of the last step last."""
    found: list[bytes] = []
    cursor = b"0"
    while True:
        cursor, keys = await step(host, cursor, *options)
        found += keys
        if cursor == b"0":
            return found


async def step(host: Host, cursor: bytes, *options: str | int) -> tuple[bytes, list[bytes]]:
    reply = await host.call("SCAN", cursor, *options)
    assert isinstance(reply, list)
    after, keys = reply
    assert isinstance(after, bytes)
    assert isinstance(keys, list)
    return after, [key for key in keys if isinstance(key, bytes)]


async def fill(host: Host, count: int) -> set[bytes]:
    keys = {f"Doc:{number}".encode() for number in range(count)}
    for key in keys:
        await host.call("MODEL.CREATE", key, "1")
    return keys


class TestScan:
    @pytest.mark.parametrize("options", [(), ("COUNT", 1), ("COUNT", 7), ("count", 1000), ("MATCH", "*")])
    async def test_finds_every_key(self, host: Host, options: tuple[str | int, ...]) -> None:
        keys = await fill(host, 60)
        assert set(await scan(host, *options)) == keys

    async def test_of_an_empty_database_is_empty(self, host: Host) -> None:
        assert await host.call("SCAN", "0") == [b"0", []]

    @pytest.mark.parametrize(
        "pattern",
        [
            "Doc:*",
            "Doc:1?",
            "*2",
            "Doc:[1-3]",
            "Doc:[^1]*",
            "Doc:\\*",
            "Nope:*",
            "Doc:1",
            "*c:*1*",
            "",
            "Doc:[1",
        ],
    )
    async def test_match_takes_the_servers_patterns(self, host: Host, pattern: str) -> None:
        expected: dict[str, Callable[[int], bool]] = {
            "Doc:*": lambda number: True,
            "Doc:1?": lambda number: 10 <= number < 20,
            "*2": lambda number: number % 10 == 2,
            "Doc:[1-3]": lambda number: 1 <= number <= 3,
            "Doc:[^1]*": lambda number: str(number)[0] != "1",
            "Doc:1": lambda number: number == 1,
            "*c:*1*": lambda number: "1" in str(number),
            "Doc:[1": lambda number: number == 1,
        }
        matches = expected.get(pattern)
        await fill(host, 30)
        found = set(await scan(host, "MATCH", pattern, "COUNT", 5))
        assert found == {f"Doc:{number}".encode() for number in range(30) if matches and matches(number)}

    async def test_keys_that_stay_are_found_whatever_comes_and_goes(self, host: Host) -> None:
        keys = await fill(host, 50)
        stay = {key for key in keys if int(key[4:]) % 3}
        found: set[bytes] = set()
        cursor = b"0"
        for turn in range(1000):
            cursor, batch = await step(host, cursor, "COUNT", 5)
            found.update(batch)
            if cursor == b"0":
                break
            if turn < 16:
                await host.call("MODEL.CREATE", f"New:{turn}", "1")
                await host.call("DEL", f"Doc:{turn * 3}")
                await host.call("RENAME", f"New:{turn}", f"Doc:{turn * 3 + 1}")
                await host.call("COPY", "Doc:1", "Doc:2", "REPLACE")
        assert stay <= found
        assert cursor == b"0"

    @pytest.mark.parametrize(
        ("words", "refusal"),
        [
            (("x",), "ERR invalid cursor"),
            (("0", "COUNT", "x"), "ERR value is not an integer or out of range"),
            (("0", "COUNT", "0"), "ERR syntax error"),
            (("0", "COUNT"), "ERR syntax error"),
            (("0", "NOPE", "1"), "ERR syntax error"),
            ((), "ERR wrong number of arguments for 'scan' command"),
        ],
    )
    async def test_refuses_what_servers_refuse(
        self, host: Host, words: tuple[str, ...], refusal: str
    ) -> None:
        assert await host.refused("SCAN", *words) == refusal


class TestRename:
    async def test_keeps_all_the_document_has(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1}')
        await host.call("MODEL.TTL", "SET", KEY, "PX", 100_000)
        before = await host.state(KEY)
        assert await host.call("RENAME", KEY, "Doc:2") == b"OK"
        assert await host.state("Doc:2") == before
        assert await host.call("EXISTS", KEY) == 0

    async def test_replaces_what_was_there(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("MODEL.CREATE", "Doc:2", "2")
        await host.call("PEXPIRE", "Doc:2", 100_000)
        assert await host.call("RENAME", KEY, "Doc:2") == b"OK"
        assert await host.call("MODEL.GET", "Doc:2") == b"1"
        assert await host.deadline("Doc:2") == -1
        assert await host.call("DBSIZE") == 1

    async def test_onto_itself_changes_nothing(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        before = await host.state(KEY)
        assert await host.call("RENAME", KEY, KEY) == b"OK"
        assert await host.state(KEY) == before

    async def test_of_nothing_is_an_error(self, host: Host) -> None:
        assert await host.refused("RENAME", KEY, "Doc:2") == "ERR no such key"
        assert await host.refused("RENAME", KEY, KEY) == "ERR no such key"

    async def test_a_deadline_goes_along(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("PEXPIRE", KEY, 20)
        await host.call("RENAME", KEY, "Doc:2")
        await host.call("MODEL.CREATE", KEY, "2")
        await host.pass_time(0.03)
        assert await host.call("EXISTS", "Doc:2") == 0
        assert await host.call("EXISTS", KEY) == 1


class TestCopy:
    async def test_keeps_all_the_document_has(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1}')
        await host.call("MODEL.SET", KEY, "$.a", "2")
        await host.call("MODEL.TTL", "SET", KEY, "PX", 100_000)
        before = await host.state(KEY)
        assert await host.call("COPY", KEY, "Doc:2") == 1
        assert await host.state("Doc:2") == before
        await host.call("MODEL.SET", KEY, "$.a", "3")
        assert await host.call("MODEL.GET", "Doc:2") == b'{"a":2}'

    async def test_replaces_only_when_it_is_told_to(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("MODEL.CREATE", "Doc:2", "2")
        assert await host.call("COPY", KEY, "Doc:2") == 0
        assert await host.call("MODEL.GET", "Doc:2") == b"2"
        assert await host.call("COPY", KEY, "Doc:2", "replace") == 1
        assert await host.call("MODEL.GET", "Doc:2") == b"1"
        assert await host.call("COPY", "Doc:none", "Doc:2", "REPLACE") == 0
        assert await host.call("MODEL.GET", "Doc:2") == b"1"

    async def test_refuses_what_servers_refuse(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        same = "ERR source and destination objects are the same"
        assert await host.refused("COPY", KEY, KEY) == same
        assert await host.refused("COPY", KEY, "Doc:2", "NOPE") == "ERR syntax error"
