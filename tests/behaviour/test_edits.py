"""MODEL.EDIT on every host: parts of a document saved as one write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from _hosts import CommandFailed, Host

KEY = "Doc:1"


async def create(host: Host, **fields: Any) -> None:
    await host.call("MODEL.CREATE", KEY, json.dumps(fields))


async def stored(host: Host) -> Any:
    text = await host.call("MODEL.GET_RO", KEY)
    assert isinstance(text, bytes)
    return json.loads(text)


async def version(host: Host) -> Any:
    return (await host.lifetime(KEY))["version"]


async def test_edits_of_several_kinds_are_one_write(host: Host) -> None:
    await create(host, n=1, tags=["a", "b"], items=[{"q": 1}, {"q": 2}], gone={"x": 1})
    edits: list[str] = [
        *(
            "SET",
            "$.n",
            "2",
            "SET",
            "$.items[-1].q",
            "3",
            "SET",
            "$.made",
            "{}",
            "SET",
            "$.made.below",
            "[ 1 ]",
        ),
        *("UNSET", "$.gone", "UNSET", "$.never.there"),
        *("ADD", "$.tags", "3", '"b"', '"c"', '"c"', "ADD", "$.made.set", "2", "1", "1.0"),
        *("DISCARD", "$.tags", "2", '"a"', '"x"', "DISCARD", "$.no.set", "1", "1"),
    ]
    assert await host.call("MODEL.EDIT", KEY, *edits) == b"OK"
    assert await stored(host) == {
        "n": 2,
        "tags": ["b", "c"],
        "items": [{"q": 1}, {"q": 3}],
        "made": {"below": [1], "set": [1]},
    }
    assert await version(host) == 2


@pytest.mark.parametrize(
    "edits",
    [
        (),
        ("SET", "$.n", "1"),
        ("UNSET", "$.m"),
        ("ADD", "$.tags", "1", '"a"'),
        ("DISCARD", "$.tags", "1", "0"),
    ],
    ids=" ".join,
)
async def test_edits_that_change_nothing_refresh_and_are_no_write(host: Host, edits: tuple[str, ...]) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "CREATE")
    await create(host, n=1, tags=["a"])
    await host.pass_time(0.003)
    before = await host.deadline(KEY)
    assert await host.call("MODEL.EDIT", KEY, *edits) == b"OK"
    assert await version(host) == 1
    assert await host.deadline(KEY) > before


async def test_an_edit_that_fails_leaves_the_document_as_it_was(host: Host) -> None:
    await create(host, n=1, tags=["a"])
    before = await host.state(KEY)
    for failing, refusal in (
        (("SET", "$.m.k", "1"), "NOPATH nothing at path '$.m.k'"),
        (("SET", "$.tags[3]", "1"), "NOPATH nothing at path '$.tags[3]'"),
        (("ADD", "$.n", "1", "1"), "BADTYPE path '$.n' holds "),
        (("DISCARD", "$.n", "1", "1"), "BADTYPE path '$.n' holds "),
    ):
        text = await host.refused("MODEL.EDIT", KEY, "SET", "$.k", "1", "UNSET", "$.tags[0]", *failing)
        assert text.startswith(refusal)
        assert await host.state(KEY) == before


async def test_a_batch_takes_edits_back_with_its_other_operations(host: Host) -> None:
    await create(host, n=1)
    words = ("6", "MODEL.EDIT", KEY, "SET", "$.n", "2", "NOREFRESH")
    batch = ("MODEL.EXEC", "1", KEY, *words, "3", "MODEL.EXPECT", KEY, "$.n")
    assert await host.call(*batch) == [b"OK", b"OK"]
    with pytest.raises(CommandFailed, match="STALE"):
        await host.call("MODEL.EXEC", "1", KEY, *words, "4", "MODEL.EXPECT", KEY, "$.n", "3")
    assert await stored(host) == {"n": 2}


async def test_edits_of_a_large_document_meet_its_members_and_sets(host: Host) -> None:
    members = {f"member {n}": n for n in range(3000)}
    await create(host, map=members, set=list(range(3000)))
    edits: list[str] = []
    for n in range(0, 3000, 100):
        edits += ["SET", f"$.map['member {n}']", str(n + 1), "ADD", "$.set", "2", str(n), str(n + 3000)]
        edits += ["UNSET", f"$.map['member {n + 1}']", "DISCARD", "$.set", "1", str(n + 50)]
    await host.call("MODEL.EDIT", KEY, *edits)
    document = await stored(host)
    for n in range(0, 3000, 100):
        members[f"member {n}"] = n + 1
        del members[f"member {n + 1}"]
    assert document["map"] == members
    kept = [n for n in range(3000) if n % 100 != 50]
    assert document["set"] == [*kept, *range(3000, 6000, 100)]
    assert await version(host) == 2
