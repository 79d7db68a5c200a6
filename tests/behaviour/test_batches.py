"""MODEL.EXEC: several commands as one, on every host."""

from __future__ import annotations

import pytest

from _hosts import Host, later

KEY, OTHER = "Doc:1", "Other:1"
DOCUMENT = '{"n":1,"list":[1,2],"map":{"a":1}}'
WINDOW = 60_000


def batch(keys: list[str], *operations: str | list[str]) -> list[str]:
    """The words of a batch; an operation is a list of words, or one text to split at blanks."""
    words = ["MODEL.EXEC", str(len(keys)), *keys]
    for operation in operations:
        parts = operation.split() if isinstance(operation, str) else operation
        words += [str(len(parts)), *parts]
    return words


async def state(host: Host) -> list[object]:
    return [await host.state(KEY), await host.state(OTHER), await host.call("DBSIZE")]


async def test_the_replies_are_the_operations_replies_in_order(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    replies = await host.call(
        *batch(
            [KEY, OTHER],
            f"MODEL.INCRBY {KEY} $.n 4",
            f"MODEL.GET {KEY} $.n $.list $.none",
            f"MODEL.GET {OTHER}",
            f"MODEL.CREATE {OTHER} 7",
            f"MODEL.APPEND {KEY} $.list 3",
            f"MODEL.MGET {KEY} {OTHER}",
            f"MODEL.DEL {OTHER}",
        )
    )
    changed = b'{"n":5,"list":[1,2,3],"map":{"a":1}}'
    assert replies == [b"5", [b"5", b"[1,2]", None], None, b"OK", 3, [changed, b"7"], 1]
    assert await host.call("MODEL.GET_RO", KEY) == changed
    assert await host.call("MODEL.GET_RO", OTHER) is None


@pytest.mark.parametrize("failing", range(9))
async def test_when_one_operation_fails_nothing_happened(host: Host, failing: int) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW, "REFRESH", "ALL")
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    await host.pass_time(0.003)
    before = await state(host)
    operations = [
        f"MODEL.INCRBY {KEY} $.n 1",
        f"MODEL.APPEND {KEY} $.list 3 4",
        f"MODEL.CREATE {OTHER} {{}}",
        f"MODEL.SET {OTHER} $.a 1",
        f"MODEL.TTL SET {KEY} PX 5000",
        f"MODEL.GET {KEY}",
        f"MODEL.DEL {KEY}",
        f"MODEL.SAVE {KEY} {{}}",
    ]
    operations.insert(failing, f"MODEL.INCRBY {KEY} $.none 1")
    refusal = await host.refused(*batch([KEY, OTHER], *operations))
    assert refusal.startswith(("NOPATH ", "NOKEY "))
    assert f"operation {failing + 1} (MODEL.INCRBY): " in refusal
    assert await state(host) == before


async def test_a_large_document_is_as_it_was_when_a_later_operation_fails(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, f'{{"n":1,"list":[{",".join(["12345"] * 5_000)}]}}')
    before = await host.state(KEY)
    edits = [f"MODEL.APPEND {KEY} $.list 1", f"MODEL.POP {KEY} $.list 0", f"MODEL.SET {KEY} $.list[2500] 0"]
    await host.refused(*batch([KEY], *edits, f"MODEL.INCRBY {KEY} $.list 1"))
    assert await host.state(KEY) == before
    assert await host.call(*batch([KEY], *edits)) == [5_001, b"12345", b"OK"]


async def test_every_write_counts(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    await host.call(*batch([KEY], f"MODEL.SET {KEY} $.n 2", f"MODEL.GET {KEY}", f"MODEL.SET {KEY} $.n 3"))
    assert (await host.lifetime(KEY))["version"] == 3


class TestLifetime:
    async def test_each_document_follows_its_own_policy(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW, "REFRESH", "ARITHMETIC")
        await host.call("MODEL.POLICY", "SET", "Other:", "TTL", 2 * WINDOW, "REFRESH", "READ")
        for key in (KEY, OTHER):
            await host.call("MODEL.CREATE", key, DOCUMENT)
        before = await host.deadline(OTHER)
        await host.pass_time(0.003)
        _, moments = await host.timed(
            *batch([KEY, OTHER], f"MODEL.INCRBY {KEY} $.n 1", f"MODEL.INCRBY {OTHER} $.n 1")
        )
        assert await host.deadline(KEY) in later(moments, WINDOW)
        assert await host.deadline(OTHER) == before

    async def test_an_operation_may_refrain(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW, "REFRESH", "ALL")
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        before = await host.deadline(KEY)
        await host.pass_time(0.003)
        await host.call(*batch([KEY], f"MODEL.INCRBY {KEY} $.n 1 NOREFRESH", f"MODEL.GET_RO {KEY}"))
        assert await host.deadline(KEY) == before
        await host.call(*batch([KEY], f"MODEL.INCRBY {KEY} $.n 1 NOREFRESH", f"MODEL.GET {KEY}"))
        assert await host.deadline(KEY) > before

    async def test_what_it_creates_gets_the_first_deadline(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW)
        _, moments = await host.timed(*batch([KEY], f"MODEL.CREATE {KEY} 1", f"MODEL.SAVE {KEY} 2"))
        assert await host.deadline(KEY) in later(moments, WINDOW)
        assert (await host.lifetime(KEY))["version"] == 2

    async def test_a_ttl_given_to_what_it_creates_stays(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW, "REFRESH", "ALL")
        _, moments = await host.timed(
            *batch([KEY], f"MODEL.CREATE {KEY} [1]", f"MODEL.TTL SET {KEY} PX 5000", f"MODEL.GET {KEY}")
        )
        assert await host.deadline(KEY) in later(moments, 5_000)
        assert (await host.lifetime(KEY))["window"] == 5_000

    async def test_what_it_deletes_and_makes_again_is_new(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        await host.call("MODEL.TTL", "SET", KEY, "PX", WINDOW)
        created = (await host.lifetime(KEY))["created"]
        await host.pass_time(0.003)
        await host.call(*batch([KEY], f"MODEL.DEL {KEY}", f"MODEL.CREATE {KEY} 1"))
        lifetime = await host.lifetime(KEY)
        assert (lifetime["deadline"], lifetime["window"], lifetime["version"]) == (None, None, 1)
        assert lifetime["created"] != created

    async def test_what_it_makes_and_deletes_was_never_there(self, host: Host) -> None:
        made = batch([KEY], f"MODEL.CREATE {KEY} 1", f"MODEL.DEL {KEY}")
        assert await host.call(*made) == [b"OK", 1]
        assert await host.call("DBSIZE") == 0

    async def test_a_moment_that_is_past_deletes(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        await host.call(*batch([KEY], f"MODEL.SET {KEY} $.n 2", f"MODEL.TTL SET {KEY} PXAT 1"))
        assert await host.call("DBSIZE") == 0

    async def test_a_deadline_can_go_away(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", "NONE")
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        await host.call("MODEL.TTL", "SET", KEY, "PX", WINDOW)
        await host.call(*batch([KEY], f"MODEL.TTL INHERIT {KEY}", f"MODEL.SET {KEY} $.n 2"))
        assert await host.deadline(KEY) == -1

    async def test_creating_may_demand_a_policy(self, host: Host) -> None:
        refusal = await host.refused(*batch([KEY], f"MODEL.CREATE {KEY} 1 EXPECT-POLICY"))
        assert refusal.startswith("NOPOLICY operation 1 (MODEL.CREATE): ")
        assert await host.call("DBSIZE") == 0


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["MODEL.EXEC", "1", KEY], "ERR wrong number of arguments for 'model.exec' command"),
        (["MODEL.EXEC", "0", KEY, "2", "MODEL.GET", KEY], "OUTOFRANGE '0': EXEC takes the number of keys"),
        (["MODEL.EXEC", "one", KEY, "2", "MODEL.GET", KEY], "OUTOFRANGE 'one': "),
        (["MODEL.EXEC", "9", KEY, "2", "MODEL.GET", KEY], "OUTOFRANGE '9': "),
        (["MODEL.EXEC", "4", KEY, "2", "MODEL.GET", KEY], "BADARG '': EXEC takes operations after its keys"),
        (["MODEL.EXEC", "1", KEY, "3", "MODEL.GET", KEY], "OUTOFRANGE '3': an operation starts with"),
        (["MODEL.EXEC", "1", KEY, "2", "MODEL.GET", KEY, "2"], "OUTOFRANGE '2': an operation starts with"),
        (["MODEL.EXEC", "1", KEY, "0", "MODEL.GET", KEY], "OUTOFRANGE '0': an operation starts with"),
        (
            ["MODEL.EXEC", "1", KEY, "1", "MODEL.GET"],
            "ERR operation 1 (MODEL.GET): wrong number of arguments",
        ),
        (["MODEL.EXEC", "1", KEY, "2", "GET", KEY], "ERR operation 1 (GET): unknown command 'GET'"),
        (
            ["MODEL.EXEC", "1", KEY, "2", "MODEL.GET", OTHER],
            f"BADARG operation 1 (MODEL.GET): '{OTHER}': not among",
        ),
        (
            ["MODEL.EXEC", "1", KEY, "3", "MODEL.MGET", KEY, OTHER],
            f"BADARG operation 1 (MODEL.MGET): '{OTHER}'",
        ),
        (
            ["MODEL.EXEC", "1", KEY, "5", "MODEL.EXEC", "1", KEY, "2", "MODEL.GET"],
            "BADARG operation 1 (MODEL.EXEC): 'MODEL.EXEC': not a command that a batch can hold",
        ),
        (
            ["MODEL.EXEC", "1", KEY, "5", "MODEL.POLICY", "SET", "Doc:", "TTL", "NONE"],
            "BADARG operation 1 (MODEL.POLICY): ",
        ),
    ],
)
async def test_what_is_no_batch_is_refused(host: Host, words: list[str], refusal: str) -> None:
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    before = await state(host)
    assert (await host.refused(*words)).startswith(refusal)
    assert await state(host) == before


async def test_a_key_may_be_named_twice(host: Host) -> None:
    assert await host.call(*batch([KEY, KEY], f"MODEL.CREATE {KEY} 1", f"MODEL.GET {KEY}")) == [b"OK", b"1"]
    assert await host.call("MODEL.GET_RO", KEY) == b"1"


async def test_the_condition_of_one_operation_keeps_only_that_one(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    replies = await host.call(*batch([KEY], f"MODEL.CREATE {KEY} 1 NX", f"MODEL.INCRBY {KEY} $.n 1"))
    assert replies == [None, b"2"]
