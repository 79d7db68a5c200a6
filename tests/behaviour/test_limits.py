"""What clients' commands are held to, on every host, and that nothing changes where a limit is met."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from _hosts import Host
from rapyer import embedded

KEY, OTHER = "Doc:1", "Doc:2"
DEFAULTS = {"max-document": 512 << 20, "max-depth": 128, "max-batch": 512 << 20, "max-reply": 512 << 20}
THOUSAND = json.dumps("x" * 998)
"""A JSON text of a thousand bytes."""


@pytest.fixture(autouse=True)
async def limits(host: Host) -> AsyncIterator[None]:
    """The limits are as they were when the test is over."""
    yield
    for name, value in DEFAULTS.items():
        await host.limit(name, value)


def batch(*operations: tuple[str | int, ...]) -> list[str | int]:
    words = [word for operation in operations for word in (len(operation), *operation)]
    return ["MODEL.EXEC", 2, KEY, OTHER, *words]


async def refused(host: Host, *words: str | int) -> str:
    """The refusal of a command that changes nothing."""
    before = [await host.state(key) for key in (KEY, OTHER)]
    refusal = await host.refused(*words)
    assert [await host.state(key) for key in (KEY, OTHER)] == before
    return refusal


class TestDocuments:
    GROWING = (
        ("MODEL.CREATE", KEY, f"[{THOUSAND},{THOUSAND}]"),
        ("MODEL.SAVE", KEY, f"[{THOUSAND},{THOUSAND}]"),
        ("MODEL.SET", KEY, "$", f"[{THOUSAND},{THOUSAND}]"),
        ("MODEL.SET", KEY, "$.new", THOUSAND),
        ("MODEL.UPDATE", KEY, "$.a", THOUSAND, "$.b", "1"),
        ("MODEL.UPDATE", KEY, "$.a", THOUSAND, "$.b", THOUSAND),
        ("MODEL.MERGE", KEY, "$", f'{{"new":{THOUSAND}}}'),
        ("MODEL.APPEND", KEY, "$.list", THOUSAND),
        ("MODEL.APPEND", KEY, "$.text", THOUSAND),
        ("MODEL.INSERT", KEY, "$.list", 0, THOUSAND),
        ("MODEL.ADD", KEY, "$.list", THOUSAND),
        ("MODEL.PUSH", KEY, "$.queue", 1, THOUSAND),
        ("MODEL.CALC", KEY, "$.text", "REPEAT", 3),
        ("MODEL.CREATE", OTHER, f"[{THOUSAND},{THOUSAND}]"),
        ("MODEL.GETORCREATE", OTHER, f"[{THOUSAND},{THOUSAND}]"),
    )
    DOCUMENT = json.dumps({"text": "x" * 600, "list": [1], "queue": [], "pad": "y" * 500})

    @pytest.mark.parametrize("words", GROWING, ids=lambda words: " ".join(map(str, words))[:30])
    async def test_no_command_makes_a_document_larger_than_the_limit(
        self, host: Host, words: tuple[str | int, ...]
    ) -> None:
        await host.call("MODEL.CREATE", KEY, self.DOCUMENT)
        await host.limit("max-document", 2000)
        told = "the document would be too large: rapyer.max-document is 2000 bytes; split the document or"
        assert (await refused(host, *words)).startswith(f"LIMIT {told}")
        name = words[0]
        assert (await refused(host, *batch(words))).startswith(f"LIMIT operation 1 ({name}): {told}")
        await host.limit("max-document", 4000)
        await host.call(*words)

    async def test_a_copy_of_a_larger_document_is_refused(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, f"[{THOUSAND},{THOUSAND}]")
        await host.limit("max-document", 2000)
        assert (await refused(host, "MODEL.COPY", KEY, OTHER)).startswith(
            "LIMIT the document would be too large"
        )

    @pytest.mark.parametrize("elements", [4, 100])
    async def test_one_that_is_larger_already_may_shrink_and_stay_as_long(
        self, host: Host, elements: int
    ) -> None:
        await host.call("MODEL.CREATE", KEY, json.dumps([THOUSAND] * elements))
        await host.limit("max-document", 1024)
        await host.call("MODEL.SET", KEY, "$[0]", json.dumps(THOUSAND.replace("x", "y")))
        await host.call("MODEL.SET", KEY, "$[0]", "1")
        await host.call("MODEL.POP", KEY, "$")
        assert (await refused(host, "MODEL.APPEND", KEY, "$", 1)).startswith("LIMIT")
        await host.call("MODEL.SET", KEY, "$", "[1]")


async def test_no_document_is_nested_deeper_than_the_limit(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, '{"a":{"b":[]}}')
    await host.limit("max-depth", 4)
    await host.call("MODEL.SET", KEY, "$.a.c", "[[]]")
    for words in (
        ("MODEL.CREATE", OTHER, "[[[[[]]]]]"),
        ("MODEL.SET", KEY, "$.a.c", "[[[]]]"),
        ("MODEL.APPEND", KEY, "$.a.b", "[[]]"),
        ("MODEL.MERGE", KEY, "$.a", '{"b":[[[]]]}'),
    ):
        refusal = await refused(host, *words)
        assert refusal.startswith(
            "LIMIT the document would be nested too deep: rapyer.max-depth is 4 levels; "
        )


class TestReplies:
    MULTIPLYING = (
        ("MODEL.GET", KEY, "$", "$", "$"),
        ("MODEL.GET", KEY, "$.text", "$.text", "$.text"),
        ("MODEL.MGET", KEY, KEY, KEY),
        ("MODEL.MGET_RO", KEY, OTHER, KEY, OTHER),
        ("MODEL.SETOP", 1, KEY, "$.set", "UNION"),
        ("MODEL.KEYS", KEY, "$.names"),
        ("MODEL.PEEK", KEY, "$.queue", 3),
        ("MODEL.POPMIN", KEY, "$.queue", 3),
        ("MODEL.POP", KEY, "$", '"set"'),
        ("MODEL.CALC", KEY, "$.text", "REPEAT", 3),
    )
    DOCUMENT = json.dumps(
        {
            "text": "x" * 1000,
            "set": [str(at) * 100 for at in range(30)],
            "names": {f"name {at:04}": at for at in range(200)},
            "queue": [[at, "x" * 800] for at in range(5)],
        }
    )

    @pytest.mark.parametrize("words", MULTIPLYING, ids=lambda words: " ".join(map(str, words)))
    async def test_no_reply_is_larger_than_the_limit(self, host: Host, words: tuple[str | int, ...]) -> None:
        for key in (KEY, OTHER):
            await host.call("MODEL.CREATE", key, self.DOCUMENT)
        before = [await host.state(key) for key in (KEY, OTHER)]
        await host.limit("max-reply", 2000)
        told = "the reply would be too large: rapyer.max-reply is 2000 bytes; ask for less at once or"
        assert (await host.refused(*words)).startswith(f"LIMIT {told}")
        assert (await host.refused(*batch(words))).startswith(f"LIMIT operation 1 ({words[0]}): {told}")
        await host.limit("max-reply", 1 << 20)
        assert [await host.state(key) for key in (KEY, OTHER)] == before
        await host.call(*words)

    async def test_the_replies_of_a_batch_are_one_reply(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, THOUSAND)
        await host.limit("max-reply", 4000)
        read = ("MODEL.GET_RO", KEY)
        assert len(await host.array(*batch(*[read] * 3))) == 3
        refusal = await refused(host, *batch(*[read] * 5))
        assert refusal.startswith("LIMIT operation 4 (MODEL.GET_RO): the reply would be too large")

    async def test_a_document_that_is_created_and_answered_is_held_to_it_before_it_is_created(
        self, host: Host
    ) -> None:
        await host.limit("max-reply", 1024)
        assert (await refused(host, "MODEL.GETORCREATE", KEY, f"[{THOUSAND},{THOUSAND}]")).startswith("LIMIT")


class TestBatches:
    async def test_the_documents_of_a_batch_grow_together_by_no_more_than_the_limit(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, f"[{THOUSAND}]")
        await host.limit("max-batch", 4000)
        told = "the batch would hold too much: rapyer.max-batch is 4000 bytes; split the batch or"
        append = ("MODEL.APPEND", KEY, "$", THOUSAND)
        refusal = await refused(host, *batch(*[append] * 5))
        assert refusal.startswith(f"LIMIT operation 4 (MODEL.APPEND): {told}")
        refusal = await refused(
            host, *batch(append, append, ("MODEL.CREATE", OTHER, f"[{THOUSAND},{THOUSAND}]"))
        )
        assert refusal.startswith(f"LIMIT operation 3 (MODEL.CREATE): {told}")
        refusal = await refused(host, *batch(append, *[("MODEL.GET", KEY, "$[0]")] * 4))
        assert refusal.startswith(f"LIMIT operation 4 (MODEL.GET): {told}")
        await host.call(*batch(append, append, append))

    async def test_what_shrinks_makes_room_for_what_grows(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, json.dumps(["x" * 5000]))
        await host.limit("max-batch", 4000)
        await host.call(
            *batch(
                *[("MODEL.CLEAR", KEY, "$"), ("MODEL.APPEND", KEY, "$", json.dumps("y" * 5000))] * 5,
                ("MODEL.DEL", KEY),
                ("MODEL.CREATE", KEY, json.dumps(["z" * 5000])),
            )
        )
        refusal = await refused(host, *batch(("MODEL.COPY", KEY, OTHER)))
        assert refusal.startswith("LIMIT operation 1 (MODEL.COPY): the batch would hold too much")

    async def test_repeating_in_a_batch_stops_before_it_is_done(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, json.dumps({"v": "x" * 10_000}))
        refusal = await refused(host, *batch(*[("MODEL.CALC", KEY, "$.v", "REPEAT", 4)] * 10))
        assert refusal.startswith("LIMIT operation 8 (MODEL.CALC): the ")


def test_the_limits_of_an_embedded_engine_are_set_by_name(host: Host) -> None:
    engine = embedded.engine(f"limited beside {host.name}")
    assert engine.limits() == {name.replace("-", "_"): value for name, value in DEFAULTS.items()}
    engine.set_limits(max_document=4096, max_depth=8)
    assert (engine.limits()["max_document"], engine.limits()["max_depth"]) == (4096, 8)
    with pytest.raises(ValueError, match="max-depth is 1 to 128 levels, not 129"):
        engine.set_limits(max_depth=129)
