"""Every command of the table against what all of them promise, on every host.

The commands are read from the table: one that is declared, and has no row here, fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from _hosts import CommandFailed, Host, Reply
from rapyer import _native

KEY = "Doc:1"
OTHER = "Doc:2"
ABSENT = "Doc:absent"
KEYS = (KEY, OTHER, ABSENT, "Lock:1")
DOCUMENT = '{"n":1,"list":[1],"map":{"a":1},"queue":[[1,"a"]]}'
WINDOW = 60_000
TABLE = {" ".join(filter(None, (entry["name"], entry["subcommand"]))): entry for entry in _native.commands()}
TWINS = {name for name, entry in TABLE.items() if entry["twin"]}
GROUPS = ("READ", "FETCH", "CREATE", "UPDATE", "APPEND", "ERASE", "ARITHMETIC")


@dataclass(frozen=True)
class Row:
    """How one command of the table is used; {key} stands for the key."""

    hit: tuple[str, ...]
    """Succeeds on the document."""
    error: tuple[str, ...]
    """Fails on the document."""
    miss: tuple[str, ...]
    """Finds no document under an absent key, or a condition that is not met."""
    before: tuple[str, ...] = ()
    """What must have been done before."""
    special: bool = False
    """Whether it is the case in which the command belongs to other groups."""
    runs: tuple[str, ...] = ()
    """The commands whose groups count, where it runs others."""


ROWS: dict[str, list[Row]] = {
    "MODEL.CREATE": [Row(("{key}", DOCUMENT), ("{key}", "{"), (KEY, DOCUMENT, "NX"))],
    "MODEL.SAVE": [
        Row(("{key}", DOCUMENT), ("{key}", "{"), ("{key}", DOCUMENT, "XX")),
        Row(
            ("{key}", DOCUMENT, "ONLY", "1", '"n"'),
            ("{key}", DOCUMENT, "ONLY", "2", '"n"'),
            ("{key}", DOCUMENT, "XX", "ONLY", "1", '"n"'),
        ),
    ],
    "MODEL.EDIT": [
        Row(("{key}",), ("{key}", "SET"), ("{key}",)),
        Row(
            ("{key}", "SET", "$.n", "2", "UNSET", "$.map", "ADD", "$.new", "1", "2"),
            ("{key}", "SET", "$.n", "2", "UNSET", "$.map", "ADD", "$.n", "1", "2"),
            ("{key}", "SET", "$.n", "2"),
        ),
        Row(
            ("{key}", "DISCARD", "$.list", "1", "1", "SET", "$.list", "[2]", "UNSET", "$.list[0]"),
            ("{key}", "DISCARD", "$.list", "1", "1", "SET", "$.list[0]", "2"),
            ("{key}", "UNSET", "$.list", "ADD", "$.map.a.b", "1", "2"),
        ),
        Row(("{key}", "SET", "$.n", "1"), ("{key}", "UNSET", "$"), ("{key}", "UNSET", "$.no")),
    ],
    "MODEL.SET": [
        Row(("{key}", "$", DOCUMENT), ("{key}", "$", "{"), ("{key}", "$", DOCUMENT, "XX")),
        Row(("{key}", "$.n", "2"), ("{key}", "$.x.y", "2"), ("{key}", "$.n", "2"), special=True),
        Row(("{key}", "$.n", "2"), ("{key}", "$.n[0]", "2"), (KEY, "$.n", "2", "NX"), special=True),
    ],
    "MODEL.GET": [
        Row(("{key}",), ("{key}", "path"), ("{key}",)),
        Row(("{key}", "STRICT"), ("{key}", "STRICT", "$"), ("{key}", "STRICT")),
        Row(("{key}", "$.n"), ("{key}", "$..n"), ("{key}", "$.n"), special=True),
        Row(("{key}", "$.n", "$.list"), ("{key}", "$.n", "$["), ("{key}", "$.n", "$.list"), special=True),
    ],
    "MODEL.MGET": [Row(("{key}", ABSENT), (), ("{key}",))],
    "MODEL.GETORCREATE": [Row(("{key}", DOCUMENT), ("{key}", "{"), ("{key}", "{"))],
    "MODEL.COPY": [
        Row(
            (OTHER, "{key}", "REPLACE"),
            ("{key}", "{key}", "REPLACE"),
            ("{key}", KEY, "REPLACE"),
            before=("MODEL.CREATE", OTHER, DOCUMENT),
        )
    ],
    "MODEL.UPDATE": [
        Row(("{key}", "$.n", "2"), ("{key}", "$.n", "2", "$.x.y", "1"), ("{key}", "$.n", "2")),
        Row(
            ("{key}", "$.n", "2", "WHERE", "$.n", "EQ", "1"),
            ("{key}", "$.n", "2", "WHERE", "$.list", "LT", "1"),
            (KEY, "$.n", "2", "WHERE", "$.n", "GT", "1"),
        ),
    ],
    "MODEL.MERGE": [
        Row(("{key}", "$", '{"n":null}'), ("{key}", "$.x.y", "2"), ("{key}", "$", '{"n":null}')),
        Row(("{key}", "$.map", '{"a":2}'), ("{key}", "$.map", "{"), ("{key}", "$.map", '{"a":2}')),
    ],
    "MODEL.DEL": [Row(("{key}",), (), ("{key}",))],
    "MODEL.APPEND": [
        Row(("{key}", "$.list", "2"), ("{key}", "$.n", "2"), ("{key}", "$.list", "2")),
        Row(
            ("{key}", "$.list", "1", "UNIQUE"),
            ("{key}", "$.list", "1", "MAXLEN", "-1"),
            ("{key}", "$.list", "1", "UNIQUE"),
        ),
        Row(
            ("{key}", "$.list", "2", "UNIQUE", "STRICT"),
            ("{key}", "$.list", "1", "UNIQUE", "STRICT"),
            ("{key}", "$.list", "1", "UNIQUE", "STRICT"),
        ),
    ],
    "MODEL.INSERT": [
        Row(("{key}", "$.list", "0", "2"), ("{key}", "$.n", "0", "2"), ("{key}", "$.list", "0", "2"))
    ],
    "MODEL.POP": [
        Row(("{key}", "$.list"), ("{key}", "$.n"), ("{key}", "$.list")),
        Row(("{key}", "$.map", '"a"'), ("{key}", "$.map", "a"), (KEY, "$.map", '"absent"')),
    ],
    "MODEL.REMOVE": [
        Row(("{key}", "$.list", "1"), ("{key}", "$.n", "1"), (KEY, "$.list", "2")),
        Row(
            ("{key}", "$.list", "1", "COUNT", "9"),
            ("{key}", "$.list", "1", "COUNT", "0"),
            ("{key}", "$.list", "1"),
        ),
    ],
    "MODEL.CUT": [Row(("{key}", "$.list", "0", "1"), ("{key}", "$.n", "0", "1"), (KEY, "$.list", "1", "1"))],
    "MODEL.UNSET": [Row(("{key}", "$.n", "$.x"), ("{key}", "$.n", "$"), (KEY, "$.x", "$.list[1]"))],
    "MODEL.CLEAR": [Row(("{key}", "$.map"), ("{key}", "$.n"), (KEY, "$.map.absent"))],
    "MODEL.INCRBY": [
        Row(("{key}", "$.n", "1"), ("{key}", "$.list", "1"), ("{key}", "$.n", "1")),
        Row(
            ("{key}", "$.n", "1", "MAX", "2"),
            ("{key}", "$.n", "1", "MIN", "2", "MAX", "1"),
            (KEY, "$.n", "1", "MAX", "1"),
        ),
        Row(
            ("{key}", "$.n", "1", "REQUIRE", "LE", "2"),
            ("{key}", "$.n", "1", "REQUIRE", "LE", "1"),
            ("{key}", "$.n", "1", "REQUIRE", "LE", "2"),
        ),
        Row(
            ("{key}", "$.x", "1", "DEFAULT", "$.x", "0"),
            ("{key}", "$.x", "1", "MAX", "0", "STRICT", "DEFAULT", "$.x", "0"),
            ("{key}", "$.n", "1", "MAX", "0", "ELSE", DOCUMENT),
        ),
    ],
    "MODEL.CALC": [
        Row(("{key}", "$.n", "MUL", "2"), ("{key}", "$.n", "MOD", "0"), ("{key}", "$.n", "MUL", "2")),
        Row(
            ("{key}", "$.list", "REPEAT", "0"),
            ("{key}", "$.n", "REPEAT", "2"),
            ("{key}", "$.list", "REPEAT", "0"),
            special=True,
        ),
    ],
    "MODEL.LEN": [Row(("{key}", "$.list"), ("{key}", "$.n"), (KEY, "$.absent"))],
    "MODEL.TYPE": [Row(("{key}", "$.list"), ("{key}", "$..n"), (KEY, "$.absent"))],
    "MODEL.KEYS": [Row(("{key}",), ("{key}", "$.n"), (KEY, "$.absent"))],
    "MODEL.CONTAINS": [
        Row(("{key}", "$.list", "2"), ("{key}", "$.n", "1"), (KEY, "$.absent", "1")),
        Row(("{key}", "$.n"), ("{key}", "n"), (KEY, "$.absent")),
    ],
    "MODEL.EXPECT": [Row(("{key}", "$.n", "1"), ("{key}", "$.n", "2"), ("{key}", "$.n", "1"))],
    "MODEL.ADD": [
        Row(("{key}", "$.list", "2"), ("{key}", "$.n", "2"), ("{key}", "$.list", "2")),
        Row(("{key}", "$.list", "1"), ("{key}", "$.list", "2", "{"), ("{key}", "$.list", "2")),
        Row(
            ("{key}", "$.list", '"2.0"', "AS", "NUMBER"),
            ("{key}", "$.list", '"1.0"', "AS", "NUMBER", "STRICT"),
            ("{key}", "$.list", "2", "AS", "TIME"),
        ),
    ],
    "MODEL.DISCARD": [
        Row(("{key}", "$.list", "1"), ("{key}", "$.n", "1"), (KEY, "$.list", "2")),
        Row(
            ("{key}", "$.list", "1", "STRICT"),
            ("{key}", "$.list", "1", "2", "STRICT"),
            ("{key}", "$.list", "1", "STRICT"),
        ),
    ],
    "MODEL.SETOP": [
        Row(
            ("1", "{key}", "$.list", "UNION"),
            ("1", "{key}", "$.n", "UNION"),
            ("1", "{key}", "$.list", "DIFF"),
        )
    ],
    "MODEL.PUSH": [
        Row(("{key}", "$.queue", "2", '"b"'), ("{key}", "$.list", "2", '"b"'), ("{key}", "$.queue", "2", "1"))
    ],
    "MODEL.UNPUSH": [Row(("{key}", "$.queue", '"a"'), ("{key}", "$.list", "1"), (KEY, "$.queue", "1"))],
    "MODEL.POPMIN": [Row(("{key}", "$.queue"), ("{key}", "$.list"), (KEY, "$.queue", "0"))],
    "MODEL.PEEK": [Row(("{key}", "$.queue"), ("{key}", "$.list"), (KEY, "$.absent"))],
    "MODEL.LOCK": [
        Row(("Lock:1", "t", "PX", "90000"), ("{key}", "t", "PX", "90000"), (KEY, "t", "PX", "90000")),
    ],
    "MODEL.RENEW": [
        Row(("Lock:1", "t", "PX", "90000"), ("{key}", "t", "PX", "90000"), ("{key}", "t", "PX", "90000"))
    ],
    "MODEL.UNLOCK": [Row(("Lock:1", "t"), ("{key}", "t"), ("{key}", "t"))],
    "MODEL.EXEC": [
        Row(
            ("1", "{key}", "4", "MODEL.INCRBY", "{key}", "$.n", "1"),
            (
                "1",
                "{key}",
                "4",
                "MODEL.INCRBY",
                "{key}",
                "$.n",
                "1",
                "4",
                "MODEL.INCRBY",
                "{key}",
                "$.no",
                "1",
            ),
            ("1", "{key}", "4", "MODEL.INCRBY", "{key}", "$.n", "1"),
            runs=("MODEL.INCRBY",),
        ),
        Row(
            ("1", "{key}", "2", "MODEL.GET", "{key}", "3", "MODEL.POP", "{key}", "$.list"),
            ("1", "{key}", "2", "MODEL.GET", "{key}", "3", "MODEL.POP", "{key}", "$.n"),
            ("1", "{key}", "2", "MODEL.GET", "{key}", "3", "MODEL.GET", "{key}", "$.n"),
            runs=("MODEL.GET", "MODEL.POP"),
        ),
    ],
    "MODEL.TTL GET": [Row(("{key}",), (), ("{key}",))],
    "MODEL.TTL SET": [Row(("{key}", "PX", "90000", "ONCE"), ("{key}", "PX", "0"), ("{key}", "PX", "90000"))],
    "MODEL.TTL INHERIT": [Row(("{key}",), ("{key}", "now"), ("{key}",))],
    "MODEL.TTL PERSIST": [Row(("{key}",), ("{key}", "now"), ("{key}",))],
    "MODEL.TTL TOUCH": [Row(("{key}",), ("{key}", "now"), ("{key}",))],
    "MODEL.POLICY SET": [Row(("Other:", "TTL", "1"), ("Doc:", "TTL", "0"), ("Doc:", "TTL", "1", "NX"))],
    "MODEL.POLICY GET": [Row(("Doc:",), (), (ABSENT,))],
    "MODEL.POLICY LIST": [Row((), ("Doc:",), ())],
    "MODEL.POLICY DEL": [Row(("Other:",), (), (ABSENT,))],
    "MODEL.POLICY MATCH": [Row(("{key}",), (), (ABSENT,))],
    "MODEL.POLICY DIGEST": [Row((), ("Doc:",), ())],
}
SETS_LIFETIME = {"MODEL.TTL SET", "MODEL.TTL INHERIT", "MODEL.TTL PERSIST", "MODEL.TTL TOUCH"}
ALONE = {name for name, command in TABLE.items() if command["keys"] == "none"} | {"MODEL.EXEC"}
"""No operations of a batch."""
TELLS_TIME = {"MODEL.LOCK", "MODEL.TTL GET"}
"""Answered by the clock, so never the same twice."""
WRITERS = {name for name, command in TABLE.items() if command["access"] in {"grow", "write"}} - TELLS_TIME
USES = [(name, row) for name, rows in ROWS.items() for row in rows]


def names(use: tuple[str, Row]) -> str:
    name, row = use
    return f"{name} {' '.join(row.hit)}".replace("{key}", "key")


def uses(which: Callable[[str], bool] = lambda name: True) -> pytest.MarkDecorator:
    """The uses of the commands for which this is true."""
    return pytest.mark.parametrize("use", [use for use in USES if which(use[0])], ids=names)


def groups_of(name: str, row: Row) -> set[str]:
    groups = set[str]()
    for command in (TABLE[each] for each in row.runs or (name,)):
        if row.special:
            assert command["special"] is not None
            groups |= set(command["special"][1])
        else:
            groups |= set(command["groups"])
    return groups


def line(name: str, arguments: tuple[str, ...], key: str = KEY) -> list[str]:
    return [*name.split(), *(argument.replace("{key}", key) for argument in arguments)]


async def prepare(host: Host, row: Row, refresh: str) -> int:
    """Nothing but a document with a deadline that a refresh would move; that deadline."""
    await host.call("FLUSHDB")
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", WINDOW, "REFRESH", refresh)
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    if row.before:
        await host.call(*row.before)
    await host.pass_time(0.003)
    return await host.deadline(KEY)


def test_every_command_has_a_row() -> None:
    assert set(ROWS) == set(TABLE) - TWINS


@uses()
async def test_a_group_of_the_command_refreshes(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    for group in sorted(groups_of(name, row) - {"DELETE"}):
        before = await prepare(host, row, group)
        _, moments = await host.timed(*line(name, row.hit))
        assert await host.deadline(KEY) in range(moments.start + WINDOW, moments.stop + WINDOW), group
        assert await host.deadline(KEY) > before


@uses(lambda name: name not in SETS_LIFETIME | {"MODEL.DEL"})
async def test_other_groups_do_not_refresh(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    others = [group for group in GROUPS if group not in groups_of(name, row)]
    before = await prepare(host, row, ",".join(others))
    await host.call(*line(name, row.hit))
    assert await host.deadline(KEY) == before


@uses()
async def test_norefresh_does_not_refresh(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    before = await prepare(host, row, "ALL")
    if TABLE[name]["norefresh"]:
        await host.call(*line(name, row.hit), "NOREFRESH")
        assert await host.deadline(KEY) == before
    elif TABLE[name]["keys"] != "all":
        refusal = await host.refused(*line(name, row.hit), "NOREFRESH")
        assert refusal.startswith(("BADARG ", "ERR ", "BADPATH ", "OUTOFRANGE "))
        assert await host.deadline(KEY) == before


@uses(lambda name: TABLE[name]["ifversion"])
async def test_ifversion_refuses_to_change_another_version(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    await prepare(host, row, "ALL")
    before = await host.state(KEY)
    created = (await host.lifetime(KEY))["created"]
    assert isinstance(created, int)
    for other in ("2", f"{created}-2", f"{created + 1}-1"):
        refusal = await host.refused(*line(name, row.hit), "IFVERSION", other)
        assert refusal == f"STALE the document is at version {created}-1; read it again, then repeat"
    assert (await host.refused(*line(name, row.hit, ABSENT), "IFVERSION", 1)).startswith("NOKEY ")
    assert await host.state(KEY) == before
    await host.call(*line(name, row.hit), "IFVERSION", 1)
    await prepare(host, row, "ALL")
    created = (await host.lifetime(KEY))["created"]
    await host.call(*line(name, row.hit), "IFVERSION", f"{created}-1")


@uses(lambda name: TABLE[name]["withversion"])
async def test_withversion_tells_the_version_after_the_usual_reply(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    for words in (line(name, row.hit), line(name, row.miss, KEY), line(name, row.hit, ABSENT)):
        for batch in (False, True):
            outcomes: list[tuple[Reply | str, bytes | None]] = []
            for option in ([], ["WITHVERSION"]):
                await prepare(host, row, "ALL")
                call = [*words, *option]
                if batch:
                    call = ["MODEL.EXEC", str(len(KEYS)), *KEYS, str(len(call)), *call]
                outcome: Reply | str
                try:
                    outcome = await host.call(*call)
                    if batch:
                        assert isinstance(outcome, list)
                        (outcome,) = outcome
                except CommandFailed as refusal:
                    outcome = str(refusal)
                outcomes.append((outcome, await version(host, words[1])))
            (usual, _), (told, after) = outcomes
            assert told == (usual if isinstance(usual, str) else [usual, after])


async def version(host: Host, key: str) -> bytes | None:
    """The version as a condition takes it; None without a document."""
    if await host.call("MODEL.TTL", "GET", key) is None:
        return None
    told = await host.lifetime(key)
    return f"{told['created']}-{told['version']}".encode()


@uses(lambda name: f"{name}_RO" in TWINS)
async def test_a_twin_answers_the_same_and_never_refreshes(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    before = await prepare(host, row, "ALL")
    reply = await host.call(*line(f"{name}_RO", row.hit))
    assert await host.deadline(KEY) == before
    assert await host.call(*line(name, row.hit)) == reply


@uses()
async def test_an_error_changes_nothing(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    await prepare(host, row, "ALL")
    before = await host.state(KEY)
    await host.refused(*line(name, row.error))
    assert await host.state(KEY) == before


@uses()
async def test_a_miss_changes_nothing(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    await prepare(host, row, "ALL")
    before = await host.state(KEY), await host.call("DBSIZE")
    with contextlib.suppress(CommandFailed):
        await host.call(*line(name, row.miss, ABSENT))
    assert (await host.state(KEY), await host.call("DBSIZE")) == before


@uses(lambda name: name not in {"MODEL.TTL SET", "MODEL.TTL INHERIT", "MODEL.DEL"})
async def test_a_document_without_a_deadline_gets_none(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    await prepare(host, row, "ALL")
    await host.call("PERSIST", KEY)
    await host.call(*line(name, row.hit))
    assert await host.deadline(KEY) == -1


@uses(lambda name: name not in ALONE)
async def test_in_a_batch_it_does_the_same(host: Host, use: tuple[str, Row]) -> None:
    name, row = use
    words = line(name, row.hit)
    batch = ["MODEL.EXEC", str(len(KEYS)), *KEYS, str(len(words)), *words]
    groups = groups_of(name, row) - {"DELETE"}
    for refresh in (groups, set(GROUPS) - groups):
        outcomes = []
        for call in (words, batch):
            before = await prepare(host, row, ",".join(sorted(refresh)) or "NONE")
            reply = await host.call(*call)
            if call is batch:
                assert isinstance(reply, list)
                (reply,) = reply
            if name in TELLS_TIME:
                reply = None
            outcomes.append((reply, await host.call("MODEL.GET_RO", KEY), await host.deadline(KEY) > before))
        assert outcomes[0] == outcomes[1]


@uses(lambda name: name in WRITERS - SETS_LIFETIME)
async def test_fifty_clients_at_once_lose_nothing(host: Host, use: tuple[str, Row]) -> None:
    name, row = use

    async def outcome(client: Host) -> str:
        try:
            return repr(await client.call(*line(name, row.hit)))
        except CommandFailed as refusal:
            return str(refusal)

    await prepare(host, row, "ALL")
    one_by_one = sorted([await outcome(host) for _ in range(50)]), await host.call("MODEL.GET_RO", KEY)
    await prepare(host, row, "ALL")
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(50) as threads:
        clients = [stack.enter_context(host.another()) for _ in range(50)]
        outcomes = threads.map(lambda client: asyncio.run(outcome(client)), clients)
        assert (sorted(outcomes), await host.call("MODEL.GET_RO", KEY)) == one_by_one
