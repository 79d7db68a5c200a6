"""Policies as clients set, read and remove them, on every host."""

from __future__ import annotations

import pytest

from _hosts import Host

KEY = "Doc:1"


async def found(host: Host, prefix: str) -> dict[bytes, object] | None:
    reply = await host.call("MODEL.POLICY", "GET", prefix)
    if reply is None:
        return None
    assert isinstance(reply, list)
    return dict(
        zip([bytes(name) for name in reply[::2] if isinstance(name, bytes)], reply[1::2], strict=True)
    )


async def test_a_policy_reads_back_as_it_was_set(host: Host) -> None:
    options = ("REFRESH", "read,Update", "ABSOLUTE", 5000, "READ-TOUCH-PCT", 25)
    version = await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1000, *options)
    assert isinstance(version, int)
    reply = await host.call("MODEL.POLICY", "GET", "Doc:")
    assert reply == [
        *(b"prefix", b"Doc:"),
        *(b"ttl", 1000),
        *(b"refresh", b"READ,UPDATE"),
        *(b"absolute", 5000),
        *(b"read-touch-pct", 25),
        *(b"version", version),
    ]


async def test_the_defaults_are_no_refresh_no_cap_and_exact_reads(host: Host) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", "none")
    policy = await found(host, "Doc:")
    assert policy is not None
    assert policy[b"ttl"] is None
    assert policy[b"refresh"] == b"NONE"
    assert policy[b"absolute"] is None
    assert policy[b"read-touch-pct"] == 100


async def test_the_version_moves_with_a_change_and_only_then(host: Host) -> None:
    first = await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1000)
    assert await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1000) == first
    second = await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 2000)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert second > first


async def test_nx_sets_the_first_and_xx_an_existing_one(host: Host) -> None:
    assert await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1, "XX") is None
    assert await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 2, "NX") is not None
    assert await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 3, "NX") is None
    assert await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 4, "XX") is not None
    policy = await found(host, "Doc:")
    assert policy is not None
    assert policy[b"ttl"] == 4


async def test_del_removes_the_entry_and_leaves_deadlines(host: Host) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "ALL")
    await host.call("MODEL.CREATE", KEY, "1")
    before = await host.deadline(KEY)
    assert await host.call("MODEL.POLICY", "DEL", "Doc:") == 1
    assert await host.call("MODEL.POLICY", "DEL", "Doc:") == 0
    assert await host.call("MODEL.POLICY", "GET", "Doc:") is None
    await host.pass_time(0.003)
    await host.call("MODEL.GET", KEY)
    assert await host.deadline(KEY) == before


async def test_the_longest_prefix_wins_and_the_next_shorter_follows_it(host: Host) -> None:
    for prefix in ("User:", "User:admin:", "UserProfile:"):
        await host.call("MODEL.POLICY", "SET", prefix, "TTL", 1000)

    async def match(key: str) -> object:
        return await host.call("MODEL.POLICY", "MATCH", key)

    assert await match("User:1") == b"User:"
    assert await match("User:admin:1") == b"User:admin:"
    assert await match("UserProfile:1") == b"UserProfile:"
    assert await match("User") is None
    await host.call("MODEL.POLICY", "DEL", "User:admin:")
    assert await match("User:admin:1") == b"User:"


async def test_list_has_every_policy_in_the_order_of_prefixes(host: Host) -> None:
    assert await host.call("MODEL.POLICY", "LIST") == []
    for prefix in ("b:", "a:", "é:"):
        await host.call("MODEL.POLICY", "SET", prefix, "TTL", 1000)
    listed = await host.call("MODEL.POLICY", "LIST")
    assert isinstance(listed, list)
    assert listed == [await host.call("MODEL.POLICY", "GET", prefix) for prefix in ("a:", "b:", "é:")]


async def test_the_digest_tells_tables_apart(host: Host) -> None:
    async def digest() -> object:
        return await host.call("MODEL.POLICY", "DIGEST")

    empty = await digest()
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1000)
    one = await digest()
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 2000)
    assert len({empty, one, await digest()}) == 3
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1000)
    assert await digest() == one
    await host.call("MODEL.POLICY", "DEL", "Doc:")
    assert await digest() == empty


async def test_flushing_documents_leaves_policies(host: Host) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 1000)
    await host.call("FLUSHDB")
    assert await host.call("MODEL.POLICY", "MATCH", KEY) == b"Doc:"


class TestExpectPolicy:
    @pytest.mark.parametrize("command", [("CREATE",), ("SAVE",), ("SET", "$")], ids=" ".join)
    async def test_creates_nothing_without_a_policy(self, host: Host, command: tuple[str, ...]) -> None:
        name, *path = command
        words = (f"MODEL.{name}", KEY, *path, "1", "EXPECT-POLICY")
        refusal = await host.refused(*words)
        assert refusal.startswith("NOPOLICY ")
        assert KEY in refusal
        assert await host.call("DBSIZE") == 0
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", "NONE")
        assert await host.call(*words) == b"OK"

    async def test_asks_nothing_of_a_document_that_is_there(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        assert await host.call("MODEL.SAVE", KEY, "2", "EXPECT-POLICY") == b"OK"


@pytest.mark.parametrize(
    ("options", "prefix", "named"),
    [
        (("TTL", "0"), "OUTOFRANGE", "0"),
        (("TTL", "-1"), "OUTOFRANGE", "-1"),
        (("TTL", "1.5"), "OUTOFRANGE", "1.5"),
        (("TTL", "+1"), "OUTOFRANGE", "+1"),
        (("TTL", "3155760000001"), "OUTOFRANGE", "3155760000001"),
        (("TTL", "99999999999999999999"), "OUTOFRANGE", "99999999999999999999"),
        (("TTL", "soon"), "OUTOFRANGE", "soon"),
        (("TTL", "1000", "ABSOLUTE", "999"), "OUTOFRANGE", "999"),
        (("TTL", "1000", "ABSOLUTE", "0"), "OUTOFRANGE", "0"),
        (("TTL", "1000", "READ-TOUCH-PCT", "0"), "OUTOFRANGE", "0"),
        (("TTL", "1000", "READ-TOUCH-PCT", "101"), "OUTOFRANGE", "101"),
        (("TTL", "1000", "REFRESH", "DELETE"), "BADARG", "DELETE"),
        (("TTL", "1000", "REFRESH", "READ,WRITE"), "BADARG", "WRITE"),
        (("TTL", "1000", "REFRESH", ""), "BADARG", "''"),
        (("TTL", "1000", "NX", "XX"), "BADARG", "XX"),
        (("TTL", "1000", "FOREVER"), "BADARG", "FOREVER"),
        (("TTL", "1000", "ABSOLUTE"), "BADARG", ""),
        (("WINDOW", "1000"), "BADARG", "WINDOW"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_a_bad_policy_is_refused_and_changes_nothing(
    host: Host, options: tuple[str, ...], prefix: str, named: str
) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "ALL")
    before = await host.call("MODEL.POLICY", "LIST")
    refusal = await host.refused("MODEL.POLICY", "SET", "Doc:", *options)
    assert refusal.startswith(f"{prefix} ")
    assert named in refusal
    assert await host.call("MODEL.POLICY", "LIST") == before
