"""MODEL.ADD, DISCARD, SETOP, PUSH, UNPUSH, POPMIN and PEEK, on every host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _hosts import Host

KEY, OTHER = "Doc:1", "Doc:2"

many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
values = st.integers(-3, 3) | st.sampled_from(["a", "é", "", "1", 1.5, True, None, [1], {"a": 1, "b": []}])


def distinct(value: Any) -> str:
    """What tells values apart as JSON does: a boolean is no number, and 1 is 1.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return json.dumps(value, sort_keys=True)
    return repr(float(value))


async def create(host: Host, key: str = KEY, **fields: Any) -> None:
    await host.call("MODEL.CREATE", key, json.dumps(fields))


async def stored(host: Host, key: str = KEY) -> Any:
    text = await host.call("MODEL.GET_RO", key)
    assert isinstance(text, bytes)
    return json.loads(text)


# Enough to have the container broken up, and its elements found by an index.
FEW_AND_MANY = pytest.mark.parametrize(
    "many_others", [[], [f"other {n}" for n in range(900)]], ids=["few", "many"]
)


class TestSets:
    @FEW_AND_MANY
    @many
    @given(
        given=st.lists(values, max_size=5),
        changes=st.lists(st.tuples(st.booleans(), st.lists(values, min_size=1, max_size=4)), max_size=6),
    )
    async def test_a_set_is_what_python_makes_of_it(
        self, host: Host, many_others: list[str], given: list[Any], changes: list[tuple[bool, list[Any]]]
    ) -> None:
        held = [*many_others, *{distinct(value): value for value in given}.values()]
        await create(host, set=held)
        for adds, changed in changes:
            keys = dict.fromkeys(map(distinct, changed))
            before = {distinct(value) for value in held}
            words = [json.dumps(value) for value in changed]
            if adds:
                new = {distinct(value): value for value in reversed(changed)}
                held += [new[key] for key in keys if key not in before]
                assert await host.call("MODEL.ADD", KEY, "$.set", *words) == len(keys.keys() - before)
            else:
                held = [value for value in held if distinct(value) not in keys]
                assert await host.call("MODEL.DISCARD", KEY, "$.set", *words) == len(keys.keys() & before)
            assert [distinct(value) for value in (await stored(host))["set"]] == [distinct(v) for v in held]

    async def test_large_sets(self, host: Host) -> None:
        await create(host, set=[])
        words = [str(number) for number in range(20_000)]
        assert await host.call("MODEL.ADD", KEY, "$.set", *words) == 20_000
        assert await host.call("MODEL.ADD", KEY, "$.set", *words[::2], "-1", "-1") == 1
        assert await host.call("MODEL.DISCARD", KEY, "$.set", *words[::2], "-5") == 10_000
        assert await host.call("MODEL.LEN", KEY, "$.set") == 10_001

    async def test_strict_discards_all_or_fails(self, host: Host) -> None:
        await create(host, set=[1, 2, 2])
        before = await host.state(KEY)
        refusal = await host.refused("MODEL.DISCARD", KEY, "$.set", "2", "3", "STRICT")
        assert refusal.startswith("STALE STRICT is not met: path '$.set' does not hold 3;")
        assert await host.state(KEY) == before
        assert await host.call("MODEL.DISCARD", KEY, "$.set", "1", "1.0", "STRICT") == 1
        assert (await stored(host))["set"] == [2, 2]

    async def test_strict_adds_all_or_fails(self, host: Host) -> None:
        await create(host, set=[1])
        before = await host.state(KEY)
        refusal = await host.refused("MODEL.ADD", KEY, "$.set", "2", "1.0", "STRICT")
        assert refusal.startswith("STALE STRICT is not met: path '$.set' holds 1.0;")
        assert await host.state(KEY) == before
        assert await host.call("MODEL.ADD", KEY, "$.set", "2", "3", "2", "STRICT") == 2
        assert (await stored(host))["set"] == [1, 2, 3]

    async def test_what_is_there_already_is_no_write(self, host: Host) -> None:
        await create(host, set=[1])
        before = await host.state(KEY)
        assert await host.call("MODEL.ADD", KEY, "$.set", "1.0") == 0
        assert await host.call("MODEL.DISCARD", KEY, "$.set", "2") == 0
        assert await host.state(KEY) == before

    @pytest.mark.parametrize(
        ("operation", "expected"), [("UNION", [3, 1, 2, "a"]), ("INTER", [1]), ("DIFF", [3])]
    )
    async def test_sets_are_combined(self, host: Host, operation: str, expected: list[Any]) -> None:
        await create(host, a=[3, 1, 2])
        await create(host, OTHER, b=[2, 1.0], c=["a", 1, 1])
        keys, paths = (KEY, OTHER, OTHER), ("$.a", "$.b", "$.c")
        reply = await host.call("MODEL.SETOP", 3, *keys, *paths, operation)
        assert json.loads(reply) == expected  # type: ignore[arg-type]
        assert await host.call("MODEL.SETOP_RO", 3, *keys, *paths, operation.lower()) == reply

    async def test_what_is_missing_is_an_empty_set(self, host: Host) -> None:
        await create(host, a=[1])
        for operation, expected in (("UNION", b"[1]"), ("INTER", b"[]"), ("DIFF", b"[1]")):
            assert await host.call("MODEL.SETOP", 2, KEY, "none", "$.a", "$", operation) == expected
            assert await host.call("MODEL.SETOP", 2, KEY, KEY, "$.a", "$.none", operation) == expected
        assert await host.call("MODEL.SETOP", 1, "none", "$", "UNION") == b"[]"

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (("MODEL.ADD", KEY, "$.n", "1"), "BADTYPE"),
            (("MODEL.ADD", KEY, "$.none", "1"), "NOPATH"),
            (("MODEL.ADD", "none", "$", "1"), "NOKEY"),
            (("MODEL.ADD", KEY, "$.set", "1", "x"), "BADJSON"),
            (("MODEL.ADD", KEY, "$.set", "{"), "BADJSON"),
            (("MODEL.ADD", KEY, "$.set", "[" * 127 + "]" * 127), "LIMIT"),
            (("MODEL.DISCARD", KEY, "$.n", "1"), "BADTYPE"),
            (("MODEL.DISCARD", KEY, "$.none", "1"), "NOPATH"),
            (("MODEL.DISCARD", KEY, "$.set", "1", "STRICTLY"), "BADJSON"),
            (("MODEL.SETOP", 0, KEY, "$.set", "UNION"), "OUTOFRANGE"),
            (("MODEL.SETOP", 9, KEY, "$.set", "UNION"), "OUTOFRANGE"),
            (("MODEL.SETOP", 1, KEY, "$.set", "XOR"), "BADARG"),
            (("MODEL.SETOP", 1, KEY, "$.set", "$.set", "UNION"), "BADARG"),
            (("MODEL.SETOP", 2, KEY, KEY, "$.set", "UNION"), "BADARG"),
            (("MODEL.SETOP", 1, KEY, "$.set", "NOREFRESH"), "BADARG"),
            (("MODEL.SETOP", 1, KEY, "$.set", "UNION", "DIFF"), "BADARG"),
            (("MODEL.SETOP", 1, KEY, "$.n", "UNION"), "BADTYPE"),
        ],
    )
    async def test_bad_input_changes_nothing(
        self, host: Host, words: tuple[str | int, ...], error: str
    ) -> None:
        await create(host, set=[1], n=1)
        before = await host.state(KEY)
        assert (await host.refused(*words)).split()[0] == error
        assert await host.state(KEY) == before


class TestQueues:
    @FEW_AND_MANY
    @many
    @given(
        program=st.lists(
            st.tuples(
                st.sampled_from(["push", "pop", "peek", "remove"]),
                st.sampled_from([0, 1, 1.0, -2.5, 10**20]),
                values,
            ),
            max_size=12,
        )
    )
    async def test_a_queue_is_what_python_makes_of_it(
        self, host: Host, many_others: list[str], program: list[tuple[str, float, Any]]
    ) -> None:
        held: list[tuple[float, Any]] = [(n // 300 - 1, other) for n, other in enumerate(many_others)]
        await create(host, q=held)
        for act, priority, value in program:
            text = json.dumps(value)
            others = [item for item in held if distinct(item[1]) != distinct(value)]
            if act == "push":
                reply = await host.call("MODEL.PUSH", KEY, "$.q", json.dumps(priority), text)
                assert reply == (1 if len(others) == len(held) else 0)
                held = sorted([*others, (priority, value)], key=lambda item: item[0])
            elif act == "remove":
                assert await host.call("MODEL.UNPUSH", KEY, "$.q", text) == len(held) - len(others)
                held = others
            else:
                reply = await host.call("MODEL.POPMIN" if act == "pop" else "MODEL.PEEK", KEY, "$.q")
                assert (reply is None) is (not held)
                if isinstance(reply, bytes):
                    assert json.loads(reply) == list(held[0])
                if act == "pop":
                    held = held[1:]
            assert (await stored(host))["q"] == [list(item) for item in held]

    async def test_several_at_a_time(self, host: Host) -> None:
        await create(host, q=[])
        assert await host.call("MODEL.PUSH", KEY, "$.q", "3", '"c"', "1", '"a"', "2", '"b"', "0", '"c"') == 3
        assert await host.call("MODEL.PEEK", KEY, "$.q", 2) == [b'[0,"c"]', b'[1,"a"]']
        assert await host.call("MODEL.POPMIN", KEY, "$.q", 2) == [b'[0,"c"]', b'[1,"a"]']
        assert await host.call("MODEL.POPMIN", KEY, "$.q", 9) == [b'[2,"b"]']
        assert await host.call("MODEL.POPMIN", KEY, "$.q", 9) == []
        assert await host.call("MODEL.PEEK", KEY, "$.none", 9) == []
        assert await host.call("MODEL.PEEK", "none", "$") is None

    async def test_a_push_is_one_write(self, host: Host) -> None:
        await create(host, q=[])
        await host.call("MODEL.PUSH", KEY, "$.q", "3", '"c"', "1", '"a"')
        assert (await host.lifetime(KEY))["version"] == 2

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (("MODEL.PUSH", KEY, "$.q", '"1"', "1"), "BADARG"),
            (("MODEL.PUSH", KEY, "$.q", "NaN", "1"), "BADJSON"),
            (("MODEL.PUSH", KEY, "$.q", "1", "1", "2"), "BADARG"),
            (("MODEL.PUSH", KEY, "$.list", "1", "1"), "BADTYPE"),
            (("MODEL.PUSH", KEY, "$.n", "1", "1"), "BADTYPE"),
            (("MODEL.PUSH", KEY, "$.none", "1", "1"), "NOPATH"),
            (("MODEL.PUSH", "none", "$", "1", "1"), "NOKEY"),
            (("MODEL.PUSH", KEY, "$.q", "1", "[" * 126 + "]" * 126), "LIMIT"),
            (("MODEL.UNPUSH", KEY, "$.list", "1"), "BADTYPE"),
            (("MODEL.UNPUSH", KEY, "$.none", "1"), "NOPATH"),
            (("MODEL.POPMIN", KEY, "$.list"), "BADTYPE"),
            (("MODEL.POPMIN", KEY, "$.none"), "NOPATH"),
            (("MODEL.POPMIN", KEY, "$.q", "-1"), "OUTOFRANGE"),
            (("MODEL.PEEK", KEY, "$.q", "1.5"), "OUTOFRANGE"),
            (("MODEL.PEEK", KEY, "$.list"), "BADTYPE"),
        ],
    )
    async def test_bad_input_changes_nothing(
        self, host: Host, words: tuple[str | int, ...], error: str
    ) -> None:
        await create(host, q=[[1, "a"]], list=[1], n=1)
        before = await host.state(KEY)
        assert (await host.refused(*words)).split()[0] == error
        assert await host.state(KEY) == before


async def test_a_queue_lies_no_deeper_than_its_pairs_have_room(host: Host) -> None:
    for depth, fits in ((127, True), (128, False)):
        await host.call("MODEL.CREATE", "deep", "[" * depth + "]" * depth)
        push = ("MODEL.PUSH", "deep", "$" + "[0]" * (depth - 1), 1, 1)
        if fits:
            assert await host.call(*push) == 1
        else:
            before = await host.state("deep")
            assert (await host.refused(*push)).startswith("LIMIT ")
            assert await host.state("deep") == before


async def test_a_set_without_itself_is_empty_however_often_it_is_named(host: Host) -> None:
    await host.call("MODEL.CREATE", "one", "[1,2]")
    await host.call("MODEL.CREATE", "other", "[2]")
    for keys, left in ((("one", "one", "one"), b"[]"), (("one", "other", "other"), b"[1]")):
        paths = ["$"] * len(keys)
        assert await host.call("MODEL.SETOP", len(keys), *keys, *paths, "DIFF") == left


async def test_many_values_at_once_make_the_queue_that_they_make_one_by_one(host: Host) -> None:
    items = [(number * 7 % 501, number % 400) for number in range(2_000)]
    await host.call("MODEL.CREATE", "at once", "[]")
    await host.call("MODEL.CREATE", "one by one", "[]")
    words = [word for item in items for word in item]
    assert await host.call("MODEL.PUSH", "at once", "$", *words) == 400
    for priority, value in items:
        await host.call("MODEL.PUSH", "one by one", "$", priority, value)
    assert await host.call("MODEL.GET", "at once") == await host.call("MODEL.GET", "one by one")
