"""Whatever is sent, every host answers as the embedded engine does and keeps the same documents."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _hosts import CommandFailed, EmbeddedHost, Host, Reply

Command = tuple[str, ...]
KEYS = ("Doc:1", "Doc:2")

key = st.sampled_from(KEYS)
path = st.sampled_from(
    [
        "$",
        "$.a",
        "$.b",
        "$.list",
        "$.list[0]",
        "$.list[-1]",
        "$.map",
        '$.map["x.y"]',
        "$.map.z[1]",
        "$.",
        "$[",
        "$.items[?@.id==1]",
        "$.items[?@['id']==2].n",
        "$.items[?@.n==1].n",
        "a",
    ]
)
scalar = st.one_of(
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            "null",
            "true",
            '"text"',
            '"\\u00e9\\n"',
            '"\U0001f511"',
            "1.10",
            "-0",
            "1e400",
            "nope",
            '"\x00"',
            "",
        ]
    ),
)
value = st.one_of(
    scalar,
    st.sampled_from(
        [
            "{}",
            "[]",
            "[1, 2,3]",
            '{"a":1,"list":[1,[2]],"map":{"x.y":0,"z":[1,2]}}',
            '{"a":1,"items":[{"id":1,"n":1},{"id":2,"n":1}]}',
            '{"a" : 1, "a" : 2}',
            '{"a":1',
        ]
    ),
)
operator = st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "ge"])
operation = st.sampled_from(["MUL", "DIV", "FLOORDIV", "MOD", "POW", "repeat", "SHIFT", "EQ"])
meaning = st.sampled_from(["NUMBER", "time", "VALUE"])
moment = st.sampled_from(
    ['"2024-01-01T00:00:00Z"', '"2024-01-01T01:00:00+01:00"', '"2024-01-01T00:00:00"', '"1.0"', '"1"', "1e0"]
)
number_bound = st.sampled_from(["GE", "gt", "LE", "LT", "MULTIPLE", "MAXLEN"])
length_bound = st.sampled_from(["MINLEN", "MAXLEN", "LE"])
index = st.sampled_from(["0", "1", "-1", "-2", "9", "-9", "9223372036854775807", "x"])
condition = st.sampled_from([(), (), (), ("NX",), ("XX",), ("NOREFRESH",), ("EXPECT-POLICY",), ("NX", "XX")])
which = st.sampled_from(
    [(), (), ("0",), ("-1",), ("7",), ('"x.y"',), ('"list"',), ("99999999999999999999",), ("x",)]
)


def command(name: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[Command]:
    return st.tuples(st.just(name), *arguments)


commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(lambda head, tail: (*head, *tail), command("MODEL.CREATE", key, value), condition),
    st.builds(lambda head, tail: (*head, *tail), command("MODEL.SET", key, path, value), condition),
    st.builds(lambda head, tail: (*head, *tail), command("MODEL.SAVE", key, value), condition),
    st.builds(lambda head, tail: (*head, *tail), command("MODEL.POP", key, path), which),
    command("MODEL.SAVE", key, value, st.just("ONLY"), st.just("2"), st.just('"a"'), st.just('"list"')),
    command("MODEL.UPDATE", key, path, value, path, value),
    command("MODEL.EDIT", key),
    command("MODEL.EDIT", key, st.just("SET"), path, value, st.just("UNSET"), path),
    command("MODEL.EDIT", key, st.just("ADD"), path, st.just("2"), value, value, st.just("SET"), path, value),
    command(
        "MODEL.EDIT", key, st.just("DISCARD"), path, st.just("1"), value, st.just("ADD"), path, index, value
    ),
    command("MODEL.APPEND", key, path, value),
    command("MODEL.APPEND", key, path, value, value),
    command("MODEL.APPEND", key, path, value, st.just("MAXLEN"), st.just("2"), st.just("UNIQUE")),
    command("MODEL.APPEND", key, path, st.just('"AQ=="'), st.just("BASE64")),
    command("MODEL.UPDATE", key, path, value, path, value, st.just("WHERE"), path, operator, value),
    command("MODEL.SET", key, path, value, st.just("IFVERSION"), st.sampled_from("1234")),
    command("MODEL.INCRBY", key, path, scalar),
    command("MODEL.INCRBY", key, path, scalar, st.just("MAX"), scalar),
    command("MODEL.INCRBY", key, path, scalar, st.just("MIN"), scalar, st.just("STRICT")),
    command("MODEL.INCRBY", key, path, scalar, st.just("ELSE"), value),
    command("MODEL.INCRBY", key, path, scalar, st.just("DEFAULT"), path, value),
    command("MODEL.POP", key, path, st.just("DEFAULT"), path, value),
    command("MODEL.INCRBY", key, path, scalar, st.just("REQUIRE"), number_bound, scalar),
    command("MODEL.APPEND", key, path, value, st.just("REQUIRE"), length_bound, index),
    command("MODEL.DISCARD", key, path, value, st.just("REQUIRE"), length_bound, index),
    command("MODEL.MERGE", key, path, value, st.just("DEFAULT"), path, value),
    command("MODEL.APPEND", key, path, value, st.just("UNIQUE"), st.just("STRICT")),
    command("MODEL.GET", key, path, st.just("STRICT")),
    command("MODEL.CALC", key, path, operation, scalar),
    command("MODEL.INSERT", key, path, index, value, value),
    st.builds(
        lambda head, tail: (*head, *tail),
        command("MODEL.REMOVE", key, path, value),
        st.sampled_from([(), ("COUNT", "2")]),
    ),
    command("MODEL.CUT", key, path, index, index),
    command("MODEL.UNSET", key, path, path),
    command("MODEL.CLEAR", key, path),
    st.builds(
        lambda head, tail: (*head, *tail),
        command("MODEL.ADD", key, path, value, value),
        st.sampled_from([(), ("STRICT",)]),
    ),
    st.builds(
        lambda head, tail: (*head, *tail),
        command("MODEL.DISCARD", key, path, value, value),
        st.sampled_from([(), ("STRICT",)]),
    ),
    command("MODEL.ADD", key, path, moment, scalar, st.just("AS"), meaning),
    command("MODEL.APPEND", key, path, moment, scalar, st.just("UNIQUE"), st.just("AS"), meaning),
    command("MODEL.REMOVE", key, path, moment, st.just("AS"), meaning),
    command("MODEL.CONTAINS", key, path, moment, st.just("AS"), meaning),
    command("MODEL.SETOP", st.just("1"), key, path, st.just("UNION"), st.just("AS"), meaning),
    command("MODEL.PUSH", key, path, scalar, value),
    command("MODEL.UNPUSH", key, path, value),
    command("MODEL.POPMIN", key, path),
    command("MODEL.PEEK", key, path, index),
    command("MODEL.EXPECT", key, path, value),
    command("MODEL.EXPECT", key, path, st.just("REQUIRE"), length_bound, index),
    command("MODEL.SETOP", st.just("1"), key, path, st.sampled_from(["UNION", "DIFF"])),
    command("MODEL.LEN", key, path),
    command("MODEL.TYPE", key, path),
    command("MODEL.KEYS", key),
    command("MODEL.CONTAINS", key, path, value),
    command("MODEL.GETORCREATE", key, value),
    command("MODEL.COPY", key, key),
    command("MODEL.COPY", key, key, st.just("REPLACE")),
    command("MODEL.GET", key, path),
    command("MODEL.GET", key, path, path),
    command("MODEL.MGET", key, key),
    command("MODEL.DEL", key),
    command("MODEL.TTL", st.just("INHERIT"), key),
    command("MODEL.TTL", st.just("PERSIST"), key),
    command("PERSIST", key),
    command("EXISTS", key, key),
)


async def answer(host: Host, words: Command) -> Reply | str:
    try:
        return await host.call(*words)
    except CommandFailed as error:
        return str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(commands, min_size=1, max_size=25))
async def test_any_sequence_of_commands_has_the_same_outcome(host: Host, sequence: list[Command]) -> None:
    twin = EmbeddedHost()
    await host.call("FLUSHDB")
    for each in (host, twin):
        await each.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "ALL", "ABSOLUTE", 90_000)
    for words in sequence:
        assert await answer(host, words) == await answer(twin, words), words
    for name in KEYS:
        assert await host.call("MODEL.GET_RO", name) == await twin.call("MODEL.GET_RO", name)
        if await host.call("EXISTS", name):
            ours, theirs = await host.lifetime(name), await twin.lifetime(name)
            assert [ours[fact] for fact in ("version", "window", "policy")] == [
                theirs[fact] for fact in ("version", "window", "policy")
            ]
            assert (ours["deadline"] is None) == (theirs["deadline"] is None)
