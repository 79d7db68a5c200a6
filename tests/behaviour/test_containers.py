"""Arrays, objects and strings as wholes: what goes in and out, and what is asked of them, on every host."""

from __future__ import annotations

import json
from itertools import product

import pytest

from _hosts import Host

KEY = "Doc:1"
HUGE = 2**63 - 1
LARGE = [*range(3000), *("text of some length" for _ in range(300))]


async def create(host: Host, value: object) -> None:
    await host.call("MODEL.CREATE", KEY, json.dumps(value))


async def stored(host: Host) -> object:
    reply = await host.call("MODEL.GET_RO", KEY)
    assert isinstance(reply, bytes)
    return json.loads(reply)


class TestInsert:
    @pytest.mark.parametrize("length", [0, 3])
    async def test_goes_where_a_python_list_inserts(self, host: Host, length: int) -> None:
        for index in (0, 1, 2, 3, 4, HUGE, -1, -2, -3, -4, -HUGE - 1):
            expected: list[object] = list(range(length))
            await create(host, {"list": expected})
            expected[index:index] = ["a", {"b": 1}]
            assert await host.call("MODEL.INSERT", KEY, "$.list", index, '"a"', '{"b":1}') == length + 2
            assert await stored(host) == {"list": expected}, index

    async def test_goes_into_a_large_array(self, host: Host) -> None:
        expected: list[object] = list(LARGE)
        await create(host, expected)
        for index in (0, 1500, -1, len(expected) + 3):
            expected.insert(index, "new")
            assert await host.call("MODEL.INSERT", KEY, "$", index, '"new"') == len(expected)
        assert await stored(host) == expected


class TestRemove:
    async def test_takes_the_first_that_is_equal(self, host: Host) -> None:
        await create(host, {"list": ["a", "b", "a", "c", "a"]})
        assert await host.call("MODEL.REMOVE", KEY, "$.list", '"a"') == 1
        assert await stored(host) == {"list": ["b", "a", "c", "a"]}

    @pytest.mark.parametrize(("count", "left"), [(1, [2, 1, 1]), (2, [2, 1]), (3, [2]), (9, [2])])
    async def test_takes_as_many_as_it_is_told(self, host: Host, count: int, left: list[int]) -> None:
        await create(host, [1, 2, 1, 1])
        assert await host.call("MODEL.REMOVE", KEY, "$", "1", "COUNT", count) == 4 - len(left)
        assert await stored(host) == left

    async def test_of_what_is_not_there_changes_nothing(self, host: Host) -> None:
        await create(host, [1])
        before = await host.state(KEY)
        assert await host.call("MODEL.REMOVE", KEY, "$", "2", "COUNT", 5) == 0
        assert await host.state(KEY) == before

    async def test_numbers_are_equal_by_value_and_objects_in_any_order(self, host: Host) -> None:
        await create(host, [True, "1", 1.0, {"b": 2, "a": [1]}])
        assert await host.call("MODEL.REMOVE", KEY, "$", "1") == 1
        assert await host.call("MODEL.REMOVE", KEY, "$", '{"a":[1.0],"b":2e0}') == 1
        assert await stored(host) == [True, "1"]

    async def test_takes_from_all_over_a_large_array(self, host: Host) -> None:
        expected: list[object] = list(LARGE)
        await create(host, expected)
        assert await host.call("MODEL.REMOVE", KEY, "$", '"text of some length"', "COUNT", 250) == 250
        assert await host.call("MODEL.REMOVE", KEY, "$", "1234") == 1
        del expected[3000:3250]
        expected.remove(1234)
        assert await stored(host) == expected


class TestCut:
    async def test_removes_what_a_python_slice_names(self, host: Host) -> None:
        for start, stop in product((0, 1, 3, 4, -1, -3, -4, HUGE, -HUGE - 1), repeat=2):
            expected = list(range(4))
            await create(host, {"list": expected})
            del expected[start:stop]
            assert await host.call("MODEL.CUT", KEY, "$.list", start, stop) == 4 - len(expected)
            assert await stored(host) == {"list": expected}, (start, stop)

    async def test_of_nothing_changes_nothing(self, host: Host) -> None:
        await create(host, [1, 2])
        before = await host.state(KEY)
        assert await host.call("MODEL.CUT", KEY, "$", 1, 1) == 0
        assert await host.call("MODEL.CUT", KEY, "$", 2, 1) == 0
        assert await host.state(KEY) == before

    @pytest.mark.parametrize("span", [(0, 1), (10, 3200), (-1, HUGE), (0, HUGE), (1700, 1800), (1, 3299)])
    async def test_takes_any_part_of_a_large_array(self, host: Host, span: tuple[int, int]) -> None:
        expected: list[object] = list(LARGE)
        await create(host, {"list": expected, "after": 1})
        del expected[span[0] : span[1]]
        assert await host.call("MODEL.CUT", KEY, "$.list", *span) == len(LARGE) - len(expected)
        assert await stored(host) == {"list": expected, "after": 1}


class TestUnset:
    async def test_removes_members_and_elements(self, host: Host) -> None:
        await create(host, {"a": 1, "b": {"c": 2, "d": 3}, "list": [1, 2, 3]})
        assert await host.call("MODEL.UNSET", KEY, "$.a", "$.b.c", "$.list[-1]") == 3
        assert await stored(host) == {"b": {"d": 3}, "list": [1, 2]}

    @pytest.mark.parametrize(
        "paths", [("$[0]", "$[2]", "$[4]"), ("$[4]", "$[2]", "$[0]"), ("$[-5]", "$[2]", "$[-1]", "$[0]")]
    )
    async def test_every_path_means_the_document_as_it_was(self, host: Host, paths: tuple[str, ...]) -> None:
        await create(host, [0, 1, 2, 3, 4])
        assert await host.call("MODEL.UNSET", KEY, *paths) == 3
        assert await stored(host) == [1, 3]

    async def test_indices_are_compared_as_numbers(self, host: Host) -> None:
        await create(host, list(range(12)))
        assert await host.call("MODEL.UNSET", KEY, "$[2]", "$[10]", "$[1]", "$[11]") == 4
        assert await stored(host) == [0, 3, 4, 5, 6, 7, 8, 9]

    async def test_paths_may_lead_into_each_other(self, host: Host) -> None:
        await create(host, {"a": {"b": [1, 2]}, "c": 1})
        assert await host.call("MODEL.UNSET", KEY, "$.a", "$.a.b[0]", "$.a.b", "$['a']") == 3
        assert await stored(host) == {"c": 1}

    async def test_what_is_not_there_does_not_count(self, host: Host) -> None:
        await create(host, {"a": 1, "list": [1]})
        assert (
            await host.call("MODEL.UNSET", KEY, "$.x", "$.a.b", "$.list[1]", "$.list[-2]", "$.a[0]", "$.a")
            == 1
        )
        assert await stored(host) == {"list": [1]}
        before = await host.state(KEY)
        assert await host.call("MODEL.UNSET", KEY, "$.x", "$.list[-2]") == 0
        assert await host.state(KEY) == before


class TestClear:
    @pytest.mark.parametrize(
        ("value", "count", "left"),
        [([1, [2], 3], 3, []), ({"a": 1, "b": 2}, 2, {}), ("n\u00e9\n", 3, ""), (LARGE, len(LARGE), [])],
        ids=["array", "object", "string", "large"],
    )
    async def test_empties(self, host: Host, value: object, count: int, left: object) -> None:
        await create(host, {"value": value, "after": 1})
        assert await host.call("MODEL.CLEAR", KEY, "$.value") == count
        assert await stored(host) == {"value": left, "after": 1}
        before = await host.state(KEY)
        assert await host.call("MODEL.CLEAR", KEY, "$.value") == 0
        assert await host.state(KEY) == before

    async def test_empties_the_whole_document(self, host: Host) -> None:
        await create(host, {"a": 1})
        assert await host.call("MODEL.CLEAR", KEY, "$") == 1
        assert await stored(host) == {}


VALUES: dict[str, object] = {
    "null": None,
    "boolean": True,
    "integer": 1,
    "number": 1.5,
    "string": "n\u00e9\n",
    "array": [1, [2, 3]],
    "object": {"a": {"b": 1}, "c.d": 2},
}


class TestLook:
    async def test_len_counts_elements_members_and_characters(self, host: Host) -> None:
        await create(host, VALUES)
        assert await host.call("MODEL.LEN", KEY) == len(VALUES)
        assert await host.call("MODEL.LEN", KEY, "$.array") == 2
        assert await host.call("MODEL.LEN", KEY, "$.object") == 2
        assert await host.call("MODEL.LEN", KEY, "$.string") == 3

    async def test_type_names_the_type(self, host: Host) -> None:
        await create(host, VALUES)
        for name in VALUES:
            assert await host.call("MODEL.TYPE", KEY, f"$.{name}") == name.encode()
        assert await host.call("MODEL.TYPE", KEY) == b"object"

    async def test_keys_are_json_strings(self, host: Host) -> None:
        await create(host, {"a": 1, "c.d": 2, 'q"': 3, "é": {"x": 1, "y": 2}})
        assert await host.call("MODEL.KEYS", KEY) == [b'"a"', b'"c.d"', b'"q\\""', '"é"'.encode()]
        assert await host.call("MODEL.KEYS", KEY, "$.é") == [b'"x"', b'"y"']

    async def test_a_large_object_lists_all_its_keys(self, host: Host) -> None:
        names = [f"name {number}" for number in range(1000)]
        await create(host, dict.fromkeys(names, 1))
        assert await host.call("MODEL.KEYS", KEY) == [json.dumps(name).encode() for name in names]
        assert await host.call("MODEL.LEN", KEY) == 1000
        assert await host.call("MODEL.CONTAINS", KEY, "$", '"name 999"') == 1
        assert await host.call("MODEL.CONTAINS", KEY, "$", '"name 1000"') == 0

    @pytest.mark.parametrize(
        ("path", "value", "reply"),
        [
            ("$.array", "1", 1),
            ("$.array", "1.0", 1),
            ("$.array", "2", 0),
            ("$.array", "[2,3]", 1),
            ("$.array", '"1"', 0),
            ("$.object", '"a"', 1),
            ("$.object", '"c.d"', 1),
            ("$.object", '"b"', 0),
            ("$.string", '"\\u00e9"', 1),
            ("$.string", '"\\n"', 1),
            ("$.string", '""', 1),
            ("$.string", '"n\\n"', 0),
            ("$.absent", "1", 0),
        ],
    )
    async def test_contains_asks_for_an_element_a_name_or_a_text(
        self, host: Host, path: str, value: str, reply: int
    ) -> None:
        await create(host, VALUES)
        assert await host.call("MODEL.CONTAINS", KEY, path, value) == reply

    async def test_an_escaped_backslash_is_no_escape_of_the_next_character(self, host: Host) -> None:
        await create(host, "\\n")
        assert await host.call("MODEL.CONTAINS", KEY, "$", '"\\n"') == 0
        assert await host.call("MODEL.CONTAINS", KEY, "$", '"\\\\n"') == 1

    async def test_contains_without_a_value_asks_for_the_place(self, host: Host) -> None:
        await create(host, {"a": {"b": None}})
        assert await host.call("MODEL.CONTAINS", KEY, "$.a.b") == 1
        assert await host.call("MODEL.CONTAINS", KEY, "$.a.c") == 0
        assert await host.call("MODEL.CONTAINS", "Doc:2", "$") == 0

    async def test_of_nothing_is_nil(self, host: Host) -> None:
        await create(host, {})
        for name in ("LEN", "TYPE", "KEYS"):
            assert await host.call(f"MODEL.{name}", KEY, "$.absent") is None
            assert await host.call(f"MODEL.{name}", "Doc:2") is None
