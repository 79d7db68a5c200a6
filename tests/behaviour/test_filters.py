"""Paths by the value of a member, on every host: reading, writing, conditions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from _hosts import Host, Reply

KEY = "Doc:1"
SKU = '$.items[?@.sku=="b"]'
FEW_AND_MANY = pytest.mark.parametrize("others", [0, 2000], ids=["few", "many"])


def items(others: int = 0) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [
        {"sku": "a", "n": 1, "tags": []},
        {"sku": "b", "n": 2, "tags": [1]},
        {"sku": "c", "n": 2.0, "tags": []},
        {"sku": 'é"\n', "n": None},
        {"sku": 1},
    ]
    return [*({"sku": f"other {n}", "n": -n} for n in range(others)), *named]


async def create(host: Host, others: int = 0) -> None:
    await host.call("MODEL.CREATE", KEY, json.dumps({"items": items(others), "queue": [], "n": 0}))


async def stored(host: Host) -> Any:
    text = await host.call("MODEL.GET_RO", KEY)
    assert isinstance(text, bytes)
    return json.loads(text)["items"]


@FEW_AND_MANY
@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{SKU}.n", b"2"),
        ("$.items[?@['sku']=='b'].n", b"2"),
        ("$.items[ ?\t@ ['sku'] == 'b' ].tags[-1]", b"1"),
        ("$['items'][?@.n==2].sku", b'"b"'),
        ("$.items[?@.n==2.0].sku", b'"c"'),
        ("$.items[?@.n==null].sku", b'"\xc3\xa9\\"\\n"'),
        (r'$.items[?@.sku=="\u00e9\"\n"].n', b"null"),
        ("$.items[?@.sku==1]", b'{"sku":1}'),
        ("$.items[?@.sku=='1']", None),
        ("$.items[?@.sku=='d'].n", None),
        ("$.items[?@.tags=='[]'].n", None),
        ("$[?@.sku=='b']", None),
        ("$.n[?@.sku=='b']", None),
        ("$.items[?@.sku=='b'][?@.n==2]", None),
        ("$.none[?@.sku=='b']", None),
    ],
)
async def test_a_filter_leads_to_the_one_element_that_has_the_value(
    host: Host, others: int, path: str, found: Reply
) -> None:
    await create(host, others)
    assert await host.call("MODEL.GET", KEY, path) == found
    assert await host.call("MODEL.GET", KEY, "$.n", path) == [b"0", found]
    assert await host.call("MODEL.CONTAINS", KEY, path) == int(found is not None)


@FEW_AND_MANY
async def test_writers_reach_the_element_and_what_is_below(host: Host, others: int) -> None:
    await create(host, others)
    expected = items(others)
    _, b, c, *_ = expected[others:]
    assert await host.call("MODEL.INCRBY", KEY, f"{SKU}.n", "3") == b"5"
    assert await host.call("MODEL.ADD", KEY, f"{SKU}.tags", "2", "1") == 1
    assert await host.call("MODEL.SET", KEY, f"{SKU}.new", "{}") == b"OK"
    b |= {"n": 5, "tags": [1, 2], "new": {}}
    assert await stored(host) == expected
    assert await host.call("MODEL.UNSET", KEY, "$.items[?@.sku=='a']", "$.items[?@.n==5].new") == 2
    del expected[others], b["new"]
    assert await host.call("MODEL.SET", KEY, "$.items[?@.sku=='c']", '{"sku":"d"}') == b"OK"
    c.clear()
    c["sku"] = "d"
    assert await host.call("MODEL.MERGE", KEY, SKU, '{"sku":"z","n":null,"m":1}') == b"OK"
    b |= {"sku": "z", "m": 1}
    del b["n"]
    assert await stored(host) == expected


async def test_edits_and_updates_name_several_elements(host: Host) -> None:
    await create(host)
    edits = [("$.items[?@.sku=='a'].n", "7"), (f"{SKU}.n", "8"), ("$.items[?@.sku=='c'].tags", "[3]")]
    await host.call("MODEL.EDIT", KEY, *(word for path, value in edits for word in ("SET", path, value)))
    found = await host.call("MODEL.GET", KEY, *(path for path, _ in edits))
    assert found == [b"7", b"8", b"[3]"]
    # Each is carried out on what those before have left.
    await host.call("MODEL.UPDATE", KEY, f"{SKU}.sku", '"B"', "$.items[?@.sku=='B'].n", "9")
    assert await host.call("MODEL.GET", KEY, "$.items[1]['n']") == b"9"
    before = await host.state(KEY)
    for command in (("MODEL.EDIT", KEY, "SET"), ("MODEL.UPDATE", KEY)):
        again = () if command[0] == "MODEL.UPDATE" else ("SET",)
        words = [*command, "$.items[?@.sku=='B'].sku", '"C"', *again, "$.items[?@.sku=='B'].n", "1"]
        refusal = await host.refused(*words)
        assert refusal == """NOPATH nothing at path '$.items[?@.sku=="B"].n'"""
        assert await host.state(KEY) == before


async def test_conditions_take_filters(host: Host) -> None:
    await create(host)
    update = ("MODEL.UPDATE", KEY, f"{SKU}.n", "3", "WHERE")
    assert await host.call(*update, f"{SKU}.n", "GT", "2") is None
    assert await host.call(*update, "$.items[?@.sku=='d']", "NE", "1") is None
    assert await host.call(*update, f"{SKU}.n", "EQ", "2") == b"OK"
    assert await host.call("MODEL.EXPECT", KEY, f"{SKU}.n", "3") == b"OK"
    refusal = await host.refused("MODEL.EXPECT", KEY, f"{SKU}.n", "2")
    assert refusal.startswith("""STALE the value at path '$.items[?@.sku=="b"].n' is not""")


@pytest.mark.parametrize(
    "words",
    [
        ("MODEL.GET",),
        ("MODEL.GET", "$"),
        ("MODEL.CONTAINS",),
        ("MODEL.EXPECT",),
        ("MODEL.LEN",),
        ("MODEL.SET", "1"),
        ("MODEL.SET.below", "1"),
        ("MODEL.UNSET",),
        ("MODEL.UNSET", "$.n"),
        ("MODEL.INCRBY", "1"),
        ("MODEL.MERGE", "{}"),
        ("MODEL.ADD", "1"),
        ("MODEL.POP",),
        ("MODEL.CLEAR",),
        ("MODEL.PEEK",),
        ("MODEL.PUSH", "1", "1"),
        ("MODEL.UPDATE", "1"),
    ],
    ids=" ".join,
)
async def test_a_filter_that_selects_several_elements_is_an_error(host: Host, words: tuple[str, ...]) -> None:
    await host.call("MODEL.CREATE", KEY, '{"items":[{"k":1},{"k":2},{"k":1}],"n":[]}')
    before = await host.state(KEY)
    command, *rest = words
    path = "$.items[ ?@['k'] == 1 ]"
    if command.endswith(".below"):
        command, path = command.removesuffix(".below"), f"{path}.below"
    refusal = await host.refused(command, KEY, path, *rest)
    assert (
        refusal == "AMBIGUOUS path '$.items[?@.k==1]' leads to several elements: its filter must select one"
    )
    assert await host.state(KEY) == before


async def test_edits_and_set_operations_refuse_several_elements(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, '{"items":[{"k":1},{"k":2},{"k":1}],"n":[]}')
    before = await host.state(KEY)
    path = "$.items[?@.k==1].s"
    for words in (
        ("MODEL.EDIT", KEY, "SET", "$.n", "1", "UNSET", path),
        ("MODEL.EDIT", KEY, "SET", "$.n", "1", "ADD", path, "1", "1"),
        ("MODEL.EDIT", KEY, "DISCARD", path, "1", "1"),
        ("MODEL.UPDATE", KEY, "$.n", "1", "WHERE", path, "EQ", "1"),
        ("MODEL.SETOP", "1", KEY, path, "UNION"),
    ):
        assert (await host.refused(*words)).startswith("AMBIGUOUS ")
        assert await host.state(KEY) == before


async def test_a_filter_that_no_path_may_have_is_refused_at_its_byte(host: Host) -> None:
    for path, refusal in (
        ("$.a[?@.b<1]", "a filter compares one member by '==', and nothing else: expected it at byte 8"),
        ("$.a[?@.b]", "a filter compares one member by '==', and nothing else: expected it at byte 8"),
        (
            "$.a[?@.b==[]]",
            "a filter compares with a string, a number, true, false or null: expected one at byte 10",
        ),
    ):
        assert await host.refused("MODEL.GET", KEY, path) == f"BADPATH {refusal} of path '{path}'"
